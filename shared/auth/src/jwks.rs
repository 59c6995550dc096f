//! One issuer's keys: when to fetch them, and what to answer until they are there.
//!
//! ## States
//!
//! ```text
//! no keys  => a request starts a fetch, or joins the one that runs  (again after a failure: `retry_after`)
//! fresh    => served; an unknown `kid` starts a fetch               (once per `unknown_kid_interval`)
//! old      => served; a request starts a fetch and does not wait    (once per `unknown_kid_interval`)
//! too old  => as no keys
//! ```
//!
//! A fetch runs in a task of its own: the request that started it may go away, those that joined it get its result. There
//! is never more than one. Times are those that requests bring along, compared by their distance, so that neither
//! requests a little out of order nor a clock that was set back start or stop fetches.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use reqwest::Client;
use tokio::sync::watch;

use crate::algorithm::Spec;
use crate::error::{AuthError, Printable};
use crate::fetch::{Bounds, FetchError, Source};
use crate::jwk::{Found, Key, KeySet};

/// Bounds on fetching; from the options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) bounds: Bounds,
    pub(crate) unknown_kid_interval: Duration,
    pub(crate) refresh_after: Duration,
    pub(crate) refuse_after: Duration,
    pub(crate) retry_after: Duration,
}

/// One issuer's keys.
pub(crate) struct KeyStore {
    issuer: Printable,
    source: Source,
    client: Client,
    schedule: Schedule,
    keys: RwLock<Option<Arc<KeySet>>>,
    state: Mutex<State>,
    fetches: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The latest fetch: it runs until its sender is gone.
    flight: Option<Flight>,
    /// When a fetch last began.
    began_at: Option<SystemTime>,
    /// When an unknown `kid` last caused a fetch, or was still unknown after one.
    unknown_at: Option<SystemTime>,
    /// When the fetch that requests waited for failed. A failure in the background does not count.
    failed_at: Option<SystemTime>,
    /// What the last fetch was for, if it failed.
    last_failed: Option<Why>,
}

/// Resolves when the fetch is over, even if it panicked.
type Flight = watch::Receiver<()>;

/// Why a fetch is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The start of the process.
    Warm,
    /// There is nothing to serve.
    NoKeys,
    /// A token names a key that is not there.
    UnknownKid,
    /// What there is should be looked at again.
    Old,
}

/// How old the keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    Fresh,
    Old,
    /// Too old to serve, or not there.
    None,
}

impl Why {
    /// Nobody waits for it, so the sandbox may be frozen in the middle of it: its failure says little.
    fn is_background(self) -> bool {
        matches!(self, Self::Warm | Self::Old)
    }
}

impl KeyStore {
    pub(crate) fn new(issuer: &str, source: Source, client: Client, schedule: Schedule) -> Self {
        Self {
            issuer: Printable::new(issuer),
            source,
            client,
            schedule,
            keys: RwLock::default(),
            state: Mutex::default(),
            fetches: AtomicU64::new(0),
        }
    }

    /// Where they come from.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// How many fetches have begun.
    pub(crate) fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }

    /// How old the keys are now.
    pub(crate) fn freshness(&self, now: SystemTime) -> Freshness {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.as_deref().map_or(Freshness::None, |set| self.age(set, now))
    }

    fn age(&self, set: &KeySet, now: SystemTime) -> Freshness {
        match now.duration_since(set.fetched_at).unwrap_or_default() {
            age if age >= self.schedule.refuse_after => Freshness::None,
            age if age >= self.schedule.refresh_after => Freshness::Old,
            _ => Freshness::Fresh,
        }
    }

    /// The set to serve, and whether it is old.
    fn serving(&self, now: SystemTime) -> Option<(Arc<KeySet>, Freshness)> {
        let set = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let age = self.age(&set, now);
        (age != Freshness::None).then_some((set, age))
    }

    /// Fetches the keys if there are none, and waits.
    pub(crate) async fn warm(self: &Arc<Self>, now: SystemTime) {
        if self.freshness(now) == Freshness::None
            && let Some(flight) = self.join(Why::Warm, now)
        {
            self.landed(flight).await;
        }
    }

    /// Starts a fetch in the background if it is time for one.
    pub(crate) fn refresh(self: &Arc<Self>, now: SystemTime) {
        self.join(Why::Old, now);
    }

    /// The key of a token, fetched if need be.
    pub(crate) async fn key(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: &Spec,
        now: SystemTime,
    ) -> Result<Arc<Key>, AuthError> {
        let mut waited = false;
        // Three rounds at most: join a fetch in the background, which fails; fetch again; look.
        for _ in 0..3 {
            let Some((set, age)) = self.serving(now) else {
                // This request has seen a fetch fail. It does not begin the next one, however long ago it came.
                if waited {
                    break;
                }
                let Some(flight) = self.join(Why::NoKeys, now) else { break };
                waited = self.landed(flight).await;
                continue;
            };
            match set.find(kid, algorithm) {
                Found::Key(key) => {
                    if age == Freshness::Old {
                        self.refresh(now);
                    }
                    return Ok(key);
                }
                Found::Unfit => {
                    let algorithm = Printable::new(algorithm.name);
                    return Err(AuthError::AlgorithmRefused { algorithm, detail: ": the key is not for it" });
                }
                Found::Unknown if waited => return Err(self.unknown(kid, Some(now))),
                Found::Unknown => {
                    let Some(flight) = self.join(Why::UnknownKid, now) else {
                        return Err(self.unknown(kid, None));
                    };
                    waited = self.landed(flight).await;
                }
            }
        }
        Err(self.unavailable())
    }

    fn unavailable(&self) -> AuthError {
        AuthError::KeysUnavailable { issuer: self.issuer.clone() }
    }

    /// A key that is not there. While the issuer is down that proves nothing: it may be a new one. A request that has
    /// just seen a fetch notes it, because the next one with an unknown key need not look again.
    fn unknown(&self, kid: Option<&str>, looked_at: Option<SystemTime>) -> AuthError {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if looked_at.is_some() {
            state.unknown_at = looked_at;
        }
        if state.last_failed.is_some() {
            return self.unavailable();
        }
        AuthError::UnknownKey { kid: Printable::new(kid.unwrap_or("(none)")) }
    }

    /// The fetch that runs, or a new one if it is time for that.
    fn join(self: &Arc<Self>, why: Why, now: SystemTime) -> Option<Flight> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
            return Some(flight.clone());
        }
        let due = |since: Option<SystemTime>, interval| since.is_none_or(|since| apart(since, now) >= interval);
        let begin = match why {
            Why::Warm => true,
            Why::NoKeys => due(state.failed_at, self.schedule.retry_after),
            Why::UnknownKid => due(state.unknown_at, self.schedule.unknown_kid_interval),
            Why::Old => due(state.began_at, self.schedule.unknown_kid_interval),
        };
        if !begin {
            return None;
        }
        state.began_at = Some(now);
        if why == Why::UnknownKid {
            state.unknown_at = Some(now);
        }
        let (running, flight) = watch::channel(());
        state.flight = Some(flight.clone());
        drop(state);
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let store = Arc::clone(self);
        tokio::spawn(async move {
            store.fetch(why, now).await;
            drop(running);
        });
        Some(flight)
    }

    /// Waits for the end of a fetch. False if that told nothing: it ran in the background, and failed.
    async fn landed(&self, mut flight: Flight) -> bool {
        // An error is the end: nothing is ever sent.
        while flight.changed().await.is_ok() {}
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        !state.last_failed.is_some_and(Why::is_background)
    }

    async fn fetch(&self, why: Why, now: SystemTime) {
        let began = Instant::now();
        let document = self.source.fetch(&self.client, self.schedule.bounds).await;
        let installed = document.and_then(|document| self.install(&document, now));
        if let Err(error) = &installed {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::warn!(
                auth.issuer = %self.issuer,
                auth.keys.why = ?why,
                error.message = %error,
                error.cause = cause,
                "the issuer's keys could not be fetched"
            );
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last_failed = installed.is_err().then_some(why);
        match installed {
            Ok(()) => state.failed_at = None,
            Err(_) if why.is_background() => {}
            Err(_) => state.failed_at = now.checked_add(began.elapsed()),
        }
    }

    fn install(&self, document: &[u8], now: SystemTime) -> Result<(), FetchError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let set = KeySet::parse(document, keys.as_deref(), now)?;
        tracing::info!(auth.issuer = %self.issuer, auth.keys.count = set.len(), "the issuer's keys were fetched");
        *keys = Some(Arc::new(set));
        Ok(())
    }
}

fn apart(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|error| error.duration())
}
