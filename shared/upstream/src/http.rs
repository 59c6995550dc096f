//! Providers that speak HTTP: one pooled client per set of connection settings.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use ::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use reqwest::Url;
use tollgate_config::SecretRef;
use tollgate_wire::codec::Dialect;

use crate::body::{Body, Reply, source_text};
use crate::error::{SetupError, TransportError};
use crate::secrets::Secrets;

/// The version of the API when the client named none: <https://docs.anthropic.com/en/api/versioning>.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const HEADER_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const HEADER_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
const HEADER_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// One call.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) body: Bytes,
    pub(crate) stream: bool,
    pub(crate) betas: &'a [String],
    pub(crate) anthropic_version: Option<&'a HeaderValue>,
}

/// Where an HTTP provider is, and how it knows us.
#[derive(Debug)]
pub(crate) struct HttpTransport {
    pub(crate) client: reqwest::Client,
    pub(crate) chat: Option<Url>,
    pub(crate) messages: Option<Url>,
    pub(crate) key: Option<SecretRef>,
    pub(crate) secrets: Secrets,
    pub(crate) connect_timeout: Duration,
    /// It has answered, so there may be connections that are used again.
    pub(crate) answered: AtomicBool,
}

/// A dead connection shows itself within a round trip; what breaks later was broken by the provider.
pub(crate) const STALE_WITHIN: Duration = Duration::from_secs(1);

impl HttpTransport {
    /// Sends, and waits for the head of the answer. A key that is refused is fetched again and tried once more.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Reply, TransportError> {
        let reply = self.send_once(call).await?;
        let refused = reply.status == ::http::StatusCode::UNAUTHORIZED;
        match &self.key {
            Some(key) if refused && self.secrets.refused(key) => self.send_once(call).await,
            _ => Ok(reply),
        }
    }

    async fn send_once(&self, call: &Call<'_>) -> Result<Reply, TransportError> {
        let url = match call.dialect {
            Dialect::Messages => &self.messages,
            Dialect::Chat | Dialect::Converse => &self.chat,
        };
        let url = url.clone().ok_or_else(|| TransportError::Connect("the provider has no such endpoint".to_owned()))?;
        let mut request = reqwest::Request::new(reqwest::Method::POST, url);
        *request.headers_mut() = self.headers(call).await?;
        *request.body_mut() = Some(call.body.clone().into());
        let begun = Instant::now();
        let response = self.client.execute(request).await.map_err(|e| self.error(&e, begun))?;
        self.answered.store(true, Ordering::Relaxed);
        if let Some(encoding) = response.headers().get(CONTENT_ENCODING).filter(|e| e.as_bytes() != b"identity") {
            return Err(TransportError::Encoding(String::from_utf8_lossy(encoding.as_bytes()).into_owned()));
        }
        Ok(Reply {
            status: response.status(),
            headers: response.headers().clone(),
            body: Body::Http(Box::new(response)),
        })
    }

    async fn headers(&self, call: &Call<'_>) -> Result<HeaderMap, TransportError> {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = if call.stream { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(key) = &self.key {
            let secret = self.secrets.get(key).await?;
            match call.dialect {
                Dialect::Messages => headers.insert(HEADER_KEY, secret.plain),
                Dialect::Chat | Dialect::Converse => headers.insert(AUTHORIZATION, secret.bearer),
            };
        }
        if call.dialect == Dialect::Messages {
            headers.insert(HEADER_VERSION, call.anthropic_version.cloned().unwrap_or(ANTHROPIC_VERSION));
            if let Ok(betas) = HeaderValue::from_str(&call.betas.join(","))
                && !betas.is_empty()
            {
                headers.insert(HEADER_BETA, betas);
            }
        }
        Ok(headers)
    }

    fn error(&self, error: &reqwest::Error, begun: Instant) -> TransportError {
        let reused = self.answered.load(Ordering::Relaxed) && begun.elapsed() < STALE_WITHIN;
        match (error.is_connect(), error.is_timeout()) {
            (true, true) => TransportError::ConnectTimeout(self.connect_timeout),
            (true, false) => TransportError::Connect(source_text(error)),
            (false, false) if reused && error.is_request() => TransportError::Stale(source_text(error)),
            _ => TransportError::Broken(source_text(error)),
        }
    }
}

/// The HTTP clients of the process, by connect timeout and roots: providers with the same settings share one pool.
#[derive(Debug, Default)]
pub(crate) struct Clients(BTreeMap<(Duration, Option<String>), reqwest::Client>);

impl Clients {
    pub(crate) fn get(
        &mut self,
        provider: &str,
        connect: Duration,
        root: Option<&str>,
    ) -> Result<reqwest::Client, SetupError> {
        let key = (connect, root.map(str::to_owned));
        if let Some(client) = self.0.get(&key) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(connect)
            // Under the idle timeouts of the providers' load balancers, so that we close first.
            .pool_idle_timeout(Duration::from_secs(50))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = root {
            let roots =
                |cause: String| SetupError::Roots { provider: provider.to_owned(), path: path.to_owned(), cause };
            let pem = std::fs::read(path).map_err(|e| roots(e.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| roots(e.to_string()))?;
            if certificates.is_empty() {
                return Err(roots("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|e| SetupError::Client(source_text(&e)))?;
        self.0.insert(key, client.clone());
        Ok(client)
    }
}
