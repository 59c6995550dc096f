//! The demo provider: a small model-shaped program behind real HTTP, on a port of its own, so that everything of the gateway can be tried
//! without a key. It speaks OpenAI chat and Anthropic messages, streams word by word, and calls the first tool it is offered.
//!
//! `/demo`: OpenAI's dialect. `/demo-claude`: Anthropic's. `/demo-down`: always 503.

#![expect(
    clippy::indexing_slicing,
    reason = "a serde_json::Value answers null for what is not there; only objects made here are written to"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use futures_util::stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Map, Value, json};

/// Between two pieces of a stream, so that streaming can be seen.
const PACE: Duration = Duration::from_millis(15);

/// Starts it; answers where it is.
pub async fn start() -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let routes = Router::new()
        .route("/demo/v1/chat/completions", post(chat))
        .route("/demo-claude/v1/messages", post(messages))
        .fallback(any(down));
    tokio::spawn(crate::host::native::serve(
        listener,
        routes,
        crate::host::native::MAX_CONNECTIONS,
        std::future::pending(),
    ));
    Ok(address)
}

async fn down() -> Response {
    let body = json!({"error": {"message": "this demo provider is always down", "type": "server_error"}});
    (StatusCode::SERVICE_UNAVAILABLE, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// What the demo model says.
enum Said {
    Text(String),
    Call { name: String, input: Value },
}

fn say(request: &Value) -> Said {
    let last = request["messages"].as_array().and_then(|messages| messages.last()).cloned().unwrap_or_default();
    let answers_a_tool = last["role"] == "tool" || last["content"][0]["type"] == "tool_result";
    let tool = request["tools"].as_array().and_then(|tools| tools.first()).filter(|_| !answers_a_tool);
    if let Some(tool) = tool {
        let function = tool.get("function").unwrap_or(tool);
        let schema = function.get("parameters").or_else(|| function.get("input_schema"));
        let name = function["name"].as_str().unwrap_or_default().to_owned();
        return Said::Call { name, input: schema.map_or_else(|| json!({}), arguments) };
    }
    if answers_a_tool {
        return Said::Text("The tool answered. This is the demo provider, so that is all I can make of it.".to_owned());
    }
    let text = text_of(&last["content"]);
    Said::Text(format!(
        "You said: {text} (This is Tollgate's demo provider; set OPENAI_API_KEY or ANTHROPIC_API_KEY for a real one.)"
    ))
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

/// Arguments that fit a schema's required properties.
fn arguments(schema: &Value) -> Value {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let pairs = required.iter().filter_map(Value::as_str).map(|name| {
        let property = &schema["properties"][name];
        let value = match property["type"].as_str() {
            _ if property["enum"][0] != Value::Null => property["enum"][0].clone(),
            Some("integer" | "number") => json!(1),
            Some("boolean") => json!(true),
            Some("array") => json!([]),
            Some("object") => arguments(property),
            _ => json!("demo"),
        };
        (name.to_owned(), value)
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// A rough count, as good as any for a demo.
fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

fn parsed(body: &[u8]) -> Result<Value, Box<Response>> {
    serde_json::from_slice(body).map_err(|e| {
        let body = json!({"error": {"message": e.to_string(), "type": "invalid_request_error"}});
        Box::new((StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response())
    })
}

async fn chat(body: Bytes) -> Response {
    let request = match parsed(&body) {
        Ok(request) => request,
        Err(refusal) => return *refusal,
    };
    let said = say(&request);
    let (text, call) = match &said {
        Said::Text(text) => (Some(text.as_str()), None),
        Said::Call { name, input } => (None, Some((name.as_str(), input.to_string()))),
    };
    let finish = if call.is_some() { "tool_calls" } else { "stop" };
    let (prompt, completion) = (tokens(&request["messages"].to_string()), text.map_or(12, tokens));
    let usage = json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion});
    let tool_calls = call.map(|(name, arguments)| {
        json!([{"index": 0, "id": "call_demo", "type": "function", "function": {"name": name, "arguments": arguments}}])
    });
    if request["stream"] != json!(true) {
        let mut message = json!({"role": "assistant", "content": text});
        if let Some(calls) = tool_calls {
            message["tool_calls"] = calls;
        }
        return whole(&json!({
            "id": "chatcmpl-demo", "object": "chat.completion", "created": 0, "model": request["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage,
        }));
    }
    let chunk = |choices: Value| {
        let chunk = json!({"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 0, "model": request["model"], "choices": choices});
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value| chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}]));
    let mut events = vec![delta(json!({"role": "assistant", "content": ""}))];
    events.extend(words(text.unwrap_or_default()).into_iter().map(|word| delta(json!({"content": word}))));
    events.extend(tool_calls.map(|calls| delta(json!({"tool_calls": calls}))));
    events.push(chunk(json!([{"index": 0, "delta": {}, "finish_reason": finish}])));
    if request["stream_options"]["include_usage"] == json!(true) {
        let mut last = json!({"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 0, "model": request["model"], "choices": []});
        last["usage"] = usage;
        events.push(format!("data: {last}\n\n"));
    }
    events.push("data: [DONE]\n\n".to_owned());
    streamed(events)
}

async fn messages(body: Bytes) -> Response {
    let request = match parsed(&body) {
        Ok(request) => request,
        Err(refusal) => return *refusal,
    };
    let input_tokens = tokens(&request["messages"].to_string());
    let (block, empty, deltas, stop, output_tokens) = match say(&request) {
        Said::Text(text) => {
            let deltas: Vec<Value> =
                words(&text).into_iter().map(|word| json!({"type": "text_delta", "text": word})).collect();
            (
                json!({"type": "text", "text": text}),
                json!({"type": "text", "text": ""}),
                deltas,
                "end_turn",
                tokens(&text),
            )
        }
        Said::Call { name, input } => {
            let empty = json!({"type": "tool_use", "id": "toolu_demo", "name": name, "input": {}});
            let deltas = vec![json!({"type": "input_json_delta", "partial_json": input.to_string()})];
            (
                json!({"type": "tool_use", "id": "toolu_demo", "name": name, "input": input}),
                empty,
                deltas,
                "tool_use",
                12,
            )
        }
    };
    let message = |content: Value, stop: Value, output: usize| {
        json!({
            "id": "msg_demo", "type": "message", "role": "assistant", "model": request["model"], "content": content, "stop_reason": stop,
            "stop_sequence": null, "usage": {"input_tokens": input_tokens, "output_tokens": output},
        })
    };
    if request["stream"] != json!(true) {
        return whole(&message(json!([block]), json!(stop), output_tokens));
    }
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default());
    let mut events = vec![
        event(json!({"type": "message_start", "message": message(json!([]), Value::Null, 1)})),
        event(json!({"type": "content_block_start", "index": 0, "content_block": empty})),
    ];
    events.extend(
        deltas.into_iter().map(|delta| event(json!({"type": "content_block_delta", "index": 0, "delta": delta}))),
    );
    events.push(event(json!({"type": "content_block_stop", "index": 0})));
    let usage = json!({"output_tokens": output_tokens});
    events.push(event(
        json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null}, "usage": usage}),
    ));
    events.push(event(json!({"type": "message_stop"})));
    streamed(events)
}

fn whole(body: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn streamed(events: Vec<String>) -> Response {
    let frames = stream::unfold(events.into_iter(), |mut events| async move {
        let event = events.next()?;
        tokio::time::sleep(PACE).await;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event))), events))
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::new(StreamBody::new(frames))).into_response()
}
