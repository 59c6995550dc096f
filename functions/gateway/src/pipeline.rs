//! The life of a request, from top to bottom.
//!
//! 1. accept: route type, method, headers (`accept`)
//! 2. authenticate: token -> team (`tollgate_auth`)
//! 3. decode: model, streamed? (`tollgate_wire`); what a request of the Responses API goes on with is put into it first (`kept`)
//! 4. route: alias -> chain (`tollgate_config`, `tollgate_upstream`)
//! 5. guard: webhooks see the request (`guard`)
//! 6. reserve: request, tokens and money at once (`meter`)
//! 7. attempt: provider after provider until one answers (`tollgate_upstream::dispatch`)
//! 8. relay: the answer in the client's dialect (`relay`), past the guards that want to see it, and kept if that is the gateway's to do (`kept`)
//! 9. close the books: settlement, access log (`books`)
//!
//! What is no conversation (embeddings, rerank, token counts) takes the same way with fewer steps: `unary`.
//!
//! Whatever fails becomes a fault, and a fault becomes an answer in the client's dialect (`error`). A client that goes away drops the future: the
//! upstream call stops with it, and the books close with what was used up to there.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use tokio::time::Instant;
use tollgate_auth::Identity;
use tollgate_upstream::{Answer, Attempt, Job, LiveStream, Outcome, Work, dispatch_into};
use tollgate_wire::amend::Amendments;
use tollgate_wire::codec::{Dialect, Seed};
use tollgate_wire::error::WireError;
use tollgate_wire::exchange::Inbound;
use tollgate_wire::ir::{Dropped, Fault, FaultKind};
use tollgate_wire::messages::no_threads;

use crate::accept::{self, Generate, Route};
use crate::app::{App, unix_s};
use crate::books::Books;
use crate::guard::{self, Facts, Stop};
use crate::kept::{self, Continued, Keeping};
use crate::meter::{self, Denied};
use crate::passthrough::{self, Asked};
use crate::relay::{Collected, Form};
use crate::{cors, error, models, realtime, relay, unary};

const X_ATTEMPTS: HeaderName = HeaderName::from_static("x-tollgate-attempts");
const X_PROVIDER: HeaderName = HeaderName::from_static("x-tollgate-provider");
const X_DROPPED: HeaderName = HeaderName::from_static("x-tollgate-dropped");
const X_STRICT: HeaderName = HeaderName::from_static("x-tollgate-strict");
/// Where Anthropic's SDKs look for the request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// When the host wants this request to be over: Lambda's own deadline. In the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct HostDeadline(pub Instant);

/// The dialect of an answer, for a host that has to replace it. In the answer's extensions.
#[derive(Debug, Clone, Copy)]
pub struct ClientDialect(pub Dialect);

/// Everything but the health check.
pub async fn entry(State(app): State<App>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let request_id = accept::request_id(&parts.headers);
    let path = parts.uri.path();
    let route = Route::of(&app.config, path);
    let client = route.dialect(&parts.headers);
    let page = cors::origin(&app.config.cors, &parts);
    let mut response = match page.and_then(|_| cors::preflight(&parts)) {
        Some(response) => response,
        None => {
            // Pinned here: it is large, and would be copied into what catches its panics.
            let answer = pin!(respond(&app, &parts, body, route, client, &request_id));
            // A bug costs one request, not the connection and what else runs on it.
            let answer = AssertUnwindSafe(answer).catch_unwind().await;
            answer.unwrap_or_else(|_| internal_error(client, &request_id))
        }
    };
    finish(&mut response, client, &request_id);
    if let Some(origin) = page {
        cors::open(&mut response, origin);
    }
    response
}

async fn respond(
    app: &App,
    parts: &Parts,
    body: Body,
    route: Route<'_>,
    client: Dialect,
    request_id: &str,
) -> Response {
    let path = parts.uri.path();
    let mut books = Books::open(&app.recorder, request_id, route.name(), &parts.method, path);
    books.traced(&parts.headers);
    match admit(app, parts, route, client, request_id, &mut books).await {
        Err(refusal) => {
            accept::drain_refused(parts, body).await;
            books.close(refusal.status().as_u16()).await;
            *refusal
        }
        Ok(identity) => match route {
            Route::Models => with(books, models::list(app, client).await).await,
            Route::Model(id) => match models::one(app, client, id).await {
                Ok(response) => with(books, response).await,
                Err(fault) => refuse(books, &fault, client, request_id).await,
            },
            Route::Conversation(_) => converse(app, parts, body, client, request_id, books, &identity).await,
            // What the gateway keeps has passed the guards.
            Route::Kept(_) if kept::is_ours(app, path) => {
                accept::drain_refused(parts, body).await;
                // In a box, as below.
                Box::pin(kept::respond(app, parts, request_id, books, &identity)).await
            }
            Route::Kept(_) if app.guards.checks_answers() => {
                accept::drain_refused(parts, body).await;
                refuse(books, &guard::kept(), client, request_id).await
            }
            _ if app.guards.bar(route.unguarded()) => {
                accept::drain_refused(parts, body).await;
                refuse(books, &guard::barred(route.name()), client, request_id).await
            }
            Route::Kept(_) => {
                let asked = Asked { parts, client, request_id, detect: false };
                passthrough::respond(app, asked, body, books, &identity).await
            }
            Route::Forwarded { detect } => {
                let asked = Asked { parts, client, request_id, detect };
                passthrough::respond(app, asked, body, books, &identity).await
            }
            Route::Realtime => realtime::respond(app, parts, client, request_id, books, &identity).await,
            Route::Embeddings | Route::Rerank(_) | Route::CountTokens(_) => {
                let asked = unary::Asked { app, parts, route, client, request_id, identity: &identity };
                // In a box: conversations should not have to carry the room for it.
                Box::pin(unary::serve(&asked, body, books)).await
            }
            Route::Unknown | Route::Health => {
                accept::drain_refused(parts, body).await;
                refuse(books, &not_served(path), client, request_id).await
            }
        },
    }
}

/// After a panic.
fn internal_error(client: Dialect, request_id: &str) -> Response {
    let message = format!("the gateway failed; its log knows this request as {request_id}");
    let fault = Fault::new(FaultKind::Api, message).with_code("internal_error");
    let mut response = error::response(&fault, client, request_id);
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Method, token and headers.
async fn admit(
    app: &App,
    parts: &Parts,
    route: Route<'_>,
    client: Dialect,
    request_id: &str,
    books: &mut Books,
) -> Result<Arc<Identity>, Box<Response>> {
    if let Err(allowed) = route.check_method(&parts.method) {
        books.refused("method_not_allowed");
        return Err(Box::new(error::method(allowed, client, request_id)));
    }
    let identity = async { app.auth.authenticate(accept::token(parts)?, SystemTime::now()).await };
    let identity = match identity.await {
        Ok(identity) => identity,
        Err(refusal) => {
            books.refused(refusal.code());
            return Err(Box::new(error::auth(&refusal, client, request_id)));
        }
    };
    books.identity(&identity);
    let forwarded = matches!(route, Route::Forwarded { .. } | Route::Kept(_));
    match if forwarded { Ok(()) } else { accept::check_headers(parts) } {
        Ok(()) => Ok(identity),
        Err(fault) => {
            books.failed(&fault);
            Err(Box::new(error::response(&fault, client, request_id)))
        }
    }
}

/// One conversation: decode, route, guard, reserve, attempt, relay.
async fn converse(
    app: &App,
    parts: &Parts,
    body: Body,
    client: Dialect,
    request_id: &str,
    mut books: Books,
    identity: &Arc<Identity>,
) -> Response {
    let deadline = deadline(app, parts);
    let waiting = std::time::Instant::now();
    let body = accept::body(parts, body, app.config.request.max_body_bytes(), deadline).await;
    books.received(waiting);
    let (body, continued) = resolved(app, client, identity, body).await;
    let inbound = body.and_then(|body| inbound(app, parts, client, body));
    let (inbound, form) = match inbound {
        Ok(inbound) => inbound,
        Err(fault) => return refuse(books, &fault, client, request_id).await,
    };
    let asked = inbound.envelope().model.as_str();
    books.asked(inbound.envelope());
    let model = app.config.alias(asked).unwrap_or(asked);
    let Some(chain) = app.chains.of(model) else {
        return refuse(books, &unknown_model(asked), client, request_id).await;
    };
    if inbound.envelope().background.is_some() && app.guards.checks_answers() {
        return refuse(books, &guard::in_background(), client, request_id).await;
    }
    let facts = Facts {
        client,
        identity,
        headers: &parts.headers,
        model: asked,
        max_tokens: inbound.envelope().max_output_tokens,
        route: books.route(),
        request_id,
        deadline,
    };
    let masked = match app.guards.request(&facts, &inbound).await {
        Ok(masked) => masked,
        Err(stop) => return stopped(books, stop, &facts).await,
    };
    let inbound = masked.as_ref().unwrap_or(&inbound);
    if let Some(continued) = continued {
        books.keeping(Keeping::of(app, identity, inbound, continued));
    }
    let work = Work::Conversation(inbound);
    let standings = match meter::admit(app, work, identity, model, deadline).await {
        Ok(None) => Vec::new(),
        Ok(Some(mut meter)) => {
            let standings = std::mem::take(&mut meter.standings);
            books.admitted(meter);
            standings
        }
        Err(denied) => return limited(books, denied, client, request_id).await,
    };
    let seed = seed(request_id);
    let job = job(app, parts, client, work, model, &seed, deadline);
    dispatch_into(&job, chain, books.underway()).await;
    let outcome = books.answered();
    let mut response = answer(app, outcome, books, &facts, form).await;
    meter::headers(&mut response, client, &standings, SystemTime::now());
    response
}

/// The body with everything that it goes on with, if that is kept here. `Some`: its answer may have to be kept, too.
async fn resolved(
    app: &App,
    client: Dialect,
    identity: &Identity,
    body: Result<Bytes, Fault>,
) -> (Result<Bytes, Fault>, Option<Continued>) {
    match body {
        Ok(body) if client == Dialect::Responses && app.kept.is_some() => {
            match kept::resolve(app, identity, body).await {
                Ok((body, continued)) => (Ok(body), Some(continued)),
                Err(fault) => (Err(fault), None),
            }
        }
        body => (body, None),
    }
}

/// The request, and how its stream is to be written.
fn inbound(app: &App, parts: &Parts, client: Dialect, body: Bytes) -> Result<(Inbound, Form), Fault> {
    let body = accept::for_deployment(parts.uri.path(), body)?;
    let amended = app.chains.amendments().map(|amendments| amendments.apply(client, &body));
    let body = amended.transpose().map_err(WireError::into_fault)?.unwrap_or(body);
    let (inbound, form) = match client {
        Dialect::GenerateContent => {
            let Generate { model, stream, array } = Generate::of(&parts.uri)?;
            (Inbound::by_path(body, model, stream), if array { Form::Array } else { Form::Events })
        }
        _ => (Inbound::decode(client, body, accept::betas(&parts.headers)), Form::Events),
    };
    let inbound = inbound.map_err(WireError::into_fault)?;
    // Each turn of a conversation that the provider keeps would have the configured messages once more.
    if inbound.envelope().thread && app.chains.amendments().is_some_and(Amendments::has_prompts) {
        return Err(no_threads().into_fault());
    }
    Ok((inbound, form))
}

/// What the attempts are to do.
pub(crate) fn job<'a>(
    app: &App,
    parts: &'a Parts,
    client: Dialect,
    work: Work<'a>,
    model: &'a str,
    seed: &'a Seed,
    deadline: Instant,
) -> Job<'a> {
    Job {
        work,
        client,
        model,
        seed,
        strict: app.config.ai.strict || asks_for_strict(parts),
        deadline,
        max_attempts: app.config.request.max_attempts() as usize,
        anthropic_version: parts.headers.get(accept::ANTHROPIC_VERSION).filter(|_| client == Dialect::Messages),
    }
}

pub(crate) fn seed(request_id: &str) -> Seed {
    Seed { created_unix_s: unix_s(SystemTime::now()), request_id: seed_id(request_id) }
}

/// Over a limit, or not admitted for another reason: nothing was sent, nothing is spent.
pub(crate) async fn limited(mut books: Books, denied: Denied, client: Dialect, request_id: &str) -> Response {
    let refusal = match denied {
        Denied::Fault(fault) => return refuse(books, &fault, client, request_id).await,
        Denied::Limited(refusal) => refusal,
    };
    books.failed(&error::limit_fault(&refusal));
    books.limited(&refusal.reason);
    let mut response = error::limited(&refusal, client, request_id);
    meter::headers(&mut response, client, &refusal.standings, SystemTime::now());
    with(books, response).await
}

async fn answer(app: &App, outcome: Outcome, mut books: Books, facts: &Facts<'_>, form: Form) -> Response {
    let served = outcome.result.is_ok();
    let mut response = match outcome.result {
        Ok(Answer::Whole { body, state, .. }) => {
            books.used(&state);
            match app.guards.answer(facts, body).await {
                Ok(body) => {
                    let mut response = Response::new(Body::from(books.kept(body).await));
                    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                    with(books, response).await
                }
                Err(stop) => stopped(books, stop, facts).await,
            }
        }
        Ok(Answer::Stream(live)) if app.guards.holds_streams() => held(app, live, books, facts, form).await,
        Ok(Answer::Stream(live)) => relay::response(live, books, facts.request_id, form),
        Err(fault) => refuse(books, &fault, facts.client, facts.request_id).await,
    };
    tell(&mut response, &outcome.attempts, served, &outcome.dropped);
    response
}

/// How it went, in headers.
pub(crate) fn tell(response: &mut Response, attempts: &[Attempt], served: bool, dropped: &[Dropped]) {
    let headers = response.headers_mut();
    let number = match attempts.len() {
        1 => HeaderValue::from_static("1"),
        more => HeaderValue::from(more),
    };
    headers.insert(X_ATTEMPTS, number);
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    if let Some(attempt) = attempts.last().filter(|_| served) {
        set(X_PROVIDER, attempt.provider.name());
    }
    if !dropped.is_empty() {
        set(X_DROPPED, &dropped_header(dropped));
    }
}

/// A stream that the guards see whole before the client sees any of it: what stops it is still an answer with a status of its own.
async fn held(app: &App, live: Box<LiveStream>, mut books: Books, facts: &Facts<'_>, form: Form) -> Response {
    let checked = match relay::collect(live, &mut books, facts.request_id, guard::MAX_HELD_BYTES).await {
        Collected::Complete(bytes) => app.guards.stream(facts, bytes).await,
        Collected::TooLarge => Err(Stop::Failed(guard::too_large())),
        Collected::Failed(fault) => Err(Stop::Failed(fault)),
    };
    match checked {
        Ok(bytes) => {
            let bytes = books.kept(bytes).await;
            with(books, form.whole(bytes)).await
        }
        Err(stop) => stopped(books, stop, facts).await,
    }
}

/// A guard ended it.
pub(crate) async fn stopped(mut books: Books, stop: Stop, facts: &Facts<'_>) -> Response {
    match stop {
        Stop::Rejected(reject) => {
            books.rejected(reject.reason());
            with(books, guard::rejection(&reject)).await
        }
        Stop::Failed(fault) => refuse(books, &fault, facts.client, facts.request_id).await,
    }
}

/// The paths, ASCII, within what a header may hold.
fn dropped_header(dropped: &[Dropped]) -> String {
    let mut text = String::new();
    for (index, path) in dropped.iter().map(|dropped| &dropped.path).enumerate() {
        if text.len() + path.len() > 1_000 {
            text.push_str(&format!(", and {} more", dropped.len() - index));
            break;
        }
        if index > 0 {
            text.push_str(", ");
        }
        text.extend(path.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }));
    }
    text
}

pub(crate) fn deadline(app: &App, parts: &Parts) -> Instant {
    let ours = Instant::now() + app.config.request.timeout();
    let hosts = parts.extensions.get::<HostDeadline>();
    hosts.map_or(ours, |host| host.0.min(ours))
}

fn asks_for_strict(parts: &Parts) -> bool {
    parts.headers.get(X_STRICT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

fn seed_id(request_id: &str) -> String {
    let id = request_id.strip_prefix("req_").unwrap_or(request_id);
    if id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return id.to_owned();
    }
    id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

pub(crate) fn unknown_model(model: &str) -> Fault {
    let shown: String = model.chars().take(128).collect();
    let message = format!(
        "the model `{shown}` does not exist here, or no provider is configured for it; GET /v1/models lists what is"
    );
    Fault::new(FaultKind::NotFound, message).with_param("model").with_code("model_not_found")
}

/// Lambda has no connection that could become one.
pub(crate) fn no_websocket() -> Fault {
    let message = "WebSockets are not served here: a Lambda function cannot. Connect to the gateway's native server (container, ECS), over HTTP/1.1";
    Fault::new(FaultKind::NotImplemented, message).with_code("websocket_not_supported")
}

fn not_served(path: &str) -> Fault {
    let shown: String = path.chars().filter(|c| !c.is_control()).take(128).collect();
    let message = format!("nothing is served at `{shown}`; try /v1/chat/completions, /v1/messages or /v1/models");
    Fault::new(FaultKind::NotFound, message).with_code("unknown_path")
}

pub(crate) async fn with(books: Books, response: Response) -> Response {
    books.close(response.status().as_u16()).await;
    response
}

pub(crate) async fn refuse(mut books: Books, fault: &Fault, client: Dialect, request_id: &str) -> Response {
    books.failed(fault);
    with(books, error::response(fault, client, request_id)).await
}

/// What every answer has.
fn finish(response: &mut Response, client: Dialect, request_id: &str) {
    response.extensions_mut().insert(ClientDialect(client));
    let Ok(id) = HeaderValue::from_str(request_id) else { return };
    let headers = response.headers_mut();
    if client == Dialect::Messages {
        headers.insert(REQUEST_ID, id.clone());
    }
    headers.insert(accept::X_REQUEST_ID, id);
}

/// A margin that Lambda's deadline keeps for the answer to get out.
pub const HOST_MARGIN: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_a_500_that_names_the_request() {
        for client in [Dialect::Chat, Dialect::Messages] {
            let response = internal_error(client, "req_7");
            assert_eq!(response.status(), 500);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        }
    }
}
