//! Shared secrets.

use std::hint::black_box;

/// Whether a text is the secret. The time that it takes tells the secret's length at most. An empty secret is nobody's.
#[must_use]
pub fn is_secret(text: &str, secret: &str) -> bool {
    let differences = text.bytes().zip(secret.bytes()).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    !secret.is_empty() && text.len() == secret.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_it() {
        assert!(is_secret("s3cret", "s3cret"));
        for text in ["", "s3cre", "s3cretx", "S3cret", "xxxxxx"] {
            assert!(!is_secret(text, "s3cret"), "{text}");
        }
        assert!(!is_secret("", ""));
    }
}
