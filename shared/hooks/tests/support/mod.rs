//! What the tests of both functions share: a DynamoDB, an issuer of tokens, and ways to ask. Included by path.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use http_body_util::BodyExt;
use lambda_http::{Context, LambdaEvent};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use tollgate_hooks::run::Function;
use tollgate_hooks::{App, Aws};
use tollgate_host::lambda;
use tollgate_webhook::{Action, Phase, read_answer};
use tower::ServiceExt;

pub(crate) const ISSUER: &str = "https://issuer.test";
pub(crate) const SECRET: &str = "shared-between-gateways";

/// A key that is new at every run, and the files that the configuration refers to.
pub(crate) struct Files {
    pub(crate) key: EcdsaKeyPair,
    jwks: String,
    secret: String,
}

pub(crate) static FILES: LazyLock<Files> = LazyLock::new(|| {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let jwks =
        json!({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k", "x": x, "y": y}]});
    let path = |name: &str| format!("{}/{name}-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let files = Files { key, jwks: path("jwks"), secret: path("secret") };
    std::fs::write(&files.jwks, jwks.to_string()).unwrap();
    std::fs::write(&files.secret, SECRET).unwrap();
    files
});

/// A token of the issuer; `change` its claims.
pub(crate) fn token_with(change: impl FnOnce(&mut Value)) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({
        "sub": "user-1", "client_id": "client-1", "token_use": "access", "scope": "https://gateway.internal/invoke", "iss": ISSUER,
        "iat": now, "exp": now + 3_600, "custom:team": "search", "custom:tenant_tier": "tiny",
    });
    change(&mut claims);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "ES256", "kid": "k"})), part(&claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(sign(&signed)))
}

/// By our key, an EC key on P-256.
pub(crate) fn sign(text: &str) -> Vec<u8> {
    FILES.key.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref().to_vec()
}

pub(crate) fn token() -> String {
    token_with(|_| ())
}

/// A DynamoDB in memory, and a configuration that uses it. `more`: further blocks.
pub(crate) async fn config(limits: &str, more: &str) -> tollgate_config::Config {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    config_at(&endpoint, limits, more)
}

pub(crate) fn config_at(endpoint: &str, limits: &str, more: &str) -> tollgate_config::Config {
    let Files { jwks, secret, .. } = &*FILES;
    let yaml = format!(
        "auth:\n  issuers:\n  - {{issuer: '{ISSUER}', jwks: {{file: '{jwks}'}}, tokenUse: access, algorithms: [ES256]}}\n  teams:\n    client-9: {{team: maps, tier: tiny}}\n\
         limits:\n  ledger: {{endpoint: '{endpoint}'}}\n  timeoutMs: 60000\n  tiers:\n    tiny: {{requestsPerMinute: 2, tokensPerDay: 10000, usdPerMonth: 1}}\n{limits}\
         webhooks:\n  sharedSecret: 'file:{secret}'\n{more}"
    );
    tollgate_config::parse(&yaml, "test").unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

/// An AWS configuration that reaches nothing but what an endpoint is given for.
pub(crate) async fn aws() -> Aws {
    Aws::fixed(sdk("http://127.0.0.1:9").await)
}

/// One that reaches every service at this endpoint.
pub(crate) async fn sdk(endpoint: &str) -> SdkConfig {
    // The process-wide default, as the binaries set it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let credentials = Credentials::new("test", "test", None, None, "tests");
    let aws = tollgate_upstream::Aws::standalone().unwrap();
    let config = aws.source(true)().await.into_builder();
    config
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

/// A function with its table. Not in the last third of a minute: windows of limits are minutes, days and months, and none may end during a test.
pub(crate) async fn function<F: Function>(limits: &str, more: &str) -> (F, App) {
    let second = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() % 60;
    if second >= 40 {
        tokio::time::sleep(std::time::Duration::from_secs(60 - second)).await;
    }
    let app = App::new(config(limits, more).await, F::WHAT, aws().await).unwrap();
    app.limiter.as_ref().unwrap().ledger().create_table().await.unwrap();
    (F::new(app.clone()), app)
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// As a gateway reads it.
    pub(crate) fn action(&self) -> Action {
        read_answer(self.status, self.body.as_bytes(), Phase::Request)
            .unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The status of a reject; `None`: it passes.
    pub(crate) fn reject(&self) -> Option<u16> {
        match self.action() {
            Action::Reject(reject) => Some(reject.status_code()),
            Action::Pass { .. } => None,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) const HOOK: &str = r#"{"body":{"messages":[{"role":"user","content":"part a part b"}]}}"#;

pub(crate) async fn send(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Answer { status, body: String::from_utf8_lossy(&body).into_owned() }
}

pub(crate) async fn post(router: &Router, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    send(router, "POST", path, headers, body).await
}

/// An event's text, its token and secret filled in.
pub(crate) fn event(name: &str) -> Value {
    let path = format!("{}/../../events/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text.replace("{{token}}", &token()).replace("{{secret}}", SECRET)).unwrap()
}

/// One event, as Lambda delivers it.
pub(crate) async fn deliver<F: Function>(function: &F, event: Value) -> Result<Value, String> {
    let other = |event: Value, ends: Instant| {
        let function = function.clone();
        async move { function.event(event, ends).await }
    };
    let event = LambdaEvent::new(event, Context::default());
    lambda::answer(function.router(), &other, event).await.map_err(|failed| failed.0)
}

/// The names of the events of a folder.
pub(crate) fn events(folder: &str) -> Vec<String> {
    let path = format!("{}/../../events/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".json"));
    names.sort();
    names
}
