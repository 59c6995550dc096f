//! Upstreams' streams to events.

use proptest::prelude::*;
use tollgate_wire::error::WireError;
use tollgate_wire::ir::{BlockKind, Delta, Event, FaultKind, Stop, StopReason};

use super::{fixture, lines, read};

const STREAMS: [&str; 7] = [
    "parallel_tools",
    "reasoning_without_done",
    "calls_without_ids",
    "same_index",
    "signed_thinking",
    "error_inside",
    "refusal",
];

fn stream(name: &str) -> String {
    fixture(&format!("streams/{name}.sse"))
}

fn chunks(chunks: &[&str]) -> Result<Vec<Event>, WireError> {
    let text: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    read(&[text.as_bytes()])
}

fn stop(events: &[Event]) -> Stop {
    let Some(Event::Stop(stop)) = events.last() else { panic!("{events:?}") };
    stop.clone()
}

/// The agreement of [`Event`].
fn assert_well_formed(events: &[Event]) {
    let mut open = Vec::new();
    let mut next = 0;
    assert!(matches!(events.first(), Some(Event::Start { .. } | Event::Fault(_))), "{events:?}");
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Start { .. } => assert_eq!(at, 0),
            Event::BlockStart { index, .. } => {
                assert_eq!(*index, next);
                next += 1;
                open.push(*index);
            }
            Event::Delta { index, .. } => assert!(*index < next),
            Event::BlockStop { index } => {
                assert!(open.contains(index));
                open.retain(|other| other != index);
            }
            Event::Usage(_) => {}
            Event::Stop(_) => assert!(open.is_empty() && at + 1 == events.len()),
            Event::Fault(_) => assert_eq!(at + 1, events.len()),
        }
    }
}

#[test]
fn streams_become_events() {
    for name in STREAMS {
        let input = stream(name);
        let events = read(&[input.as_bytes()]).unwrap();
        assert_well_formed(&events);
        insta::assert_snapshot!(format!("stream_in_{name}"), format!("{input}\n=>\n\n{}", lines(&events)));
    }
}

#[test]
fn a_chunk_with_text_and_a_call_gives_both() {
    let events = read(&[stream("parallel_tools").as_bytes()]).unwrap();
    assert!(events.contains(&Event::Delta { index: 0, delta: Delta::Text("Both".to_owned()) }));
    let kind = BlockKind::ToolUse { id: "call_a".to_owned(), name: "get_weather".to_owned() };
    assert!(events.contains(&Event::BlockStart { index: 1, kind }));
}

#[test]
fn interleaved_parallel_calls_keep_their_indexes() {
    let events = read(&[stream("parallel_tools").as_bytes()]).unwrap();
    let arguments = |block: usize| -> String {
        let pieces = events.iter().filter_map(|event| match event {
            Event::Delta { index, delta: Delta::ToolInput(text) } if *index == block => Some(text.as_str()),
            _ => None,
        });
        pieces.collect()
    };
    assert_eq!(arguments(1), r#"{"city":"Bern"}"#);
    assert_eq!(arguments(2), "{}");
}

#[test]
fn reasoning_has_its_own_block_which_is_closed_before_the_text() {
    let events = read(&[stream("reasoning_without_done").as_bytes()]).unwrap();
    let starts = events.iter().filter(|event| matches!(event, Event::Start { .. })).count();
    assert_eq!(starts, 1);
    let place = |wanted: Event| events.iter().position(|event| *event == wanted).unwrap();
    assert!(place(Event::BlockStop { index: 0 }) < place(Event::BlockStart { index: 1, kind: BlockKind::Text }));
}

#[test]
fn a_stream_cut_off_is_incomplete() {
    let whole = stream("parallel_tools");
    let cut = whole.find("finish_reason\":\"tool_calls").unwrap();
    assert_eq!(read(&[&whole.as_bytes()[..cut]]), Err(WireError::Incomplete));
    assert_eq!(read(&[]), Err(WireError::Incomplete));
    assert_eq!(read(&[b"data: [DONE]\n\n"]), Err(WireError::Incomplete));
}

#[test]
fn done_completes_a_stream_without_a_finish_reason() {
    let events = chunks(&[r#"{"choices":[{"delta":{"content":"a"}}]}"#, "[DONE]"]).unwrap();
    assert_eq!(stop(&events).reason, StopReason::EndTurn);
}

#[test]
fn usage_comes_before_the_stop_and_once() {
    let events = read(&[stream("parallel_tools").as_bytes()]).unwrap();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Usage(_))).count(), 1);
    assert!(matches!(events.last(), Some(Event::Stop(_))));
    let usage = events.iter().find_map(|event| if let Event::Usage(usage) = event { Some(usage) } else { None });
    let usage = usage.unwrap();
    assert_eq!((usage.input, usage.cache_read), (Some(15), Some(5)));
}

#[test]
fn an_error_inside_a_stream_is_a_fault_and_nothing_follows() {
    let events = read(&[stream("error_inside").as_bytes()]).unwrap();
    let Some(Event::Fault(fault)) = events.last() else { panic!("{events:?}") };
    assert_eq!(fault.kind, FaultKind::Overloaded);
    assert_eq!(fault.message, "The server is overloaded, key [redacted]");
}

#[test]
fn every_form_of_an_error_inside_a_stream_is_a_fault() {
    for (text, kind) in [
        ("data: {\"error\":\"overloaded\"}\n\n", FaultKind::Api),
        ("data: {\"error\":{\"message\":\"slow\",\"code\":429}}\n\n", FaultKind::RateLimited),
        ("data: {\"object\":\"error\",\"message\":\"x\",\"code\":400}\n\n", FaultKind::InvalidRequest),
        ("event: error\ndata: {\"message\":\"x\",\"type\":\"rate_limit_error\"}\n\n", FaultKind::RateLimited),
    ] {
        let events = read(&[text.as_bytes()]).unwrap();
        assert!(matches!(&events[..], [Event::Fault(fault)] if fault.kind == kind), "{text}: {events:?}");
    }
}

#[test]
fn a_call_without_a_name_is_a_bad_answer() {
    let call =
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":"stop"}]}"#;
    assert!(matches!(chunks(&[call, "[DONE]"]), Err(WireError::BadAnswer(_))));
}

#[test]
fn arguments_before_the_name_are_not_lost() {
    let first = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"arguments":"{\"a\":"}}]}}]}"#;
    let second = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"1}"}}]}}]}"#;
    let events = chunks(&[first, second, "[DONE]"]).unwrap();
    assert!(events.contains(&Event::Delta { index: 0, delta: Delta::ToolInput("{\"a\":1}".to_owned()) }), "{events:?}");
    assert_eq!(stop(&events).reason, StopReason::ToolUse);
}

#[test]
fn a_chunk_that_is_no_json_is_a_bad_answer() {
    assert!(matches!(chunks(&["<html>"]), Err(WireError::BadAnswer(_))));
}

#[test]
fn recorded_streams_are_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/wire-samples/openai");
    let Ok(recorded) = std::fs::read_to_string(format!("{folder}/stream.json")) else {
        println!("skipped: no recorded samples at {folder}");
        return;
    };
    let events = read(&[recorded.as_bytes()]).unwrap();
    assert_well_formed(&events);
    assert_eq!(stop(&events).reason, StopReason::EndTurn);
    let usage = events.iter().rev().find_map(|event| if let Event::Usage(usage) = event { Some(usage) } else { None });
    let usage = usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.reasoning), (Some(18), Some(286), Some(192)));
    let bytes: Vec<&[u8]> = recorded.as_bytes().chunks(7).collect();
    assert_eq!(read(&bytes).unwrap(), events);
    for name in ["basic", "audio", "tool_call"] {
        let body = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
        let response = super::read_whole(&body).unwrap();
        assert!(!response.blocks.is_empty() && response.usage.is_reported(), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_gives_the_same_events(
        name in proptest::sample::select(STREAMS.to_vec()),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
    ) {
        let text = stream(name);
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            pieces.push(&bytes[start..cut]);
            start = cut;
        }
        prop_assert_eq!(read(&pieces), read(&[bytes]));
    }
}
