//! A client's connection that is not waited for forever. Hyper bounds the head of a request, and only once it knows the protocol; nothing bounds a
//! client that does not read its answer: the upstream call behind it would stay open, too.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

/// The first bytes of a connection tell HTTP/2 from HTTP/1 (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a client is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the first bytes of a connection.
    pub opening: Duration,
    /// For room to write: it must take something of an answer within this time.
    pub stalled: Duration,
    /// For a request, on a connection of HTTP/2 that has none.
    pub idle: Duration,
}

/// A connection with bounds. Its errors end it, and with it the requests on it.
#[derive(Debug)]
pub struct Connection<T> {
    io: T,
    read: usize,
    /// Not yet another protocol than HTTP/2; and where it is told once it is that.
    may_be_http2: bool,
    is_http2: Arc<AtomicBool>,
    /// Held until the connection ends, also as a WebSocket.
    _place: Option<OwnedSemaphorePermit>,
    opening: Option<Pin<Box<Sleep>>>,
    patience: Patience,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<T> Connection<T> {
    /// A connection that has just been accepted. `is_http2` is set when it speaks that; `place` is given up with it.
    pub fn new(io: T, patience: Patience, is_http2: Arc<AtomicBool>, place: Option<OwnedSemaphorePermit>) -> Self {
        let opening = Some(Box::pin(sleep(patience.opening)));
        Self { io, read: 0, may_be_http2: true, is_http2, _place: place, opening, patience, stalled: None }
    }

    /// The first bytes, as they come in.
    fn opens(&mut self, bytes: &[u8]) {
        let expected = PREFACE.get(self.read..).unwrap_or_default();
        let compared = bytes.len().min(expected.len());
        self.may_be_http2 &= bytes.get(..compared) == expected.get(..compared);
        self.read += bytes.len();
        if self.read >= PREFACE.len() {
            self.opening = None;
            self.is_http2.store(self.may_be_http2, Ordering::Relaxed);
        }
    }

    /// What a write brought, or an error if none has succeeded for too long.
    fn bounded<R>(&mut self, written: Poll<io::Result<R>>, context: &mut Context<'_>) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.patience.stalled)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buf);
        let Some(opening) = &mut self.opening else { return read };
        if read.is_ready() {
            self.opens(buf.filled().get(before..).unwrap_or_default());
            return read;
        }
        match opening.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client says nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.bounded(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.bounded(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const PATIENCE: Patience = Patience {
        opening: Duration::from_millis(50),
        stalled: Duration::from_millis(50),
        idle: Duration::from_millis(50),
    };

    fn connection<T>(io: T) -> Connection<T> {
        Connection::new(io, PATIENCE, Arc::default(), None)
    }

    #[tokio::test]
    async fn http2_is_known_by_its_first_bytes_however_they_are_split() {
        for (said, expected) in [(&PREFACE[..], true), (&b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"[..], false)] {
            for split in [1, 7, said.len()] {
                let (mut client, server) = duplex(1024);
                let is_http2 = Arc::default();
                let mut server = Connection::new(server, PATIENCE, Arc::clone(&is_http2), None);
                for piece in said.chunks(split) {
                    client.write_all(piece).await.unwrap();
                    server.read_exact(&mut vec![0; piece.len()]).await.unwrap();
                }
                assert_eq!(is_http2.load(Ordering::Relaxed), expected);
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_is_left() {
        for said in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n"] {
            let (mut client, server) = duplex(1024);
            client.write_all(said).await.unwrap();
            let mut text = Vec::new();
            let error = connection(server).read_to_end(&mut text).await.unwrap_err();
            assert_eq!((error.kind(), text.as_slice()), (io::ErrorKind::TimedOut, said));
        }
    }

    #[tokio::test]
    async fn a_client_that_has_spoken_may_be_silent() {
        let (mut client, server) = duplex(1024);
        client.write_all(&[b'x'; PREFACE.len()]).await.unwrap();
        let (mut server, mut buffer) = (connection(server), [0; PREFACE.len()]);
        server.read_exact(&mut buffer).await.unwrap();
        let silent = tokio::time::timeout(3 * PATIENCE.opening, server.read(&mut buffer)).await;
        assert!(silent.is_err(), "{silent:?}");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_left_and_a_slow_one_is_not() {
        // Slow, and never as slow as that, on a busy machine either.
        const PATIENCE: Patience = Patience { stalled: Duration::from_secs(2), ..super::tests::PATIENCE };
        let (mut client, server) = duplex(16);
        let mut server = Connection::new(server, PATIENCE, Arc::default(), None);
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 16];
            for _ in 0..8 {
                tokio::time::sleep(PATIENCE.stalled / 6).await;
                client.read_exact(&mut buffer).await.unwrap();
            }
            client
        });
        server.write_all(&[b'x'; 8 * 16]).await.unwrap();
        let client = reader.await.unwrap();
        let error = server.write_all(&[b'x'; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }
}
