//! The requests of an HTTP/2 connection. Its flow control hides from the connection below whether a client takes its answer: a client with a window of zero answers
//! every ping, and its request, and the upstream call behind it, would stay open for as long as it likes.
//!
//! 1. Each request runs in a task of its own, which hyper asks for ([`Executor`]). [`Watched`] notes in every turn whether the answer's body was asked for more.
//! 2. A body that gave a piece, after which the task waits, waits for the client: should that take too long, the task is dropped, and the stream reset.
//! 3. A connection without a request for too long is closed ([`Streams::idle`]): what its client has not taken by then, it will not.
//!
//! HTTP/1 has bounds for the same in hyper and in `connection`.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep};

use crate::connection::Patience;

thread_local! {
    /// What became of the body in this turn of the task that is running.
    static TURN: Cell<Turn> = const { Cell::new(Turn::Untouched) };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nobody asked for it.
    Untouched,
    /// There is no more of it yet.
    Waits,
    /// It gave a piece, or its end.
    Gave,
}

/// What runs the requests of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    patience: Patience,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    is_http2: Arc<AtomicBool>,
    running: AtomicUsize,
    begun: AtomicUsize,
}

/// One request that runs.
struct Running(Arc<State>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Streams {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, state: Arc::default() }
    }

    /// Set by the connection when it knows the protocol.
    pub(crate) fn marks_http2(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.state.is_http2)
    }

    /// Done when the connection speaks HTTP/2, and had no request for a while.
    pub(crate) async fn idle(&self) {
        let mut before = None;
        loop {
            sleep(self.patience.idle).await;
            let begun = self.state.begun.load(Ordering::Relaxed);
            let rests = self.state.running.load(Ordering::Relaxed) == 0 && before == Some(begun);
            if rests && self.state.is_http2.load(Ordering::Relaxed) {
                return;
            }
            before = Some(begun);
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        self.state.begun.fetch_add(1, Ordering::Relaxed);
        self.state.running.fetch_add(1, Ordering::Relaxed);
        let (running, stalled) = (Running(Arc::clone(&self.state)), self.patience.stalled);
        tokio::spawn(async move {
            let _running = running;
            let mut future = pin!(future);
            let mut waiting: Option<Pin<Box<Sleep>>> = None;
            poll_fn(|context| {
                TURN.set(Turn::Untouched);
                if future.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                match (TURN.get(), &mut waiting) {
                    (Turn::Untouched, _) => {}
                    (Turn::Waits, _) => waiting = None,
                    (Turn::Gave, Some(waiting)) => waiting.as_mut().reset(Instant::now() + stalled),
                    (Turn::Gave, None) => waiting = Some(Box::pin(sleep(stalled))),
                }
                let over = waiting.as_mut().map_or(Poll::Pending, |waiting| waiting.as_mut().poll(context));
                if over.is_ready() {
                    tracing::info!(
                        stalled_s = stalled.as_secs(),
                        "a client took nothing of its answer: the request is over"
                    );
                }
                over
            })
            .await;
        });
    }
}

/// An answer's body that notes what is asked of it.
#[derive(Debug)]
pub struct Watched(Body);

impl Watched {
    /// Watches it.
    pub fn new(body: Body) -> Self {
        Self(body)
    }
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.0).poll_frame(context);
        TURN.set(if polled.is_pending() { Turn::Waits } else { Turn::Gave });
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
