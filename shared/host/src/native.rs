//! The native server: laptop, container, ECS. HTTP/1.1 and HTTP/2 (prior knowledge) on one port.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use crate::connection::{Connection, Patience};

/// A client may take this long to send a request's head. It also ends connections that are idle between two requests, and has to be longer than
/// the idle timeout of a load balancer in front (60 s for an ALB): that would send a request into a connection that is being closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// And so long to say anything at all, or to take more of an answer.
const PATIENCE: Patience = Patience { opening: Duration::from_secs(15), stalled: Duration::from_secs(60) };
/// Requests that are still running at a shutdown get this long.
const GRACE: Duration = Duration::from_secs(30);

/// Binds; the error says what to do.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(listen)
        .await
        .map_err(|e| format!("cannot listen on {listen}: {e}. Choose another address with --listen or `listen:`"))
}

/// Serves until `shutdown` is done, then lets the running requests end.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30));
    let graceful = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: the others need a moment to end.
                    tracing::warn!(error.cause = %error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        let _ = stream.set_nodelay(true);
        let stream = TokioIo::new(Connection::new(stream, PATIENCE));
        let connection = builder.serve_connection_with_upgrades(stream, TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            let _: Result<(), _> = connection.await;
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!(grace_s = GRACE.as_secs(), "requests were still running at the end of the grace period");
    }
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
