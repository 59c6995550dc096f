//! Requests: a client's to the IR, the IR's to an upstream.

mod content;
mod decode;
mod encode;
mod items;
mod own;
mod tools;
mod turns;

pub use decode::decode_request;
pub use encode::encode_request;
