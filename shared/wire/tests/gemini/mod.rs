//! Fixtures are in `requests` and `streams`; how each pair of dialects is translated is in `pairs`.

mod any_input;
mod errors;
mod requests_in;
mod requests_out;
mod samples;
mod signatures;
mod streams;

use std::path::Path;

use bytes::Bytes;
use serde_json::Value;
use tollgate_wire::codec::{self, Carrier, Dialect, Encoded, Seed, Target};
use tollgate_wire::exchange::Inbound;
use tollgate_wire::ir::{Block, Event, Message, Request, Role};

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gemini").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn target(model: &str) -> Target<'_> {
    Target { dialect: Dialect::GenerateContent, carrier: Carrier::Direct, model }
}

fn seed() -> Seed {
    Seed { created_unix_s: 1_700_000_000, request_id: "req-1".to_owned() }
}

fn user(blocks: Vec<Block>) -> Message {
    Message { role: Role::User, blocks }
}

fn model(blocks: Vec<Block>) -> Message {
    Message { role: Role::Assistant, blocks }
}

fn text(text: &str) -> Block {
    Block::Text(text.to_owned())
}

/// A user who says hello.
fn hello() -> Request {
    Request { model: "m".to_owned(), messages: vec![user(vec![text("Hi")])], ..Request::default() }
}

fn encode(request: &Request, model: &str) -> (Value, Encoded) {
    let encoded = codec::encode_request(request, &target(model)).unwrap();
    (serde_json::from_slice(&encoded.body).unwrap(), encoded)
}

fn reports(encoded: &Encoded) -> Vec<&str> {
    encoded.dropped.iter().map(|dropped| dropped.path.as_str()).collect()
}

/// A client's request of Gemini's dialect, as another dialect's upstream gets it.
fn inbound(body: &str) -> Inbound {
    Inbound::by_path(Bytes::copy_from_slice(body.as_bytes()), "client-model".to_owned(), true).unwrap()
}

/// The events of an upstream's stream.
fn events(pieces: &[&[u8]]) -> Result<Vec<Event>, tollgate_wire::error::WireError> {
    let mut reader = encode(&hello(), "gemini-2.5-flash").1.reader;
    let mut out = Vec::new();
    for piece in pieces {
        reader.chunk(piece, &mut out)?;
    }
    reader.finish(&mut out)?;
    Ok(out)
}
