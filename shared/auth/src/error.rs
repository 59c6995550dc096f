//! Why a token was refused, in words that are safe to send back.
//!
//! Every text is printable ASCII without quotes and backslashes, so that it fits a quoted string of a header as it is
//! (RFC 6750, section 3). What came from a token or the configuration goes through [`Printable`] first.

use std::fmt;
use std::time::SystemTime;

/// Text from outside, made safe for headers, logs and messages: printable ASCII, no quotes, backslashes or backticks, and cut
/// after 128 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Printable(Box<str>);

const MAX_CHARS: usize = 128;
const MAX_LIST_CHARS: usize = 1024;

impl Printable {
    /// Replaces what is not safe by `?`, and cuts what is too long.
    pub fn new(text: &str) -> Self {
        Self::cut(text, MAX_CHARS)
    }

    /// For a list that the configuration wrote: the same, with room for eight times as much.
    pub(crate) fn list(text: &str) -> Self {
        Self::cut(text, MAX_LIST_CHARS)
    }

    fn cut(text: &str, max_chars: usize) -> Self {
        let safe = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '`');
        let mut out: String = text.chars().take(max_chars).map(|c| if safe(c) { c } else { '?' }).collect();
        if text.chars().nth(max_chars).is_some() {
            out.push_str("...");
        }
        Self(out.into_boxed_str())
    }

    /// The safe text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Printable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Printable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What the answer to an [`AuthError`] has to be; the gateway maps it to a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthErrorKind {
    /// There was no token: 401.
    Missing,
    /// The token cannot be trusted: 401.
    Invalid,
    /// The token is genuine, and may not do this: 403.
    Forbidden,
    /// Whether the token is genuine cannot be told right now: 503.
    Unavailable,
}

/// Why a token was refused. The `Display` text is public.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// In none of the headers that may carry it.
    #[error("no token: send one as `Authorization: Bearer TOKEN`, `x-api-key: TOKEN` or `x-goog-api-key: TOKEN`")]
    Missing,
    /// In the query string only, as Google's REST examples have it.
    #[error(
        "the key in the query string is not read, because queries end in logs: send the token as `x-goog-api-key: TOKEN`"
    )]
    InQuery,
    /// The header that would carry the token is there more than once.
    #[error("several `{header}` headers: send one")]
    Ambiguous {
        /// The header's name.
        header: &'static str,
    },
    /// Not a JWT, or one that breaks the rules of its form.
    #[error("the token is malformed: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A header field that would let the token choose its own key, or asks for an extension.
    #[error("the token's header has `{field}`, which is refused")]
    HeaderRefused {
        /// The field's name.
        field: &'static str,
    },
    /// `none`, an HMAC, an algorithm that the issuer may not use, or one that its key is not for.
    #[error("the signature algorithm `{algorithm}` is refused{detail}")]
    AlgorithmRefused {
        /// The token's `alg`.
        algorithm: Printable,
        /// What it does not fit; empty, or text that begins with a colon.
        detail: &'static str,
    },
    /// No trusted issuer has this name.
    #[error("the token's issuer is not trusted: `{issuer}`")]
    UnknownIssuer {
        /// The token's `iss`, or `(none)`.
        issuer: Printable,
    },
    /// Signed by a load balancer that is none of ours.
    #[error("the load balancer that signed this is not trusted: `{signer}`")]
    UnknownSigner {
        /// Its ARN, as it says.
        signer: Printable,
    },
    /// The issuer has no such key.
    #[error("the token's key is unknown to its issuer: `{kid}`")]
    UnknownKey {
        /// The token's `kid`, or `(none)`.
        kid: Printable,
    },
    /// The signature is not the issuer's.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Its `exp` has passed.
    #[error("the token expired at {}", date(*.at))]
    Expired {
        /// Its `exp`.
        at: SystemTime,
    },
    /// Its `nbf` or `iat` has not come yet.
    #[error("the token is not valid before {} (`{claim}`)", date(*.from))]
    NotYetValid {
        /// `nbf` or `iat`.
        claim: &'static str,
        /// Its value.
        from: SystemTime,
    },
    /// A claim that is needed is missing, or is not what it should be.
    #[error("the token's claim `{name}` {problem}")]
    Claim {
        /// The claim.
        name: Printable,
        /// What is wrong with it: `is missing`, `is not a number`.
        problem: &'static str,
    },
    /// An id token where an access token belongs, for example.
    #[error("the token's `token_use` is `{found}`, and must be `{expected}`")]
    WrongTokenUse {
        /// The token's, or `(none)`.
        found: Printable,
        /// The configuration's.
        expected: Printable,
    },
    /// It was issued for somebody else.
    #[error("the token is not for this audience: its `aud` has none of the accepted values")]
    WrongAudience,
    /// Genuine, but its client is not in `clientIds`.
    #[error("the client `{client}` may not use this gateway")]
    ClientNotAllowed {
        /// The token's `client_id` or `azp`, or `(none)`.
        client: Printable,
    },
    /// Genuine, but without a scope that is required.
    #[error("the token lacks the scope `{missing}`")]
    MissingScope {
        /// The scopes that it lacks, separated by spaces.
        missing: Printable,
        /// All the scopes that it needs, separated by spaces.
        required: Printable,
    },
    /// The issuer's keys could not be fetched, and none are left that are fresh enough.
    #[error("the keys of the issuer `{issuer}` are not available right now: try again")]
    KeysUnavailable {
        /// The issuer.
        issuer: Printable,
    },
}

impl AuthError {
    /// What the answer has to be.
    pub fn kind(&self) -> AuthErrorKind {
        match self {
            Self::Missing | Self::InQuery => AuthErrorKind::Missing,
            Self::Ambiguous { .. }
            | Self::Malformed { .. }
            | Self::HeaderRefused { .. }
            | Self::AlgorithmRefused { .. }
            | Self::UnknownIssuer { .. }
            | Self::UnknownSigner { .. }
            | Self::UnknownKey { .. }
            | Self::BadSignature
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::Claim { .. }
            | Self::WrongTokenUse { .. }
            | Self::WrongAudience => AuthErrorKind::Invalid,
            Self::ClientNotAllowed { .. } | Self::MissingScope { .. } => AuthErrorKind::Forbidden,
            Self::KeysUnavailable { .. } => AuthErrorKind::Unavailable,
        }
    }

    /// A short fixed name, for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::InQuery => "in_query",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Malformed { .. } => "malformed",
            Self::HeaderRefused { .. } => "header_refused",
            Self::AlgorithmRefused { .. } => "algorithm_refused",
            Self::UnknownIssuer { .. } => "unknown_issuer",
            Self::UnknownSigner { .. } => "unknown_signer",
            Self::UnknownKey { .. } => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Claim { .. } => "bad_claim",
            Self::WrongTokenUse { .. } => "wrong_token_use",
            Self::WrongAudience => "wrong_audience",
            Self::ClientNotAllowed { .. } => "client_not_allowed",
            Self::MissingScope { .. } => "missing_scope",
            Self::KeysUnavailable { .. } => "keys_unavailable",
        }
    }

    /// The `WWW-Authenticate` header of the answer (RFC 6750, section 3). A request without a token gets no error code,
    /// as the RFC asks for.
    pub fn www_authenticate(&self) -> String {
        const REALM: &str = "Bearer realm=\"tollgate\"";
        let code = match self.kind() {
            AuthErrorKind::Missing | AuthErrorKind::Unavailable => return REALM.to_owned(),
            AuthErrorKind::Forbidden => "insufficient_scope",
            AuthErrorKind::Invalid if matches!(self, Self::Ambiguous { .. }) => "invalid_request",
            AuthErrorKind::Invalid => "invalid_token",
        };
        let mut header = format!("{REALM}, error=\"{code}\", error_description=\"{self}\"");
        if let Self::MissingScope { required, .. } = self {
            header.push_str(&format!(", scope=\"{required}\""));
        }
        header
    }

    pub(crate) fn missing_claim(name: &str) -> Self {
        Self::Claim { name: Printable::new(name), problem: "is missing" }
    }
}

/// Times in errors were clamped when the claim was read, to what an HTTP date can say.
fn date(at: SystemTime) -> String {
    httpdate::fmt_http_date(at)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn every_text_says_which_check_failed() {
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let p = Printable::new;
        let table = [
            (
                AuthError::Missing,
                "no token: send one as `Authorization: Bearer TOKEN`, `x-api-key: TOKEN` or `x-goog-api-key: TOKEN`",
            ),
            (AuthError::Malformed { reason: "not three parts" }, "the token is malformed: not three parts"),
            (AuthError::HeaderRefused { field: "jku" }, "the token's header has `jku`, which is refused"),
            (
                AuthError::AlgorithmRefused { algorithm: p("HS256"), detail: "" },
                "the signature algorithm `HS256` is refused",
            ),
            (AuthError::Expired { at }, "the token expired at Tue, 14 Nov 2023 22:13:20 GMT"),
            (
                AuthError::NotYetValid { claim: "nbf", from: at },
                "the token is not valid before Tue, 14 Nov 2023 22:13:20 GMT (`nbf`)",
            ),
            (AuthError::missing_claim("exp"), "the token's claim `exp` is missing"),
            (AuthError::MissingScope { missing: p("a b"), required: p("a b c") }, "the token lacks the scope `a b`"),
        ];
        for (error, text) in table {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn the_challenge_follows_rfc_6750() {
        let lacking =
            AuthError::MissingScope { missing: Printable::new("x/invoke"), required: Printable::new("x/invoke y") };
        let table = [
            (AuthError::Missing, "Bearer realm=\"tollgate\""),
            (
                AuthError::BadSignature,
                "Bearer realm=\"tollgate\", error=\"invalid_token\", error_description=\"the token's signature is wrong\"",
            ),
            (
                AuthError::Ambiguous { header: "authorization" },
                "Bearer realm=\"tollgate\", error=\"invalid_request\", \
                 error_description=\"several `authorization` headers: send one\"",
            ),
            (
                lacking,
                "Bearer realm=\"tollgate\", error=\"insufficient_scope\", \
                 error_description=\"the token lacks the scope `x/invoke`\", scope=\"x/invoke y\"",
            ),
            (AuthError::KeysUnavailable { issuer: Printable::new("i") }, "Bearer realm=\"tollgate\""),
        ];
        for (error, header) in table {
            assert_eq!(error.www_authenticate(), header);
        }
    }

    #[test]
    fn text_from_a_token_cannot_break_out_of_a_header() {
        let hostile = format!("a\"\r\nSet-Cookie: x=1\\ `\u{7f}\u{e9}{}", "z".repeat(500));
        let header = AuthError::UnknownIssuer { issuer: Printable::new(&hostile) }.www_authenticate();
        assert!(http::HeaderValue::from_str(&header).is_ok());
        assert_eq!(header.matches('"').count(), 6);
        assert!(!header.contains(['\r', '\n', '\\']));
        assert!(header.len() < 400, "{header}");
    }
}
