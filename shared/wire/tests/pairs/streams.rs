//! One streamed answer of each upstream dialect, as each client gets it. (Equal dialects pass: see `identity`.)

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_wire::codec::{Dialect, Target};
use tollgate_wire::exchange::{Relay, State};

use super::pairs::{CHAT, CONVERSE, GEMINI, MESSAGES, RESPONSES, fixture, golden, inbound, seed};

const STREAMS: [(&str, Target<'static>, &str); 18] = [
    ("chat_text", CHAT, "pairs/streams/chat_text.sse"),
    ("chat_thinking", CHAT, "chat/streams/signed_thinking.sse"),
    ("chat_parallel_tools", CHAT, "chat/streams/parallel_tools.sse"),
    ("responses_text", RESPONSES, "pairs/streams/responses_text.sse"),
    ("responses_thinking_and_parallel_tools", RESPONSES, "pairs/streams/responses_thinking_and_parallel_tools.sse"),
    ("responses_cut", RESPONSES, "pairs/streams/responses_cut.sse"),
    ("responses_failed", RESPONSES, "pairs/streams/responses_failed.sse"),
    ("messages_text", MESSAGES, "pairs/streams/messages_text.sse"),
    ("messages_thinking_and_parallel_tools", MESSAGES, "messages/streams/thinking_and_tools.sse"),
    ("messages_by_bedrock", MESSAGES, "messages/streams/bedrock_metrics.sse"),
    ("converse_text", CONVERSE, "pairs/streams/converse_text.json"),
    ("converse_thinking_and_parallel_tools", CONVERSE, "converse/stream_tools.json"),
    ("converse_throttled", CONVERSE, "converse/stream_throttled.json"),
    ("gemini_thinking_and_tools", GEMINI, "gemini/streams/thinking_and_tools.sse"),
    ("gemini_signatures", GEMINI, "gemini/streams/signatures.sse"),
    ("gemini_array", GEMINI, "gemini/streams/array.json"),
    ("gemini_blocked", GEMINI, "gemini/streams/blocked.sse"),
    ("gemini_error_inside", GEMINI, "gemini/streams/error_inside.sse"),
];

const CLIENTS: [Dialect; 4] = [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::GenerateContent];

/// The upstream's bytes: text, or frames of the pairs of a type and its payload.
fn bytes_of(target: &Target<'_>, path: &str) -> Vec<u8> {
    if target.dialect != Dialect::Converse {
        return fixture(path).into_bytes();
    }
    let frames: Vec<(String, Value)> = serde_json::from_str(&fixture(path)).unwrap();
    let mut bytes = Vec::new();
    for (kind, payload) in frames {
        let (message_type, name) =
            if kind.ends_with("Exception") { ("exception", ":exception-type") } else { ("event", ":event-type") };
        let header = |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
        let frame = Message::new(Bytes::from(payload.to_string()))
            .add_header(header(name, &kind))
            .add_header(header(":message-type", message_type));
        write_message_to(&frame, &mut bytes).unwrap();
    }
    bytes
}

/// A client that offers the tools which the streams call; usage is asked for.
fn relay(client: Dialect, target: &Target<'_>) -> Relay {
    let tools: Vec<Value> = ["get_weather", "now", "soil_read"]
        .iter()
        .map(|name| match client {
            Dialect::Messages => json!({"name": name, "input_schema": {"type": "object", "properties": {}}}),
            Dialect::Responses => json!({"type": "function", "name": name}),
            Dialect::GenerateContent => json!({"functionDeclarations": [{"name": name}]}),
            _ => json!({"type": "function", "function": {"name": name}}),
        })
        .collect();
    let mut body = json!({
        "model": "client-model", "max_tokens": 99, "stream": true, "tools": tools, "messages": [{"role": "user", "content": "Hi"}],
    });
    if client == Dialect::Chat {
        body["stream_options"] = json!({"include_usage": true});
    }
    if client == Dialect::Responses {
        body = json!({"model": "client-model", "stream": true, "input": "Hi", "reasoning": {"summary": "auto"}, "tools": tools});
    }
    if client == Dialect::GenerateContent {
        body = json!({"contents": [{"parts": [{"text": "Hi"}]}], "tools": tools});
    }
    inbound(client, &body.to_string()).start(target, &seed(), false).unwrap().relay
}

/// What the client gets, and the books.
fn written<'a>(mut relay: Relay, pieces: impl IntoIterator<Item = &'a [u8]>) -> (String, State) {
    let mut out = Vec::new();
    let outcome = pieces.into_iter().try_for_each(|piece| relay.chunk(piece, &mut out));
    if let Err(fault) = outcome.and_then(|()| relay.finish(&mut out)) {
        relay.fail(&fault, "req-7", &mut out);
    }
    (String::from_utf8(out).unwrap(), relay.state().clone())
}

#[test]
fn streams_for_each_client() {
    for (name, target, path) in STREAMS {
        for client in CLIENTS.into_iter().filter(|client| *client != target.dialect) {
            let bytes = bytes_of(&target, path);
            let (text, state) = written(relay(client, &target), [bytes.as_slice()]);
            let to = format!("{client:?}").to_lowercase();
            golden(
                "pairs/snapshots/streams",
                &format!("{name}_to_{to}"),
                &format!(
                    "{path} for a {client:?} client\n\n{text}\n{:?}, model {:?}, done {}",
                    state.usage, state.model, state.done
                ),
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_split_of_any_stream_gives_any_client_the_same_bytes(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        for (name, target, path) in STREAMS {
            for client in CLIENTS {
                let bytes = bytes_of(&target, path);
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
                cuts.extend([0, bytes.len()]);
                cuts.sort_unstable();
                let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
                let whole = written(relay(client, &target), [bytes.as_slice()]);
                prop_assert_eq!(written(relay(client, &target), pieces), whole, "{} to {:?}", name, client);
            }
        }
    }
}

#[test]
fn a_stream_that_ends_early_ends_with_an_error_for_any_client() {
    for (name, target, path) in STREAMS {
        for client in CLIENTS {
            let bytes = bytes_of(&target, path);
            let (text, state) = written(relay(client, &target), [&bytes[..bytes.len() * 2 / 5]]);
            let last = text.split_terminator("\n\n").last().unwrap_or_default();
            assert!(last.contains("\"error\""), "{name} to {client:?}: {text}");
            assert!(!state.done, "{name}: {text}");
            let ends = ["[DONE]", "message_stop", "response.completed"];
            assert!(!ends.iter().any(|end| text.contains(end)), "{name}: {text}");
        }
    }
}
