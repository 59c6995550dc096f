//! Reasoning of one dialect, carried through another.
//!
//! A model that reasons gives a proof of it, which has to come back with the next turn of a tool loop. A client of another dialect has one
//! opaque text for it. What is put there is the proof itself behind a prefix that says what it was:
//!
//! | the model's dialect | the client's dialect | the text |
//! |---|---|---|
//! | Messages, Converse | Responses: `encrypted_content` | `tollgate.1.signature.` and the signature of the thinking block, whose text is the item's |
//! | Messages, Converse | Responses: `encrypted_content` | `tollgate.1.redacted.` and the data of the redacted block |
//! | Responses | Messages, Chat: `signature` | `tollgate.1.item.`, the reasoning item's id, `.` and its `encrypted_content` |
//!
//! Nothing here is secret or trusted: a client may write such a text itself, and gets no further than with the same signature in its own
//! dialect, because the provider that made a proof is who checks it. A text without the prefix is another provider's: it means nothing to anybody else,
//! so it is left out and reported.

const SIGNATURE: &str = "tollgate.1.signature.";
const REDACTED: &str = "tollgate.1.redacted.";
const ITEM: &str = "tollgate.1.item.";
/// How all of them begin.
pub(crate) const SEALED: &str = "tollgate.1.";

/// What an `encrypted_content` holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened<'a> {
    /// The signature of a thinking block.
    Signature(&'a str),
    /// A redacted block.
    Redacted(&'a str),
    /// Another provider's.
    Foreign,
}

/// Reads an `encrypted_content`.
pub(super) fn open(text: &str) -> Opened<'_> {
    match (text.strip_prefix(SIGNATURE), text.strip_prefix(REDACTED)) {
        (Some(signature), _) => Opened::Signature(signature),
        (_, Some(data)) => Opened::Redacted(data),
        _ => Opened::Foreign,
    }
}

/// A signature as an `encrypted_content`.
pub(super) fn seal_signature(signature: &str) -> String {
    format!("{SIGNATURE}{signature}")
}

/// A redacted block as an `encrypted_content`.
pub(super) fn seal_redacted(data: &str) -> String {
    format!("{REDACTED}{data}")
}

/// A reasoning item as the signature of a thinking block.
pub(super) fn seal_item(id: &str, encrypted: &str) -> String {
    format!("{ITEM}{id}.{encrypted}")
}

/// The id and the `encrypted_content` of a reasoning item.
pub(super) fn open_item(signature: &str) -> Option<(&str, &str)> {
    signature.strip_prefix(ITEM)?.split_once('.')
}

/// Is this signature of a thinking block a reasoning item?
pub(crate) fn is_item(signature: &str) -> bool {
    signature.starts_with(ITEM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_again() {
        assert_eq!(open(&seal_signature("EqQ=")), Opened::Signature("EqQ="));
        assert_eq!(open(&seal_redacted("")), Opened::Redacted(""));
        assert_eq!(open_item(&seal_item("rs_1", "gA.B")), Some(("rs_1", "gA.B")));
    }

    #[test]
    fn what_nobody_here_sealed_is_foreign() {
        for text in ["", "gAAAAB", "tollgate.1.", "tollgate.2.signature.x", "tollgate.1.item.rs.x"] {
            assert_eq!(open(text), Opened::Foreign, "{text}");
        }
        for text in ["", "EqQ=", "tollgate.1.item.rs"] {
            assert_eq!(open_item(text), None, "{text}");
        }
    }
}
