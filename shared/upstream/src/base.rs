//! What outlives a configuration.

use tollgate_config::Timeouts;

use crate::aws::Aws;
use crate::clients::Clients;
use crate::error::SetupError;
use crate::secrets::Secrets;

/// HTTP clients with their connections, AWS's configuration, and secrets. Clones share them.
#[derive(Debug, Clone)]
pub struct Base {
    pub(crate) clients: Clients,
    /// With default settings.
    pub(crate) client: reqwest::Client,
    pub(crate) aws: Aws,
    pub(crate) secrets: Secrets,
}

impl Base {
    /// Reads the system's root certificates; touches no network.
    pub fn new() -> Result<Self, SetupError> {
        let mut clients = Clients::default();
        let client = clients.get("", Timeouts::default().connect(), None)?;
        let aws = Aws::new(clients.for_aws(Timeouts::default().connect())?);
        let secrets = Secrets::new(aws.clone());
        Ok(Self { clients, client, aws, secrets })
    }

    /// The ambient AWS configuration.
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// The HTTP client with default settings.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// A secret's text as the value of a header; marked sensitive. It is fetched once, and kept. The error says what is wrong with it.
    pub async fn secret(&self, reference: &tollgate_config::SecretRef) -> Result<http::HeaderValue, String> {
        self.secrets.get(reference).await.map(|secret| secret.plain).map_err(|error| error.cause().to_owned())
    }
}
