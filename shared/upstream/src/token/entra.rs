//! Microsoft Entra ID's client credentials:
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#first-case-access-token-request-with-a-shared-secret>.

use tollgate_config::{EntraClient, SecretRef};

use super::Grant;
use super::answer::{Call, grant};
use crate::secrets::Secrets;

/// An application that may use the resource.
#[derive(Debug)]
pub(crate) struct Entra {
    client: EntraClient,
}

impl Entra {
    pub(crate) fn new(client: EntraClient) -> Self {
        Self { client }
    }

    /// Is the secret itself in AWS?
    pub(super) fn uses_aws(&self) -> bool {
        matches!(self.client.client_secret, SecretRef::SecretsManager { .. })
    }

    pub(super) async fn fetch(&self, http: &reqwest::Client, secrets: &Secrets) -> Result<Grant, String> {
        let secret = secrets.text(&self.client.client_secret).await?;
        let own = || format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", self.client.tenant_id);
        let url = self.client.token_url.clone().unwrap_or_else(own);
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", self.client.client_id.as_str()),
            ("client_secret", secret.trim()),
            ("scope", self.client.scope()),
        ];
        grant(&Call::form(&url, &fields)?.answer(http).await?)
    }
}
