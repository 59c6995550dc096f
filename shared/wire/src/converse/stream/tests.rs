//! Frames in, events out.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::ir::{FaultKind, StopReason, Usage};

fn frame_with(headers: &[(&'static str, &str)], payload: &str) -> Vec<u8> {
    let mut message = Message::new(Bytes::copy_from_slice(payload.as_bytes()));
    for (name, value) in headers {
        message = message.add_header(Header::new(*name, HeaderValue::String(value.to_string().into())));
    }
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

fn event(kind: &str, payload: Value) -> Vec<u8> {
    frame_with(&[(":message-type", "event"), (":event-type", kind)], &payload.to_string())
}

fn exception(kind: &str, payload: Value) -> Vec<u8> {
    frame_with(&[(":message-type", "exception"), (":exception-type", kind)], &payload.to_string())
}

fn delta(index: u64, delta: Value) -> Vec<u8> {
    event("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": delta, "p": "abc" }))
}

fn tool(index: u64, id: &str, name: &str) -> Vec<u8> {
    let start = json!({ "toolUse": { "toolUseId": id, "name": name } });
    event("contentBlockStart", json!({ "contentBlockIndex": index, "start": start }))
}

fn stop(index: u64) -> Vec<u8> {
    event("contentBlockStop", json!({ "contentBlockIndex": index }))
}

fn start() -> Vec<u8> {
    event("messageStart", json!({ "role": "assistant" }))
}

fn end(reason: &str) -> Vec<u8> {
    event("messageStop", json!({ "stopReason": reason }))
}

fn metadata() -> Vec<u8> {
    event(
        "metadata",
        json!({ "usage": { "inputTokens": 3, "outputTokens": 5, "totalTokens": 8 }, "metrics": { "latencyMs": 1 } }),
    )
}

type Outcome = (Vec<Event>, Result<(), WireError>);

fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut reader = Reader::new(ToolNames::new(64), vec!["END".to_owned()]);
    let mut out = Vec::new();
    for piece in pieces {
        if let Err(error) = reader.chunk(piece, &mut out) {
            return (out, Err(error));
        }
    }
    let result = reader.finish(&mut out);
    (out, result)
}

fn read_all(frames: &[Vec<u8>]) -> Outcome {
    read_pieces([frames.concat().as_slice()])
}

fn events(frames: &[Vec<u8>]) -> Vec<Event> {
    let (events, result) = read_all(frames);
    result.unwrap();
    well_formed(&events);
    events
}

/// What [`Event`] promises.
fn well_formed(events: &[Event]) {
    let mut open = None;
    let mut next = 0;
    assert!(matches!(events.first(), None | Some(Event::Start { .. } | Event::Fault(_))), "{events:?}");
    for (position, event) in events.iter().enumerate() {
        match event {
            Event::Start { .. } => assert_eq!(position, 0),
            Event::BlockStart { index, .. } => {
                assert_eq!((*index, open), (next, None), "{events:?}");
                open = Some(*index);
                next += 1;
            }
            Event::Delta { index, delta } => {
                assert!(open == Some(*index) || matches!(delta, Delta::ToolInput(_)) && *index < next, "{events:?}");
            }
            Event::BlockStop { index } => assert_eq!(open.take(), Some(*index), "{events:?}"),
            Event::Stop(_) => assert_eq!((open, position), (None, events.len() - 1), "{events:?}"),
            Event::Fault(_) => assert_eq!(position, events.len() - 1),
            Event::Usage(_) => {}
        }
    }
}

fn texts(events: &[Event]) -> String {
    let text = |event: &Event| match event {
        Event::Delta { delta: Delta::Text(text), .. } => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

fn ended(reason: StopReason) -> Event {
    Event::Stop(Stop { reason, sequence: None })
}

fn block(index: usize, kind: BlockKind, deltas: Vec<Delta>) -> Vec<Event> {
    let mut events = vec![Event::BlockStart { index, kind }];
    events.extend(deltas.into_iter().map(|delta| Event::Delta { index, delta }));
    events.push(Event::BlockStop { index });
    events
}

fn answer(blocks: Vec<Vec<Event>>, reason: StopReason) -> Vec<Event> {
    let usage = Event::Usage(Usage { input: Some(3), output: Some(5), ..Usage::default() });
    let start = Event::Start { id: None, model: None };
    [vec![start], blocks.concat(), vec![usage, ended(reason)]].concat()
}

#[test]
fn text_opens_its_block_and_the_first_part_is_kept() {
    let frames = [
        start(),
        delta(0, json!({ "text": "" })),
        delta(0, json!({ "text": "Hel" })),
        delta(0, json!({ "text": "lo" })),
        stop(0),
        end("end_turn"),
        metadata(),
    ];
    let text = block(0, BlockKind::Text, vec![Delta::Text("Hel".to_owned()), Delta::Text("lo".to_owned())]);
    assert_eq!(events(&frames), answer(vec![text], StopReason::EndTurn));
}

#[test]
fn reasoning_is_closed_before_the_text_even_without_a_block_stop() {
    let frames = [
        start(),
        delta(0, json!({ "reasoningContent": { "text": "Hm" } })),
        delta(0, json!({ "reasoningContent": { "signature": "sig" } })),
        delta(1, json!({ "text": "4" })),
        end("end_turn"),
        metadata(),
    ];
    let thinking =
        block(0, BlockKind::Thinking, vec![Delta::Thinking("Hm".to_owned()), Delta::Signature("sig".to_owned())]);
    let text = block(1, BlockKind::Text, vec![Delta::Text("4".to_owned())]);
    assert_eq!(events(&frames), answer(vec![thinking, text], StopReason::EndTurn));
}

#[test]
fn a_signature_without_text_is_a_thinking_block() {
    let frames =
        [delta(0, json!({ "reasoningContent": { "text": "", "signature": "sig" } })), end("end_turn"), metadata()];
    let thinking = block(0, BlockKind::Thinking, vec![Delta::Signature("sig".to_owned())]);
    assert_eq!(events(&frames), answer(vec![thinking], StopReason::EndTurn));
}

#[test]
fn redacted_reasoning_is_one_block_however_many_pieces_it_has() {
    let frames = [
        delta(0, json!({ "reasoningContent": { "redactedContent": "AAE=" } })),
        delta(0, json!({ "reasoningContent": { "redactedContent": "Ag==" } })),
        stop(0),
        delta(1, json!({ "text": "x" })),
        end("end_turn"),
        metadata(),
    ];
    let redacted = block(0, BlockKind::RedactedThinking("AAEC".to_owned()), vec![]);
    let text = block(1, BlockKind::Text, vec![Delta::Text("x".to_owned())]);
    assert_eq!(events(&frames), answer(vec![redacted, text], StopReason::EndTurn));
}

#[test]
fn parallel_tools_have_indexes_of_their_own_without_gaps() {
    let input = |text: &str| Delta::ToolInput(text.to_owned());
    let kind = |id: &str, name: &str| BlockKind::ToolUse { id: id.to_owned(), name: name.to_owned() };
    let frames = [
        start(),
        tool(3, "a", "f"),
        delta(3, json!({ "toolUse": { "input": "" } })),
        delta(3, json!({ "toolUse": { "input": "{\"x\":" } })),
        tool(7, "b", "g"),
        delta(3, json!({ "toolUse": { "input": "1}" } })),
        stop(3),
        stop(7),
        end("tool_use"),
        metadata(),
    ];
    let first = block(0, kind("a", "f"), vec![input("{\"x\":")]);
    let mut second = block(1, kind("b", "g"), vec![]);
    second.insert(1, Event::Delta { index: 0, delta: input("1}") });
    assert_eq!(events(&frames), answer(vec![first, second], StopReason::ToolUse));
}

#[test]
fn a_tool_without_input_has_no_delta() {
    let frames = [tool(0, "", "now"), stop(0), end("tool_use"), metadata()];
    let kind = BlockKind::ToolUse { id: "tooluse_0".to_owned(), name: "now".to_owned() };
    assert_eq!(events(&frames), answer(vec![block(0, kind, vec![])], StopReason::ToolUse));
}

#[test]
fn a_tools_input_without_the_tool_is_a_bad_answer() {
    let (_, result) = read_all(&[delta(0, json!({ "toolUse": { "input": "{}" } }))]);
    assert!(matches!(result, Err(WireError::BadAnswer(_))));
}

#[test]
fn a_tool_that_the_provider_runs_is_not_shown_to_the_client() {
    let call = json!({ "toolUse": { "toolUseId": "a", "name": "web", "type": "server_tool_use" } });
    let frames = [
        event("contentBlockStart", json!({ "contentBlockIndex": 0, "start": call })),
        delta(0, json!({ "toolUse": { "input": "{}" } })),
        stop(0),
        event("contentBlockStart", json!({ "contentBlockIndex": 1, "start": { "toolResult": { "toolUseId": "a" } } })),
        delta(1, json!({ "toolResult": [{ "text": "found" }] })),
        stop(1),
        delta(2, json!({ "text": "x" })),
        end("end_turn"),
        metadata(),
    ];
    let text = block(0, BlockKind::Text, vec![Delta::Text("x".to_owned())]);
    assert_eq!(events(&frames), answer(vec![text], StopReason::EndTurn));
}

#[test]
fn what_a_new_model_sends_beside_is_skipped() {
    let frames = [
        start(),
        event("somethingNew", json!("not even an object")),
        delta(0, json!({ "newDelta": { "a": 1 } })),
        delta(0, json!({ "citation": { "title": "t" } })),
        delta(0, json!({ "text": "x", "newMember": 1 })),
        frame_with(&[(":message-type", "ping")], ""),
        end("end_turn"),
        metadata(),
    ];
    assert_eq!(texts(&events(&frames)), "x");
}

#[test]
fn usage_goes_before_the_stop_that_came_before_it() {
    let (all, _) = read_all(&[start(), end("max_tokens"), metadata()]);
    assert!(matches!(&all[..], [Event::Start { .. }, Event::Usage(_), Event::Stop(_)]), "{all:?}");
    let (all, _) = read_all(&[start(), metadata(), end("max_tokens")]);
    assert!(matches!(&all[..], [Event::Start { .. }, Event::Usage(_), Event::Stop(_)]), "{all:?}");
}

#[test]
fn a_stream_without_metadata_is_complete_after_its_message_stop() {
    let all = events(&[start(), delta(0, json!({ "text": "x" })), end("end_turn")]);
    assert_eq!(all.last(), Some(&ended(StopReason::EndTurn)));
}

#[test]
fn a_stream_without_its_message_stop_is_incomplete() {
    for frames in
        [vec![], vec![start()], vec![start(), delta(0, json!({ "text": "x" })), stop(0)], vec![start(), metadata()]]
    {
        let (events, result) = read_all(&frames);
        assert_eq!(result, Err(WireError::Incomplete));
        assert!(!events.iter().any(|event| matches!(event, Event::Stop(_))));
    }
}

#[test]
fn a_stream_cut_inside_a_frame_is_incomplete() {
    let bytes = [start(), delta(0, json!({ "text": "x" })), end("end_turn")].concat();
    assert_eq!(read_pieces([&bytes[..bytes.len() - 1]]).1, Err(WireError::Incomplete));
    let with_metadata = [bytes.clone(), metadata()].concat();
    assert_eq!(read_pieces([&with_metadata[..bytes.len() + 5]]).1, Err(WireError::Incomplete));
}

#[test]
fn the_stop_sequence_that_was_met_is_kept() {
    let fields = json!({ "stopReason": "stop_sequence", "additionalModelResponseFields": { "stop_sequence": "X" } });
    for (payload, sequence) in [(fields, "X"), (json!({ "stopReason": "stop_sequence" }), "END")] {
        let all = events(&[event("messageStop", payload), metadata()]);
        let stop = Stop { reason: StopReason::StopSequence, sequence: Some(sequence.to_owned()) };
        assert_eq!(all.last(), Some(&Event::Stop(stop)));
    }
}

#[test]
fn an_exception_is_a_fault_of_its_kind_and_nothing_follows() {
    let rows = [
        ("throttlingException", "Too many tokens, please wait before trying again.", FaultKind::RateLimited),
        ("modelStreamErrorException", "broken", FaultKind::Api),
        ("serviceUnavailableException", "busy", FaultKind::Overloaded),
        ("internalServerException", "oops", FaultKind::Api),
        ("validationException", "Input is too long for requested model.", FaultKind::ContextLength),
        ("validationException", "Malformed input request", FaultKind::InvalidRequest),
        ("newException", "?", FaultKind::Api),
    ];
    for (name, message, kind) in rows {
        let frames =
            [start(), exception(name, json!({ "message": message })), delta(0, json!({ "text": "x" })), metadata()];
        let all = events(&frames);
        let [Event::Start { .. }, Event::Fault(fault)] = &all[..] else { panic!("{all:?}") };
        assert_eq!((fault.kind, fault.message.as_str(), fault.status), (kind, message, None), "{name}");
    }
}

#[test]
fn an_exception_before_any_content_is_the_first_event() {
    let all = events(&[exception("throttlingException", json!({ "message": "slow" }))]);
    assert!(matches!(&all[..], [Event::Fault(fault)] if fault.kind == FaultKind::RateLimited));
}

#[test]
fn an_error_frame_says_in_its_headers_what_happened() {
    let headers = [
        (":message-type", "error"),
        (":error-code", "InternalFailure"),
        (":error-message", "key AKIAIOSFODNN7EXAMPLE"),
    ];
    let all = events(&[frame_with(&headers, "")]);
    assert!(
        matches!(&all[..], [Event::Fault(fault)] if fault.kind == FaultKind::Api && fault.message == "key [redacted]")
    );
}

#[test]
fn frames_without_a_message_type_are_events() {
    let frame = frame_with(&[(":event-type", "contentBlockDelta")], r#"{"contentBlockIndex":0,"delta":{"text":"x"}}"#);
    assert_eq!(texts(&events(&[frame, end("end_turn"), metadata()])), "x");
}

#[test]
fn a_frame_with_a_wrong_checksum_is_a_bad_answer() {
    for position in [5, 9, 40] {
        let mut frame = delta(0, json!({ "text": "x" }));
        frame[position] ^= 1;
        let (events, result) = read_pieces([frame.as_slice()]);
        assert!(matches!(result, Err(WireError::BadAnswer(_))) && events.is_empty(), "{position}");
    }
}

#[test]
fn a_hostile_length_is_refused_before_anything_is_gathered() {
    for length in [0_u32, 15, 25 * 1024 * 1024, u32::MAX] {
        let mut reader = Reader::new(ToolNames::new(64), vec![]);
        let result = reader.chunk(&length.to_be_bytes(), &mut Vec::new());
        assert!(matches!(result, Err(WireError::BadAnswer(_))), "{length}");
        assert!(reader.frames.capacity() < 1024);
    }
}

#[test]
fn events_that_are_not_what_they_should_be_are_a_bad_answer() {
    let frame = frame_with(&[(":event-type", "contentBlockDelta")], "secret");
    let (_, result) = read_pieces([frame.as_slice()]);
    assert!(matches!(result, Err(WireError::BadAnswer(text)) if !text.contains("secret")));
}

/// Frames of all kinds, sensible and not.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let index = 0_u64..3;
    prop_oneof![
        Just(start()),
        Just(end("end_turn")),
        Just(metadata()),
        Just(exception("throttlingException", json!({ "message": "slow" }))),
        Just(event("unknown", json!({}))),
        index.clone().prop_map(stop),
        index.clone().prop_map(|index| tool(index, "a", "f")),
        index.clone().prop_map(|index| delta(index, json!({ "text": "x" }))),
        index.clone().prop_map(|index| delta(index, json!({ "toolUse": { "input": "{}" } }))),
        index.clone().prop_map(|index| delta(index, json!({ "reasoningContent": { "text": "t", "signature": "s" } }))),
        index.prop_map(|index| delta(index, json!({ "reasoningContent": { "redactedContent": "AAE=" } }))),
    ]
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect()
}

proptest! {
    #[test]
    fn any_order_of_frames_gives_well_formed_events_and_any_split_the_same(
        frames in prop::collection::vec(any_frame(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes = frames.concat();
        let whole = read_pieces([bytes.as_slice()]);
        well_formed(&whole.0);
        prop_assert_eq!(read_pieces(pieces(&bytes, &cuts)), whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), declared in any::<bool>()) {
        let mut bytes = bytes;
        if declared && bytes.len() >= 16 {
            // A right length and a right checksum of the prelude, so that the headers are looked at, too.
            let length = u32::try_from(bytes.len()).unwrap();
            bytes[..4].copy_from_slice(&length.to_be_bytes());
            let headers = u32::from(bytes[7]) % length;
            bytes[4..8].copy_from_slice(&headers.to_be_bytes());
            let checksum = crc32(&bytes[..8]);
            bytes[8..12].copy_from_slice(&checksum.to_be_bytes());
        }
        let (events, _) = read_pieces([bytes.as_slice()]);
        well_formed(&events);
    }

    #[test]
    fn arbitrary_json_in_a_frame_never_panics(kind in "(contentBlockStart|contentBlockDelta|messageStop|metadata)", payload in "[\\[\\]{}\":,a-z0-9]{0,40}") {
        let (events, _) = read_all(&[frame_with(&[(":event-type", &kind)], &payload)]);
        well_formed(&events);
    }
}

/// CRC-32 (ISO-HDLC), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
