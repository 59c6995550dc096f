//! The bare proxy: the gateway's HTTP stack (hyper-util's server, an axum router, a pooled reqwest client, a multi-threaded runtime), which
//! forwards bytes. No token, no parsing, no log. What the gateway costs beyond it is the gateway's own.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use crate::Result;
use crate::process::announce;

#[derive(Clone)]
struct Proxy {
    client: reqwest::Client,
    upstream: std::sync::Arc<str>,
}

async fn forward(State(proxy): State<Proxy>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await;
    let sent = match whole {
        Ok(whole) => {
            let kind = parts.headers.get(CONTENT_TYPE).map(|kind| (CONTENT_TYPE, kind.clone()));
            let url = format!("{}{}", proxy.upstream, parts.uri.path());
            proxy.client.post(url).headers(kind.into_iter().collect::<HeaderMap>()).body(whole).send().await
        }
        Err(_) => return status(StatusCode::BAD_REQUEST),
    };
    let Ok(answer) = sent else { return status(StatusCode::BAD_GATEWAY) };
    let (upstream, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = upstream.status;
    if let Some(kind) = upstream.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, kind.clone());
    }
    response
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// `bench proxy http://HOST:PORT`, on a free port.
pub(crate) fn main(upstream: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let router = Router::new().fallback(forward).with_state(Proxy { client, upstream: upstream.into() });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?)?;
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new());
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let service = TowerToHyperService::new(router.clone());
            let connection = builder.serve_connection(TokioIo::new(socket), service).into_owned();
            tokio::spawn(async move {
                let _ = connection.await;
            });
        }
    })
}
