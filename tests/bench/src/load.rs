//! The load: connections that are kept alive, one request at a time on each, the next as soon as the answer is there. It reads as little of an
//! answer as it can (status, length, end), since it shares the machine's cores with what it measures.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use memchr::memmem;
use tokio::net::TcpStream;

use crate::Result;
use crate::fixtures::Api;

/// One run.
pub(crate) struct Measured {
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// A request as it goes over the wire.
pub(crate) fn wire(api: Api, body: &[u8], token: &str) -> Bytes {
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: bench.test\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\naccept: */*\r\n\
         user-agent: bench\r\ncontent-length: {}\r\n\r\n",
        api.path(),
        body.len()
    );
    [head.as_bytes(), body].concat().into()
}

/// Sends `request` on so many connections for so long.
pub(crate) async fn run(to: SocketAddr, request: &Bytes, connections: usize, lasting: Duration) -> Result<Measured> {
    let begun = Instant::now();
    let until = begun + lasting;
    let tasks: Vec<_> = (0..connections).map(|_| tokio::spawn(connection(to, request.clone(), until))).collect();
    let mut latencies_ns: Vec<u64> = Vec::new();
    for task in tasks {
        latencies_ns.extend(task.await??);
    }
    let elapsed = begun.elapsed();
    latencies_ns.sort_unstable();
    let at = |share: f64| {
        let index = (latencies_ns.len().saturating_sub(1) as f64 * share).round() as usize;
        latencies_ns.get(index).map_or(0.0, |ns| *ns as f64 / 1e3)
    };
    Ok(Measured {
        requests: latencies_ns.len(),
        per_second: latencies_ns.len() as f64 / elapsed.as_secs_f64(),
        p50_us: at(0.50),
        p99_us: at(0.99),
    })
}

async fn connection(to: SocketAddr, request: Bytes, until: Instant) -> Result<Vec<u64>> {
    let socket = TcpStream::connect(to).await?;
    socket.set_nodelay(true)?;
    let mut latencies_ns = Vec::with_capacity(4096);
    let mut buffer = vec![0; 64 * 1024];
    while Instant::now() < until {
        let begun = Instant::now();
        write_all(&socket, &request).await?;
        answer(&socket, &mut buffer).await?;
        latencies_ns.push(u64::try_from(begun.elapsed().as_nanos())?);
    }
    Ok(latencies_ns)
}

async fn write_all(socket: &TcpStream, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn read(socket: &TcpStream, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match socket.try_read(buffer) {
            Ok(0) => return Err("the connection was closed in the middle of an answer".into()),
            Ok(read) => return Ok(read),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => socket.readable().await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// How an answer ends.
enum End {
    /// After so many more bytes.
    Bytes(usize),
    /// With an empty chunk.
    EmptyChunk,
}

/// The end of a chunked answer. Our own answers have no `\r` in their data.
const EMPTY_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

async fn answer(socket: &TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    let (end, head) = loop {
        let free = buffer.get_mut(filled..).filter(|free| !free.is_empty()).ok_or("an answer's head is over 64 KiB")?;
        filled += read(socket, free).await?;
        let so_far = buffer.get(..filled).unwrap_or_default();
        if let Some(head) = memmem::find(so_far, b"\r\n\r\n") {
            break (how_it_ends(so_far.get(..head).unwrap_or_default())?, head + 4);
        }
    };
    match end {
        End::Bytes(length) => {
            let mut left = length.checked_sub(filled - head).ok_or("an answer is longer than it says")?;
            while left > 0 {
                left = left.checked_sub(read(socket, buffer).await?).ok_or("an answer is longer than it says")?;
            }
        }
        End::EmptyChunk => {
            // The head ends with a `\r\n`, too: an empty answer is found as well.
            let mut tail = buffer.get(head - 2..filled).unwrap_or_default().to_vec();
            while !tail.ends_with(EMPTY_CHUNK) {
                let read = read(socket, buffer).await?;
                tail.drain(..tail.len().saturating_sub(EMPTY_CHUNK.len()));
                tail.extend_from_slice(buffer.get(read.saturating_sub(EMPTY_CHUNK.len())..read).unwrap_or_default());
            }
        }
    }
    Ok(())
}

fn how_it_ends(head: &[u8]) -> Result<End> {
    if !head.starts_with(b"HTTP/1.1 200 ") {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        return Err(format!("an answer was {}", String::from_utf8_lossy(line)).into());
    }
    if memmem::find(head, b"transfer-encoding: chunked").is_some() {
        return Ok(End::EmptyChunk);
    }
    const LENGTH: &[u8] = b"content-length: ";
    let at = memmem::find(head, LENGTH).ok_or("an answer has no length")? + LENGTH.len();
    let digits = head.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit());
    Ok(End::Bytes(digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'))))
}
