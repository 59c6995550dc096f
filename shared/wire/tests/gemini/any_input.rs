//! What holds for any input.

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_wire::codec::{Carrier, Dialect, Target, decode_request, encode_request};

use super::{events, target};

/// Words of the dialect, in either spelling, with values of any kind.
fn body() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-3i64..9).prop_map(Value::from),
        "[a-z0-9/+_=:-]{0,12}".prop_map(Value::from),
        Just(json!("model")),
        Just(json!("c2lnLW9uZQ==")),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let key = prop::sample::select(vec![
            "contents",
            "parts",
            "role",
            "text",
            "thought",
            "thoughtSignature",
            "thought_signature",
            "functionCall",
            "name",
            "id",
            "args",
            "functionResponse",
            "response",
            "output",
            "error",
            "inlineData",
            "inline_data",
            "mimeType",
            "data",
            "fileData",
            "fileUri",
            "tools",
            "functionDeclarations",
            "parameters",
            "parametersJsonSchema",
            "type",
            "properties",
            "toolConfig",
            "functionCallingConfig",
            "mode",
            "generationConfig",
            "generation_config",
            "thinkingConfig",
            "thinkingBudget",
            "responseSchema",
            "responseMimeType",
            "systemInstruction",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key, inner), 0..5).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_body_is_refused_or_can_be_sent_to_anyone(parts in body(), extra in body()) {
        let mut request = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": parts}]});
        if let (Value::Object(fields), Some(extra)) = (&mut request, extra.as_object()) {
            fields.extend(extra.clone());
        }
        let Ok(decoded) = decode_request(Dialect::GenerateContent, request.to_string().as_bytes()) else { return Ok(()) };
        for target in [
            target("gemini-3-pro-preview"),
            target("gemini-2.5-flash"),
            Target { dialect: Dialect::Chat, carrier: Carrier::Direct, model: "gpt-4.1" },
            Target { dialect: Dialect::Messages, carrier: Carrier::Direct, model: "claude-sonnet-4-5" },
            Target { dialect: Dialect::Converse, carrier: Carrier::Direct, model: "us.amazon.nova-2-lite-v1:0" },
        ] {
            if let Ok(encoded) = encode_request(&decoded, &target) {
                let sent: Value = serde_json::from_slice(&encoded.body).unwrap();
                if target.dialect == Dialect::GenerateContent {
                    let again = decode_request(Dialect::GenerateContent, &encoded.body);
                    prop_assert!(again.is_ok(), "{:?} of {sent}", again);
                }
            }
        }
    }

    #[test]
    fn any_answer_is_refused_or_read(answer in body(), cut in any::<prop::sample::Index>()) {
        let chunk = json!({"candidates": [{"content": {"parts": answer}, "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 1}});
        let bytes = format!("data: {chunk}\n\n").into_bytes();
        let cut = cut.index(bytes.len() + 1);
        let whole = events(&[&bytes]);
        prop_assert_eq!(events(&[&bytes[..cut], &bytes[cut..]]), whole);
    }
}
