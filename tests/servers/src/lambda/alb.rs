//! An ALB in front of a Lambda target,
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html>: HTTP in, its event, the
//! function, HTTP out. Its limits are 1 MB each way, its answer to a bad one of ours is 502, to an upgrade 400.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::runtime::Function;

const LIMIT: usize = 1 << 20;
const TARGET_GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/tollgate/6d0ecf831eec9f09";

/// A target group with single-value headers.
pub(crate) async fn single(State(function): State<Function>, request: Request) -> Response {
    forward(&function, request, false).await
}

/// A target group with `lambda.multi_value_headers.enabled`.
pub(crate) async fn multi(State(function): State<Function>, request: Request) -> Response {
    forward(&function, request, true).await
}

async fn forward(function: &Function, request: Request, multi: bool) -> Response {
    let (head, body) = request.into_parts();
    if head.headers.contains_key("upgrade") {
        return own(StatusCode::BAD_REQUEST);
    }
    let Ok(body) = axum::body::to_bytes(body, LIMIT).await else { return own(StatusCode::PAYLOAD_TOO_LARGE) };
    let event = event(&head, &body, multi);
    let Some((reply, answer)) = function.call_whole(event.to_string().into()).await else {
        return own(StatusCode::GATEWAY_TIMEOUT);
    };
    if reply.error.is_some() || reply.streaming || answer.len() > LIMIT {
        return own(StatusCode::BAD_GATEWAY);
    }
    let answer: Value = serde_json::from_slice(&answer).unwrap_or(Value::Null);
    response(&answer, multi).unwrap_or_else(|| own(StatusCode::BAD_GATEWAY))
}

/// What the load balancer says itself.
fn own(status: StatusCode) -> Response {
    let text =
        format!("<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert("server", HeaderValue::from_static("awselb/2.0"));
    response
}

fn event(head: &Parts, body: &Bytes, multi: bool) -> Value {
    let mut event = json!({
        "requestContext": {"elb": {"targetGroupArn": TARGET_GROUP}},
        "httpMethod": head.method.as_str(),
        "path": head.uri.path(),
    });
    // The load balancer decodes neither names nor values of the query.
    let query = head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let query = query.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let headers = head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
    let added = [
        ("x-amzn-trace-id", "Root=1-5c34e93e-4dea0086f9763ac0667b115a"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
    ];
    let headers = headers.chain(added);
    if multi {
        event["multiValueQueryStringParameters"] = many(query);
        event["multiValueHeaders"] = many(headers);
    } else {
        event["queryStringParameters"] = last(query);
        event["headers"] = last(headers);
    }
    let binary = head.headers.contains_key("content-encoding") || !is_text(&head.headers);
    event["body"] = if binary { json!(STANDARD.encode(body)) } else { json!(String::from_utf8_lossy(body)) };
    event["isBase64Encoded"] = json!(binary && !body.is_empty());
    event
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("text/plain");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/") || ["application/json", "application/javascript", "application/xml"].contains(&kind)
}

fn last<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    Value::Object(pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

fn many<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let mut all = Map::new();
    for (name, value) in pairs {
        let values = all.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(json!(value));
        }
    }
    Value::Object(all)
}

/// The function's answer as HTTP; nothing when the load balancer would not take it.
fn response(answer: &Value, multi: bool) -> Option<Response> {
    let status = StatusCode::from_u16(u16::try_from(answer["statusCode"].as_u64()?).ok()?).ok()?;
    let text = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"] == true { STANDARD.decode(text).ok()? } else { text.as_bytes().to_vec() };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    // Each mode reads only its own member.
    let field = if multi { "multiValueHeaders" } else { "headers" };
    for (name, value) in answer[field].as_object().into_iter().flatten() {
        let name: HeaderName = name.parse().ok()?;
        if ["connection", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            continue;
        }
        let values = if multi { value.as_array()?.clone() } else { vec![value.clone()] };
        for value in values {
            response.headers_mut().append(&name, value.as_str()?.parse().ok()?);
        }
    }
    Some(response)
}
