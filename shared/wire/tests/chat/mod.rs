//! Fixtures are in `requests`, `responses` and `streams`; a snapshot shows the input beside what came of it.

mod any_input;
mod errors;
mod requests_in;
mod requests_out;
mod responses;
mod streams_in;
mod streams_out;

use std::path::Path;

use tollgate_wire::codec::{Carrier, Dialect, Encoded, Seed, Target, encode_request};
use tollgate_wire::error::WireError;
use tollgate_wire::ir::{Block, Event, Message, Request, Response, Role};

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chat").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn target(model: &str) -> Target<'_> {
    Target { dialect: Dialect::Chat, carrier: Carrier::Direct, model }
}

fn seed() -> Seed {
    Seed { created_unix_s: 1_700_000_000, request_id: "req-1".to_owned() }
}

fn text(text: &str) -> Block {
    Block::Text(text.to_owned())
}

fn message(role: Role, blocks: Vec<Block>) -> Message {
    Message { role, blocks }
}

fn ask() -> Request {
    Request { messages: vec![message(Role::User, vec![text("Hi")])], ..Request::default() }
}

fn encode(request: &Request, model: &str) -> Encoded {
    encode_request(request, &target(model)).unwrap()
}

fn body(encoded: &Encoded) -> serde_json::Value {
    serde_json::from_slice(&encoded.body).unwrap()
}

fn dropped(encoded: &Encoded) -> Vec<&str> {
    encoded.dropped.iter().map(|dropped| dropped.path.as_str()).collect()
}

/// All events of a stream that arrives in these pieces.
fn read(pieces: &[&[u8]]) -> Result<Vec<Event>, WireError> {
    let mut reader = encode(&ask(), "gpt-4.1").reader;
    let mut events = Vec::new();
    for piece in pieces {
        reader.chunk(piece, &mut events)?;
    }
    reader.finish(&mut events)?;
    Ok(events)
}

fn read_whole(body: &str) -> Result<Response, WireError> {
    encode(&ask(), "gpt-4.1").reader.response(body.as_bytes())
}

fn lines(events: &[Event]) -> String {
    events.iter().map(|event| format!("{event:?}\n")).collect()
}
