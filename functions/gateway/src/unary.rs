//! What is no conversation: embeddings, rerank, token counts. The pipeline's way with fewer steps: nothing streams, and there is no answer to guard.
//!
//! Guards see a token count, since its conversation leaves the house as any other does. They do not see the texts of embeddings and reranks: their
//! contract is about conversations, and agentgateway does not ask them there either.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use tokio::time::Instant;
use tollgate_auth::Identity;
use tollgate_limits::Standing;
use tollgate_upstream::{Answer, Outcome, Work, dispatch_into};
use tollgate_wire::codec::Dialect;
use tollgate_wire::error::WireError;
use tollgate_wire::ir::Fault;
use tollgate_wire::unary::Unary;
use tollgate_wire::{count, embed, rerank};

use crate::accept::{self, Generate, Route};
use crate::app::App;
use crate::books::Books;
use crate::guard::{Facts, Stop};
use crate::meter::{self, Denied};
use crate::pipeline::{deadline, job, limited, refuse, seed, stopped, tell, unknown_model, with};

/// The answer is the gateway's estimate of a token count.
const X_TOKEN_COUNT: HeaderName = HeaderName::from_static("x-tollgate-token-count");

/// A request whose client is known.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) app: &'a App,
    pub(crate) parts: &'a Parts,
    pub(crate) route: Route<'a>,
    pub(crate) client: Dialect,
    pub(crate) request_id: &'a str,
    pub(crate) identity: &'a Arc<Identity>,
}

/// Why there is no answer.
enum Refusal {
    Fault(Fault),
    Guard(Stop),
    Limit(Denied),
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::Fault(error.into_fault())
    }
}

/// Decode, route, guard, reserve, attempt, answer.
pub(crate) async fn serve(asked: &Asked<'_>, body: Body, mut books: Books) -> Response {
    let deadline = deadline(asked.app, asked.parts);
    let mut unary = match decode(asked, body, &mut books, deadline).await {
        Ok(unary) => unary,
        Err(fault) => return refuse(books, &fault, asked.client, asked.request_id).await,
    };
    let name = unary.model().to_owned();
    let facts = Facts {
        client: asked.client,
        identity: asked.identity,
        headers: &asked.parts.headers,
        model: &name,
        max_tokens: None,
        route: books.route(),
        request_id: asked.request_id,
        deadline,
    };
    match run(asked, &mut unary, &mut books, &facts).await {
        Ok((outcome, standings)) => {
            let mut response = answer(asked, outcome, books).await;
            meter::headers(&mut response, asked.client, &standings, SystemTime::now());
            response
        }
        Err(Refusal::Fault(fault)) => refuse(books, &fault, asked.client, asked.request_id).await,
        Err(Refusal::Guard(stop)) => stopped(books, stop, &facts).await,
        Err(Refusal::Limit(denied)) => limited(books, denied, asked.client, asked.request_id).await,
    }
}

async fn decode(asked: &Asked<'_>, body: Body, books: &mut Books, deadline: Instant) -> Result<Unary, Fault> {
    let waiting = std::time::Instant::now();
    let body = accept::body(asked.parts, body, asked.app.config.request.max_body_bytes(), deadline).await;
    books.received(waiting);
    let body = body?;
    let unary = match asked.route {
        Route::Rerank(version) => rerank::Request::decode(version, body).map(Unary::Rerank),
        Route::CountTokens(Dialect::GenerateContent) => {
            count::Request::by_path(body, Generate::of(&asked.parts.uri)?.model)
                .map(|count| Unary::Count(Box::new(count)))
        }
        Route::CountTokens(dialect) => count::Request::decode(dialect, body, accept::betas(&asked.parts.headers))
            .map(|count| Unary::Count(Box::new(count))),
        _ => embed::Request::decode(accept::for_deployment(asked.parts.uri.path(), body)?).map(Unary::Embed),
    };
    // Counted is what would be sent.
    let unary = match (unary, asked.app.chains.amendments()) {
        (Ok(Unary::Count(count)), Some(amendments)) => {
            count.amended(amendments).map(|count| Unary::Count(Box::new(count)))
        }
        (unary, _) => unary,
    };
    let unary = unary.map_err(WireError::into_fault)?;
    books.asked_for(unary.model());
    Ok(unary)
}

async fn run(
    asked: &Asked<'_>,
    unary: &mut Unary,
    books: &mut Books,
    facts: &Facts<'_>,
) -> Result<(Outcome, Vec<Standing>), Refusal> {
    let app = asked.app;
    let model = app.config.alias(facts.model).unwrap_or(facts.model);
    let chain = app.chains.of(model).ok_or_else(|| Refusal::Fault(unknown_model(facts.model)))?;
    if let Unary::Count(count) = &*unary
        && let Some(masked) = app.guards.request(facts, count.inbound()).await.map_err(Refusal::Guard)?
    {
        *unary = Unary::Count(Box::new(count.with(masked)));
    }
    let work = Work::Unary(unary);
    let admitted = meter::admit(app, work, asked.identity, model, facts.deadline).await.map_err(Refusal::Limit)?;
    let standings = admitted.map_or_else(Vec::new, |mut meter| {
        let standings = std::mem::take(&mut meter.standings);
        books.admitted(meter);
        standings
    });
    let seed = seed(asked.request_id);
    let job = job(app, asked.parts, asked.client, work, model, &seed, facts.deadline);
    dispatch_into(&job, chain, books.underway()).await;
    Ok((books.answered(), standings))
}

async fn answer(asked: &Asked<'_>, outcome: Outcome, mut books: Books) -> Response {
    let served = outcome.result.is_ok();
    let mut response = match outcome.result {
        Ok(Answer::Whole { body, state, estimate }) => {
            books.used(&state);
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if estimate {
                response.headers_mut().insert(X_TOKEN_COUNT, HeaderValue::from_static("estimate"));
            }
            with(books, response).await
        }
        // Nothing here streams.
        Ok(Answer::Stream(_)) => {
            let fault = WireError::BadAnswer("a stream was not asked for".to_owned()).into_fault();
            refuse(books, &fault, asked.client, asked.request_id).await
        }
        Err(fault) => refuse(books, &fault, asked.client, asked.request_id).await,
    };
    tell(&mut response, &outcome.attempts, served, &outcome.dropped);
    response
}
