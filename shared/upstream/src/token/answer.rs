//! Calls of token endpoints, and their answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ::http::{HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde_json::Value;
use tokio::time::Instant;
use tollgate_wire::json;

use super::Grant;
use crate::body::{Body, source_text};

/// More than any token endpoint answers.
const MAX_BYTES: usize = 256 * 1024;
/// A lifetime that is longer than this is not believed: the arithmetic on it must not overflow.
const MAX_LIFETIME_S: u64 = 366 * 24 * 60 * 60;

/// A call of a token endpoint.
pub(super) struct Call {
    pub(super) request: reqwest::Request,
}

impl Call {
    /// A form, as OAuth's endpoints take it.
    pub(super) fn form(url: &str, fields: &[(&str, &str)]) -> Result<Self, String> {
        let mut call = Self::new(Method::POST, url)?;
        call.set(CONTENT_TYPE, "application/x-www-form-urlencoded")?;
        *call.request.body_mut() = Some(form(fields).into());
        Ok(call)
    }

    /// A JSON document.
    pub(super) fn json(url: &str, body: &Value) -> Result<Self, String> {
        let mut call = Self::new(Method::POST, url)?;
        call.set(CONTENT_TYPE, "application/json")?;
        *call.request.body_mut() = Some(body.to_string().into());
        Ok(call)
    }

    /// A question without a body.
    pub(super) fn get(url: &str) -> Result<Self, String> {
        Self::new(Method::GET, url)
    }

    fn new(method: Method, url: &str) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|e| format!("the token endpoint's address is not a URL: {e}"))?;
        let mut call = Self { request: reqwest::Request::new(method, url) };
        call.set(ACCEPT, "application/json")?;
        Ok(call)
    }

    /// With credentials.
    pub(super) fn authorized(mut self, value: &str) -> Result<Self, String> {
        let value = HeaderValue::from_str(value);
        let mut value = value.map_err(|_| "the credentials have characters that a header cannot carry".to_owned())?;
        value.set_sensitive(true);
        self.request.headers_mut().insert(AUTHORIZATION, value);
        Ok(self)
    }

    pub(super) fn set(&mut self, name: ::http::HeaderName, value: &str) -> Result<(), String> {
        let value = HeaderValue::from_str(value).map_err(|e| e.to_string())?;
        self.request.headers_mut().insert(name, value);
        Ok(())
    }

    /// The JSON object of a 2xx answer. Of other answers only what says why: never the whole, which may repeat credentials.
    pub(super) async fn answer(self, http: &reqwest::Client) -> Result<Value, String> {
        let host = self.request.url().host_str().unwrap_or_default().to_owned();
        let response = http.execute(self.request).await;
        let response = response.map_err(|e| format!("{host} could not be asked for a token: {}", source_text(&e)))?;
        let status = response.status();
        // The whole fetch has its own time limit.
        let deadline = Instant::now() + Duration::from_secs(60);
        let body = Body::Http(Box::new(response)).read(MAX_BYTES, Duration::from_secs(60), deadline).await;
        let body = body.map_err(|e| format!("{host}: {e}"))?;
        let value: Option<Value> = json::read(&body).ok().filter(Value::is_object);
        match value {
            Some(value) if status.is_success() => Ok(value),
            None if status.is_success() => Err(format!("{host} answered with something that is not a JSON object")),
            value => Err(format!("{host} refused with status {}{}", status.as_u16(), reason(value.as_ref()))),
        }
    }
}

/// Fields, as a form writes them.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}

/// OAuth's `error` and `error_description` (RFC 6749, section 5.2), Google's `error.status`, GitHub's `message`.
fn reason(body: Option<&Value>) -> String {
    let Some(body) = body else { return String::new() };
    let texts = ["/error", "/error/status", "/error_description", "/error/message", "/message"];
    let found = texts.iter().filter_map(|place| body.pointer(place).and_then(Value::as_str));
    found.fold(String::new(), |said, text| format!("{said}, {text:.200}"))
}

/// OAuth's token answer: <https://datatracker.ietf.org/doc/html/rfc6749#section-5.1>. A managed identity's has the end of the token (`expires_on`, Unix time), and may
/// have nothing else.
pub(super) fn grant(answer: &Value) -> Result<Grant, String> {
    let seconds = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let left = || {
        let ends_at = Duration::from_secs(answer.get("expires_on").and_then(seconds)?);
        Some(ends_at.saturating_sub(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()).as_secs())
    };
    let lifetime = answer.get("expires_in").and_then(seconds).or_else(left).unwrap_or(3_600);
    Ok(Grant { token: text(answer, "access_token")?, lifetime: lifetime_of(lifetime), renew_in: None, base: None })
}

pub(super) fn lifetime_of(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(MAX_LIFETIME_S))
}

/// A text that has to be there. The message does not repeat what is.
pub(super) fn text(object: &Value, key: &str) -> Result<String, String> {
    let text = object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| format!("it has no `{key}`"))
}
