//! Upstreams that fail, each in its own way: the first part of the path says how, the rest of it in whose words (`words.rs`).

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::closed::closed_address;
use super::words::{self, Voice};

/// Does it help to try again?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Later, or elsewhere.
    Transient,
    /// Not without a change.
    Permanent,
}
use Nature::{Permanent, Transient};

/// All faults that an upstream can show.
pub(crate) const FAULTS: &[(&str, Nature)] = &[
    ("400", Permanent),
    ("400-context", Permanent),
    ("401", Permanent),
    ("403", Permanent),
    ("404", Permanent),
    ("408", Transient),
    ("409", Transient),
    ("413", Permanent),
    ("422", Permanent),
    ("429-retry-after", Transient),
    ("429-quota", Permanent),
    ("500", Transient),
    ("502-html", Transient),
    ("503", Transient),
    ("504", Transient),
    ("529", Transient),
    ("200-garbage", Transient),
    ("200-error", Transient),
    ("302", Transient),
    ("refused", Transient),
    ("cut-before-head", Transient),
    ("hang", Transient),
    ("json-for-sse", Transient),
    ("error-first", Transient),
    ("cut-before-content", Transient),
    ("end-before-content", Transient),
    ("cut-after-content", Transient),
    ("end-after-content", Transient),
    ("garbage-after-content", Transient),
    ("error-after-content", Transient),
    ("idle-after-content", Transient),
];

/// Starts it: `http://ADDRESS`, and an address where nothing listens.
pub(crate) async fn start() -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _: Option<()> = serve(stream).await;
            });
        }
    });
    (base, format!("http://{}", closed_address()))
}

async fn serve(mut stream: TcpStream) -> Option<()> {
    let (path, body) = read(&mut stream).await?;
    let fault = path.trim_start_matches('/').split('/').next()?.to_owned();
    let voice = Voice::of(&path);
    let streamed = body["stream"] == true || path.contains("stream");
    match fault.as_str() {
        "cut-before-head" => return None,
        "hang" => std::future::pending::<()>().await,
        "302" => {
            let head = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok()?;
        }
        "502-html" => {
            answer(&mut stream, 502, "content-type: text/html\r\n", "<html><h1>Bad gateway</h1></html>").await?;
        }
        "200-garbage" | "json-for-sse" => {
            let text = if fault == "200-garbage" { "<html>hello</html>".to_owned() } else { words::whole(voice) };
            let kind = if fault == "200-garbage" { words::content_type(voice, streamed) } else { "application/json" };
            answer(&mut stream, 200, &format!("content-type: {kind}\r\n"), &text).await?;
        }
        "200-error" => {
            let (_, body) = words::error(voice, "500", "it broke");
            answer(&mut stream, 200, "content-type: application/json\r\n", &body).await?;
        }
        status if status.starts_with(|c: char| c.is_ascii_digit()) => {
            let (head, body) = words::refusal(voice, status);
            answer(&mut stream, head.status, &head.lines, &body).await?;
        }
        cut => stream_fault(&mut stream, cut, voice, streamed).await?,
    }
    stream.shutdown().await.ok()
}

async fn read(stream: &mut TcpStream) -> Option<(String, Value)> {
    let mut bytes = Vec::new();
    let end = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?.to_ascii_lowercase();
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse().ok()?;
    while bytes.len() < end + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    let path = head.split(' ').nth(1)?.to_owned();
    Some((path, serde_json::from_slice(&bytes[end..end + length]).ok()?))
}

async fn answer(stream: &mut TcpStream, status: u16, headers: &str, body: &str) -> Option<()> {
    let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).await.ok()
}

/// For a whole answer the same: cut in the middle, ended too early, broken, silent.
async fn stream_fault(stream: &mut TcpStream, fault: &str, voice: Voice, streamed: bool) -> Option<()> {
    let kind = words::content_type(voice, streamed);
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let [before, content] = if streamed {
        words::beginning(voice)
    } else {
        let text = words::whole(voice);
        let (before, content) = text.split_at(20);
        [before.as_bytes().to_vec(), content.as_bytes()[..content.len() - 30].to_vec()]
    };
    if fault == "error-first" || fault == "error-after-content" {
        if fault == "error-after-content" {
            chunk(stream, &[before, content].concat()).await?;
        }
        chunk(stream, &words::error_inside(voice, streamed)).await?;
        return stream.write_all(b"0\r\n\r\n").await.ok();
    }
    chunk(stream, &before).await?;
    match fault {
        "cut-before-content" => return Some(()),
        "end-before-content" => return stream.write_all(b"0\r\n\r\n").await.ok(),
        _ => chunk(stream, &content).await?,
    }
    match fault {
        "end-after-content" => stream.write_all(b"0\r\n\r\n").await.ok(),
        "garbage-after-content" => {
            chunk(stream, b"data: {\"choices\":[{\"delta\n\n").await?;
            stream.write_all(b"0\r\n\r\n").await.ok()
        }
        "idle-after-content" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            None
        }
        _ => Some(()),
    }
}

/// One chunk of HTTP/1.1's chunked coding; of no bytes it would be the last one.
async fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> Option<()> {
    if bytes.is_empty() {
        return Some(());
    }
    let whole = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    stream.write_all(&whole).await.ok()
}
