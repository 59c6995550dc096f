//! Gets an issuer's key document: by URL, from a file, or by discovery. One try, no state.

use std::future::Future;
use std::io::Read;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use tollgate_config::Issuer;

use crate::jwk::BadKeys;

/// Where the document is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Url(String),
    File(String),
    /// The document's address is the `jwks_uri` of this issuer's metadata.
    Discovery {
        issuer: String,
    },
}

impl Source {
    pub(crate) fn of(issuer: &Issuer) -> Self {
        match (&issuer.jwks.file, &issuer.jwks.url) {
            (Some(file), _) => Self::File(file.clone()),
            (None, Some(url)) => Self::Url(url.clone()),
            (None, None) if issuer.jwks.discovery => Self::Discovery { issuer: issuer.issuer.clone() },
            (None, None) => Self::Url(well_known(&issuer.issuer, "jwks.json")),
        }
    }

    pub(crate) async fn fetch(&self, client: &Client, bounds: Bounds) -> Result<Vec<u8>, FetchError> {
        match self {
            Self::Url(url) => get(client, parse(url)?, bounds).await,
            Self::File(path) => read(path.clone(), bounds).await,
            Self::Discovery { issuer } => {
                let metadata = get(client, parse(&well_known(issuer, "openid-configuration"))?, bounds).await?;
                get(client, keys_address(&metadata, issuer)?, bounds).await
            }
        }
    }
}

/// Bounds on one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) timeout: Duration,
    pub(crate) max_bytes: usize,
}

/// Why there is no document. For the log: it goes no further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no answer in time")]
    Timeout,
    #[error("the request failed")]
    Http(#[source] reqwest::Error),
    #[error("the answer's status is {0}")]
    Status(StatusCode),
    #[error("the document is larger than the bound")]
    TooLarge,
    #[error("the answer came from another server, by a redirect")]
    Redirected,
    #[error("the address of the keys is not a URL")]
    Address,
    #[error("the metadata is not a JSON object with `issuer` and `jwks_uri`")]
    Metadata,
    #[error("the metadata is that of another issuer")]
    OtherIssuer,
    #[error("the `jwks_uri` of the metadata is not https")]
    NotHttps,
    #[error("the file cannot be read")]
    File(#[source] std::io::Error),
    #[error("the document has no keys to use")]
    Keys(#[from] BadKeys),
}

fn well_known(issuer: &str, name: &str) -> String {
    format!("{}/.well-known/{name}", issuer.trim_end_matches('/'))
}

fn parse(url: &str) -> Result<Url, FetchError> {
    Url::parse(url).map_err(|_| FetchError::Address)
}

async fn get(client: &Client, url: Url, bounds: Bounds) -> Result<Vec<u8>, FetchError> {
    in_time(bounds, async {
        let origin = url.origin();
        let request = client.get(url).header("accept", "application/json");
        let mut response = request.send().await.map_err(http)?;
        if response.url().origin() != origin {
            return Err(FetchError::Redirected);
        }
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(http)? {
            if body.len() + chunk.len() > bounds.max_bytes {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    })
    .await
}

/// A URL may hold a password.
fn http(error: reqwest::Error) -> FetchError {
    FetchError::Http(error.without_url())
}

async fn read(path: String, bounds: Bounds) -> Result<Vec<u8>, FetchError> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut body = Vec::new();
        let limit = u64::try_from(bounds.max_bytes).unwrap_or(u64::MAX).saturating_add(1);
        std::fs::File::open(path)?.take(limit).read_to_end(&mut body).map(|_| body)
    });
    let body = in_time(bounds, async {
        reading.await.map_err(std::io::Error::other).and_then(|read| read).map_err(FetchError::File)
    })
    .await?;
    if body.len() > bounds.max_bytes { Err(FetchError::TooLarge) } else { Ok(body) }
}

async fn in_time<T>(bounds: Bounds, work: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
    tokio::time::timeout(bounds.timeout, work).await.unwrap_or(Err(FetchError::Timeout))
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// OpenID Connect Discovery 1.0, section 4.3: the metadata's issuer must be exactly ours.
fn keys_address(metadata: &[u8], issuer: &str) -> Result<Url, FetchError> {
    let metadata: Metadata = serde_json::from_slice(metadata).map_err(|_| FetchError::Metadata)?;
    if metadata.issuer != issuer {
        return Err(FetchError::OtherIssuer);
    }
    let url = parse(&metadata.jwks_uri)?;
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) {
        return Ok(url);
    }
    Err(FetchError::NotHttps)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use tollgate_config::Jwks;

    use super::*;

    #[test]
    fn the_keys_of_an_issuer_are_at_a_cognito_pools_address_unless_it_says_otherwise() {
        let source = |issuer: &str, jwks| Source::of(&Issuer { issuer: issuer.to_owned(), jwks, ..Issuer::default() });
        let default = "https://idp.example/p/.well-known/jwks.json".to_owned();
        assert_eq!(source("https://idp.example/p", Jwks::default()), Source::Url(default.clone()));
        assert_eq!(source("https://idp.example/p/", Jwks::default()), Source::Url(default));
        let url = Jwks { url: Some("https://keys.example".to_owned()), ..Jwks::default() };
        assert_eq!(source("x", url), Source::Url("https://keys.example".to_owned()));
        let file = Jwks { file: Some("jwks.json".to_owned()), ..Jwks::default() };
        assert_eq!(source("x", file), Source::File("jwks.json".to_owned()));
        let discovery = Jwks { discovery: true, ..Jwks::default() };
        assert_eq!(source("x", discovery), Source::Discovery { issuer: "x".to_owned() });
    }

    #[test]
    fn discovery_believes_only_its_own_issuer_and_only_https() {
        let address = |issuer: &str, uri: &str| {
            let metadata = serde_json::json!({"issuer": issuer, "jwks_uri": uri, "scopes_supported": []});
            keys_address(metadata.to_string().as_bytes(), "https://idp.example").map(String::from)
        };
        let ours = "https://idp.example";
        for uri in ["https://keys.example/k", "http://127.0.0.1:8080/k", "http://localhost/k", "http://[::1]:1/k"] {
            assert_eq!(address(ours, uri).unwrap(), uri);
        }
        for uri in ["http://keys.example/k", "http://localhost.evil.example/k", "file:///etc/passwd", "ftp://x/k"] {
            assert!(matches!(address(ours, uri), Err(FetchError::NotHttps)), "{uri}");
        }
        assert!(matches!(address(ours, "not a url"), Err(FetchError::Address)));
        for other in ["https://idp.example/", "https://evil.example", ""] {
            assert!(matches!(address(other, "https://keys.example/k"), Err(FetchError::OtherIssuer)), "{other}");
        }
        for metadata in ["", "{}", "[]", "<html>", "{\"issuer\":\"https://idp.example\"}"] {
            assert!(matches!(keys_address(metadata.as_bytes(), ours), Err(FetchError::Metadata)), "{metadata}");
        }
    }
}
