//! Keys made for the run, tokens signed with them, and a key server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tollgate_auth::{AuthError, Authenticator, Identity, Options};
use tollgate_config::{Algorithm, Auth, Issuer};

pub(crate) const NOW_S: u64 = 1_750_000_000;
pub(crate) const SCOPE: &str = "https://gateway.internal/invoke";

/// `seconds` after the start of the test's time.
pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW_S + seconds)
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair of the tests, with its id.
pub(crate) struct TestKey {
    pub(crate) kid: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

pub(crate) static A: LazyLock<TestKey> = LazyLock::new(|| rsa("a", KeySize::Rsa2048));
pub(crate) static B: LazyLock<TestKey> = LazyLock::new(|| rsa("b", KeySize::Rsa2048));
pub(crate) static EC: LazyLock<TestKey> = LazyLock::new(|| {
    let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    TestKey { kid: "ec", pair: Pair::Ec(pair) }
});
pub(crate) static ED: LazyLock<TestKey> =
    LazyLock::new(|| TestKey { kid: "ed", pair: Pair::Ed(Ed25519KeyPair::generate().unwrap()) });

fn rsa(kid: &'static str, size: KeySize) -> TestKey {
    TestKey { kid, pair: Pair::Rsa(RsaKeyPair::generate(size).unwrap()) }
}

impl TestKey {
    pub(crate) fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let n = b64(public.modulus().big_endian_without_leading_zero());
                let e = b64(public.exponent().big_endian_without_leading_zero());
                json!({"kty": "RSA", "kid": self.kid, "alg": "RS256", "use": "sig", "n": n, "e": e})
            }
            Pair::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "kid": self.kid, "crv": "P-256", "x": b64(x), "y": b64(y)})
            }
            Pair::Ed(pair) => {
                json!({"kty": "OKP", "kid": self.kid, "crv": "Ed25519", "x": b64(pair.public_key())})
            }
        }
    }

    /// The public key as an attacker would hand it to an HMAC.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    pub(crate) fn sign_bytes(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let encoding: &dyn RsaEncoding = match algorithm {
            "RS512" => &signature::RSA_PKCS1_SHA512,
            "PS256" => &signature::RSA_PSS_SHA256,
            _ => &signature::RSA_PKCS1_SHA256,
        };
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut out).unwrap();
                out
            }
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    pub(crate) fn sign_with_header(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = self.sign_bytes(header["alg"].as_str().unwrap_or_default(), signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with_header(&json!({"alg": "RS256", "kid": self.kid}), claims)
    }
}

/// What the server does with the next requests.
#[derive(Clone)]
pub(crate) enum Answer {
    Ok(String),
    Status(u16),
    StatusWith(u16, String),
    Redirect(String),
    Hang,
}

/// A key server on a port of its own.
pub(crate) struct KeyServer {
    pub(crate) base: String,
    fetches: Arc<AtomicUsize>,
    /// Answers that their readers have read to the end.
    taken: Arc<AtomicUsize>,
    script: Arc<Mutex<Script>>,
}

struct Script {
    jwks: Answer,
    metadata: Answer,
    /// How long answers wait, unless they are let go before.
    delay: Duration,
    go: watch::Sender<bool>,
}

impl KeyServer {
    pub(crate) async fn start(keys: &[&TestKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let metadata = json!({"issuer": base, "jwks_uri": format!("{base}/keys")}).to_string();
        let script = Script {
            jwks: document(keys),
            metadata: Answer::Ok(metadata),
            delay: Duration::ZERO,
            go: watch::channel(false).0,
        };
        let server =
            Self { base, fetches: Arc::default(), taken: Arc::default(), script: Arc::new(Mutex::new(script)) };
        let (fetches, taken, script) =
            (Arc::clone(&server.fetches), Arc::clone(&server.taken), Arc::clone(&server.script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (fetches, taken) = (Arc::clone(&fetches), Arc::clone(&taken));
                tokio::spawn(serve(stream, fetches, taken, Arc::clone(&script)));
            }
        });
        server
    }

    /// Requests for keys; those for metadata do not count.
    pub(crate) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub(crate) fn publish(&self, keys: &[&TestKey]) {
        self.answer(document(keys));
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.script.lock().unwrap().jwks = answer;
    }

    pub(crate) fn metadata(&self, answer: Answer) {
        self.script.lock().unwrap().metadata = answer;
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.script.lock().unwrap().delay = delay;
    }

    /// Answers wait from now on, until `let_go`.
    pub(crate) fn hold(&self) {
        self.script.lock().unwrap().go.send_replace(false);
        self.delay(Duration::from_secs(60));
    }

    pub(crate) fn let_go(&self) {
        self.delay(Duration::ZERO);
        self.script.lock().unwrap().go.send_replace(true);
    }

    /// Waits until so many requests for keys are here.
    pub(crate) async fn asked(&self, fetches: usize) {
        until(|| self.fetches() >= fetches).await;
    }
}

pub(crate) fn document(keys: &[&TestKey]) -> Answer {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    Answer::Ok(json!({"keys": keys}).to_string())
}

async fn serve(mut stream: TcpStream, fetches: Arc<AtomicUsize>, taken: Arc<AtomicUsize>, script: Arc<Mutex<Script>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let is_metadata = request.starts_with(b"GET /.well-known/openid-configuration ");
    let (answer, delay, mut go) = {
        let script = script.lock().unwrap();
        let answer = if is_metadata { &script.metadata } else { &script.jwks };
        (answer.clone(), script.delay, script.go.subscribe())
    };
    if !is_metadata {
        fetches.fetch_add(1, Ordering::SeqCst);
    }
    let _ = tokio::time::timeout(delay, go.wait_for(|go| *go)).await;
    let head = |status: u16, extra: String, length: usize| {
        format!("HTTP/1.1 {status} X\r\n{extra}content-length: {length}\r\nconnection: close\r\n\r\n")
    };
    let text = match answer {
        Answer::Ok(body) => head(200, String::new(), body.len()) + &body,
        Answer::StatusWith(status, body) => head(status, String::new(), body.len()) + &body,
        Answer::Status(status) => head(status, String::new(), 0),
        Answer::Redirect(to) => head(302, format!("location: {to}\r\n"), 0),
        Answer::Hang => return std::future::pending().await,
    };
    let _ = stream.write_all(text.as_bytes()).await;
    // The reader closes.
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    if !is_metadata {
        taken.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits for what comes true by itself.
async fn until(done: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came true");
}

/// A server and an authenticator that trusts it.
pub(crate) struct World {
    pub(crate) server: KeyServer,
    pub(crate) auth: Authenticator,
}

impl World {
    pub(crate) async fn new(keys: &[&TestKey]) -> Self {
        Self::with(keys, |_| (), Options::default()).await
    }

    pub(crate) async fn with(keys: &[&TestKey], change: impl FnOnce(&mut Auth), options: Options) -> Self {
        let server = KeyServer::start(keys).await;
        let mut auth = Auth { issuers: vec![issuer(&server.base)], ..Auth::default() };
        change(&mut auth);
        Self { auth: Authenticator::new(&auth, client(), options), server }
    }

    /// Claims that pass.
    pub(crate) fn claims(&self) -> Value {
        json!({
            "iss": self.server.base, "sub": "user-1", "client_id": "client-1", "scope": format!("openid {SCOPE}"),
            "iat": NOW_S, "exp": NOW_S + 3_600, "token_use": "access", "jti": "id-1",
        })
    }

    pub(crate) fn claims_with(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        claims[name] = value;
        claims
    }

    /// A token of this key that passes for an hour.
    pub(crate) fn token(&self, key: &TestKey) -> String {
        key.sign(&self.claims())
    }

    pub(crate) async fn ask(&self, token: &str, seconds: u64) -> Result<Arc<Identity>, AuthError> {
        self.auth.authenticate(token, at(seconds)).await
    }

    /// `ok`, or the error's code.
    pub(crate) async fn code(&self, token: &str, seconds: u64) -> &'static str {
        self.ask(token, seconds).await.err().map_or("ok", |error| error.code())
    }

    /// Waits until the background has done this many fetches and their results are there.
    pub(crate) async fn settle(&self, fetches: usize) {
        until(|| self.server.taken.load(Ordering::SeqCst) >= fetches).await;
        // Who read them has not been woken longer than that, on one thread; and a fetch too many would come by now.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.server.fetches(), fetches);
    }
}

pub(crate) fn issuer(base: &str) -> Issuer {
    Issuer {
        issuer: base.to_owned(),
        required_scopes: vec![SCOPE.to_owned()],
        algorithms: vec![Algorithm::RS256],
        ..Issuer::default()
    }
}

pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) fn hmac_token(secret: &[u8], kid: &str, claims: &Value) -> String {
    let header = json!({"alg": "HS256", "kid": kid});
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    format!("{signed}.{}", b64(aws_lc_rs::hmac::sign(&key, signed.as_bytes())))
}
