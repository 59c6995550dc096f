//! The ambient AWS configuration: loaded once, when something first needs it (or in the background during init).

use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use tokio::sync::OnceCell;

/// Shared by everything that talks to AWS.
#[derive(Debug, Clone, Default)]
pub struct Aws(Arc<OnceCell<SdkConfig>>);

impl Aws {
    /// Region and credentials of the environment. Credentials themselves are fetched at the first signed call.
    pub async fn config(&self) -> &SdkConfig {
        self.0.get_or_init(|| aws_config::defaults(BehaviorVersion::latest()).load()).await
    }
}
