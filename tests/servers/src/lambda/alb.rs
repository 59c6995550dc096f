//! An ALB in front of a Lambda target, as its documentation has it
//! (<https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html> and `load-balancer-troubleshooting.html` beside it): HTTP
//! in, its event, the function, HTTP out.
//!
//! 1. `refusal`: what no target ever sees. An upgrade is 400, a request line over 16 K is 414, a header over 16 K or headers over 64 K are 400, an
//!    `X-Forwarded-For` with more than 30 addresses is 463, a body over 1 MB is 413.
//! 2. `event`: the request as JSON, in one of the two header modes of a target group.
//! 3. The function: its error, its time-out and an answer over 1 MB are 502; no answer within the idle timeout is 504.
//! 4. `response`: its answer as HTTP; what is not in the documented form is 502.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::runtime::Function;

/// A request's body, and the JSON of an answer.
const LIMIT: usize = 1 << 20;
const REQUEST_LINE_LIMIT: usize = 16 << 10;
const HEADER_LIMIT: usize = 16 << 10;
const REQUEST_HEADERS_LIMIT: usize = 64 << 10;
const RESPONSE_HEADERS_LIMIT: usize = 32 << 10;
const FORWARDED_LIMIT: usize = 30;
const TARGET_GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/tollgate/6d0ecf831eec9f09";
const CLIENT: &str = "203.0.113.7";
/// Of one connection; the load balancer speaks for itself to the client.
const HOP_BY_HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// One target group.
#[derive(Clone)]
pub(crate) struct TargetGroup {
    pub(crate) function: Function,
    /// `lambda.multi_value_headers.enabled`.
    pub(crate) multi: bool,
    /// The load balancer's `idle_timeout.timeout_seconds`.
    pub(crate) idle_timeout: Duration,
}

/// A request of a client.
pub(crate) async fn forward(State(group): State<TargetGroup>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if let Some(status) = refusal(&head) {
        return own(status);
    }
    let Ok(body) = axum::body::to_bytes(body, LIMIT).await else { return own(StatusCode::PAYLOAD_TOO_LARGE) };
    let event = event(&head, &body, group.multi);
    match tokio::time::timeout(group.idle_timeout, invoked(&group, event)).await {
        Ok(Some(response)) => response,
        Ok(None) => own(StatusCode::BAD_GATEWAY),
        Err(_) => own(StatusCode::GATEWAY_TIMEOUT),
    }
}

/// The target's health check, once: `GET /` of nobody. Answers what the function said; a load balancer would want a 200.
pub(crate) async fn health(State(group): State<TargetGroup>) -> Response {
    let mut event = json!({
        "requestContext": {"elb": {"targetGroupArn": TARGET_GROUP}},
        "httpMethod": "GET", "path": "/", "body": "", "isBase64Encoded": false,
    });
    let agent = [("user-agent", "ELB-HealthChecker/2.0")].into_iter();
    if group.multi {
        event["multiValueQueryStringParameters"] = json!({});
        event["multiValueHeaders"] = many(agent);
    } else {
        event["queryStringParameters"] = json!({});
        event["headers"] = last(agent);
    }
    invoked(&group, event).await.unwrap_or_else(|| own(StatusCode::BAD_GATEWAY))
}

/// Nothing: the function failed, ran out of its time, or answered what no load balancer takes.
async fn invoked(group: &TargetGroup, event: Value) -> Option<Response> {
    let (reply, answer) = group.function.call_whole(event.to_string().into()).await?;
    if reply.error.is_some() || reply.streaming || answer.len() > LIMIT {
        return None;
    }
    response(&serde_json::from_slice(&answer).ok()?, group.multi)
}

/// What the load balancer says itself.
fn own(status: StatusCode) -> Response {
    let text =
        format!("<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert("server", HeaderValue::from_static("awselb/2.0"));
    response.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
    response
}

fn refusal(head: &Parts) -> Option<StatusCode> {
    let sizes = || head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    let forwarded = text(&head.headers, "x-forwarded-for").map_or(0, |list| list.split(',').count());
    let line = head.method.as_str().len() + head.uri.to_string().len();
    if line > REQUEST_LINE_LIMIT {
        return Some(StatusCode::URI_TOO_LONG);
    }
    if head.headers.contains_key("upgrade")
        || sizes().any(|size| size > HEADER_LIMIT)
        || sizes().sum::<usize>() > REQUEST_HEADERS_LIMIT
    {
        return Some(StatusCode::BAD_REQUEST);
    }
    (forwarded > FORWARDED_LIMIT).then(|| StatusCode::from_u16(463).unwrap_or(StatusCode::BAD_REQUEST))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
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
    let added = added(&head.headers);
    let replaced = |name: &str| added.iter().any(|(new, _)| *new == name);
    let headers =
        head.headers.iter().filter(|(name, _)| !replaced(name.as_str()) && name.as_str() != "transfer-encoding");
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
    let headers = headers.chain(added.iter().map(|(name, value)| (*name, value.as_str())));
    if multi {
        event["multiValueQueryStringParameters"] = many(query);
        event["multiValueHeaders"] = many(headers);
    } else {
        event["queryStringParameters"] = last(query);
        event["headers"] = last(headers);
    }
    let binary = !body.is_empty() && (head.headers.contains_key("content-encoding") || !is_text(&head.headers));
    event["body"] = if binary { json!(STANDARD.encode(body)) } else { json!(String::from_utf8_lossy(body)) };
    event["isBase64Encoded"] = json!(binary);
    event
}

/// The load balancer's own headers: the client's address comes after those that the request names, its trace joins the client's, and port and protocol
/// are the listener's whatever the client says.
fn added(headers: &HeaderMap) -> [(&'static str, String); 4] {
    let before = text(headers, "x-forwarded-for").map(|list| format!("{list}, ")).unwrap_or_default();
    let trace = match text(headers, "x-amzn-trace-id") {
        Some(given) => format!("Self=1-5c34e93e-4dea0086f9763ac0667b115b;{given}"),
        None => "Root=1-5c34e93e-4dea0086f9763ac0667b115a".to_owned(),
    };
    [
        ("x-amzn-trace-id", trace),
        ("x-forwarded-for", format!("{before}{CLIENT}")),
        ("x-forwarded-port", "443".to_owned()),
        ("x-forwarded-proto", "https".to_owned()),
    ]
}

/// The content types whose bodies go as they are; all others go in base64.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = text(headers, "content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&kind.as_str())
}

/// Of several values the last one.
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
    let text = match &answer["body"] {
        Value::Null => "",
        body => body.as_str()?,
    };
    let body = if answer["isBase64Encoded"] == true { STANDARD.decode(text).ok()? } else { text.as_bytes().to_vec() };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    // Each mode reads only its own member.
    let field = if multi { "multiValueHeaders" } else { "headers" };
    let mut size = 0;
    for (name, value) in answer[field].as_object().into_iter().flatten() {
        let name: HeaderName = name.parse().ok()?;
        if name == "content-length" || HOP_BY_HOP.contains(&name.as_str()) {
            continue;
        }
        let values = if multi { value.as_array()?.clone() } else { vec![value.clone()] };
        for value in values {
            let value: HeaderValue = value.as_str()?.parse().ok()?;
            size += name.as_str().len() + value.len();
            response.headers_mut().append(&name, value);
        }
    }
    (size <= RESPONSE_HEADERS_LIMIT).then_some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::builder().method("POST").uri("/v1/chat/completions?a=1&a=%20&b");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn event_of(headers: &[(&str, &str)], body: &'static [u8], multi: bool) -> Value {
        event(&head(headers), &Bytes::from_static(body), multi)
    }

    #[test]
    fn a_body_is_text_or_base64_by_its_content_type_and_encoding() {
        for (headers, text) in [
            (vec![("content-type", "application/json")], true),
            (vec![("content-type", "Application/JSON; charset=utf-8")], true),
            (vec![("content-type", "text/csv")], true),
            (vec![("content-type", "application/xml")], true),
            (vec![("content-type", "application/json"), ("content-encoding", "gzip")], false),
            (vec![("content-type", "application/x-www-form-urlencoded")], false),
            (vec![("content-type", "application/octet-stream")], false),
            (vec![], false),
        ] {
            let event = event_of(&headers, b"{}", true);
            assert_eq!(
                json!([event["isBase64Encoded"], event["body"]]),
                if text { json!([false, "{}"]) } else { json!([true, "e30="]) },
                "{headers:?}"
            );
        }
        let empty = event_of(&[], b"", false);
        assert_eq!((&empty["isBase64Encoded"], &empty["body"]), (&json!(false), &json!("")));
    }

    #[test]
    fn each_header_mode_has_its_members_and_only_those() {
        let headers = [("accept", "a"), ("accept", "b")];
        let single = event_of(&headers, b"", false);
        assert_eq!(
            (&single["headers"]["accept"], &single["queryStringParameters"]),
            (&json!("b"), &json!({"a": "%20", "b": ""}))
        );
        assert!(single.get("multiValueHeaders").is_none());
        let multi = event_of(&headers, b"", true);
        assert_eq!(multi["multiValueHeaders"]["accept"], json!(["a", "b"]));
        assert_eq!(multi["multiValueQueryStringParameters"], json!({"a": ["1", "%20"], "b": [""]}));
        assert!(multi.get("headers").is_none());
    }

    #[test]
    fn a_client_cannot_say_where_it_is() {
        let claims = [("x-forwarded-for", "10.0.0.1"), ("x-forwarded-proto", "http"), ("x-forwarded-port", "1")];
        let headers = &event_of(&claims, b"", false)["headers"];
        assert_eq!(headers["x-forwarded-for"], "10.0.0.1, 203.0.113.7");
        assert_eq!((&headers["x-forwarded-proto"], &headers["x-forwarded-port"]), (&json!("https"), &json!("443")));
    }

    #[test]
    fn what_no_target_sees_has_its_status() {
        assert_eq!(refusal(&head(&[])), None);
        assert_eq!(refusal(&head(&[("upgrade", "websocket")])).map(|status| status.as_u16()), Some(400));
        assert_eq!(refusal(&head(&[("x", &"y".repeat(HEADER_LIMIT))])).map(|status| status.as_u16()), Some(400));
        let large = "y".repeat(15 << 10);
        assert_eq!(refusal(&head(&[("x", large.as_str()); 5])).map(|status| status.as_u16()), Some(400));
        assert_eq!(
            refusal(&head(&[("x-forwarded-for", &["1.1.1.1"; 31].join(","))])).map(|status| status.as_u16()),
            Some(463)
        );
        let long = http::Request::get(format!("/{}", "a".repeat(REQUEST_LINE_LIMIT))).body(()).unwrap().into_parts().0;
        assert_eq!(refusal(&long), Some(StatusCode::URI_TOO_LONG));
    }

    #[test]
    fn an_answer_in_another_form_is_none() {
        for bad in [
            json!(null),
            json!("text"),
            json!({}),
            json!({"statusCode": "200"}),
            json!({"statusCode": 20}),
            json!({"statusCode": 200, "body": {"a": 1}}),
            json!({"statusCode": 200, "body": "%", "isBase64Encoded": true}),
            json!({"statusCode": 200, "multiValueHeaders": {"a": "b"}}),
            json!({"statusCode": 200, "multiValueHeaders": {"a b": ["c"]}}),
            json!({"statusCode": 200, "multiValueHeaders": {"a": ["c\n"]}}),
            json!({"statusCode": 200, "multiValueHeaders": {"a": ["c".repeat(RESPONSE_HEADERS_LIMIT)]}}),
        ] {
            assert!(response(&bad, true).is_none(), "{bad}");
        }
        let good = json!({"statusCode": 204, "headers": {"connection": "close", "a": "b"}});
        let good = response(&good, false).unwrap();
        assert_eq!(
            (good.status().as_u16(), good.headers().len(), good.headers().get("a").unwrap()),
            (204, 1, &HeaderValue::from_static("b"))
        );
    }
}
