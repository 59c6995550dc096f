//! What the tests of the whole gateway share: a token issuer, and a router around a configuration.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::SystemTime;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tollgate_gateway::app::{App, unix_s};
use tollgate_gateway::reload::Live;
use tollgate_gateway::router;

const ISSUER: &str = "https://issuer.test";
pub(crate) const SCOPE: &str = "https://gateway.internal/invoke";

/// A key that is new at every run; its public half is a file.
pub(crate) struct Issuer {
    key: RsaKeyPair,
    jwks: PathBuf,
}

pub(crate) static ISSUER_OF_THE_RUN: LazyLock<Issuer> = LazyLock::new(|| {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = key.public_key();
    let n = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
    let e = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
    let jwks = json!({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k", "n": n, "e": e}]});
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("jwks-{}.json", std::process::id()));
    std::fs::write(&path, jwks.to_string()).unwrap();
    Issuer { key, jwks: path }
});

impl Issuer {
    /// A token with these scopes.
    pub(crate) fn token_with(&self, scope: &str) -> String {
        self.token_of("search", scope)
    }

    /// A token of another team.
    pub(crate) fn token_of(&self, team: &str, scope: &str) -> String {
        let now = unix_s(SystemTime::now());
        let claims = json!({
            "sub": "client", "client_id": "client", "token_use": "access", "scope": scope, "iss": ISSUER,
            "iat": now, "exp": now + 3_600, "custom:team": team,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "RS256", "kid": "k"})), part(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A token that is good.
pub(crate) fn token() -> String {
    ISSUER_OF_THE_RUN.token_with(SCOPE)
}

/// A whole configuration around the blocks of `yaml`.
pub(crate) fn configuration(yaml: &str) -> String {
    let jwks = ISSUER_OF_THE_RUN.jwks.display();
    format!("auth:\n  issuers:\n  - {{issuer: '{ISSUER}', jwks: {{file: '{jwks}'}}, tokenUse: access}}\n{yaml}")
}

/// The gateway around the `ai` and `request` blocks of `yaml`.
pub(crate) fn gateway(yaml: &str) -> Router {
    let config = tollgate_config::parse(&configuration(yaml), "test").unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    config.check_complete().unwrap();
    router::router(Live::fixed(App::new(config).unwrap()))
}

/// The text of a body that has to be JSON.
pub(crate) fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"))
}

/// The events of a stream: name (if any) and data.
pub(crate) fn events_of(text: &str) -> Vec<(Option<&str>, &str)> {
    assert!(text.ends_with("\n\n"), "the last event is not ended: {text:?}");
    let events = text.split_terminator("\n\n");
    let fields = events.map(|event| {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
        (field("event:"), field("data:").unwrap_or_else(|| panic!("an event without data: {event:?}")))
    });
    fields.collect()
}
