//! Operations that are no conversation: every client shape to every upstream's, and back.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "unary/count.rs"]
mod count;
#[path = "unary/embed.rs"]
mod embed;
#[path = "unary/rerank.rs"]
mod rerank;
#[path = "unary/samples.rs"]
mod samples;

use std::fmt::Write as _;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use tollgate_wire::codec::{Carrier, Dialect, Seed, Target};
use tollgate_wire::error::WireError;
use tollgate_wire::unary::{Finished, Plan, Service, Unary, Way};

fn seed() -> Seed {
    Seed { created_unix_s: 1_700_000_000, request_id: "req-7".to_owned() }
}

fn service(way: Way, model: &str) -> Service<'_> {
    let (dialect, carrier) = match way {
        Way::BedrockEmbeddings | Way::BedrockRerank => (Dialect::Converse, Carrier::Bedrock),
        Way::CohereRerank => (Dialect::Rerank, Carrier::Direct),
        _ => (Dialect::Chat, Carrier::Direct),
    };
    Service { target: Target { dialect, carrier, model }, way }
}

fn start(unary: &Unary, way: Way, model: &str) -> Result<Plan, WireError> {
    unary.start(&service(way, model), &seed(), false)
}

/// The answer that comes of these parts, each with its headers.
fn answer(plan: Plan, parts: &[(&str, &[(&'static str, &str)])]) -> Result<Finished, WireError> {
    assert_eq!(plan.calls.len(), parts.len());
    let mut reader = plan.reader;
    // The last one first: they come in any order.
    for (index, (body, pairs)) in parts.iter().enumerate().rev() {
        let mut headers = HeaderMap::new();
        for (name, value) in *pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        reader.part(index, &headers, Bytes::copy_from_slice(body.as_bytes()))?;
    }
    reader.finish()
}

/// The bodies of the calls, and what they lack.
fn shown(plan: &Plan) -> String {
    let mut out = String::new();
    for body in &plan.calls {
        let value: Value = serde_json::from_slice(body).unwrap();
        writeln!(out, "{}", serde_json::to_string(&value).unwrap()).unwrap();
    }
    for dropped in &plan.dropped {
        writeln!(out, "dropped {}: {}", dropped.path, dropped.reason).unwrap();
    }
    out
}

fn golden(name: &str, text: &str) {
    insta::with_settings!({snapshot_path => "unary/snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}
