use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tollgate_upstream::{Answer, Chains, Step};

use super::asking::ask;

const ANSWER: &str = r#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#;

/// What a provider saw.
#[derive(Clone, Default)]
struct Seen {
    connections: Arc<AtomicUsize>,
    versions: Arc<Mutex<Vec<Version>>>,
}

impl Seen {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        self.versions.lock().unwrap().push(request.version());
        let body = http_body_util::BodyExt::collect(request.into_body()).await?.to_bytes();
        let stream = body.windows(13).any(|w| w == b"\"stream\":true");
        let sse = format!(
            "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
            r#"{"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        );
        let (kind, body) = if stream { ("text/event-stream", sse) } else { ("application/json", ANSWER.to_owned()) };
        Ok(Response::builder().header("content-type", kind).body(Full::from(body)).unwrap())
    }
}

/// A provider; with TLS where an acceptor is given.
async fn provider(tls: Option<TlsAcceptor>) -> (u16, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let shared = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, tls) = (shared.clone(), tls.clone());
            seen.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let service = service_fn(move |request| seen.clone().answer(request));
                let server = Builder::new(TokioExecutor::new());
                match tls {
                    Some(tls) => {
                        let stream = tls.accept(stream).await.unwrap();
                        let _ = server.serve_connection(TokioIo::new(stream), service).await;
                    }
                    None => {
                        let _ = server.serve_connection(TokioIo::new(stream), service).await;
                    }
                }
            });
        }
    });
    (port, seen)
}

/// A server's TLS, and the root that vouches for it, as PEM.
fn tls(protocols: &[&str]) -> (TlsAcceptor, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.into()], key);
    let mut config = config.unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), root.pem())
}

fn chains(base_url: &str, root: Option<&str>) -> Chains {
    let tls = root.map(|path| format!(", policies: {{backendTLS: {{root: '{path}'}}}}")).unwrap_or_default();
    let yaml = format!(
        "ai: {{groups: [{{providers: [{{name: p, provider: {{custom: {{}}}}, baseUrl: '{base_url}'{tls}}}]}}]}}"
    );
    Chains::new(&tollgate_config::parse(&yaml, "test").unwrap()).unwrap()
}

/// Asks, and reads the answer to its end.
async fn answered(chains: &Chains, stream: bool) {
    match ask(chains, stream, 1).await.result.unwrap() {
        Answer::Whole { body, .. } => assert_eq!(body, ANSWER),
        Answer::Stream(mut live) => while !matches!(live.step("r").await, Step::Last(_)) {},
    }
}

#[tokio::test]
async fn a_connection_is_used_again_after_whole_and_streamed_answers() {
    let (port, seen) = provider(None).await;
    let chains = chains(&format!("http://127.0.0.1:{port}"), None);
    for stream in [false, true, true, false] {
        answered(&chains, stream).await;
    }
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
    assert_eq!(*seen.versions.lock().unwrap(), [Version::HTTP_11; 4]);
}

#[tokio::test]
async fn a_provider_that_has_http_2_gets_many_requests_on_one_connection() {
    let (acceptor, root) = tls(&["h2", "http/1.1"]);
    let folder = std::env::temp_dir().join(format!("tollgate-h2-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("root.pem");
    std::fs::write(&file, root).unwrap();
    let (port, seen) = provider(Some(acceptor)).await;
    let chains = chains(&format!("https://localhost:{port}"), file.to_str());
    answered(&chains, false).await;
    let (one, two, three) = (answered(&chains, true), answered(&chains, false), answered(&chains, true));
    tokio::join!(one, two, three);
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
    assert_eq!(*seen.versions.lock().unwrap(), [Version::HTTP_2; 4]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_certificate_that_the_roots_do_not_vouch_for_is_refused() {
    let (acceptor, _) = tls(&["h2"]);
    let (port, seen) = provider(Some(acceptor)).await;
    let chains = chains(&format!("https://localhost:{port}"), None);
    let fault = ask(&chains, false, 1).await.result.unwrap_err();
    assert_eq!(fault.code.as_deref(), Some("upstream_unreachable"));
    assert!(seen.versions.lock().unwrap().is_empty());
}
