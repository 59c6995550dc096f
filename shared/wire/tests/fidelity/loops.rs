//! Conversations of ten turns between each client and each upstream: what the upstream proved and numbered comes back to it byte for byte, whether
//! the client keeps whole answers or puts them together from streams, as the official SDKs do.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tollgate_wire::codec::Dialect;

use super::answers::{Answer, Piece, call, whole};
use super::pairs::{CLIENTS, UPSTREAMS, Upstream, name, smallest, start};
use super::streams::streamed;

const TURNS: usize = 10;

/// The answer of one turn: signed thinking, encrypted thinking, two calls.
fn answer(turn: usize) -> Answer {
    Answer {
        blocks: vec![
            Piece::Thinking(format!("Step {turn}."), format!("c2ln{turn:02}+/AAA=")),
            Piece::Redacted(format!("UkVE{turn:02}+/AAA=")),
            Piece::Text(format!("Turn {turn}.")),
            call(&format!("call_a_{turn}"), json!({"city_77": turn})),
            call(&format!("call_b_{turn}"), json!({})),
        ],
        stop: None,
    }
}

/// What has to come back of them, and how often.
fn expected(upstream: Dialect, proofs: bool) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    let encrypted = upstream != Dialect::GenerateContent;
    for turn in 0..TURNS {
        for piece in answer(turn).blocks {
            match piece {
                Piece::Thinking(..) | Piece::Redacted(_) if !proofs => {}
                Piece::Thinking(_, signature) => drop(all.insert(signature, 1)),
                Piece::Redacted(data) if encrypted => drop(all.insert(data, 1)),
                // In the call and in its result.
                Piece::Call { id, .. } => drop(all.insert(id, 2)),
                _ => {}
            }
        }
    }
    all
}

fn found(value: &Value, expected: &BTreeMap<String, usize>, counts: &mut BTreeMap<String, usize>) {
    match value {
        Value::String(text) if expected.contains_key(text) => *counts.entry(text.clone()).or_default() += 1,
        Value::Array(items) => items.iter().for_each(|item| found(item, expected, counts)),
        Value::Object(fields) => fields.values().for_each(|field| found(field, expected, counts)),
        _ => {}
    }
}

/// The client's part: puts its answer and the results of the calls into its next request.
pub(crate) fn take(client: Dialect, body: &mut Map<String, Value>, answer: &Value) {
    let list = match client {
        Dialect::Responses => "input",
        Dialect::GenerateContent => "contents",
        _ => "messages",
    };
    let list = body.get_mut(list).and_then(Value::as_array_mut).unwrap();
    match client {
        Dialect::Responses => {
            let items = answer["output"].as_array().unwrap();
            list.extend(items.iter().cloned());
            let calls = items.iter().filter(|item| item["type"] == "function_call");
            list.extend(
                calls.map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "ok"})),
            );
        }
        Dialect::Messages => {
            let content = &answer["content"];
            let calls = content.as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
            let result = |call: &Value| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "ok"});
            let results: Vec<Value> = calls.map(result).collect();
            list.push(json!({"role": "assistant", "content": content}));
            list.push(json!({"role": "user", "content": results}));
        }
        Dialect::GenerateContent => {
            let content = &answer["candidates"][0]["content"];
            let calls = content["parts"].as_array().unwrap().iter().filter_map(|part| part.get("functionCall"));
            let result = |call: &Value| json!({"functionResponse": {"id": call["id"], "name": call["name"], "response": {"output": "ok"}}});
            let results: Vec<Value> = calls.map(result).collect();
            list.push(content.clone());
            list.push(json!({"role": "user", "parts": results}));
        }
        _ => {
            let message = &answer["choices"][0]["message"];
            list.push(message.clone());
            let calls = message["tool_calls"].as_array().into_iter().flatten();
            list.extend(calls.map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "ok"})));
        }
    }
}

/// Tools, and thinking where the dialect has to be asked for it.
fn first(client: Dialect) -> Map<String, Value> {
    let mut body = smallest(client);
    let more = match client {
        Dialect::Responses => {
            json!({"tools": [{"type": "function", "name": "look_77"}], "reasoning": {"effort": "low", "summary": "auto"}})
        }
        Dialect::Messages => json!({
            "tools": [{"name": "look_77", "input_schema": {"type": "object", "properties": {}}}],
            "thinking": {"type": "enabled", "budget_tokens": 2048},
        }),
        Dialect::GenerateContent => json!({
            "tools": [{"functionDeclarations": [{"name": "look_77"}]}], "generationConfig": {"thinkingConfig": {"thinkingBudget": 2048}},
        }),
        _ => json!({"tools": [{"type": "function", "function": {"name": "look_77"}}], "reasoning_effort": "low"}),
    };
    body.extend(more.as_object().unwrap().clone());
    body
}

/// Ten turns. What did not come back in the eleventh request, or came back more often than it was said: ids, and with `proofs` what the upstream
/// proved of its reasoning, too.
pub(crate) fn astray(client: Dialect, upstream: &Upstream, stream: bool, proofs: bool) -> Vec<String> {
    let target = upstream.target(true);
    let mut body = first(client);
    for turn in 0..TURNS {
        let mut started = start(client, &body, &target, stream).unwrap();
        let answer = answer(turn);
        let answer = if stream {
            let mut out = Vec::new();
            started.relay.chunk(&streamed(upstream.dialect, &answer), &mut out).unwrap();
            started.relay.finish(&mut out).unwrap();
            super::collected::collect(client, &out)
        } else {
            let bytes = Bytes::from(whole(upstream.dialect, &answer).to_string());
            serde_json::from_slice(&started.relay.response(bytes).unwrap()).unwrap()
        };
        take(client, &mut body, &answer);
    }
    let sent = start(client, &body, &target, stream).unwrap().body;
    let expected = expected(upstream.dialect, proofs);
    let mut counts = BTreeMap::new();
    found(&serde_json::from_slice(&sent).unwrap(), &expected, &mut counts);
    let astray = expected.iter().filter(|(text, count)| counts.get(*text) != Some(count));
    astray.map(|(text, count)| format!("{text}: {} of {count}", counts.get(text).unwrap_or(&0))).collect()
}

/// Chat completions have no place for proofs, but a client and a server that agree on one keep it. Nova signs nothing.
fn takes_proofs(client: Dialect, upstream: &Upstream) -> bool {
    client == upstream.dialect || !matches!(upstream.dialect, Dialect::Chat | Dialect::Converse)
}

/// A second turn's request: what does not come back is reported, and the calls and their results go on.
#[test]
fn what_an_upstream_does_not_get_back_is_reported() {
    for client in CLIENTS {
        for upstream in UPSTREAMS.iter().filter(|upstream| !takes_proofs(client, upstream)) {
            let mut body = first(client);
            let mut started = start(client, &body, &upstream.target(true), false).unwrap();
            let bytes = Bytes::from(whole(upstream.dialect, &answer(0)).to_string());
            let answer: Value = serde_json::from_slice(&started.relay.response(bytes).unwrap()).unwrap();
            take(client, &mut body, &answer);
            let dropped = start(client, &body, &upstream.target(true), false).unwrap().dropped;
            assert!(
                dropped.iter().any(|dropped| dropped.path.starts_with("messages[1]")),
                "{} to {}: {dropped:?}",
                name(client),
                upstream.title
            );
        }
    }
}

fn check(stream: bool) {
    let mut wrong = Vec::new();
    for client in CLIENTS {
        for upstream in &UPSTREAMS {
            let astray = astray(client, upstream, stream, takes_proofs(client, upstream));
            if !astray.is_empty() {
                wrong.push(format!("{} to {}: {}", name(client), upstream.title, astray.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn signatures_and_ids_survive_ten_turns_of_whole_answers() {
    check(false);
}

#[test]
fn signatures_and_ids_survive_ten_turns_of_streams() {
    check(true);
}
