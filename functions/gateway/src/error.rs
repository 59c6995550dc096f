//! Faults as HTTP answers. The one place where a fault becomes a status.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};
use tollgate_auth::{AuthError, AuthErrorKind};
use tollgate_limits::Refusal;
use tollgate_wire::codec::{self, Dialect};
use tollgate_wire::fault::scrub;
use tollgate_wire::ir::{Fault, FaultKind};
use tollgate_wire::json;

/// The official SDKs obey it over their own judgement by status.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// A wait that is no whole number of seconds.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// Statuses whose body, when the upstream speaks the client's own dialect, goes through as the upstream wrote it.
const VERBATIM: [u16; 8] = [400, 404, 409, 413, 415, 422, 429, 529];

/// The status that a fault means for the client. An upstream's own 5xx is a 502 here, unless it says "later" (503, 529) or "too late" (504).
pub fn status(fault: &Fault, client: Dialect) -> StatusCode {
    match fault.kind {
        FaultKind::InvalidRequest if fault.status == Some(422) => StatusCode::UNPROCESSABLE_ENTITY,
        FaultKind::InvalidRequest | FaultKind::ContextLength | FaultKind::ContentFilter => StatusCode::BAD_REQUEST,
        FaultKind::Authentication => StatusCode::UNAUTHORIZED,
        FaultKind::Permission => StatusCode::FORBIDDEN,
        FaultKind::NotFound => StatusCode::NOT_FOUND,
        FaultKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        FaultKind::Conflict => StatusCode::CONFLICT,
        FaultKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FaultKind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        FaultKind::RateLimited | FaultKind::QuotaExhausted => StatusCode::TOO_MANY_REQUESTS,
        // Cohere's SDK has no exception for 502.
        FaultKind::Api if client == Dialect::Rerank => StatusCode::INTERNAL_SERVER_ERROR,
        FaultKind::Api => StatusCode::BAD_GATEWAY,
        FaultKind::Overloaded => match (fault.status, client) {
            (Some(529), Dialect::Messages) => StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            _ => StatusCode::SERVICE_UNAVAILABLE,
        },
        // 408 is for a body of the client's that did not come.
        FaultKind::Timeout if fault.code.is_none() && fault.status.is_none() => StatusCode::REQUEST_TIMEOUT,
        FaultKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        FaultKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
    }
}

/// The answer. `request_id` is for the body; the caller sets the headers that every answer has.
pub fn response(fault: &Fault, client: Dialect, request_id: &str) -> Response {
    let status = status(fault, client);
    let own =
        fault.body.as_ref().filter(|_| fault.status == Some(status.as_u16()) && VERBATIM.contains(&status.as_u16()));
    let body = match own.and_then(|body| std::str::from_utf8(body).ok()) {
        Some(text) => scrub(text).into(),
        None => codec::encode_error(client, fault, request_id),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(wait) = fault.retry_after {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        // The SDKs prefer it: <https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py>.
        if wait.subsec_nanos() > 0 {
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(wait.as_millis().try_into().unwrap_or(u64::MAX)));
        }
    }
    if let Some(retry) = if is_permanent(fault) { Some(false) } else { fault.should_retry } {
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static(if retry { "true" } else { "false" }));
    }
    response
}

/// Statuses that the official SDKs try again, for faults that stay: an empty account, a refused key of ours, what this build cannot do.
fn is_permanent(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::QuotaExhausted | FaultKind::NotImplemented)
        || fault.code.as_deref() == Some("upstream_credentials")
}

/// A token that was not accepted.
pub fn auth(error: &AuthError, client: Dialect, request_id: &str) -> Response {
    let (kind, code) = match error.kind() {
        AuthErrorKind::Missing | AuthErrorKind::Invalid => (FaultKind::Authentication, error.code()),
        AuthErrorKind::Forbidden => (FaultKind::Permission, error.code()),
        AuthErrorKind::Unavailable => (FaultKind::Overloaded, error.code()),
    };
    let mut response = response(&Fault::new(kind, error.to_string()).with_code(code), client, request_id);
    if kind != FaultKind::Overloaded
        && let Ok(challenge) = HeaderValue::from_str(&error.www_authenticate())
    {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// A request over a limit: 429, with three fields beside the dialect's own `error`, which are those of the webhook functions.
pub fn limited(refusal: &Refusal, client: Dialect, request_id: &str) -> Response {
    let fault = limit_fault(refusal);
    let (parts, _) = response(&fault, client, request_id).into_parts();
    let body = codec::encode_error(client, &fault, request_id);
    let mut fields: Map<String, Value> = json::read(&body).unwrap_or_default();
    fields.insert("allowed".to_owned(), Value::Bool(false));
    fields.insert("reason".to_owned(), Value::String(refusal.reason.clone()));
    fields.insert("retry_after_seconds".to_owned(), Value::from(refusal.retry_after_seconds()));
    Response::from_parts(parts, Body::from(Value::Object(fields).to_string()))
}

/// The refusal as a fault.
pub fn limit_fault(refusal: &Refusal) -> Fault {
    let (kind, code) = match refusal.exhausted {
        true => (FaultKind::QuotaExhausted, "insufficient_quota"),
        false => (FaultKind::RateLimited, "rate_limit_exceeded"),
    };
    let fault = Fault::new(kind, refusal.reason.clone()).with_code(code);
    Fault { retry_after: Some(Duration::from_secs(refusal.retry_after_seconds())), ..fault }
}

/// A wrong method.
pub fn method(allowed: &'static str, client: Dialect, request_id: &str) -> Response {
    let fault = Fault::new(FaultKind::MethodNotAllowed, format!("this path takes {allowed}"));
    let mut response = response(&fault, client, request_id);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_upstream::failover::FaultClass;

    #[test]
    fn googles_code_is_the_status() {
        for kind in FaultKind::ALL {
            for upstream in [None, Some(422), Some(500), Some(529)] {
                let fault = Fault { status: upstream, ..Fault::new(kind, "m") };
                let body = codec::encode_error(Dialect::GenerateContent, &fault, "r");
                let body: Value = serde_json::from_slice(&body).unwrap();
                let status = status(&fault, Dialect::GenerateContent);
                assert_eq!(body["error"]["code"], status.as_u16(), "{kind:?} {upstream:?}");
            }
        }
    }

    #[test]
    fn the_docs_know_every_kind_its_class_and_its_status() {
        let docs = include_str!("../../../docs/failover.md");
        for kind in FaultKind::ALL {
            // A 408 of the provider's, where that makes a difference.
            let fault = Fault { status: Some(408), ..Fault::new(kind, "m") };
            let class = FaultClass::of(&fault);
            // What is about the gateway's credentials is its own fault.
            let status = if class == FaultClass::Auth { 502 } else { status(&fault, Dialect::Chat).as_u16() };
            let row = docs.lines().find(|line| line.starts_with(&format!("| `{}` |", kind.name())));
            let row = row.unwrap_or_else(|| panic!("docs/failover.md has no row for {kind:?}"));
            let said = format!("| {} | {status}", class.name().replace('_', " "));
            assert!(row.contains(&said), "{row}: not {said}");
        }
    }

    #[test]
    fn a_wait_is_in_whole_seconds_and_in_milliseconds_where_it_is_none() {
        let headers = |millis| {
            let fault =
                Fault { retry_after: Some(Duration::from_millis(millis)), ..Fault::new(FaultKind::RateLimited, "m") };
            let answer = response(&fault, Dialect::Chat, "r");
            let text = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            (text("retry-after"), text("retry-after-ms"))
        };
        assert_eq!(headers(2_000), (Some("2".to_owned()), None));
        assert_eq!(headers(1_500), (Some("2".to_owned()), Some("1500".to_owned())));
    }

    #[test]
    fn a_providers_word_on_trying_again_reaches_the_client_unless_the_gateway_knows_better() {
        let said = |kind, should_retry| {
            let answer = response(&Fault { should_retry, ..Fault::new(kind, "m") }, Dialect::Chat, "r");
            answer.headers().get("x-should-retry").map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(said(FaultKind::Overloaded, None), None);
        assert_eq!(said(FaultKind::Overloaded, Some(true)).as_deref(), Some("true"));
        assert_eq!(said(FaultKind::RateLimited, Some(false)).as_deref(), Some("false"));
        assert_eq!(said(FaultKind::QuotaExhausted, Some(true)).as_deref(), Some("false"));
    }
}
