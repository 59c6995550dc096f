//! Errors: an upstream's to a fault, a fault to a client. <https://platform.claude.com/docs/en/api/errors>.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::types::ErrorObject;
use crate::error::WireError;
use crate::fault::{aws_kind, code_of, kind_of_status, refine, scrub};
use crate::gemini;
use crate::ir::{Fault, FaultKind};
use crate::json;

/// More of an upstream's message is not repeated.
const MAX_MESSAGE_CHARS: usize = 2_000;

/// Reads an upstream's non-2xx answer: Anthropic's `{"type":"error","error":{...}}`, Bedrock's `{"message":"..."}` with the exception's name in
/// `x-amzn-ErrorType` or `__type`, Google's where Claude is asked at Vertex (in an array, for a stream), Azure's `{"error":{"code":...}}` in Foundry.
pub fn decode_fault(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Fault {
    let value: Option<Value> = json::read(body).ok();
    let is_googles = |value: &Value| value.pointer("/error/status").is_some_and(Value::is_string);
    if value.as_ref().is_some_and(|value| is_googles(value.get(0).unwrap_or(value))) {
        return Fault { body: None, ..gemini::decode_fault(status, headers, body) };
    }
    let error = value.as_ref().and_then(|value| value.get("error"));
    let mut fault = match error.and_then(|error| serde_json::from_value::<ErrorObject>(error.clone()).ok()) {
        Some(error) => fault_from(&error, Some(status)),
        None => aws_fault(status, headers, value.as_ref()),
    };
    fault.status = Some(status.as_u16());
    // The SDKs choose by the status, programs by the type.
    let is_text = |path: &str| value.as_ref().and_then(|value| value.pointer(path)).is_some_and(Value::is_string);
    if is_text("/type") && is_text("/error/type") {
        fault.body = Some(Bytes::copy_from_slice(body));
    }
    fault
}

fn aws_fault(status: StatusCode, headers: &HeaderMap, body: Option<&Value>) -> Fault {
    let field = |name: &str| body.and_then(|body| body.get(name)).and_then(Value::as_str);
    let header = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let kind = header.or_else(|| field("__type")).and_then(aws_kind).unwrap_or_else(|| kind_of_status(status));
    let message = field("message").or_else(|| field("Message")).or_else(|| field("error")).or_else(|| field("detail"));
    fault_of(kind, message.unwrap_or_default(), None, Some(status))
}

/// A fault of an error object: in a body, where a status came with it, or in a stream.
pub(super) fn fault_from(error: &ErrorObject, status: Option<StatusCode>) -> Fault {
    let by_type = error.kind.as_deref().and_then(|kind| kind_of_type(kind).or_else(|| aws_kind(kind)));
    let kind = by_type.or_else(|| status.map(kind_of_status)).unwrap_or(FaultKind::Api);
    let code = error.details.as_ref().and_then(|details| details.get("error_code")).and_then(Value::as_str);
    fault_of(kind, error.message.as_deref().unwrap_or_default(), code, status)
}

fn fault_of(kind: FaultKind, message: &str, code: Option<&str>, status: Option<StatusCode>) -> Fault {
    let kind = refine(kind, message);
    let text: String = scrub(message).chars().take(MAX_MESSAGE_CHARS).collect();
    let text = match (text.is_empty(), status) {
        (false, _) => text,
        (true, Some(status)) => format!("the upstream answered with status {} and no message", status.as_u16()),
        (true, None) => "the upstream reported an error without a message".to_owned(),
    };
    let mut fault = Fault::new(kind, text);
    fault.code = code.map(str::to_owned).or_else(|| code_of(kind, &fault.message));
    fault
}

fn kind_of_type(name: &str) -> Option<FaultKind> {
    Some(match name {
        "invalid_request_error" => FaultKind::InvalidRequest,
        "authentication_error" => FaultKind::Authentication,
        "billing_error" => FaultKind::QuotaExhausted,
        "permission_error" => FaultKind::Permission,
        "not_found_error" => FaultKind::NotFound,
        "conflict_error" => FaultKind::Conflict,
        "request_too_large" => FaultKind::TooLarge,
        "rate_limit_error" => FaultKind::RateLimited,
        "timeout_error" => FaultKind::Timeout,
        "api_error" => FaultKind::Api,
        "overloaded_error" => FaultKind::Overloaded,
        _ => return None,
    })
}

fn type_of(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::InvalidRequest
        | FaultKind::ContextLength
        | FaultKind::ContentFilter
        | FaultKind::MethodNotAllowed
        | FaultKind::UnsupportedMedia => "invalid_request_error",
        FaultKind::Authentication => "authentication_error",
        FaultKind::Permission => "permission_error",
        FaultKind::NotFound => "not_found_error",
        FaultKind::Conflict => "conflict_error",
        FaultKind::TooLarge => "request_too_large",
        FaultKind::RateLimited => "rate_limit_error",
        FaultKind::QuotaExhausted => "billing_error",
        FaultKind::Api | FaultKind::NotImplemented => "api_error",
        FaultKind::Overloaded => "overloaded_error",
        FaultKind::Timeout => "timeout_error",
    }
}

/// A conversation that the provider is to keep, at one that keeps none: without its turns before, a request means something else.
pub fn no_threads() -> WireError {
    let message = "only Anthropic's own API keeps conversations; send the whole conversation, without thread";
    WireError::unsupported("thread", message)
}

/// A request for a summary of its conversation, at a provider that makes none: it would be answered.
pub fn no_compaction() -> WireError {
    let message = "this model's provider has no requests that are for a summary alone; ask for one in a message, or leave compaction out";
    WireError::unsupported("compaction", message)
}

/// Anthropic has no type for a prompt that does not fit. Clients know it by its words, as Claude Code does, which then compacts the conversation; so another
/// provider's words are put behind them (claude-code-router 1799).
fn message(fault: &Fault) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["prompt is too long", "exceed context limit", "input is too long for requested model"];
    let said = fault.message.to_ascii_lowercase();
    if fault.kind == FaultKind::ContextLength && !WORDS.iter().any(|words| said.contains(words)) {
        return format!("{}: {}", WORDS[0], fault.message).into();
    }
    fault.message.as_str().into()
}

/// Writes an error body for a client; in a stream it is the data of an `error` event.
pub fn encode_error(fault: &Fault, request_id: &str) -> Bytes {
    let mut error = Map::from_iter([
        ("type".to_owned(), type_of(fault.kind).into()),
        ("message".to_owned(), message(fault).into()),
    ]);
    // By this the SDK's tool runner knows to go on without a thread: `ThreadUnsupportedRequestError`, `_thread_state.py` of anthropic-sdk-python 2.12.
    if (fault.param.as_deref(), fault.code.as_deref()) == (Some("thread"), Some("unsupported_by_upstream")) {
        error.insert("details".to_owned(), json!({"error_code": "thread_unsupported_request"}));
    }
    Bytes::from(json!({ "type": "error", "error": error, "request_id": request_id }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(status: u16, header: Option<&'static str>, body: &str) -> Fault {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert("x-amzn-errortype", http::HeaderValue::from_static(value));
        }
        decode_fault(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    fn anthropic(status: u16, kind: &str, message: &str) -> Fault {
        let body = json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"});
        decode(status, None, &body.to_string())
    }

    #[test]
    fn a_prompt_that_does_not_fit_is_said_in_the_words_that_clients_look_for() {
        let said = |kind, message: &str| {
            let body: Value = serde_json::from_slice(&encode_error(&Fault::new(kind, message), "r")).unwrap();
            body["error"]["message"].as_str().unwrap().to_owned()
        };
        let openais = "This model's maximum context length is 8192 tokens.";
        assert_eq!(said(FaultKind::ContextLength, openais), format!("prompt is too long: {openais}"));
        for own in [
            "prompt is too long: 210000 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 184915 + 20000 > 204648, decrease input length",
            "Input is too long for requested model.",
        ] {
            assert_eq!(said(FaultKind::ContextLength, own), own);
        }
        assert_eq!(said(FaultKind::InvalidRequest, "no"), "no");
    }

    #[test]
    fn every_error_type_of_the_api_has_its_kind() {
        for (status, name, kind) in [
            (400, "invalid_request_error", FaultKind::InvalidRequest),
            (401, "authentication_error", FaultKind::Authentication),
            (402, "billing_error", FaultKind::QuotaExhausted),
            (403, "permission_error", FaultKind::Permission),
            (404, "not_found_error", FaultKind::NotFound),
            (409, "conflict_error", FaultKind::Conflict),
            (413, "request_too_large", FaultKind::TooLarge),
            (429, "rate_limit_error", FaultKind::RateLimited),
            (500, "api_error", FaultKind::Api),
            (504, "timeout_error", FaultKind::Timeout),
            (529, "overloaded_error", FaultKind::Overloaded),
            (529, "a_new_error", FaultKind::Overloaded),
        ] {
            let fault = anthropic(status, name, "Something");
            assert_eq!((fault.kind, fault.status), (kind, Some(status)), "{name}");
        }
    }

    #[test]
    fn a_prompt_that_does_not_fit_is_told_from_other_bad_requests() {
        let fault = anthropic(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum");
        assert_eq!((fault.kind, fault.code.as_deref()), (FaultKind::ContextLength, Some("context_length_exceeded")));
        let fault = decode(
            400,
            Some("ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/"),
            r#"{"message":"Input is too long for requested model."}"#,
        );
        assert_eq!(fault.kind, FaultKind::ContextLength);
    }

    #[test]
    fn an_empty_account_is_not_a_bad_request() {
        let fault = anthropic(400, "invalid_request_error", "Your credit balance is too low to access the API.");
        assert_eq!(fault.kind, FaultKind::QuotaExhausted);
    }

    #[test]
    fn a_bedrock_exception_is_named_by_its_header() {
        let fault = decode(429, Some("ThrottlingException"), r#"{"message":"Too many tokens"}"#);
        assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::RateLimited, "Too many tokens"));
        let fault = decode(429, Some("ModelNotReadyException"), r#"{"message":"Wait"}"#);
        assert_eq!(fault.kind, FaultKind::Overloaded);
    }

    #[test]
    fn a_body_that_is_not_json_leaves_the_status() {
        let fault = decode(503, None, "<html>");
        assert_eq!(fault.kind, FaultKind::Overloaded);
        assert_eq!(fault.body, None);
        assert_eq!(fault.message, "the upstream answered with status 503 and no message");
    }

    #[test]
    fn secrets_do_not_reach_the_client() {
        let arn = "User: arn:aws:iam::123456789012:user/x is not authorized";
        let fault = decode(403, Some("AccessDeniedException"), &json!({ "message": arn }).to_string());
        assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Permission, "User: [arn] is not authorized"));
    }

    #[test]
    fn the_tool_runner_of_the_sdk_goes_on_without_a_thread() {
        let body: Value = serde_json::from_slice(&encode_error(&no_threads().into_fault(), "req_7")).unwrap();
        assert_eq!(body["error"]["type"], "invalid_request_error");
        assert_eq!(body["error"]["details"]["error_code"], "thread_unsupported_request");
    }

    #[test]
    fn an_error_for_a_client_has_the_shape_of_the_api() {
        let fault = Fault::new(FaultKind::RateLimited, "Slow down");
        assert_eq!(
            encode_error(&fault, "req_7"),
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"},"request_id":"req_7"}"#
        );
    }
}
