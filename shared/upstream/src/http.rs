//! Providers that speak HTTP.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use reqwest::{Request, Url};
use tollgate_wire::codec::Dialect;
use tollgate_wire::json;
use tollgate_wire::unary::Way;

use crate::address::Address;
use crate::auth::Auth;
use crate::body::{Body, Reply, source_text};
use crate::endpoints::Realtime;
use crate::error::TransportError;
use crate::forward::Forward;
use crate::services::Served;

/// The version of the API when the client named none: <https://docs.anthropic.com/en/api/versioning>.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const HEADER_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const HEADER_BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// One call.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) model: &'a str,
    /// How it is asked for something else than an answer to a conversation.
    pub(crate) way: Option<Way>,
    pub(crate) body: Bytes,
    pub(crate) stream: bool,
    pub(crate) betas: &'a [String],
    /// More of the request, which Bedrock takes in headers.
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) anthropic_version: Option<&'a HeaderValue>,
}

/// Where an HTTP provider is, and how it knows us.
#[derive(Debug)]
pub(crate) struct HttpTransport {
    pub(crate) client: reqwest::Client,
    /// What it can be asked in which dialect, and where; the preferred one first.
    pub(crate) endpoints: Vec<(Dialect, Address)>,
    /// What a path of the client's is put behind in place of its `/v1`; none: it takes only what the endpoints name.
    pub(crate) root: Option<String>,
    /// Where it opens sessions of the Realtime API, if it has such a place.
    pub(crate) realtime: Option<Realtime>,
    /// What else it can be asked, and where.
    pub(crate) services: Vec<Served>,
    pub(crate) auth: Auth,
    /// Connections that can become WebSockets.
    #[cfg(feature = "realtime")]
    pub(crate) upgrading: reqwest::Client,
    /// Headers that the provider wants in every request.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// A header that it wants in every request that shows the model a picture.
    pub(crate) pictures: Option<(&'static str, &'static str)>,
    /// Top-level fields of a body that the provider refuses.
    pub(crate) refuses: &'static [&'static str],
    pub(crate) connect_timeout: Duration,
    /// It has answered, so there may be connections that are used again.
    pub(crate) answered: AtomicBool,
}

/// A dead connection shows itself within a round trip; what breaks later was broken by the provider.
pub(crate) const STALE_WITHIN: Duration = Duration::from_secs(1);

impl HttpTransport {
    /// Sends, and waits for the head of the answer.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Reply, TransportError> {
        let reply = self.exchange(&self.client, call.dialect, &|| self.request(call)).await?;
        if let Some(encoding) = reply.headers.get(CONTENT_ENCODING).filter(|e| e.as_bytes() != b"identity") {
            return Err(TransportError::Encoding(String::from_utf8_lossy(encoding.as_bytes()).into_owned()));
        }
        Ok(reply)
    }

    /// Sends a request as it is.
    pub(crate) async fn forward(&self, request: &Forward<'_>, url: Url, body: Bytes) -> Result<Reply, TransportError> {
        let again = || {
            let mut sent = Request::new(request.method.clone(), url.clone());
            *sent.headers_mut() = request.headers.clone();
            if !body.is_empty() {
                *sent.body_mut() = Some(body.clone().into());
            }
            Ok(sent)
        };
        self.exchange(self.client_for(request), request.dialect, &again).await
    }

    /// Sends what `request` makes. Credentials that are refused are fetched again and tried once more.
    async fn exchange(
        &self,
        client: &reqwest::Client,
        dialect: Dialect,
        request: &(dyn Fn() -> Result<Request, TransportError> + Sync),
    ) -> Result<Reply, TransportError> {
        let mut first = true;
        loop {
            let mut request = request()?;
            for (name, value) in self.headers {
                request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            self.auth.apply(dialect, &mut request).await?;
            let begun = Instant::now();
            let mut response = client.execute(request).await.map_err(|e| self.error(&e, begun))?;
            self.answered.store(true, Ordering::Relaxed);
            if !(first && response.status() == StatusCode::UNAUTHORIZED && self.auth.refused()) {
                let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
                return Ok(Reply { status, headers, body: Body::Http(Box::new(response)) });
            }
            first = false;
        }
    }

    #[cfg(feature = "realtime")]
    fn client_for(&self, request: &Forward<'_>) -> &reqwest::Client {
        if request.upgrade { &self.upgrading } else { &self.client }
    }

    #[cfg(not(feature = "realtime"))]
    fn client_for(&self, _: &Forward<'_>) -> &reqwest::Client {
        &self.client
    }

    fn request(&self, call: &Call<'_>) -> Result<Request, TransportError> {
        let address = match call.way {
            None => self.endpoints.iter().find(|(dialect, _)| *dialect == call.dialect).map(|(_, address)| address),
            Some(way) => {
                let served = self.services.iter().find(|one| one.way == way && one.dialect == call.dialect);
                served.map(|one| &one.address)
            }
        };
        let address = address.ok_or_else(|| TransportError::Connect("the provider has no such endpoint".to_owned()))?;
        let mut request = Request::new(Method::POST, address.of(call.model, call.stream)?);
        *request.headers_mut() = headers(call);
        if let Some((name, value)) = self.pictures.filter(|_| holds_picture(&call.body)) {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        *request.body_mut() = Some(without(self.refuses, &call.body).into());
        Ok(request)
    }

    fn error(&self, error: &reqwest::Error, begun: Instant) -> TransportError {
        let reused = self.answered.load(Ordering::Relaxed) && begun.elapsed() < STALE_WITHIN;
        unanswered(error, reused, self.connect_timeout)
    }
}

/// What stands in every request of its kind.
fn headers(call: &Call<'_>) -> HeaderMap {
    // With those that the client and the credentials add most requests have six. The next size of a map is too large for what an allocator has at hand.
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let accept = if call.stream { "text/event-stream" } else { "application/json" };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    if call.dialect == Dialect::Messages {
        headers.insert(HEADER_VERSION, call.anthropic_version.cloned().unwrap_or(ANTHROPIC_VERSION));
        if let Ok(betas) = HeaderValue::from_str(&call.betas.join(","))
            && !betas.is_empty()
        {
            headers.insert(HEADER_BETA, betas);
        }
    }
    headers
}

/// In any dialect's words for one; a text that quotes them is taken for one, too, which does no harm.
fn holds_picture(body: &[u8]) -> bool {
    ["\"image_url\"", "\"input_image\"", "\"image\""].iter().any(|word| json::mentions(body, word))
}

/// The body without these fields.
fn without(fields: &[&str], body: &Bytes) -> Bytes {
    let Some(members) = (!fields.is_empty()).then(|| json::members(body).ok()).flatten() else { return body.clone() };
    if members.iter().all(|member| !fields.contains(&member.key.as_ref())) {
        return body.clone();
    }
    let kept = members.iter().filter(|member| !fields.contains(&member.key.as_ref()));
    let kept = kept.filter_map(|member| body.get(member.key_span.start..member.value_span.end));
    [b"{".as_slice(), &kept.collect::<Vec<_>>().join(&b','), b"}"].concat().into()
}

/// Why a call brought no head of an answer. `reused`: it failed at once, and may have been on a connection of an earlier call.
pub(crate) fn unanswered(error: &reqwest::Error, reused: bool, connect_timeout: Duration) -> TransportError {
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => TransportError::ConnectTimeout(connect_timeout),
        (true, false) => TransportError::Connect(source_text(error)),
        (false, false) if reused && error.is_request() => TransportError::Stale(source_text(error)),
        _ => TransportError::Broken(source_text(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_a_provider_refuses_are_left_out_and_nothing_else_changes() {
        let body = Bytes::from_static(br#"{"a": 1,"stream_options":{"include_usage":true}, "b" : [2.0]}"#);
        assert_eq!(without(&["stream_options"], &body), r#"{"a": 1,"b" : [2.0]}"#);
        assert_eq!(without(&["c"], &body), body);
        assert_eq!(without(&[], &body), body);
    }
}
