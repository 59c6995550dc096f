//! OpenAI Chat Completions.

pub(crate) mod error;
pub(crate) mod request;
pub(crate) mod response;
mod stream;
pub(crate) mod types;

pub use error::{decode_fault, encode_error};
pub use request::{decode_request, encode_request};
pub use response::encode_response;
pub use stream::Writer;

pub(crate) use types::input_of;

/// Takes over the `usage` of an answer or a chunk, as it stands in its JSON.
pub(crate) fn merge_usage(json: &str, usage: &mut crate::ir::Usage) {
    if let Ok(reported) = serde_json::from_str::<response::Reported>(json) {
        usage.update(&reported.to_ir());
    }
}
