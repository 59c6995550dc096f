//! The Runtime API, <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.
//!
//! 1. A front door calls `Function::call`: the event waits in a queue.
//! 2. An environment of the function takes it with `/next`.
//! 3. Its `/response` or `/error` is handed to the front door while its body still comes in; the POST is answered when
//!    the body has ended, as Lambda does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

/// Six megabytes, and 200 for a stream.
const BUFFERED_LIMIT: usize = 6 << 20;

/// The environment died in the middle of its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the environment died in the middle of its answer")
    }
}

impl std::error::Error for Broken {}

/// What the function answered.
pub(crate) struct Reply {
    pub(crate) streaming: bool,
    /// The error's type, when the function failed.
    pub(crate) error: Option<String>,
    pub(crate) body: mpsc::Receiver<Result<Bytes, Broken>>,
    pub(crate) head_ms: u128,
}

struct Waiting {
    id: String,
    event: Bytes,
    deadline: Duration,
}

struct Under {
    reply: oneshot::Sender<Reply>,
    since: Instant,
}

struct Shared {
    /// How long an invocation may take where nobody says otherwise.
    timeout: Duration,
    queue: mpsc::UnboundedSender<Waiting>,
    next: AsyncMutex<mpsc::UnboundedReceiver<Waiting>>,
    under_way: Mutex<HashMap<String, Under>>,
    counter: AtomicU64,
    polls: AtomicU64,
    /// Environments that have asked for an event and have none yet.
    waiting: AtomicU64,
    init_errors: Mutex<Vec<Value>>,
}

/// The function under test.
#[derive(Clone)]
pub(crate) struct Function(Arc<Shared>);

impl Function {
    pub(crate) fn new(timeout: Duration) -> Self {
        let (queue, next) = mpsc::unbounded_channel();
        Self(Arc::new(Shared {
            timeout,
            queue,
            next: AsyncMutex::new(next),
            under_way: Mutex::default(),
            counter: AtomicU64::new(1),
            polls: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            init_errors: Mutex::default(),
        }))
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, Under>> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Invokes the function; nothing if it gives no answer in time.
    pub(crate) async fn call(&self, event: Bytes) -> Option<Reply> {
        self.call_told(event, self.0.timeout).await
    }

    async fn call_told(&self, event: Bytes, deadline: Duration) -> Option<Reply> {
        let number = self.0.counter.fetch_add(1, Ordering::Relaxed);
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let (reply, answer) = oneshot::channel();
        self.under_way().insert(id.clone(), Under { reply, since: Instant::now() });
        self.0.queue.send(Waiting { id: id.clone(), event, deadline }).ok()?;
        let answer = tokio::time::timeout(self.0.timeout, answer).await;
        self.under_way().remove(&id);
        answer.ok()?.ok()
    }

    /// Invokes the function and waits for the end of its answer.
    pub(crate) async fn call_whole(&self, event: Bytes) -> Option<(Reply, Vec<u8>)> {
        let mut reply = self.call(event).await?;
        let mut whole = Vec::new();
        while let Some(bytes) = reply.body.recv().await {
            whole.extend_from_slice(&bytes.ok()?);
        }
        Some((reply, whole))
    }
}

fn status(code: StatusCode, body: Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = code;
    response
}

/// An environment that waits for an event, until it has one or is gone.
struct Idle<'a>(&'a AtomicU64);

impl<'a> Idle<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `GET /invocation/next`: waits for an event.
pub(crate) async fn next(State(function): State<Function>) -> Response {
    function.0.polls.fetch_add(1, Ordering::Relaxed);
    let event = {
        let _idle = Idle::new(&function.0.waiting);
        function.0.next.lock().await.recv().await
    };
    let Some(waiting) = event else {
        return status(StatusCode::SERVICE_UNAVAILABLE, json!({}));
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", waiting.id)
        .header("lambda-runtime-deadline-ms", (now + waiting.deadline).as_millis().to_string())
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:gateway")
        .header("lambda-runtime-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0")
        .body(Body::from(waiting.event))
        .unwrap_or_default()
}

/// `POST /invocation/{id}/response`.
pub(crate) async fn response(State(function): State<Function>, Path(id): Path<String>, request: Request) -> Response {
    let streaming = header(request.headers(), "lambda-runtime-function-response-mode") == "streaming";
    take(&function, &id, request, streaming, None).await
}

/// `POST /invocation/{id}/error`.
pub(crate) async fn error(State(function): State<Function>, Path(id): Path<String>, request: Request) -> Response {
    let kind = header(request.headers(), "lambda-runtime-function-error-type");
    take(&function, &id, request, false, Some(kind)).await
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

async fn take(function: &Function, id: &str, request: Request, streaming: bool, error: Option<String>) -> Response {
    let Some(under) = function.under_way().remove(id) else {
        return status(StatusCode::BAD_REQUEST, json!({"errorType": "InvalidRequestID", "errorMessage": id}));
    };
    let (sender, body) = mpsc::channel(64);
    let reply = Reply { streaming, error, body, head_ms: under.since.elapsed().as_millis() };
    // A front door that gave up is no business of the function.
    let _ = under.reply.send(reply);
    let mut incoming = request.into_body();
    let mut size = 0;
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else {
            let _ = sender.send(Err(Broken)).await;
            return status(StatusCode::BAD_REQUEST, json!({"errorType": "BrokenBody"}));
        };
        match frame.into_data() {
            Ok(data) => {
                size += data.len();
                if !streaming && size > BUFFERED_LIMIT {
                    let told = json!({"errorType": "Function.ResponseSizeTooLarge"});
                    return status(StatusCode::PAYLOAD_TOO_LARGE, told);
                }
                let _ = sender.send(Ok(data)).await;
            }
            Err(other) => {
                // An error in the middle of a stream comes as trailers; the fronts show it to the test in the body.
                let kind = other.trailers_ref().map(|all| header(all, "lambda-runtime-function-error-type"));
                if let Some(kind) = kind.filter(|kind| !kind.is_empty()) {
                    let text = format!("\n!! Lambda-Runtime-Function-Error-Type: {kind}\n");
                    let _ = sender.send(Ok(Bytes::from(text))).await;
                }
            }
        }
    }
    status(StatusCode::ACCEPTED, json!({"status": "OK"}))
}

/// `POST /init/error`.
pub(crate) async fn init_error(State(function): State<Function>, body: Bytes) -> Response {
    let error = serde_json::from_slice(&body).unwrap_or(Value::Null);
    function.0.init_errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    status(StatusCode::ACCEPTED, json!({"status": "OK"}))
}

/// `GET /stats`: how often the function asked for work, how many environments wait for it now, and how an init failed.
pub(crate) async fn stats(State(function): State<Function>) -> String {
    let errors = function.0.init_errors.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    json!({"polls": count(&function.0.polls), "waiting": count(&function.0.waiting), "initErrors": errors}).to_string()
}

/// `POST /invoke`: an event in, the function's own bytes out, with `x-head-ms`, `x-mode` and `x-function-error`.
/// A request header `x-deadline-ms` is how much time the function is told that it has. One that takes longer is not stopped before the time of all: its
/// lateness can be read in `x-head-ms`.
pub(crate) async fn invoke(State(function): State<Function>, headers: HeaderMap, body: Bytes) -> Response {
    let deadline = header(&headers, "x-deadline-ms").parse().map_or(function.0.timeout, Duration::from_millis);
    let Some(mut reply) = function.call_told(body, deadline).await else {
        return status(StatusCode::GATEWAY_TIMEOUT, json!({"errorType": "Sandbox.Timedout"}));
    };
    let builder = Response::builder()
        .header("x-head-ms", reply.head_ms.to_string())
        .header("x-mode", if reply.streaming { "streaming" } else { "buffered" })
        .header("x-function-error", reply.error.take().unwrap_or_default());
    let body = futures_util::stream::poll_fn(move |context| reply.body.poll_recv(context));
    builder.body(Body::from_stream(body)).unwrap_or_default()
}
