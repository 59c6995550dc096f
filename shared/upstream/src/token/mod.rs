//! Tokens that are exchanged for credentials: fetched when first needed, kept until shortly before their end, fetched again when a provider
//! refuses one. Never logged.
//!
//! 1. A token that has a while to live is handed out at once.
//! 2. In its last minutes one request renews it, and the others go on with it; should that fail, so does the one.
//! 3. Without a usable token one request fetches it, and the others wait for that. A failure is kept for a moment, so that they share it, too.

mod answer;
mod aws_identity;
mod copilot;
mod entra;
mod federation;
mod google;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ::http::HeaderValue;
use reqwest::Url;
use tokio::sync::MutexGuard;

use crate::aws::Boxed;
use crate::error::TransportError;
use crate::secrets::Secrets;

pub(crate) use copilot::{Copilot, EDITOR, VISION};
pub(crate) use entra::Entra;
pub(crate) use google::Google;

/// A refused token is fetched again at most this often.
const REFRESH_EVERY: Duration = Duration::from_secs(10);
/// After a failed fetch the next one is made this much later at the earliest.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// All calls of a fetch together may take this long.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// A token is renewed this much before its end, or in the last fifth of a short life.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// In its last seconds a token may end on the way.
const LAST: Duration = Duration::from_secs(10);

/// How a token is got.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// Microsoft Entra ID.
    Entra(Box<Entra>),
    /// Google Cloud.
    Google(Google),
    /// GitHub Copilot.
    Copilot(Copilot),
}

impl Exchange {
    fn fetch<'a>(&'a self, http: &'a reqwest::Client, secrets: &'a Secrets) -> Boxed<'a, Result<Grant, String>> {
        match self {
            Self::Entra(entra) => Box::pin(entra.fetch(http, secrets)),
            Self::Google(google) => Box::pin(google.fetch(http, secrets)),
            Self::Copilot(copilot) => Box::pin(copilot.fetch(http, secrets)),
        }
    }
}

/// What an exchange brings.
struct Grant {
    token: String,
    lifetime: Duration,
    /// When to ask for the next one, where the issuer says it.
    renew_in: Option<Duration>,
    /// Where the token is good for, where the issuer says it: scheme and host.
    base: Option<Url>,
}

/// A token.
#[derive(Debug)]
pub(crate) struct Token {
    /// `Bearer <token>`, marked sensitive.
    pub(crate) bearer: HeaderValue,
    /// The host to send to instead of the configured one.
    pub(crate) base: Option<Url>,
    renew_at: SystemTime,
    ends_at: SystemTime,
    since: Instant,
}

/// One exchange, and its present token.
#[derive(Debug)]
pub(crate) struct Tokens {
    exchange: Exchange,
    http: reqwest::Client,
    secrets: Secrets,
    pub(crate) timeout: Duration,
    present: Mutex<Option<Arc<Token>>>,
    /// Held by who fetches; why the last fetch failed, and when.
    flight: tokio::sync::Mutex<Option<(Instant, String)>>,
}

impl Tokens {
    pub(crate) fn new(exchange: Exchange, http: reqwest::Client, secrets: Secrets) -> Self {
        let (present, flight) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { exchange, http, secrets, timeout: FETCH_TIMEOUT, present, flight }
    }

    /// A token that can be used now. In a box: it is nearly always there, and what waits for it is moved around with every request.
    pub(crate) fn get(&self) -> Boxed<'_, Result<Arc<Token>, TransportError>> {
        Box::pin(async { self.usable().await.map_err(TransportError::Credentials) })
    }

    async fn usable(&self) -> Result<Arc<Token>, String> {
        if let Some(token) = self.present() {
            let now = SystemTime::now();
            if now < token.renew_at {
                return Ok(token);
            }
            if now + LAST < token.ends_at {
                let Ok(flight) = self.flight.try_lock() else { return Ok(token) };
                return Ok(self.renew(flight).await.unwrap_or(token));
            }
        }
        let flight = self.flight.lock().await;
        match self.present().filter(|token| SystemTime::now() + LAST < token.ends_at) {
            Some(fetched_meanwhile) => Ok(fetched_meanwhile),
            None => self.renew(flight).await,
        }
    }

    async fn renew(&self, mut flight: MutexGuard<'_, Option<(Instant, String)>>) -> Result<Arc<Token>, String> {
        if let Some((at, cause)) = &*flight
            && at.elapsed() < RETRY_EVERY
        {
            return Err(cause.clone());
        }
        let fetched = tokio::time::timeout(self.timeout, self.exchange.fetch(&self.http, &self.secrets)).await;
        let grant = fetched.unwrap_or_else(|_| Err(format!("no token within {} ms", self.timeout.as_millis())));
        match grant.and_then(|grant| Token::new(grant, SystemTime::now())) {
            Ok(token) => {
                let token = Arc::new(token);
                *flight = None;
                *self.lock() = Some(Arc::clone(&token));
                Ok(token)
            }
            Err(cause) => {
                tracing::warn!(fault.cause = %cause, "a token for a provider could not be fetched");
                *flight = Some((Instant::now(), cause.clone()));
                Err(cause)
            }
        }
    }

    /// The provider refused the token: forget it, unless it is a moment old. Answers whether the next one will be new.
    pub(crate) fn refused(&self) -> bool {
        let mut present = self.lock();
        let old = present.as_ref().is_none_or(|token| token.since.elapsed() >= REFRESH_EVERY);
        if old {
            *present = None;
        }
        old
    }

    /// Does the exchange need the ambient AWS configuration?
    pub(crate) fn uses_aws(&self) -> bool {
        match &self.exchange {
            Exchange::Entra(entra) => entra.uses_aws(),
            Exchange::Google(google) => google.uses_aws(),
            Exchange::Copilot(copilot) => copilot.uses_aws(),
        }
    }

    /// As if the present token were this much older.
    #[cfg(test)]
    pub(crate) fn age(&self, by: Duration) {
        let mut present = self.lock();
        let Some(token) = present.take() else { return };
        let since = token.since.checked_sub(by).unwrap_or(token.since);
        let (renew_at, ends_at) = (token.renew_at - by, token.ends_at - by);
        *present =
            Some(Arc::new(Token { bearer: token.bearer.clone(), base: token.base.clone(), renew_at, ends_at, since }));
    }

    /// As if the last failure stayed a moment old, however slow the machine is.
    #[cfg(test)]
    pub(crate) async fn stay_failed(&self) {
        if let Some((at, _)) = &mut *self.flight.lock().await {
            *at = Instant::now() + 60 * RETRY_EVERY;
        }
    }

    fn present(&self) -> Option<Arc<Token>> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Token>>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Token {
    fn new(grant: Grant, now: SystemTime) -> Result<Self, String> {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", grant.token));
        let mut bearer = bearer.map_err(|_| "the token has characters that a header cannot carry".to_owned())?;
        bearer.set_sensitive(true);
        let before_end = RENEW_BEFORE.min(grant.lifetime / 5);
        let renew_in = grant.renew_in.unwrap_or(grant.lifetime.saturating_sub(before_end));
        let renew_in = renew_in.min(grant.lifetime.saturating_sub(LAST));
        Ok(Self {
            bearer,
            base: grant.base,
            renew_at: now + renew_in,
            ends_at: now + grant.lifetime,
            since: Instant::now(),
        })
    }
}
