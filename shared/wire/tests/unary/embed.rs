//! Embeddings.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tollgate_wire::embed::Request;

use super::*;

const UPSTREAMS: [(Way, &str); 13] = [
    (Way::OpenAiEmbeddings, "text-embedding-3-small"),
    (Way::BedrockEmbeddings, "amazon.titan-embed-text-v1"),
    (Way::BedrockEmbeddings, "amazon.titan-embed-g1-text-02"),
    (Way::BedrockEmbeddings, "amazon.titan-embed-text-v2:0"),
    (Way::BedrockEmbeddings, "amazon.titan-embed-image-v1"),
    (Way::BedrockEmbeddings, "cohere.embed-multilingual-v3"),
    (Way::BedrockEmbeddings, "us.cohere.embed-v4:0"),
    (Way::BedrockEmbeddings, "amazon.nova-2-multimodal-embeddings-v1:0"),
    (Way::BedrockEmbeddings, "anthropic.claude-sonnet-4-20250514-v1:0"),
    (Way::GeminiEmbeddings, "gemini-embedding-001"),
    (Way::VertexPredict, "text-embedding-005"),
    (Way::VertexPredict, "gemini-embedding-001"),
    (Way::VertexEmbedContent, "gemini-embedding-2"),
];

fn request(body: &str) -> Unary {
    Unary::Embed(Request::decode(Bytes::copy_from_slice(body.as_bytes())).unwrap())
}

fn everywhere(name: &str, body: &str) {
    let mut out = format!("# client\n{body}\n");
    for (way, model) in UPSTREAMS {
        write!(out, "\n# {way:?}, {model}\n").unwrap();
        match start(&request(body), way, model) {
            Ok(plan) => out += &shown(&plan),
            Err(error) => writeln!(out, "error: {error}").unwrap(),
        }
    }
    golden(name, &out);
}

#[test]
fn a_single_text_goes_to_every_upstream() {
    everywhere("one_text", r#"{"model":"m","input":"hello"}"#);
}

#[test]
fn all_fields_are_carried_or_reported() {
    everywhere(
        "all_fields",
        r#"{"model":"m","input":["a","b"],"dimensions":256,"encoding_format":"base64","user":"u-1","input_type":"search_query","truncate":"END","extra":1}"#,
    );
}

#[test]
fn token_arrays_go_to_upstreams_that_share_the_tokenizer_alone() {
    everywhere("token_arrays", r#"{"model":"m","input":[[1,2],[3]]}"#);
}

#[test]
fn the_same_shape_passes_through_to_the_byte() {
    let body = r#"{ "input" : ["a"], "model":"m", "unknown":{"x":[1.0]} }"#;
    let plan = start(&request(body), Way::OpenAiEmbeddings, "m").unwrap();
    assert_eq!(plan.calls, [Bytes::copy_from_slice(body.as_bytes())]);
    let plan = start(&request(body), Way::OpenAiEmbeddings, "other\"").unwrap();
    assert_eq!(plan.calls[0], body.replace("\"m\"", "\"other\\\"\""));
    let upstream = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10]}],"model":"x","usage":{"prompt_tokens":3,"total_tokens":3},"more":1}"#;
    let finished = answer(plan, &[(upstream, &[])]).unwrap();
    assert_eq!(finished.body, upstream);
    assert_eq!((finished.state.usage.input, finished.state.model.as_deref()), (Some(3), Some("x")));
}

#[test]
fn a_server_that_ignores_the_encoding_is_put_right() {
    let ask = |format: &str| format!(r#"{{"model":"m","input":"a","encoding_format":"{format}"}}"#);
    let upstream = |vector: &str| {
        format!(
            r#"{{"data":[{{"index":0,"embedding":{vector}}},{{"index":1,"embedding":[-0.5] }}],"usage":{{"prompt_tokens":1}}}}"#
        )
    };
    let read = |format: &str, vector: &str| {
        let plan = start(&request(&ask(format)), Way::OpenAiEmbeddings, "m").unwrap();
        String::from_utf8(answer(plan, &[(&upstream(vector), &[])]).unwrap().body.to_vec()).unwrap()
    };
    assert_eq!(read("float", "[1, 2]"), upstream("[1, 2]"));
    let expected = upstream("\"AACAPwAAAEA=\"").replace("[-0.5] ", "\"AAAAvw==\" ");
    assert_eq!(read("base64", "[1, 2]"), expected);
    assert_eq!(read("base64", "\"AACAPwAAAEA=\""), expected, "what is base64 already stays");
}

#[test]
fn a_batch_is_split_where_an_upstream_takes_fewer() {
    let texts: Vec<String> = (0..200).map(|n| format!("text {n}")).collect();
    let body = json!({"model": "m", "input": texts}).to_string();
    for (way, model, sizes) in [
        (Way::OpenAiEmbeddings, "m", vec![200]),
        (Way::BedrockEmbeddings, "cohere.embed-english-v3", vec![96, 96, 8]),
        (Way::BedrockEmbeddings, "amazon.titan-embed-text-v2:0", vec![1; 200]),
        (Way::GeminiEmbeddings, "gemini-embedding-001", vec![100, 100]),
        (Way::VertexPredict, "text-embedding-005", vec![200]),
        (Way::VertexPredict, "gemini-embedding-001", vec![1; 200]),
    ] {
        let plan = start(&request(&body), way, model).unwrap();
        let count = |body: &Bytes| {
            let value: Value = serde_json::from_slice(body).unwrap();
            ["input", "texts", "requests", "instances"]
                .iter()
                .find_map(|key| value[*key].as_array())
                .map_or(1, Vec::len)
        };
        assert_eq!(plan.calls.iter().map(count).collect::<Vec<_>>(), sizes, "{model}");
    }
    let long = json!({"model": "m", "input": vec!["word ".repeat(1_000); 20]}).to_string();
    let plan = start(&request(&long), Way::VertexPredict, "text-embedding-005").unwrap();
    assert_eq!(plan.calls.len(), 2, "Vertex bounds the tokens of a call, too");
}

#[test]
fn the_parts_come_together_in_the_order_of_the_texts() {
    let body = r#"{"model":"m","input":["a","b","c"]}"#;
    let plan = start(&request(body), Way::BedrockEmbeddings, "amazon.titan-embed-text-v2:0").unwrap();
    let part = |vector: &str, tokens: u64| format!(r#"{{"embedding":{vector},"inputTextTokenCount":{tokens}}}"#);
    let parts = [part("[-0.006603240966796875,1E-7]", 3), part("[2]", 4), part("[3]", 5)];
    let parts: Vec<(&str, &[(&'static str, &str)])> = parts.iter().map(|part| (part.as_str(), &[][..])).collect();
    let finished = answer(plan, &parts).unwrap();
    let expected = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[-0.006603240966796875,1E-7]},{"object":"embedding","index":1,"embedding":[2]},{"object":"embedding","index":2,"embedding":[3]}],"model":"m","usage":{"prompt_tokens":12,"total_tokens":12}}"#;
    assert_eq!(finished.body, expected);
    assert_eq!((finished.state.usage.input, finished.state.usage.output), (Some(12), Some(0)));
}

#[test]
fn every_upstreams_answer_is_read_with_its_usage() {
    const HEADER: &[(&str, &str)] = &[("x-amzn-bedrock-input-token-count", "9")];
    for (way, model, upstream, headers, tokens) in [
        (
            Way::BedrockEmbeddings,
            "cohere.embed-english-v3",
            r#"{"id":"1","embeddings":[[1,2],[3,4]],"response_type":"embeddings_floats","texts":["a","b"]}"#,
            HEADER,
            Some(9),
        ),
        (
            Way::BedrockEmbeddings,
            "cohere.embed-v4:0",
            r#"{"id":"1","embeddings":{"float":[[1,2],[3,4]]},"response_type":"embeddings_by_type"}"#,
            HEADER,
            Some(9),
        ),
        (Way::BedrockEmbeddings, "cohere.embed-v4:0", r#"{"embeddings":{"float":[[1,2],[3,4]]}}"#, &[], None),
        (
            Way::GeminiEmbeddings,
            "gemini-embedding-001",
            r#"{"embeddings":[{"values":[1,2]},{"values":[3,4]}]}"#,
            &[],
            None,
        ),
        (
            Way::VertexPredict,
            "text-embedding-005",
            r#"{"predictions":[{"embeddings":{"statistics":{"token_count":2,"truncated":false},"values":[1,2]}},{"embeddings":{"values":[3,4],"statistics":{"token_count":3.0}}}]}"#,
            &[],
            Some(5),
        ),
    ] {
        let body = r#"{"model":"m","input":["text one","b"],"encoding_format":"base64"}"#;
        let finished = answer(start(&request(body), way, model).unwrap(), &[(upstream, headers)]).unwrap();
        let value: Value = serde_json::from_slice(&finished.body).unwrap();
        let vector = |at: usize| STANDARD.decode(value["data"][at]["embedding"].as_str().unwrap()).unwrap();
        assert_eq!(vector(1), [3_f32.to_le_bytes(), 4_f32.to_le_bytes()].concat(), "{model}");
        assert_eq!(finished.state.usage.input, tokens, "{model}");
        assert_eq!(
            value["usage"]["prompt_tokens"],
            tokens.unwrap_or(3),
            "an estimate for the client, none for the books"
        );
    }
}

#[test]
fn what_is_no_answer_is_not_taken_for_one() {
    let body = r#"{"model":"m","input":["a","b"]}"#;
    for (way, model, upstream) in [
        (Way::OpenAiEmbeddings, "m", "{}"),
        (Way::OpenAiEmbeddings, "m", "<html>"),
        (Way::BedrockEmbeddings, "cohere.embed-english-v3", r#"{"embeddings":[[1]]}"#),
        (Way::BedrockEmbeddings, "cohere.embed-english-v3", r#"{"message":"no"}"#),
        (Way::GeminiEmbeddings, "g", r#"{"embeddings":[{"values":[1]},{}]}"#),
        (Way::VertexPredict, "text-embedding-005", r#"{"predictions":[]}"#),
    ] {
        let outcome = answer(start(&request(body), way, model).unwrap(), &[(upstream, &[])]);
        assert!(matches!(outcome, Err(WireError::BadAnswer(_))), "{model}: {outcome:?}");
    }
}

#[test]
fn a_wrong_request_is_told_where() {
    let decoded = |body: &str| Request::decode(Bytes::copy_from_slice(body.as_bytes()));
    for (body, message) in [
        (r#"{"input":"a"}"#, "model: required: name a model"),
        (r#"{"model":"m"}"#, "input: required: a text, an array of texts, or token arrays"),
        (r#"{"model":"m","input":[]}"#, "input: expected at least one text, got none"),
        (r#"{"model":"m","input":7}"#, "input: expected a text or an array, got a number"),
        (r#"{"model":"m","input":["a",7]}"#, "input[1]: expected a text as the others are, got a number"),
        (r#"{"model":"m","input":"a","dimensions":0}"#, "dimensions: expected at least 1, got 0"),
        (
            r#"{"model":"m","input":"a","dimensions":"x"}"#,
            "dimensions: expected a whole number of at least 0, got a string",
        ),
        (
            r#"{"model":"m","input":"a","encoding_format":"int8"}"#,
            r#"encoding_format: expected "float" or "base64", got "int8""#,
        ),
        (r#"{"model":"m","input":"a","encoding_format":7}"#, "encoding_format: expected a string, got a number"),
    ] {
        assert_eq!(decoded(body).unwrap_err().to_string(), message, "{body}");
    }
    let titan = |body: &str| start(&request(body), Way::BedrockEmbeddings, "amazon.titan-embed-text-v2:0").unwrap_err();
    for (body, message) in [
        (r#"{"model":"m","input":" "}"#, "input: expected a text that is not blank"),
        (r#"{"model":"m","input":["a",""]}"#, "input[1]: expected a text that is not blank"),
        (
            r#"{"model":"m","input":"a","dimensions":300}"#,
            "dimensions: this model's vectors have 1024, 512, 256 dimensions, not 300",
        ),
        (
            r#"{"model":"m","input":"a","input_type":"x"}"#,
            r#"input_type: expected search_document, search_query, classification or clustering, got "x""#,
        ),
        (r#"{"model":"m","input":"a","truncate":"x"}"#, r#"truncate: expected NONE, START or END, got "x""#),
        (r#"{"model":"m","input":{"text":"a"}}"#, "input: this model takes texts; an object is none"),
    ] {
        assert_eq!(titan(body).to_string(), message, "{body}");
    }
    let many = json!({"model": "m", "input": vec!["a"; 2_049]}).to_string();
    assert_eq!(titan(&many).to_string(), "input: expected at most 2048 texts, got 2049");
}

#[test]
fn strict_refuses_what_would_be_lost() {
    let unary = request(r#"{"model":"m","input":"a","user":"u"}"#);
    let service = service(Way::BedrockEmbeddings, "amazon.titan-embed-text-v2:0");
    assert!(unary.start(&service, &seed(), false).is_ok());
    let error = unary.start(&service, &seed(), true).unwrap_err();
    assert!(error.to_string().starts_with("user: strict mode refuses"), "{error}");
}
