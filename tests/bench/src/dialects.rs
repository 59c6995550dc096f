//! Instructions of one more event of a stream, from each dialect of an upstream to each of a client: reading it, writing it, and the books on it, without HTTP.

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_wire::codec::{Carrier, Dialect, Seed, Target};
use tollgate_wire::exchange::Inbound;

use crate::fixtures::{self, Api, STREAM_EVENTS};
use crate::instructions::Bench;
use crate::report::{Table, thousands};
use crate::{Options, Result};

/// By the names that the tables have.
const DIALECTS: [(&str, Dialect); 4] = [
    ("chat", Dialect::Chat),
    ("responses", Dialect::Responses),
    ("messages", Dialect::Messages),
    ("generateContent", Dialect::GenerateContent),
];

pub(crate) fn run(options: &Options) -> Result<String> {
    let bench = if options.quick { Bench::new(100, 500)? } else { Bench::new(100, 2_100)? };
    let mut table = Table::new(&["client", "from chat", "from responses", "from messages", "from generateContent"]);
    for (client, _) in DIALECTS {
        let mut row = vec![client.to_owned()];
        for (upstream, _) in DIALECTS {
            row.push(thousands(bench.count_code(&format!("dialect/{client}/{upstream}"))?));
        }
        table.row(&row);
    }
    Ok(format!("## Instructions per streamed event, by dialect\n\n{}", table.text()))
}

/// One stream with so many events of text, the same one again and again. `code`: `CLIENT/UPSTREAM`.
pub(crate) fn in_process(code: &str, count: usize) -> Result<()> {
    let dialect = |name: &str| DIALECTS.into_iter().find(|(known, _)| *known == name).map(|(_, dialect)| dialect);
    let (client, upstream) = code.split_once('/').ok_or("dialect/CLIENT/UPSTREAM")?;
    let (client, upstream) = dialect(client).zip(dialect(upstream)).ok_or("no such dialect")?;
    let inbound = request(client)?;
    let target = Target { dialect: upstream, carrier: Carrier::Direct, model: "model" };
    let seed = Seed { created_unix_s: 1_770_000_000, request_id: "req_bench".to_owned() };
    let mut relay = inbound.start(&target, &seed, false)?.relay;
    let broken = |fault| format!("{code}: {fault:?}");
    let (before, text, after) = stream(upstream);
    for event in before.iter().chain(std::iter::repeat_n(&text, count)).chain(&after) {
        let mut out = Vec::new();
        relay.chunk(event, &mut out).map_err(broken)?;
        std::hint::black_box(out);
    }
    relay.finish(&mut Vec::new()).map_err(broken)?;
    if relay.state().usage.output.is_none() {
        return Err(format!("{code}: the stream had no usage").into());
    }
    Ok(())
}

fn request(client: Dialect) -> Result<Inbound> {
    let said = json!([{"role": "user", "content": "Hello"}]);
    let body = match client {
        Dialect::Responses => json!({"model": "model", "input": "Hello", "stream": true}),
        Dialect::Messages => json!({"model": "model", "max_tokens": 512, "messages": said, "stream": true}),
        Dialect::GenerateContent => {
            let body = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}).to_string();
            return Ok(Inbound::by_path(body.into(), "model".to_owned(), true)?);
        }
        _ => json!({"model": "model", "messages": said, "stream": true}),
    };
    Ok(Inbound::decode(client, Bytes::from(body.to_string()), Vec::new())?)
}

/// A stream as the dialect's own provider sends it: what comes before its text, one event of text, and what comes behind.
fn stream(upstream: Dialect) -> (Vec<Bytes>, Bytes, Vec<Bytes>) {
    let (mut events, at, texts) = match upstream {
        Dialect::Responses => (responses(), 3, 1),
        Dialect::GenerateContent => (gemini(), 0, 1),
        Dialect::Messages => (fixtures::events(Api::Messages), 2, STREAM_EVENTS),
        _ => (fixtures::events(Api::Chat), 1, STREAM_EVENTS),
    };
    let after = events.split_off(at + texts);
    let text = events.drain(at..).next().unwrap_or_default();
    (events, text, after)
}

fn responses() -> Vec<Bytes> {
    let id = "msg_bench000000000000000000000000000000000000000000";
    let answer = |status: &str, usage: Value| json!({"id": "resp_bench", "object": "response", "status": status, "model": "gpt-4o-2024-08-06", "output": [], "usage": usage});
    let item = json!({"id": id, "type": "message", "status": "in_progress", "content": [], "role": "assistant"});
    let part = json!({"type": "output_text", "annotations": [], "logprobs": [], "text": ""});
    let usage = json!({"input_tokens": 61, "output_tokens": 40, "total_tokens": 101});
    let events = [
        json!({"type": "response.created", "sequence_number": 0, "response": answer("in_progress", Value::Null)}),
        json!({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": item}),
        json!({"type": "response.content_part.added", "sequence_number": 2, "item_id": id, "output_index": 0, "content_index": 0, "part": part}),
        json!({"type": "response.output_text.delta", "sequence_number": 3, "item_id": id, "output_index": 0, "content_index": 0, "delta": " second",
            "logprobs": [], "obfuscation": "aXbYcZ"}),
        json!({"type": "response.completed", "sequence_number": 4, "response": answer("completed", usage)}),
    ];
    let named = |event: Value| {
        let name = event.get("type").and_then(Value::as_str).unwrap_or_default();
        Bytes::from(format!("event: {name}\ndata: {event}\n\n"))
    };
    events.map(named).into()
}

fn gemini() -> Vec<Bytes> {
    let chunk = |text: &str, finish: Value| {
        let chunk = json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish, "index": 0}],
            "usageMetadata": {"promptTokenCount": 61, "candidatesTokenCount": 40, "totalTokenCount": 101,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 61}]}, "modelVersion": "gemini-2.5-flash", "responseId": "bench0000000000"});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    vec![chunk(" second", Value::Null), chunk("", json!("STOP"))]
}
