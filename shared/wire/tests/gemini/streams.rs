//! Streams from Gemini and to its clients.

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_wire::codec::{Carrier, Dialect, Target, stream_writer};
use tollgate_wire::error::WireError;
use tollgate_wire::exchange::Inbound;
use tollgate_wire::ir::{BlockKind, Delta, Event, Fault, FaultKind, Stop, StopReason, Usage};

use super::{events, fixture, seed, target};

fn read(name: &str) -> Vec<Event> {
    events(&[fixture(name).as_bytes()]).unwrap()
}

fn stop(events: &[Event]) -> StopReason {
    events.iter().find_map(|event| if let Event::Stop(stop) = event { Some(stop.reason) } else { None }).unwrap()
}

#[test]
fn the_array_means_what_the_events_mean() {
    let array = fixture("streams/array.json");
    let elements: Vec<Value> = serde_json::from_str(&array).unwrap();
    let sse: String = elements.iter().map(|element| format!("data: {element}\r\n\r\n")).collect();
    let of_array = events(&[array.as_bytes()]).unwrap();
    assert_eq!(of_array, events(&[sse.as_bytes()]).unwrap());
    assert_eq!(stop(&of_array), StopReason::MaxTokens);
    for cut in 0..array.len() {
        assert_eq!(events(&[&array.as_bytes()[..cut], &array.as_bytes()[cut..]]).unwrap(), of_array, "cut at {cut}");
    }
}

#[test]
fn calls_get_ids_that_differ_and_stay() {
    let ids = |events: &[Event]| -> Vec<String> {
        let id = |event: &Event| match event {
            Event::BlockStart { kind: BlockKind::ToolUse { id, .. }, .. } => Some(id.clone()),
            _ => None,
        };
        events.iter().filter_map(id).collect()
    };
    let first = ids(&read("streams/thinking_and_tools.sse"));
    assert_eq!(first.len(), 2);
    assert!(first[0] != first[1] && first.iter().all(|id| id.len() <= 40), "{first:?}");
    assert_eq!(ids(&read("streams/thinking_and_tools.sse")), first);
    let other = fixture("streams/thinking_and_tools.sse").replace("Paris", "Lyon");
    assert_ne!(ids(&events(&[other.as_bytes()]).unwrap()), first, "another answer has other ids");
}

#[test]
fn each_signature_is_kept_by_itself() {
    let events = read("streams/signatures.sse");
    let signatures: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Delta { delta: Delta::Signature(signature), .. } => Some(signature.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(signatures, ["gemini-text:c2lnLWE=", "gemini-text:c2lnLWI="]);
}

#[test]
fn a_blocked_prompt_is_an_answer_that_was_filtered() {
    let events = read("streams/blocked.sse");
    assert_eq!(stop(&events), StopReason::ContentFilter);
    assert!(events.contains(&Event::Usage(Usage { input: Some(7), output: Some(0), ..Usage::default() })));
}

#[test]
fn an_error_inside_is_a_fault_and_an_early_end_is_one_too() {
    let events_of = read("streams/error_inside.sse");
    assert!(matches!(events_of.last(), Some(Event::Fault(fault)) if fault.message.contains("overloaded")));
    let text = fixture("streams/signatures.sse");
    let cut = text.rfind("data: ").unwrap();
    assert_eq!(events(&[&text.as_bytes()[..cut]]), Err(WireError::Incomplete));
    assert_eq!(events(&[b""]), Err(WireError::Incomplete));
}

#[test]
fn counts_behind_the_reason_are_waited_for() {
    let late = b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}]}\n\ndata: {\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":1,\"totalTokenCount\":4}}\n\n";
    let events = events(&[late]).unwrap();
    assert!(
        matches!(events.as_slice(), [.., Event::Usage(usage), Event::BlockStop { .. }, Event::Stop(_)] if usage.output == Some(1)),
        "{events:?}"
    );
}

#[test]
fn a_clients_calls_are_whole_though_their_upstream_interleaves_them() {
    let mut writer = stream_writer(Dialect::GenerateContent, &seed(), true, &Default::default());
    let mut out = Vec::new();
    let start =
        |index, id: &str| Event::BlockStart { index, kind: BlockKind::ToolUse { id: id.into(), name: "f".into() } };
    let more = |index, text: &str| Event::Delta { index, delta: Delta::ToolInput(text.into()) };
    for event in [
        Event::Start { id: Some("up".into()), model: Some("m".into()) },
        start(0, "a"),
        more(0, "{\"x\""),
        Event::BlockStop { index: 0 },
        start(1, "b"),
        more(0, ":1}"),
        Event::BlockStop { index: 1 },
        Event::Stop(Stop { reason: StopReason::ToolUse, sequence: None }),
    ] {
        writer.event(&event, &mut out);
    }
    writer.finish(&mut out);
    let text = String::from_utf8(out).unwrap();
    let data: Value = serde_json::from_str(text.trim().strip_prefix("data: ").unwrap()).unwrap();
    let parts = &data["candidates"][0]["content"]["parts"];
    assert_eq!(parts[0]["functionCall"]["args"], serde_json::json!({"x": 1}));
    assert_eq!(parts[1]["functionCall"]["args"], serde_json::json!({}));
    assert_eq!(
        (data["candidates"][0]["finishReason"].as_str(), data["responseId"].as_str()),
        (Some("STOP"), Some("up"))
    );
}

/// The AI SDK leaves out an empty part of thinking, and the signature in it.
#[test]
fn a_signature_comes_with_the_last_piece_of_its_thinking() {
    let mut writer = stream_writer(Dialect::GenerateContent, &seed(), true, &Default::default());
    let mut out = Vec::new();
    let say = |delta| Event::Delta { index: 0, delta };
    for event in [
        Event::BlockStart { index: 0, kind: BlockKind::Thinking },
        say(Delta::Thinking("Two ".into())),
        say(Delta::Thinking("words.".into())),
        say(Delta::Signature("si".into())),
        say(Delta::Signature("gn".into())),
        Event::BlockStop { index: 0 },
    ] {
        writer.event(&event, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    let parts: Vec<Value> = text
        .split_terminator("\n\n")
        .map(|event| serde_json::from_str::<Value>(event.trim().strip_prefix("data: ").unwrap()).unwrap())
        .map(|chunk| chunk["candidates"][0]["content"]["parts"].clone())
        .collect();
    let signed = serde_json::json!([{"text": "words.", "thought": true, "thoughtSignature": "dG9sbGdhdGU6c2lnbg=="}]);
    assert_eq!(parts, [serde_json::json!([{"text": "Two ", "thought": true}]), signed]);
}

#[test]
fn thinking_that_is_cut_off_is_written_to_its_last_piece() {
    let fault = Fault::new(FaultKind::Overloaded, "busy");
    let start = Event::BlockStart { index: 0, kind: BlockKind::Thinking };
    let piece = Event::Delta { index: 0, delta: Delta::Thinking("Why".into()) };
    for ended in [true, false] {
        let mut writer = stream_writer(Dialect::GenerateContent, &seed(), true, &Default::default());
        let mut out = Vec::new();
        writer.event(&start, &mut out);
        writer.event(&piece, &mut out);
        if ended {
            writer.finish(&mut out)
        } else {
            writer.fault(&fault, "req_1", &mut out)
        }
        let text = String::from_utf8(out).unwrap();
        assert!(text.split("\n\n").next().unwrap().contains("Why"), "{text}");
    }
}

/// <https://ai.google.dev/api/generate-content#citationmetadata>
#[test]
fn a_page_that_the_model_repeats_from_is_told_once() {
    let target = target("gemini-3-flash-preview");
    let body = br#"{"model":"g","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    let inbound = Inbound::decode(Dialect::Chat, Bytes::from_static(body), Vec::new()).unwrap();
    let mut relay = inbound.start(&target, &seed(), false).unwrap().relay;
    let cited = r#""citationMetadata":{"citations":[{"endIndex":7,"uri":"https://e.org/z","license":"mit"}]}"#;
    let chunks = [
        format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"Zürich"}}]}},{cited}}}]}}"#),
        format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":" is fine."}}]}},"finishReason":"STOP",{cited}}}],"usageMetadata":{{}}}}"#
        ),
    ];
    let stream: String = chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect();
    let mut out = Vec::new();
    relay.chunk(stream.as_bytes(), &mut out).unwrap();
    relay.finish(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches(r#""annotations":[{"type":"url_citation""#).count(), 1, "{text}");
    assert!(text.contains(r#""start_index":0,"end_index":6,"url":"https://e.org/z""#), "{text}");
}

#[test]
fn the_mean_of_log_probabilities_is_told_whole_and_streamed() {
    let target = Target { dialect: Dialect::Chat, carrier: Carrier::Direct, model: "gpt-4.1" };
    let token = |text: &str, logprob: f64| json!({"token": text, "logprob": logprob, "bytes": [], "top_logprobs": []});
    let start = |stream: bool| {
        let body = json!({"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": {"responseLogprobs": true}});
        let inbound = Inbound::by_path(Bytes::from(body.to_string()), "m".to_owned(), stream).unwrap();
        inbound.start(&target, &seed(), false).unwrap().relay
    };
    let tokens = [token("A", -0.25), token("B", -0.75)];
    let message = json!({"role": "assistant", "content": "AB"});
    let whole =
        json!({"id": "c", "choices": [{"message": message, "logprobs": {"content": tokens}, "finish_reason": "stop"}]});
    let answer = start(false).response(Bytes::from(whole.to_string())).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["candidates"][0]["avgLogprobs"], -0.5);
    let chunk = |text: &str, token: &Value| json!({"id": "c", "choices": [{"delta": {"content": text}, "logprobs": {"content": [token]}}]});
    let end = json!({"id": "c", "choices": [{"delta": {}, "finish_reason": "stop"}]});
    let stream = format!(
        "data: {}\n\ndata: {}\n\ndata: {end}\n\ndata: [DONE]\n\n",
        chunk("A", &tokens[0]),
        chunk("B", &tokens[1])
    );
    let (mut relay, mut out) = (start(true), Vec::new());
    relay.chunk(stream.as_bytes(), &mut out).unwrap();
    relay.finish(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches(r#""avgLogprobs":-0.5"#).count(), 1, "{text}");
}
