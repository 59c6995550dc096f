//! A ledger, upstreams that do as their path says, and a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tollgate_config::Quota;
use tollgate_limits::{Counter, Ledger, Owner, Scope};
use tower::ServiceExt;

use super::ledger::ledger;
use super::support::{gateway, json_of, token};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";
pub(crate) const RESPONSES: &str = "/v1/responses";
/// What the upstreams say that they used.
pub(crate) const USED: (u64, u64) = (10, 20);
/// The month's budget of the tests' team, in nano-dollars: $1.
pub(crate) const BUDGET: u64 = 1_000_000_000;

/// One gateway with its ledger.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) ledger: Ledger,
    pub(crate) asked: Arc<AtomicU64>,
}

impl World {
    /// `chain`: the upstreams' behaviours, one group each. `limits`: more of that block.
    pub(crate) async fn new(chain: &[&str], limits: &str) -> Self {
        let prices = "  prices: {m0: {input: 1, output: 10, search: 2000, second: 100}, m1: {input: 2, output: 20}}\n";
        Self::with_prices(chain, &format!("{prices}{limits}")).await
    }

    /// `limits` has the prices, too.
    pub(crate) async fn with_prices(chain: &[&str], limits: &str) -> Self {
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        let upstream = serve(Router::new().fallback(move |request| {
            count.fetch_add(1, Ordering::SeqCst);
            behave(request)
        }))
        .await;
        let (endpoint, ledger) = ledger().await;
        let groups: String = chain
            .iter()
            .enumerate()
            .map(|(index, behaviour)| {
                let formats = match behaviour.split('-').next() {
                    Some("messages") => "{type: messages}, {type: anthropicTokenCount}",
                    Some("responses") => "{type: responses}",
                    _ => "{type: completions}, {type: embeddings}, {type: rerank}",
                };
                format!(
                    "  - providers: [{{name: p{index}, baseUrl: 'http://{upstream}/{behaviour}', provider: {{custom: {{model: m{index}, formats: [{formats}]}}}}}}]\n"
                )
            })
            .collect();
        let yaml = format!(
            "ai:\n  routes: {{/v1/audio/transcriptions: detect, /v1/completions: detect}}\n  groups:\n{groups}limits:\n  timeoutMs: 60000\n  ledger: {{endpoint: '{endpoint}'}}\n  tiers: {{standard: {{requestsPerMinute: 1000, tokensPerDay: 1000000, usdPerMonth: 1}}}}\n{limits}"
        );
        Self { router: gateway(&yaml), ledger, asked }
    }

    /// How often the upstreams were asked.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) async fn ask(&self, path: &str, body: &Value) -> Answer {
        self.send(path, body.to_string()).await
    }

    pub(crate) async fn send(&self, path: &str, body: String) -> Answer {
        let request = http::Request::post(path)
            .header("authorization", format!("Bearer {}", token()))
            .header("content-type", "application/json")
            .body(Body::from(body))
            .unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// A form with a recording of so many bytes, to be transcribed.
    pub(crate) async fn transcribe(&self, bytes: usize) -> Answer {
        let sound = "x".repeat(bytes);
        let form = format!(
            "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nany\r\n--b\r\ncontent-disposition: form-data; name=\"file\"; \
             filename=\"a.mp3\"\r\n\r\n{sound}\r\n--b--\r\n"
        );
        let request = http::Request::post("/v1/audio/transcriptions")
            .header("authorization", format!("Bearer {}", token()))
            .header("content-type", "multipart/form-data; boundary=b")
            .body(Body::from(form))
            .unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// What the team has left: tokens, nano-dollars.
    pub(crate) async fn left(&self) -> [u64; 2] {
        let counters = vec![(Counter::Tokens, Some(1_000_000)), (Counter::Money, Some(BUDGET))];
        let scope = Scope { key: "team#search".to_owned(), owner: Owner::Team, counters };
        let standings = self.ledger.standing(&[scope], SystemTime::now()).await.unwrap();
        std::array::from_fn(|index| standings[index].remaining)
    }

    /// Tokens and nano-dollars that are charged, once nothing is under way any more (a settlement after a hang-up runs by itself).
    pub(crate) async fn charged(&self, settled: impl Fn(u64, u64) -> bool) -> (u64, u64) {
        for _ in 0..6_000 {
            let [tokens, money] = self.left().await;
            let charged = (1_000_000 - tokens, BUDGET - money);
            if settled(charged.0, charged.1) {
                return charged;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not settled: {:?} left", self.left().await);
    }
}

/// An answer whose body may still be coming.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Body,
}

impl Answer {
    pub(crate) async fn text(self) -> String {
        let bytes = self.body.collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.into()).unwrap()
    }

    pub(crate) async fn json(self) -> Value {
        json_of(&self.text().await)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) fn hi(max_tokens: u64, stream: bool) -> Value {
    json!({"model": "any", "max_tokens": max_tokens, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]})
}

pub(crate) async fn serve(router: Router) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// The first segment of the path says what to do.
async fn behave(request: Request) -> Response {
    let behaviour = request.uri().path().split('/').nth(1).unwrap().to_owned();
    let asked = request.uri().path().rsplit('/').next().unwrap().to_owned();
    if asked == "transcriptions" && behaviour == "plain" {
        let mut response = Response::new(Body::from("hello"));
        response.headers_mut().insert("content-type", "text/plain".parse().unwrap());
        return response;
    }
    if asked == "transcriptions" {
        return json_answer(200, json!({"text": "hello", "usage": {"type": "duration", "seconds": 90}}));
    }
    let body =
        json_of(std::str::from_utf8(&axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap()).unwrap());
    let (input, output) = USED;
    match behaviour.as_str() {
        "ok" if asked == "embeddings" => json_answer(
            200,
            json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "model": "m",
            "usage": {"prompt_tokens": input, "total_tokens": input}}),
        ),
        "silent" if asked == "embeddings" => json_answer(200, json!({"data": [{"index": 0, "embedding": [0.5]}]})),
        "ok" if asked == "rerank" => json_answer(
            200,
            json!({"id": "r", "results": [{"index": 1, "relevance_score": 0.9}], "meta": {"billed_units": {"search_units": 3}}}),
        ),
        "messages-ok" if asked == "count_tokens" => json_answer(200, json!({"input_tokens": 41})),
        "ok" if body["stream"] == true => events(chat_events(true), End::Whole),
        "ok" => json_answer(
            200,
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
            "message": {"role": "assistant", "content": "one two"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}}),
        ),
        "messages-compacts" => json_answer(
            200,
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn",
            "stop_sequence": null, "usage": {"input_tokens": 23, "output_tokens": 10, "iterations": [
                {"type": "compaction", "input_tokens": 180, "output_tokens": 35}, {"type": "message", "input_tokens": 23, "output_tokens": 10}]}}),
        ),
        "responses-queue" if body["stream"] == true => events(queued_events(), End::Whole),
        "responses-queue" => json_answer(200, response("queued")),
        "responses-hangs-in-text" => {
            let text =
                json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"});
            let mut begun = queued_events();
            begun.insert(2, format!("event: response.output_text.delta\ndata: {text}\n\n"));
            events(begun, End::Hangs)
        }
        "responses-hangs" => events(queued_events(), End::Hangs),
        "silent" => events(chat_events(false), End::Whole),
        "hangs-before" => std::future::pending().await,
        "hangs" => events(chat_events(true), End::Hangs),
        "cut" => events(chat_events(true), End::Cut),
        "messages-cut-at-head" => events(messages_events(), End::Error),
        "bad" => json_answer(
            400,
            json!({"error": {"message": "no", "type": "invalid_request_error", "param": null, "code": null}}),
        ),
        _ => {
            json_answer(503, json!({"error": {"message": "down", "type": "server_error", "param": null, "code": null}}))
        }
    }
}

/// How a stream of the upstream ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Whole,
    /// The last events never come.
    Hangs,
    /// The connection ends in the middle.
    Cut,
    /// An error event after the first.
    Error,
}

fn chat_events(usage: bool) -> Vec<String> {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, "usage": usage});
        format!("data: {chunk}\n\n")
    };
    let delta =
        |delta: Value, end: Value| chunk(json!([{"index": 0, "delta": delta, "finish_reason": end}]), Value::Null);
    let text = |text: &str| delta(json!({"content": text}), Value::Null);
    let mut events = vec![text("one "), text("two "), text("three "), delta(json!({}), "stop".into())];
    if usage {
        let (input, output) = USED;
        events.push(chunk(
            json!([]),
            json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}),
        ));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// As OpenAI's answers in the background are: <https://platform.openai.com/docs/guides/background>.
fn response(status: &str) -> Value {
    let (input, output) = USED;
    let usage = if status == "completed" {
        json!({"input_tokens": input, "output_tokens": output, "total_tokens": input + output})
    } else {
        Value::Null
    };
    json!({"id": "resp_1", "object": "response", "status": status, "background": true, "model": "m", "output": [], "usage": usage})
}

fn queued_events() -> Vec<String> {
    let event = |(kind, status): (&str, &str)| {
        format!("event: {kind}\ndata: {}\n\n", json!({"type": kind, "response": response(status)}))
    };
    let states = [
        ("response.created", "queued"),
        ("response.queued", "queued"),
        ("response.in_progress", "in_progress"),
        ("response.completed", "completed"),
    ];
    states.map(event).to_vec()
}

fn messages_events() -> Vec<String> {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": USED.0, "output_tokens": 1}});
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    vec![
        event(json!({"type": "message_start", "message": message})),
        event(json!({"type": "error", "error": {"type": "overloaded_error", "message": "later"}})),
    ]
}

fn events(events: Vec<String>, end: End) -> Response {
    let count = match end {
        End::Whole | End::Error => events.len(),
        End::Hangs | End::Cut => 3,
    };
    let sent = futures_util::stream::iter(events.into_iter().take(count).map(|event| Ok(Bytes::from(event))));
    let body = match end {
        End::Hangs => Body::from_stream(sent.chain(futures_util::stream::pending::<Result<Bytes, std::io::Error>>())),
        End::Cut => {
            let broken = futures_util::stream::once(async {
                // After what came before has been read.
                tokio::time::sleep(Duration::from_millis(200)).await;
                Err(std::io::Error::other("cut"))
            });
            Body::from_stream(sent.chain(broken))
        }
        End::Whole | End::Error => Body::from_stream(sent),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    response
}

fn json_answer(status: u16, body: Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

/// `quota: off` with the rest of a block.
pub(crate) fn is_off(yaml: &str) -> bool {
    tollgate_config::parse(yaml, "test").unwrap().limits.is_some_and(|limits| limits.quota == Quota::Off)
}
