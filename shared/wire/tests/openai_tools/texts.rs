//! Custom tools of chat completions: their input is a text for the client and a function's argument for the upstream.

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_wire::codec::Dialect;

use super::cases::{CLAUDE, sent, start};

fn request() -> Value {
    let grammar = json!({"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: WORD"}});
    let call = json!({"id": "call_1", "type": "custom", "custom": {"name": "sh", "input": "ls"}});
    json!({
        "model": "m",
        "messages": [
            {"role": "user", "content": "Hi"}, {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"},
        ],
        "tools": [
            {"type": "custom", "custom": {"name": "sh", "description": "A shell.", "format": grammar}},
            {"type": "function", "function": {"name": "f"}},
        ],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "custom", "custom": {"name": "sh"}}]}},
    })
}

#[test]
fn a_custom_tool_is_a_function_with_one_text_and_its_grammar_is_told() {
    let started = start(Dialect::Chat, &request(), &CLAUDE);
    let sent = sent(&started);
    let tools = sent["tools"].as_array().unwrap();
    assert_eq!((tools.len(), &tools[0]["name"]), (1, &json!("sh")));
    assert!(tools[0]["description"].as_str().unwrap().ends_with("lark grammar:\nstart: WORD"), "{}", tools[0]);
    assert_eq!(tools[0]["input_schema"]["required"], json!(["input"]));
    assert_eq!(sent["messages"][1]["content"][0]["input"], json!({"input": "ls"}));
    assert_eq!(sent["tool_choice"], json!({"type": "any"}));
    let paths: Vec<&str> = started.dropped.iter().map(|dropped| dropped.path.as_str()).collect();
    assert_eq!(paths, ["tools[0].custom.format"]);
}

#[test]
fn its_call_is_written_back_as_a_text() {
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use", "stop_sequence": null,
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "sh", "input": {"input": "cat é"}}], "usage": {},
    });
    let mut started = start(Dialect::Chat, &request(), &CLAUDE);
    let response = started.relay.response(Bytes::from(answer.to_string())).unwrap();
    let response: Value = serde_json::from_slice(&response).unwrap();
    let call = json!({"id": "toolu_1", "type": "custom", "custom": {"name": "sh", "input": "cat é"}});
    assert_eq!(response["choices"][0]["message"]["tool_calls"], json!([call]));
    assert_eq!(response["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn streamed_it_comes_whole_before_the_end() {
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "sh", "input": {}}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{\"input\":"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "\"ls\"}"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}}),
        json!({"type": "message_stop"}),
    ];
    let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let mut body = request();
    body["stream"] = true.into();
    let mut relay = start(Dialect::Chat, &body, &CLAUDE).relay;
    let mut out = Vec::new();
    relay.chunk(stream.as_bytes(), &mut out).unwrap();
    relay.finish(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let chunks = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let deltas = chunks.map(|data| serde_json::from_str::<Value>(data).unwrap()["choices"][0]["delta"].clone());
    let calls: Vec<Value> = deltas.filter_map(|delta| delta.get("tool_calls").cloned()).collect();
    let call = json!({"index": 0, "id": "toolu_1", "type": "custom", "custom": {"name": "sh", "input": "ls"}});
    assert_eq!(calls, [json!([call])]);
}
