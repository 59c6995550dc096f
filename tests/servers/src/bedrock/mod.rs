//! A Bedrock runtime: InvokeModel and Converse, plain and streaming, with the checks and the frames of the real one; InvokeModel for embeddings and
//! reranks, CountTokens.
//!
//! 1. `journal`: the request is written down (`GET /journal?contains=...`, `GET /stats`, `DELETE /journal`, `PUT /release?contains=...`).
//! 2. The model's id must be one percent-encoded path segment, the signature SigV4; else 404 and 403.
//! 3. A fault marker answers with its exception, before any check (`FAULTS`); `[hang]` with nothing.
//! 4. The body is checked (`invoke.rs`, `converse.rs`, `embeddings.rs`, `unary.rs`); else 400 `ValidationException`.
//! 5. The answer of `script.rs`. Streaming has more markers: `[error-first]` and `[error-late]` (an exception frame before
//!    and after the first content), `[throttle-first]` (its name is `throttlingException`), `[cut-early]` and `[cut-late]`
//!    (the connection breaks), `[end-late]` (a clean end without the last events), `[hang-early]` and `[hang-late]`,
//!    `[held]` (stops until it is released), `[split]` (every byte on its own). Plain answers know the cuts too.

mod converse;
mod embeddings;
mod frames;
mod invoke;
mod unary;

use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, put};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::anthropic;
use crate::journal::{Call, Journal, Outcome};
use crate::script::{self, Answer, Asked};

const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Marker, status, exception, message.
const FAULTS: [(&str, u16, &str, &str); 9] = [
    ("throttle", 429, "ThrottlingException", "Too many requests, please wait before trying again."),
    ("not-ready", 429, "ModelNotReadyException", "The model is not ready to serve inference requests."),
    ("unavailable", 503, "ServiceUnavailableException", "The service is temporarily unavailable."),
    ("internal", 500, "InternalServerException", "The system encountered an unexpected error during processing."),
    ("model-timeout", 408, "ModelTimeoutException", "The model took too long to answer."),
    ("model-error", 424, "ModelErrorException", "The model could not process the request."),
    ("validation", 400, "ValidationException", "The provided request is not valid"),
    ("denied", 403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
    ("not-found", 404, "ResourceNotFoundException", "The provided model identifier could not be found."),
];

/// Serves until the process ends.
pub(crate) async fn serve() -> std::io::Result<()> {
    let journal = Journal::default();
    let app = Router::new()
        .route("/journal", get(list).delete(forget))
        .route("/stats", get(stats))
        .route("/release", put(release))
        .fallback(model)
        .with_state(journal);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    crate::announce(&json!({"listen": format!("http://{}", listener.local_addr()?)}))?;
    axum::serve(listener, app).await
}

async fn list(State(journal): State<Journal>, uri: Uri) -> String {
    journal.list(needle(&uri)).to_string()
}

fn needle(uri: &Uri) -> &str {
    uri.query().and_then(|query| query.strip_prefix("contains=")).unwrap_or_default()
}

async fn release(State(journal): State<Journal>, uri: Uri) -> String {
    journal.release(needle(&uri));
    "{}".to_owned()
}

async fn forget(State(journal): State<Journal>) -> String {
    journal.forget();
    "{}".to_owned()
}

async fn stats(State(journal): State<Journal>) -> String {
    journal.stats().to_string()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Invoke,
    InvokeStream,
    Converse,
    ConverseStream,
    CountTokens,
}

/// What InvokeModel says besides conversations.
struct Said {
    body: Value,
    /// For the header of every answer of InvokeModel.
    input_tokens: u64,
}

impl Operation {
    fn streams(self) -> bool {
        matches!(self, Self::InvokeStream | Self::ConverseStream)
    }
}

async fn model(State(journal): State<Journal>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, 64 << 20).await else {
        return exception(413, "RequestEntityTooLargeException", "The request is too large.");
    };
    let number = journal.record(head.method.as_str(), head.uri.path(), &head.headers, &body);
    let call = Call::new(journal, number);
    let Some((model, operation)) = target(head.uri.path()) else {
        call.end(Outcome::Complete);
        return exception(404, "UnknownOperationException", "The path is no operation of this service.");
    };
    if let Some(refusal) = signature_fault(&head.headers) {
        call.end(Outcome::Complete);
        return refusal;
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    answer(operation, &model, &body, call).await
}

/// Model id and operation of `/model/{id}/{operation}`.
fn target(path: &str) -> Option<(String, Operation)> {
    let mut parts = path.strip_prefix("/model/")?.split('/');
    let (model, operation) = (parts.next()?, parts.next()?);
    if parts.next().is_some() || model.is_empty() {
        return None;
    }
    let operation = match operation {
        "invoke" => Operation::Invoke,
        "invoke-with-response-stream" => Operation::InvokeStream,
        "converse" => Operation::Converse,
        "converse-stream" => Operation::ConverseStream,
        "count-tokens" => Operation::CountTokens,
        _ => return None,
    };
    Some((percent_decoded(model), operation))
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) if *first == b'%' => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn signature_fault(headers: &HeaderMap) -> Option<Response> {
    let value = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scope_ends = value.contains("/bedrock/aws4_request");
    let dated = headers.contains_key("x-amz-date");
    if value.starts_with("AWS4-HMAC-SHA256 Credential=") && scope_ends && dated {
        return None;
    }
    let message = "Authorization header requires a SigV4 signature for the service bedrock.";
    Some(exception(403, "MissingAuthenticationTokenException", message))
}

/// An object of no other members than these.
fn only(body: &Value, known: &[&str]) -> Result<(), String> {
    let members = body.as_object().ok_or("Malformed input request, please reformat your input.")?;
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(stranger) => Err(format!("Malformed input request: extraneous key [{stranger}] is not permitted")),
        None => Ok(()),
    }
}

/// What is no conversation; nothing where it is one.
fn answer_unary(operation: Operation, model: &str, body: &Value) -> Option<Response> {
    let said = match operation {
        Operation::CountTokens => unary::count(model, body).map(|body| Said { body, input_tokens: 0 }),
        Operation::Invoke => embeddings::answer(model, body).or_else(|| unary::rerank(model, body))?,
        _ => return None,
    };
    let texts = [embeddings::texts(body).join(" "), body["query"].as_str().unwrap_or_default().to_owned()];
    let asked = Asked { text: texts.join(" "), ..Asked::default() }.with_model(model);
    if let Some((_, status, kind, message)) = FAULTS.iter().find(|(marker, ..)| asked.has(marker)) {
        return Some(exception(*status, kind, message));
    }
    let said = match said {
        Ok(said) => said,
        Err(message) => return Some(exception(400, "ValidationException", &message)),
    };
    let builder = Response::builder()
        .header("content-type", "application/json")
        .header("x-amzn-requestid", "fa4e0000-0000-4000-8000-000000000000")
        .header("x-amzn-bedrock-input-token-count", said.input_tokens);
    Some(builder.body(Body::from(said.body.to_string())).unwrap_or_default())
}

async fn answer(operation: Operation, model: &str, body: &Value, call: Call) -> Response {
    if let Some(response) = answer_unary(operation, model, body) {
        call.end(Outcome::Complete);
        return response;
    }
    let claude = matches!(operation, Operation::Invoke | Operation::InvokeStream);
    let asked = if claude { anthropic::asked(body) } else { converse::asked(body) }.with_model(model);
    if asked.has("hang") {
        tokio::time::sleep(LONGEST_WAIT).await;
    }
    let known = FAULTS.iter().find(|(marker, ..)| asked.has(marker));
    let refused = match known {
        Some((_, status, kind, message)) => Some(exception(*status, kind, message)),
        None if claude && !model.contains("anthropic.") => {
            Some(exception(400, "ValidationException", "Only Anthropic bodies are known to InvokeModel here."))
        }
        None => {
            let fault = if claude { invoke::fault(body) } else { converse::fault(body) };
            fault.map(|message| exception(400, "ValidationException", &message))
        }
    };
    if let Some(refused) = refused {
        call.end(Outcome::Complete);
        return refused;
    }
    let tool_id = |n| if claude { format!("toolu_bdrk_{n:02}fake") } else { format!("tooluse_{n:02}fake") };
    let answer = script::answer(&asked, tool_id);
    if operation.streams() {
        return stream(frames_of(operation, &answer), &asked, operation, call);
    }
    let body = if claude {
        anthropic::message(&answer, "msg_bdrk_fake", model_name(model))
    } else {
        converse::response(&answer)
    };
    plain(&answer, &asked, &body, call)
}

/// Claude on Bedrock names itself without the vendor and the version suffix.
fn model_name(model: &str) -> &str {
    let name = model.rsplit_once("anthropic.").map_or(model, |(_, name)| name);
    name.split_once("-v1").map_or(name, |(name, _)| name)
}

fn exception(status: u16, kind: &str, message: &str) -> Response {
    let mut response = Response::new(Body::from(json!({"message": message}).to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    let kind = format!("{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/");
    if let Ok(kind) = kind.parse() {
        headers.insert("x-amzn-errortype", kind);
    }
    headers.insert("x-amzn-requestid", http::HeaderValue::from_static("fa4e0000-0000-4000-8000-000000000000"));
    response
}

fn plain(answer: &Answer, asked: &Asked, body: &Value, call: Call) -> Response {
    let text = body.to_string();
    let builder = Response::builder()
        .header("content-type", "application/json")
        .header("x-amzn-requestid", "fa4e0000-0000-4000-8000-000000000000")
        .header("x-amzn-bedrock-input-token-count", answer.usage.input)
        .header("x-amzn-bedrock-output-token-count", answer.usage.output)
        .header("x-amzn-bedrock-invocation-latency", 412);
    if asked.has("cut-early") || asked.has("cut-late") {
        let kept = if asked.has("cut-late") { text.len() / 2 } else { 0 };
        let start = Bytes::copy_from_slice(text.as_bytes().get(..kept).unwrap_or_default());
        call.end(Outcome::Cut);
        let (sender, receiver) = mpsc::channel(2);
        for part in [Ok(start), Err(std::io::Error::other("cut, as asked"))] {
            // There is room for both.
            let _ = sender.try_send(part);
        }
        return builder.header("content-length", text.len()).body(flushed(receiver)).unwrap_or_default();
    }
    call.end(Outcome::Complete);
    builder.body(Body::from(text)).unwrap_or_default()
}

/// The frames of an answer, and how many of them come before the first content.
fn frames_of(operation: Operation, answer: &Answer) -> (Vec<Bytes>, usize) {
    if operation == Operation::ConverseStream {
        let events = converse::events(answer);
        let lead = events.iter().position(|(kind, _)| *kind == "contentBlockDelta").unwrap_or(0);
        return (events.into_iter().map(|(kind, payload)| frames::event(kind, payload)).collect(), lead);
    }
    let mut events = anthropic::events(answer, "msg_bdrk_fake", "claude-fake");
    if let Some(last) = events.last_mut() {
        last["amazon-bedrock-invocationMetrics"] = json!({
            "inputTokenCount": answer.usage.input, "outputTokenCount": answer.usage.output,
            "invocationLatency": 412, "firstByteLatency": 101,
            "cacheReadInputTokenCount": answer.usage.cache_read, "cacheWriteInputTokenCount": answer.usage.cache_write,
        });
    }
    let lead = events.iter().position(|event| event["type"] == "content_block_delta").unwrap_or(0);
    (events.iter().map(frames::chunk).collect(), lead)
}

enum Step {
    Send(Bytes),
    Pause(Duration),
    /// Until the test says so.
    Hold,
    Cut,
}

/// What a stream does, in order, under the markers of the request.
fn steps((frames, lead): (Vec<Bytes>, usize), asked: &Asked) -> Vec<Step> {
    let early = lead;
    let late = lead + 2;
    let broken = |kept: usize, end: Option<Step>| {
        frames.iter().take(kept).cloned().map(Step::Send).chain(end).collect::<Vec<_>>()
    };
    let error = |kind: &str| Some(Step::Send(frames::exception(kind, "The model stream broke.")));
    let has = |marker| asked.has(marker);
    if has("error-first") {
        return broken(0, error("modelStreamErrorException"));
    }
    if has("throttle-first") {
        return broken(early, error("throttlingException"));
    }
    if has("error-late") {
        return broken(late, error("modelStreamErrorException"));
    }
    if has("cut-early") || has("cut-late") {
        return broken(if has("cut-early") { early } else { late }, Some(Step::Cut));
    }
    if has("end-late") {
        return broken(late, None);
    }
    if has("hang-early") || has("hang-late") {
        return broken(if has("hang-early") { early } else { late }, Some(Step::Pause(LONGEST_WAIT)));
    }
    if has("split") {
        let bytes = frames.iter().flat_map(|frame| (0..frame.len()).map(|index| frame.slice(index..=index)));
        return bytes.map(Step::Send).collect();
    }
    let mut sends: Vec<_> = frames.into_iter().map(Step::Send).collect();
    if has("held") {
        sends.insert(script::BEFORE_THE_HOLD.min(sends.len()), Step::Hold);
    }
    sends
}

fn stream(frames: (Vec<Bytes>, usize), asked: &Asked, operation: Operation, call: Call) -> Response {
    let steps = steps(frames, asked);
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = play(steps, &sender, &call) => ended,
            () = sender.closed() => Outcome::Aborted,
        };
        call.end(ended);
    });
    let mut builder = Response::builder()
        .header("content-type", "application/vnd.amazon.eventstream")
        .header("x-amzn-requestid", "fa4e0000-0000-4000-8000-000000000000");
    if operation == Operation::InvokeStream {
        builder = builder.header("x-amzn-bedrock-content-type", "application/json");
    }
    builder.body(flushed(receiver)).unwrap_or_default()
}

/// A body whose error comes when everything before it is on the wire: the server drops what it still holds when a body fails.
fn flushed(mut parts: mpsc::Receiver<Result<Bytes, std::io::Error>>) -> Body {
    let mut failure = None;
    Body::from_stream(futures_util::stream::poll_fn(move |context| {
        if let Some(error) = failure.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match parts.poll_recv(context) {
            Poll::Ready(Some(Err(error))) => {
                // The server writes out what it has before it asks again.
                failure = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            other => other,
        }
    }))
}

async fn play(steps: Vec<Step>, sender: &mpsc::Sender<Result<Bytes, std::io::Error>>, call: &Call) -> Outcome {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if sender.send(Ok(bytes)).await.is_err() {
                    return Outcome::Aborted;
                }
            }
            Step::Pause(time) => tokio::time::sleep(time).await,
            Step::Hold => call.released().await,
            Step::Cut => {
                // It closes the connection without an end.
                if sender.send(Err(std::io::Error::other("cut, as asked"))).await.is_err() {
                    return Outcome::Aborted;
                }
                return Outcome::Cut;
            }
        }
    }
    Outcome::Complete
}
