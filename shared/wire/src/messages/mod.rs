//! Anthropic Messages.

pub mod bedrock;
mod error;
pub mod models;
mod request;
mod response;
mod stream;
mod types;
pub mod vertex;

pub use error::{decode_fault, encode_error, no_compaction, no_threads};
pub use request::{decode_request, encode_request};
pub use response::encode_response;
pub use stream::Writer;

/// Takes over the `usage` of an answer or an event, as it stands in its JSON.
pub(crate) fn merge_usage(json: &str, usage: &mut crate::ir::Usage) {
    if let Ok(reported) = serde_json::from_str::<types::Usage>(json) {
        types::merge_usage(usage, &reported.to_ir());
    }
}

/// Takes over the `amazon-bedrock-invocationMetrics` of a last event.
pub(crate) fn merge_metrics(json: &str, usage: &mut crate::ir::Usage) {
    if let Ok(metrics) = serde_json::from_str::<types::InvocationMetrics>(json) {
        types::merge_usage(usage, &metrics.to_ir());
    }
}
