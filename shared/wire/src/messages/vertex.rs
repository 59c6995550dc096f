//! What Vertex AI's `rawPredict` wants differently from Anthropic's own API: no `model` in the body (it is in the URL), and `anthropic_version`
//! (<https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai#making-requests>). `stream` and beta flags stand where they always do.

use bytes::Bytes;

use crate::error::WireError;
use crate::json;

/// `anthropic_version` of a body.
pub(crate) const ANTHROPIC_VERSION: &str = "vertex-2023-10-16";

/// The client's own bytes, but for these two members.
pub(crate) fn edit_request(body: &Bytes) -> Result<Bytes, WireError> {
    let mut out = Vec::with_capacity(body.len() + 64);
    out.extend_from_slice(format!(r#"{{"anthropic_version":"{ANTHROPIC_VERSION}""#).as_bytes());
    for member in json::members(body)? {
        if matches!(member.key.as_ref(), "model" | "anthropic_version") {
            continue;
        }
        out.push(b',');
        out.extend_from_slice(body.get(member.key_span.clone()).unwrap_or_default());
        out.push(b':');
        out.extend_from_slice(member.value.as_bytes());
    }
    out.push(b'}');
    Ok(out.into())
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
