//! What only OpenAI's two dialects can say.

use serde_json::Value;

/// A setting that Chat Completions and Responses have, and nobody else. Its report for other upstreams, if its loss is one, stands in
/// [`Request::unmapped`](crate::ir::Request::unmapped) under the same path; an encoder for OpenAI takes it out of there.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenAiSetting {
    /// Chat completions' name of it: `verbosity`, which is `text.verbosity` in Responses.
    pub name: &'static str,
    /// As the client gave it.
    pub value: Value,
    /// Its path in the client's body.
    pub path: String,
}

/// Why a picture's level of detail is lost at other upstreams. Encoders for OpenAI, who carry it, take it out of what is reported.
pub const ONLY_OPENAI_HAS_DETAIL: &str = "only OpenAI has levels of detail";
