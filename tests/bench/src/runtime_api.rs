//! The Lambda Runtime API for one environment, with a clock: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>. The end-to-end tests have
//! another one (`tests/servers`), which has front doors and no clock.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::Result;
use crate::process::memory_kib;

/// What an environment did, and when.
#[derive(Default)]
pub(crate) struct Timeline {
    /// Its process.
    pub(crate) pid: u32,
    pub(crate) first_next: Option<Instant>,
    /// Its resident memory when it first asked for work.
    pub(crate) memory_kib: u64,
    /// When each event was handed out, and when its answer had arrived.
    pub(crate) sent: Vec<Instant>,
    pub(crate) answered: Vec<(Instant, Bytes)>,
    pub(crate) errors: Vec<String>,
}

/// The API, and the events that it hands out.
pub(crate) struct RuntimeApi {
    event: Bytes,
    /// Events to hand out; afterwards `/next` waits for ever.
    count: usize,
    timeline: Mutex<Timeline>,
    changed: Notify,
}

impl RuntimeApi {
    pub(crate) fn new(event: Bytes, count: usize) -> Arc<Self> {
        Arc::new(Self { event, count, timeline: Mutex::default(), changed: Notify::new() })
    }

    pub(crate) fn timeline(&self) -> MutexGuard<'_, Timeline> {
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the environment asks again after its last event, or reports an error.
    pub(crate) async fn over(&self) -> Result<()> {
        loop {
            let changed = self.changed.notified();
            {
                let timeline = self.timeline();
                if let Some(error) = timeline.errors.first() {
                    return Err(format!("the function failed: {error}").into());
                }
                if timeline.first_next.is_some() && timeline.answered.len() >= self.count {
                    return Ok(());
                }
            }
            changed.await;
        }
    }

    /// Serves until the task is dropped.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) -> Result<()> {
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let api = Arc::clone(&self);
            tokio::spawn(async move {
                let service = service_fn(move |request| Arc::clone(&api).answer(request));
                // The environment ends in the middle of a `/next`.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
            });
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        if path.ends_with("/next") {
            return Ok(self.next().await);
        }
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let arrived = Instant::now();
        match path.ends_with("/response") {
            true => self.timeline().answered.push((arrived, body)),
            false => self.timeline().errors.push(format!("{path}: {}", String::from_utf8_lossy(&body))),
        }
        self.changed.notify_one();
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::ACCEPTED;
        Ok(response)
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        let asked = Instant::now();
        let number = {
            let mut timeline = self.timeline();
            if timeline.first_next.is_none() {
                timeline.first_next = Some(asked);
                timeline.memory_kib = memory_kib(timeline.pid, "VmRSS").unwrap_or(0);
            }
            timeline.sent.len()
        };
        self.changed.notify_one();
        if number >= self.count {
            std::future::pending::<()>().await;
        }
        self.timeline().sent.push(Instant::now());
        let head = Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", format!("00000000-0000-4000-8000-{number:012}"))
            .header("lambda-runtime-deadline-ms", "4102444800000")
            .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:bench");
        head.body(Full::new(self.event.clone())).unwrap_or_default()
    }
}
