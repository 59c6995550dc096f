//! Who stands behind a request that an Application Load Balancer has authenticated: `x-amzn-oidc-data`,
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html#user-claims-encoding>.
//!
//! It is a JWT with peculiarities: its parts are base64url **with** padding, and the signature is over them as they are; `signer`, `iss`, `client` and
//! `exp` stand in the header; the keys are published one by one as PEM, by `kid`, in the load balancer's region. Every load balancer of that region
//! signs with them, anybody's too: only the `signer` says whose it was, so without a list of ARNs nothing is believed.
//!
//! 1. Three parts; a header with `alg` ES256, a `kid` of a UUID's shape, and a `signer` that is one of ours.
//! 2. The key, fetched once a day. A `kid` is anybody's word until the signature is checked, so fetches are bounded: one at a time, few in a while.
//! 3. The signature, then `exp` (header and claims), `iss`, `client`.
//! 4. Team and tier from the claims, else from the table by client.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tollgate_config::{AlbArn, AlbTrust, Auth};

use crate::algorithm::{self, Spec};
use crate::claims::{in_time, name, time};
use crate::error::{AuthError, Printable};
use crate::fetch::{Bounds, FetchError, Source};
use crate::identity::{Identity, Teams};
use crate::jwk::{Found, Key, KeySet};

/// The largest header that is looked at.
const MAX_BYTES: usize = 16 * 1024;
/// A key fits in a fraction of it.
const BOUNDS: Bounds = Bounds { timeout: Duration::from_secs(3), max_bytes: 8 * 1024 };
/// A key is fetched again after so long.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Keys that are kept; with more, all are forgotten once.
const MAX_KEYS: usize = 64;
/// So many fetches may begin in a window.
const FETCHES: u32 = 8;
/// The window, and how long an unknown key stays unknown.
const WINDOW: Duration = Duration::from_secs(30);
/// An EC public key on P-256 as RFC 5480 writes it, up to the point's coordinates.
const P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// Checks what load balancers sign. Cheap to clone; clones share the keys.
#[derive(Clone)]
pub struct AlbAuthenticator {
    inner: Arc<Inner>,
}

struct Inner {
    trust: AlbTrust,
    teams: Teams,
    client: Client,
    keys: Mutex<HashMap<String, (Arc<Key>, Instant)>>,
    fetches: tokio::sync::Mutex<Fetches>,
}

/// Bounds on what strangers can make us fetch.
#[derive(Default)]
struct Fetches {
    window: Option<(Instant, u32)>,
    unknown: HashMap<String, Instant>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    signer: String,
    iss: Option<String>,
    client: Option<String>,
    exp: Option<Value>,
    crit: Option<Value>,
}

impl AlbAuthenticator {
    /// `None`: no load balancer is trusted. Nothing is fetched.
    pub fn new(auth: &Auth, trust: &AlbTrust, client: Client) -> Option<Self> {
        if trust.signers.is_empty() {
            return None;
        }
        let teams = Teams::new(Arc::new(auth.clone()), trust.claims.clone());
        let inner = Inner {
            trust: trust.clone(),
            teams,
            client,
            keys: Mutex::default(),
            fetches: tokio::sync::Mutex::default(),
        };
        Some(Self { inner: Arc::new(inner) })
    }

    /// Who the header's value stands for at the time `now`.
    ///
    /// # Errors
    ///
    /// The first check that failed, in the order of the module's doc.
    pub async fn authenticate(&self, data: &str, now: SystemTime) -> Result<Arc<Identity>, AuthError> {
        self.inner.authenticate(data, now).await.map(Arc::new)
    }
}

impl fmt::Debug for AlbAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlbAuthenticator").field("trust", &self.inner.trust).finish_non_exhaustive()
    }
}

impl Inner {
    async fn authenticate(&self, data: &str, now: SystemTime) -> Result<Identity, AuthError> {
        if data.len() > MAX_BYTES {
            return malformed("it is too long");
        }
        let mut parts = data.split('.');
        let (Some(first), Some(second), Some(third), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return malformed("it is not three parts with a dot between");
        };
        let header: Header = object(first)?;
        let algorithm = check(&header)?;
        let signer = self.trust.signers.iter().find(|signer| signer.as_str() == header.signer);
        let signer = signer.ok_or_else(|| AuthError::UnknownSigner { signer: Printable::new(&header.signer) })?;
        let key = self.key(signer, &header.kid).await?;
        let signed = data.get(..first.len() + 1 + second.len()).unwrap_or_default().as_bytes();
        let signature = decode(third)?;
        if !key.verify(algorithm, signed, &signature) {
            return Err(AuthError::BadSignature);
        }
        self.identity(header, &object(second)?, now)
    }

    fn identity(&self, header: Header, claims: &Map<String, Value>, now: SystemTime) -> Result<Identity, AuthError> {
        let stated = Map::from_iter(header.exp.map(|exp| ("exp".to_owned(), exp)));
        let ends = [time(&stated, "exp")?, time(claims, "exp")?];
        let expires_at = ends.into_iter().flatten().min().ok_or_else(|| AuthError::missing_claim("exp"))?;
        in_time(expires_at, None, now, Duration::ZERO)?;
        let issuer = header.iss.as_deref().unwrap_or_default();
        if !self.trust.issuers.is_empty() && !self.trust.issuers.iter().any(|accepted| accepted == issuer) {
            let issuer = if issuer.is_empty() { "(none)" } else { issuer };
            return Err(AuthError::UnknownIssuer { issuer: Printable::new(issuer) });
        }
        let client = header.client.as_deref().filter(|client| !client.is_empty());
        let accepted = |client: &str| self.trust.client_ids.iter().any(|accepted| accepted == client);
        if !self.trust.client_ids.is_empty() && !client.is_some_and(accepted) {
            return Err(AuthError::ClientNotAllowed { client: Printable::new(client.unwrap_or("(none)")) });
        }
        let subject = name(claims, "sub")?.ok_or_else(|| AuthError::missing_claim("sub"))?;
        let (team, tier) = self.teams.resolve(claims, client.unwrap_or(subject))?;
        Ok(Identity {
            issuer: issuer.into(),
            subject: subject.to_owned(),
            client_id: client.map(str::to_owned),
            team,
            tier,
            scopes: Vec::new(),
            token_id: None,
            not_before: None,
            expires_at,
        })
    }

    async fn key(&self, signer: &AlbArn, kid: &str) -> Result<Arc<Key>, AuthError> {
        let base = self.trust.keys_url.as_deref().unwrap_or(signer.keys_url());
        let url = format!("{}/{kid}", base.trim_end_matches('/'));
        if let Some(key) = self.known(&url) {
            return Ok(key);
        }
        let mut fetches = self.fetches.lock().await;
        if let Some(key) = self.known(&url) {
            return Ok(key);
        }
        let unknown = || AuthError::UnknownKey { kid: Printable::new(kid) };
        let unavailable = || AuthError::KeysUnavailable { issuer: Printable::new(signer.as_str()) };
        if fetches.unknown.get(&url).is_some_and(|since| since.elapsed() < WINDOW) {
            return Err(unknown());
        }
        if !fetches.may_begin() {
            return Err(unavailable());
        }
        match Source::Url(url.clone()).fetch(&self.client, BOUNDS).await {
            Ok(pem) => {
                let key = key_of(&pem, kid).ok_or_else(unknown)?;
                let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
                if keys.len() >= MAX_KEYS {
                    keys.clear();
                }
                keys.insert(url, (Arc::clone(&key), Instant::now()));
                Ok(key)
            }
            Err(FetchError::Status(status)) if status.is_client_error() => {
                fetches.unknown.retain(|_, since| since.elapsed() < WINDOW);
                fetches.unknown.insert(url, Instant::now());
                Err(unknown())
            }
            Err(error) => {
                tracing::warn!(auth.signer = signer.as_str(), error.cause = %error, "a load balancer's key could not be fetched");
                Err(unavailable())
            }
        }
    }

    fn known(&self, url: &str) -> Option<Arc<Key>> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(url).filter(|(_, since)| since.elapsed() < KEPT).map(|(key, _)| Arc::clone(key))
    }
}

impl Fetches {
    fn may_begin(&mut self) -> bool {
        let now = Instant::now();
        let (begun, count) = self.window.filter(|(begun, _)| now.duration_since(*begun) < WINDOW).unwrap_or((now, 0));
        self.window = Some((begun, count.saturating_add(1)));
        count < FETCHES
    }
}

fn check(header: &Header) -> Result<&'static Spec, AuthError> {
    if header.crit.is_some() {
        return Err(AuthError::HeaderRefused { field: "crit" });
    }
    if header.alg != "ES256" {
        return Err(AuthError::AlgorithmRefused { algorithm: Printable::new(&header.alg), detail: "" });
    }
    let shaped = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    if header.kid.len() != 36 || !header.kid.bytes().enumerate().all(shaped) {
        return Err(AuthError::UnknownKey { kid: Printable::new(&header.kid) });
    }
    algorithm::by_name("ES256")
        .ok_or_else(|| AuthError::AlgorithmRefused { algorithm: Printable::new("ES256"), detail: "" })
}

fn malformed<T>(reason: &'static str) -> Result<T, AuthError> {
    Err(AuthError::Malformed { reason })
}

/// With padding, as the load balancer writes it, or without.
fn decode(part: &str) -> Result<Vec<u8>, AuthError> {
    let bare = part.trim_end_matches('=');
    let decoded = URL_SAFE_NO_PAD.decode(bare).ok().filter(|_| part.len() - bare.len() <= 2);
    decoded.map_or_else(|| malformed("a part of it is not base64url"), Ok)
}

/// Serde also reads a struct from an array, hence the look at the first byte.
fn object<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, AuthError> {
    const NOT_ONE: &str = "a part of it is not the JSON object that it should be";
    let json = decode(part)?;
    if json.trim_ascii_start().first() != Some(&b'{') {
        return malformed(NOT_ONE);
    }
    serde_json::from_slice(&json).or_else(|_| malformed(NOT_ONE))
}

/// A PEM document with one public key on P-256.
fn key_of(pem: &[u8], kid: &str) -> Option<Arc<Key>> {
    let text = std::str::from_utf8(pem).ok()?;
    let body = text.split_once("-----BEGIN PUBLIC KEY-----")?.1.split_once("-----END PUBLIC KEY-----")?.0;
    let der = STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()?;
    let (x, y) = der.strip_prefix(&P256)?.split_at_checked(32).filter(|(_, y)| y.len() == 32)?;
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let document =
        json!({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": x, "y": y}]});
    let keys = KeySet::parse(document.to_string().as_bytes(), None, SystemTime::UNIX_EPOCH).ok()?;
    match keys.find(Some(kid), algorithm::by_name("ES256")?) {
        Found::Key(key) => Some(key),
        Found::Unfit | Found::Unknown => None,
    }
}
