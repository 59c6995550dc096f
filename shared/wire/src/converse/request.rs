//! Requests: the IR's to Converse.

use crate::codec::{Encoded, Target};
use crate::error::WireError;
use crate::ir;

/// Writes a request for an upstream.
pub fn encode_request(_request: &ir::Request, _target: &Target<'_>) -> Result<Encoded, WireError> {
    todo!()
}
