//! Bytes in JSON. Google's SDKs write the URL-safe alphabet, other dialects take the standard one, and both readers of Google take either.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The same bytes in the standard alphabet, padded. What is no base64 stays as it is, for the upstream to judge.
pub(super) fn standard(text: &str) -> Cow<'_, str> {
    let url_safe = text.bytes().any(|byte| matches!(byte, b'-' | b'_'));
    if !url_safe && text.len().is_multiple_of(4) {
        return Cow::Borrowed(text);
    }
    let mut out = text.replace('-', "+").replace('_', "/");
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    Cow::Owned(out)
}

/// The bytes, of either alphabet.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(standard(text).as_bytes()).ok()
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_alphabet_is_read_and_the_standard_one_is_written() {
        assert_eq!(standard("-_8"), "+/8=");
        assert_eq!(standard("+/8="), "+/8=");
        assert_eq!(decode("-_8").unwrap(), [0xfb, 0xff]);
        assert_eq!(decode(&encode(b"a?>")).unwrap(), b"a?>");
        assert_eq!(decode("not base64!"), None);
    }
}
