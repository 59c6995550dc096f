//! Requests: a client's to the IR, the IR's to an upstream.

mod contents;
mod decode;
mod encode;
mod fields;
mod parts;
mod schema;
mod settings;
mod tools;
mod turns;

pub use decode::decode_request;
pub use encode::encode_request;
