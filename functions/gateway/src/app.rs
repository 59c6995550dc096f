//! What every request needs, built once per configuration.

use std::sync::Arc;
use std::time::SystemTime;

use tokio_util::task::TaskTracker;
use tollgate_auth::{Authenticator, Options};
use tollgate_config::Config;
pub use tollgate_limits::unix_s;
use tollgate_limits::{KeptTable, Limiter, SdkSource};
use tollgate_upstream::{Base, Chains, SetupError};

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
    pub guards: Arc<Guards>,
    /// Rate limits and budgets; `None`: there are none.
    pub limiter: Option<Arc<Limiter>>,
    /// Responses that are kept here; `None`: none are.
    pub kept: Option<Arc<KeptTable>>,
    /// Access log, metrics and traces.
    pub recorder: Recorder,
    /// Settlements that are being written.
    pub settlements: TaskTracker,
    /// Seconds since the epoch at the start: `created` of the models that we list.
    pub started_unix_s: u64,
}

/// What the ledger asks AWS with.
fn sdk_for(config: &Config, chains: &Chains) -> SdkSource {
    chains.aws().source(config.limits.as_ref().is_some_and(|limits| limits.ledger.is_emulator()))
}

/// The table of kept responses.
fn kept(config: &Config, chains: &Chains) -> Option<Arc<KeptTable>> {
    let state = config.responses.state.as_ref()?;
    KeptTable::new(&config.responses, chains.aws().source(state.is_emulator())).map(Arc::new)
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
        Self::on(Base::new()?, config, None)
    }

    /// The same, on connections that are there already. `version`: of the configuration, for the log.
    pub fn on(base: Base, config: Config, version: Option<Arc<str>>) -> Result<Self, SetupError> {
        let chains = Chains::on(base, &config)?;
        let auth = Authenticator::new(&config.auth, chains.client().clone(), Options::default());
        let guards = Arc::new(Guards::new(&config, &chains));
        let limiter = Limiter::new(config.limits.as_ref(), sdk_for(&config, &chains)).map(Arc::new);
        let kept = kept(&config, &chains);
        let recorder = Recorder::new(&config.telemetry, version, chains.base(), None);
        let settlements = TaskTracker::new();
        let started_unix_s = unix_s(SystemTime::now());
        Ok(Self(Arc::new(Shared {
            config,
            chains,
            auth,
            guards,
            limiter,
            kept,
            recorder,
            settlements,
            started_unix_s,
        })))
    }

    /// The next configuration, with what of this one does not change: connections, health, keys, secrets, the ledger,
    /// the table of kept responses.
    pub fn succeeded_by(&self, config: Config, version: Arc<str>) -> Result<Self, SetupError> {
        let chains = self.chains.succeeded_by(&config)?;
        let auth = if config.auth == self.config.auth {
            self.auth.clone()
        } else {
            self.auth.succeeded_by(&config.auth, chains.client().clone(), Options::default())
        };
        let guards = if config.ai.prompt_guard == self.config.ai.prompt_guard {
            Arc::clone(&self.guards)
        } else {
            Arc::new(Guards::new(&config, &chains))
        };
        let limiter = match &self.limiter {
            limiter if config.limits == self.config.limits => limiter.clone(),
            Some(limiter) => limiter.succeeded_by(config.limits.as_ref(), sdk_for(&config, &chains)).map(Arc::new),
            None => Limiter::new(config.limits.as_ref(), sdk_for(&config, &chains)).map(Arc::new),
        };
        let kept = match &self.kept {
            Some(kept) if kept.is_asked_by(&config.responses) => Some(Arc::clone(kept)),
            _ => kept(&config, &chains),
        };
        let recorder = Recorder::new(&config.telemetry, Some(version), chains.base(), Some(&self.recorder));
        let (settlements, started_unix_s) = (self.settlements.clone(), self.started_unix_s);
        Ok(Self(Arc::new(Shared {
            config,
            chains,
            auth,
            guards,
            limiter,
            kept,
            recorder,
            settlements,
            started_unix_s,
        })))
    }

    /// The version of its configuration.
    pub fn version(&self) -> Option<&Arc<str>> {
        self.recorder.version()
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
            if let Some(kept) = &app.kept {
                kept.warm().await;
            }
        });
    }

    /// Writes what is still to be settled, and told: before the process ends.
    pub async fn settle_up(&self) {
        self.settlements.close();
        self.settlements.wait().await;
        if let Some(limiter) = &self.limiter {
            limiter.flush(SystemTime::now()).await;
        }
        self.recorder.close().await;
    }
}
