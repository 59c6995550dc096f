//! Browsers' cross-origin rules (<https://fetch.spec.whatwg.org/#http-cors-protocol>), for the pages that `cors.allowOrigins` names. A token is never sent by
//! itself, so credentials (cookies) are not allowed, and every header may be sent and read.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use tollgate_config::Cors;

/// The origin of the page that asks, if it may.
pub(crate) fn origin<'a>(cors: &Cors, parts: &'a Parts) -> Option<&'a HeaderValue> {
    if cors.allow_origins.is_empty() {
        return None;
    }
    let origin = parts.headers.get(ORIGIN)?;
    origin.to_str().is_ok_and(|text| cors.allows(text)).then_some(origin)
}

/// The answer to a browser's question before its request, which has no token.
pub(crate) fn preflight(parts: &Parts) -> Option<Response> {
    let method = parts.headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| parts.method == Method::OPTIONS)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    if let Some(asked) = parts.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    Some(response)
}

/// What lets the page read an answer.
pub(crate) fn open(response: &mut Response, origin: &HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    headers.append(VARY, HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pages_that_are_named_may_ask() {
        let allows = |allowed: &[&str], origin: &str| {
            let cors = Cors { allow_origins: allowed.iter().map(|&text| text.to_owned()).collect() };
            let request = http::Request::builder().header(ORIGIN, origin).body(()).unwrap();
            super::origin(&cors, &request.into_parts().0).is_some()
        };
        assert!(allows(&["https://pivot.claude.ai"], "https://pivot.claude.ai"));
        assert!(allows(&["https://*.example.com"], "https://chat.example.com"));
        assert!(allows(&["*"], "null"));
        assert!(!allows(&["https://*.example.com"], "https://example.com.evil.example"));
        assert!(!allows(&["https://app.example"], "http://app.example"));
        assert!(!allows(&[], "https://app.example"));
    }
}
