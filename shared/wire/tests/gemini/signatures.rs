//! A tool loop of ten turns, through each client's dialect: every signature comes back to Gemini on the part that it stood on (case 27).

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_wire::codec::{Carrier, Dialect, Target};
use tollgate_wire::exchange::Inbound;

use super::{seed, target};

const TURNS: usize = 10;
const MODEL: &str = "gemini-3-flash-preview";

/// Gemini's answer of one turn: thinking, two calls of which the first is signed; at the end signed text.
fn answer(turn: usize) -> Value {
    let signature = signature(turn);
    let parts = if turn + 1 < TURNS {
        json!([
            {"text": format!("Step {turn}."), "thought": true},
            {"functionCall": {"name": "step", "args": {"n": turn}}, "thoughtSignature": signature},
            {"functionCall": {"name": "log", "args": {}}},
        ])
    } else {
        json!([{"text": "Done.", "thoughtSignature": signature}])
    };
    json!({
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8},
        "modelVersion": MODEL,
        "responseId": format!("resp-{turn}"),
    })
}

fn signature(turn: usize) -> String {
    format!("c2ln{turn:04}")
}

/// The parts with signatures that Gemini is sent, by turn: what kind of part, and the signature.
fn signed(body: &Value) -> Vec<(String, String)> {
    let parts = body["contents"].as_array().unwrap().iter().flat_map(|content| content["parts"].as_array().unwrap());
    let signed = parts.filter_map(|part| {
        let signature = part["thoughtSignature"].as_str()?.to_owned();
        let call = part["functionCall"]["args"]["n"].as_u64().map(|n| format!("call {n}"));
        Some((call.unwrap_or_else(|| part["text"].as_str().unwrap_or_default().to_owned()), signature))
    });
    signed.collect()
}

/// A client's side of the conversation: its body, and what it adds to it of an answer and with the results.
trait Client {
    const DIALECT: Dialect;
    fn body(&self, stream: bool) -> Value;
    fn take(&mut self, answer: &Value);
}

struct Chat(Vec<Value>);

impl Client for Chat {
    const DIALECT: Dialect = Dialect::Chat;

    fn body(&self, stream: bool) -> Value {
        json!({"model": "m", "messages": self.0, "stream": stream})
    }

    /// What the official SDK keeps of a message: everything.
    fn take(&mut self, answer: &Value) {
        let message = answer["choices"][0]["message"].clone();
        let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
        self.0.push(message);
        self.0.extend(calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "ok"})));
        if calls.is_empty() {
            self.0.push(json!({"role": "user", "content": "Thanks"}));
        }
    }
}

struct Messages(Vec<Value>);

impl Client for Messages {
    const DIALECT: Dialect = Dialect::Messages;

    fn body(&self, stream: bool) -> Value {
        json!({"model": "m", "max_tokens": 99, "messages": self.0, "stream": stream})
    }

    fn take(&mut self, answer: &Value) {
        let content = answer["content"].as_array().unwrap();
        let calls = content.iter().filter(|block| block["type"] == "tool_use");
        let mut results: Vec<Value> =
            calls.map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "ok"})).collect();
        if results.is_empty() {
            results.push(json!({"type": "text", "text": "Thanks"}));
        }
        self.0.push(json!({"role": "assistant", "content": content}));
        self.0.push(json!({"role": "user", "content": results}));
    }
}

struct Responses(Vec<Value>);

impl Client for Responses {
    const DIALECT: Dialect = Dialect::Responses;

    fn body(&self, stream: bool) -> Value {
        json!({"model": "m", "input": self.0, "stream": stream})
    }

    /// What a client that keeps no state at the provider says back: all items.
    fn take(&mut self, answer: &Value) {
        let items = answer["output"].as_array().unwrap();
        let calls = items.iter().filter(|item| item["type"] == "function_call");
        let mut results: Vec<Value> = calls
            .map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "ok"}))
            .collect();
        if results.is_empty() {
            results.push(json!({"role": "user", "content": "Thanks"}));
        }
        self.0.extend(items.iter().cloned());
        self.0.extend(results);
    }
}

fn start(client: Dialect, body: &Value) -> tollgate_wire::exchange::Started {
    let inbound = Inbound::decode(client, Bytes::from(body.to_string()), Vec::new()).unwrap();
    inbound.start(&target(MODEL), &seed(), false).unwrap()
}

/// Ten turns; what Gemini is sent in the eleventh.
fn run<C: Client>(mut client: C) -> Vec<(String, String)> {
    for turn in 0..TURNS {
        let mut started = start(C::DIALECT, &client.body(false));
        let whole = started.relay.response(Bytes::from(answer(turn).to_string())).unwrap();
        client.take(&serde_json::from_slice(&whole).unwrap());
    }
    signed(&serde_json::from_slice(&start(C::DIALECT, &client.body(false)).body).unwrap())
}

fn expected() -> Vec<(String, String)> {
    let calls = (0..TURNS - 1).map(|turn| (format!("call {turn}"), signature(turn)));
    calls.chain([("Done.".to_owned(), signature(TURNS - 1))]).collect()
}

#[test]
fn signatures_survive_ten_turns_with_an_anthropic_client() {
    assert_eq!(run(Messages(vec![json!({"role": "user", "content": "Go"})])), expected());
}

#[test]
fn signatures_survive_ten_turns_with_an_openai_client() {
    assert_eq!(run(Chat(vec![json!({"role": "user", "content": "Go"})])), expected());
}

#[test]
fn signatures_survive_ten_turns_with_a_responses_client() {
    assert_eq!(run(Responses(vec![json!({"role": "user", "content": "Go"})])), expected());
}

#[test]
fn a_streamed_call_has_its_signature_where_a_client_keeps_it() {
    let stream = format!("data: {}\n\n", answer(3));
    let written = |client: Dialect, body: Value| {
        let mut relay = start(client, &body).relay;
        let mut out = Vec::new();
        relay.chunk(stream.as_bytes(), &mut out).unwrap();
        relay.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let chat =
        written(Dialect::Chat, json!({"model": "m", "messages": [{"role": "user", "content": "Go"}], "stream": true}));
    assert!(chat.contains(r#""extra_content":{"google":{"thought_signature":"c2ln0003"}}"#), "{chat}");
    let messages =
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Go"}], "stream": true});
    let messages = written(Dialect::Messages, messages);
    let signature = messages.find(r#""signature":"gemini-call:c2ln0003""#).unwrap();
    assert!(signature < messages.find("tool_use").unwrap(), "it stands before its call: {messages}");
}

#[test]
fn a_history_that_lost_its_signatures_is_sent_with_googles_mark_for_that() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let history = json!([
        {"role": "user", "content": "Old"},
        {"role": "assistant", "tool_calls": [call("a")]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "user", "content": "New"},
        {"role": "assistant", "tool_calls": [call("b"), call("c")]},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "tool", "tool_call_id": "c", "content": "3"},
    ]);
    let body = json!({"model": "m", "messages": history});
    let sent: Value = serde_json::from_slice(&start(Dialect::Chat, &body).body).unwrap();
    let of = |content: usize, part: usize| sent["contents"][content]["parts"][part]["thoughtSignature"].as_str();
    assert_eq!((of(1, 0), of(4, 0), of(4, 1)), (None, Some("skip_thought_signature_validator"), None));
    let inbound = Inbound::decode(Dialect::Chat, Bytes::from(body.to_string()), Vec::new()).unwrap();
    let older = inbound.start(&target("gemini-2.5-pro"), &seed(), false).unwrap();
    assert!(!String::from_utf8_lossy(&older.body).contains("thoughtSignature"), "older models do not check");
}

#[test]
fn another_provider_gets_none_of_geminis_signatures_and_it_is_reported() {
    let history = json!([
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "gemini-call:c2ln"},
            {"type": "tool_use", "id": "a", "name": "f", "input": {}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "1"}]},
    ]);
    let body = json!({"model": "m", "max_tokens": 9000, "messages": history, "thinking": {"type": "enabled", "budget_tokens": 2000}});
    let inbound = Inbound::decode(Dialect::Messages, Bytes::from(body.to_string()), Vec::new()).unwrap();
    let claude = Target {
        dialect: Dialect::Messages,
        carrier: Carrier::Bedrock,
        model: "us.anthropic.claude-sonnet-4-20250514-v1:0",
    };
    let started = inbound.start(&claude, &seed(), false).unwrap();
    assert!(!String::from_utf8_lossy(&started.body).contains("c2ln"));
    let paths: Vec<_> = started.dropped.iter().map(|dropped| dropped.path.as_str()).collect();
    assert_eq!(
        paths,
        ["messages[1].content[0]", "thinking"],
        "and Claude does not think in this call, which would be refused"
    );
}

#[test]
fn another_providers_signature_survives_a_gemini_client() {
    let request = json!({"contents": [{"role": "user", "parts": [{"text": "Go"}]}], "generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}});
    let claude = Target { dialect: Dialect::Messages, carrier: Carrier::Direct, model: "claude-sonnet-4-5" };
    let start = |request: &Value| super::inbound(&request.to_string()).start(&claude, &seed(), false).unwrap();
    let blocks = json!([
        {"type": "thinking", "thinking": "Hm.", "signature": "ErUB+/=="},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
    ]);
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": blocks, "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 2}});
    let whole = start(&request).relay.response(Bytes::from(answer.to_string())).unwrap();
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    // As the SDK sends bytes back: in the URL-safe alphabet.
    let content: Value =
        serde_json::from_str(&whole["candidates"][0]["content"].to_string().replace('+', "-")).unwrap();
    let result = json!({"role": "user", "parts": [{"functionResponse": {"id": "toolu_1", "name": "f", "response": {"result": 1}}}]});
    let next = json!({"contents": [request["contents"][0], content, result]});
    let sent: Value = serde_json::from_slice(&start(&next).body).unwrap();
    assert_eq!(sent["messages"][1]["content"], blocks);
}
