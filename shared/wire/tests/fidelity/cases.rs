//! Cases that other gateways got wrong, for every pair of dialects that can meet them. The rest of them stand in the matrix (`requests`, `replies`),
//! in `loops`, and in the tests of the dialects.

use serde_json::{Map, Value, json};
use tollgate_wire::codec::{Carrier, Dialect};

use super::answers::{Answer, Piece, call, everything, named_call};
use super::collected::{collect, events};
use super::loops::take;
use super::pairs::{CLIENTS, UPSTREAMS, Upstream, claudes, name, smallest, start};
use super::streams::streamed;

pub(crate) fn with(client: Dialect, more: Value) -> Map<String, Value> {
    let mut body = smallest(client);
    body.extend(more.as_object().unwrap().clone());
    body
}

pub(crate) fn tools(client: Dialect, tool: &str) -> Value {
    match client {
        Dialect::Responses => json!({"tools": [{"type": "function", "name": tool}]}),
        Dialect::Messages => json!({"tools": [{"name": tool, "input_schema": {"type": "object", "properties": {}}}]}),
        Dialect::GenerateContent => json!({"tools": [{"functionDeclarations": [{"name": tool}]}]}),
        _ => json!({"tools": [{"type": "function", "function": {"name": tool}}]}),
    }
}

/// A client's request after an answer with calls, and their results.
pub(crate) fn loop_of(client: Dialect, mut body: Map<String, Value>, answer: &Value) -> Map<String, Value> {
    take(client, &mut body, answer);
    body
}

/// What the client collects of a stream.
pub(crate) fn collected(client: Dialect, body: &Map<String, Value>, upstream: &Upstream, stream: &[u8]) -> Value {
    let mut relay = start(client, body, &upstream.target(true), true).unwrap().relay;
    let mut out = Vec::new();
    relay.chunk(stream, &mut out).unwrap();
    relay.finish(&mut out).unwrap();
    collect(client, &out)
}

pub(crate) fn sent(client: Dialect, body: &Map<String, Value>, upstream: &Upstream) -> Value {
    serde_json::from_slice(&start(client, body, &upstream.target(true), true).unwrap().body).unwrap()
}

pub(crate) fn each_pair(mut check: impl FnMut(Dialect, &Upstream)) {
    for client in CLIENTS {
        UPSTREAMS.iter().for_each(|upstream| check(client, upstream));
    }
}

/// The turns of a body.
fn turns(body: &Value) -> &Vec<Value> {
    ["messages", "input", "contents"].iter().find_map(|key| body[*key].as_array()).unwrap()
}

/// Case 1.
#[test]
fn results_of_parallel_calls_are_one_turn_where_the_upstream_wants_one() {
    each_pair(|client, upstream| {
        let body = with(client, tools(client, "look_77"));
        let answer = Answer { blocks: vec![call("call_a", json!({})), call("call_b", json!({}))], stop: None };
        let answer = collected(client, &body, upstream, &streamed(upstream.dialect, &answer));
        let sent = sent(client, &loop_of(client, body, &answer), upstream);
        let holding = |text: &str| turns(&sent).iter().filter(|turn| turn.to_string().contains(text)).count();
        let results = match upstream.dialect {
            Dialect::Chat => 2 * holding(r#""tool_calls""#),
            Dialect::Responses => holding("function_call_output"),
            Dialect::GenerateContent => 2 * holding("functionResponse"),
            Dialect::Converse => 2 * holding("toolResult"),
            _ => 2 * holding("tool_result"),
        };
        assert_eq!(results, 2, "{} to {}: {sent}", name(client), upstream.title);
    });
}

/// Case 3.
#[test]
fn a_history_with_calls_and_no_tools_still_has_a_tool_config_at_converse_and_claude() {
    each_pair(|client, upstream| {
        let place = match upstream.dialect {
            Dialect::Converse => "/toolConfig/tools/0/toolSpec/name",
            Dialect::Messages if client != Dialect::Messages => "/tools/0/name",
            _ => return,
        };
        let body = with(client, tools(client, "look_77"));
        let answer = Answer { blocks: vec![call("call_a", json!({}))], stop: None };
        let answer = collected(client, &body, upstream, &streamed(upstream.dialect, &answer));
        let mut next = loop_of(client, body, &answer);
        next.shift_remove("tools");
        let sent = sent(client, &next, upstream);
        let found = sent.pointer(place).and_then(Value::as_str);
        assert_eq!(found, Some("look_77"), "{} to {}: {sent}", name(client), upstream.title);
    });
}

/// Case 4.
#[test]
fn no_tools_and_an_empty_list_of_them_are_the_same_for_every_upstream() {
    each_pair(|client, upstream| {
        let none = sent(client, &smallest(client), upstream);
        let empty = sent(client, &with(client, json!({"tools": []})), upstream);
        for key in ["tools", "toolConfig", "tool_choice"] {
            assert!(none.get(key).is_none(), "{} to {}: {none}", name(client), upstream.title);
            let passes = client == upstream.dialect;
            assert!(passes || empty.get(key).is_none(), "{} to {}: {empty}", name(client), upstream.title);
        }
    });
}

/// Case 5.
#[test]
fn a_call_with_empty_arguments_has_an_empty_object_at_every_upstream() {
    let chat = json!({"messages": [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "call_a", "type": "function", "function": {"name": "look_77", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "call_a", "content": "ok"},
    ]});
    let responses = json!({"input": [
        {"role": "user", "content": "Go"},
        {"type": "function_call", "call_id": "call_a", "name": "look_77", "arguments": ""},
        {"type": "function_call_output", "call_id": "call_a", "output": "ok"},
    ]});
    for (client, body) in [(Dialect::Chat, chat), (Dialect::Responses, responses)] {
        for upstream in UPSTREAMS.iter().filter(|upstream| upstream.dialect != client) {
            let text = sent(client, &with(client, body.clone()), upstream).to_string();
            let there = [r#""input":{}"#, r#""args":{}"#, r#""arguments":"{}""#].iter().any(|form| text.contains(form));
            assert!(there, "{} to {}: {text}", name(client), upstream.title);
        }
    }
}

/// Cases 6, 9 and 10.
#[test]
fn every_block_of_a_stream_is_closed_before_the_next_one_opens() {
    for upstream in UPSTREAMS.iter().filter(|upstream| upstream.dialect != Dialect::Messages) {
        let mut relay =
            start(Dialect::Messages, &smallest(Dialect::Messages), &upstream.target(true), true).unwrap().relay;
        let mut out = Vec::new();
        relay.chunk(&streamed(upstream.dialect, &everything()), &mut out).unwrap();
        relay.finish(&mut out).unwrap();
        let (mut open, mut next, mut starts) = (None, 0, 0);
        let mut inputs: Vec<String> = Vec::new();
        for event in events(&out) {
            let index = event["index"].as_u64();
            match event["type"].as_str().unwrap() {
                "message_start" => starts += 1,
                "content_block_start" => {
                    assert_eq!((open, index), (None, Some(next)), "{}: {event}", upstream.title);
                    open = index;
                    next += 1;
                    if event["content_block"]["type"] == "tool_use" {
                        assert_eq!(event["content_block"]["input"], json!({}), "{}: {event}", upstream.title);
                        inputs.push(String::new());
                    }
                }
                "content_block_delta" => {
                    assert_eq!(open, index, "{}: {event}", upstream.title);
                    if let (Some(more), Some(input)) = (event["delta"]["partial_json"].as_str(), inputs.last_mut()) {
                        input.push_str(more);
                    }
                }
                "content_block_stop" => assert_eq!(open.take(), index, "{}: {event}", upstream.title),
                _ => assert_eq!(open, None, "{}: {event}", upstream.title),
            }
        }
        assert_eq!(starts, 1, "{}", upstream.title);
        let inputs: Vec<Value> = inputs.iter().map(|input| serde_json::from_str(input).unwrap()).collect();
        assert_eq!(inputs, [json!({"city_77": "OSLO-7"}), json!({"city_77": "BERN-8"})], "{}", upstream.title);
    }
}

/// Case 11.
#[test]
fn a_signature_without_text_reaches_every_client_and_comes_back() {
    for client in CLIENTS {
        for upstream in claudes() {
            let body = with(client, tools(client, "look_77"));
            let blocks = vec![Piece::Thinking(String::new(), "c2lnLTc3".to_owned()), call("call_a", json!({}))];
            let stream = streamed(upstream.dialect, &Answer { blocks, stop: None });
            let answer = collected(client, &body, upstream, &stream);
            let sent = sent(client, &loop_of(client, body, &answer), upstream).to_string();
            assert!(sent.contains(r#""c2lnLTc3""#), "{} to {}: {sent}", name(client), upstream.title);
        }
    }
}

/// Case 12.
#[test]
fn a_tool_loop_whose_thinking_the_client_stripped_runs_without_thinking() {
    let thinking = |client| match client {
        Dialect::Responses => json!({"reasoning": {"effort": "high"}}),
        Dialect::GenerateContent => json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 2048}}}),
        Dialect::Chat => json!({"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 9000}),
        _ => json!({"thinking": {"type": "enabled", "budget_tokens": 2048}}),
    };
    for client in CLIENTS {
        for upstream in claudes() {
            let mut body = with(client, tools(client, "look_77"));
            body.extend(thinking(client).as_object().unwrap().clone());
            let first = sent(client, &body, upstream).to_string();
            assert!(first.contains("budget_tokens"), "{} to {}: {first}", name(client), upstream.title);
            let answer = Answer { blocks: vec![call("call_a", json!({}))], stop: None };
            let answer = collected(client, &body, upstream, &streamed(upstream.dialect, &answer));
            let next = loop_of(client, body, &answer);
            let started = start(client, &next, &upstream.target(true), true).unwrap();
            let text = String::from_utf8_lossy(&started.body);
            assert!(!text.contains("budget_tokens"), "{} to {}: {text}", name(client), upstream.title);
            assert!(!started.dropped.is_empty(), "{} to {}: not reported", name(client), upstream.title);
        }
    }
}

/// Case 13.
#[test]
fn blank_text_does_not_reach_an_upstream_that_refuses_it() {
    for client in CLIENTS {
        let body = match client {
            Dialect::Responses => json!({"input": [
                {"role": "user", "content": "Hi"}, {"role": "assistant", "content": " \n"}, {"role": "user", "content": [
                    {"type": "input_text", "text": ""}, {"type": "input_text", "text": "Go"}]},
            ]}),
            Dialect::GenerateContent => json!({"contents": [
                {"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": " \n"}]},
                {"role": "user", "parts": [{"text": ""}, {"text": "Go"}]},
            ]}),
            _ => json!({"messages": [
                {"role": "user", "content": "Hi"}, {"role": "assistant", "content": " \n"},
                {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "Go"}]},
            ]}),
        };
        let refuses =
            |upstream: &Upstream| upstream.carrier == Carrier::Bedrock || upstream.dialect == Dialect::Converse;
        let translated = |upstream: &Upstream| upstream.dialect == Dialect::Messages && upstream.dialect != client;
        for upstream in UPSTREAMS.iter().filter(|upstream| refuses(upstream) || translated(upstream)) {
            let text = sent(client, &with(client, body.clone()), upstream).to_string();
            let blank = text.contains(r#""text":"""#) || text.contains(r#""text":" \n""#);
            assert!(!blank && text.contains(r#""Go""#), "{} to {}: {text}", name(client), upstream.title);
        }
    }
}

/// Case 15.
#[test]
fn a_chat_client_that_did_not_ask_for_usage_sees_none_and_it_is_metered() {
    for upstream in &UPSTREAMS {
        let mut body = smallest(Dialect::Chat);
        body.insert("stream".to_owned(), true.into());
        let mut relay = start(Dialect::Chat, &body, &upstream.target(true), false).unwrap().relay;
        let mut out = Vec::new();
        relay.chunk(&streamed(upstream.dialect, &everything()), &mut out).unwrap();
        relay.finish(&mut out).unwrap();
        let events = events(&out);
        let seen = events.iter().any(|event| event.get("usage").is_some_and(|usage| !usage.is_null()));
        assert!(!seen && relay.state().usage.is_reported(), "{}", upstream.title);
        assert!(out.ends_with(b"data: [DONE]\n\n"), "{}", upstream.title);
        assert!(
            events.iter().all(|event| event["choices"][0].is_object()),
            "{}: an empty list of choices",
            upstream.title
        );
    }
}

/// Case 20.
#[test]
fn a_tools_name_that_the_upstream_forbids_is_mapped_and_mapped_back() {
    let long = "look_77_".repeat(17);
    for tool in ["files.read:all/\u{e9}", &long] {
        each_pair(|client, upstream| is_mapped_and_mapped_back(tool, client, upstream));
    }
}

fn is_mapped_and_mapped_back(tool: &str, client: Dialect, upstream: &Upstream) {
    let body = with(client, tools(client, tool));
    let given = sent(client, &body, upstream);
    let paths = [
        "/tools/0/function/name",
        "/tools/0/name",
        "/toolConfig/tools/0/toolSpec/name",
        "/tools/0/functionDeclarations/0/name",
    ];
    let given = paths.iter().find_map(|path| given.pointer(path)?.as_str()).unwrap();
    if client == upstream.dialect {
        assert_eq!(given, tool);
        return;
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let at_amazon = upstream.carrier == Carrier::Bedrock || upstream.dialect == Dialect::Converse;
    let most = if at_amazon || matches!(upstream.dialect, Dialect::Chat) { 64 } else { 128 };
    assert!(given.len() <= most && given.chars().all(allowed), "{} to {}: {given}", name(client), upstream.title);
    let blocks = vec![Piece::Text("TEXT-7".to_owned()), named_call("call_a", given, json!({}))];
    let stream = streamed(upstream.dialect, &Answer { blocks, stop: None });
    let answer = collected(client, &body, upstream, &stream).to_string();
    assert!(answer.contains(tool), "{} from {}: {answer}", name(client), upstream.title);
}

/// Case 23: also of frames, byte by byte.
#[test]
fn a_stream_in_any_legal_spelling_means_the_same() {
    each_pair(|client, upstream| {
        let body = with(client, tools(client, "look_77"));
        let plain = streamed(upstream.dialect, &everything());
        let expected = collected(client, &body, upstream, &plain);
        let mut relay = start(client, &body, &upstream.target(true), true).unwrap().relay;
        let mut out = Vec::new();
        plain.iter().for_each(|byte| relay.chunk(&[*byte], &mut out).unwrap());
        relay.finish(&mut out).unwrap();
        assert_eq!(expected, collect(client, &out), "{} from {}, byte by byte", name(client), upstream.title);
        let Ok(plain) = String::from_utf8(plain) else { return };
        let spelled = format!(": ping\n\n{}", plain.replace("data: ", "data:")).replace('\n', "\r\n");
        let found = collected(client, &body, upstream, spelled.as_bytes());
        assert_eq!(expected, found, "{} from {}", name(client), upstream.title);
    });
}

/// Case 24.
#[test]
fn a_stream_that_ends_early_is_a_fault_for_every_client() {
    each_pair(|client, upstream| {
        let stream = streamed(upstream.dialect, &everything());
        let mut relay = start(client, &smallest(client), &upstream.target(true), true).unwrap().relay;
        let mut out = Vec::new();
        let ended = relay.chunk(&stream[..stream.len() / 2], &mut out).and_then(|()| relay.finish(&mut out));
        assert!(ended.is_err() && !relay.state().done, "{} from {}", name(client), upstream.title);
    });
}

/// Case 25.
#[test]
fn an_error_event_before_content_is_a_fault_and_nothing_of_it_is_the_clients() {
    each_pair(|client, upstream| {
        let error = match upstream.dialect {
            Dialect::Converse => return,
            Dialect::Messages => {
                json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
            }
            Dialect::Responses => {
                json!({"type": "error", "code": "server_is_overloaded", "message": "Overloaded", "param": null, "sequence_number": 0})
            }
            Dialect::GenerateContent => {
                json!({"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}})
            }
            _ => json!({"error": {"message": "Overloaded", "type": "server_error", "code": "server_is_overloaded"}}),
        };
        let mut relay = start(client, &smallest(client), &upstream.target(true), true).unwrap().relay;
        let mut out = Vec::new();
        let stream = format!("data: {error}\n\n");
        let outcome = relay.chunk(stream.as_bytes(), &mut out).and_then(|()| relay.finish(&mut out));
        assert!(outcome.is_err(), "{} from {}", name(client), upstream.title);
        assert!(!relay.state().content, "{} from {}", name(client), upstream.title);
    });
}
