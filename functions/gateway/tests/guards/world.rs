//! Hooks, a model, and a client.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::support::{gateway, json_of, token};

pub(crate) const PASS: &str = r#"{"action":{"reason":"ok"}}"#;
pub(crate) const REJECT: &str =
    r#"{"action":{"body":"{\"error\":{\"message\":\"no money\"}}","status_code":429,"reason":"budget"}}"#;

/// What a server was sent: path, headers, body.
pub(crate) type Seen = (String, HeaderMap, Value);

/// A server that remembers what it was sent.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| {
            let (answer, remembered) = (answer.clone(), Arc::clone(&remembered));
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let body = json_of(std::str::from_utf8(&body).unwrap());
                let seen = (parts.uri.path().to_owned(), parts.headers, body);
                let response = answer(&seen);
                remembered.lock().unwrap().push(seen);
                response
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, seen }
    }

    /// A hook that always answers this.
    pub(crate) async fn hook(status: u16, body: &'static str) -> Self {
        Self::start(move |_| answer(status, body)).await
    }

    /// A model that answers in two texts, in both dialects, whole and streamed.
    pub(crate) async fn model() -> Self {
        Self::start(|(path, _, body)| says(path.ends_with("/messages"), body["stream"] == true)).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The bodies that it was sent.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.seen().into_iter().map(|(_, _, body)| body).collect()
    }
}

pub(crate) fn answer(status: u16, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response
}

fn says(anthropic: bool, stream: bool) -> Response {
    let text = match (anthropic, stream) {
        (false, false) => chat_answer("the secret").to_string(),
        (true, false) => messages_answer("the secret").to_string(),
        (false, true) => {
            let chunk = |delta: Value, end: Value| {
                let choice = json!({"index": 0, "delta": delta, "finish_reason": end});
                let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
                format!("data: {chunk}\n\n")
            };
            chunk(json!({"role": "assistant", "content": "the "}), Value::Null)
                + &chunk(json!({"content": "secret"}), Value::Null)
                + &chunk(json!({}), "stop".into())
                + "data: [DONE]\n\n"
        }
        (true, true) => {
            let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
            let delta = |text: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
            let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
                "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}});
            [
                json!({"type": "message_start", "message": message}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                delta("the "),
                delta("secret"),
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 2}}),
                json!({"type": "message_stop"}),
            ]
            .map(event)
            .concat()
        }
    };
    let mut response = answer(200, text);
    let kind = if stream { "text/event-stream" } else { "application/json" };
    response.headers_mut().insert("content-type", kind.parse().unwrap());
    response
}

pub(crate) fn chat_answer(text: &str) -> Value {
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})
}

pub(crate) fn messages_answer(text: &str) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 2}})
}

/// A gateway before this model, with this `promptGuard` block in flow style.
pub(crate) fn guarded(model: &Server, prompt_guard: &str) -> Router {
    gateway(&format!(
        "ai:\n  promptGuard: {prompt_guard}\n  groups:\n  - providers:\n    - {{name: model, baseUrl: 'http://{}', provider: {{custom: {{formats: [{{type: completions}}, {{type: messages}}]}}}}}}\n",
        model.address
    ))
}

/// One entry of a list of guards.
pub(crate) fn webhook(hook: &Server, more: &str) -> String {
    format!("{{webhook: {{target: {{host: '{}'}}{more}}}}}", hook.address)
}

/// What a client gets: status, content type, body.
pub(crate) type Got = (u16, String, String);

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";

pub(crate) async fn ask(router: &Router, path: &str, body: &Value) -> Got {
    ask_with(router, path, body, &[]).await
}

pub(crate) async fn ask_with(router: &Router, path: &str, body: &Value, headers: &[(&str, &str)]) -> Got {
    let mut request = http::Request::post(path)
        .header("authorization", format!("Bearer {}", token()))
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, kind, String::from_utf8(body.to_vec()).unwrap())
}

pub(crate) fn hi() -> Value {
    json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]})
}

pub(crate) fn streamed() -> Value {
    json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "Hi"}]})
}
