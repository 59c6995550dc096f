//! A streamed answer on its way to the client.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tollgate_upstream::{LiveStream, Step};
use tollgate_wire::gemini::ArrayForm;
use tollgate_wire::ir::Fault;

use crate::books::Books;
use crate::stepped::{self, Stepped, Steps};

/// How a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Server-sent events.
    Events,
    /// One JSON array: Gemini's clients may ask for it.
    Array,
}

impl Form {
    /// An answer whose body is all of a stream that was held back.
    pub fn whole(self, events: Bytes) -> Response {
        match self {
            Self::Events => self.head(Body::from(events)),
            Self::Array => {
                let (mut array, mut out) = (ArrayForm::default(), Vec::with_capacity(events.len()));
                array.push(&events, &mut out);
                array.finish(&mut out);
                self.head(Body::from(out))
            }
        }
    }

    fn head(self, body: Body) -> Response {
        let mut response = Response::new(body);
        let kind = match self {
            Self::Events => "text/event-stream; charset=utf-8",
            Self::Array => "application/json",
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

/// The answer. Its body ends with the stream's final event or with an error event, never with an error of the transport: Lambda would write
/// that into the body.
pub fn response(live: Box<LiveStream>, books: Books, request_id: &str, form: Form) -> Response {
    let array = (form == Form::Array).then(Box::default);
    let state = Box::new(Streaming { live, books: Some(books), request_id: request_id.to_owned(), array });
    form.head(stepped::body(state))
}

/// A stream that was held back.
#[derive(Debug)]
pub enum Collected {
    /// All of it.
    Complete(Bytes),
    /// There is more of it than may be held.
    TooLarge,
    /// It failed; the client has seen nothing of it.
    Failed(Fault),
}

/// Holds a stream back until it is complete. The books know what it used, also when the client goes away meanwhile.
pub async fn collect(live: Box<LiveStream>, books: &mut Books, request_id: &str, limit: usize) -> Collected {
    let mut held = Held { live, books };
    let mut bytes = Vec::new();
    loop {
        let last = match held.live.step(request_id).await {
            Step::Bytes(more) => {
                bytes.extend_from_slice(&more);
                false
            }
            Step::Last(more) => {
                bytes.extend_from_slice(&more);
                true
            }
            Step::Failed(_, fault) => return Collected::Failed(fault),
        };
        if bytes.len() > limit {
            return Collected::TooLarge;
        }
        if last {
            return Collected::Complete(bytes.into());
        }
    }
}

struct Held<'a> {
    live: Box<LiveStream>,
    books: &'a mut Books,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.books.used(self.live.state());
    }
}

/// Dropped in the middle, it stops the upstream call and closes the books with what was used so far.
struct Streaming {
    live: Box<LiveStream>,
    books: Option<Books>,
    request_id: String,
    /// The form that the client wants, if that is not events.
    array: Option<Box<ArrayForm>>,
}

impl Streaming {
    fn formed(&mut self, events: Bytes, is_last: bool) -> Bytes {
        let Some(array) = &mut self.array else { return events };
        let mut out = Vec::with_capacity(events.len());
        array.push(&events, &mut out);
        if is_last {
            array.finish(&mut out);
        }
        out.into()
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if let Some(books) = &mut self.books {
            books.used(self.live.state());
        }
    }
}

impl Steps for Streaming {
    fn step(self: Box<Self>) -> BoxFuture<'static, Stepped> {
        Box::pin(step(self))
    }
}

async fn step(mut state: Box<Streaming>) -> Stepped {
    loop {
        match state.live.step(&state.request_id).await {
            Step::Bytes(bytes) => {
                // Settled before the last byte goes out: afterwards Lambda may freeze us, and the client be gone.
                let mut bytes = bytes;
                if state.live.state().done {
                    bytes = close(&mut state, bytes, None).await;
                }
                let bytes = state.formed(bytes, false);
                if !bytes.is_empty() {
                    return (Ok(bytes), Some(state));
                }
            }
            Step::Last(bytes) => {
                let bytes = close(&mut state, bytes, None).await;
                return (Ok(state.formed(bytes, true)), None);
            }
            Step::Failed(bytes, fault) => {
                let bytes = close(&mut state, bytes, Some(&fault)).await;
                return (Ok(state.formed(bytes, true)), None);
            }
        }
    }
}

/// `bytes`: the last ones, or almost.
async fn close(state: &mut Streaming, bytes: Bytes, fault: Option<&Fault>) -> Bytes {
    let Some(mut books) = state.books.take() else { return bytes };
    books.used(state.live.state());
    let bytes = match fault {
        None => books.kept(bytes).await,
        Some(fault) => {
            books.broken(fault);
            bytes
        }
    };
    books.close(200).await;
    bytes
}
