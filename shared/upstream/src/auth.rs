//! How the gateway shows a provider who it is.

use ::http::header::{AUTHORIZATION, HeaderName};
use ::http::{HeaderMap, HeaderValue};
use tollgate_config::SecretRef;
use tollgate_wire::codec::Dialect;

use crate::error::TransportError;
use crate::secrets::{Secret, Secrets};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request gets before it is sent.
#[derive(Debug)]
pub(crate) enum Auth {
    /// Nothing: the provider asks for nothing.
    None,
    /// A key.
    Key(Key),
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
    /// In a header by this name; in Messages in `x-api-key`, too, where Claude looks for it on Azure
    /// (<https://learn.microsoft.com/azure/ai-foundry/foundry-models/how-to/use-foundry-models-claude>).
    Header(HeaderName),
}

impl Auth {
    /// Puts the credentials into a request.
    pub(crate) async fn apply(&self, dialect: Dialect, headers: &mut HeaderMap) -> Result<(), TransportError> {
        match self {
            Self::None => {}
            Self::Key(key) => key.place.put(key.secrets.get(&key.reference).await?, dialect, headers),
        }
        Ok(())
    }

    /// The provider refused the credentials. Answers whether the next ones will be new.
    pub(crate) fn refused(&self) -> bool {
        match self {
            Self::None => false,
            Self::Key(key) => key.secrets.refused(&key.reference),
        }
    }

    /// Fetches what the first request would otherwise wait for.
    pub(crate) async fn warm(&self) {
        if let Self::Key(key) = self {
            let _ = key.secrets.get(&key.reference).await;
        }
    }

    /// Does it need the ambient AWS configuration?
    pub(crate) fn uses_aws(&self) -> bool {
        matches!(self, Self::Key(Key { reference: SecretRef::SecretsManager { .. }, .. }))
    }
}

impl Place {
    fn put(&self, secret: Secret, dialect: Dialect, headers: &mut HeaderMap) {
        let mut set = |name: HeaderName, value: HeaderValue| {
            headers.insert(name, value);
        };
        match (self, dialect) {
            (Self::OfDialect, Dialect::Messages) => set(X_API_KEY, secret.plain),
            (Self::OfDialect, _) => set(AUTHORIZATION, secret.bearer),
            (Self::Header(name), Dialect::Messages) => {
                set(X_API_KEY, secret.plain.clone());
                set(name.clone(), secret.plain);
            }
            (Self::Header(name), _) => set(name.clone(), secret.plain),
        }
    }
}
