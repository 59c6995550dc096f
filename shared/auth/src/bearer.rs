//! Where a request carries its token.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use crate::error::AuthError;

/// Where SDKs put what they take for their provider's key: Anthropic's, Google's, Azure's.
const API_KEYS: [(HeaderName, &str); 3] = [
    (HeaderName::from_static("x-api-key"), "x-api-key"),
    (HeaderName::from_static("x-goog-api-key"), "x-goog-api-key"),
    (HeaderName::from_static("api-key"), "api-key"),
];

/// Finds the token: `Authorization: Bearer TOKEN` (the scheme in any case), or `x-api-key: TOKEN` as Anthropic's SDK
/// sends it, or `x-goog-api-key: TOKEN` as Google's does, or `api-key: TOKEN` as OpenAI's for Azure does.
///
/// `Authorization` wins when both are there, equal or not: SDKs are often started with a placeholder as their API key
/// and the real token as a header. An `Authorization` of another scheme, or without a token, is passed over.
///
/// # Errors
///
/// [`AuthError::Missing`] without a token; [`AuthError::Ambiguous`] when the header occurs more than once, because a
/// proxy in front might have looked at the other one; [`AuthError::Malformed`] when it is not text.
pub fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    if let Some(value) = only(headers, AUTHORIZATION, "authorization")?
        && let Some((scheme, token)) = value.split_once(' ')
        && scheme.eq_ignore_ascii_case("bearer")
        && !token.trim().is_empty()
    {
        return Ok(token.trim());
    }
    for (name, header) in API_KEYS {
        if let Some(token) = only(headers, name, header)?.map(str::trim).filter(|token| !token.is_empty()) {
            return Ok(token);
        }
    }
    Err(AuthError::Missing)
}

fn only<'h>(headers: &'h HeaderMap, name: HeaderName, header: &'static str) -> Result<Option<&'h str>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(AuthError::Ambiguous { header });
    }
    // A value has no control characters. To look for what is not ASCII in one go is a tenth of `to_str`, which goes by bytes: of a token's thousand, 8,000 instructions.
    let text = value.as_bytes().is_ascii().then(|| std::str::from_utf8(value.as_bytes()).ok()).flatten();
    text.map(Some).ok_or(AuthError::Malformed { reason: "its header is not printable ASCII" })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    type Pairs<'p> = &'p [(&'static str, &'p [u8])];

    fn headers(pairs: Pairs<'_>) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())).fold(
            HeaderMap::new(),
            |mut map, (name, value)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn a_token_is_found_in_either_header() {
        let table: [(Pairs<'_>, &str); 11] = [
            (&[("authorization", b"Bearer a.b.c")], "a.b.c"),
            (&[("authorization", b"bearer a.b.c")], "a.b.c"),
            (&[("authorization", b"BEARER   a.b.c ")], "a.b.c"),
            (&[("x-api-key", b"a.b.c")], "a.b.c"),
            (&[("x-goog-api-key", b"a.b.c")], "a.b.c"),
            (&[("api-key", b"a.b.c")], "a.b.c"),
            (&[("x-goog-api-key", b"placeholder"), ("authorization", b"Bearer a.b.c")], "a.b.c"),
            (&[("x-api-key", b"placeholder"), ("authorization", b"Bearer a.b.c")], "a.b.c"),
            (&[("x-api-key", b"a.b.c"), ("authorization", b"Basic dXNlcjpwYXNz")], "a.b.c"),
            (&[("x-api-key", b"a.b.c"), ("authorization", b"Bearer ")], "a.b.c"),
            (&[("x-api-key", b"1"), ("x-api-key", b"2"), ("authorization", b"Bearer a.b.c")], "a.b.c"),
        ];
        for (pairs, token) in table {
            assert_eq!(bearer(&headers(pairs)), Ok(token), "{pairs:?}");
        }
    }

    #[test]
    fn a_request_without_a_token_is_missing_one() {
        let table: [Pairs<'_>; 6] = [
            &[],
            &[("authorization", b"")],
            &[("authorization", b"Bearer")],
            &[("authorization", b"Bearer   ")],
            &[("authorization", b"Basic dXNlcjpwYXNz")],
            &[("x-api-key", b" ")],
        ];
        for pairs in table {
            assert_eq!(bearer(&headers(pairs)), Err(AuthError::Missing), "{pairs:?}");
        }
    }

    #[test]
    fn several_authorization_headers_are_refused_even_when_equal() {
        let twice = headers(&[("authorization", b"Bearer a.b.c"), ("authorization", b"Bearer a.b.c")]);
        assert_eq!(bearer(&twice), Err(AuthError::Ambiguous { header: "authorization" }));
        let keys = headers(&[("x-goog-api-key", b"a.b.c"), ("x-goog-api-key", b"d.e.f")]);
        assert_eq!(bearer(&keys), Err(AuthError::Ambiguous { header: "x-goog-api-key" }));
        let keys = headers(&[("x-api-key", b"a.b.c"), ("x-api-key", b"d.e.f")]);
        assert_eq!(bearer(&keys), Err(AuthError::Ambiguous { header: "x-api-key" }));
    }

    #[test]
    fn a_header_that_is_not_ascii_is_malformed() {
        let headers = headers(&[("authorization", b"Bearer \xff.b.c")]);
        assert!(matches!(bearer(&headers), Err(AuthError::Malformed { .. })));
    }
}
