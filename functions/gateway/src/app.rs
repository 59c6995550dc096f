//! What every request needs, built once.

use std::sync::Arc;
use std::time::SystemTime;

use tollgate_auth::{Authenticator, Options};
use tollgate_config::Config;
use tollgate_upstream::{Chains, SetupError};

use crate::guard::Guards;

/// Shared by all requests.
#[derive(Debug, Clone)]
pub struct App(Arc<Shared>);

/// The parts of [`App`].
#[derive(Debug)]
pub struct Shared {
    /// The configuration, validated.
    pub config: Config,
    /// Providers and chains.
    pub chains: Chains,
    /// Checks tokens.
    pub auth: Authenticator,
    /// Webhooks that see requests and answers.
    pub guards: Guards,
    /// Seconds since the epoch at the start: `created` of the models that we list.
    pub started_unix_s: u64,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Builds everything; touches no network.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        let chains = Chains::new(&config)?;
        let auth = Authenticator::new(&config.auth, chains.client().clone(), Options::default());
        let guards = Guards::new(&config, &chains);
        Ok(Self(Arc::new(Shared { config, chains, auth, guards, started_unix_s: unix_s(SystemTime::now()) })))
    }

    /// Prepares in the background what the first request would otherwise wait for: the issuers' keys, the providers' secrets, AWS
    /// credentials. Nothing waits for it, and its failures are the first request's to report.
    pub fn warm(&self) {
        self.chains.warm();
        self.guards.warm();
        let app = self.clone();
        tokio::spawn(async move { app.auth.warm(SystemTime::now()).await });
    }
}

/// Whole seconds since the Unix epoch.
pub fn unix_s(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
