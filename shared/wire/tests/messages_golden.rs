//! Golden tests: each snapshot shows what came in beside what it became. `INSTA_UPDATE=always cargo test` writes them anew; read the difference.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;
use tollgate_wire::codec::{self, Carrier, Dialect, Seed, Target};
use tollgate_wire::ir;

fn pretty(json: &[u8]) -> String {
    let value: Value = serde_json::from_slice(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

fn seed() -> Seed {
    Seed { created_unix_s: 1_700_000_000, request_id: "req-7".to_owned() }
}

fn list(dropped: &[ir::Dropped]) -> String {
    dropped.iter().fold(String::new(), |mut out, item| {
        writeln!(out, "{}: {}", item.path, item.reason).unwrap();
        out
    })
}

/// The client's body, what it means, and what it becomes for two upstreams of the same dialect.
fn request(body: &str) -> String {
    let request = codec::decode_request(Dialect::Messages, body.as_bytes()).unwrap();
    let mut out = format!("# client\n{}\n\n# meaning\n{request:#?}\n", pretty(body.as_bytes()));
    for (carrier, model) in [(Carrier::Direct, "claude-sonnet-4-5"), (Carrier::Bedrock, "us.anthropic.claude-opus-5-5")]
    {
        let target = Target { dialect: Dialect::Messages, carrier, model };
        match codec::encode_request(&request, &target) {
            Ok(encoded) => {
                let (body, dropped) = (pretty(&encoded.body), list(&encoded.dropped));
                write!(out, "\n# {carrier:?}, {model}\n{body}\n\n## dropped\n{dropped}").unwrap();
            }
            Err(error) => writeln!(out, "\n# {carrier:?}, {model}\nerror: {error}").unwrap(),
        }
    }
    out
}

fn reader() -> Box<dyn codec::ResponseReader> {
    let body = include_str!("messages/requests/smallest.json");
    let request = codec::decode_request(Dialect::Messages, body.as_bytes()).unwrap();
    let target = Target { dialect: Dialect::Messages, carrier: Carrier::Direct, model: "claude-haiku-4-5" };
    codec::encode_request(&request, &target).unwrap().reader
}

fn answer(body: &str) -> String {
    let response = reader().response(body.as_bytes()).unwrap();
    let written = codec::encode_response(Dialect::Messages, &response, &seed(), &Default::default());
    format!("# upstream\n{body}\n# meaning\n{response:#?}\n\n# client\n{}\n", pretty(&written))
}

fn stream(body: &str) -> String {
    let mut events = Vec::new();
    let mut reader = reader();
    reader.chunk(body.as_bytes(), &mut events).unwrap();
    reader.finish(&mut events).unwrap();
    let mut written = Vec::new();
    let mut writer = codec::stream_writer(Dialect::Messages, &seed(), true, &Arc::default());
    let mut shown = String::new();
    for event in &events {
        writeln!(shown, "{event:?}").unwrap();
        match event {
            ir::Event::Fault(fault) => writer.fault(fault, "req-7", &mut written),
            event => writer.event(event, &mut written),
        }
    }
    if !matches!(events.last(), Some(ir::Event::Fault(_))) {
        writer.finish(&mut written);
    }
    let written = String::from_utf8(written).unwrap();
    format!("# upstream\n{body}# meaning\n{shown}\n# client\n{written}")
}

macro_rules! golden {
    ($($name:ident: $show:ident($path:literal);)*) => {
        $(#[test]
        fn $name() {
            insta::with_settings!({snapshot_path => "messages/snapshots", prepend_module_to_snapshot => false}, {
                insta::assert_snapshot!(stringify!($name), $show(include_str!($path)));
            });
        })*
    };
}

golden! {
    a_request_of_an_agent: request("messages/requests/agent.json");
    a_request_with_documents: request("messages/requests/documents.json");
    the_smallest_request: request("messages/requests/smallest.json");
    an_answer_with_thinking_and_tools: answer("messages/answers/thinking_and_tools.json");
    a_refusal: answer("messages/answers/refusal.json");
    a_stream_with_thinking_and_tools: stream("messages/streams/thinking_and_tools.sse");
    a_stream_with_the_metrics_of_bedrock: stream("messages/streams/bedrock_metrics.sse");
    a_stream_with_an_error: stream("messages/streams/overloaded.sse");
}
