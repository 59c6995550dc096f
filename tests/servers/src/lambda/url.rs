//! A function URL with response streaming, <https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html>:
//! the event is payload version 2.0; the answer is a prelude (JSON), eight NUL bytes, and the body as it comes. A function
//! that answers buffered is understood too.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::runtime::{Function, Reply};

const LIMIT: usize = 6 << 20;
const SEPARATOR: [u8; 8] = [0; 8];
const HOST: &str = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws";

/// Forwards a request to the function.
pub(crate) async fn forward(State(function): State<Function>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LIMIT).await else { return own(StatusCode::PAYLOAD_TOO_LARGE) };
    let event = event(&head, &body).to_string();
    let Some(reply) = function.call(event.into()).await else {
        return own(StatusCode::GATEWAY_TIMEOUT);
    };
    if reply.error.is_some() {
        return own(StatusCode::BAD_GATEWAY);
    }
    let answer = if reply.streaming { streamed(reply).await } else { buffered(reply).await };
    answer.unwrap_or_else(|| own(StatusCode::BAD_GATEWAY))
}

fn own(status: StatusCode) -> Response {
    let mut response = Response::new(Body::from(r#"{"Message":"said by the front door"}"#));
    *response.status_mut() = status;
    response
}

fn event(head: &Parts, body: &Bytes) -> Value {
    let mut headers = Map::new();
    for (name, value) in &head.headers {
        let value = value.to_str().unwrap_or_default();
        let joined = headers.get(name.as_str()).and_then(Value::as_str).map(|earlier| format!("{earlier},{value}"));
        headers.insert(name.as_str().to_owned(), json!(joined.as_deref().unwrap_or(value)));
    }
    headers.insert("host".to_owned(), json!(HOST));
    let path = head.uri.path();
    let binary = std::str::from_utf8(body).is_err();
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": head.uri.query().unwrap_or_default(),
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous", "apiId": "abcdefghijklmnopqrstuvwxyz012345", "domainName": HOST,
            "domainPrefix": "abcdefghijklmnopqrstuvwxyz012345",
            "http": {
                "method": head.method.as_str(), "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7",
                "userAgent": "test",
            },
            "requestId": "6a1f0c8e-0000-4000-8000-000000000000", "routeKey": "$default", "stage": "$default",
            "time": "22/Nov/2025:13:48:00 +0000", "timeEpoch": 1_763_819_280_000_u64,
        },
        "body": if binary { STANDARD.encode(body) } else { String::from_utf8_lossy(body).into_owned() },
        "isBase64Encoded": binary,
    })
}

fn head_of(prelude: &Value) -> Option<http::response::Builder> {
    let status = StatusCode::from_u16(u16::try_from(prelude["statusCode"].as_u64()?).ok()?).ok()?;
    let mut builder = Response::builder().status(status);
    for (name, value) in prelude["headers"].as_object().into_iter().flatten() {
        let name: HeaderName = name.parse().ok()?;
        if !["connection", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            builder = builder.header(name, value.as_str()?.parse::<HeaderValue>().ok()?);
        }
    }
    Some(builder)
}

async fn buffered(mut reply: Reply) -> Option<Response> {
    let mut whole = Vec::new();
    while let Some(bytes) = reply.body.recv().await {
        whole.extend_from_slice(&bytes.ok()?);
    }
    let answer: Value = serde_json::from_slice(&whole).ok()?;
    let text = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"] == true { STANDARD.decode(text).ok()? } else { text.as_bytes().to_vec() };
    head_of(&answer)?.body(Body::from(body)).ok()
}

async fn streamed(mut reply: Reply) -> Option<Response> {
    let mut start = Vec::new();
    let end = loop {
        if let Some(end) = start.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
            break end;
        }
        start.extend_from_slice(&reply.body.recv().await?.ok()?);
    };
    let prelude: Value = serde_json::from_slice(start.get(..end)?).ok()?;
    let rest = Bytes::copy_from_slice(start.get(end + SEPARATOR.len()..)?);
    let builder = head_of(&prelude)?;
    let (sender, mut receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        // When the caller has gone, the function still streams to its end: Lambda does not stop it either.
        let _ = sender.send(Ok(rest)).await;
        while let Some(bytes) = reply.body.recv().await {
            let _ = sender.send(bytes).await;
        }
    });
    let body = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    builder.body(Body::from_stream(body)).ok()
}
