//! The ambient AWS configuration: loaded once, when something first needs it (or in the background during init).

use std::pin::Pin;
use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use tokio::sync::OnceCell;

use crate::sdk::SdkClient;

/// A future of unknown type. The SDK's are made into this in plain functions: so its code is compiled into this crate, for size and once, and not
/// into every crate that waits for it.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Shared by everything that talks to AWS.
#[derive(Debug, Clone)]
pub(crate) struct Aws {
    client: SdkClient,
    config: Arc<OnceCell<SdkConfig>>,
}

impl Aws {
    /// By this client AWS is asked, for credentials, too.
    pub(crate) fn new(client: reqwest::Client) -> Self {
        Self { client: SdkClient(client), config: Arc::default() }
    }

    /// Region and credentials of the environment. Credentials themselves are fetched at the first signed call.
    pub(crate) async fn config(&self) -> &SdkConfig {
        self.config.get_or_init(|| self.load()).await
    }

    fn load(&self) -> Boxed<'static, SdkConfig> {
        Box::pin(aws_config::defaults(BehaviorVersion::latest()).http_client(self.client.clone()).load())
    }
}
