//! From a token to an identity: the flow of the crate's doc.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use reqwest::Client;
use serde_json::Value;
use tokio::task::JoinSet;
use tollgate_config::{Algorithm, Auth};

use crate::cache::{Cache, Entry};
use crate::claims::{Policy, in_time};
use crate::error::{AuthError, Printable};
use crate::fetch::{Bounds, Source};
use crate::identity::Identity;
use crate::jwks::{Freshness, KeyStore, Schedule};
use crate::token::{self, Parsed};

/// Bounds and intervals. The defaults are those of the crate's doc.
#[derive(Debug, Clone)]
pub struct Options {
    /// How far in the future `nbf` and `iat` may be. Default 60 s.
    pub leeway: Duration,
    /// The longest token. Default 16 KiB.
    pub max_token_bytes: usize,
    /// Tokens remembered, at most; 0: none. Default 4,096.
    pub cache_entries: usize,
    /// The same in bytes of token text. Default 8 MiB.
    pub cache_bytes: usize,
    /// One request for keys, from connecting to the last byte. Default 3 s.
    pub fetch_timeout: Duration,
    /// The largest key document. Default 256 KiB.
    pub max_document_bytes: usize,
    /// Between two fetches that unknown keys cause, or that age causes. Default 30 s.
    pub unknown_kid_interval: Duration,
    /// The age at which keys are fetched again in the background. Default 1 h.
    pub refresh_after: Duration,
    /// The age at which keys are no longer used. Default 24 h.
    pub refuse_after: Duration,
    /// After a failed fetch without keys to serve, the time until the next. Default 3 s.
    pub retry_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            leeway: Duration::from_secs(60),
            max_token_bytes: 16 * 1024,
            cache_entries: 4096,
            cache_bytes: 8 * 1024 * 1024,
            fetch_timeout: Duration::from_secs(3),
            max_document_bytes: 256 * 1024,
            unknown_kid_interval: Duration::from_secs(30),
            refresh_after: Duration::from_secs(60 * 60),
            refuse_after: Duration::from_secs(24 * 60 * 60),
            retry_after: Duration::from_secs(3),
        }
    }
}

/// What an [`Authenticator`] has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tokens that were in the cache and alive.
    pub cache_hits: u64,
    /// Tokens in the cache right now.
    pub cached_tokens: usize,
    /// Signatures checked, good or bad.
    pub signature_checks: u64,
    /// Fetches of keys that have begun, of all issuers.
    pub key_fetches: u64,
}

/// Tells who a token stands for. Cheap to clone; clones share keys and cache.
#[derive(Clone)]
pub struct Authenticator {
    inner: Arc<Inner>,
}

struct Inner {
    issuers: Vec<Trusted>,
    cache: Cache,
    leeway: Duration,
    max_token_bytes: usize,
    cache_hits: AtomicU64,
    signature_checks: AtomicU64,
}

/// A trusted issuer.
struct Trusted {
    issuer: String,
    algorithms: Vec<Algorithm>,
    policy: Policy,
    keys: Arc<KeyStore>,
}

impl Authenticator {
    /// Prepares for the issuers of the configuration; the first of two with the same name counts. Nothing is fetched.
    ///
    /// The client should not follow redirects: an answer from another origin is refused, but only after it was asked for.
    pub fn new(auth: &Auth, client: Client, options: Options) -> Self {
        Self::build(auth, client, options, &[])
    }

    /// For the next configuration. The keys of an issuer that has them from the same place stay; tokens are checked again.
    #[must_use]
    pub fn succeeded_by(&self, auth: &Auth, client: Client, options: Options) -> Self {
        Self::build(auth, client, options, &self.inner.issuers)
    }

    fn build(auth: &Auth, client: Client, options: Options, before: &[Trusted]) -> Self {
        let auth = Arc::new(auth.clone());
        let schedule = Schedule {
            bounds: Bounds { timeout: options.fetch_timeout, max_bytes: options.max_document_bytes },
            unknown_kid_interval: options.unknown_kid_interval,
            refresh_after: options.refresh_after,
            refuse_after: options.refuse_after,
            retry_after: options.retry_after,
        };
        let keys = |issuer: &tollgate_config::Issuer, source: Source| {
            let known = before.iter().find(|known| known.issuer == issuer.issuer && *known.keys.source() == source);
            match known {
                Some(known) => Arc::clone(&known.keys),
                None => Arc::new(KeyStore::new(&issuer.issuer, source, client.clone(), schedule)),
            }
        };
        let trusted = |issuer: &tollgate_config::Issuer| Trusted {
            issuer: issuer.issuer.clone(),
            algorithms: issuer.algorithms.clone(),
            policy: Policy::new(&auth, issuer, options.leeway),
            keys: keys(issuer, Source::of(issuer)),
        };
        let inner = Inner {
            issuers: auth.issuers.iter().map(trusted).collect(),
            cache: Cache::new(options.cache_entries, options.cache_bytes),
            leeway: options.leeway,
            max_token_bytes: options.max_token_bytes,
            cache_hits: AtomicU64::new(0),
            signature_checks: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Fetches the keys of every issuer that has none yet, all at the same time; failures are only logged, and do not
    /// keep the first request from trying again. Spawn it in Lambda's init and do not wait for it.
    pub async fn warm(&self, now: SystemTime) {
        let mut fetches = JoinSet::new();
        for trusted in &self.inner.issuers {
            let keys = Arc::clone(&trusted.keys);
            fetches.spawn(async move { keys.warm(now).await });
        }
        fetches.join_all().await;
    }

    /// Who the token stands for at the time `now`.
    ///
    /// # Errors
    ///
    /// The first check that failed, in the order of the crate's doc.
    pub async fn authenticate(&self, token: &str, now: SystemTime) -> Result<Arc<Identity>, AuthError> {
        if token.len() > self.inner.max_token_bytes {
            return Err(AuthError::Malformed { reason: "it is too long" });
        }
        match self.inner.remembered(token, now) {
            Some(answer) => answer,
            None => self.inner.check(token, now).await,
        }
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        Stats {
            cache_hits: self.inner.cache_hits.load(Ordering::Relaxed),
            cached_tokens: self.inner.cache.len(),
            signature_checks: self.inner.signature_checks.load(Ordering::Relaxed),
            key_fetches: self.inner.issuers.iter().map(|trusted| trusted.keys.fetches()).sum(),
        }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<&str> = self.inner.issuers.iter().map(|trusted| trusted.issuer.as_str()).collect();
        f.debug_struct("Authenticator").field("issuers", &issuers).field("stats", &self.stats()).finish()
    }
}

impl Inner {
    /// The answer for a token that was checked before. None: check it (again).
    fn remembered(&self, token: &str, now: SystemTime) -> Option<Result<Arc<Identity>, AuthError>> {
        let Entry { identity, key, issuer } = self.cache.get(token)?;
        let keys = &self.issuers.get(issuer)?.keys;
        if key.is_retired() {
            self.cache.remove(token);
            return None;
        }
        if let Err(error) = in_time(identity.expires_at, identity.not_before, now, self.leeway) {
            self.cache.remove(token);
            return Some(Err(error));
        }
        match keys.freshness(now) {
            Freshness::Fresh => {}
            Freshness::Old => keys.refresh(now),
            Freshness::None => return None,
        }
        self.cache_hits.fetch_add(1, Ordering::Relaxed);
        Some(Ok(identity))
    }

    async fn check(&self, token: &str, now: SystemTime) -> Result<Arc<Identity>, AuthError> {
        let Parsed { signed, signature, algorithm, kid, claims } = token::parse(token)?;
        let named = claims.get("iss").and_then(Value::as_str);
        let found = self.issuers.iter().enumerate().find(|(_, trusted)| Some(trusted.issuer.as_str()) == named);
        let (issuer, trusted) =
            found.ok_or_else(|| AuthError::UnknownIssuer { issuer: Printable::new(named.unwrap_or("(none)")) })?;
        if !trusted.algorithms.contains(&algorithm.config) {
            let algorithm = Printable::new(algorithm.name);
            return Err(AuthError::AlgorithmRefused { algorithm, detail: ": the issuer may not use it" });
        }
        let key = trusted.keys.key(kid.as_deref(), algorithm, now).await?;
        self.signature_checks.fetch_add(1, Ordering::Relaxed);
        if !key.verify(algorithm, signed, &signature) {
            return Err(AuthError::BadSignature);
        }
        let identity = Arc::new(trusted.policy.check(&claims, now)?);
        self.cache.insert(token, Entry { identity: Arc::clone(&identity), key, issuer }, now);
        Ok(identity)
    }
}
