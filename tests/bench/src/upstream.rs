//! The fake upstream: answers both APIs with fixed bytes, a stream event by event; and serves a JWKS.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Result;
use crate::fixtures::{self, Api};
use crate::process::announce;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What it answers.
pub(crate) struct Answers {
    whole: [Bytes; 2],
    events: [Vec<Bytes>; 2],
    jwks: Bytes,
}

impl Answers {
    pub(crate) fn new(jwks: String) -> Arc<Self> {
        let apis = [Api::Chat, Api::Messages];
        Arc::new(Self { whole: apis.map(fixtures::answer), events: apis.map(fixtures::events), jwks: jwks.into() })
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> std::result::Result<Response<Body>, hyper::Error> {
        let ([chat, messages], [chat_events, messages_events]) = (&self.whole, &self.events);
        let (whole, events) = match request.uri().path() {
            "/v1/chat/completions" => (chat, chat_events),
            "/v1/messages" => (messages, messages_events),
            _ => (&self.jwks, chat_events),
        };
        let (whole, events) = (whole.clone(), events.clone());
        let asked = request.into_body().collect().await?.to_bytes();
        let (kind, body) = if memchr::memmem::find(&asked, b"\"stream\":true").is_some() {
            let frames = events.into_iter().map(|event| Ok(Frame::data(event)));
            ("text/event-stream", StreamBody::new(stream::iter(frames)).boxed_unsync())
        } else {
            ("application/json", Full::new(whole).boxed_unsync())
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
        Ok(response)
    }
}

/// Serves until the process ends. With `tls`, HTTP/2 is offered.
pub(crate) async fn serve(listener: TcpListener, answers: Arc<Answers>, tls: Option<TlsAcceptor>) -> Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (answers, tls) = (Arc::clone(&answers), tls.clone());
        tokio::spawn(async move {
            // A client that breaks its connection is no error of the bench: the load generator would say so.
            let _ = connection(socket, answers, tls).await;
        });
    }
}

async fn connection(socket: TcpStream, answers: Arc<Answers>, tls: Option<TlsAcceptor>) -> Result<()> {
    let service = service_fn(move |request| Arc::clone(&answers).answer(request));
    match tls {
        Some(tls) => {
            let stream = TokioIo::new(tls.accept(socket).await?);
            auto::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
        }
        None => auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await,
    }
}

/// `bench upstream`: without TLS, on a free port.
pub(crate) fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?)?;
        serve(listener, Answers::new(String::new()), None).await
    })
}
