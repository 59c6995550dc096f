//! `GET /v1/realtime`: a WebSocket between a client and a provider of OpenAI's Realtime API
//! (<https://platform.openai.com/docs/guides/realtime-websocket>). The native server only.
//!
//! 1. handshake: the request asks for a WebSocket and names a model; browsers have their token in the subprotocol
//! 2. limits: one request is counted
//! 3. the provider's WebSocket is opened, provider after provider; until one is open, what fails is an HTTP answer
//!    (one that joins a call, `?call_id=`, goes to the chain of the model that it names, else to the default one, and there to whoever has the call)
//! 4. 101, and the session runs by itself (`session`): events pass both ways as they come; each response is reserved before it begins and settled by its
//!    `response.done` (`turns`)
//!
//! Failure policy: a limit in the middle of a session is an `error` event, and the response is not made; a provider that breaks off closes the session with
//! 1011; a token that expires, and a gateway that shuts down, close it with a reason. What was reserved and never made is released.

mod session;
mod turns;

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::response::Response;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tollgate_auth::Identity;
use tollgate_limits::{Bill, What};
use tollgate_upstream::{Forward, Forwarded, ModelPlace, forward, model_in_query};
use tollgate_wire::codec::Dialect;
use tollgate_wire::ir::{Fault, FaultKind};

use self::session::Session;
use self::turns::Turns;
use crate::app::App;
use crate::books::Books;
use crate::meter;
use crate::passthrough::{self, Asked};
use crate::pipeline::{self, refuse};

/// The subprotocol of the API itself.
const PROTOCOL: &str = "realtime";
/// In front of a browser's token, among the subprotocols.
const TOKEN: &str = "openai-insecure-api-key.";
/// The beta, as a subprotocol and as a header.
const BETA_PROTOCOL: &str = "openai-beta.realtime-v1";
const BETA: HeaderName = HeaderName::from_static("openai-beta");
/// Sound comes in pieces of some kilobytes; OpenAI takes 15 MB in one.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// What a client offers besides its token.
#[derive(Debug)]
struct Handshake {
    /// Empty: none, for a call that it joins.
    model: String,
    /// It joins a call that is under way (`call_id` in the query).
    joins: bool,
    /// The rest of the query.
    query: String,
    accept: String,
    /// It wants the answer to choose [`PROTOCOL`].
    protocol: bool,
    beta: Option<HeaderValue>,
    upgrade: OnUpgrade,
}

/// A browser's token: it cannot set headers.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    protocols(headers).find_map(|protocol| protocol.strip_prefix(TOKEN)).filter(|token| !token.is_empty())
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

impl Handshake {
    fn read(parts: &Parts) -> Result<Self, Fault> {
        let wrong = |text: &str| Fault::new(FaultKind::InvalidRequest, text).with_code("websocket_expected");
        let has = |name: HeaderName, token: &str| {
            let values = parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
        };
        if !has(CONNECTION, "upgrade") || !has(UPGRADE, "websocket") {
            return Err(wrong(
                "this path is a WebSocket: connect to it with `Connection: Upgrade` and `Upgrade: websocket`",
            ));
        }
        if !has(SEC_WEBSOCKET_VERSION, "13") {
            return Err(wrong("sec-websocket-version has to be 13"));
        }
        let key = parts.headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| wrong("sec-websocket-key is missing"))?;
        let upgrade = parts.extensions.get::<OnUpgrade>().cloned().ok_or_else(pipeline::no_websocket)?;
        let (model, query) = model_in_query(parts.uri.query().unwrap_or_default());
        let joins = query.split('&').any(|pair| pair.strip_prefix("call_id=").is_some_and(|id| !id.is_empty()));
        let model = model.or(joins.then(String::new)).ok_or_else(|| nameless("name a model"))?;
        let beta = protocols(&parts.headers).any(|protocol| protocol == BETA_PROTOCOL);
        let beta = beta.then(|| HeaderValue::from_static("realtime=v1"));
        Ok(Self {
            model,
            joins,
            query,
            accept: derive_accept_key(key.as_bytes()),
            protocol: protocols(&parts.headers).any(|protocol| protocol == PROTOCOL),
            beta: parts.headers.get(BETA).cloned().or(beta),
            upgrade,
        })
    }
}

fn nameless(what: &str) -> Fault {
    let message = format!("{what}: /v1/realtime?model=gpt-realtime");
    Fault::new(FaultKind::InvalidRequest, message).with_param("model")
}

/// Answers the handshake; the session goes on by itself.
pub async fn respond(
    app: &App,
    parts: &Parts,
    client: Dialect,
    request_id: &str,
    mut books: Books,
    identity: &Arc<Identity>,
) -> Response {
    let handshake = match Handshake::read(parts) {
        Ok(handshake) => handshake,
        Err(fault) => return refuse(books, &fault, client, request_id).await,
    };
    if handshake.model.is_empty() && app.limiter.is_some() {
        let fault =
            nameless("where limits are on, name the call's model beside call_id, so that what it uses has a price");
        return refuse(books, &fault, client, request_id).await;
    }
    if !handshake.model.is_empty() {
        books.asked_for(&handshake.model);
    }
    let model = app.config.alias(&handshake.model).unwrap_or(&handshake.model).to_owned();
    let Some(chain) = app.chains.of(&model) else {
        return refuse(books, &pipeline::unknown_model(&handshake.model), client, request_id).await;
    };
    let deadline = pipeline::deadline(app, parts);
    let opening = meter::Request { what: What::Request, ..meter::Request::new(identity, &model, deadline) };
    match meter::reserved(app, opening).await {
        Ok(counted) => drop(counted.and_then(|meter| meter.settle(Bill::default()))),
        Err(denied) => return pipeline::limited(books, denied, client, request_id).await,
    }
    let key = generate_key();
    let request = Forward {
        query: Some(&handshake.query),
        headers: upstream_headers(&key, handshake.beta.as_ref()),
        model: &model,
        // A call has its model.
        model_in: if handshake.joins { ModelPlace::Nowhere } else { ModelPlace::Query },
        upgrade: true,
        max_attempts: app.config.request.max_attempts() as usize,
        ..Forward::new(Method::GET, Dialect::Chat, "/v1/realtime", deadline)
    };
    let answered = forward(&request, chain, books.underway()).await;
    let served = books.answered().attempts.pop().map(|attempt| attempt.model).unwrap_or_default();
    let asked = Asked { parts, client, request_id, detect: false };
    match answered {
        Ok(answer) if answer.status == StatusCode::SWITCHING_PROTOCOLS => {
            match opened(answer, &key, handshake, (app, identity, &model, served), books).await {
                Ok(response) => response,
                Err(broken) => refuse(broken.0, &broken.1, client, request_id).await,
            }
        }
        Ok(answer) => passthrough::relayed(answer, asked, books, deadline).await,
        Err(fault) => refuse(books, &fault, client, request_id).await,
    }
}

fn upstream_headers(key: &str, beta: Option<&HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    if let Ok(key) = HeaderValue::from_str(key) {
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
    if let Some(beta) = beta {
        headers.insert(BETA, beta.clone());
    }
    headers
}

/// The provider's end is open: answers the client, and starts the session.
async fn opened(
    answer: Forwarded,
    key: &str,
    handshake: Handshake,
    (app, identity, model, served): (&App, &Arc<Identity>, &str, String),
    books: Books,
) -> Result<Response, Box<(Books, Fault)>> {
    let kind = answer.provider.kind().to_owned();
    let name = HeaderValue::from_str(answer.provider.name());
    let agreed =
        answer.headers.get(SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| *accept == derive_accept_key(key.as_bytes()));
    let upgraded = match answer.upgrade().await {
        Ok(upgraded) if agreed => upgraded,
        Ok(_) => {
            let fault = Fault::new(FaultKind::Api, "the provider's WebSocket handshake is not valid");
            return Err(Box::new((books, fault.with_code("bad_upstream_answer"))));
        }
        Err(fault) => return Err(Box::new((books, fault))),
    };
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE_BYTES)).max_frame_size(Some(MAX_MESSAGE_BYTES));
    let turns = Turns::new(app.clone(), Arc::clone(identity), model.to_owned(), kind, served, handshake.joins);
    let (app_of_session, upgrade) = (app.clone(), handshake.upgrade);
    let left = identity.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
    app.settlements.spawn(async move {
        // The client is gone already: the books say so when they are dropped.
        let Ok(connection) = upgrade.await else { return };
        let client = WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, Some(config)).await;
        let upstream = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        Session::new(app_of_session, turns, left).run(client, upstream, books).await;
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&handshake.accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if handshake.protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    if let Ok(name) = name {
        headers.insert("x-tollgate-provider", name);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(query: &str, headers: &[(&'static str, &'static str)]) -> Parts {
        let mut request = http::Request::get(format!("/v1/realtime?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const UPGRADING: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn what_is_no_handshake_is_told_what_is_missing() {
        let message = |parts: &Parts| Handshake::read(parts).unwrap_err().message;
        assert!(message(&parts("model=m", &[])).contains("Upgrade"));
        assert!(message(&parts("model=m", &UPGRADING[..2])).contains("sec-websocket-version"));
        assert!(message(&parts("model=m", &UPGRADING[..3])).contains("sec-websocket-key"));
        let here = Handshake::read(&parts("model=m", &UPGRADING)).unwrap_err();
        assert_eq!(here.kind, FaultKind::NotImplemented, "no connection behind it, as on Lambda");
    }

    #[test]
    fn a_browsers_token_is_among_its_subprotocols() {
        let headers = parts(
            "",
            &[("sec-websocket-protocol", "realtime, openai-insecure-api-key.a.b.c, openai-beta.realtime-v1")],
        )
        .headers;
        assert_eq!(token(&headers), Some("a.b.c"));
        assert_eq!(
            token(&parts("", &[("sec-websocket-protocol", "realtime, openai-insecure-api-key.")]).headers),
            None
        );
    }
}
