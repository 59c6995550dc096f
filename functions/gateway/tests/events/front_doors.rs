//! What a front door of Lambda adds: a bound on the answer, a deadline, and headers in its own form.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use lambda_http::{Context, RequestExt};
use serde_json::{Value, json};
use tollgate_gateway::host::native;

use super::lambda::{Mode, event, request, send};
use super::support::{events_of, gateway, json_of};

/// An upstream of OpenAI's dialect whose answers are `text`, and the headers of its last request. Messages requests go to it, too: its
/// answer to them is a Messages answer.
struct Upstream {
    base: String,
    seen: Arc<Mutex<HeaderMap>>,
}

#[derive(Clone)]
struct Shared {
    text: String,
    seen: Arc<Mutex<HeaderMap>>,
}

impl Upstream {
    async fn start(text: String) -> Self {
        let seen = Arc::new(Mutex::new(HeaderMap::new()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new()
            .route("/v1/chat/completions", post(chat))
            .route("/v1/messages", post(messages))
            .route("/hang/v1/chat/completions", post(std::future::pending::<Response>))
            .route("/hang/v1/messages", post(std::future::pending::<Response>))
            .with_state(Shared { text, seen: Arc::clone(&seen) });
        tokio::spawn(native::serve(listener, routes, 100, std::future::pending()));
        Self { base, seen }
    }

    /// A gateway before it that passes both dialects through. `prefix` is of the upstream's path.
    fn gateway(&self, prefix: &str) -> Router {
        let formats = "[{type: completions}, {type: messages}]";
        let base = format!("{}{prefix}", self.base);
        let entry = format!("{{name: own, baseUrl: '{base}', provider: {{custom: {{formats: {formats}}}}}}}");
        gateway(&format!("ai:\n  groups: [{{providers: [{entry}]}}]\n"))
    }
}

fn sse(events: &[Value]) -> Response {
    let text = events.iter().fold(String::new(), |text, event| match event["type"].as_str() {
        Some(name) => format!("{text}event: {name}\ndata: {event}\n\n"),
        None => format!("{text}data: {event}\n\n"),
    });
    let done = if events[0]["type"].is_null() { "data: [DONE]\n\n" } else { "" };
    ([(CONTENT_TYPE, "text/event-stream")], text + done).into_response()
}

async fn chat(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    *shared.seen.lock().unwrap() = headers;
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
    if json_of(&body)["stream"] == true {
        let chunk = |delta: Value, finish: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})
        };
        let half = &shared.text[..shared.text.len() / 2];
        let delta = || chunk(json!({"role": "assistant", "content": half}), Value::Null);
        let mut last = chunk(json!({}), json!("stop"));
        last["usage"] = usage;
        return sse(&[delta(), delta(), last]);
    }
    let message = json!({"role": "assistant", "content": shared.text});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage});
    ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

async fn messages(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    *shared.seen.lock().unwrap() = headers;
    let message = |content: Value, stop: Value| {
        let usage = json!({"input_tokens": 1, "output_tokens": 1});
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": stop, "stop_sequence": null, "usage": usage})
    };
    if json_of(&body)["stream"] == true {
        return sse(&[
            json!({"type": "message_start", "message": message(json!([]), Value::Null)}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": shared.text}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 1}}),
            json!({"type": "message_stop"}),
        ]);
    }
    let answer = message(json!([{"type": "text", "text": shared.text}]), json!("end_turn"));
    ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn an_answer_over_the_load_balancers_limit_is_an_error_that_names_the_limit() {
    let router = Upstream::start("x".repeat(MIB)).await.gateway("");
    for name in ["alb-chat", "alb-chat-stream", "alb-messages", "alb-messages-stream", "alb-multi-value-chat"] {
        let answer = send(&router, Mode::Buffered, request(&event(&format!("{name}.json")))).await;
        assert_eq!((answer.status, answer.header("content-type")), (413, "application/json"), "{name}");
        let body = json_of(&answer.body);
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("1048576") && message.contains("Application Load Balancer"), "{name}: {message}");
        if name.contains("messages") {
            assert_eq!(
                (&body["type"], &body["error"]["type"]),
                (&"error".into(), &"request_too_large".into()),
                "{name}"
            );
            assert_eq!(body["request_id"], answer.header("request-id"), "{name}");
        } else {
            assert_eq!(body["error"]["code"], "response_too_large", "{name}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_just_fits_through_the_load_balancer_passes() {
    let router = Upstream::start("x".repeat(MIB - 4096)).await.gateway("");
    for name in ["alb-chat", "alb-messages", "alb-chat-stream", "alb-messages-stream"] {
        let answer = send(&router, Mode::Buffered, request(&event(&format!("{name}.json")))).await;
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.body.len() > MIB - 4096, "{name}");
    }
}

#[tokio::test]
async fn the_same_answer_passes_by_function_url_and_api_gateway() {
    let router = Upstream::start("x".repeat(2 * MIB)).await.gateway("");
    for name in ["function-url-chat", "function-url-messages-stream", "api-gateway-v1-chat", "api-gateway-v2-messages"]
    {
        for mode in [Mode::Buffered, Mode::Streamed] {
            let answer = send(&router, mode, request(&event(&format!("{name}.json")))).await;
            assert_eq!(answer.status, 200, "{name}");
            assert!(answer.body.len() > 2 * MIB, "{name}");
        }
    }
}

#[tokio::test]
async fn over_six_mebibytes_only_a_streamed_answer_passes() {
    let router = Upstream::start("x".repeat(6 * MIB)).await.gateway("");
    for name in ["function-url-chat", "function-url-messages-stream"] {
        let answer = send(&router, Mode::Buffered, request(&event(&format!("{name}.json")))).await;
        assert_eq!(answer.status, 413, "{name}");
        assert!(json_of(&answer.body)["error"]["message"].as_str().unwrap().contains("6291456"), "{name}");
        let answer = send(&router, Mode::Streamed, request(&event(&format!("{name}.json")))).await;
        assert_eq!(answer.status, 200, "{name}");
    }
}

/// The event, with a deadline as the runtime writes it: milliseconds since the epoch.
fn with_deadline(event: &str, left: Duration) -> lambda_http::Request {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + left;
    let mut context = Context::default();
    context.deadline = u64::try_from(at.as_millis()).unwrap();
    request(event).with_lambda_context(context)
}

#[tokio::test]
async fn the_functions_deadline_ends_a_request_in_time_for_its_answer() {
    const LEFT: Duration = Duration::from_millis(1_300);
    let router = Upstream::start(String::new()).await.gateway("/hang");
    for name in ["alb-chat", "alb-chat-stream", "alb-messages", "function-url-messages-stream"] {
        for mode in [Mode::Buffered, Mode::Streamed] {
            // A busy machine may be late; who waits for the deadline is late every time.
            let mut in_time = false;
            for _ in 0..10 {
                let begun = Instant::now();
                let answer = send(&router, mode, with_deadline(&event(&format!("{name}.json")), LEFT)).await;
                in_time = begun.elapsed() < LEFT && answer.header("x-tollgate-attempts") == "1";
                assert_eq!(
                    (answer.status, answer.header("content-type")),
                    (504, "application/json"),
                    "{name}, {mode:?}"
                );
                if in_time {
                    break;
                }
            }
            assert!(in_time, "{name}, {mode:?}");
        }
    }
}

#[tokio::test]
async fn without_time_for_an_attempt_none_is_started() {
    let router = Upstream::start(String::new()).await.gateway("/hang");
    for left in [0, 600] {
        let event = with_deadline(&event("alb-chat.json"), Duration::from_millis(left));
        let answer = send(&router, Mode::Buffered, event).await;
        assert_eq!((answer.status, answer.header("x-tollgate-attempts")), (504, "0"), "{left}");
        assert_eq!(json_of(&answer.body)["error"]["code"], "request_timeout", "{left}");
    }
}

/// `cargo lambda watch` says the same ten minutes of 1970 with every event.
#[tokio::test]
async fn a_deadline_of_an_emulators_is_none() {
    let router = Upstream::start("Hi".to_owned()).await.gateway("");
    let mut context = Context::default();
    context.deadline = 600_000;
    let answer = send(&router, Mode::Streamed, request(&event("alb-chat.json")).with_lambda_context(context)).await;
    assert_eq!((answer.status, answer.header("x-tollgate-attempts")), (200, "1"));
}

/// Changes an event's headers, in whichever form they are.
fn edited(name: &str, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) -> lambda_http::Request {
    let mut event = json_of(&event(name));
    let key = if event.get("multiValueHeaders").is_some() { "multiValueHeaders" } else { "headers" };
    edit(event[key].as_object_mut().unwrap());
    request(&event.to_string())
}

#[tokio::test]
async fn repeated_headers_reach_the_upstream_in_both_forms() {
    let upstream = Upstream::start("Hi".to_owned()).await;
    let router = upstream.gateway("");
    let betas = ["interleaved-thinking-2025-05-14", "fine-grained-tool-streaming-2025-05-14"];
    let several = edited("alb-multi-value-messages.json", |headers| {
        headers.insert("anthropic-beta".to_owned(), json!(betas));
    });
    // Without multi-value headers a load balancer keeps the last of several; a client that sends one with a comma loses nothing.
    let joined = edited("alb-messages.json", |headers| {
        headers.insert("anthropic-beta".to_owned(), json!(betas.join(", ")));
    });
    for request in [several, joined] {
        assert_eq!(send(&router, Mode::Buffered, request).await.status, 200);
        let sent = upstream.seen.lock().unwrap().clone();
        let values: Vec<&str> = sent.get_all("anthropic-beta").iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(values.join(",").split(',').map(str::trim).collect::<Vec<_>>(), betas);
        assert!(!sent.contains_key("authorization"), "the client's token went on");
        assert!(!sent.contains_key("x-api-key"), "the client's token went on");
    }
}

#[tokio::test]
async fn a_token_that_stands_twice_is_refused_in_the_clients_dialect() {
    let router = Upstream::start("Hi".to_owned()).await.gateway("");
    for (name, header) in
        [("alb-multi-value-chat.json", "authorization"), ("alb-multi-value-messages.json", "x-api-key")]
    {
        let twice = edited(name, |headers| {
            let value = headers[header][0].clone();
            headers.insert(header.to_owned(), json!([value, value]));
        });
        let answer = send(&router, Mode::Buffered, twice).await;
        assert_eq!(answer.status, 401, "{name}");
        assert!(
            json_of(&answer.body)["error"]["message"].as_str().unwrap().contains(header),
            "{name}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn other_headers_may_stand_twice() {
    let router = Upstream::start("Hi".to_owned()).await.gateway("");
    let twice = edited("alb-multi-value-chat.json", |headers| {
        headers.insert("content-type".to_owned(), json!(["application/json", "application/json"]));
        headers.insert("x-request-id".to_owned(), json!(["own-1", "own-2"]));
    });
    let answer = send(&router, Mode::Buffered, twice).await;
    assert_eq!((answer.status, answer.header("x-request-id")), (200, "own-1"));
}

#[tokio::test]
async fn a_stream_ends_with_its_final_event_in_both_modes() {
    let router = Upstream::start("Hi there".to_owned()).await.gateway("");
    for mode in [Mode::Buffered, Mode::Streamed] {
        let answer = send(&router, mode, request(&event("alb-chat-stream.json"))).await;
        assert_eq!(events_of(&answer.body).last(), Some(&(None, "[DONE]")), "{mode:?}");
        let answer = send(&router, mode, request(&event("alb-messages-stream.json"))).await;
        assert_eq!(events_of(&answer.body).last().unwrap().0, Some("message_stop"), "{mode:?}");
    }
}
