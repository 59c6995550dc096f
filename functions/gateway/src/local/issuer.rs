//! A local issuer of tokens: Cognito's token endpoint and access tokens, for one client, with a key that is new at every start. It signs
//! with ES256, where Cognito has RS256: the gateway checks both, and an RSA key takes long to make.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use ring::digest::{self, SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use crate::app::unix_s;

/// As Cognito's.
const LIFETIME_S: u64 = 3600;
const SCOPE: &str = "https://gateway.internal/invoke";
const KEY_ID: &str = "local";

/// The issuer. Only on a loopback address, never on Lambda.
#[derive(Clone)]
pub struct Issuer(Arc<Parts>);

struct Parts {
    url: String,
    client_id: String,
    client_secret: String,
    key: EcdsaKeyPair,
}

impl Issuer {
    /// Makes a key and a client.
    pub fn start(bound: SocketAddr) -> Result<Self, String> {
        if crate::app::on_lambda() || !bound.ip().is_loopback() {
            return Err(format!(
                "the local issuer of tokens is for a loopback address, not for {bound}: configure auth.issuers"
            ));
        }
        let failed = |_| "the local issuer could not make a key".to_owned();
        let random_source = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random_source).map_err(failed)?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random_source)
            .map_err(|e| format!("the local issuer's key: {e}"))?;
        let parts = Parts {
            url: format!("http://{bound}"),
            client_id: format!("local{:013x}", random()? & 0xf_ffff_ffff_ffff),
            client_secret: format!("{:032x}{:032x}", random()?, random()?),
            key,
        };
        Ok(Self(Arc::new(parts)))
    }

    /// The client that it knows.
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// Its secret.
    pub fn client_secret(&self) -> &str {
        &self.0.client_secret
    }

    /// The entry for `auth.issuers`.
    pub fn config(&self) -> tollgate_config::Issuer {
        let Parts { url, .. } = &*self.0;
        let jwks = tollgate_config::Jwks { url: Some(format!("{url}/.well-known/jwks.json")), ..Default::default() };
        tollgate_config::Issuer {
            issuer: url.clone(),
            jwks,
            token_use: Some("access".to_owned()),
            required_scopes: vec![SCOPE.to_owned()],
            algorithms: vec![tollgate_config::Algorithm::ES256],
            ..Default::default()
        }
    }

    fn jwks(&self) -> String {
        // An uncompressed point: 4, x, y (SEC 1, section 2.3.3).
        let (x, y) =
            self.0.key.public_key().as_ref().get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = (number(x), number(y));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID, "x": x, "y": y}]})
            .to_string()
    }

    /// A token with the claims that Cognito puts into a machine's access token.
    fn token(&self, now: SystemTime) -> Result<String, String> {
        let now = unix_s(now);
        let header = json!({"kid": KEY_ID, "alg": "ES256"});
        let claims = json!({
            "sub": self.0.client_id, "token_use": "access", "scope": SCOPE, "auth_time": now, "iss": self.0.url,
            "exp": now + LIFETIME_S, "iat": now, "version": 2, "jti": format!("{:032x}", random()?), "client_id": self.0.client_id,
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.0.key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| "the token could not be signed".to_owned())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn knows(&self, id: &str, secret: &str) -> bool {
        let ours = format!("{}\n{}", self.0.client_id, self.0.client_secret);
        let theirs = format!("{id}\n{secret}");
        // Digests, so that the time says nothing about how much of a guess was right.
        let hash = |text: String| digest::digest(&SHA256, text.as_bytes());
        hash(ours).as_ref() == hash(theirs).as_ref()
    }
}

fn random() -> Result<u128, String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "no randomness".to_owned())?;
    Ok(u128::from_be_bytes(bytes))
}

/// `POST /oauth2/token` and the key document.
pub fn routes(issuer: Issuer) -> Router {
    Router::new().route("/oauth2/token", post(token)).route("/.well-known/jwks.json", get(jwks)).with_state(issuer)
}

async fn jwks(State(issuer): State<Issuer>) -> Response {
    ([(CONTENT_TYPE, "application/json")], issuer.jwks()).into_response()
}

/// The client credentials grant (<https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html>): the client's id and secret
/// by HTTP Basic or in the form.
async fn token(State(issuer): State<Issuer>, headers: HeaderMap, body: String) -> Response {
    let form = |name: &str| {
        let pair = body.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        pair.map(|(_, value)| percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    if form("grant_type").as_deref() != Some("client_credentials") {
        return answer(StatusCode::BAD_REQUEST, &json!({"error": "unsupported_grant_type"}));
    }
    let in_form = form("client_id").zip(form("client_secret"));
    let known = basic(&headers).or(in_form).is_some_and(|(id, secret)| issuer.knows(&id, &secret));
    if !known {
        return answer(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_client"}));
    }
    if form("scope").is_some_and(|scope| !scope.is_empty() && scope.replace('+', " ").split(' ').any(|s| s != SCOPE)) {
        return answer(StatusCode::BAD_REQUEST, &json!({"error": "invalid_scope"}));
    }
    match issuer.token(SystemTime::now()) {
        Ok(token) => {
            answer(StatusCode::OK, &json!({"access_token": token, "expires_in": LIFETIME_S, "token_type": "Bearer"}))
        }
        Err(message) => answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": message})),
    }
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    text.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body.to_string()).into_response()
}
