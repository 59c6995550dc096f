//! A session: two WebSockets, and what passes between them.

use std::time::Duration;

use axum::body::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tollgate_wire::exchange::State;

use super::turns::{Asked, Turns};
use crate::app::App;
use crate::books::Books;

/// An end that takes nothing for this long is gone.
const STALLED: Duration = Duration::from_secs(30);
/// Between two pings to the client: under the idle timeout of a load balancer (60 s for an ALB).
const PING: Duration = Duration::from_secs(25);
/// Between two looks at the clock and the host.
const TICK: Duration = Duration::from_secs(1);
/// A side that has been told of the end gets this long to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// One session.
pub(super) struct Session {
    app: App,
    turns: Mutex<Turns>,
    until: Instant,
}

type Sink<S> = Mutex<SplitSink<WebSocketStream<S>, Message>>;

/// Why a session is over, and what each side is told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// The client closed it; or it is gone, and there is nothing to tell.
    Client(Option<CloseFrame>),
    /// The provider closed it; or its connection broke.
    Upstream(Option<CloseFrame>),
    /// The gateway ends it.
    Ours(CloseCode, &'static str),
}

impl Session {
    /// `left`: how long the client's token is good for.
    pub(super) fn new(app: App, turns: Turns, left: Duration) -> Self {
        Self { app, turns: Mutex::new(turns), until: Instant::now() + left }
    }

    /// Runs it to its end, and closes the books.
    pub(super) async fn run<C, U>(self, client: WebSocketStream<C>, upstream: WebSocketStream<U>, mut books: Books)
    where
        C: AsyncRead + AsyncWrite + Unpin + Send,
        U: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let (to_client, mut from_client) = client.split();
        let (to_upstream, mut from_upstream) = upstream.split();
        let (to_client, to_upstream) = (Mutex::new(to_client), Mutex::new(to_upstream));
        let end = tokio::select! {
            end = self.up(&mut from_client, &to_upstream, &to_client) => end,
            end = self.down(&mut from_upstream, &to_client, &to_upstream) => end,
            end = self.watch(&to_client) => end,
        };
        let (for_client, for_upstream) = farewells(&end);
        let goodbyes = async {
            tokio::join!(
                close(&to_client, &mut from_client, for_client),
                close(&to_upstream, &mut from_upstream, for_upstream)
            );
        };
        let _ = timeout(GOODBYE, goodbyes).await;
        let mut turns = self.turns.into_inner();
        turns.close();
        books.used(&State { usage: turns.usage, done: true, ..State::default() });
        books.charged(&turns.bill);
        if let Some(code) = failure(&end) {
            books.refused(code);
        }
        drop(turns);
        books.close(101).await;
    }

    /// From the client to the provider.
    async fn up<C, U>(&self, from: &mut SplitStream<WebSocketStream<C>>, to: &Sink<U>, back: &Sink<C>) -> End
    where
        C: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let message = match from.next().await {
                Some(Ok(Message::Close(frame))) => return End::Client(frame),
                Some(Ok(message)) => message,
                Some(Err(_)) | None => return End::Client(None),
            };
            let text = match message {
                Message::Text(text) => text,
                Message::Binary(bytes) => {
                    if !send(to, Message::Binary(bytes)).await {
                        return End::Upstream(None);
                    }
                    continue;
                }
                // Pings are answered by the library, each end for itself.
                _ => continue,
            };
            let asked = self.turns.lock().await.asks(text.as_str()).await;
            let sent = match asked {
                Asked::Pass => send(to, Message::Text(text)).await,
                Asked::Refused(event) => send(back, Message::text(event)).await,
            };
            if !sent {
                return End::Upstream(None);
            }
        }
    }

    /// From the provider to the client.
    async fn down<C, U>(&self, from: &mut SplitStream<WebSocketStream<U>>, to: &Sink<C>, back: &Sink<U>) -> End
    where
        C: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let message = match from.next().await {
                Some(Ok(Message::Close(frame))) => return End::Upstream(frame),
                Some(Ok(message)) => message,
                Some(Err(_)) | None => return End::Upstream(None),
            };
            let said = match &message {
                Message::Text(text) => self.turns.lock().await.said(text.as_str()).await,
                Message::Binary(_) => super::turns::Said::default(),
                _ => continue,
            };
            if !send(to, message).await {
                return End::Client(None);
            }
            if let Some(cancel) = said.cancel
                && !send(back, Message::text(cancel)).await
            {
                return End::Upstream(None);
            }
            if let Some(event) = said.tell
                && !send(to, Message::text(event)).await
            {
                return End::Client(None);
            }
            if said.over {
                return End::Ours(CloseCode::Policy, "a limit of your team is reached");
            }
        }
    }

    /// Ends it when its time is up, and shows the load balancer in between that it lives.
    async fn watch<C: AsyncRead + AsyncWrite + Unpin>(&self, client: &Sink<C>) -> End {
        let mut pinged = Instant::now();
        loop {
            tokio::time::sleep(TICK).await;
            if self.app.settlements.is_closed() {
                return End::Ours(CloseCode::Away, "the gateway is shutting down");
            }
            if Instant::now() >= self.until {
                return End::Ours(CloseCode::Policy, "the token has expired");
            }
            if self.turns.lock().await.is_over() {
                return End::Ours(CloseCode::Policy, "a limit of your team is reached");
            }
            if pinged.elapsed() >= PING {
                pinged = Instant::now();
                if !send(client, Message::Ping(Bytes::new())).await {
                    return End::Client(None);
                }
            }
        }
    }
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(sink: &Sink<S>, message: Message) -> bool {
    matches!(timeout(STALLED, async { sink.lock().await.send(message).await }).await, Ok(Ok(())))
}

/// Says goodbye, and reads on until the other side has said it, too: a connection that is closed under unread data is reset, and the goodbye lost.
async fn close<S>(sink: &Sink<S>, stream: &mut SplitStream<WebSocketStream<S>>, frame: Option<CloseFrame>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = sink.lock().await.send(Message::Close(frame)).await;
    while let Some(Ok(_)) = stream.next().await {}
}

/// What the client and the provider are told.
fn farewells(end: &End) -> (Option<CloseFrame>, Option<CloseFrame>) {
    let frame = |code, reason: &'static str| Some(CloseFrame { code, reason: reason.into() });
    match end {
        End::Client(Some(theirs)) => (Some(theirs.clone()), Some(theirs.clone())),
        End::Client(None) => (None, frame(CloseCode::Normal, "")),
        End::Upstream(Some(theirs)) => (Some(theirs.clone()), Some(theirs.clone())),
        End::Upstream(None) => (frame(CloseCode::Error, "the connection to the provider broke"), None),
        End::Ours(code, reason) => (frame(*code, reason), frame(CloseCode::Normal, "")),
    }
}

/// For the access log.
fn failure(end: &End) -> Option<&'static str> {
    match end {
        End::Client(_) | End::Upstream(Some(_)) => None,
        End::Upstream(None) => Some("upstream_connection_broken"),
        End::Ours(CloseCode::Away, _) => Some("shutdown"),
        End::Ours(_, _) => Some("session_ended"),
    }
}
