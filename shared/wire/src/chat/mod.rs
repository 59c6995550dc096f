//! OpenAI Chat Completions.

pub(crate) mod error;
mod request;
mod response;
mod stream;
mod types;

pub use error::{decode_fault, encode_error};
pub use request::{decode_request, encode_request};
pub use response::encode_response;
pub use stream::Writer;
