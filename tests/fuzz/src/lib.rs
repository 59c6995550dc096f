//! What the fuzz targets share: the checks. A target is one line.

use std::ops::Range;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tollgate_webhook::{Phase, RequestBody, ResponseBody, read_action};
use tollgate_wire::codec::{self, Carrier, Dialect, Seed, Target};
use tollgate_wire::error::WireError;
use tollgate_wire::exchange::{Inbound, Relay, State};
use tollgate_wire::invoke::InvokeFrames;
use tollgate_wire::sse::SseParser;
use tollgate_wire::unary::{Operation, Service, Unary, Way};
use tollgate_wire::{count, embed, rerank};

const TARGETS: [Target<'static>; 11] = [
    Target { dialect: Dialect::Chat, carrier: Carrier::Direct, model: "gpt-4.1" },
    Target { dialect: Dialect::Chat, carrier: Carrier::Direct, model: "gpt-5.2" },
    Target { dialect: Dialect::Responses, carrier: Carrier::Direct, model: "gpt-4.1" },
    Target { dialect: Dialect::Responses, carrier: Carrier::Direct, model: "gpt-5.2" },
    Target { dialect: Dialect::Messages, carrier: Carrier::Direct, model: "claude-sonnet-4-5" },
    Target {
        dialect: Dialect::Messages,
        carrier: Carrier::Bedrock,
        model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    },
    Target {
        dialect: Dialect::Converse,
        carrier: Carrier::Direct,
        model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    },
    Target { dialect: Dialect::Converse, carrier: Carrier::Direct, model: "us.amazon.nova-2-lite-v1:0" },
    Target { dialect: Dialect::Converse, carrier: Carrier::Direct, model: "openai.gpt-oss-120b-1:0" },
    Target { dialect: Dialect::GenerateContent, carrier: Carrier::Direct, model: "gemini-2.5-flash" },
    Target { dialect: Dialect::GenerateContent, carrier: Carrier::Direct, model: "gemini-3-pro-preview" },
];

const WAYS: [(Way, Dialect, Carrier, &str); 14] = [
    (Way::OpenAiEmbeddings, Dialect::Chat, Carrier::Direct, "another"),
    (Way::GeminiEmbeddings, Dialect::GenerateContent, Carrier::Direct, "gemini-embedding-001"),
    (Way::VertexPredict, Dialect::GenerateContent, Carrier::Direct, "text-embedding-005"),
    (Way::VertexEmbedContent, Dialect::GenerateContent, Carrier::Direct, "gemini-embedding-2"),
    (Way::BedrockEmbeddings, Dialect::Converse, Carrier::Bedrock, "amazon.titan-embed-text-v2:0"),
    (Way::BedrockEmbeddings, Dialect::Converse, Carrier::Bedrock, "us.cohere.embed-v4:0"),
    (Way::BedrockEmbeddings, Dialect::Converse, Carrier::Bedrock, "amazon.nova-2-multimodal-embeddings-v1:0"),
    (Way::CohereRerank, Dialect::Rerank, Carrier::Direct, "rerank-v3.5"),
    (Way::BedrockRerank, Dialect::Converse, Carrier::Bedrock, "cohere.rerank-v3-5:0"),
    (Way::VertexRank, Dialect::GenerateContent, Carrier::Direct, "semantic-ranker-default-004"),
    (Way::Count, Dialect::Messages, Carrier::Direct, "claude-sonnet-4-5"),
    (Way::Count, Dialect::Converse, Carrier::Direct, "us.amazon.nova-2-lite-v1:0"),
    (Way::Count, Dialect::GenerateContent, Carrier::Direct, "gemini-2.5-flash"),
    (Way::Estimate, Dialect::Chat, Carrier::Direct, "gpt-4.1"),
];

/// A hook's answer, or what a gateway sends a hook: what is read is written as the same.
pub fn webhook_action(data: &[u8]) {
    for phase in [Phase::Request, Phase::Response] {
        if let Ok(action) = read_action(data, phase) {
            assert_eq!(read_action(action.encode().as_bytes(), phase), Ok(action));
        }
    }
    if let Ok(body) = RequestBody::decode(data) {
        assert_eq!(RequestBody::decode(body.encode().as_bytes()), Ok(body));
    }
    if let Ok(body) = ResponseBody::decode(data) {
        assert_eq!(ResponseBody::decode(body.encode().as_bytes()), Ok(body));
    }
}

fn seed() -> Seed {
    Seed { created_unix_s: 1, request_id: "fuzz".to_owned() }
}

/// A client's body to every target, by both ways: what is sent is JSON, and what our own encoder wrote can be read again.
pub fn request(client: Dialect, body: &[u8]) {
    if let Ok(request) = codec::decode_request(client, body) {
        for target in &TARGETS {
            let Ok(encoded) = codec::encode_request(&request, target) else { continue };
            let sent: Value = serde_json::from_slice(&encoded.body).expect("an encoded body is JSON");
            assert!(sent.is_object());
            if target.dialect == client && target.carrier == Carrier::Direct {
                let again = codec::decode_request(client, &encoded.body);
                // An encoder may leave nothing over; that is the upstream's to refuse.
                let turns = match client {
                    Dialect::GenerateContent => &sent["contents"],
                    Dialect::Responses => &sent["input"],
                    _ => &sent["messages"],
                };
                if turns.as_array().is_some_and(|turns| !turns.is_empty()) {
                    again.expect("an encoded body can be decoded");
                }
            }
        }
    }
    if let Ok(inbound) = inbound(client, Bytes::copy_from_slice(body)) {
        for target in &TARGETS {
            if let Ok(started) = inbound.start(target, &seed(), false) {
                serde_json::from_slice::<Value>(&started.body).expect("a started body is JSON");
            }
        }
    }
}

/// Embeddings, reranks and counts: a body, an empty line, and an upstream's answer to it. What is sent is JSON; any bytes are an answer, which is written as
/// JSON, or an error.
pub fn unary(data: &[u8]) {
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    let (body, answer) = end.map_or((data, &b""[..]), |end| (&data[..end], &data[end + 2..]));
    let (body, answer) = (Bytes::copy_from_slice(body), Bytes::copy_from_slice(answer));
    for (way, dialect, carrier, model) in WAYS {
        let request = match way.operation() {
            Operation::Embed => embed::Request::decode(body.clone()).map(Unary::Embed),
            Operation::Rerank => rerank::Request::decode(rerank::Version::V1, body.clone()).map(Unary::Rerank),
            _ => count::Request::decode(Dialect::Messages, body.clone(), vec![])
                .map(|count| Unary::Count(Box::new(count))),
        };
        let Ok(request) = request else { continue };
        let target = Target { dialect, carrier, model };
        let Ok(mut plan) = request.start(&Service { target, way }, &seed(), false) else { continue };
        // A batch of thousands would be nothing but slow.
        if plan.calls.len() > 64 {
            continue;
        }
        let mut answered = true;
        for (index, call) in plan.calls.iter().enumerate() {
            serde_json::from_slice::<Value>(call).expect("a call is JSON");
            answered &= plan.reader.part(index, &HeaderMap::new(), answer.clone()).is_ok();
        }
        if let (true, Ok(finished)) = (answered, plan.reader.finish()) {
            serde_json::from_slice::<Value>(&finished.body).expect("an answer is JSON");
        }
    }
}

/// Gemini's model and streaming stand in the path.
fn inbound(client: Dialect, body: Bytes) -> Result<Inbound, WireError> {
    match client {
        Dialect::GenerateContent => Inbound::by_path(body, "m".to_owned(), true),
        _ => Inbound::decode(client, body, vec![]),
    }
}

/// The client's bytes, edited for an upstream of the same dialect: equal but for what the edit is for.
pub fn identity_edit(body: &[u8]) {
    edited(Dialect::Chat, Carrier::Direct, body);
    edited(Dialect::Responses, Carrier::Direct, body);
    edited(Dialect::Messages, Carrier::Direct, body);
    edited(Dialect::Messages, Carrier::Bedrock, body);
}

fn edited(client: Dialect, carrier: Carrier, body: &[u8]) {
    let Ok(inbound) = Inbound::decode(client, Bytes::copy_from_slice(body), vec![]) else { return };
    let target = Target { dialect: client, carrier, model: "another/\"model\"" };
    let Ok(started) = inbound.start(&target, &seed(), false) else { return };
    // The gateway does not judge what it passes through: values that this parser refuses (a number out of range) stay as they are.
    let Ok(Value::Object(mut before)) = serde_json::from_slice(body) else { return };
    let mut after: serde_json::Map<String, Value> =
        serde_json::from_slice(&started.body).expect("what was JSON before the edit is JSON after it");
    if carrier == Carrier::Bedrock {
        // Blank text is taken out, which Bedrock would refuse.
        if !started.dropped.is_empty() || tollgate_wire::messages::bedrock::has_blank_text(body) {
            return;
        }
        // Nobody is served there by a tier of Anthropic's, and to leave it out is no loss.
        for key in ["model", "stream", "anthropic_version", "anthropic_beta", "service_tier"] {
            before.remove(key);
            after.remove(key);
        }
    } else {
        // Reasoning of another provider's model is taken out of a history, thinking is off in a loop that lost its own, and that is said.
        if client != Dialect::Chat && !started.dropped.is_empty() {
            return;
        }
        assert_eq!(after["model"], target.model);
        after["model"] = before["model"].clone();
        if inbound.envelope().stream && client == Dialect::Chat {
            assert_eq!(after["stream_options"]["include_usage"], true);
            for map in [&mut before, &mut after] {
                if let Some(Value::Object(mut options)) = map.remove("stream_options") {
                    options.remove("include_usage");
                    if !options.is_empty() {
                        map.insert("stream_options".to_owned(), Value::Object(options));
                    }
                }
            }
        }
    }
    assert_eq!(Value::Object(before), Value::Object(after));
}

fn relay(client: Dialect, upstream: Dialect) -> Relay {
    let tools = match client {
        Dialect::Messages => json!([{"name": "a.b", "input_schema": {"type": "object"}}]),
        Dialect::GenerateContent => json!([{"functionDeclarations": [{"name": "a.b"}]}]),
        Dialect::Responses => {
            json!([{"type": "function", "name": "a.b", "parameters": {"type": "object"}, "strict": false}])
        }
        _ => json!([{"type": "function", "function": {"name": "a.b"}}]),
    };
    let body = match client {
        Dialect::GenerateContent => json!({"tools": tools, "contents": [{"parts": [{"text": "Hi"}]}]}),
        Dialect::Responses => json!({"model": "m", "stream": true, "tools": tools, "input": "Hi"}),
        _ => json!({
            "model": "m", "max_tokens": 9, "stream": true, "tools": tools, "messages": [{"role": "user", "content": "Hi"}],
        }),
    };
    let inbound = inbound(client, Bytes::from(body.to_string())).expect("our own request");
    let target = Target { dialect: upstream, carrier: Carrier::Direct, model: "m" };
    inbound.start(&target, &seed(), false).expect("our own request").relay
}

/// What a client gets of a stream, and the books. An end without a final event is an error event.
fn written(mut relay: Relay, pieces: &[&[u8]]) -> (Vec<u8>, State) {
    let mut out = Vec::new();
    let outcome = pieces.iter().try_for_each(|piece| relay.chunk(piece, &mut out));
    if let Err(fault) = outcome.and_then(|()| relay.finish(&mut out)) {
        relay.fail(&fault, "fuzz", &mut out);
    }
    (out, relay.state().clone())
}

/// Two cuts, by the last four bytes, and the rest: so a recorded stream can seed the corpus as it is.
fn cuts(data: &[u8]) -> Option<(&[u8], [Range<usize>; 3])> {
    let (rest, head) = data.split_last_chunk::<4>()?;
    let at = |low: u8, high: u8| usize::from(u16::from_le_bytes([low, high])) % (rest.len() + 1);
    let (a, b) = (at(head[0], head[1]), at(head[2], head[3]));
    let (a, b) = (a.min(b), a.max(b));
    Some((rest, [0..a, a..b, b..rest.len()]))
}

/// A stream of an upstream, for every client, whole and in pieces: the same bytes for the client, and valid ones.
pub fn stream(upstream: Dialect, data: &[u8]) {
    let Some((bytes, cuts)) = cuts(data) else { return };
    check_stream(upstream, bytes, &cuts);
}

fn check_stream(upstream: Dialect, bytes: &[u8], cuts: &[Range<usize>; 3]) {
    for client in [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::GenerateContent] {
        let whole = written(relay(client, upstream), &[bytes]);
        let pieces = cuts.clone().map(|cut| &bytes[cut]);
        let split = written(relay(client, upstream), &pieces);
        assert_eq!(String::from_utf8_lossy(&whole.0), String::from_utf8_lossy(&split.0), "{client:?}");
        assert_eq!(whole.1, split.1, "{client:?}");
        if client != upstream {
            valid(client, &whole.0);
        }
        let _ = relay(client, upstream).response(Bytes::copy_from_slice(bytes));
    }
}

/// What we wrote ourselves is events whose data is JSON.
fn valid(client: Dialect, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    assert!(text.is_empty() || text.ends_with("\n\n"));
    if client == Dialect::Responses {
        return valid_responses(text);
    }
    let (mut open, mut seen) = (Vec::new(), Vec::new());
    for event in text.split_terminator("\n\n") {
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect("an event has data");
        if data == "[DONE]" {
            continue;
        }
        let data: Value = serde_json::from_str(data).expect("data is JSON");
        if client != Dialect::Messages {
            continue;
        }
        let index = data["index"].as_u64();
        match data["type"].as_str().expect("a type") {
            "content_block_start" => {
                open.push(index);
                seen.push(index);
            }
            // Of a closed one, too: an upstream may interleave parallel calls.
            "content_block_delta" => assert!(seen.contains(&index), "a delta of no block: {text}"),
            "content_block_stop" => open.retain(|other| *other != index),
            "message_stop" => assert!(open.is_empty(), "a block stays open: {text}"),
            _ => {}
        }
    }
}

/// Responses: every event is named by its type and numbered, items end in the order that they began in, deltas are of an open one, and what came last
/// is an end.
fn valid_responses(text: &str) {
    let (mut number, mut open, mut last) = (0, Vec::new(), String::new());
    for event in text.split_terminator("\n\n") {
        let name = event.lines().find_map(|line| line.strip_prefix("event: ")).expect("an event has a name");
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect("an event has data");
        let data: Value = serde_json::from_str(data).expect("data is JSON");
        assert_eq!(data["type"], name);
        assert_eq!(data["sequence_number"], number, "{text}");
        number += 1;
        let index = data["output_index"].as_u64();
        match name {
            "response.output_item.added" => open.push(index),
            "response.output_item.done" => {
                assert!(open.contains(&index), "the end of no item: {text}");
                open.retain(|other| *other != index);
            }
            _ if name.ends_with(".delta") => assert!(open.contains(&index), "a delta of no open item: {text}"),
            "response.completed" | "response.incomplete" => assert!(open.is_empty(), "an item stays open: {text}"),
            _ => {}
        }
        last = name.to_owned();
    }
    let ends = ["response.completed", "response.incomplete", "response.failed", "error"];
    assert!(text.is_empty() || ends.contains(&last.as_str()), "no end: {text}");
}

/// Frames with the right checksums around payloads: `KIND payload` per line. Else the fuzzer would see nothing but broken checksums.
pub fn frames(data: &[u8]) {
    let Some((script, cuts)) = cuts(data).filter(|(script, _)| !script.is_empty()) else { return };
    const KINDS: [&str; 9] = [
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "chunk",
        "throttlingException",
        "unknown",
    ];
    let mut bytes = Vec::new();
    for line in script.split(|byte| *byte == b'\n') {
        let Some((kind, payload)) = line.split_first() else { continue };
        let kind = KINDS[usize::from(kind.wrapping_sub(b'0')) % KINDS.len()];
        let (message_type, name) =
            if kind.ends_with("Exception") { ("exception", ":exception-type") } else { ("event", ":event-type") };
        let header = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
        let frame = Message::new(Bytes::copy_from_slice(payload))
            .add_header(header(name, kind))
            .add_header(header(":message-type", message_type));
        write_message_to(&frame, &mut bytes).expect("a frame");
    }
    let scaled = cuts.map(|cut| {
        let scale = |at: usize| at * bytes.len() / script.len().max(1);
        scale(cut.start)..scale(cut.end)
    });
    check_stream(Dialect::Converse, &bytes, &scaled);
    invoke(&bytes, &scaled);
}

/// InvokeModel's frames: raw bytes, and each line of them as one event in a frame.
pub fn invoke_frames(data: &[u8]) {
    use base64::Engine;
    let Some((script, cuts)) = cuts(data).filter(|(script, _)| !script.is_empty()) else { return };
    invoke(script, &cuts);
    let mut bytes = Vec::new();
    for line in script.split(|byte| *byte == b'\n') {
        let payload = format!(r#"{{"bytes":"{}"}}"#, base64::engine::general_purpose::STANDARD.encode(line));
        let header = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
        let frame = Message::new(Bytes::from(payload))
            .add_header(header(":event-type", "chunk"))
            .add_header(header(":message-type", "event"));
        write_message_to(&frame, &mut bytes).expect("a frame");
    }
    let scaled = cuts.map(|cut| {
        let scale = |at: usize| at * bytes.len() / script.len().max(1);
        scale(cut.start)..scale(cut.end)
    });
    if let Some(events) = invoke(&bytes, &scaled) {
        check_stream(
            Dialect::Messages,
            &events,
            &[0..events.len() / 3, events.len() / 3..events.len(), events.len()..events.len()],
        );
    }
}

fn invoke(bytes: &[u8], cuts: &[Range<usize>; 3]) -> Option<Vec<u8>> {
    let run = |pieces: &[&[u8]]| {
        let (mut frames, mut out) = (InvokeFrames::new(), Vec::new());
        let outcome = pieces.iter().try_for_each(|piece| frames.push(piece, &mut out));
        (out, outcome.is_ok())
    };
    let whole = run(&[bytes]);
    let pieces = cuts.clone().map(|cut| &bytes[cut]);
    assert_eq!(run(&pieces), whole);
    whole.1.then_some(whole.0)
}

/// Server-sent events, whole and in pieces.
pub fn sse(data: &[u8]) {
    let Some((bytes, cuts)) = cuts(data) else { return };
    let run = |pieces: &[&[u8]]| {
        let (mut parser, mut events) = (SseParser::new(), Vec::new());
        for piece in pieces {
            parser.push(piece).expect("small");
            while let Some(event) = parser.next_event() {
                events.push((event.data().into_owned(), event.raw));
            }
        }
        events.extend(parser.finish().map(|event| (event.data().into_owned(), event.raw)));
        events
    };
    let pieces = cuts.map(|cut| &bytes[cut]);
    assert_eq!(run(&pieces), run(&[bytes]));
}

/// A configuration: errors are told, and what passes can be asked.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match tollgate_config::parse(text, "fuzz") {
        Ok(config) => {
            let _ = config.check_complete();
            for name in ["gpt-4o", "", "*", "a/b"] {
                let _ = (config.alias(name), config.chain(name).len(), config.route_type(name));
            }
            let _ = config.model_names().len();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
