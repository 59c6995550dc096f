//! Configuration changes without a deployment.
//!
//! 1. [`Live`] is what serves now. A request takes the [`App`] of the moment in which it came and keeps it to its end, a stream included.
//! 2. [`Feed`] looks for another configuration: a file, AWS AppConfig's agent, an object in S3 (`source`). Natively every few seconds; on Lambda, where nothing
//!    runs between invocations, at the start of one, beside it and not before it (`freshness`).
//! 3. What is found is parsed and built as at the start. If that fails, the last good one stays, the log says why, and `ConfigurationRefused` is counted at
//!    every look until the document is right.
//! 4. If it is built, it takes over what did not change: providers with their connections and their health, issuers' keys, secrets, the ledger.
//!
//! `docs/decisions/0011-configuration-without-deployment.md` has the reasons.

mod freshness;
mod s3;
mod source;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use axum::extract::FromRef;
use ring::digest::{SHA256, digest};
use tollgate_config::Config;
use tollgate_telemetry::metric::{self, count};
use tollgate_upstream::signer::hex;

use crate::app::App;
use freshness::{Freshness, Ticket};
pub use source::{Document, Fetched, Origin, Source};

/// A look may take so long.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a text's hash that are its version.
const VERSION_BYTES: usize = 6;

/// What a host adds to a configuration, and what it refuses.
pub type Adapt = Box<dyn Fn(Config) -> Result<Config, String> + Send + Sync>;

/// The configuration that serves now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Live(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    app: RwLock<App>,
    feed: Option<Feed>,
}

/// Where the next configuration comes from.
pub struct Feed {
    origin: String,
    source: Source,
    adapt: Adapt,
    freshness: Mutex<Freshness>,
    seen: Mutex<Seen>,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Seen {
    /// The origin's name of the last document.
    tag: Option<String>,
    /// Our version of the last document, if it was refused.
    refused: Option<Arc<str>>,
    /// The last look failed.
    failing: bool,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("origin", &self.origin).field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Feed {
    /// `within`: when to look for the first time.
    pub fn new(origin: &Origin, source: Source, adapt: Adapt, within: Duration) -> Self {
        Self {
            origin: origin.to_string(),
            source,
            adapt,
            freshness: Mutex::new(Freshness::due_at(Instant::now() + within)),
            seen: Mutex::default(),
        }
    }

    async fn look(&self, known: Option<&str>) -> Result<Fetched, String> {
        look(&self.source, known).await
    }

    fn build<E: fmt::Display>(
        &self,
        text: &str,
        build: impl FnOnce(Config, Arc<str>) -> Result<App, E>,
    ) -> Result<App, String> {
        let config = tollgate_config::parse(text, &self.origin).map_err(|error| error.to_string())?;
        let config = (self.adapt)(config)?;
        build(config, version(text)).map_err(|error| error.to_string())
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing new can be had for now.
    fn failed(&self, cause: &str) {
        let first = !std::mem::replace(&mut self.seen().failing, true);
        count(&metric::CONFIGURATION_REFUSED, &["unavailable"]);
        if first {
            tracing::error!(
                config.origin = %self.origin, error.cause = cause,
                "the configuration could not be fetched; the last good one stays, and it is tried again"
            );
        }
    }

    /// What was found is no configuration. Said once per document, counted at every look.
    fn refused(&self, version: &Arc<str>, tag: Option<String>, reasons: &str) {
        let mut seen = self.seen();
        seen.tag = tag;
        let known = seen.refused.replace(Arc::clone(version)).is_some_and(|before| before == *version);
        drop(seen);
        count(&metric::CONFIGURATION_REFUSED, &["invalid"]);
        if !known {
            tracing::error!(
                config.origin = %self.origin, config.version = %version, error.cause = reasons,
                "a new configuration was refused; the last good one stays"
            );
        }
    }

    /// It is the one that serves.
    fn settled(&self, tag: Option<String>) {
        let mut seen = self.seen();
        seen.tag = tag;
        seen.refused = None;
    }
}

impl Live {
    /// One that does not change.
    pub fn fixed(app: App) -> Self {
        Self(Arc::new(Inner { app: RwLock::new(app), feed: None }))
    }

    /// This one serves until the feed has another.
    pub fn fed(app: App, feed: Feed) -> Self {
        Self(Arc::new(Inner { app: RwLock::new(app), feed: Some(feed) }))
    }

    /// What serves now.
    pub fn app(&self) -> App {
        self.0.app.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks for another configuration if it is time, in a task of its own: whoever finds it old uses it once more.
    pub fn refresh_if_due(&self) {
        if let Some(feed) = &self.0.feed
            && let Some(ticket) = begin(feed)
        {
            let live = self.clone();
            tokio::spawn(async move { live.refresh_with(ticket).await });
        }
    }

    /// Looks for another configuration now, if it is time.
    pub async fn refresh(&self) {
        if let Some(ticket) = self.0.feed.as_ref().and_then(begin) {
            self.refresh_with(ticket).await;
        }
    }

    /// Keeps looking, where something runs between requests.
    pub fn keep_fresh(&self) {
        let Some(feed) = &self.0.feed else { return };
        let every = every(&self.app(), &feed.source);
        let live = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                live.refresh().await;
            }
        });
    }

    async fn refresh_with(&self, ticket: Ticket) {
        let Some(feed) = &self.0.feed else { return };
        let known = feed.seen().tag.clone();
        let found = feed.look(known.as_deref()).await;
        if !lock(feed).counts(ticket) {
            return;
        }
        let fetched = found.is_ok();
        match found {
            Err(cause) => feed.failed(&cause),
            Ok(found) => {
                feed.seen().failing = false;
                self.found(feed, found, known).await;
            }
        }
        let every = every(&self.app(), &feed.source);
        lock(feed).ended(ticket, fetched, every, Instant::now());
    }

    async fn found(&self, feed: &Feed, found: Fetched, known: Option<String>) {
        let Document { text, tag } = match found {
            Fetched::Document(document) => document,
            Fetched::Unchanged => {
                let refused = feed.seen().refused.clone();
                if let Some(version) = refused {
                    feed.refused(&version, known, "");
                }
                return;
            }
        };
        let version = version(&text);
        if self.app().version() == Some(&version) {
            return feed.settled(tag);
        }
        // On a thread of its own: a large one takes its time, and requests are served meanwhile.
        let live = self.clone();
        let built = tokio::task::spawn_blocking(move || {
            let (app, feed) = (live.app(), live.0.feed.as_ref());
            feed.map(|feed| feed.build(&text, |config, version| app.succeeded_by(config, version)))
        });
        match built.await {
            Ok(Some(Ok(app))) => {
                feed.settled(tag);
                self.replace(app, &feed.origin, &version);
            }
            Ok(Some(Err(reasons))) => feed.refused(&version, tag, &reasons),
            Ok(None) => {}
            Err(panic) => feed.refused(&version, tag, &panic.to_string()),
        }
    }

    fn replace(&self, app: App, origin: &str, version: &str) {
        let next = app.clone();
        let before = std::mem::replace(&mut *self.0.app.write().unwrap_or_else(PoisonError::into_inner), app);
        tracing::info!(config.origin = origin, config.version = version, "a new configuration is in force");
        count(&metric::CONFIGURATION_ACCEPTED, &[]);
        if before.config.listen != next.config.listen {
            tracing::warn!("`listen` has changed, which takes a restart");
        }
        next.warm();
        // What the old ledger still has to write, if there is another one now.
        tokio::spawn(async move {
            if let Some(limiter) = &before.limiter
                && next.limiter.as_ref().is_none_or(|next| !std::ptr::eq(next.ledger(), limiter.ledger()))
            {
                limiter.flush(SystemTime::now()).await;
            }
        });
    }

    /// Tries again every minute what could not be settled. On Lambda the next request does.
    pub fn keep_settling(&self) {
        let live = self.clone();
        tokio::spawn(async move {
            let mut minutes = tokio::time::interval(Duration::from_secs(60));
            loop {
                minutes.tick().await;
                if let Some(limiter) = &live.app().limiter {
                    limiter.flush(SystemTime::now()).await;
                }
            }
        });
    }
}

impl FromRef<Live> for App {
    fn from_ref(live: &Live) -> Self {
        live.app()
    }
}

/// What an origin says at the start.
pub async fn first(origin: &Origin, source: Option<&Source>) -> Result<String, String> {
    let found = match (origin, source) {
        (Origin::Inline(text), _) => return Ok(text.clone()),
        (_, Some(source)) => look(source, None).await,
        (_, None) => Ok(Fetched::Unchanged),
    };
    match found {
        Ok(Fetched::Document(document)) => Ok(document.text),
        Ok(Fetched::Unchanged) => Err(format!("{origin}: there is no document")),
        Err(cause) => Err(format!("{origin}: cannot be read: {cause}")),
    }
}

async fn look(source: &Source, known: Option<&str>) -> Result<Fetched, String> {
    let fetch = tokio::time::timeout(FETCH_TIMEOUT, source.fetch(known));
    fetch.await.unwrap_or_else(|_| Err(format!("no answer within {} s", FETCH_TIMEOUT.as_secs())))
}

fn begin(feed: &Feed) -> Option<Ticket> {
    lock(feed).begin(Instant::now())
}

fn lock(feed: &Feed) -> std::sync::MutexGuard<'_, Freshness> {
    feed.freshness.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often to look.
fn every(app: &App, source: &Source) -> Duration {
    app.config.reload.every(!matches!(source, Source::File(..)))
}

/// The version of a configuration: a part of its text's hash.
pub fn version(text: &str) -> Arc<str> {
    let hash = digest(&SHA256, text.as_bytes());
    hex(hash.as_ref().get(..VERSION_BYTES).unwrap_or_default()).into()
}
