//! An issuer's keys (RFC 7517). Pure.
//!
//! A key of a kind that is not known here is passed over, so that an issuer may publish others beside it; a document
//! without a usable key is an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

use crate::algorithm::{ALGORITHMS, Check, Family, Spec};

/// What the provider verifies: 2,048 to 8,192 bits.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The keys of one issuer, as one fetch found them.
pub(crate) struct KeySet {
    keys: Vec<Arc<Key>>,
    pub(crate) fetched_at: SystemTime,
}

/// What a set says about a token's `kid` and algorithm.
pub(crate) enum Found {
    Key(Arc<Key>),
    /// The key is there, and is not for this algorithm.
    Unfit,
    Unknown,
}

impl KeySet {
    /// Reads a document. Keys that `previous` had too stay the same objects, and those that only it had are retired.
    pub(crate) fn parse(document: &[u8], previous: Option<&Self>, fetched_at: SystemTime) -> Result<Self, BadKeys> {
        let document: Document = serde_json::from_slice(document).map_err(|_| BadKeys::NotADocument)?;
        let had = previous.map(|set| set.keys.as_slice()).unwrap_or_default();
        let keys: Vec<Arc<Key>> = document
            .keys
            .into_iter()
            .filter_map(|value| serde_json::from_value::<Jwk>(value).ok())
            .filter_map(|jwk| match had.iter().find(|key| key.jwk == jwk) {
                Some(key) => Some(Arc::clone(key)),
                None => Key::new(jwk).map(Arc::new),
            })
            .collect();
        if keys.is_empty() {
            return Err(BadKeys::NoUsableKey);
        }
        for gone in had.iter().filter(|key| !keys.iter().any(|kept| Arc::ptr_eq(kept, key))) {
            gone.retired.store(true, Ordering::Release);
        }
        Ok(Self { keys, fetched_at })
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Without a `kid` the one key that fits, if it is the only one.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: &Spec) -> Found {
        let mut fitting = self.keys.iter().filter(|key| key.fits(algorithm));
        let Some(kid) = kid else {
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Found::Key(Arc::clone(key)),
                _ => Found::Unknown,
            };
        };
        let named = |key: &&Arc<Key>| key.jwk.kid.as_deref() == Some(kid);
        match fitting.find(named) {
            Some(key) => Found::Key(Arc::clone(key)),
            None if self.keys.iter().any(|key| named(&key)) => Found::Unfit,
            None => Found::Unknown,
        }
    }
}

/// Why a document gave no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadKeys {
    #[error("it is not a JSON object with `keys`")]
    NotADocument,
    #[error("none of its keys can check a signature")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The public fields that decide what a key is; equal ones are one key.
#[derive(PartialEq, Eq, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The numbers of a public key.
enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// A point on its family's curve.
    Point(Vec<u8>),
}

/// One public key.
pub(crate) struct Key {
    jwk: Jwk,
    family: Family,
    material: Material,
    retired: AtomicBool,
}

impl Key {
    fn new(jwk: Jwk) -> Option<Self> {
        let (family, material) = jwk.material()?;
        let key = Self { jwk, family, material, retired: AtomicBool::new(false) };
        ALGORITHMS.iter().any(|algorithm| key.fits(algorithm)).then_some(key)
    }

    /// Whether this key may check signatures of this algorithm: by its type and curve, `alg`, `use` and `key_ops`.
    fn fits(&self, algorithm: &Spec) -> bool {
        self.family == algorithm.family
            && self.jwk.alg.as_deref().is_none_or(|alg| alg == algorithm.name)
            && self.jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"))
    }

    /// Whether its issuer has taken it away since.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    pub(crate) fn verify(&self, algorithm: &Spec, signed: &[u8], signature: &[u8]) -> bool {
        let checked = match (&self.material, &algorithm.check) {
            (Material::Rsa(numbers), Check::Rsa(parameters)) => numbers.verify(parameters, signed, signature),
            (Material::Point(point), Check::Curve(curve)) => {
                UnparsedPublicKey::new(*curve, point).verify(signed, signature)
            }
            _ => return false,
        };
        checked.is_ok()
    }
}

impl Jwk {
    fn material(&self) -> Option<(Family, Material)> {
        let bytes = |field: &Option<String>| URL_SAFE_NO_PAD.decode(field.as_deref()?).ok();
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (without_leading_zeros(bytes(&self.n)?), without_leading_zeros(bytes(&self.e)?));
                let usable = RSA_MODULUS_BYTES.contains(&n.len()) && !e.is_empty();
                usable.then_some((Family::Rsa, Material::Rsa(RsaPublicKeyComponents { n, e })))
            }
            ("EC", Some("P-256")) => self.point(32).map(|key| (Family::P256, key)),
            ("EC", Some("P-384")) => self.point(48).map(|key| (Family::P384, key)),
            ("OKP", Some("Ed25519")) => {
                let x = bytes(&self.x).filter(|x| x.len() == 32)?;
                Some((Family::Ed25519, Material::Point(x)))
            }
            _ => None,
        }
    }

    /// An uncompressed point: 4, x, y (SEC 1, section 2.3.3).
    fn point(&self, coordinate_bytes: usize) -> Option<Material> {
        let mut point = vec![4];
        for coordinate in [&self.x, &self.y] {
            let bytes = URL_SAFE_NO_PAD.decode(coordinate.as_deref()?).ok()?;
            if bytes.len() != coordinate_bytes {
                return None;
            }
            point.extend(bytes);
        }
        Some(Material::Point(point))
    }
}

/// Some issuers write a number's sign byte, which base64urlUInt has not (RFC 7518, section 2).
fn without_leading_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}
