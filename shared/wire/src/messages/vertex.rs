//! What Vertex AI's `rawPredict` wants differently from Anthropic's own API: no `model` in the body (it is in the URL), and `anthropic_version`
//! (<https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai#making-requests>). `stream` and beta flags stand where they always do.

use std::borrow::Cow;

use bytes::Bytes;

use crate::error::WireError;
use crate::json;

/// `anthropic_version` of a body.
pub(crate) const ANTHROPIC_VERSION: &str = "vertex-2023-10-16";

/// The client's own bytes, but for these two members.
pub(crate) fn edit_request(body: &Bytes) -> Result<Bytes, WireError> {
    let version = format!(r#""anthropic_version":"{ANTHROPIC_VERSION}""#);
    json::kept(body, &version, &|key| !matches!(key, "model" | "anthropic_version"))
}

/// What Vertex AI calls a model: without what names its publisher, and with a date behind `@` (`claude-sonnet-4-20250514` is `claude-sonnet-4@20250514`):
/// <https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude>.
pub fn model_name(model: &str) -> Cow<'_, str> {
    let before = ["publishers/anthropic/models/", "models/", "anthropic/"];
    let bare = before.iter().find_map(|before| model.strip_prefix(before)).unwrap_or(model);
    match bare.rsplit_once('-') {
        Some((name, date)) if date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{name}@{date}").into()
        }
        _ => bare.into(),
    }
}

/// The same in the body of a count, where the default version goes unsaid: `claude-sonnet-4-6@default is not supported for token counting`
/// (<https://github.com/anthropics/claude-code/issues/24530>).
pub(crate) fn counted_name(model: &str) -> Cow<'_, str> {
    model_name(model.strip_suffix("@default").unwrap_or(model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_in_the_url_and_the_version_in_the_body() {
        let body = r#"{"model":"claude-sonnet-4","max_tokens":5, "stream": true,"anthropic_version":"x","new":{"a" : 1},"messages":[]}"#;
        let edited = edit_request(&Bytes::from_static(body.as_bytes())).unwrap();
        let expected =
            r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":5,"stream":true,"new":{"a" : 1},"messages":[]}"#;
        assert_eq!(edited, expected);
    }
}
