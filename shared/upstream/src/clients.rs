//! The HTTP clients of the process: one pool per set of connection settings, one TLS configuration per set of roots.
//!
//! Reading the system's roots takes milliseconds of a cold start, so every client that trusts them shares one reading.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::body::source_text;
use crate::error::SetupError;

/// Clients by connect timeout, roots, and whether their connections become WebSockets: providers with the same settings share one pool.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clients {
    pools: BTreeMap<(Duration, Option<String>, bool), reqwest::Client>,
    aws: BTreeMap<Duration, reqwest::Client>,
    tls: BTreeMap<Option<String>, ClientConfig>,
}

impl Clients {
    /// The client of a provider; of the one whose root certificates cannot be read, the error speaks.
    pub(crate) fn get(
        &mut self,
        provider: &str,
        connect: Duration,
        root: Option<&str>,
    ) -> Result<reqwest::Client, SetupError> {
        self.pool(provider, connect, root, false)
    }

    /// A client for connections that become WebSockets: those of HTTP/2 cannot.
    #[cfg(feature = "realtime")]
    pub(crate) fn upgrading(
        &mut self,
        provider: &str,
        connect: Duration,
        root: Option<&str>,
    ) -> Result<reqwest::Client, SetupError> {
        self.pool(provider, connect, root, true)
    }

    fn pool(
        &mut self,
        provider: &str,
        connect: Duration,
        root: Option<&str>,
        upgrading: bool,
    ) -> Result<reqwest::Client, SetupError> {
        let key = (connect, root.map(str::to_owned), upgrading);
        if let Some(client) = self.pools.get(&key) {
            return Ok(client.clone());
        }
        let mut tls = self.tls(provider, root)?;
        let client = if upgrading {
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            built(builder(connect, tls).http1_only())?
        } else {
            built(builder(connect, tls))?
        };
        self.pools.insert(key, client.clone());
        Ok(client)
    }

    /// The client of the AWS SDK. It knows no proxy, as the SDK's own does not: its credentials come from addresses that only this machine has.
    pub(crate) fn for_aws(&mut self, connect: Duration) -> Result<reqwest::Client, SetupError> {
        if let Some(client) = self.aws.get(&connect) {
            return Ok(client.clone());
        }
        let client = built(builder(connect, self.tls("", None)?).no_proxy())?;
        self.aws.insert(connect, client.clone());
        Ok(client)
    }

    fn tls(&mut self, provider: &str, root: Option<&str>) -> Result<ClientConfig, SetupError> {
        let key = root.map(str::to_owned);
        if let Some(config) = self.tls.get(&key) {
            return Ok(config.clone());
        }
        let config = match root {
            Some(path) => trusting(Some(roots_of(provider, path)?)),
            None => trusting(None),
        };
        let config = config.map_err(|e| SetupError::Client(source_text(&e)))?;
        self.tls.insert(key, config.clone());
        Ok(config)
    }
}

fn builder(connect: Duration, tls: ClientConfig) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(connect)
        // Under the idle timeouts of the providers' load balancers, so that we close first.
        .pool_idle_timeout(Duration::from_secs(50))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
}

fn built(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, SetupError> {
    builder.build().map_err(|e| SetupError::Client(source_text(&e)))
}

/// TLS that trusts these roots, else the system's. The provider of its cryptography is named: rustls' process-wide default exists only where somebody
/// has set it.
fn trusting(roots: Option<RootCertStore>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = match roots {
        Some(roots) => config.with_root_certificates(roots),
        None => config.dangerous().with_custom_certificate_verifier(Arc::new(Verifier::new(provider)?)),
    };
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates of a PEM file.
fn roots_of(provider: &str, path: &str) -> Result<RootCertStore, SetupError> {
    let wrong = |cause: String| SetupError::Roots { provider: provider.to_owned(), path: path.to_owned(), cause };
    let pem = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
        roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("it holds no certificate".to_owned())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_that_cannot_be_read_are_said_with_provider_and_file() {
        let folder = std::env::temp_dir().join(format!("tollgate-roots-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text, cause) in [
            ("none.pem", Some(""), "it holds no certificate"),
            ("broken.pem", Some("-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n"), ""),
            ("no-such.pem", None, "No such file"),
        ] {
            let file = folder.join(name);
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            let error = Clients::default().get("p", Duration::from_secs(1), file.to_str()).unwrap_err().to_string();
            assert!(error.starts_with("provider p: policies.backendTLS.root"), "{error}");
            assert!(error.contains(name) && error.contains(cause), "{error}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn clients_of_one_process_read_the_systems_roots_once() {
        let mut clients = Clients::default();
        for seconds in [1, 2] {
            clients.get("p", Duration::from_secs(seconds), None).unwrap();
            clients.for_aws(Duration::from_secs(seconds)).unwrap();
        }
        assert_eq!((clients.pools.len(), clients.aws.len(), clients.tls.len()), (2, 2, 1));
    }
}
