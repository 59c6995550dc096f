//! Requests that are forwarded as they are: passthrough routes, and the handshake of a WebSocket.
//!
//! 1. [`forward`] asks the providers of a chain in the same order as conversations do (`attempts`).
//! 2. What a provider answers goes back as it came, whatever its status, unless the status is one that the group retries: then the next one is asked, and the
//!    last one's answer goes back.
//! 3. The body of the answer is the caller's to read ([`Forwarded::chunk`]), or to take over as a connection ([`Forwarded::upgrade`]).
//!
//! Failure policy: nothing is repeated once an answer was handed over. A provider that refuses the gateway's own credentials is a fault of ours. A path is
//! joined to the provider's address only if it stays below it.

use std::ops::Range;
use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, Method, StatusCode};
use bytes::Bytes;
use reqwest::Url;
use tokio::time::Instant;
use tollgate_wire::codec::{self, Dialect};
use tollgate_wire::ir::{Fault, FaultKind, Usage};

use crate::attempts::{Attempts, Failure};
use crate::body::{Body, MAX_ERROR_BYTES, Reply};
use crate::chains::Chain;
use crate::dispatch::{Answer, Outcome};
use crate::error::TransportError;
use crate::failover::FaultClass;
use crate::provider::Provider;

/// Headers of one connection (RFC 9110, section 7.6.1), and those that only the gateway may set towards a provider.
const NOT_FORWARDED: [&str; 32] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "expect",
    "accept-encoding",
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "set-cookie",
    "forwarded",
    "via",
    "x-real-ip",
    "x-request-id",
    "sec-websocket-key",
    "sec-websocket-accept",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "openai-organization",
    "openai-project",
    "anthropic-workspace-id",
    "x-goog-user-project",
];
/// Families of such headers: what front doors and this gateway add.
const NOT_FORWARDED_PREFIXES: [&str; 4] = ["x-forwarded-", "x-amzn-", "x-amz-", "x-tollgate-"];

/// A request to be forwarded.
#[derive(Debug, Clone)]
pub struct Forward<'a> {
    /// Its method.
    pub method: Method,
    /// Whose headers it has: where its credentials go.
    pub dialect: Dialect,
    /// Path from the API's version on: `/v1/audio/speech`.
    pub path: &'a str,
    /// Its query, without the model.
    pub query: Option<&'a str>,
    /// Its headers, after [`forwardable`].
    pub headers: HeaderMap,
    /// Its body, as the client sent it.
    pub body: Bytes,
    /// The model after aliasing; empty: the request names none.
    pub model: &'a str,
    /// Where the request names its model.
    pub model_in: ModelPlace,
    /// It asks for a WebSocket: the provider's answer to `upgrade` is what is waited for.
    pub upgrade: bool,
    /// When its head has to be answered.
    pub deadline: Instant,
    /// Upstream calls, at most.
    pub max_attempts: usize,
}

/// Where a request that is forwarded names its model: there the provider's own name is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelPlace {
    /// Nowhere, or where it is left as it is.
    Nowhere,
    /// In a JSON body: the range of the value, quotes included.
    Json(Range<usize>),
    /// In a form: the range of the text.
    Form(Range<usize>),
    /// In the query: `?model=`.
    Query,
}

/// A query apart: the model that it names, and its other parameters as they are.
pub fn model_in_query(query: &str) -> (Option<String>, String) {
    let (mut model, mut rest) = (None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("model=") {
            Some(value) => model = percent_encoding::percent_decode_str(value).decode_utf8().ok(),
            None => rest.push(pair),
        }
    }
    (model.filter(|model| !model.is_empty()).map(Into::into), rest.join("&"))
}

impl<'a> Forward<'a> {
    /// A request to this path that has no body and names no model, and is sent once.
    pub fn new(method: Method, dialect: Dialect, path: &'a str, deadline: Instant) -> Self {
        Self {
            method,
            dialect,
            path,
            query: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            model: "",
            model_in: ModelPlace::Nowhere,
            upgrade: false,
            deadline,
            max_attempts: 1,
        }
    }

    /// The address below a provider's root, for its name of the model.
    pub(crate) fn address(&self, root: &str, model: &str) -> Option<Url> {
        // The tail begins a segment: behind a bare host it would else be a part of its name.
        let tail = self.path.strip_prefix("/v1").filter(|tail| tail.starts_with('/') && stays_below(self.path))?;
        let mut url = Url::parse(&format!("{root}{tail}")).ok()?;
        url.set_query(self.query.filter(|query| !query.is_empty()));
        if self.model_in == ModelPlace::Query {
            url.query_pairs_mut().append_pair("model", model);
        }
        Some(url)
    }

    /// The body for a provider's name of the model.
    fn body_for(&self, model: &str) -> Bytes {
        let (span, text) = match &self.model_in {
            ModelPlace::Nowhere | ModelPlace::Query => return self.body.clone(),
            ModelPlace::Json(span) => (span, serde_json::Value::from(model).to_string()),
            ModelPlace::Form(span) => (span, model.to_owned()),
        };
        let (Some(head), Some(tail)) = (self.body.get(..span.start), self.body.get(span.end..)) else {
            return self.body.clone();
        };
        [head, text.as_bytes(), tail].concat().into()
    }
}

/// A provider's answer, as it came.
#[derive(Debug)]
pub struct Forwarded {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, after [`forwardable`]; of a handshake all of them.
    pub headers: HeaderMap,
    /// Who answers.
    pub provider: Arc<Provider>,
    body: Body,
}

impl Forwarded {
    /// The next bytes of its body; `None` at the end. An error ends it.
    pub async fn chunk(&mut self, deadline: Instant) -> Result<Option<Bytes>, Fault> {
        let idle = self.provider.idle_timeout();
        self.body.chunk_within(idle, deadline).await.map_err(|error| error.fault())
    }

    /// The connection behind a 101.
    #[cfg(feature = "realtime")]
    pub async fn upgrade(self) -> Result<reqwest::Upgraded, Fault> {
        let Body::Http(response) = self.body else { return Err(TransportError::Broken(String::new()).fault()) };
        let broken = |error: &reqwest::Error| TransportError::Broken(crate::body::source_text(error)).fault();
        response.upgrade().await.map_err(|error| broken(&error))
    }
}

/// The headers of a request or an answer that may pass. Hop-by-hop headers, also those that `connection` names, and credentials stay behind.
pub fn forwardable(headers: &HeaderMap) -> HeaderMap {
    let listed = headers.get_all("connection").iter().filter_map(|value| value.to_str().ok());
    let named: Vec<String> =
        listed.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect();
    let passes = |name: &HeaderName| {
        let name = name.as_str();
        !NOT_FORWARDED.contains(&name)
            && !NOT_FORWARDED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            && !named.iter().any(|other| other == name)
    };
    let pairs = headers.iter().filter(|(name, _)| passes(name));
    pairs.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// More layers of escapes than anybody means.
const MAX_LAYERS: usize = 5;

/// Does a path stay below the address that it is put behind? No segment that steps up, however often it is escaped, no second host.
fn stays_below(path: &str) -> bool {
    // Some servers cut a segment at its `;` before they look at it.
    let steps = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    let plain = |text: &str| {
        let odd = text.contains("//") || text.contains('\\') || text.chars().any(char::is_control);
        !odd && !text.split('/').any(steps)
    };
    let mut text = path.to_owned();
    for _ in 0..MAX_LAYERS {
        if !plain(&text) {
            return false;
        }
        let Ok(decoded) = percent_encoding::percent_decode_str(&text).decode_utf8() else { return false };
        if decoded == text {
            return path.starts_with('/');
        }
        text = decoded.into_owned();
    }
    false
}

/// Asks the providers of a chain, one after the other, until one answers. The attempts are written into `outcome` as they come; its result says no more than whether
/// one of them succeeded.
pub async fn forward(request: &Forward<'_>, chain: &Chain, outcome: &mut Outcome) -> Result<Forwarded, Fault> {
    let mut attempts = Attempts::new(chain, request.model, request.deadline, request.max_attempts);
    let mut last = None;
    while let Some(mut turn) = attempts.next(outcome) {
        let Some(address) = turn.provider.forward_address(request, turn.model) else {
            attempts.pass_over(&turn, FaultClass::Unsupported);
            continue;
        };
        turn.begin(outcome);
        let answered = attempt(request, turn.provider, address, turn.model).await;
        let status = match &answered {
            Ok(answer) | Err((Some(answer), _)) => Some(answer.status.as_u16()),
            Err((None, _)) => None,
        };
        let failure = answered.as_ref().err().map(|(_, failure)| failure);
        attempts.end(&turn, outcome, (status, Usage::default()), failure);
        match answered {
            Ok(answer) => {
                outcome.result = Ok(Answer::Whole { body: Bytes::new(), state: Box::default(), estimate: false });
                return Ok(answer);
            }
            // What the provider said is the best answer there is, unless it is about our own credentials.
            Err((Some(answer), failure)) if failure.class != FaultClass::Auth => last = Some(Ok(answer)),
            Err((_, failure)) => last = Some(Err(failure.for_client())),
        }
    }
    let late = attempts.are_too_late();
    last.unwrap_or_else(|| Err(if late { TransportError::Deadline.fault() } else { nobody(request) }))
}

/// One call. An answer that is not what was asked for comes back beside its failure.
async fn attempt(
    request: &Forward<'_>,
    provider: &Arc<Provider>,
    address: Url,
    model: &str,
) -> Result<Forwarded, (Option<Forwarded>, Failure)> {
    let body = request.body_for(model);
    let sent = tokio::time::timeout_at(request.deadline, provider.forward(request, address, body)).await;
    let mut reply = sent.unwrap_or(Err(TransportError::Deadline)).map_err(|error| (None, error.into()))?;
    let switched = reply.status == StatusCode::SWITCHING_PROTOCOLS;
    let answer = |reply: Reply| Forwarded {
        status: reply.status,
        headers: if switched { reply.headers } else { forwardable(&reply.headers) },
        provider: Arc::clone(provider),
        body: reply.body,
    };
    if if request.upgrade { switched } else { reply.status.as_u16() < 400 } {
        return Ok(answer(reply));
    }
    let body = reply.body.read(MAX_ERROR_BYTES, provider.idle_timeout(), request.deadline).await.unwrap_or_default();
    let mut fault = codec::decode_fault(request.dialect, reply.status, &reply.headers, &body);
    tollgate_wire::fault::heed(&mut fault, &reply.headers, std::time::SystemTime::now());
    let mut failure = Failure::refused(fault, reply.status);
    // Nothing says which provider keeps a response, or has the call that a WebSocket joins: the next one may.
    let anywhere = request.dialect == Dialect::Responses || request.upgrade && request.model_in == ModelPlace::Nowhere;
    failure.elsewhere = anywhere && failure.class == FaultClass::NotFound;
    reply.body = Body::Whole(Some(body));
    Err((Some(answer(reply)), failure))
}

fn nobody(request: &Forward<'_>) -> Fault {
    let what = if request.upgrade { "a WebSocket" } else { "a request that is passed through" };
    let message = format!(
        "no provider of this model takes {what} for this path: the configuration has to name one that speaks it (openAI, azure, custom), and the path must be plain"
    );
    Fault::new(FaultKind::NotFound, message).with_code("no_provider")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;

    #[test]
    fn a_path_stays_below_its_base() {
        for path in
            ["/v1/files", "/v1/files/file-1/content", "/v1/models/a%20b", "/v1/a.b/..c", "/v1/100%25", "/v1/a%2fb"]
        {
            assert!(stays_below(path), "{path}");
        }
        for path in [
            "/v1/../admin",
            "/v1/%2e%2e/admin",
            "/v1/%252e%252e/admin",
            "/v1/./x",
            "/v1//evil",
            "/v1/%2f%2fevil",
            "/v1/a%5c..%5cb",
            "v1/x",
            "/v1/%00",
            "/v1/%25252e%25252e/admin",
            "/v1/%25252525252525252e/admin",
            "/v1/..;x=1/admin",
            "/v1/%2e%2e%3b/admin",
            "/v1/%ff",
        ] {
            assert!(!stays_below(path), "{path}");
        }
    }

    #[test]
    fn headers_of_the_connection_and_of_the_client_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("authorization", "Bearer t"),
            ("x-api-key", "t"),
            ("cookie", "c"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-amzn-oidc-data", "jwt"),
            ("content-type", "audio/wav"),
            ("openai-beta", "realtime=v1"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let passed = forwardable(&headers);
        let names: Vec<&str> = passed.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type", "openai-beta"]);
    }

    #[test]
    fn the_providers_name_of_a_model_is_put_where_the_client_named_it() {
        let json = br#"{"model":"ours","input":"hi"}"#;
        let mut request = Forward {
            query: Some("a=b"),
            body: Bytes::from_static(json),
            model: "ours",
            model_in: ModelPlace::Json(9..15),
            ..Forward::new(Method::POST, Dialect::Chat, "/v1/audio/speech", Instant::now())
        };
        let root = "https://api.example/openai/v1";
        assert_eq!(request.address(root, "x").unwrap().path(), "/openai/v1/audio/speech");
        assert_eq!(request.body_for("gpt-4o-\"tts"), &br#"{"model":"gpt-4o-\"tts","input":"hi"}"#[..]);
        assert_eq!(request.address(root, "x").unwrap().query(), Some("a=b"));
        for path in ["/v1.evil.example/x", "/v1@evil.example/x", "/v1beta/files", "/v1/../x"] {
            assert!(Forward { path, ..request.clone() }.address("https://api.example", "x").is_none(), "{path}");
        }
        request.model_in = ModelPlace::Query;
        assert_eq!(request.body_for("x"), &json[..]);
        assert_eq!(request.address(root, "a&b").unwrap().query(), Some("a=b&model=a%26b"));
    }
}
