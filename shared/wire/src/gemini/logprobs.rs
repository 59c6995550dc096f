//! Log probabilities: `logprobsResult` and OpenAI's list, which the IR has.
//!
//! | OpenAI, for each token | Gemini |
//! |---|---|
//! | `token`, `logprob` | `chosenCandidates[i].token`, `.logProbability` |
//! | `bytes` | the token's bytes in UTF-8 |
//! | `top_logprobs[j]` | `topCandidates[i].candidates[j]` |
//!
//! <https://ai.google.dev/api/generate-content#LogprobsResult>, <https://platform.openai.com/docs/api-reference/chat/object>

use serde_json::{Map, Value, json};

/// Gemini's, as OpenAI's list.
pub(super) fn decoded(result: &Value) -> Vec<Value> {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut others = list(result, "topCandidates").into_iter();
    let chosen = list(result, "chosenCandidates").into_iter();
    let tokens = chosen.map(|token| {
        let others = others.next().unwrap_or_default();
        let others: Vec<Value> = list(&others, "candidates").iter().map(|other| of_token(other).into()).collect();
        let mut out = of_token(&token);
        out.insert("top_logprobs".to_owned(), others.into());
        Value::Object(out)
    });
    tokens.collect()
}

fn of_token(token: &Value) -> Map<String, Value> {
    let text = token.get("token").and_then(Value::as_str).unwrap_or_default();
    // A zero is left out on the wire.
    let logprob = token.get("logProbability").and_then(Value::as_f64).unwrap_or_default();
    let fields = [("token", text.into()), ("logprob", logprob.into()), ("bytes", json!(text.as_bytes()))];
    fields.map(|(key, value): (&str, Value)| (key.to_owned(), value)).into_iter().collect()
}

/// OpenAI's list, as Gemini's.
pub(super) fn encoded(tokens: &[Value]) -> Value {
    let candidate = |token: &Value| json!({ "token": token.get("token"), "logProbability": token.get("logprob") });
    let chosen: Vec<Value> = tokens.iter().map(candidate).collect();
    let others = tokens.iter().map(|token| {
        let others = token.get("top_logprobs").and_then(Value::as_array);
        json!({ "candidates": others.into_iter().flatten().map(candidate).collect::<Vec<Value>>() })
    });
    json!({ "chosenCandidates": chosen, "topCandidates": others.collect::<Vec<Value>>() })
}

/// Their sum, of which `avgLogprobs` is the mean.
pub(super) fn sum(tokens: &[Value]) -> f64 {
    tokens.iter().filter_map(|token| token.get("logprob")?.as_f64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_go_there_and_back() {
        let result = json!({
            "chosenCandidates": [{ "token": "Hi", "logProbability": -0.25 }, { "token": "é", "logProbability": 0.0 }],
            "topCandidates": [{ "candidates": [{ "token": "Hi", "logProbability": -0.25 }] }, { "candidates": [] }],
        });
        let tokens = decoded(&result);
        let expected = json!([
            { "token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": [{ "token": "Hi", "logprob": -0.25, "bytes": [72, 105] }] },
            { "token": "é", "logprob": 0.0, "bytes": [195, 169], "top_logprobs": [] },
        ]);
        assert_eq!(json!(tokens), expected);
        assert_eq!(encoded(&tokens), result);
    }

    #[test]
    fn what_is_no_list_of_tokens_is_none() {
        for odd in [json!(null), json!({}), json!({ "chosenCandidates": 7 }), json!([1])] {
            assert!(decoded(&odd).is_empty(), "{odd}");
        }
        assert_eq!(decoded(&json!({ "chosenCandidates": [null] })).len(), 1);
    }
}
