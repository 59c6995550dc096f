//! The native server: laptop, container, ECS. HTTP/1.1 and HTTP/2 (prior knowledge) on one port.
//!
//! No client is waited for forever (`connection`, `streams`), and no more connections are open than may be: when all are, the next ones wait to be accepted.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;
use tower::util::MapResponse;

use crate::connection::{Connection, Patience};
use crate::streams::Streams;
pub use crate::streams::Watched;

/// Open connections, at most, where nothing else is configured. Each may need two file descriptors: its own, and an upstream's.
pub const MAX_CONNECTIONS: usize = 10_000;

/// A client may take this long to send a request's head. It also ends connections that are idle between two requests, and has to be longer than
/// the idle timeout of a load balancer in front (60 s for an ALB): that would send a request into a connection that is being closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// And so long to say anything at all, to take more of an answer, or to ask for something on a connection of HTTP/2.
const PATIENCE: Patience =
    Patience { opening: Duration::from_secs(15), stalled: Duration::from_secs(60), idle: HEAD_TIMEOUT };
/// Requests that are still running at a shutdown get this long.
const GRACE: Duration = Duration::from_secs(30);

/// Binds; the error says what to do.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(listen)
        .await
        .map_err(|e| format!("cannot listen on {listen}: {e}. Choose another address with --listen or `listen:`"))
}

/// Serves these routes until `shutdown` is done, then lets the running requests end. `connections`: how many may be open at a time.
pub async fn serve(listener: TcpListener, router: Router, connections: usize, shutdown: impl Future<Output = ()>) {
    serve_with(listener, answers_of(router), connections, PATIENCE, shutdown).await;
}

/// The same with a function that answers every request. Nothing is put around its future: that may be large, and would be copied into whatever is.
pub async fn serve_by<A, F>(listener: TcpListener, answer: A, connections: usize, shutdown: impl Future<Output = ()>)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answered> + Send + 'static,
{
    serve_with(listener, answer, connections, PATIENCE, shutdown).await;
}

/// What a request gets.
pub type Answered = Result<http::Response<Watched>, Infallible>;

fn answers_of(router: Router) -> impl Fn(Request<Incoming>) -> RouterAnswer + Clone {
    let watched: fn(Response) -> http::Response<Watched> = |response| response.map(Watched::new);
    let service = MapResponse::new(router, watched);
    move |request| service.clone().oneshot(request)
}

type RouterAnswer =
    tower::util::Oneshot<MapResponse<Router, fn(Response) -> http::Response<Watched>>, Request<Incoming>>;

async fn serve_with<A, F>(
    listener: TcpListener,
    answer: A,
    connections: usize,
    patience: Patience,
    shutdown: impl Future<Output = ()>,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answered> + Send + 'static,
{
    let service = service_fn(answer);
    let places = Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS)));
    let graceful = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = async { (place(&places, connections).await, listener.accept().await) };
        let (place, stream) = tokio::select! {
            accepted = accepted => match accepted {
                (place, Ok((stream, _))) => (place, stream),
                (_, Err(error)) => {
                    // Out of file descriptors, most likely: the others need a moment to end.
                    tracing::warn!(error.cause = %error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        let _ = stream.set_nodelay(true);
        let streams = Streams::new(patience);
        let stream = TokioIo::new(Connection::new(stream, patience, streams.marks_http2(), place));
        let mut builder = Builder::new(streams.clone());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30));
        let connection = builder.serve_connection_with_upgrades(stream, service.clone());
        let connection = tokio::spawn(graceful.watch(connection.into_owned()));
        // In a task of its own: the connection's is woken with every piece that comes.
        tokio::spawn(async move {
            let ends = connection.abort_handle();
            tokio::select! {
                _ = connection => {}
                () = streams.idle() => ends.abort(),
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!(grace_s = GRACE.as_secs(), "requests were still running at the end of the grace period");
    }
}

/// A place for one more connection. The next ones wait in the system's own queue meanwhile.
async fn place(places: &Arc<Semaphore>, connections: usize) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    tracing::warn!(
        connections,
        "as many connections are open as may be (maxConnections): the next ones wait for one to end"
    );
    Arc::clone(places).acquire_owned().await.ok()
}

/// Done at SIGINT or SIGTERM.
pub async fn signal() {
    let interrupt = async { tokio::signal::ctrl_c().await.map_err(|_| ()) };
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await.ok_or(()),
            Err(_) => Err(()),
        }
    };
    let never = std::future::pending::<Infallible>();
    tokio::select! {
        Ok(()) = interrupt => {}
        Ok(()) = terminate => {}
        _ = never => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    const PATIENT: Patience = Patience {
        opening: Duration::from_secs(60),
        stalled: Duration::from_millis(100),
        idle: Duration::from_secs(60),
    };

    async fn server(router: Router, connections: usize, patience: Patience) -> SocketAddr {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve_with(listener, answers_of(router), connections, patience, std::future::pending()));
        address
    }

    /// HTTP/2's preface, and settings in which streams have no window (RFC 9113, sections 3.4 and 6.5).
    const OPENING: &[u8] =
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00";
    /// `GET /` on stream 1: headers, the last frame of it (RFC 9113, section 6.2; the fields stand in HPACK's static table).
    const GET: &[u8] = b"\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x86\x84";

    /// Tells when it is dropped.
    struct Told(Option<oneshot::Sender<()>>);

    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.take().map(|told| told.send(()));
        }
    }

    #[tokio::test]
    async fn an_answer_that_an_http2_client_gives_no_window_for_is_dropped() {
        for whole in [true, false] {
            let (tell, told) = oneshot::channel();
            let told_by = Arc::new(Mutex::new(Some(Told(Some(tell)))));
            let router = Router::new().route(
                "/",
                get(move || async move {
                    let guard = told_by.lock().unwrap().take();
                    let pieces = futures_util::stream::unfold(guard, move |guard| async move {
                        let piece = Ok::<_, Infallible>(Bytes::from_static(b"more"));
                        Some((piece, if whole { None } else { guard }))
                    });
                    Body::from_stream(pieces)
                }),
            );
            let mut client = TcpStream::connect(server(router, 9, PATIENT).await).await.unwrap();
            client.write_all(OPENING).await.unwrap();
            client.write_all(GET).await.unwrap();
            assert_eq!(told.await, Ok(()), "the upstream call behind it would be dropped with it");
        }
    }

    #[tokio::test]
    async fn an_http2_connection_that_asks_for_nothing_is_closed() {
        let patience = Patience { idle: Duration::from_millis(50), ..PATIENT };
        let router = Router::new().route("/", get(|| async { "hi" }));
        let mut client = TcpStream::connect(server(router, 9, patience).await).await.unwrap();
        client.write_all(OPENING).await.unwrap();
        client.write_all(GET).await.unwrap();
        let mut said = Vec::new();
        // Closed or reset: there may be frames that the client never took.
        let _ = client.read_to_end(&mut said).await;
        assert!(!said.is_empty());
    }

    #[tokio::test]
    async fn a_connection_too_many_waits_for_another_to_end() {
        let router = Router::new().route("/", get(|| async { "hi" }));
        let address = server(router, 1, PATIENT).await;
        let ask = async |client: &mut TcpStream| {
            client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        };
        let answer = async |client: &mut TcpStream| {
            let mut said = [0; 12];
            client.read_exact(&mut said).await.unwrap();
            said
        };
        let mut first = TcpStream::connect(address).await.unwrap();
        ask(&mut first).await;
        assert_eq!(&answer(&mut first).await, b"HTTP/1.1 200");
        let mut second = TcpStream::connect(address).await.unwrap();
        ask(&mut second).await;
        let early = tokio::time::timeout(Duration::from_millis(100), answer(&mut second)).await;
        assert!(early.is_err(), "the first is still open");
        drop(first);
        assert_eq!(&answer(&mut second).await, b"HTTP/1.1 200");
    }
}
