//! The AWS configuration: the ambient one, loaded when something first needs it, or a given one.

use std::sync::Arc;

use aws_config::SdkConfig;
use tollgate_limits::SdkSource;

/// Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Aws(Source);

#[derive(Debug, Clone)]
enum Source {
    Ambient(tollgate_upstream::Aws),
    Fixed(Arc<SdkConfig>),
}

impl Aws {
    /// That of the environment. Loads nothing yet.
    pub fn ambient() -> Result<Self, String> {
        let aws = tollgate_upstream::Aws::standalone().map_err(|error| error.to_string())?;
        Ok(Self(Source::Ambient(aws)))
    }

    /// A given one.
    #[must_use]
    pub fn fixed(config: SdkConfig) -> Self {
        Self(Source::Fixed(Arc::new(config)))
    }

    /// It.
    pub async fn config(&self) -> &SdkConfig {
        match &self.0 {
            Source::Ambient(aws) => aws.config().await,
            Source::Fixed(config) => config,
        }
    }

    /// For the ledger.
    #[must_use]
    pub fn source(&self, emulator: bool) -> SdkSource {
        match &self.0 {
            Source::Ambient(aws) => aws.source(emulator),
            Source::Fixed(config) => {
                let config = Arc::clone(config);
                Arc::new(move || Box::pin(std::future::ready(SdkConfig::clone(&config))))
            }
        }
    }
}
