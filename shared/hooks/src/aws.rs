//! The ambient AWS configuration, loaded when something first needs it, once.

use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use tokio::sync::OnceCell;
use tollgate_limits::SdkSource;

/// Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Aws(Arc<OnceCell<SdkConfig>>);

impl Aws {
    /// A given one.
    #[must_use]
    pub fn fixed(config: SdkConfig) -> Self {
        Self(Arc::new(OnceCell::new_with(Some(config))))
    }

    /// It.
    pub async fn config(&self) -> &SdkConfig {
        self.0.get_or_init(load).await
    }

    /// For the ledger.
    #[must_use]
    pub fn source(&self) -> SdkSource {
        let aws = self.clone();
        Arc::new(move || {
            let aws = aws.clone();
            Box::pin(async move { aws.config().await.clone() })
        })
    }
}

/// By the one HTTP client that the binaries have.
async fn load() -> SdkConfig {
    match tollgate_upstream::Aws::standalone() {
        Ok(aws) => aws.config().await.clone(),
        Err(error) => {
            tracing::error!(error.cause = %error, "AWS cannot be asked: there is no HTTP client");
            SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build()
        }
    }
}
