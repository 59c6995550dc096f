//! What is forwarded as it is: the route types `passthrough` and `detect`.
//!
//! 1. the body is read, and looked at for the model that it names: JSON or a form
//! 2. route: alias -> chain; a request without a model takes the default chain, one for a response that a provider keeps asks them all
//! 3. reserve: `detect` reserves what a conversation would, and takes nothing of which it cannot tell the model; `passthrough` one request, since nothing of its tokens
//!    will be known
//! 4. forward: provider after provider until one answers; the gateway's credentials replace the client's
//! 5. relay: status, headers and body as they come; `detect` looks for usage on the way
//! 6. close the books
//!
//! An answer that breaks off: events get an error event; of other answers the connection breaks, as the provider's did. Lambda would take a broken body for
//! a whole one, so there such an answer is read to its end first.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::time::Instant;
use tollgate_auth::Identity;
use tollgate_limits::{Limiter, Prompt, What};
use tollgate_upstream::{Forward, Forwarded, ModelPlace, forward, forwardable, model_in_query};
use tollgate_wire::codec::{self, Dialect, Seed};
use tollgate_wire::exchange::State;
use tollgate_wire::ir::{Fault, FaultKind};
use tollgate_wire::opaque::{self, Detector, Named};

use crate::app::App;
use crate::books::Books;
use crate::meter::Watched;
use crate::pipeline::{self, HostDeadline, refuse, with};
use crate::stepped::{self, Stepped, Steps};
use crate::{accept, meter};

/// More of an answer is not held on Lambda; its front doors carry less.
const MAX_HELD_BYTES: usize = 64 * 1024 * 1024;

/// A request that is to be forwarded.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its head.
    pub parts: &'a Parts,
    /// In which dialect faults are answered, and credentials given.
    pub client: Dialect,
    /// Its id.
    pub request_id: &'a str,
    /// Its usage is looked for.
    pub detect: bool,
}

/// Answers it.
pub async fn respond(app: &App, asked: Asked<'_>, body: Body, mut books: Books, identity: &Arc<Identity>) -> Response {
    let deadline = pipeline::deadline(app, asked.parts);
    let path = asked.parts.uri.path();
    let fault = |books, fault: Fault| async move { refuse(books, &fault, asked.client, asked.request_id).await };
    if let Err(refusal) = may_leave(app, asked) {
        accept::drain_refused(asked.parts, body).await;
        return fault(books, refusal).await;
    }
    let read = accept::body(asked.parts, body, app.config.request.max_body_bytes(), deadline).await;
    let body = match read {
        Ok(body) => body,
        Err(refusal) => return fault(books, refusal).await,
    };
    if let Err(refusal) = is_clear(app, asked, &body) {
        return fault(books, refusal).await;
    }
    let named = named(asked.parts, &body);
    let model = named.model.as_str();
    if !model.is_empty() {
        books.asked_for(model);
    }
    let model = app.config.alias(model).unwrap_or(model);
    // A response that a provider keeps may be any provider's.
    let kept = asked.client == Dialect::Responses;
    let chain = if kept { Some(app.chains.everybody()) } else { app.chains.of(model) };
    let Some(chain) = chain else { return fault(books, pipeline::unknown_model(model)).await };
    let standings = match meter::reserved(app, reservation(app, asked, &body, model, identity, deadline)).await {
        Ok(None) => Vec::new(),
        Ok(Some(mut meter)) => {
            let standings = std::mem::take(&mut meter.standings);
            books.admitted(meter);
            standings
        }
        Err(denied) => return pipeline::limited(books, denied, asked.client, asked.request_id).await,
    };
    let request = Forward {
        query: named.query.as_deref(),
        headers: forwardable(&asked.parts.headers),
        body,
        model,
        model_in: named.place,
        max_attempts: if kept { usize::MAX } else { app.config.request.max_attempts() as usize },
        ..Forward::new(asked.parts.method.clone(), asked.client, api_path(path), deadline)
    };
    let answered = forward(&request, chain, books.underway()).await;
    let outcome = books.answered();
    let mut response = match answered {
        Ok(answer) => relayed(answer, asked, books, deadline).await,
        Err(refusal) => fault(books, refusal).await,
    };
    response.headers_mut().insert("x-tollgate-attempts", HeaderValue::from(outcome.attempts.len()));
    meter::headers(&mut response, asked.client, &standings, SystemTime::now());
    response
}

/// What a Realtime client secret or call opens is between client and provider alone. Under limits that is for the operator to say. To ask for a response
/// that a provider keeps costs nothing.
fn may_leave(app: &App, asked: Asked<'_>) -> Result<(), Fault> {
    let path = asked.parts.uri.path();
    if app.limiter.is_none() || asked.client == Dialect::Responses || app.config.routes_name(path) {
        return Ok(());
    }
    let message = format!(
        "`{path}` opens a session past this gateway and its limits, so it is off where limits are on. Use the WebSocket at /v1/realtime, or ask whoever runs \
         the gateway to name the path in ai.routes"
    );
    Err(Fault::new(FaultKind::Permission, message).with_code("route_not_allowed"))
}

/// What is charged by its model has to say which it is, in a way that everybody reads alike.
fn is_clear(app: &App, asked: Asked<'_>, body: &[u8]) -> Result<(), Fault> {
    if !asked.detect || app.limiter.is_none() {
        return Ok(());
    }
    let headers = &asked.parts.headers;
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Fault::new(FaultKind::UnsupportedMedia, "send the body uncompressed: limits apply to it"));
    }
    if opaque::is_clear(text(headers, &CONTENT_TYPE), body) {
        return Ok(());
    }
    let message = "limits apply to this request, and its body does not say clearly which model it is for: it is no whole JSON object or form, or names one twice";
    Err(Fault::new(FaultKind::InvalidRequest, message).with_param("model").with_code("unclear_model"))
}

fn reservation(
    app: &App,
    asked: Asked<'_>,
    body: &[u8],
    model: &str,
    identity: &Arc<Identity>,
    deadline: Instant,
) -> meter::Request {
    let is_form = text(&asked.parts.headers, &CONTENT_TYPE).is_some_and(|kind| kind.starts_with("multipart/"));
    let estimate = |limiter: &Limiter| if is_form { Prompt::of_form(body) } else { limiter.prompt(body) };
    let prompt = app.limiter.as_deref().filter(|_| asked.detect).map(estimate);
    let makes = asked.detect && asked.parts.method == Method::POST && !model.is_empty();
    let caps = opaque::Caps::of(if asked.detect { body } else { b"" });
    meter::Request {
        prompt: prompt.unwrap_or(Prompt::counted(0)),
        max_output_tokens: if makes { caps.output_tokens } else { Some(0) },
        choices: caps.choices,
        service: caps.tier,
        watched: if makes { Watched::Unseen } else { Watched::Streamed },
        // A request that names no model costs nothing that could be priced before it is answered.
        what: if asked.detect && !model.is_empty() { What::All } else { What::Request },
        ..meter::Request::new(identity, model, deadline)
    }
}

/// The model that a request names, and where.
struct Asks {
    /// Empty: none.
    model: String,
    place: ModelPlace,
    /// Without the model.
    query: Option<String>,
}

/// In the body; else in the query, as a Realtime call with nothing but SDP for a body has it.
fn named(parts: &Parts, body: &[u8]) -> Asks {
    let query = parts.uri.query();
    if let Some(Named { model, span, is_form }) = opaque::model_of(text(&parts.headers, &CONTENT_TYPE), body) {
        let place = if is_form { ModelPlace::Form(span) } else { ModelPlace::Json(span) };
        return Asks { model, place, query: query.map(str::to_owned) };
    }
    match query.map(model_in_query) {
        Some((Some(model), rest)) => Asks { model, place: ModelPlace::Query, query: Some(rest) },
        _ => Asks { model: String::new(), place: ModelPlace::Nowhere, query: query.map(str::to_owned) },
    }
}

/// The path from the API's version on; a front door may have put something before it.
fn api_path(path: &str) -> &str {
    path.find("/v1/").and_then(|at| path.get(at..)).unwrap_or(path)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The provider's answer, on its way.
pub(crate) async fn relayed(mut answer: Forwarded, asked: Asked<'_>, books: Books, deadline: Instant) -> Response {
    let content_type = text(&answer.headers, &CONTENT_TYPE).map(str::to_owned);
    let events = content_type.as_deref().is_some_and(|kind| kind.starts_with("text/event-stream"));
    let (status, headers) = (answer.status, std::mem::take(&mut answer.headers));
    let provider = HeaderValue::from_str(answer.provider.name());
    let flow = Flow {
        answer,
        books: Some(books),
        detector: asked.detect.then(|| Detector::new(content_type.as_deref())),
        makes: asked.detect && asked.parts.method == Method::POST && status.is_success(),
        events: events.then_some(asked.client),
        request_id: asked.request_id.to_owned(),
        deadline,
    };
    let mut response = if asked.parts.extensions.get::<HostDeadline>().is_some() && !events {
        held(flow, asked).await
    } else {
        Response::new(stepped::body(Box::new(flow)))
    };
    if response.status().is_success() {
        *response.status_mut() = status;
        response.headers_mut().extend(headers);
    }
    if let Ok(provider) = provider {
        response.headers_mut().insert("x-tollgate-provider", provider);
    }
    response
}

/// Reads an answer to its end, for a host that cannot tell a broken one from a whole one.
async fn held(mut flow: Flow, asked: Asked<'_>) -> Response {
    let mut whole = Vec::new();
    loop {
        let fault = match flow.next().await {
            Ok(Some(bytes)) if whole.len() + bytes.len() <= MAX_HELD_BYTES => {
                whole.extend_from_slice(&bytes);
                continue;
            }
            Ok(None) => match flow.books() {
                Some(books) => return with(books, Response::new(Body::from(whole))).await,
                None => return Response::new(Body::from(whole)),
            },
            Ok(Some(_)) => Fault::new(FaultKind::TooLarge, format!("the answer has more than {MAX_HELD_BYTES} bytes"))
                .with_code("response_too_large"),
            Err(fault) => fault,
        };
        return match flow.books() {
            Some(books) => refuse(books, &fault, asked.client, asked.request_id).await,
            None => crate::error::response(&fault, asked.client, asked.request_id),
        };
    }
}

/// An answer that is passed on as it comes. Dropped in the middle, it stops the upstream call and closes the books.
struct Flow {
    answer: Forwarded,
    books: Option<Books>,
    detector: Option<Detector>,
    /// It was made for this request: one that does not say what it used has used something.
    makes: bool,
    /// It consists of events: a fault becomes one of them, in this dialect.
    events: Option<Dialect>,
    request_id: String,
    deadline: Instant,
}

impl Flow {
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let bytes = self.answer.chunk(self.deadline).await?;
        if let (Some(detector), Some(bytes)) = (&mut self.detector, &bytes) {
            detector.push(bytes);
        }
        Ok(bytes)
    }

    /// The books, with what was found. Once.
    fn books(&mut self) -> Option<Books> {
        let mut books = self.books.take()?;
        let (usage, model) = self.detector.take().map(Detector::finish).unwrap_or_default();
        let state = State { usage, model, content: true, done: true, ..State::default() };
        match self.makes && !usage.is_reported() {
            true => books.used(&state),
            false => books.used_as_said(&state),
        }
        Some(books)
    }

    async fn close(&mut self, fault: Option<&Fault>) {
        let status = self.answer.status.as_u16();
        if let Some(mut books) = self.books() {
            if let Some(fault) = fault {
                books.broken(fault);
            }
            books.close(status).await;
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        drop(self.books());
    }
}

impl Steps for Flow {
    fn step(self: Box<Self>) -> BoxFuture<'static, Stepped> {
        Box::pin(step(self))
    }
}

async fn step(mut flow: Box<Flow>) -> Stepped {
    match flow.next().await {
        Ok(Some(bytes)) => (Ok(bytes), Some(flow)),
        Ok(None) => {
            flow.close(None).await;
            (Ok(Bytes::new()), None)
        }
        Err(fault) => {
            flow.close(Some(&fault)).await;
            let Some(client) = flow.events else { return (Err(std::io::Error::other(fault.message)), None) };
            let seed = Seed { created_unix_s: 0, request_id: flow.request_id.clone() };
            let mut event = Vec::new();
            codec::stream_writer(client, &seed, false, &Arc::default()).fault(&fault, &flow.request_id, &mut event);
            (Ok(event.into()), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_from_the_apis_version_on() {
        assert_eq!(api_path("/prod/v1/audio/speech"), "/v1/audio/speech");
        assert_eq!(api_path("/v1/files"), "/v1/files");
        assert_eq!(api_path("/elsewhere"), "/elsewhere");
    }
}
