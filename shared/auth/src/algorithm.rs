//! The signature algorithms that may be named (RFC 7518, section 3.1, and RFC 8037): one table for tokens, keys and the
//! configuration. `none` and the HMAC family are not in it.

use ring::signature::{self, RsaParameters, VerificationAlgorithm};
use tollgate_config::Algorithm;

/// What a key must be to check an algorithm's signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// How its signatures are checked.
#[derive(Debug)]
pub(crate) enum Check {
    Rsa(&'static RsaParameters),
    Curve(&'static dyn VerificationAlgorithm),
}

/// One algorithm, in the words of each place.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) config: Algorithm,
    pub(crate) check: Check,
    pub(crate) family: Family,
}

const fn rsa(name: &'static str, config: Algorithm, parameters: &'static RsaParameters) -> Spec {
    Spec { name, config, check: Check::Rsa(parameters), family: Family::Rsa }
}

const fn curve(
    name: &'static str,
    config: Algorithm,
    check: &'static dyn VerificationAlgorithm,
    family: Family,
) -> Spec {
    Spec { name, config, check: Check::Curve(check), family }
}

pub(crate) static ALGORITHMS: [Spec; 9] = [
    rsa("RS256", Algorithm::RS256, &signature::RSA_PKCS1_2048_8192_SHA256),
    rsa("RS384", Algorithm::RS384, &signature::RSA_PKCS1_2048_8192_SHA384),
    rsa("RS512", Algorithm::RS512, &signature::RSA_PKCS1_2048_8192_SHA512),
    rsa("PS256", Algorithm::PS256, &signature::RSA_PSS_2048_8192_SHA256),
    rsa("PS384", Algorithm::PS384, &signature::RSA_PSS_2048_8192_SHA384),
    rsa("PS512", Algorithm::PS512, &signature::RSA_PSS_2048_8192_SHA512),
    curve("ES256", Algorithm::ES256, &signature::ECDSA_P256_SHA256_FIXED, Family::P256),
    curve("ES384", Algorithm::ES384, &signature::ECDSA_P384_SHA384_FIXED, Family::P384),
    curve("EdDSA", Algorithm::EdDSA, &signature::ED25519, Family::Ed25519),
];

pub(crate) fn by_name(name: &str) -> Option<&'static Spec> {
    ALGORITHMS.iter().find(|spec| spec.name == name)
}
