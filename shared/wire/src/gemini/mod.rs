//! Gemini's GenerateContent: <https://ai.google.dev/api/generate-content>; Vertex AI serves the same.
//!
//! What is unlike the other dialects:
//!
//! 1. Model and streaming stand in the path (`/v1beta/models/{model}:streamGenerateContent`), not in the body.
//! 2. Fields may be written in camelCase or snake_case, 64-bit numbers as strings, bytes in either alphabet of base64: it is the JSON form of a
//!    protocol buffer (<https://protobuf.dev/programming-guides/json/>).
//! 3. A part may be signed (`thoughtSignature`), and Gemini wants it back on that part. `signature` says where it lives meanwhile.
//! 4. A call's result is linked by the function's name, and by an id only where the model gave one.
//! 5. A stream is server-sent events with `?alt=sse` and one JSON array without it. The codec writes events; [`ArrayForm`] turns them into the array.
//!
//! What differs from model to model is in one table, in `family.rs`.

mod array;
mod base64;
mod caps;
mod error;
mod family;
mod grounding;
mod logprobs;
mod request;
mod response;
mod signature;
mod stream;
mod types;

pub use array::ArrayForm;
pub use error::{decode_fault, encode_error};
pub use request::{decode_request, encode_request};
pub use response::encode_response;
pub use stream::Writer;

pub(crate) use caps::Caps;
pub(crate) use signature::{UNCHECKED, is_carried, is_geminis, mark_call, of_call};
pub(crate) use types::Sniffed;

/// Sets a field of an object.
fn set(object: &mut serde_json::Value, name: &str, value: impl Into<serde_json::Value>) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value.into());
    }
}

/// Does this model refuse calls without their signatures?
pub(crate) fn checks_signatures(model: &str) -> bool {
    family::Family::of(model).is_new()
}
