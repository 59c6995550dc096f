//! What every request needs, built once.

use std::sync::Arc;
use std::time::SystemTime;

use tollgate_auth::{AlbAuthenticator, Authenticator, Options};
use tollgate_config::{Config, Quota};
use tollgate_limits::{Limiter, What};

use crate::aws::Aws;
use crate::secret::SharedSecret;

/// Shared by all requests.
#[derive(Debug, Clone)]
pub struct App(Arc<Shared>);

/// The parts of [`App`].
#[derive(Debug)]
pub struct Shared {
    /// The configuration, validated.
    pub config: Config,
    /// Limits, prices, ledger. `None`: they are switched off.
    pub limiter: Option<Limiter>,
    /// What this function reserves.
    pub what: What,
    /// The ambient AWS configuration.
    pub aws: Aws,
    pub(crate) auth: Authenticator,
    pub(crate) alb: Option<AlbAuthenticator>,
    pub(crate) secret: SharedSecret,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Builds everything; touches no network. The error says what the configuration lacks.
    pub fn new(config: Config, what: What, aws: Aws) -> Result<Self, String> {
        check_complete(&config)?;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("the HTTP client could not be built: {error}"))?;
        let emulator = config.limits.as_ref().is_some_and(|limits| limits.ledger.is_emulator());
        let shared = Shared {
            limiter: Limiter::new(config.limits.as_ref(), aws.source(emulator)),
            what,
            auth: Authenticator::new(&config.auth, client.clone(), Options::default()),
            alb: AlbAuthenticator::new(&config.auth, &config.webhooks.alb, client),
            secret: SharedSecret::new(config.webhooks.shared_secret.clone(), aws.clone()),
            aws,
            config,
        };
        Ok(Self(Arc::new(shared)))
    }

    /// Prepares in the background what the first request would otherwise wait for.
    pub fn warm(&self) {
        let app = self.clone();
        tokio::spawn(async move { app.auth.warm(SystemTime::now()).await });
        let app = self.clone();
        tokio::spawn(async move {
            if let Some(limiter) = &app.limiter {
                limiter.ledger().warm().await;
            }
        });
    }
}

/// What these functions need. Providers and their keys are the gateway's business.
fn check_complete(config: &Config) -> Result<(), String> {
    let Some(limits) = &config.limits else {
        return Err("there is no `limits` block: a function without limits would let everything pass".to_owned());
    };
    if limits.quota == Quota::On && limits.ledger.file.is_some() && limits.ledger.endpoint.is_none() {
        return Err(
            "limits.ledger.file: that table is in the gateway's own process; set limits.ledger.endpoint".to_owned()
        );
    }
    let webhooks = &config.webhooks;
    let somebody = !config.auth.issuers.is_empty()
        || !webhooks.alb.signers.is_empty()
        || webhooks.shared_secret.is_some()
        || webhooks.trusts_iam();
    if somebody {
        Ok(())
    } else {
        Err("nobody could call: add an issuer, a load balancer or a shared secret".to_owned())
    }
}
