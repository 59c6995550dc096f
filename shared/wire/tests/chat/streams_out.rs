//! Events to clients' streams.

use std::sync::Arc;

use serde_json::{Value, json};
use tollgate_wire::codec::{Dialect, stream_writer};
use tollgate_wire::ir::{BlockKind, Delta, Event, Fault, FaultKind, Stop, StopReason, Usage};

use super::{lines, read, seed};

fn write(events: &[Event], include_usage: bool) -> String {
    let mut writer = stream_writer(Dialect::Chat, &seed(), include_usage, &Arc::default());
    let mut out = Vec::new();
    for event in events {
        writer.event(event, &mut out);
    }
    writer.finish(&mut out);
    String::from_utf8(out).unwrap()
}

fn chunks(stream: &str) -> Vec<Value> {
    let data = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn start() -> Event {
    Event::Start { id: Some("msg_1".to_owned()), model: Some("claude".to_owned()) }
}

fn begin(index: usize, kind: BlockKind) -> Event {
    Event::BlockStart { index, kind }
}

fn delta(index: usize, delta: Delta) -> Event {
    Event::Delta { index, delta }
}

fn text(text: &str) -> Delta {
    Delta::Text(text.to_owned())
}

fn input(text: &str) -> Delta {
    Delta::ToolInput(text.to_owned())
}

fn tool(id: &str) -> BlockKind {
    BlockKind::ToolUse { id: id.to_owned(), name: "look".to_owned() }
}

fn end(reason: StopReason) -> Event {
    Event::Stop(Stop { reason, sequence: None })
}

/// What Claude streams with thinking and two calls.
fn claude() -> Vec<Event> {
    let usage = Usage { input: Some(3), cache_read: Some(7), output: Some(1), ..Usage::default() };
    vec![
        start(),
        Event::Usage(usage),
        begin(0, BlockKind::Thinking),
        delta(0, Delta::Thinking("Two ".to_owned())),
        delta(0, Delta::Thinking("calls.".to_owned())),
        delta(0, Delta::Signature("si".to_owned())),
        delta(0, Delta::Signature("g".to_owned())),
        Event::BlockStop { index: 0 },
        begin(1, BlockKind::RedactedThinking("enc".to_owned())),
        Event::BlockStop { index: 1 },
        begin(2, BlockKind::Text),
        delta(2, text("I look.")),
        Event::BlockStop { index: 2 },
        begin(3, tool("toolu_1")),
        delta(3, input("{\"a\":")),
        delta(3, input("1}")),
        Event::BlockStop { index: 3 },
        begin(4, tool("toolu_2")),
        Event::BlockStop { index: 4 },
        end(StopReason::ToolUse),
        Event::Usage(Usage { output: Some(20), ..Usage::default() }),
    ]
}

#[test]
fn a_stream_of_claudes_becomes_chunks() {
    let events = claude();
    let written = write(&events, true);
    insta::assert_snapshot!("stream_out_claude", format!("{}\n=>\n\n{written}", lines(&events)));
}

#[test]
fn what_is_written_reads_as_it_was() {
    let events = read(&[write(&claude(), true).as_bytes()]).unwrap();
    let joined = |events: &[Event]| -> (String, String, String, Vec<BlockKind>) {
        let mut all = (String::new(), String::new(), String::new(), Vec::new());
        for event in events {
            match event {
                Event::Delta { delta: Delta::Text(text), .. } => all.0.push_str(text),
                Event::Delta { delta: Delta::Thinking(text), .. } => all.1.push_str(text),
                Event::Delta { delta: Delta::Signature(text), .. } => all.2.push_str(text),
                Event::BlockStart { kind, .. } => all.3.push(kind.clone()),
                _ => {}
            }
        }
        all
    };
    assert_eq!(joined(&events), joined(&claude()));
}

#[test]
fn the_role_comes_first_and_the_first_text_is_not_lost() {
    let events = [start(), begin(0, BlockKind::Text), delta(0, text("Hel")), delta(0, text("lo"))];
    let chunks = chunks(&write(&events, false));
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(chunks[1]["choices"][0]["delta"], json!({"content": "Hel"}));
    assert_eq!(chunks[2]["choices"][0]["delta"], json!({"content": "lo"}));
}

#[test]
fn every_chunk_says_whose_it_is() {
    for chunk in chunks(&write(&claude(), true)) {
        assert_eq!(chunk["id"], "chatcmpl-msg_1");
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["created"], 1_700_000_000);
        assert_eq!(chunk["model"], "claude");
    }
}

#[test]
fn usage_is_in_the_last_chunk_where_it_was_asked_for() {
    let written = write(&claude(), true);
    assert!(written.ends_with("data: [DONE]\n\n"));
    let chunks = chunks(&written);
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["prompt_tokens"], 10);
    assert_eq!(last["usage"]["completion_tokens"], 20);
    assert!(others.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
}

#[test]
fn usage_is_nowhere_where_it_was_not_asked_for() {
    let written = write(&claude(), false);
    assert!(written.ends_with("data: [DONE]\n\n"));
    assert!(!written.contains("usage"));
}

#[test]
fn parallel_calls_count_from_zero_whatever_their_blocks() {
    let events = [
        start(),
        begin(0, BlockKind::Text),
        Event::BlockStop { index: 0 },
        begin(1, tool("a")),
        begin(2, tool("b")),
        delta(1, input("{\"x\":1}")),
        delta(2, input("{\"y\":2}")),
        end(StopReason::ToolUse),
    ];
    let chunks = chunks(&write(&events, false));
    let calls: Vec<&Value> = chunks.iter().filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0")).collect();
    let indexes: Vec<u64> = calls.iter().filter_map(|call| call["index"].as_u64()).collect();
    assert_eq!(indexes, [0, 1, 0, 1]);
    assert_eq!(calls[2]["function"], json!({"arguments": "{\"x\":1}"}));
}

#[test]
fn a_call_without_arguments_ends_with_an_empty_object() {
    let events = [start(), begin(0, tool("a")), Event::BlockStop { index: 0 }, end(StopReason::ToolUse)];
    let chunks = chunks(&write(&events, false));
    assert_eq!(chunks[2]["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"], "{}");
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn a_stop_sequence_is_kept() {
    let stop = Stop { reason: StopReason::StopSequence, sequence: Some("END".to_owned()) };
    let chunks = chunks(&write(&[start(), Event::Stop(stop)], false));
    assert_eq!(chunks[1]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[1]["choices"][0]["stop_reason"], "END");
}

#[test]
fn a_refusal_is_a_refusal() {
    let events = [start(), begin(0, BlockKind::Refusal), delta(0, text("No.")), end(StopReason::Refusal)];
    let chunks = chunks(&write(&events, false));
    assert_eq!(chunks[1]["choices"][0]["delta"], json!({"refusal": "No."}));
    assert_eq!(chunks[2]["choices"][0]["finish_reason"], "content_filter");
}

#[test]
fn a_fault_is_an_error_object_on_which_the_sdks_raise() {
    let mut writer = stream_writer(Dialect::Chat, &seed(), true, &Arc::default());
    let mut out = Vec::new();
    writer.event(&start(), &mut out);
    out.clear();
    writer.fault(&Fault::new(FaultKind::Overloaded, "busy"), "req-1", &mut out);
    let expected = "data: {\"error\":{\"message\":\"busy\",\"type\":\"service_unavailable_error\",\"param\":null,\
                    \"code\":\"server_is_overloaded\"}}\n\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_stream_without_a_start_still_begins_with_the_role() {
    let chunks = chunks(&write(&[begin(0, BlockKind::Text), delta(0, text("a"))], false));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chunks[0]["id"], "chatcmpl-req-1");
}
