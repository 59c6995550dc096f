//! Signatures of thinking, between Gemini and everybody else.
//!
//! Gemini signs a part: one of thinking, of text, or a call (<https://ai.google.dev/gemini-api/docs/thought-signatures>). The IR, as Anthropic, has
//! signatures in thinking blocks only. So a signed part is a [`Block::Thinking`](crate::ir::Block::Thinking), often without text, whose signature
//! says where it belongs:
//!
//! | signature in the IR | belongs to |
//! |---|---|
//! | `gemini-thought:SIGNATURE` | the thinking block itself |
//! | `gemini-call:SIGNATURE` | the call behind it |
//! | `gemini-text:SIGNATURE` | the text before it, else the text behind it, else an empty part of its own |
//! | anything else | another provider's: Gemini refuses it |
//!
//! Clients carry it: Anthropic's as the signature of a thinking block; OpenAI's as `extra_content.google.thought_signature` of the call, as Google's own
//! OpenAI layer has it (<https://ai.google.dev/gemini-api/docs/openai>), or in `thinking_blocks`; Gemini's as it was. The mark in front tells an upstream
//! that is not Gemini to leave it out.
//!
//! A Gemini client that talks to another provider carries that provider's signature in `thoughtSignature`, whose type is bytes: base64 of
//! `tollgate:SIGNATURE`, or of `tollgate-redacted:DATA` for encrypted reasoning.

use super::base64;

const THOUGHT: &str = "gemini-thought:";
const CALL: &str = "gemini-call:";
const TEXT: &str = "gemini-text:";
const FOREIGN: &[u8] = b"tollgate:";
const REDACTED: &[u8] = b"tollgate-redacted:";

/// Google's text for a call that has lost its signature: Gemini does not check it.
pub(crate) const UNCHECKED: &str = "skip_thought_signature_validator";

/// Which part of Gemini's a signature belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The thinking itself.
    Thought,
    /// The call behind it.
    Call,
    /// The text before it.
    Text,
}

/// A signature of Gemini's, for the IR.
pub(super) fn mark(place: Place, signature: &str) -> String {
    let mark = match place {
        Place::Thought => THOUGHT,
        Place::Call => CALL,
        Place::Text => TEXT,
    };
    format!("{mark}{signature}")
}

/// Of the call behind it.
pub(crate) fn mark_call(signature: &str) -> String {
    mark(Place::Call, signature)
}

/// The other way round. `None`: it is not Gemini's.
pub(super) fn marked(signature: &str) -> Option<(Place, &str)> {
    [(THOUGHT, Place::Thought), (CALL, Place::Call), (TEXT, Place::Text)]
        .into_iter()
        .find_map(|(mark, place)| Some((place, signature.strip_prefix(mark)?)))
}

/// Of the call behind it, if that is what it is.
pub(crate) fn of_call(signature: &str) -> Option<&str> {
    signature.strip_prefix(CALL)
}

/// Is it Gemini's? Then no other provider takes it.
pub(crate) fn is_geminis(signature: &str) -> bool {
    marked(signature).is_some()
}

/// What a Gemini client brings back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Returned {
    /// A signature for the IR.
    Signature(String),
    /// Encrypted reasoning of another provider.
    Redacted(String),
}

/// For a Gemini client.
pub(super) fn to_client(signature: &str) -> String {
    match marked(signature) {
        Some((_, signature)) => signature.to_owned(),
        None => base64::encode(&[FOREIGN, signature.as_bytes()].concat()),
    }
}

/// Is it another provider's, as a Gemini client carries it?
pub(crate) fn is_carried(text: &str) -> bool {
    base64::decode(text).is_some_and(|bytes| bytes.starts_with(FOREIGN) || bytes.starts_with(REDACTED))
}

/// Encrypted reasoning for a Gemini client.
pub(super) fn redacted_to_client(data: &str) -> String {
    base64::encode(&[REDACTED, data.as_bytes()].concat())
}

/// From a Gemini client, on a part of this kind.
pub(super) fn from_client(text: &str, place: Place) -> Returned {
    let bytes = base64::decode(text).unwrap_or_default();
    let inner = |mark: &[u8]| bytes.strip_prefix(mark).and_then(|rest| String::from_utf8(rest.to_vec()).ok());
    if let Some(data) = inner(REDACTED) {
        return Returned::Redacted(data);
    }
    Returned::Signature(inner(FOREIGN).unwrap_or_else(|| mark(place, &base64::standard(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_where_a_signature_belongs() {
        for place in [Place::Thought, Place::Call, Place::Text] {
            assert_eq!(marked(&mark(place, "c2ln")), Some((place, "c2ln")));
        }
        assert_eq!(marked("ErUBCkYIB"), None);
        assert!(is_geminis("gemini-call:x") && !is_geminis("x"));
    }

    #[test]
    fn another_providers_signature_survives_a_gemini_client() {
        let carried = to_client("Er-UB/+=").replace('+', "-").replace('/', "_");
        assert_eq!(from_client(&carried, Place::Thought), Returned::Signature("Er-UB/+=".to_owned()));
        let carried = redacted_to_client("secret");
        assert_eq!(from_client(&carried, Place::Thought), Returned::Redacted("secret".to_owned()));
    }

    #[test]
    fn geminis_own_signature_comes_back_as_it_was() {
        assert_eq!(to_client("gemini-call:AB+/"), "AB+/");
        assert_eq!(from_client("AB-_", Place::Call), Returned::Signature("gemini-call:AB+/".to_owned()));
    }
}
