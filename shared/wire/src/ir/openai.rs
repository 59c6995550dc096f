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

/// A tool whose input is a text, as OpenAI's two dialects have it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CustomTool {
    /// For the model.
    pub description: Option<String>,
    /// The grammar that the text follows: `lark` or `regex`, and its definition.
    pub grammar: Option<(String, String)>,
}

/// What becomes of a grammar at other upstreams. Encoders for OpenAI's models, which keep to it, take it out of what is reported.
pub const GRAMMAR_IS_ONLY_TOLD: &str =
    "this model is told of the grammar in the tool's description, and nothing enforces it";

/// Why a picture's level of detail is lost at other upstreams. Encoders for OpenAI and for Gemini, who carry it, take it out of what is reported.
pub const NO_DETAIL: &str = "this upstream has no levels of detail";
