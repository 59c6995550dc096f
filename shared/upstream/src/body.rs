//! An upstream's answer, whichever client brought it.

use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use tollgate_wire::error::WireError;
use tollgate_wire::invoke::InvokeFrames;

use crate::error::TransportError;
use crate::within::within;

/// The largest whole answer that is held in memory.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The largest error body that is read.
pub(crate) const MAX_ERROR_BYTES: usize = 256 * 1024;

/// The head of an answer, and its body to come.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: http::StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Body,
}

/// A body to come.
#[derive(Debug)]
pub(crate) enum Body {
    /// From an HTTP provider.
    Http(Box<reqwest::Response>),
    /// From the AWS SDK, as it is on the wire.
    Sdk(ByteStream),
    /// From InvokeModelWithResponseStream: frames, unwrapped to server-sent events.
    Invoke(ByteStream, Box<InvokeFrames>),
    /// Already here.
    Whole(Option<Bytes>),
}

impl Body {
    pub(crate) fn sdk(body: SdkBody) -> Self {
        Self::Sdk(ByteStream::new(body))
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        match self {
            Self::Http(response) => response.chunk().await.map_err(|e| TransportError::Broken(source_text(&e))),
            Self::Sdk(stream) => next_of(stream).await,
            Self::Invoke(stream, frames) => match next_of(stream).await? {
                Some(bytes) => {
                    let mut events = Vec::new();
                    let unwrapped = frames.push(&bytes, &mut events);
                    unwrapped.map_err(|e: WireError| TransportError::Broken(e.to_string()))?;
                    Ok(Some(events.into()))
                }
                None => Ok(None),
            },
            Self::Whole(bytes) => Ok(bytes.take()),
        }
    }

    /// The next bytes, within a silence bound and a deadline.
    pub(crate) async fn chunk_within(
        &mut self,
        idle: Duration,
        deadline: Instant,
    ) -> Result<Option<Bytes>, TransportError> {
        let until = (Instant::now() + idle).min(deadline);
        match within(until, self.chunk()).await {
            Ok(chunk) => chunk,
            Err(_) if until == deadline => Err(TransportError::Deadline),
            Err(_) => Err(TransportError::IdleTimeout(idle)),
        }
    }

    /// All of it.
    pub(crate) async fn read(
        &mut self,
        limit: usize,
        idle: Duration,
        deadline: Instant,
    ) -> Result<Bytes, TransportError> {
        let Some(first) = self.chunk_within(idle, deadline).await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk_within(idle, deadline).await? else {
            return if first.len() > limit { Err(TransportError::TooLarge(limit)) } else { Ok(first) };
        };
        let mut read = Pieces::new(first.len() + second.len());
        read.push(&first);
        read.push(&second);
        loop {
            if read.len() > limit {
                return Err(TransportError::TooLarge(limit));
            }
            match self.chunk_within(idle, deadline).await? {
                Some(chunk) => read.push(&chunk),
                None => return Ok(read.join()),
            }
        }
    }
}

/// What of a body is here. A buffer that grows to 64 MiB by doubling leaves as much again behind it, in blocks that the allocator keeps for a while: what is
/// long is in pieces of one size, until all of it is here.
struct Pieces {
    full: Vec<BytesMut>,
    last: BytesMut,
}

impl Pieces {
    const BYTES: usize = 1024 * 1024;

    /// For a body that begins with so many bytes.
    fn new(bytes: usize) -> Self {
        Self { full: Vec::new(), last: BytesMut::with_capacity((2 * bytes).min(Self::BYTES)) }
    }

    fn len(&self) -> usize {
        self.full.len() * Self::BYTES + self.last.len()
    }

    fn push(&mut self, mut bytes: &[u8]) {
        while let Some((fits, rest)) = bytes.split_at_checked(Self::BYTES - self.last.len()) {
            self.last.extend_from_slice(fits);
            self.full.push(std::mem::replace(&mut self.last, BytesMut::with_capacity(Self::BYTES)));
            bytes = rest;
        }
        self.last.extend_from_slice(bytes);
    }

    fn join(self) -> Bytes {
        if self.full.is_empty() {
            return self.last.freeze();
        }
        let mut whole = BytesMut::with_capacity(self.len());
        for piece in self.full {
            whole.extend_from_slice(&piece);
        }
        whole.extend_from_slice(&self.last);
        whole.freeze()
    }
}

async fn next_of(stream: &mut ByteStream) -> Result<Option<Bytes>, TransportError> {
    stream.next().await.transpose().map_err(|e| TransportError::Broken(source_text(&e)))
}

/// An error with its causes, in one line. Never with a URL's credentials: ours have none.
pub(crate) fn source_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_body_are_the_body() {
        let mib = Pieces::BYTES;
        for sizes in [&[0, 0][..], &[1, 2, 3], &[mib, 1], &[mib - 1, 1, 1], &[1, 3 * mib, mib - 1], &[7, 2 * mib, 0, 5]]
        {
            let mut whole = Vec::new();
            let mut pieces = Pieces::new(sizes.iter().take(2).sum());
            for (number, size) in (0u8..).zip(sizes) {
                let piece = vec![number; *size];
                pieces.push(&piece);
                whole.extend_from_slice(&piece);
                assert_eq!(pieces.len(), whole.len(), "{sizes:?}");
            }
            assert!(pieces.join() == whole, "{sizes:?}");
        }
    }
}
