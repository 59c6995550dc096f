//! Decode, encode to the same dialect, decode again: the meaning stays, up to what the encoder reports.

use std::sync::Arc;

use tollgate_wire::codec::{Dialect, Target, decode_request, encode_request};
use tollgate_wire::ir::{Block, Request};

use super::pairs::{CHAT, GEMINI, MESSAGES, RESPONSES, fixture};

/// What a second decode may see differently: the model, what was reported already, blank text, neighbouring texts as one, cache marks (OpenAI
/// caches without them; Anthropic's own are compared by the body), and a default that the client spelled out.
fn meaning(request: Request) -> Request {
    let mut request = Request { model: String::new(), unmapped: Vec::new(), echo: Arc::default(), ..request };
    request.parallel_tool_calls = request.parallel_tool_calls.filter(|parallel| !parallel);
    request.system = joined(request.system);
    for message in &mut request.messages {
        message.blocks = joined(std::mem::take(&mut message.blocks));
    }
    for tool in &mut request.tools {
        tool.cache = None;
        tool.strict = tool.strict.filter(|strict| *strict);
    }
    request
}

fn joined(blocks: Vec<Block>) -> Vec<Block> {
    blocks.into_iter().fold(Vec::new(), |mut joined, block| {
        match (joined.last_mut(), block) {
            (_, Block::CacheMark(_)) => {}
            (_, Block::Text(text)) if text.trim().is_empty() => {}
            (Some(Block::Text(before)), Block::Text(text)) => *before = format!("{before}\n\n{text}"),
            (_, block) => joined.push(block),
        }
        joined
    })
}

fn round_trip(dialect: Dialect, target: Target<'_>, path: &str) {
    let first = decode_request(dialect, fixture(path).as_bytes()).unwrap();
    let encoded = encode_request(&first, &target).unwrap();
    let second = decode_request(dialect, &encoded.body).unwrap();
    let again = encode_request(&second, &target).unwrap();
    assert_eq!(String::from_utf8_lossy(&encoded.body), String::from_utf8_lossy(&again.body), "{path}: not stable");
    let unreported = encoded.dropped.iter().filter(|dropped| !first.unmapped.contains(dropped)).count();
    if unreported == 0 {
        assert_eq!(meaning(first), meaning(second), "{path}");
    }
}

#[test]
fn a_chat_request_keeps_its_meaning() {
    for path in [
        "pairs/requests/chat_text.json",
        "pairs/requests/chat_structured.json",
        "chat/requests/tool_history.json",
        "converse/client_chat.json",
    ] {
        round_trip(Dialect::Chat, CHAT, path);
    }
}

// Not agent.json: its tool's name is one that the API refuses, and its text stands before the results.
#[test]
fn a_messages_request_keeps_its_meaning() {
    for path in [
        "pairs/requests/messages_parallel_tools.json",
        "pairs/requests/messages_remote_image.json",
        "messages/requests/smallest.json",
        "messages/requests/documents.json",
        "converse/client_messages.json",
    ] {
        round_trip(Dialect::Messages, MESSAGES, path);
    }
}

// Not responses_agent.json: its tools of other kinds are functions the second time.
#[test]
fn a_responses_request_keeps_its_meaning() {
    for path in ["pairs/requests/responses_text.json", "pairs/requests/responses_media.json"] {
        round_trip(Dialect::Responses, RESPONSES, path);
    }
}

// Not the others: a document in Gemini's dialect has no name, and a file may lose its type.
#[test]
fn a_gemini_request_keeps_its_meaning() {
    for path in ["gemini/requests/agent.json", "gemini/requests/foreign_history.json"] {
        round_trip(Dialect::GenerateContent, GEMINI, path);
    }
}
