//! Streams of the Messages dialect: read from an upstream, written to a client.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_wire::codec::{self, Carrier, Dialect, ResponseReader, Seed, Target};
use tollgate_wire::error::WireError;
use tollgate_wire::ir::{self, BlockKind, Delta, Event, FaultKind, Stop, StopReason, Usage};

const FIXTURES: [&str; 3] = [
    include_str!("messages/streams/thinking_and_tools.sse"),
    include_str!("messages/streams/bedrock_metrics.sse"),
    include_str!("messages/streams/overloaded.sse"),
];

fn reader() -> Box<dyn ResponseReader> {
    let body = include_bytes!("messages/requests/smallest.json");
    let request = codec::decode_request(Dialect::Messages, body).unwrap();
    let target = Target { dialect: Dialect::Messages, carrier: Carrier::Direct, model: "claude-haiku-4-5" };
    codec::encode_request(&request, &target).unwrap().reader
}

fn read(pieces: &[&[u8]]) -> (Vec<Event>, Result<(), WireError>) {
    let mut events = Vec::new();
    let mut reader = reader();
    for piece in pieces {
        if let Err(error) = reader.chunk(piece, &mut events) {
            return (events, Err(error));
        }
    }
    let end = reader.finish(&mut events);
    (events, end)
}

fn sse(events: &[Value]) -> Vec<u8> {
    events.iter().flat_map(|event| format!("data: {event}\n\n").into_bytes()).collect()
}

fn usage(events: &[Event]) -> Usage {
    let reports = events.iter().filter_map(|event| match event {
        Event::Usage(usage) => Some(usage),
        _ => None,
    });
    reports.fold(Usage::default(), |mut sum, usage| {
        sum.update(usage);
        sum
    })
}

fn write(events: &[Event]) -> Vec<Value> {
    let seed = Seed { created_unix_s: 1, request_id: "r1".to_owned() };
    let mut writer = codec::stream_writer(Dialect::Messages, &seed, true, &Arc::default());
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.event(event, &mut out));
    writer.finish(&mut out);
    let text = String::from_utf8(out).unwrap();
    let events = text.split("\n\n").filter(|event| !event.is_empty()).map(|event| {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        data
    });
    events.collect()
}

fn types(events: &[Value]) -> Vec<String> {
    let kind = |event: &Value| match event["delta"]["type"].as_str() {
        Some(delta) => format!("{}:{}", event["index"], delta),
        None => match event["index"].as_u64() {
            Some(index) => format!("{index}:{}", event["type"].as_str().unwrap()),
            None => event["type"].as_str().unwrap().to_owned(),
        },
    };
    events.iter().map(kind).collect()
}

fn start(index: usize, kind: BlockKind) -> Event {
    Event::BlockStart { index, kind }
}

fn delta(index: usize, delta: Delta) -> Event {
    Event::Delta { index, delta }
}

#[test]
fn a_stream_without_its_last_event_is_incomplete() {
    let text = FIXTURES[0].split("event: message_stop").next().unwrap();
    let (events, end) = read(&[text.as_bytes()]);
    assert_eq!(end, Err(WireError::Incomplete));
    assert!(!events.iter().any(|event| matches!(event, Event::Stop(_))));
    assert_eq!(read(&[]).1, Err(WireError::Incomplete));
}

#[test]
fn an_error_in_the_stream_is_a_fault_and_ends_it() {
    let (events, end) = read(&[FIXTURES[2].as_bytes(), b"data: {\"type\":\"message_stop\"}\n\n"]);
    assert_eq!(end, Ok(()));
    assert!(matches!(events.last(), Some(Event::Fault(fault)) if fault.kind == FaultKind::Overloaded), "{events:?}");
}

#[test]
fn an_error_before_any_content_comes_before_any_block() {
    let (events, _) =
        read(&[&sse(&[json!({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow"}})])]);
    assert!(matches!(events.as_slice(), [Event::Fault(fault)] if fault.kind == FaultKind::RateLimited), "{events:?}");
}

#[test]
fn usage_that_stands_in_both_places_counts_once() {
    let (events, _) = read(&[FIXTURES[0].as_bytes()]);
    let total = usage(&events);
    assert_eq!((total.input, total.cache_read, total.cache_write), (Some(3), Some(32_651), Some(17)));
    assert_eq!((total.cache_write_1h, total.output, total.reasoning), (Some(12), Some(90), Some(40)));
}

#[test]
fn the_metrics_of_bedrock_add_what_is_missing_and_take_nothing_away() {
    let body = |metrics: Value| {
        sse(&[
            json!({"type": "message_start", "message": {"usage": {"input_tokens": 3, "cache_read_input_tokens": 50}}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}),
            json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics}),
        ])
    };
    let all = json!({"inputTokenCount": 3, "outputTokenCount": 9, "cacheReadInputTokenCount": 50, "cacheWriteInputTokenCount": 7});
    let total = usage(&read(&[&body(all)]).0);
    assert_eq!((total.input, total.cache_read, total.cache_write, total.output), (Some(3), Some(50), Some(7), Some(9)));
    let less = json!({"inputTokenCount": 0, "outputTokenCount": 1, "cacheReadInputTokenCount": 0});
    let total = usage(&read(&[&body(less)]).0);
    assert_eq!((total.input, total.cache_read, total.cache_write, total.output), (Some(3), Some(50), None, Some(9)));
}

#[test]
fn arguments_that_come_whole_with_their_block_are_not_lost_and_not_doubled() {
    let call = |input: Value, deltas: &[&str]| {
        let mut events = vec![json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": input}})];
        events.extend(deltas.iter().map(|part| {
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": part}})
        }));
        events.push(json!({"type": "content_block_stop", "index": 0}));
        events.push(json!({"type": "message_stop"}));
        let (events, end) = read(&[&sse(&events)]);
        end.unwrap();
        let parts = events.iter().filter_map(|event| match event {
            Event::Delta { delta: Delta::ToolInput(part), .. } => Some(part.as_str()),
            _ => None,
        });
        parts.collect::<String>()
    };
    assert_eq!(call(json!({"a": 1}), &[]), r#"{"a":1}"#);
    assert_eq!(call(json!({"a": 1}), &["", r#"{"a":"#, "1}"]), r#"{"a":1}"#);
    assert_eq!(call(json!({}), &[]), "");
}

#[test]
fn every_stop_reason_is_read() {
    for (name, reason) in [
        ("end_turn", StopReason::EndTurn),
        ("max_tokens", StopReason::MaxTokens),
        ("stop_sequence", StopReason::StopSequence),
        ("tool_use", StopReason::ToolUse),
        ("pause_turn", StopReason::Pause),
        ("refusal", StopReason::Refusal),
        ("model_context_window_exceeded", StopReason::ContextWindow),
        ("something_new", StopReason::EndTurn),
    ] {
        let body = json!({"id": "msg_1", "content": [], "stop_reason": name, "usage": {}});
        let response = reader().response(body.to_string().as_bytes()).unwrap();
        assert_eq!(response.stop.reason, reason, "{name}");
    }
}

#[test]
fn an_error_object_with_status_200_is_not_an_answer() {
    for body in [r#"{"type":"error","error":{"type":"api_error","message":"No"}}"#, "{}", "[]", "<html>"] {
        assert!(matches!(reader().response(body.as_bytes()), Err(WireError::BadAnswer(_))), "{body}");
    }
}

#[test]
fn a_signature_in_parts_reaches_the_client_whole_before_its_block_stops() {
    let events = write(&[
        Event::Start { id: None, model: Some("m".into()) },
        start(0, BlockKind::Thinking),
        delta(0, Delta::Thinking("Hm".into())),
        delta(0, Delta::Signature("ab".into())),
        delta(0, Delta::Signature("cd".into())),
        Event::BlockStop { index: 0 },
        start(1, BlockKind::Text),
        delta(1, Delta::Text("Yes".into())),
        Event::BlockStop { index: 1 },
        Event::Stop(Stop::default()),
    ]);
    assert_eq!(
        types(&events),
        [
            "message_start",
            "0:content_block_start",
            "0:thinking_delta",
            "0:signature_delta",
            "0:content_block_stop",
            "1:content_block_start",
            "1:text_delta",
            "1:content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(events[3]["delta"]["signature"], "abcd");
    assert_eq!(events[0]["message"]["id"], "msg_r1");
}

#[test]
fn thinking_is_closed_before_text_opens_even_if_nobody_said_so() {
    let events = write(&[
        Event::Start { id: None, model: None },
        start(0, BlockKind::Thinking),
        delta(0, Delta::Thinking("Hm".into())),
        start(1, BlockKind::Text),
        Event::BlockStop { index: 0 },
        delta(1, Delta::Text("Yes".into())),
        Event::BlockStop { index: 1 },
    ]);
    let order = types(&events);
    let at = |name: &str| order.iter().position(|item| item == name).unwrap();
    assert!(at("0:content_block_stop") < at("1:content_block_start"), "{order:?}");
    assert_eq!(order.iter().filter(|item| *item == "0:content_block_stop").count(), 1);
    assert_eq!(order.iter().filter(|item| *item == "message_start").count(), 1);
}

#[test]
fn a_function_call_is_a_block_with_empty_input_and_then_its_arguments() {
    let events = write(&[
        start(0, BlockKind::ToolUse { id: "c1".into(), name: "f".into() }),
        delta(0, Delta::ToolInput(r#"{"a":"#.into())),
        delta(0, Delta::ToolInput("1}".into())),
        Event::BlockStop { index: 0 },
        Event::Stop(Stop { reason: StopReason::ToolUse, sequence: None }),
    ]);
    assert_eq!(events[1]["content_block"], json!({"type": "tool_use", "id": "c1", "name": "f", "input": {}}));
    assert_eq!(events[2]["delta"], json!({"type": "input_json_delta", "partial_json": r#"{"a":"#}));
    assert_eq!(events[5]["delta"], json!({"stop_reason": "tool_use", "stop_sequence": null}));
}

#[test]
fn late_arguments_of_a_parallel_call_go_under_its_own_index() {
    let call = |id: &str| BlockKind::ToolUse { id: id.to_owned(), name: "f".to_owned() };
    let events = write(&[
        start(0, call("a")),
        Event::BlockStop { index: 0 },
        start(1, call("b")),
        delta(0, Delta::ToolInput("{}".into())),
        delta(1, Delta::ToolInput("{}".into())),
        Event::BlockStop { index: 1 },
    ]);
    let deltas: Vec<u64> =
        events.iter().filter(|e| e["delta"]["partial_json"] == "{}").filter_map(|e| e["index"].as_u64()).collect();
    assert_eq!(deltas, [0, 1]);
}

#[test]
fn usage_that_comes_at_the_end_is_in_the_last_delta() {
    let used = Usage { input: Some(5), cache_read: Some(7), output: Some(2), reasoning: Some(1), ..Usage::default() };
    let events = write(&[
        Event::Start { id: Some("chatcmpl-1".into()), model: None },
        start(0, BlockKind::Text),
        Event::BlockStop { index: 0 },
        Event::Stop(Stop { reason: StopReason::StopSequence, sequence: Some("END".into()) }),
        Event::Usage(used),
    ]);
    assert_eq!(events[0]["message"]["usage"], json!({"input_tokens": 0, "output_tokens": 0}));
    let last = &events[events.len() - 2];
    assert_eq!(last["delta"], json!({"stop_reason": "stop_sequence", "stop_sequence": "END"}));
    let expected = json!({
        "input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 1}
    });
    assert_eq!(last["usage"], expected);
}

#[test]
fn an_answer_without_content_is_still_a_whole_stream() {
    assert_eq!(types(&write(&[])), ["message_start", "message_delta", "message_stop"]);
}

#[test]
fn a_refusal_and_a_filtered_answer_end_with_refusal() {
    for reason in [StopReason::Refusal, StopReason::ContentFilter] {
        let events = write(&[Event::Stop(Stop { reason, sequence: None })]);
        assert_eq!(events[1]["delta"]["stop_reason"], "refusal");
    }
}

/// Recorded streams, besides our own: absent outside the place where this was built.
fn recorded() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/wire-samples/anthropic");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).ok();
    let found: Vec<String> =
        ["stream_basic.json", "stream_thinking.json"].iter().filter_map(|name| read(name)).collect();
    if found.is_empty() {
        println!("no recorded streams in {folder}: skipped");
    }
    found
}

#[test]
fn recorded_streams_and_answers_are_read_to_their_end() {
    for text in recorded() {
        let (events, end) = read(&[text.as_bytes()]);
        assert_eq!(end, Ok(()));
        assert!(matches!(events.first(), Some(Event::Start { id: Some(_), .. })), "{events:?}");
        assert!(matches!(events.last(), Some(Event::Stop(_))), "{events:?}");
        assert!(usage(&events).output > Some(0));
        let back = read(&[&write(&events)
            .iter()
            .flat_map(|event| format!("data: {event}\n\n").into_bytes())
            .collect::<Vec<u8>>()]);
        assert_eq!(back.1, Ok(()));
        assert_eq!(joined(&back.0), joined(&events), "written and read again, it says the same");
    }
}

/// Recorded whole answers.
#[test]
fn recorded_answers_are_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/wire-samples/anthropic");
    for (name, blocks, stop) in [
        ("basic.json", 1, StopReason::EndTurn),
        ("thinking.json", 2, StopReason::EndTurn),
        ("tool.json", 2, StopReason::ToolUse),
    ] {
        let Ok(body) = std::fs::read(format!("{folder}/{name}")) else {
            println!("skipped: no sample {folder}/{name}");
            continue;
        };
        let response = reader().response(&body).unwrap();
        assert_eq!((response.blocks.len(), response.stop.reason), (blocks, stop), "{name}: {response:?}");
        assert!(response.usage.input > Some(0) && response.usage.output > Some(0), "{name}: {:?}", response.usage);
    }
}

/// A recorded stream of InvokeModel, in Amazon's frames. The model was Nova, whose events the gateway asks for by Converse; the frames are the same.
#[test]
fn recorded_frames_of_invoke_model_are_unpacked_however_they_are_split() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/wire-samples/bedrock/bedrock-invoke.bin");
    let Ok(recorded) = std::fs::read(path) else {
        println!("skipped: no sample {path}");
        return;
    };
    let unpacked = |pieces: &[&[u8]]| {
        let (mut frames, mut sse) = (tollgate_wire::invoke::InvokeFrames::new(), Vec::new());
        pieces.iter().for_each(|piece| frames.push(piece, &mut sse).unwrap());
        String::from_utf8(sse).unwrap()
    };
    let sse = unpacked(&[&recorded]);
    assert_eq!(unpacked(&recorded.chunks(7).collect::<Vec<_>>()), sse);
    let events: Vec<Value> = sse
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(events.len(), 9, "{sse}");
    assert_eq!(events[0]["messageStart"]["role"], "assistant");
    assert_eq!(events[8]["amazon-bedrock-invocationMetrics"]["inputTokenCount"], 47);
}

/// Events with neighbouring deltas joined and usage left out.
fn joined(events: &[Event]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut last: Option<(usize, &'static str)> = None;
    for event in events {
        let (key, text) = match event {
            Event::Usage(_) => continue,
            Event::Delta { index, delta } => match delta {
                Delta::Text(text) => (Some((*index, "text")), text.clone()),
                Delta::Thinking(text) => (Some((*index, "thinking")), text.clone()),
                Delta::Signature(text) => (Some((*index, "signature")), text.clone()),
                Delta::ToolInput(text) => (Some((*index, "input")), text.clone()),
                other => (None, format!("{other:?}")),
            },
            other => (None, format!("{other:?}")),
        };
        match out.last_mut().filter(|_| key.is_some() && key == last) {
            Some(line) => line.push_str(&text),
            None => out.push(text),
        }
        last = key;
    }
    out
}

fn any_event() -> impl Strategy<Value = String> {
    let index = 0u64..4;
    let kind =
        prop_oneof![Just("text"), Just("thinking"), Just("tool_use"), Just("new_kind"), Just("redacted_thinking")];
    let delta = prop_oneof![
        Just("text_delta"),
        Just("thinking_delta"),
        Just("signature_delta"),
        Just("input_json_delta"),
        Just("x")
    ];
    prop_oneof![
        Just(json!({"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 1}}}).to_string()),
        (index.clone(), kind).prop_map(|(index, kind)| json!({"type": "content_block_start", "index": index,
            "content_block": {"type": kind, "id": "i", "name": "n", "data": "d", "text": "", "input": {"a": 1}}})
        .to_string()),
        (index.clone(), delta).prop_map(|(index, delta)| json!({"type": "content_block_delta", "index": index,
            "delta": {"type": delta, "text": "t", "thinking": "h", "signature": "s", "partial_json": "{"}})
        .to_string()),
        index.prop_map(|index| json!({"type": "content_block_stop", "index": index}).to_string()),
        Just(
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}})
                .to_string()
        ),
        Just(json!({"type": "message_stop"}).to_string()),
        Just(json!({"type": "ping"}).to_string()),
        Just("nonsense".to_owned()),
    ]
}

/// What a reader promises to every writer.
fn keeps_the_contract(events: &[Event]) {
    let mut started = 0;
    let mut open: Vec<usize> = Vec::new();
    let mut next = 0;
    for event in events {
        match event {
            Event::Start { .. } => started += 1,
            Event::BlockStart { index, .. } => {
                assert_eq!(*index, next, "indexes count up without gaps");
                next += 1;
                open.push(*index);
            }
            Event::Delta { index, .. } => assert!(*index < next),
            Event::BlockStop { index } => {
                let at = open.iter().position(|open| open == index).expect("a block stops once, after its start");
                open.remove(at);
            }
            Event::Stop(_) => assert!(open.is_empty(), "every block stops before the end"),
            Event::Usage(_) | Event::Fault(_) => {}
        }
    }
    assert!(started <= 1);
}

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same_events(cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        for text in FIXTURES.iter().map(|text| (*text).to_owned()).chain(recorded()) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut from = 0;
            let pieces: Vec<&[u8]> = cuts.iter().map(|cut| { let piece = &bytes[from..*cut]; from = *cut; piece }).collect();
            prop_assert_eq!(read(&pieces), read(&[bytes]));
        }
    }

    #[test]
    fn no_order_of_events_breaks_the_readers_promises(events in proptest::collection::vec(any_event(), 0..25)) {
        let bytes: Vec<u8> = events.iter().flat_map(|event| format!("data: {event}\n\n").into_bytes()).collect();
        let (events, _) = read(&[&bytes]);
        keeps_the_contract(&events);
        let clean: Vec<Event> = events.into_iter().filter(|event| !matches!(event, ir::Event::Fault(_))).collect();
        write(&clean);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&[&bytes]);
        let _ = reader().response(&bytes);
    }
}
