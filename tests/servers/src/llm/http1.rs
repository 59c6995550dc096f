//! As much of HTTP/1.1 as the fake needs: requests with a length or in chunks, answers byte by byte.

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const LARGEST: usize = 64 << 20;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The next request of a connection; nothing when the client closed it.
pub(crate) async fn read(
    reader: &mut OwnedReadHalf,
    buffer: &mut Vec<u8>,
    writer: &mut OwnedWriteHalf,
) -> std::io::Result<Option<Request>> {
    let end = loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break end;
        }
        if more(reader, buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value.trim())) {
            headers.append(name, value);
        }
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("expect").is_some() {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let body = if text("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        chunked(reader, buffer).await?
    } else {
        let length = text("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        exactly(reader, buffer, length).await?
    };
    Ok(Some(Request { method, path, headers, body }))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

async fn more(reader: &mut OwnedReadHalf, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    if buffer.len() > LARGEST {
        return Err(std::io::Error::other("request too large"));
    }
    buffer.reserve(64 << 10);
    reader.read_buf(buffer).await
}

async fn exactly(reader: &mut OwnedReadHalf, buffer: &mut Vec<u8>, length: usize) -> std::io::Result<Vec<u8>> {
    while buffer.len() < length {
        if more(reader, buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.drain(..length).collect())
}

async fn chunked(reader: &mut OwnedReadHalf, buffer: &mut Vec<u8>) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = find(buffer, b"\r\n") {
                break end;
            }
            if more(reader, buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        };
        let line = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).into_owned();
        buffer.drain(..end + 2);
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(|_| std::io::Error::other("chunk size"))?;
        body.extend(exactly(reader, buffer, size).await?);
        exactly(reader, buffer, 2).await?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// A status line and headers.
pub(crate) fn head(status: u16, content_type: &str, extra: &[(&str, &str)]) -> String {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Odd");
    let mut head = format!("HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\n");
    for (name, value) in extra {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}

/// A whole answer with its length.
pub(crate) fn whole(status: u16, content_type: &str, extra: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = head(status, content_type, extra).into_bytes();
    out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}

/// One chunk of a chunked body.
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}
