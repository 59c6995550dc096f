//! Takes a token apart (RFC 7515, compact form). Pure; nothing here is believed until the signature is checked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::algorithm::{self, Spec};
use crate::error::{AuthError, Printable};

/// A token in its parts.
pub(crate) struct Parsed<'t> {
    /// What the signature is over: the first two parts as they came.
    pub(crate) signed: &'t [u8],
    pub(crate) signature: Vec<u8>,
    pub(crate) algorithm: &'static Spec,
    pub(crate) kid: Option<String>,
    pub(crate) claims: Map<String, Value>,
}

/// A doubled field is an error, so no two readers of one header can disagree about it.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    #[serde(default)]
    jku: Present,
    #[serde(default)]
    x5u: Present,
    #[serde(default)]
    jwk: Present,
    #[serde(default)]
    x5c: Present,
    #[serde(default)]
    crit: Present,
}

/// Whether a field is there, with any value, `null` too.
#[derive(Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

pub(crate) fn parse(token: &str) -> Result<Parsed<'_>, AuthError> {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return malformed("it is not three parts with a dot between");
    };
    let signed = token.get(..header.len() + 1 + claims.len()).unwrap_or_default().as_bytes();

    let header: Header = object(header, "its header is not base64url", "its header is not a JSON object with `alg`")?;
    let algorithm = check_header(&header)?;
    let claims = object(claims, "its claims are not base64url", "its claims are not a JSON object")?;
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
        return malformed("its signature is not base64url");
    };
    Ok(Parsed { signed, signature, algorithm, kid: header.kid, claims })
}

fn malformed<T>(reason: &'static str) -> Result<T, AuthError> {
    Err(AuthError::Malformed { reason })
}

/// Serde also reads a struct from an array, hence the look at the first byte.
fn object<T: for<'de> Deserialize<'de>>(
    part: &str,
    not_base64: &'static str,
    not_object: &'static str,
) -> Result<T, AuthError> {
    let Ok(json) = URL_SAFE_NO_PAD.decode(part) else {
        return malformed(not_base64);
    };
    if json.trim_ascii_start().first() != Some(&b'{') {
        return malformed(not_object);
    }
    serde_json::from_slice(&json).or_else(|_| malformed(not_object))
}

fn check_header(header: &Header) -> Result<&'static Spec, AuthError> {
    let refused = [
        (&header.jku, "jku"),
        (&header.x5u, "x5u"),
        (&header.jwk, "jwk"),
        (&header.x5c, "x5c"),
        (&header.crit, "crit"),
    ];
    if let Some((_, field)) = refused.into_iter().find(|(present, _)| present.0) {
        return Err(AuthError::HeaderRefused { field });
    }
    algorithm::by_name(&header.alg)
        .ok_or_else(|| AuthError::AlgorithmRefused { algorithm: Printable::new(&header.alg), detail: "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    fn error(token: &str) -> AuthError {
        parse(token).err().unwrap()
    }

    #[test]
    fn a_token_comes_apart() {
        let token = token(r#"{"alg":"RS256","kid":"k","typ":"JWT"}"#, r#"{"iss":"i"}"#);
        let parsed = parse(&token).unwrap();
        assert_eq!(parsed.algorithm.name, "RS256");
        assert_eq!(parsed.kid.as_deref(), Some("k"));
        assert_eq!(parsed.claims["iss"], "i");
        assert_eq!(parsed.signature, b"sig");
        assert_eq!(parsed.signed, token.strip_suffix(".c2ln").unwrap().as_bytes());
    }

    #[test]
    fn what_is_not_a_jwt_is_malformed() {
        let good = r#"{"alg":"RS256"}"#;
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let deep = "[".repeat(5_000);
        let table = [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "...".to_owned(),
            "a.b".to_owned(),
            "a.b.c.d".to_owned(),
            "a.b.c.d.e".to_owned(),
            "sk-ant-api03-not-a-token".to_owned(),
            format!("{}.{}.c2ln", "%%%%", encode("{}")),
            format!("{}=.{}.c2ln", encode(good), encode("{}")),
            format!("{}.{}.%%", encode(good), encode("{}")),
            format!("{}.{}.c2lnX", encode(good), encode("{}")),
            format!("{} .{}.c2ln", encode(good), encode("{}")),
            token("not json", "{}"),
            token("[\"RS256\",null]", "{}"),
            token("{}", "{}"),
            token(r#"{"alg":1}"#, "{}"),
            token(r#"{"alg":null}"#, "{}"),
            token(r#"{"alg":"RS256","kid":7}"#, "{}"),
            token(r#"{"alg":"RS256","alg":"none"}"#, "{}"),
            token(good, ""),
            token(good, "[]"),
            token(good, "\"text\""),
            token(good, "null"),
            token(good, "{\"exp\":}"),
            token(good, "{} {}"),
            token(good, &format!("{{\"x\":{deep}")),
        ];
        for token in table {
            assert!(matches!(error(&token), AuthError::Malformed { .. }), "{token}");
        }
    }

    #[test]
    fn an_algorithm_without_a_public_key_is_refused_before_anything_else() {
        for name in ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "rs256", "ES512", "RSA-OAEP"] {
            let token = token(&format!(r#"{{"alg":"{name}"}}"#), "not even claims");
            assert_eq!(error(&token), AuthError::AlgorithmRefused { algorithm: Printable::new(name), detail: "" });
        }
        let unsigned = token(r#"{"alg":"none"}"#, "{}");
        let unsigned = unsigned.strip_suffix("c2ln").unwrap();
        assert!(matches!(error(unsigned), AuthError::AlgorithmRefused { .. }));
    }

    #[test]
    fn a_header_that_brings_its_own_key_is_refused_whatever_its_value() {
        for field in ["jku", "x5u", "jwk", "x5c", "crit"] {
            for value in ["null", "\"https://evil.example/keys\"", "{\"kty\":\"RSA\"}", "[]", "[\"b64\"]"] {
                let token = token(&format!(r#"{{"alg":"RS256","{field}":{value}}}"#), "{}");
                assert_eq!(error(&token), AuthError::HeaderRefused { field });
            }
        }
    }
}
