//! Errors: an upstream's to a fault, a fault to a client.
//!
//! What is written, per kind (<https://platform.openai.com/docs/guides/error-codes>; the SDKs choose their exception by the HTTP status, and programs
//! look at `code`):
//!
//! | kind | `type` | `code`, where the fault has none |
//! |---|---|---|
//! | `InvalidRequest`, `TooLarge`, `UnsupportedMedia`, `Conflict`, `NotImplemented` | `invalid_request_error` | `null` |
//! | `ContextLength` | `invalid_request_error` | `context_length_exceeded` |
//! | `ContentFilter` | `invalid_request_error` | `content_policy_violation` |
//! | `Authentication` | `invalid_request_error` | `invalid_api_key` |
//! | `Permission` | `request_forbidden` | `null` |
//! | `NotFound` | `invalid_request_error` | `null` |
//! | `MethodNotAllowed` | `invalid_request_error` | `method_not_supported` |
//! | `RateLimited` | `rate_limit_error` | `rate_limit_exceeded` |
//! | `QuotaExhausted` | `insufficient_quota` | `insufficient_quota` |
//! | `Api` | `server_error` | `null` |
//! | `Overloaded` | `service_unavailable_error` | `server_is_overloaded` |
//! | `Timeout` | `server_error` | `timeout` |

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::fault::{code_of_missing, kind_of_status, scrub};
use crate::ir::{Fault, FaultKind};

/// More of an upstream's message helps nobody.
const MAX_MESSAGE_CHARS: usize = 2_000;

/// Reads an upstream's non-2xx answer: `{"error": {...}}` as OpenAI writes it, `{"error": "text"}`, `{"message": ...}`, `{"detail": ...}`, plain
/// text, a proxy's HTML, or nothing. `retry_after` is left to the caller, who has a clock.
pub fn decode_fault(status: StatusCode, _headers: &HeaderMap, body: &[u8]) -> Fault {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => {
            // Azure's API management and a few others wrap it in an array.
            let value = match value {
                Value::Array(items) => items.into_iter().next().unwrap_or_default(),
                other => other,
            };
            let inner = value.get("error").filter(|error| !error.is_null()).unwrap_or(&value);
            let mut fault = fault_of(Some(status), inner);
            fault.body = Some(Bytes::copy_from_slice(body));
            fault
        }
        Err(_) => {
            let text = String::from_utf8_lossy(body.get(..body.len().min(4 * MAX_MESSAGE_CHARS)).unwrap_or_default());
            let text = text.trim();
            let page = text.starts_with('<');
            let message = if text.is_empty() || page { None } else { Some(text) };
            let mut fault = Fault::new(kind_of_status(status), message_of(message, Some(status)));
            fault.status = Some(status.as_u16());
            fault
        }
    }
}

/// Reads an error object, of an answer (`status`) or inside a stream (no status of its own, but several servers put one into `code`).
pub(crate) fn fault_of(status: Option<StatusCode>, error: &Value) -> Fault {
    let text = |key: &str| error.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let code = match error.get("code") {
        Some(Value::String(code)) if !code.is_empty() => Some(code.clone()),
        Some(Value::Number(code)) => Some(code.to_string()),
        _ => None,
    };
    let detail = error.get("detail").and_then(detail_of);
    let message = error.as_str().or_else(|| text("message")).or(detail.as_deref()).or_else(|| text("error"));
    let code_status = code.as_deref().and_then(|code| StatusCode::from_bytes(code.as_bytes()).ok());
    let known = status.or(code_status.filter(|status| status.as_u16() >= 400));
    let kind = [code.as_deref(), text("type")]
        .into_iter()
        .flatten()
        .find_map(kind_of_name)
        .or_else(|| message.and_then(|message| kind_of_message(known, message)))
        .or_else(|| known.map(kind_of_status))
        .or_else(|| text("type").and_then(kind_of_type))
        .unwrap_or(FaultKind::Api);
    let mut fault = Fault::new(kind, message_of(message, known));
    fault.status = status.map(|status| status.as_u16());
    fault.param = text("param").map(str::to_owned);
    fault.code = code.filter(|_| code_status.is_none()).or_else(|| code_of_missing(kind, &fault.message));
    fault
}

/// FastAPI's `detail`: text, or a list of `{"loc": [...], "msg": ...}`.
fn detail_of(detail: &Value) -> Option<String> {
    match detail {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let texts: Vec<&str> = items.iter().filter_map(|item| item.get("msg").and_then(Value::as_str)).collect();
            (!texts.is_empty()).then(|| texts.join("; "))
        }
        Value::Object(_) => detail.get("message").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    }
}

fn message_of(message: Option<&str>, status: Option<StatusCode>) -> String {
    match (message.filter(|message| !message.trim().is_empty()), status) {
        (Some(message), _) => {
            let cut: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
            scrub(&cut)
        }
        (None, Some(status)) => format!("the provider answered {status}"),
        (None, None) => "the provider reported an error without a message".to_owned(),
    }
}

/// Codes and types that say more than a status.
fn kind_of_name(name: &str) -> Option<FaultKind> {
    Some(match name {
        "context_length_exceeded" | "context_window_exceeded" => FaultKind::ContextLength,
        "content_filter" | "content_policy_violation" | "ResponsibleAIPolicyViolation" | "invalid_prompt" => {
            FaultKind::ContentFilter
        }
        "insufficient_quota"
        | "quota_exceeded"
        | "credit_balance_exhausted"
        | "billing_hard_limit_reached"
        | "billing_not_active" => FaultKind::QuotaExhausted,
        "invalid_api_key" | "authentication_error" | "invalid_authentication" => FaultKind::Authentication,
        "model_not_found" | "DeploymentNotFound" => FaultKind::NotFound,
        "rate_limit_exceeded" | "rate_limit_error" | "tokens_usage_based" => FaultKind::RateLimited,
        "slow_down" | "server_is_overloaded" | "service_unavailable_error" | "overloaded_error" => {
            FaultKind::Overloaded
        }
        _ => return None,
    })
}

/// vLLM and others say it only in words.
fn kind_of_message(status: Option<StatusCode>, message: &str) -> Option<FaultKind> {
    let bad_request = status.is_none_or(|status| matches!(status.as_u16(), 400 | 413 | 422));
    let lower = message.get(..500).unwrap_or(message).to_ascii_lowercase();
    let phrases = ["maximum context length", "context window", "context length"];
    (bad_request && phrases.iter().any(|phrase| lower.contains(phrase))).then_some(FaultKind::ContextLength)
}

/// Types that say less than a status: for a stream, where there is none.
fn kind_of_type(name: &str) -> Option<FaultKind> {
    Some(match name {
        "invalid_request_error" | "BadRequestError" => FaultKind::InvalidRequest,
        "permission_error" | "request_forbidden" => FaultKind::Permission,
        "requests" | "tokens" => FaultKind::RateLimited,
        "not_found_error" => FaultKind::NotFound,
        "timeout" => FaultKind::Timeout,
        _ => return None,
    })
}

#[derive(Serialize)]
struct ErrorOut<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

/// Writes an error body for a client.
pub fn encode_error(fault: &Fault) -> Bytes {
    let (kind, code) = names_of(fault.kind);
    let error = ErrorBody {
        message: &fault.message,
        kind,
        param: fault.param.as_deref(),
        code: fault.code.as_deref().or(code),
    };
    // String keys only, so writing it cannot fail.
    serde_json::to_vec(&ErrorOut { error }).unwrap_or_default().into()
}

pub(crate) fn names_of(kind: FaultKind) -> (&'static str, Option<&'static str>) {
    const INVALID: &str = "invalid_request_error";
    match kind {
        FaultKind::InvalidRequest
        | FaultKind::TooLarge
        | FaultKind::UnsupportedMedia
        | FaultKind::Conflict
        | FaultKind::NotFound
        | FaultKind::NotImplemented => (INVALID, None),
        FaultKind::ContextLength => (INVALID, Some("context_length_exceeded")),
        FaultKind::ContentFilter => (INVALID, Some("content_policy_violation")),
        FaultKind::Authentication => (INVALID, Some("invalid_api_key")),
        FaultKind::Permission => ("request_forbidden", None),
        FaultKind::MethodNotAllowed => (INVALID, Some("method_not_supported")),
        FaultKind::RateLimited => ("rate_limit_error", Some("rate_limit_exceeded")),
        FaultKind::QuotaExhausted => ("insufficient_quota", Some("insufficient_quota")),
        FaultKind::Api => ("server_error", None),
        FaultKind::Overloaded => ("service_unavailable_error", Some("server_is_overloaded")),
        FaultKind::Timeout => ("server_error", Some("timeout")),
    }
}
