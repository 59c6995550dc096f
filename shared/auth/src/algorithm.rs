//! The signature algorithms that may be named (RFC 7518, section 3.1, and RFC 8037): one table for tokens, keys and the
//! configuration. `none` and the HMAC family are not in it.

use jsonwebtoken::Algorithm as Jwa;
use tollgate_config::Algorithm;

/// What a key must be to check an algorithm's signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// One algorithm, in the words of each place.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) config: Algorithm,
    pub(crate) jwa: Jwa,
    pub(crate) family: Family,
}

const fn spec(name: &'static str, config: Algorithm, jwa: Jwa, family: Family) -> Spec {
    Spec { name, config, jwa, family }
}

pub(crate) static ALGORITHMS: [Spec; 9] = [
    spec("RS256", Algorithm::RS256, Jwa::RS256, Family::Rsa),
    spec("RS384", Algorithm::RS384, Jwa::RS384, Family::Rsa),
    spec("RS512", Algorithm::RS512, Jwa::RS512, Family::Rsa),
    spec("PS256", Algorithm::PS256, Jwa::PS256, Family::Rsa),
    spec("PS384", Algorithm::PS384, Jwa::PS384, Family::Rsa),
    spec("PS512", Algorithm::PS512, Jwa::PS512, Family::Rsa),
    spec("ES256", Algorithm::ES256, Jwa::ES256, Family::P256),
    spec("ES384", Algorithm::ES384, Jwa::ES384, Family::P384),
    spec("EdDSA", Algorithm::EdDSA, Jwa::EdDSA, Family::Ed25519),
];

pub(crate) fn by_name(name: &str) -> Option<&'static Spec> {
    ALGORITHMS.iter().find(|spec| spec.name == name)
}
