//! Upstreams that wait for a word, an agent that hands out configurations, and a client.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use super::support::{json_of, token};

/// Serves, on a port of its own.
pub(crate) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// A model that says its name; a stream of it goes on when `word` is there.
pub(crate) async fn model(name: &'static str, word: watch::Receiver<bool>) -> String {
    serve(Router::new().fallback(move |request: Request| {
        let word = word.clone();
        async move {
            let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
            let body = json_of(std::str::from_utf8(&body).unwrap());
            if body["stream"] == true { streamed(name, word) } else { whole(name) }
        }
    }))
    .await
}

fn whole(name: &str) -> Response {
    let message = json!({"role": "assistant", "content": name});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": name, "choices": [choice], "usage": usage});
    Response::builder().header("content-type", "application/json").body(Body::from(answer.to_string())).unwrap()
}

fn streamed(name: &'static str, mut word: watch::Receiver<bool>) -> Response {
    let event = move |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        let chunk =
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": name, "choices": [choice]});
        format!("data: {chunk}\n\n")
    };
    let first = event(json!({"role": "assistant", "content": name}), Value::Null);
    let rest = async move {
        word.wait_for(|said| *said).await.unwrap();
        format!("{}data: [DONE]\n\n", event(json!({"content": " again"}), json!("stop")))
    };
    let body = futures_util::stream::once(std::future::ready(first)).chain(futures_util::stream::once(rest));
    let body = Body::from_stream(body.map(Ok::<_, std::convert::Infallible>));
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

/// An agent of AWS AppConfig with one profile: what it says now, its version, and how often it was asked.
#[derive(Clone, Default)]
pub(crate) struct Agent(Arc<Mutex<(Option<String>, u32, u32)>>);

impl Agent {
    pub(crate) fn says(&self, text: Option<String>) {
        let mut state = self.0.lock().unwrap();
        *state = (text, state.1 + 1, state.2);
    }

    pub(crate) fn asked(&self) -> u32 {
        self.0.lock().unwrap().2
    }

    pub(crate) async fn serve(&self) -> String {
        let agent = self.clone();
        serve(Router::new().fallback(move |request: Request| {
            let agent = agent.clone();
            async move { agent.answer(request.uri().path()) }
        }))
        .await
    }

    fn answer(&self, path: &str) -> Response {
        let mut state = self.0.lock().unwrap();
        state.2 += 1;
        let (status, text) = match (path, &state.0) {
            ("/applications/tollgate/environments/test/configurations/gate%20way", Some(text)) => (200, text.clone()),
            _ => (404, "no such profile".to_owned()),
        };
        let builder = Response::builder().status(status).header("configuration-version", state.1);
        builder.body(Body::from(text)).unwrap()
    }
}

/// What a client gets.
pub(crate) async fn ask(router: &Router, stream: bool, headers: &[(&str, &str)]) -> Response {
    let body = json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hello"}]});
    let mut request = Request::post("/v1/chat/completions")
        .header("authorization", format!("Bearer {}", token()))
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap()
}

/// An answer's body.
pub(crate) async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.into()).unwrap()
}

/// Who answered.
pub(crate) async fn answerer(router: &Router) -> String {
    let answer = json_of(&text(ask(router, false, &[]).await).await);
    answer["choices"][0]["message"]["content"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// `GET` without a token.
pub(crate) async fn get(router: &Router, path: &str) -> Value {
    let request = Request::get(path).body(Body::empty()).unwrap();
    json_of(&text(router.clone().oneshot(request).await.unwrap()).await)
}
