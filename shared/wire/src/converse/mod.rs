//! Bedrock Converse.

mod error;
mod request;
mod response;
mod stream;
mod types;

pub use error::decode_fault;
pub use request::encode_request;
