//! Nothing panics, whatever comes in.

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_wire::codec::{Dialect, decode_fault, decode_request};

use super::{encode, read, read_whole};

/// Values made of the words of this dialect, so that they get past the first look.
fn value() -> impl Strategy<Value = Value> {
    let words = [
        "role",
        "content",
        "type",
        "text",
        "user",
        "assistant",
        "tool",
        "system",
        "function",
        "image_url",
        "url",
        "data:a/b;base64,",
        "data:",
        "file",
        "file_data",
        "input_audio",
        "thinking",
        "signature",
        "ephemeral",
        "arguments",
        "{\"a\":1}",
        "",
        "ä",
    ];
    let word = proptest::sample::select(words.to_vec());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    let keys = [
        "model",
        "messages",
        "role",
        "content",
        "type",
        "text",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "tool_call_id",
        "image_url",
        "url",
        "file",
        "file_data",
        "thinking_blocks",
        "thinking",
        "cache_control",
        "ttl",
        "tools",
        "tool_choice",
        "response_format",
        "choices",
        "delta",
        "message",
        "index",
        "finish_reason",
        "usage",
        "prompt_tokens",
        "error",
        "code",
        "detail",
        "stop",
        "allowed_tools",
        "mode",
    ];
    let key = proptest::sample::select(keys.to_vec());
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_message_is_decoded_or_refused(messages in proptest::collection::vec(value(), 0..4), extra in value()) {
        let body = json!({"model": "m", "messages": messages, "tools": extra, "tool_choice": extra});
        for body in [body, extra] {
            if let Ok(request) = decode_request(Dialect::Chat, body.to_string().as_bytes()) {
                for model in ["gpt-4.1", "gpt-5.6", "o3"] {
                    let _ = tollgate_wire::codec::encode_request(&request, &super::target(model));
                }
            }
        }
    }

    #[test]
    fn any_answer_is_read_or_refused(value in value()) {
        let text = value.to_string();
        let _ = read_whole(&text);
        let _ = read(&[format!("data: {text}\n\ndata: {{\"choices\":[{text}]}}\n\ndata: [DONE]\n\n").as_bytes()]);
        let _ = decode_fault(Dialect::Chat, StatusCode::BAD_REQUEST, &HeaderMap::new(), text.as_bytes());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_request(Dialect::Chat, &bytes);
        let _ = encode(&super::ask(), "gpt-4.1").reader.response(&bytes);
        let _ = read(&[&bytes]);
        let _ = decode_fault(Dialect::Chat, StatusCode::BAD_GATEWAY, &HeaderMap::new(), &bytes);
    }
}
