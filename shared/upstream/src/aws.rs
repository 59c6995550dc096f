//! The ambient AWS configuration: loaded once, when something first needs it (or in the background during init).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use tokio::sync::OnceCell;

use crate::clients::Clients;
use crate::error::SetupError;
use crate::sdk::SdkClient;

/// A future of unknown type. The SDK's are made into this in plain functions: so its code is compiled into this crate, for size and once, and not
/// into every crate that waits for it.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// To connect to an endpoint of AWS, where nothing else is configured.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Shared by everything that talks to AWS.
#[derive(Debug, Clone)]
pub struct Aws {
    client: SdkClient,
    config: Arc<OnceCell<SdkConfig>>,
}

impl Aws {
    /// By this client AWS is asked, for credentials, too.
    pub(crate) fn new(client: reqwest::Client) -> Self {
        Self { client: SdkClient(client), config: Arc::default() }
    }

    /// For a process without providers, with a client of its own.
    pub fn standalone() -> Result<Self, SetupError> {
        Clients::default().for_aws(CONNECT_TIMEOUT).map(Self::new)
    }

    /// Region and credentials of the environment. Credentials themselves are fetched at the first signed call.
    pub async fn config(&self) -> &SdkConfig {
        self.config.get_or_init(|| self.load()).await
    }

    /// The environment's region.
    pub(crate) async fn region(&self) -> Result<String, String> {
        let ambient = self.config().await.region().map(ToString::to_string);
        ambient.ok_or_else(|| "no AWS region is configured, and the environment names none; set AWS_REGION".to_owned())
    }

    /// The same, for who asks later. An emulator on this machine has no use for the environment, and must not wait for the search.
    pub fn source(
        &self,
        emulator: bool,
    ) -> Arc<dyn Fn() -> Pin<Box<dyn Future<Output = SdkConfig> + Send>> + Send + Sync> {
        let aws = self.clone();
        Arc::new(move || {
            let aws = aws.clone();
            Box::pin(async move { if emulator { aws.bare() } else { aws.config().await.clone() } })
        })
    }

    /// The HTTP client by which AWS is asked. It knows no proxy.
    pub fn client(&self) -> &reqwest::Client {
        &self.client.0
    }

    /// With these credentials and this region, whatever the environment has.
    #[cfg(test)]
    pub(crate) fn fixed(
        client: reqwest::Client,
        credentials: aws_credential_types::Credentials,
        region: &'static str,
        endpoint: Option<&str>,
    ) -> Self {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
            .region(aws_config::Region::from_static(region))
            .http_client(SdkClient(client.clone()));
        let config = endpoint.into_iter().fold(config, |config, url| config.endpoint_url(url)).build();
        Self { config: Arc::new(OnceCell::new_with(Some(config))), ..Self::new(client) }
    }

    /// Our client, and nothing of the environment.
    fn bare(&self) -> SdkConfig {
        SdkConfig::builder().behavior_version(BehaviorVersion::latest()).http_client(self.client.clone()).build()
    }

    fn load(&self) -> Boxed<'static, SdkConfig> {
        Box::pin(aws_config::defaults(BehaviorVersion::latest()).http_client(self.client.clone()).load())
    }
}
