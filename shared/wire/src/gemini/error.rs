//! Errors: an upstream's to a fault, a fault to a client, in the form of Google's APIs (<https://cloud.google.com/apis/design/errors>).
//!
//! What is written, per kind. `code` is the HTTP status, and the SDK chooses its exception by that:
//!
//! | kind | `code` | `status` |
//! |---|---|---|
//! | `InvalidRequest`, `ContextLength`, `ContentFilter` | 400 (422) | `INVALID_ARGUMENT` |
//! | `Authentication` | 401 | `UNAUTHENTICATED` |
//! | `Permission` | 403 | `PERMISSION_DENIED` |
//! | `NotFound` | 404 | `NOT_FOUND` |
//! | `MethodNotAllowed`, `TooLarge`, `UnsupportedMedia` | 405, 413, 415 | `INVALID_ARGUMENT` |
//! | `Conflict` | 409 | `ABORTED` |
//! | `RateLimited`, `QuotaExhausted` | 429 | `RESOURCE_EXHAUSTED` |
//! | `Api` | 502 | `INTERNAL` |
//! | `Overloaded` | 503 | `UNAVAILABLE` |
//! | `Timeout` | 408, 504 | `DEADLINE_EXCEEDED` |
//! | `NotImplemented` | 501 | `UNIMPLEMENTED` |
//!
//! A fault's code stands in `details` as an `ErrorInfo`, its wait as a `RetryInfo`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::chat::error::names_of as names_of_openai;
use crate::fault::{code_of, kind_of_status, refine, scrub};
use crate::gemini::set;
use crate::ir::{Fault, FaultKind};
use crate::json;

/// More of an upstream's message helps nobody.
const MAX_MESSAGE_CHARS: usize = 2_000;
/// A wait is believed up to a day.
const DAY: Duration = Duration::from_secs(86_400);

/// Reads an upstream's non-2xx answer: `{"error": {code, message, status, details}}`, the same in an array (a stream without `?alt=sse`), or
/// whatever a proxy says.
pub fn decode_fault(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Fault {
    let (value, wrapped) = match json::read::<Value>(body) {
        Ok(Value::Array(items)) => (items.into_iter().next().unwrap_or_default(), true),
        Ok(value) => (value, false),
        Err(_) => (Value::Null, false),
    };
    match value.get("error") {
        Some(error @ Value::Object(_)) => {
            let mut fault = fault_of(Some(status), error);
            fault.body = Some(if wrapped { value.to_string().into() } else { Bytes::copy_from_slice(body) });
            fault
        }
        // OpenAI's reader knows every other form that a proxy may have.
        _ => Fault { body: None, ..crate::chat::decode_fault(status, headers, body) },
    }
}

/// Reads an error object, of an answer (`status`) or inside a stream.
pub(super) fn fault_of(status: Option<StatusCode>, error: &Value) -> Fault {
    let text = |key: &str| error.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let own =
        error.get("code").and_then(Value::as_u64).and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
    let known = status.filter(|status| status.as_u16() >= 400).or(own);
    let details = error.get("details").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let reason = detail(details, "ErrorInfo").and_then(|info| info.get("reason")).and_then(Value::as_str);
    let message = match (text("message"), known) {
        (Some(message), _) => scrub(&message.chars().take(MAX_MESSAGE_CHARS).collect::<String>()),
        (None, Some(status)) => format!("the provider answered {status}"),
        (None, None) => "the provider reported an error without a message".to_owned(),
    };
    let kind = reason
        .and_then(kind_of_reason)
        .or_else(|| text("status").and_then(|name| kind_of_name(name, known, details)))
        .or_else(|| known.map(kind_of_status))
        .map_or(FaultKind::Api, |kind| refine(kind, &message));
    let mut fault = Fault::new(kind, message);
    fault.status = status.map(|status| status.as_u16());
    fault.param = detail(details, "BadRequest").and_then(field).map(str::to_owned);
    // Neither the status' name, nor Google's reason for a kind that OpenAI has a code for: programs look for that one. (Google's clients get the body as it is.)
    let is_googles = |reason: &&str| reason.starts_with(|c: char| c.is_ascii_uppercase());
    let reason = reason.filter(|reason| !is_googles(reason) || names_of_openai(kind).1.is_none());
    fault.code = reason.map(str::to_owned).or_else(|| code_of(kind, &fault.message));
    fault.retry_after = detail(details, "RetryInfo").and_then(|info| seconds(info.get("retryDelay")?.as_str()?));
    fault
}

/// A detail of this type: `type.googleapis.com/google.rpc.RetryInfo`.
fn detail<'v>(details: &'v [Value], name: &str) -> Option<&'v Value> {
    let is = |detail: &&Value| {
        detail.get("@type").and_then(Value::as_str).and_then(|kind| kind.rsplit('.').next()) == Some(name)
    };
    details.iter().find(is)
}

fn field(bad_request: &Value) -> Option<&str> {
    bad_request.get("fieldViolations")?.get(0)?.get("field")?.as_str().filter(|field| !field.is_empty())
}

/// `34.07s`
fn seconds(text: &str) -> Option<Duration> {
    let wait = Duration::try_from_secs_f64(text.strip_suffix('s')?.parse().ok()?).ok()?;
    Some(wait.min(DAY))
}

/// Reasons that say more than a status: a wrong key is a 400 here.
fn kind_of_reason(reason: &str) -> Option<FaultKind> {
    Some(match reason {
        "API_KEY_INVALID" | "API_KEY_EXPIRED" | "ACCESS_TOKEN_EXPIRED" | "CREDENTIALS_MISSING" => {
            FaultKind::Authentication
        }
        "API_KEY_SERVICE_BLOCKED" | "SERVICE_DISABLED" | "BILLING_DISABLED" | "CONSUMER_SUSPENDED" => {
            FaultKind::Permission
        }
        _ => return None,
    })
}

/// The names of <https://cloud.google.com/apis/design/errors#handling_errors>.
fn kind_of_name(name: &str, status: Option<StatusCode>, details: &[Value]) -> Option<FaultKind> {
    Some(match name {
        // The account or the place, not the request: another provider may serve it.
        "FAILED_PRECONDITION" => FaultKind::Permission,
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" if status.is_none_or(|status| status == StatusCode::BAD_REQUEST) => {
            FaultKind::InvalidRequest
        }
        "UNAUTHENTICATED" => FaultKind::Authentication,
        "PERMISSION_DENIED" => FaultKind::Permission,
        "NOT_FOUND" => FaultKind::NotFound,
        "ABORTED" | "ALREADY_EXISTS" => FaultKind::Conflict,
        "RESOURCE_EXHAUSTED" if is_daily(details) => FaultKind::QuotaExhausted,
        "RESOURCE_EXHAUSTED" => FaultKind::RateLimited,
        "CANCELLED" | "INTERNAL" | "UNKNOWN" | "DATA_LOSS" => FaultKind::Api,
        "UNAVAILABLE" => FaultKind::Overloaded,
        "DEADLINE_EXCEEDED" => FaultKind::Timeout,
        "UNIMPLEMENTED" => FaultKind::NotFound,
        _ => return None,
    })
}

/// Is the quota one of a day? It does not help to try again in a minute.
fn is_daily(details: &[Value]) -> bool {
    let violations =
        detail(details, "QuotaFailure").and_then(|failure| failure.get("violations")).and_then(Value::as_array);
    let daily =
        |violation: &Value| violation.get("quotaId").and_then(Value::as_str).is_some_and(|id| id.contains("PerDay"));
    violations.is_some_and(|violations| violations.iter().any(daily))
}

/// Writes an error body for a client. `request_id` stands in it as a `RequestInfo`.
pub fn encode_error(fault: &Fault, request_id: &str) -> Bytes {
    let (code, status) = names_of(fault);
    let mut details = Vec::new();
    if fault.code.is_some() || fault.param.is_some() {
        let mut info = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "tollgate" });
        set(&mut info, "reason", fault.code.as_deref().unwrap_or(status));
        if let Some(param) = &fault.param {
            set(&mut info, "metadata", json!({ "param": param }));
        }
        details.push(info);
    }
    if let Some(wait) = fault.retry_after {
        let delay = format!("{}s", wait.as_secs_f64());
        details.push(json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }));
    }
    details.push(json!({ "@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": request_id }));
    let error = json!({ "code": code, "message": fault.message, "status": status, "details": details });
    Bytes::from(json!({ "error": error }).to_string())
}

fn names_of(fault: &Fault) -> (u16, &'static str) {
    const INVALID: &str = "INVALID_ARGUMENT";
    match fault.kind {
        FaultKind::InvalidRequest if fault.status == Some(422) => (422, INVALID),
        FaultKind::InvalidRequest | FaultKind::ContextLength | FaultKind::ContentFilter => (400, INVALID),
        FaultKind::Authentication => (401, "UNAUTHENTICATED"),
        FaultKind::Permission => (403, "PERMISSION_DENIED"),
        FaultKind::NotFound => (404, "NOT_FOUND"),
        FaultKind::MethodNotAllowed => (405, INVALID),
        FaultKind::Conflict => (409, "ABORTED"),
        FaultKind::TooLarge => (413, INVALID),
        FaultKind::UnsupportedMedia => (415, INVALID),
        FaultKind::RateLimited | FaultKind::QuotaExhausted => (429, "RESOURCE_EXHAUSTED"),
        FaultKind::Api => (502, "INTERNAL"),
        FaultKind::Overloaded => (503, "UNAVAILABLE"),
        FaultKind::Timeout if fault.code.is_none() && fault.status.is_none() => (408, "DEADLINE_EXCEEDED"),
        FaultKind::Timeout => (504, "DEADLINE_EXCEEDED"),
        FaultKind::NotImplemented => (501, "UNIMPLEMENTED"),
    }
}
