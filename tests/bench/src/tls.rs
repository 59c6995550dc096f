//! A certificate authority of our own, and a server that it vouches for.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::Result;

/// Where most systems keep the roots that they trust. They are put beside ours, so that loading them costs what it costs in production.
const SYSTEM_ROOTS: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Roots for `SSL_CERT_FILE`, and a server for `localhost`.
pub(crate) struct Local {
    pub(crate) roots_pem: String,
    pub(crate) acceptor: TlsAcceptor,
}

impl Local {
    pub(crate) fn new() -> Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate()?;
        let root = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate()?;
        let certificate: CertificateDer<'static> =
            CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?.into();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let system = SYSTEM_ROOTS.iter().find_map(|path| std::fs::read_to_string(path).ok());
        let roots_pem = format!("{}\n{}", system.unwrap_or_default(), root.pem());
        Ok(Self { roots_pem, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}
