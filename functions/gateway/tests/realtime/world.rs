//! A gateway on a port, and a provider whose WebSocket does as it is told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, accept_hdr_async, connect_async};
use tollgate_limits::{Counter, Ledger, Owner, Scope};

use super::closed::closed_address;
use super::ledger::ledger;
use super::support::{gateway, json_of, token};

/// What a response of the provider's uses.
pub(crate) const USED: (u64, u64) = (100, 20);
/// The month's budget of the tests' team, in nano-dollars: $1.
pub(crate) const BUDGET: u64 = 1_000_000_000;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The provider: what it was sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provider {
    /// Request lines and headers of handshakes.
    pub(crate) handshakes: Arc<Mutex<Vec<(String, http::HeaderMap)>>>,
    /// Types of events.
    pub(crate) events: Arc<Mutex<Vec<String>>>,
}

pub(crate) struct World {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) provider: Provider,
    pub(crate) ledger: Option<Ledger>,
}

impl World {
    /// No limits.
    pub(crate) async fn new() -> Self {
        Self::with("", None).await
    }

    /// A ledger, and this tier for everybody.
    pub(crate) async fn limited(tier: &str) -> Self {
        let (endpoint, ledger) = ledger().await;
        let limits = format!(
            "limits:\n  timeoutMs: 60000\n  ledger: {{endpoint: '{endpoint}'}}\n  prices: {{theirs: {{input: 1, output: 10}}, told: {{input: 2, output: 20}}, whisper-1: {{input: 0, output: 0, second: 100}}}}\n  tiers: {{standard: {tier}}}\n"
        );
        Self::with(&limits, Some(ledger)).await
    }

    async fn with(limits: &str, ledger: Option<Ledger>) -> Self {
        let provider = Provider::default();
        let at = provider.clone().serve().await;
        let entry = |name: &str, base: String| {
            format!(
                "{{name: {name}, baseUrl: 'http://{base}', provider: {{custom: {{}}}}, policies: {{backendAuth: {{key: '$PATH'}}}}}}"
            )
        };
        let (a, down) = (entry("a", at.to_string()), entry("down", closed_address().to_string()));
        let refuses = entry("refuses", format!("{at}/refuses"));
        let router = gateway(&format!(
            "ai:\n  modelAliases: {{ours: theirs}}\n  groups: [{{providers: [{a}]}}]\n  models:\n  - match: ['two']\n    groups: [{{providers: [{down}]}}, {{providers: \
             [{a}]}}]\n  - match: ['none']\n    groups: [{{providers: [{down}]}}]\n  - match: ['refused']\n    groups: [{{providers: [{refuses}]}}]\n  - match: ['either']\n    groups: [{{providers: [{refuses}]}}, \
             {{providers: [{a}]}}]\n{limits}"
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(tollgate_gateway::host::native::serve(listener, router, 100, std::future::pending()));
        Self { address, provider, ledger }
    }

    /// A handshake with these headers besides its own.
    pub(crate) async fn handshake(
        &self,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(Socket, http::HeaderMap), Error> {
        let mut request = format!("ws://{}/v1/realtime{query}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, response) = connect_async(request).await?;
        Ok((socket, response.headers().clone()))
    }

    /// A session.
    pub(crate) async fn open(&self) -> Socket {
        self.handshake("?model=ours", &[("authorization", &format!("Bearer {}", token()))]).await.unwrap().0
    }

    /// The status and the body of a handshake that is refused. By hand: a WebSocket client reads no more than the head.
    pub(crate) async fn refused(&self, query: &str, headers: &[(&'static str, &str)]) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "GET /v1/realtime{query} HTTP/1.1\r\nhost: gateway\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let whole = |answer: &[u8]| answer.ends_with(b"}") || answer.ends_with(b"0\r\n\r\n");
        while !whole(&answer) && stream.read_buf(&mut answer).await.unwrap() > 0 {}
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, json_of(&body[body.find('{').unwrap()..=body.rfind('}').unwrap()]))
    }

    /// Tokens and nano-dollars that are charged, once they are as expected.
    pub(crate) async fn charged(&self, tokens_per_day: u64, expected: impl Fn(u64, u64) -> bool) -> (u64, u64) {
        let counters = vec![(Counter::Tokens, Some(tokens_per_day)), (Counter::Money, Some(BUDGET))];
        let scope = [Scope { key: "team#search".to_owned(), owner: Owner::Team, counters }];
        let mut charged = (0, 0);
        for _ in 0..6_000 {
            let standings = self.ledger.as_ref().unwrap().standing(&scope, SystemTime::now()).await.unwrap();
            charged = (tokens_per_day - standings[0].remaining, BUDGET - standings[1].remaining);
            if expected(charged.0, charged.1) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        charged
    }
}

impl Provider {
    async fn serve(self) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let provider = self.clone();
                tokio::spawn(async move { provider.session(stream).await });
            }
        });
        address
    }

    async fn session(self, stream: TcpStream) {
        let callback = |request: &Request, response: Response| {
            self.handshakes.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
            // It has one call.
            let other = request
                .uri()
                .query()
                .is_some_and(|query| query.contains("call_id=") && !query.contains("call_id=rtc_1"));
            if request.uri().path().starts_with("/refuses") || other {
                let mut refusal = ErrorResponse::new(Some(
                    r#"{"error":{"message":"no such model","code":"model_not_found"}}"#.to_owned(),
                ));
                *refusal.status_mut() = http::StatusCode::NOT_FOUND;
                refusal.headers_mut().insert("content-type", "application/json".parse().unwrap());
                return Err(refusal);
            }
            Ok(response)
        };
        let Ok(mut socket) = accept_hdr_async(stream, callback).await else { return };
        let session = json!({"type": "session.created", "session": {"type": "realtime", "model": "told"}});
        let _ = socket.send(Message::text(session.to_string())).await;
        let mut made = 0;
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let event = json_of(text.as_str());
            let kind = event["type"].as_str().unwrap().to_owned();
            self.events.lock().unwrap().push(kind.clone());
            let id = format!("resp_{made}");
            let answers = match kind.as_str() {
                // Spoken by the user, in a real session.
                "response.create" | "test.vad" => {
                    made += 1;
                    let mut events = vec![created(&format!("resp_{made}")), grown(&format!("resp_{made}"))];
                    if event["test"] != "unfinished" && kind == "response.create" {
                        events.push(done(&format!("resp_{made}"), "completed"));
                    }
                    events
                }
                "response.cancel" => vec![done(&id, "cancelled")],
                "test.close" => {
                    let _ = socket.close(Some(CloseFrame { code: 4001.into(), reason: "enough".into() })).await;
                    while let Some(Ok(_)) = socket.next().await {}
                    return;
                }
                "test.break" => return,
                // The user has spoken for this long.
                "test.spoken" => vec![
                    json!({"type": "conversation.item.input_audio_transcription.completed", "item_id": "item_1", "content_index": 0,
                    "transcript": "hello", "usage": {"type": "duration", "seconds": event["seconds"]}}),
                ],
                _ => Vec::new(),
            };
            for answer in answers {
                let _ = socket.send(Message::text(answer.to_string())).await;
            }
        }
    }
}

fn created(id: &str) -> Value {
    json!({"type": "response.created", "response": {"id": id, "status": "in_progress"}})
}

/// 40 bytes of text: ten tokens, about.
fn grown(id: &str) -> Value {
    json!({"type": "response.output_text.delta", "response_id": id, "delta": "x".repeat(38)})
}

fn done(id: &str, status: &str) -> Value {
    let (input, output) = USED;
    json!({"type": "response.done", "response": {"id": id, "status": status, "usage": {"total_tokens": input + output, "input_tokens": input,
        "output_tokens": output, "input_token_details": {"cached_tokens": 0}, "output_token_details": {}}}})
}

/// Says something.
pub(crate) async fn say(socket: &mut Socket, event: Value) {
    socket.send(Message::text(event.to_string())).await.unwrap();
}

/// The next event.
pub(crate) async fn hear(socket: &mut Socket) -> Value {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(30), socket.next()).await.unwrap().unwrap().unwrap();
        match message {
            Message::Text(text) => return json_of(text.as_str()),
            Message::Close(frame) => panic!("closed: {frame:?}"),
            _ => {}
        }
    }
}

/// The next event of this type; the others are let pass.
pub(crate) async fn hear_of(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let event = hear(socket).await;
        if event["type"] == kind {
            return event;
        }
    }
}

/// How the session ends; what comes before is let pass.
pub(crate) async fn end(socket: &mut Socket) -> Option<(u16, String)> {
    loop {
        match tokio::time::timeout(Duration::from_secs(30), socket.next()).await.unwrap() {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| (frame.code.into(), frame.reason.to_string())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}
