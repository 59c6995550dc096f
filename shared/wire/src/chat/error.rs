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

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::fault::{aws_kind, code_of, kind_of_status, refine, scrub};
use crate::ir::{Fault, FaultKind};
use crate::json;

/// More of an upstream's message helps nobody.
const MAX_MESSAGE_CHARS: usize = 2_000;

/// Reads an upstream's non-2xx answer: `{"error": {...}}` as OpenAI writes it, `{"error": "text"}`, `{"message": ...}`, `{"detail": ...}`, plain
/// text, a proxy's HTML, or nothing. `retry_after` is left to the caller, who has a clock.
pub fn decode_fault(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Fault {
    match json::read::<Value>(body) {
        Ok(value) => {
            // Azure's API management and a few others wrap it in an array.
            let value = match value {
                Value::Array(items) => items.into_iter().next().unwrap_or_default(),
                other => other,
            };
            let inner = value.get("error").filter(|error| error.is_object());
            // Bedrock's OpenAI endpoints, where AWS itself answers.
            let exception = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).and_then(aws_kind);
            // An error inside a stream came with a 200.
            let known = Some(status).filter(|status| !status.is_success());
            let mut fault = read(known, exception.filter(|_| inner.is_none()), inner.unwrap_or(&value));
            fault.status = Some(status.as_u16());
            fault.body = says_it_all(inner, &fault).then(|| Bytes::copy_from_slice(body));
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

/// Does the upstream say it as OpenAI says it, with the code that programs look for? Azure and the copies of OpenAI's API have objects without a code, or with
/// their own (`"code": 400`, `"code": "429"`, `"code": "1300"`), where OpenAI has one.
fn says_it_all(error: Option<&Value>, fault: &Fault) -> bool {
    let Some(error) = error.filter(|error| error.get("message").is_some_and(Value::is_string)) else { return false };
    let expected = fault.code.as_deref().or(names_of(fault.kind).1);
    match error.get("code") {
        None | Some(Value::Null) => expected.is_none(),
        Some(code) => code.as_str().is_some_and(|code| Some(code) == expected),
    }
}

/// Reads an error object, of an answer (`status`) or inside a stream (no status of its own, but several servers put one into `code`).
pub(crate) fn fault_of(status: Option<StatusCode>, error: &Value) -> Fault {
    read(status, None, error)
}

/// `exception`: the kind that a name outside of the object says.
fn read(status: Option<StatusCode>, exception: Option<FaultKind>, error: &Value) -> Fault {
    let text = |key: &str| error.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let code = match error.get("code") {
        Some(Value::String(code)) if !code.is_empty() => Some(code.clone()),
        Some(Value::Number(code)) => Some(code.to_string()),
        _ => None,
    };
    let code_status = code.as_deref().and_then(|code| StatusCode::from_bytes(code.as_bytes()).ok());
    let known = status.or(code_status.filter(|status| status.as_u16() >= 400));
    let message = message_of(said(error).as_deref(), known);
    let by_code = code.as_deref().and_then(kind_of_name);
    let by_name = by_code.or_else(|| text("type").and_then(kind_of_name)).or_else(|| kind_of_metadata(error));
    let kind = by_name.unwrap_or_else(|| {
        let otherwise = exception.or_else(|| known.map(kind_of_status)).or_else(|| text("type").and_then(kind_of_type));
        match otherwise {
            Some(kind) => refine(kind, &message),
            None => Some(refine(FaultKind::InvalidRequest, &message))
                .filter(|kind| *kind != FaultKind::InvalidRequest)
                .unwrap_or(FaultKind::Api),
        }
    });
    let mut fault = Fault::new(kind, message);
    fault.status = status.map(|status| status.as_u16());
    fault.param = text("param").map(str::to_owned);
    let standard = code_of(kind, &fault.message);
    // A code of the provider's own only where OpenAI has none for it; a number and a sentence are no code.
    let is_code = |code: &String| code.contains(|c: char| c.is_ascii_alphabetic()) && !code.contains(' ');
    let has_standard = standard.is_some() || names_of(kind).1.is_some();
    fault.code = code.filter(|code| is_code(code) && (by_code.is_some() || !has_standard)).or(standard);
    fault
}

/// What the error says, wherever it stands: `message`, `detail` (FastAPI's), `error`, `Message` (AWS's).
fn said(error: &Value) -> Option<Cow<'_, str>> {
    let message = ["message", "detail", "error", "Message"].iter().find_map(|key| text_of(error.get(*key)?));
    let message = error.as_str().map(Cow::Borrowed).or(message);
    // OpenRouter says only that there was an error, and beside it what the provider said.
    let raw = error.get("metadata").and_then(|metadata| metadata.get("raw")).and_then(Value::as_str);
    match (message, raw) {
        (Some(message), Some(raw)) => {
            let object: Option<Value> = serde_json::from_str(raw).ok();
            let inner = object.as_ref().and_then(|object| said(object.get("error").unwrap_or(object)));
            Some(format!("{message}: {}", inner.unwrap_or(Cow::Borrowed(raw))).into())
        }
        (message, _) => message,
    }
}

/// Text, a list of `{"loc": [...], "msg": ...}`, or an object with either.
fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.into()),
        Value::Array(items) => {
            let texts: Vec<&str> = items.iter().filter_map(|item| item.get("msg").and_then(Value::as_str)).collect();
            (!texts.is_empty()).then(|| texts.join("; ").into())
        }
        Value::Object(_) => ["message", "detail"].iter().find_map(|key| text_of(value.get(*key)?)),
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
        "context_length_exceeded" | "context_window_exceeded" | "model_max_prompt_tokens_exceeded" => {
            FaultKind::ContextLength
        }
        "content_filter" | "content_policy_violation" | "ResponsibleAIPolicyViolation" | "invalid_prompt" => {
            FaultKind::ContentFilter
        }
        "insufficient_quota"
        | "quota_exceeded"
        | "credit_balance_exhausted"
        | "billing_hard_limit_reached"
        | "billing_not_active" => FaultKind::QuotaExhausted,
        "invalid_api_key" | "authentication_error" | "invalid_authentication" => FaultKind::Authentication,
        // OpenAI and others, Azure, Copilot, Together, Groq, Mistral.
        "model_not_found"
        | "DeploymentNotFound"
        | "model_not_supported"
        | "model_not_available"
        | "dedicated_endpoint_not_running"
        | "model_decommissioned"
        | "invalid_model" => FaultKind::NotFound,
        "rate_limit_exceeded" | "rate_limit_error" | "rate_limited" | "tokens_usage_based" => FaultKind::RateLimited,
        "slow_down"
        | "server_is_overloaded"
        | "service_unavailable_error"
        | "overloaded_error"
        | "capacity_exceeded" => FaultKind::Overloaded,
        _ => return None,
    })
}

/// OpenRouter's 403 for a prompt that its moderation flagged: <https://openrouter.ai/docs/errors>.
fn kind_of_metadata(error: &Value) -> Option<FaultKind> {
    error.get("metadata")?.get("reasons")?.is_array().then_some(FaultKind::ContentFilter)
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
