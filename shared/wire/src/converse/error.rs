//! Errors: Bedrock's to a fault.

use http::{HeaderMap, StatusCode};

use crate::ir::Fault;

/// Reads an upstream's non-2xx answer.
pub fn decode_fault(_status: StatusCode, _headers: &HeaderMap, _body: &[u8]) -> Fault {
    todo!()
}
