//! Errors: an upstream's to a fault, a fault to a client.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::ir::Fault;

/// Reads an upstream's non-2xx answer.
pub fn decode_fault(_status: StatusCode, _headers: &HeaderMap, _body: &[u8]) -> Fault {
    todo!()
}

/// Writes an error body for a client.
pub fn encode_error(_fault: &Fault) -> Bytes {
    todo!()
}
