//! An OpenAI and Anthropic upstream that misbehaves as its path says: `/{fault}/v1/chat/completions`,
//! `/{fault}/v1/messages`. It writes raw HTTP/1.1, so that it decides about every byte and when the connection breaks.
//!
//! | fault | plain answer | stream |
//! |---|---|---|
//! | `ok` | whole | whole |
//! | `429`, `429-long`, `500`, `503`, `529`, `401`, `403`, `404` | that status (`retry-after` 1 s; 600 s for `429-long`) | the same |
//! | `html-502` | an HTML error page, as a proxy writes it | the same |
//! | `redirect` | 307 to `/stolen/...` of this server | the same |
//! | `hang` | nothing, ever | nothing, ever |
//! | `hang-head` | head, then nothing | head, then nothing |
//! | `hang-early`, `hang-late` | - | silence before, after the first content |
//! | `cut-head` | connection closed before the head | the same |
//! | `cut-early` | closed after the head | closed before the first content |
//! | `cut-late` | closed in the middle of the body | closed after the first content |
//! | `end-late` | - | a clean end without the last events |
//! | `error-event` | - | an error event, nothing else, under a 200 |
//! | `error-early`, `error-late` | - | an error event before, after the first content |
//! | `garbage` | a body that is not JSON | `data:` that is not JSON |
//! | `crlf`, `nospace`, `comments` | whole | `\r\n` line ends; `data:` without a space; comments and pings between events |
//! | `dribble`, `one-write` | every byte a write of its own; one write | the same |
//! | `flood` | a body without an end (until 512 MiB) | a line without an end |
//! | `canned-NAME` | the bytes that `PUT /canned/NAME` left here, then the connection closes | the same, with a pause at each comment `: pause` |
//!
//! `[error-400]`, `[error-429]` and `[error-500]` in the prompt are answered with that status under any path.
//!
//! Beside it `GET /journal?contains=...`, `DELETE /journal`, `GET /stats`, `PUT /release?contains=...`.

mod answer;
mod http1;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::journal::{Call, Journal, Outcome};

/// What the server does next on the wire.
pub(crate) enum Step {
    Send(Bytes),
    Pause(Duration),
    /// Until the test says so.
    Hold,
    /// The same bytes again and again, so often.
    Flood(Bytes, usize),
    Cut,
}

#[derive(Clone, Default)]
struct Server {
    journal: Journal,
    canned: Arc<Mutex<HashMap<String, Bytes>>>,
}

/// Serves until the process ends.
pub(crate) async fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    crate::announce(&json!({"listen": format!("http://{}", listener.local_addr()?)}))?;
    let server = Server::default();
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of file descriptors, or the client was gone at once: the next one may do better.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let server = server.clone();
        tokio::spawn(async move {
            let _open = server.journal.connection();
            // A broken connection is the client's or ours on purpose; the journal says which.
            let _ = connection(&server, socket).await;
        });
    }
}

async fn connection(server: &Server, socket: TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut reader, mut writer) = socket.into_split();
    let mut buffer = Vec::new();
    while let Some(request) = http1::read(&mut reader, &mut buffer, &mut writer).await? {
        if let Some(reply) = server.control(&request) {
            writer.write_all(&http1::whole(200, "application/json", &[], reply.as_bytes())).await?;
            continue;
        }
        let number = server.journal.record(&request.method, &request.path, &request.headers, &request.body);
        let call = Call::new(server.journal.clone(), number);
        let steps = server.steps(&request);
        let ended = tokio::select! {
            ended = play(steps, &mut writer, &call) => ended,
            () = closed(&mut reader, &mut buffer) => Outcome::Aborted,
        };
        call.end(ended);
        if ended != Outcome::Complete || request.path.starts_with("/canned-") {
            return Ok(());
        }
    }
    Ok(())
}

/// Returns when the client has closed its side.
async fn closed(reader: &mut OwnedReadHalf, buffer: &mut Vec<u8>) {
    loop {
        match reader.read_buf(buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

async fn play(steps: Vec<Step>, writer: &mut OwnedWriteHalf, call: &Call) -> Outcome {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if writer.write_all(&bytes).await.is_err() {
                    return Outcome::Aborted;
                }
            }
            Step::Flood(bytes, times) => {
                for _ in 0..times {
                    if writer.write_all(&bytes).await.is_err() {
                        return Outcome::Aborted;
                    }
                }
            }
            Step::Pause(time) => tokio::time::sleep(time).await,
            Step::Hold => call.released().await,
            Step::Cut => return Outcome::Cut,
        }
    }
    Outcome::Complete
}

impl Server {
    /// The answer to a request that is about the server itself.
    fn control(&self, request: &http1::Request) -> Option<String> {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let needle = query.strip_prefix("contains=").unwrap_or_default();
        match (request.method.as_str(), path) {
            ("GET", "/journal") => Some(self.journal.list(needle).to_string()),
            ("DELETE", "/journal") => {
                self.journal.forget();
                Some("{}".to_owned())
            }
            ("GET", "/stats") => Some(self.journal.stats().to_string()),
            ("PUT", "/release") => {
                self.journal.release(needle);
                Some("{}".to_owned())
            }
            ("PUT", path) => {
                let name = path.strip_prefix("/canned/")?.to_owned();
                let body = Bytes::copy_from_slice(&request.body);
                self.canned.lock().unwrap_or_else(PoisonError::into_inner).insert(name, body);
                Some("{}".to_owned())
            }
            _ => None,
        }
    }

    fn steps(&self, request: &http1::Request) -> Vec<Step> {
        let (fault, _) = request.path.trim_start_matches('/').split_once('/').unwrap_or_default();
        let canned = fault
            .strip_prefix("canned-")
            .and_then(|name| self.canned.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned());
        match canned {
            Some(bytes) => with_pauses(&bytes),
            None => answer::steps(fault, request),
        }
    }
}

/// What comes after a pause comes in a read of its own.
fn with_pauses(bytes: &Bytes) -> Vec<Step> {
    const MARK: &[u8] = b": pause\n\n";
    const PAUSE: Duration = Duration::from_millis(150);
    let mut steps = Vec::new();
    let mut rest = bytes.clone();
    while let Some(at) = rest.windows(MARK.len()).position(|window| window == MARK) {
        steps.extend([Step::Send(rest.split_to(at)), Step::Pause(PAUSE)]);
        let _ = rest.split_to(MARK.len());
    }
    steps.push(Step::Send(rest));
    steps
}
