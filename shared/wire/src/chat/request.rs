//! Requests: a client's to the IR, the IR's to an upstream.

mod decode;
mod encode;
mod messages;
mod parts;
mod tools;
mod turns;

pub use decode::decode_request;
pub use encode::encode_request;
