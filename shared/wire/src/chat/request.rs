//! Requests: a client's to the IR, the IR's to an upstream.

pub(crate) mod decode;
mod encode;
pub(crate) mod fields;
mod messages;
pub(crate) mod model;
pub(crate) mod parts;
mod tools;
pub(crate) mod turns;

pub use decode::decode_request;
pub use encode::encode_request;
