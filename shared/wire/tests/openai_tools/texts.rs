//! Custom tools: their input is a text for the client and for OpenAI's models, and a function's argument for everybody else's.

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_wire::codec::{Carrier, Dialect, Target};

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

/// The deltas of the calls of a chat client's stream.
fn streamed(body: &Value, target: &Target<'_>, events: &[Value]) -> Vec<Value> {
    let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let mut body = body.clone();
    body["stream"] = true.into();
    let mut relay = start(Dialect::Chat, &body, target).relay;
    let mut out = Vec::new();
    relay.chunk(stream.as_bytes(), &mut out).unwrap();
    relay.finish(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let chunks = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let deltas = chunks.map(|data| serde_json::from_str::<Value>(data).unwrap()["choices"][0]["delta"].clone());
    deltas.filter_map(|delta| delta.get("tool_calls").cloned()).collect()
}

#[test]
fn its_text_is_unwrapped_as_it_is_streamed() {
    let piece = |json: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": json}});
    let events = |pieces: &[&str]| {
        let mut events = vec![
            json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "sh", "input": {}}}),
        ];
        events.extend(pieces.iter().map(|json| piece(json)));
        events.extend([
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}}),
            json!({"type": "message_stop"}),
        ]);
        events
    };
    let begun = json!([{"index": 0, "id": "toolu_1", "type": "custom", "custom": {"name": "sh", "input": ""}}]);
    let more = |text: &str| json!([{"index": 0, "custom": {"input": text}}]);
    let calls = streamed(&request(), &CLAUDE, &events(&["{\"input\": ", "\"l", "s\\", "n\"", "}"]));
    assert_eq!(calls, [begun.clone(), more("l"), more("s"), more("\n")]);
    let calls = streamed(&request(), &CLAUDE, &events(&["{\"why\": 1, ", "\"input\": \"ls\"}"]));
    assert_eq!(calls, [begun, more("ls")], "what is wrapped in another way comes whole");
}

const GPT: Target<'static> = Target { dialect: Dialect::Responses, carrier: Carrier::Direct, model: "gpt-5.1" };
const GPT_CHAT: Target<'static> = Target { dialect: Dialect::Chat, carrier: Carrier::Direct, model: "gpt-5.1" };

/// The same request in Responses.
fn responses_request() -> Value {
    let grammar = json!({"type": "grammar", "syntax": "lark", "definition": "start: WORD"});
    json!({
        "model": "m",
        "input": [
            {"role": "user", "content": "Hi"},
            {"type": "custom_tool_call", "call_id": "call_1", "name": "sh", "input": "ls"},
            {"type": "custom_tool_call_output", "call_id": "call_1", "output": "a.txt"},
        ],
        "tools": [
            {"type": "custom", "name": "sh", "description": "A shell.", "format": grammar},
            {"type": "function", "name": "f"},
        ],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "sh"}]},
    })
}

/// Shapes: `openai-python`'s `CustomToolParam`, `ResponseCustomToolCallParam`, `ToolChoiceAllowedParam` and those of chat completions.
#[test]
fn between_openais_dialects_a_custom_tool_its_grammar_and_its_calls_stay_what_they_are() {
    let started = start(Dialect::Chat, &request(), &GPT);
    let to_responses = sent(&started);
    assert_eq!(started.dropped, []);
    assert_eq!(to_responses["tools"][0], responses_request()["tools"][0]);
    assert_eq!(to_responses["tools"][1]["name"], "f", "the client's whole list");
    assert_eq!(to_responses["tool_choice"], responses_request()["tool_choice"]);
    assert_eq!(to_responses["input"][1], responses_request()["input"][1]);
    assert_eq!(to_responses["input"][2], responses_request()["input"][2]);

    let started = start(Dialect::Responses, &responses_request(), &GPT_CHAT);
    let to_chat = sent(&started);
    assert_eq!(started.dropped, []);
    assert_eq!(to_chat["tools"][0], request()["tools"][0]);
    assert_eq!(to_chat["tools"][1]["function"]["name"], "f");
    assert_eq!(to_chat["tool_choice"], request()["tool_choice"]);
    assert_eq!(to_chat["messages"][1]["tool_calls"], request()["messages"][1]["tool_calls"]);

    let mut forced = request();
    forced["tool_choice"] = json!({"type": "custom", "custom": {"name": "sh"}});
    assert_eq!(sent(&start(Dialect::Chat, &forced, &GPT))["tool_choice"], json!({"type": "custom", "name": "sh"}));
}

#[test]
fn models_before_gpt_5_and_servers_that_copy_openai_get_functions_and_only_the_allowed_ones() {
    for model in ["gpt-4.1", "o3", "openai/gpt-5.1", "qwen3"] {
        let started = start(Dialect::Chat, &request(), &Target { model, ..GPT });
        let sent = sent(&started);
        let tools = sent["tools"].as_array().unwrap();
        assert_eq!((tools.len(), &tools[0]["type"]), (1, &json!("function")), "{model}");
        assert_eq!(sent["tool_choice"], "required");
        assert_eq!(sent["input"][1]["type"], "function_call");
        assert_eq!(sent["input"][2]["type"], "function_call_output");
        assert!(started.dropped.iter().any(|dropped| dropped.path == "tools[0].custom.format"), "{model}");
    }
}

/// What both dialects' answers say of one call, from the other's upstream.
#[test]
fn a_custom_call_of_an_upstream_is_the_clients_own() {
    let item = json!({"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "sh", "input": "a\"b"});
    let answer = json!({"id": "resp_1", "status": "completed", "model": "gpt-5.1", "output": [item]});
    let mut started = start(Dialect::Chat, &request(), &GPT);
    let response = started.relay.response(Bytes::from(answer.to_string())).unwrap();
    let response: Value = serde_json::from_slice(&response).unwrap();
    let call = json!({"id": "call_2", "type": "custom", "custom": {"name": "sh", "input": "a\"b"}});
    assert_eq!(response["choices"][0]["message"]["tool_calls"], json!([call]));

    let answer = json!({"id": "c", "model": "gpt-5.1", "choices": [
        {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": [call]}},
    ]});
    let mut started = start(Dialect::Responses, &responses_request(), &GPT_CHAT);
    let response = started.relay.response(Bytes::from(answer.to_string())).unwrap();
    let item = &serde_json::from_slice::<Value>(&response).unwrap()["output"][0];
    let wanted = (&json!("custom_tool_call"), &json!("call_2"), &json!("sh"), &json!("a\"b"));
    assert_eq!((&item["type"], &item["call_id"], &item["name"], &item["input"]), wanted);
}

#[test]
fn streamed_a_custom_call_comes_piece_by_piece_both_ways() {
    let item = json!({"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "sh", "input": ""});
    let delta = |text: &str| json!({"type": "response.custom_tool_call_input.delta", "output_index": 0, "item_id": "ctc_1", "delta": text});
    let calls = streamed(
        &request(),
        &GPT,
        &[
            json!({"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5.1"}}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": item}),
            delta("l\""),
            delta("s"),
            json!({"type": "response.custom_tool_call_input.done", "output_index": 0, "item_id": "ctc_1", "input": "l\"s"}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": {
                "type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "sh", "input": "l\"s"}}),
            json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": []}}),
        ],
    );
    let more = |text: &str| json!([{"index": 0, "custom": {"input": text}}]);
    let begun = json!([{"index": 0, "id": "call_2", "type": "custom", "custom": {"name": "sh", "input": ""}}]);
    assert_eq!(calls, [begun, more("l\""), more("s")]);

    let chunk = |call: Value| json!({"id": "c", "model": "gpt-5.1", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
    let events = [
        chunk(json!({"index": 0, "id": "call_2", "type": "custom", "custom": {"name": "sh", "input": ""}})),
        chunk(json!({"index": 0, "type": "custom", "custom": {"input": "l\""}})),
        chunk(json!({"index": 0, "custom": {"input": "s"}})),
        json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
    ];
    let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let mut body = responses_request();
    body["stream"] = true.into();
    let mut relay = start(Dialect::Responses, &body, &GPT_CHAT).relay;
    let mut out = Vec::new();
    relay.chunk(format!("{stream}data: [DONE]\n\n").as_bytes(), &mut out).unwrap();
    relay.finish(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let of_type = |kind: &str, field: &str| {
        let found = events.iter().filter(|event| event["type"] == kind).map(|event| event[field].clone());
        found.collect::<Vec<_>>()
    };
    assert_eq!(of_type("response.custom_tool_call_input.delta", "delta"), ["l\"", "s"]);
    assert_eq!(of_type("response.custom_tool_call_input.done", "input"), ["l\"s"]);
    assert_eq!(of_type("response.output_item.done", "item")[0]["input"], "l\"s");
}
