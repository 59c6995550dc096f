//! How the gateway shows a provider who it is.

use std::time::SystemTime;

use ::http::header::{AUTHORIZATION, HeaderName};
use ::http::{HeaderMap, HeaderValue};
use aws_sigv4::http_request::SigningSettings;
use reqwest::{Request, Url};
use tollgate_config::SecretRef;
use tollgate_wire::codec::Dialect;

use crate::aws::Boxed;
use crate::error::TransportError;
use crate::secrets::{Secret, Secrets};
use crate::signer::{Call, Signer};
use crate::token::Tokens;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request gets before it is sent.
#[derive(Debug)]
pub(crate) enum Auth {
    /// Nothing: the provider asks for nothing.
    None,
    /// A key.
    Key(Key),
    /// A bearer token, exchanged for something else.
    Tokens(Box<Tokens>),
    /// A signature of AWS.
    Aws(Box<Signature>),
}

/// How requests are signed.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) signer: Signer,
    /// The service's name for signatures.
    pub(crate) service: &'static str,
    /// None: the ambient one.
    pub(crate) region: Option<String>,
}

/// A key, and where it stands.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) reference: SecretRef,
    pub(crate) place: Place,
    pub(crate) secrets: Secrets,
}

/// Where a provider looks for its key.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// Where the dialect's own provider does: `x-api-key` for Messages, else a bearer token.
    OfDialect,
    /// A bearer token, whatever the dialect.
    Bearer,
    /// In a header by this name; in Messages in `x-api-key`, too, where Claude looks for it on Azure
    /// (<https://learn.microsoft.com/azure/ai-foundry/foundry-models/how-to/use-foundry-models-claude>).
    Header(HeaderName),
}

impl Auth {
    /// Puts the credentials into a request that is complete but for them.
    pub(crate) async fn apply(&self, dialect: Dialect, request: &mut Request) -> Result<(), TransportError> {
        match self {
            Self::None => {}
            Self::Key(key) => key.place.put(key.secrets.get(&key.reference).await?, dialect, request.headers_mut()),
            Self::Tokens(tokens) => {
                let token = tokens.get().await?;
                request.headers_mut().insert(AUTHORIZATION, token.bearer.clone());
                if let Some(base) = &token.base {
                    redirect(request.url_mut(), base).map_err(TransportError::Credentials)?;
                }
            }
            Self::Aws(signature) => {
                let signed: Boxed<'_, _> = Box::pin(signature.of(request));
                let signed = signed.await.map_err(TransportError::Credentials)?;
                request.headers_mut().extend(signed);
            }
        }
        Ok(())
    }

    /// The provider refused the credentials. Answers whether the next ones will be new.
    pub(crate) fn refused(&self) -> bool {
        match self {
            // A signature is made anew for every request, of credentials that AWS has given a moment to live.
            Self::None | Self::Aws(_) => false,
            Self::Tokens(tokens) => tokens.refused(),
            Self::Key(key) => key.secrets.refused(&key.reference),
        }
    }

    /// Fetches what the first request would otherwise wait for.
    pub(crate) async fn warm(&self) {
        match self {
            Self::None => {}
            Self::Key(key) => drop(key.secrets.get(&key.reference).await),
            Self::Tokens(tokens) => drop(tokens.get().await),
            Self::Aws(signature) => drop(signature.signer.aws().config().await),
        }
    }

    /// Does it need the ambient AWS configuration?
    pub(crate) fn uses_aws(&self) -> bool {
        match self {
            Self::None => false,
            Self::Key(key) => matches!(key.reference, SecretRef::SecretsManager { .. }),
            Self::Tokens(tokens) => tokens.uses_aws(),
            Self::Aws(_) => true,
        }
    }
}

impl Signature {
    async fn of(&self, request: &Request) -> Result<HeaderMap, String> {
        let region = match &self.region {
            Some(region) => region.clone(),
            None => self.signer.aws().region().await?,
        };
        let call = Call {
            method: request.method().as_str(),
            url: request.url().as_str(),
            service: self.service,
            region: &region,
            headers: &[],
            body: request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default(),
        };
        self.signer.headers(&call, SigningSettings::default(), SystemTime::now()).await
    }
}

/// The same path at another host.
fn redirect(url: &mut Url, base: &Url) -> Result<(), String> {
    let wrong = || "the token's own host cannot be asked".to_owned();
    url.set_scheme(base.scheme()).map_err(|()| wrong())?;
    url.set_host(base.host_str()).map_err(|_| wrong())?;
    url.set_port(base.port()).map_err(|()| wrong())
}

impl Place {
    fn put(&self, secret: Secret, dialect: Dialect, headers: &mut HeaderMap) {
        let mut set = |name: HeaderName, value: HeaderValue| {
            headers.insert(name, value);
        };
        match (self, dialect) {
            (Self::OfDialect, Dialect::Messages) => set(X_API_KEY, secret.plain),
            (Self::OfDialect | Self::Bearer, _) => set(AUTHORIZATION, secret.bearer),
            (Self::Header(name), Dialect::Messages) => {
                set(X_API_KEY, secret.plain.clone());
                set(name.clone(), secret.plain);
            }
            (Self::Header(name), _) => set(name.clone(), secret.plain),
        }
    }
}
