//! Requests, answers and the configuration that the measurements share.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};

/// Content events in a stream.
pub(crate) const STREAM_EVENTS: usize = 200;
/// The variable that holds the upstream's key.
pub(crate) const KEY_VARIABLE: &str = "TOLLGATE_BENCH_KEY";
/// The `iss` of all tokens.
pub(crate) const ISSUER: &str = "https://issuer.bench.test/pool";

/// A wire format, as client or upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Messages,
}

impl Api {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Messages => "messages",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        [Self::Chat, Self::Messages].into_iter().find(|api| api.name() == name)
    }
}

/// A client's request whose model leads to an upstream that speaks `upstream`.
pub(crate) fn request(client: Api, upstream: Api, stream: bool) -> Bytes {
    let model = match upstream {
        Api::Chat => "gpt-4o",
        Api::Messages => "claude-sonnet-4-20250514",
    };
    let system = "You are a careful assistant of a support team. Answer in one short paragraph.";
    let question = "A customer asks why the invoice of March shows two lines for the same seat. What do we tell them, and which \
        page of the handbook explains the proration?";
    let body = match client {
        Api::Chat => {
            json!({"model": model, "messages": [{"role": "system", "content": system}, {"role": "user", "content": question}],
            "max_tokens": 512, "temperature": 0.2, "stream": stream})
        }
        Api::Messages => json!({"model": model, "system": system, "messages": [{"role": "user", "content": question}],
            "max_tokens": 512, "temperature": 0.2, "stream": stream}),
    };
    body.to_string().into()
}

const WORDS: [&str; 8] = [" the", " second", " line", " is", " a", " proration", " for", " March"];

fn word(index: usize) -> &'static str {
    WORDS.get(index % WORDS.len()).copied().unwrap_or_default()
}

/// A whole answer of some 600 bytes.
pub(crate) fn answer(api: Api) -> Bytes {
    let text: String = (0..40).map(word).collect();
    let body = match api {
        Api::Chat => {
            json!({"id": "chatcmpl-bench0000000000000000", "object": "chat.completion", "created": 1_770_000_000,
            "model": "gpt-4o-2024-08-06", "choices": [{"index": 0, "message": {"role": "assistant", "content": text, "refusal": null},
            "logprobs": null, "finish_reason": "stop"}], "usage": {"prompt_tokens": 61, "completion_tokens": 40, "total_tokens": 101,
            "prompt_tokens_details": {"cached_tokens": 0}}, "system_fingerprint": "fp_bench"})
        }
        Api::Messages => json!({"id": "msg_bench00000000000000", "type": "message", "role": "assistant",
            "model": "claude-sonnet-4-20250514", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
            "stop_sequence": null, "usage": {"input_tokens": 61, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": 40, "service_tier": "standard"}}),
    };
    body.to_string().into()
}

/// A streamed answer, event by event.
pub(crate) fn events(api: Api) -> Vec<Bytes> {
    let mut events = Vec::new();
    match api {
        Api::Chat => chat_events(&mut events),
        Api::Messages => messages_events(&mut events),
    }
    events
}

fn chat_events(events: &mut Vec<Bytes>) {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({"id": "chatcmpl-bench0000000000000000", "object": "chat.completion.chunk", "created": 1_770_000_000,
            "model": "gpt-4o-2024-08-06", "service_tier": "default", "system_fingerprint": "fp_bench", "choices": choices, "usage": usage});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let choice =
        |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    events.push(chunk(choice(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null), Value::Null));
    for index in 0..STREAM_EVENTS {
        events.push(chunk(choice(json!({"content": word(index)}), Value::Null), Value::Null));
    }
    events.push(chunk(choice(json!({}), json!("stop")), Value::Null));
    events.push(chunk(
        json!([]),
        json!({"prompt_tokens": 61, "completion_tokens": STREAM_EVENTS, "total_tokens": 61 + STREAM_EVENTS}),
    ));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
}

fn messages_events(events: &mut Vec<Bytes>) {
    let mut push = |event: Value| {
        let name = event.get("type").and_then(Value::as_str).unwrap_or_default();
        events.push(Bytes::from(format!("event: {name}\ndata: {event}\n\n")));
    };
    push(
        json!({"type": "message_start", "message": {"id": "msg_bench00000000000000", "type": "message", "role": "assistant",
        "model": "claude-sonnet-4-20250514", "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 61, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}}}),
    );
    push(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}));
    for index in 0..STREAM_EVENTS {
        push(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word(index)}}));
    }
    push(json!({"type": "content_block_stop", "index": 0}));
    push(
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": STREAM_EVENTS}}),
    );
    push(json!({"type": "message_stop"}));
}

/// The configuration of the measurements. `jwks`: the block of the issuer. `bedrock`: as a second group of every chain, so that the AWS SDK
/// is set up, too.
pub(crate) fn config(upstream: &str, jwks: &str, bedrock: bool) -> String {
    let mut text = format!(
        "auth:\n  issuers:\n  - issuer: \"{ISSUER}\"\n    jwks: {jwks}\n    tokenUse: access\nai:\n  \
         modelAliases: {{\"gpt-4*\": gpt-4o-2024-08-06}}\n  models:\n"
    );
    for (pattern, kind) in [("gpt-*", "openAI"), ("claude*", "anthropic")] {
        let _ = write!(
            text,
            "  - match: [\"{pattern}\"]\n    groups:\n    - providers:\n      - {{name: {kind}, provider: {{{kind}: {{}}}}, baseUrl: \"{upstream}\", \
             policies: {{backendAuth: {{key: \"env:{KEY_VARIABLE}\"}}}}}}\n"
        );
        if bedrock {
            text.push_str("    - providers:\n      - {name: bedrock, provider: {bedrock: {region: us-east-1, model: \"anthropic.claude-sonnet-4-20250514-v1:0\"}}}\n");
        }
    }
    text
}
