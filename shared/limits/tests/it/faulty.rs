//! A door to the embedded DynamoDB that fails as networks and services do, by a plan; and that writes down who came when.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

/// What becomes of one request.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// It is passed on.
    Pass,
    /// It is not; this is the answer: a status and an exception.
    Answer(u16, &'static str),
    /// It is passed on, and the connection breaks before the answer.
    Lost,
    /// The client hears nothing; the request arrives so much later.
    Late(Duration),
    /// The client hears nothing; the request arrives with [`Proxy::let_late_ones_in`].
    Limbo,
    /// Nobody hears anything.
    Hang,
    /// It is passed on twice, and the second answer is given.
    Twice,
    /// It is passed on when as many others wait as the barrier asks for.
    Together(Arc<Barrier>),
}

/// One request that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `UpdateItem`.
    pub(crate) operation: String,
    /// Its JSON.
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn writes(&self) -> bool {
        matches!(self.operation.as_str(), "UpdateItem" | "TransactWriteItems")
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}

type Plan = Box<dyn FnMut(&Seen) -> Fate + Send>;

struct Shared {
    upstream: SocketAddr,
    plan: Mutex<Plan>,
    seen: Mutex<Vec<Seen>>,
    limbo: Mutex<Vec<Raw>>,
    /// Connections, and requests on their way behind the door: of these a client may know nothing any more.
    under_way: AtomicUsize,
    faults: AtomicU64,
}

#[derive(Clone)]
struct Raw {
    headers: HeaderMap,
    body: Bytes,
}

/// The door.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
}

impl Proxy {
    /// In front of this endpoint.
    pub(crate) async fn before(endpoint: &str) -> Self {
        let upstream = endpoint.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            plan: Mutex::new(Box::new(|_| Fate::Pass)),
            seen: Mutex::default(),
            limbo: Mutex::default(),
            under_way: AtomicUsize::new(0),
            faults: AtomicU64::new(0),
        });
        tokio::spawn(accept(listener, shared.clone()));
        Self { endpoint: format!("http://{address}"), shared }
    }

    /// From now on.
    pub(crate) fn plan(&self, plan: impl FnMut(&Seen) -> Fate + Send + 'static) {
        *self.shared.plan.lock().unwrap() = Box::new(plan);
    }

    /// From now on, for requests that fit; the rest passes.
    pub(crate) fn each(&self, fits: impl Fn(&Seen) -> bool + Send + 'static, fate: Fate) {
        self.plan(move |seen| if fits(seen) { fate.clone() } else { Fate::Pass });
    }

    /// The first requests that fit have these fates, in this order; the rest passes.
    pub(crate) fn first(&self, fits: impl Fn(&Seen) -> bool + Send + 'static, fates: Vec<Fate>) {
        let mut fates = fates.into_iter();
        self.plan(move |seen| if fits(seen) { fates.next().unwrap_or(Fate::Pass) } else { Fate::Pass });
    }

    pub(crate) fn pass(&self) {
        self.plan(|_| Fate::Pass);
    }

    /// What came since this was last asked.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock().unwrap())
    }

    /// How many requests did not simply pass.
    pub(crate) fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::SeqCst)
    }

    /// The requests in limbo arrive now.
    pub(crate) async fn let_late_ones_in(&self) -> usize {
        let waiting = std::mem::take(&mut *self.shared.limbo.lock().unwrap());
        let count = waiting.len();
        for raw in waiting {
            forward(self.shared.upstream, raw).await;
        }
        count
    }

    /// Until every request has arrived, once all clients are gone: also those that they had given up, on a machine that has other things to do.
    pub(crate) async fn quiet(&self) {
        while self.shared.under_way.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let under_way = UnderWay::new(&shared);
        let shared = shared.clone();
        tokio::spawn(async move {
            let _under_way = under_way;
            let service = service_fn(|request| serve(request, shared.clone()));
            // An error of the service breaks the connection: that is what it is for.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Counted while it lives.
struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.under_way.fetch_add(1, Ordering::SeqCst);
        Self(shared.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The connection is to break.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

async fn serve(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Broken> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = target.split('.').nth(1).unwrap_or_default().to_owned();
    let seen = Seen { operation, body: String::from_utf8_lossy(&body).into_owned() };
    shared.seen.lock().unwrap().push(seen.clone());
    let fate = (shared.plan.lock().unwrap())(&seen);
    if !matches!(fate, Fate::Pass | Fate::Together(_)) {
        shared.faults.fetch_add(1, Ordering::SeqCst);
    }
    let raw = Raw { headers: parts.headers, body };
    // A task of its own: a client that goes away does not take back what is on its way.
    let (upstream, passed, under_way) = (shared.upstream, raw.clone(), UnderWay::new(&shared));
    let pass = move || async move {
        let passed = async move {
            let _under_way = under_way;
            forward(upstream, passed).await
        };
        tokio::spawn(passed).await.map_err(|_| Broken)
    };
    match fate {
        Fate::Pass => pass().await,
        Fate::Answer(status, exception) => Ok(exception_answer(status, exception, &seen)),
        Fate::Lost => {
            pass().await?;
            Err(Broken)
        }
        Fate::Late(delay) => {
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                // With it goes what counts it.
                let _ = pass().await;
            });
            std::future::pending().await
        }
        Fate::Limbo => {
            shared.limbo.lock().unwrap().push(raw);
            std::future::pending().await
        }
        Fate::Hang => std::future::pending().await,
        Fate::Twice => {
            forward(upstream, raw).await;
            pass().await
        }
        Fate::Together(barrier) => {
            barrier.wait().await;
            pass().await
        }
    }
}

fn exception_answer(status: u16, exception: &str, seen: &Seen) -> Response<Full<Bytes>> {
    let exception = match (exception, seen.operation.as_str()) {
        // A conflict is named differently for a transaction and for a single write.
        ("TransactionConflict", "TransactWriteItems") => "TransactionCanceledException",
        ("TransactionConflict", _) => "TransactionConflictException",
        (other, _) => other,
    };
    let reasons = if exception == "TransactionCanceledException" {
        ",\"CancellationReasons\":[{\"Code\":\"TransactionConflict\",\"Message\":\"on purpose\"}]"
    } else {
        ""
    };
    let body =
        format!("{{\"__type\":\"com.amazonaws.dynamodb.v20120810#{exception}\",\"message\":\"on purpose\"{reasons}}}");
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer.headers_mut().insert("content-type", "application/x-amz-json-1.0".parse().unwrap());
    answer
}

/// One request on a connection of its own.
async fn forward(upstream: SocketAddr, raw: Raw) -> Response<Full<Bytes>> {
    let stream = TcpStream::connect(upstream).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post("/").body(Full::new(raw.body)).unwrap();
    *request.headers_mut() = raw.headers;
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    Response::from_parts(parts, Full::new(body.collect().await.unwrap().to_bytes()))
}
