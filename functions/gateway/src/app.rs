//! What every request needs, built once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::task::TaskTracker;
use tollgate_auth::{Authenticator, Options};
use tollgate_config::Config;
use tollgate_limits::Limiter;
pub use tollgate_limits::unix_s;
use tollgate_telemetry::Metrics;
use tollgate_upstream::{Chains, SetupError};

use crate::guard::Guards;
use crate::record::Recorder;

/// Are we in Lambda?
pub fn on_lambda() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

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
    /// Rate limits and budgets; `None`: there are none.
    pub limiter: Option<Limiter>,
    /// Access log and metrics.
    pub recorder: Recorder,
    /// Settlements that are being written.
    pub settlements: TaskTracker,
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
        let emulator = config.limits.as_ref().is_some_and(|limits| limits.ledger.is_emulator());
        let limiter = Limiter::new(config.limits.as_ref(), chains.aws().source(emulator));
        let metrics = Metrics { on: config.telemetry.metrics(on_lambda()), by_team: config.telemetry.metrics_by_team };
        let recorder = Recorder::new(None, metrics);
        let settlements = TaskTracker::new();
        let started_unix_s = unix_s(SystemTime::now());
        Ok(Self(Arc::new(Shared { config, chains, auth, guards, limiter, recorder, settlements, started_unix_s })))
    }

    /// Prepares in the background what the first request would otherwise wait for: the issuers' keys, the providers' secrets, AWS
    /// credentials. Nothing waits for it, and its failures are the first request's to report.
    pub fn warm(&self) {
        self.chains.warm();
        self.guards.warm();
        let app = self.clone();
        tokio::spawn(async move { app.auth.warm(SystemTime::now()).await });
        let app = self.clone();
        tokio::spawn(async move {
            if let Some(limiter) = &app.limiter {
                limiter.ledger().warm().await;
            }
        });
    }

    /// Tries again every minute what could not be settled. On Lambda the next request does.
    pub fn keep_settling(&self) {
        if self.limiter.is_none() {
            return;
        }
        let app = self.clone();
        tokio::spawn(async move {
            let mut minutes = tokio::time::interval(Duration::from_secs(60));
            while let Some(limiter) = &app.limiter {
                minutes.tick().await;
                limiter.flush(SystemTime::now()).await;
            }
        });
    }

    /// Writes what is still to be settled: before the process ends.
    pub async fn settle_up(&self) {
        self.settlements.close();
        self.settlements.wait().await;
        if let Some(limiter) = &self.limiter {
            limiter.flush(SystemTime::now()).await;
        }
    }
}
