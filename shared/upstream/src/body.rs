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
        let mut whole = BytesMut::with_capacity(2 * (first.len() + second.len()));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        loop {
            if whole.len() > limit {
                return Err(TransportError::TooLarge(limit));
            }
            match self.chunk_within(idle, deadline).await? {
                Some(chunk) => whole.extend_from_slice(&chunk),
                None => return Ok(whole.freeze()),
            }
        }
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
