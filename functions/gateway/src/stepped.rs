//! A body that is made step by step.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::Frame;

/// What makes a body. Dropped in the middle, its client is gone.
pub(crate) trait Steps: Send {
    /// Makes the next piece.
    fn step(self: Box<Self>) -> BoxFuture<'static, Stepped>;
}

/// A piece, and what makes the next one; `None`: it was the last. An empty last piece is none.
pub(crate) type Stepped = (Result<Bytes, std::io::Error>, Option<Box<dyn Steps>>);

/// A body of these pieces.
pub(crate) fn body(first: Box<dyn Steps>) -> Body {
    Body::new(SteppedBody { next: Some(first.step()) })
}

struct SteppedBody {
    next: Option<BoxFuture<'static, Stepped>>,
}

impl http_body::Body for SteppedBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let Poll::Ready((piece, rest)) = next.as_mut().poll(context) else { return Poll::Pending };
        self.next = rest.map(|rest| rest.step());
        match piece {
            Ok(bytes) if bytes.is_empty() && self.next.is_none() => Poll::Ready(None),
            piece => Poll::Ready(Some(piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none()
    }
}
