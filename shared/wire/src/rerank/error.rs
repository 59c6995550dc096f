//! Errors: Cohere's to a fault, a fault in Cohere's shape. <https://docs.cohere.com/reference/errors>: `{"message": "..."}`, and the SDK chooses its
//! exception by the status alone.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::chat;
use crate::ir::Fault;
use crate::json;

/// Reads an upstream's non-2xx answer. What OpenAI's reader takes besides OpenAI's own errors is this shape, too.
pub fn decode_fault(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Fault {
    let is_coheres = json::read::<Value>(body).is_ok_and(|value| value.get("message").is_some_and(Value::is_string));
    let own = is_coheres.then(|| Bytes::copy_from_slice(body));
    Fault { body: own, ..chat::decode_fault(status, headers, body) }
}

/// Writes an error body.
pub fn encode_error(fault: &Fault, request_id: &str) -> Bytes {
    json!({"id": request_id, "message": fault.message}).to_string().into()
}
