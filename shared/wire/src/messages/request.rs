//! Requests: a client's to the IR, the IR's to an upstream.

use crate::codec::{Encoded, Target};
use crate::error::WireError;
use crate::ir;

/// Reads a client's request.
pub fn decode_request(_body: &[u8]) -> Result<ir::Request, WireError> {
    todo!()
}

/// Writes a request for an upstream.
pub fn encode_request(_request: &ir::Request, _target: &Target<'_>) -> Result<Encoded, WireError> {
    todo!()
}
