//! Whole answers: an upstream's to the IR, the IR's to a client.

use bytes::Bytes;

use crate::codec::Seed;
use crate::ir;

/// Writes an answer for a client.
pub fn encode_response(_response: &ir::Response, _seed: &Seed) -> Bytes {
    todo!()
}
