//! Answers that a Responses upstream gave, as others recorded them: read where their folder is, beside the project.

use std::path::{Path, PathBuf};

use tollgate_wire::codec::{self, Dialect, ResponseReader};
use tollgate_wire::ir::{Block, Delta, Event, StopReason};

use super::pairs::{RESPONSES, inbound, seed};

/// A recorded file; nothing, said so, where the folder is not there.
fn sample(name: &str) -> Option<String> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/wire-samples/openai-responses");
    let text = std::fs::read_to_string(folder.join(name)).ok();
    if text.is_none() {
        println!("skipped: no sample {name} in {}", folder.display());
    }
    text
}

fn reader() -> Box<dyn ResponseReader> {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":{"name":"get_weather"}}]}"#;
    let request = codec::decode_request(Dialect::Chat, body.as_bytes()).unwrap();
    codec::encode_request(&request, &RESPONSES).unwrap().reader
}

#[test]
fn recorded_answers_are_read() {
    let rows = [
        ("basic.json", &["text"][..], StopReason::EndTurn),
        ("reasoning.json", &["thinking", "text"], StopReason::EndTurn),
        ("tool.json", &["text", "tool"], StopReason::ToolUse),
    ];
    for (name, expected, stop) in rows {
        let Some(body) = sample(name) else { continue };
        let response = reader().response(body.as_bytes()).unwrap();
        let kinds: Vec<&str> = response.blocks.iter().map(kind).collect();
        assert_eq!((kinds.as_slice(), response.stop.reason), (expected, stop), "{name}");
        assert!(response.usage.input > Some(0) && response.usage.output > Some(0), "{name}: {:?}", response.usage);
        // Each client can be told; what it is told is the same text.
        for client in [Dialect::Chat, Dialect::Messages, Dialect::GenerateContent] {
            let echo = inbound(client, &request(client)).start(&RESPONSES, &seed(), false).unwrap();
            let told = { echo.relay }.response(body.clone().into()).unwrap();
            let told = String::from_utf8(told.to_vec()).unwrap();
            for text in response.blocks.iter().filter_map(text) {
                let quoted = serde_json::to_string(text).unwrap();
                assert!(told.contains(quoted.trim_matches('"')), "{name} for {client:?}: {told}");
            }
        }
    }
}

fn request(client: Dialect) -> String {
    match client {
        Dialect::GenerateContent => r#"{"contents":[{"parts":[{"text":"Hi"}]}]}"#.to_owned(),
        _ => r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#.to_owned(),
    }
}

fn kind(block: &Block) -> &'static str {
    match block {
        Block::Text(_) => "text",
        Block::Thinking { .. } | Block::RedactedThinking(_) => "thinking",
        Block::ToolUse { .. } => "tool",
        _ => "other",
    }
}

fn text(block: &Block) -> Option<&str> {
    match block {
        Block::Text(text) => Some(text),
        _ => None,
    }
}

/// Recorded of a server that gives its items no ids.
#[test]
fn a_recorded_stream_is_read_however_it_is_split() {
    let Some(recorded) = sample("stream.json") else { return };
    let read = |pieces: &[&[u8]]| {
        let (mut reader, mut events) = (reader(), Vec::new());
        for piece in pieces {
            reader.chunk(piece, &mut events).unwrap();
        }
        reader.finish(&mut events).unwrap();
        events
    };
    let events = read(&[recorded.as_bytes()]);
    let said: String = events.iter().filter_map(|event| delta(event, false)).collect();
    let arguments: String = events.iter().filter_map(|event| delta(event, true)).collect();
    assert!(!said.is_empty());
    assert!(serde_json::from_str::<serde_json::Value>(&arguments).unwrap().is_object(), "{arguments}");
    assert!(matches!(events.last(), Some(Event::Stop(stop)) if stop.reason == StopReason::ToolUse), "{events:?}");
    let usage =
        events.iter().find_map(|event| if let Event::Usage(usage) = event { Some(usage) } else { None }).unwrap();
    assert_eq!((usage.input, usage.output), (Some(12), Some(8)));
    let bytes: Vec<&[u8]> = recorded.as_bytes().chunks(5).collect();
    assert_eq!(read(&bytes), events);
}

fn delta(event: &Event, arguments: bool) -> Option<&str> {
    match event {
        Event::Delta { delta: Delta::ToolInput(text), .. } if arguments => Some(text),
        Event::Delta { delta: Delta::Text(text), .. } if !arguments => Some(text),
        _ => None,
    }
}
