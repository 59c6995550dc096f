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

    /// The same for a service at this endpoint. An emulator on this machine has no use for the environment, and must not wait for the search.
    pub async fn config_for(&self, endpoint: Option<&str>) -> SdkConfig {
        match endpoint {
            Some(endpoint) if is_loopback(endpoint) => SdkConfig::builder()
                .behavior_version(BehaviorVersion::latest())
                .http_client(self.client.clone())
                .build(),
            _ => self.config().await.clone(),
        }
    }

    fn load(&self) -> Boxed<'static, SdkConfig> {
        Box::pin(aws_config::defaults(BehaviorVersion::latest()).http_client(self.client.clone()).load())
    }
}

fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.split("://").nth(1).unwrap_or(endpoint);
    ["127.", "localhost", "[::1]"].iter().any(|prefix| host.starts_with(prefix))
}
