use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use ::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A request, as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What the server says.
pub(super) enum Say {
    /// A status and a JSON document.
    Json(u16, String),
    /// Nothing, ever.
    Nothing,
}

impl Say {
    pub(super) fn ok(text: impl Into<String>) -> Self {
        Self::Json(200, text.into())
    }
}

/// A server that does as it is told, and remembers what it was asked.
pub(super) struct Server {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// The script gets a request, and how many with the same path came before it.
    pub(super) async fn start(script: impl Fn(&Seen, usize) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, script) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::new(script));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                tokio::spawn(async move {
                    let serve = service_fn(move |request| {
                        let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                        async move { Ok::<_, Infallible>(answer(request, &log, script.as_ref()).await) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), serve).await;
                });
            }
        });
        Self { url, seen }
    }

    /// The requests whose path holds this text.
    pub(super) fn seen(&self, text: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.target.contains(text)).cloned().collect()
    }
}

async fn answer(
    request: Request<Incoming>,
    log: &Mutex<Vec<Seen>>,
    script: &(impl Fn(&Seen, usize) -> Say + Send + Sync),
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let seen = Seen {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let said = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|earlier| earlier.target == seen.target).count();
        log.push(seen.clone());
        script(&seen, before)
    };
    match said {
        Say::Json(status, text) => Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(text)))
            .unwrap(),
        Say::Nothing => std::future::pending().await,
    }
}
