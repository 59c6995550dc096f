//! Errors: an upstream's to a fault, a fault to a client.
//!
//! Before a stream begins they are those of chat completions, in both directions. Inside a stream there are two events for them:
//! `error`, and `response.failed` with the response as far as it came (<https://platform.openai.com/docs/api-reference/responses-streaming>).
//!
//! OpenAI documents the fields of `error` at its top and sends them in an `error` object, which is where its SDKs look (they raise on it):
//! <https://github.com/openai/openai-dotnet/issues/881>. Both are read, and both are written.

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::types::AnswerIn;
use crate::chat::error::{fault_of, names_of};
use crate::ir::Fault;
use crate::json;
use crate::sse::write_value;

/// Reads an upstream's non-2xx answer.
pub fn decode_fault(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Fault {
    crate::chat::decode_fault(status, headers, body)
}

/// The fault of an `error` or a `response.failed` event.
pub(crate) fn fault_of_event(data: &[u8]) -> Fault {
    let event: Value = json::read(data).unwrap_or_default();
    let response = event.get("response").and_then(|response| response.get("error"));
    let error = response.or_else(|| event.get("error")).filter(|error| error.is_object());
    fault_of(None, error.unwrap_or(&event))
}

/// The fault of an answer that failed.
pub(super) fn fault_of_answer(answer: &AnswerIn) -> Fault {
    fault_of(None, &answer.error)
}

/// The `error` of a response: a code that clients know, and text.
pub(super) fn error_json(fault: &Fault) -> Value {
    let code = fault.code.as_deref().or(names_of(fault.kind).1).unwrap_or("server_error");
    json!({"code": code, "message": fault.message})
}

/// Appends an `error` event.
pub fn write_fault(fault: &Fault, sequence_number: u64, out: &mut Vec<u8>) {
    let (kind, code) = names_of(fault.kind);
    let (code, message, param) = (fault.code.as_deref().or(code), &fault.message, fault.param.as_deref());
    let event = json!({
        "type": "error", "sequence_number": sequence_number, "code": code, "message": message, "param": param,
        "error": {"type": kind, "code": code, "message": message, "param": param},
    });
    write_value(Some("error"), &event, out);
}
