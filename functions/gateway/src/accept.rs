//! The first look at a request: what is it for, who is asking in which dialect, is it bearable?

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tollgate_auth::AuthError;
use tollgate_config::{Config, RouteType, UnguardedRoute, below_azure};
use tollgate_upstream::within;
use tollgate_wire::amend::Amendments;
use tollgate_wire::codec::Dialect;
use tollgate_wire::error::WireError;
use tollgate_wire::ir::{Fault, FaultKind};
use tollgate_wire::rerank::Version;

use crate::realtime;

use crate::app::App;

/// On every answer.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The version of Anthropic's API that a client means.
pub const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
/// A client may take this long between two pieces of its body.
const BODY_IDLE: Duration = Duration::from_secs(30);
/// What is read and thrown away of a body that is too large, so that its client gets to read the answer.
const DRAIN_BYTES: usize = 64 * 1024 * 1024;
/// The same for a request that was refused by its head: nobody who has no token makes us read more.
const REFUSED_DRAIN_BYTES: u64 = 256 * 1024;
/// And no longer than this.
const REFUSED_DRAIN: Duration = Duration::from_secs(2);

/// `GET /`: no token, no dependency, no log line.
pub async fn health(headers: HeaderMap) -> Response {
    healthy(&headers, r#"{"status":"ok"}"#.to_owned())
}

/// `GET /healthz`: the same, with the version of the configuration that serves, which is no secret.
pub async fn healthz(State(app): State<App>, headers: HeaderMap) -> Response {
    let version = app.version().map(|version| format!(r#","config":"{version}""#));
    healthy(&headers, format!(r#"{{"status":"ok"{}}}"#, version.unwrap_or_default()))
}

fn healthy(headers: &HeaderMap, body: String) -> Response {
    let id = HeaderValue::from_str(&request_id(headers)).unwrap_or(HeaderValue::from_static(""));
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (X_REQUEST_ID, id)];
    (headers, body).into_response()
}

/// What the paths of kept responses begin with, behind a prefix.
pub(crate) const KEPT: &str = "/v1/responses/";

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// A conversation, in the client's dialect.
    Conversation(Dialect),
    /// Vectors of texts.
    Embeddings,
    /// Documents by relevance.
    Rerank(Version),
    /// The tokens of a conversation in the client's dialect.
    CountTokens(Dialect),
    /// The list of models.
    Models,
    /// One model.
    Model(&'a str),
    /// The health check, by a method that it does not take.
    Health,
    /// Forwarded as it is. `detect`: its usage is looked for.
    Forwarded {
        /// Is it?
        detect: bool,
    },
    /// A response that its provider keeps, or the gateway, with the methods of this path.
    Kept(&'static str),
    /// A WebSocket.
    Realtime,
    /// Nothing known.
    Unknown,
}

impl<'a> Route<'a> {
    /// By path suffix.
    pub fn of(config: &Config, path: &'a str) -> Self {
        if matches!(path, "/" | "/healthz") {
            return Self::Health;
        }
        match config.route_type(path) {
            Some(RouteType::Completions) => Self::Conversation(Dialect::Chat),
            Some(RouteType::Messages) => Self::Conversation(Dialect::Messages),
            Some(RouteType::GenerateContent) => Self::Conversation(Dialect::GenerateContent),
            Some(RouteType::Responses) => Self::Conversation(Dialect::Responses),
            Some(RouteType::Models) => Self::Models,
            Some(RouteType::Realtime) => Self::Realtime,
            Some(RouteType::Passthrough) => Self::kept(path).unwrap_or(Self::Forwarded { detect: false }),
            Some(RouteType::Detect) => Self::kept(path).unwrap_or(Self::Forwarded { detect: true }),
            Some(RouteType::Embeddings) => Self::Embeddings,
            Some(RouteType::Rerank) if path.contains("/v1/") => Self::Rerank(Version::V1),
            Some(RouteType::Rerank) => Self::Rerank(Version::V2),
            Some(RouteType::AnthropicTokenCount) => Self::CountTokens(Dialect::Messages),
            Some(RouteType::GeminiCountTokens) => Self::CountTokens(Dialect::GenerateContent),
            None if path.contains(KEPT) => Self::kept(path).unwrap_or(Self::Unknown),
            None => {
                let model = path.split_once("/v1/models/").or_else(|| path.split_once("/v1beta/models/"));
                let model = model.map(|(_, id)| id).or_else(|| below_azure(path).1.strip_prefix("/models/"));
                // A method of Google's that is not served, `:batchEmbedContents`, is no model to be looked at.
                let model = model.filter(|id| !id.ends_with("Content") && !id.ends_with("Contents"));
                model.map_or(Self::Unknown, Self::Model)
            }
        }
    }

    /// `/v1/responses/{id}`, `/cancel` and `/input_items` below it, and `/v1/responses/input_tokens`: <https://platform.openai.com/docs/api-reference/responses>.
    fn kept(path: &str) -> Option<Self> {
        let (_, rest) = path.split_once(KEPT)?;
        if rest == "input_tokens" {
            return Some(Self::CountTokens(Dialect::Responses));
        }
        let (id, below) = rest.split_once('/').unwrap_or((rest, ""));
        let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if !id.starts_with("resp") || id.contains(odd) {
            return None;
        }
        match below {
            "" => Some(Self::Kept("GET, DELETE")),
            "cancel" => Some(Self::Kept("POST")),
            "input_items" => Some(Self::Kept("GET")),
            _ => None,
        }
    }

    /// As it stands in the access log: agentgateway's names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conversation(Dialect::Messages) => "messages",
            Self::Conversation(Dialect::GenerateContent) => "generateContent",
            Self::Conversation(Dialect::Responses) | Self::Kept(_) => "responses",
            Self::Conversation(_) => "completions",
            Self::Models | Self::Model(_) => "models",
            Self::Health => "health",
            Self::Embeddings => "embeddings",
            Self::Rerank(_) => "rerank",
            Self::CountTokens(Dialect::GenerateContent) => "geminiCountTokens",
            Self::CountTokens(Dialect::Responses) => "responsesTokenCount",
            Self::CountTokens(_) => "anthropicTokenCount",
            Self::Realtime => "realtime",
            Self::Forwarded { detect: false } => "passthrough",
            Self::Forwarded { detect: true } => "detect",
            Self::Unknown => "unknown",
        }
    }

    /// What the guards' configuration calls it, if no guard sees it.
    pub fn unguarded(self) -> Option<UnguardedRoute> {
        match self {
            Self::Forwarded { detect: true } => Some(UnguardedRoute::Detect),
            Self::Forwarded { detect: false } => Some(UnguardedRoute::Passthrough),
            Self::Realtime => Some(UnguardedRoute::Realtime),
            _ => None,
        }
    }

    /// The dialect to answer in; errors included.
    pub fn dialect(self, headers: &HeaderMap) -> Dialect {
        match self {
            Self::Conversation(dialect) | Self::CountTokens(dialect) => dialect,
            Self::Embeddings => Dialect::Chat,
            Self::Rerank(_) => Dialect::Rerank,
            Self::Kept(_) => Dialect::Responses,
            _ if headers.contains_key(ANTHROPIC_VERSION) => Dialect::Messages,
            _ if headers.contains_key("x-goog-api-key") => Dialect::GenerateContent,
            _ => Dialect::Chat,
        }
    }

    /// Is the method the right one? Else the ones that are.
    pub fn check_method(self, method: &Method) -> Result<(), &'static str> {
        let allowed = match self {
            Self::Conversation(_) | Self::Embeddings | Self::Rerank(_) | Self::CountTokens(_) => "POST",
            Self::Kept(methods) => methods,
            Self::Models | Self::Model(_) | Self::Health | Self::Realtime => "GET",
            // What is forwarded has methods of its own; these two are about connections.
            Self::Forwarded { .. } if matches!(*method, Method::CONNECT | Method::TRACE) => "GET, POST, DELETE",
            Self::Forwarded { .. } | Self::Unknown => return Ok(()),
        };
        let head = allowed == "GET" && method == Method::HEAD;
        if allowed.split(", ").any(|one| one == method.as_str()) || head { Ok(()) } else { Err(allowed) }
    }
}

/// The client's token. Browsers that open a WebSocket have it among the subprotocols. Google's REST examples have it in the query, where it is not looked for.
pub fn token(parts: &Parts) -> Result<&str, AuthError> {
    let in_query = |query: &str| query.split('&').any(|pair| pair.split('=').next() == Some("key"));
    tollgate_auth::bearer(&parts.headers).or_else(|error| match error {
        AuthError::Missing => match realtime::token(&parts.headers) {
            Some(token) => Ok(token),
            None if parts.uri.query().is_some_and(in_query) => Err(AuthError::InQuery),
            None => Err(AuthError::Missing),
        },
        other => Err(other),
    })
}

/// What Gemini's path says: `/v1beta/models/{model}:streamGenerateContent`, or Vertex AI's
/// `/v1/projects/../locations/../publishers/google/models/{model}:generateContent`; the same with `:countTokens`.
#[derive(Debug, PartialEq, Eq)]
pub struct Generate {
    /// The model.
    pub model: String,
    /// Streamed?
    pub stream: bool,
    /// As one JSON array, which it is without `?alt=sse`.
    pub array: bool,
}

impl Generate {
    /// The model may hold `:` and `/`, escaped or not.
    pub fn of(uri: &Uri) -> Result<Self, Fault> {
        let read = || {
            let (_, rest) = uri.path().split_once("/models/")?;
            let (model, method) = rest.rsplit_once(':')?;
            let model = percent_encoding::percent_decode_str(model).decode_utf8().ok()?.into_owned();
            let stream = method == "streamGenerateContent";
            let events = uri.query().unwrap_or_default().split('&').any(|pair| pair == "alt=sse");
            Some(Self { model, stream, array: stream && !events })
        };
        read().filter(|generate| !generate.model.is_empty()).ok_or_else(|| {
            let message = "the path names no model: it ends in /models/MODEL:generateContent, :streamGenerateContent or :countTokens";
            Fault::new(FaultKind::NotFound, message).with_param("model").with_code("unknown_path")
        })
    }
}

/// The body of a request to one of Azure's deployments, which is the model whatever the body says.
pub fn for_deployment(path: &str, body: Bytes) -> Result<Bytes, Fault> {
    let Some(deployment) = below_azure(path).0 else { return Ok(body) };
    let model = percent_encoding::percent_decode_str(deployment).decode_utf8_lossy().into_owned();
    let named = Amendments { overrides: vec![("model".to_owned(), model.into())], ..Amendments::default() };
    named.apply(Dialect::Chat, &body).map_err(WireError::into_fault)
}

/// The client's request id if it is a sensible one, else a new one.
pub fn request_id(headers: &HeaderMap) -> String {
    let sensible = |id: &&str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic());
    let own = headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).filter(sensible);
    own.map_or_else(new_request_id, str::to_owned)
}

/// 128 random bits. By hand: every request without an id of its own gets one, and `format!` takes six times as long.
fn new_request_id() -> String {
    let mut id = *b"req_00000000000000000000000000000000";
    let mut bits = fastrand::u128(..);
    for digit in id.iter_mut().skip(4) {
        let value = (bits & 0xf) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' - 10 + value };
        bits >>= 4;
    }
    String::from_utf8_lossy(&id).into_owned()
}

/// The flags of all `anthropic-beta` headers: repeated, comma-separated, or both.
pub fn betas(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(ANTHROPIC_BETA).iter().filter_map(|value| value.to_str().ok());
    let flags = values.flat_map(|value| value.split(',')).map(str::trim).filter(|flag| !flag.is_empty());
    flags.map(str::to_owned).collect()
}

/// Refuses what its headers already say that we cannot read.
pub fn check_headers(parts: &Parts) -> Result<(), Fault> {
    let text = |name: HeaderName| parts.headers.get(name).map(HeaderValue::as_bytes);
    if let Some(encoding) = text(CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        let encoding = String::from_utf8_lossy(encoding.get(..32).unwrap_or(encoding)).into_owned();
        let message = format!("content-encoding {encoding:?} is not served: send the body uncompressed");
        return Err(Fault::new(FaultKind::UnsupportedMedia, message));
    }
    // curl's default, a form, is let through: what matters is whether the body is JSON.
    let kind = text(CONTENT_TYPE).map(<[u8]>::trim_ascii_start);
    if kind.and_then(|kind| kind.get(..10)).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/")) {
        return Err(Fault::new(FaultKind::UnsupportedMedia, "expected content-type application/json"));
    }
    Ok(())
}

/// Reads the body, up to `limit` bytes and the request's deadline.
pub async fn body(parts: &Parts, mut body: Body, limit: u64, deadline: Instant) -> Result<Bytes, Fault> {
    let too_large = || {
        let message =
            format!("the request body is larger than the {limit} bytes that this gateway takes (request.maxBodyBytes)");
        Fault::new(FaultKind::TooLarge, message)
    };
    let announced = announced_bytes(&parts.headers);
    if announced.is_some_and(|length| length > limit) {
        drain(body).await;
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    loop {
        let until = deadline.min(Instant::now() + BODY_IDLE);
        let frame = match within(until, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(_))) => {
                return Err(Fault::new(FaultKind::InvalidRequest, "the request body could not be read"));
            }
            Err(_) => return Err(Fault::new(FaultKind::Timeout, "the request body did not arrive in time")),
        };
        let Ok(data) = frame.into_data() else { continue };
        if (first.len() + whole.len() + data.len()) as u64 > limit {
            drain(body).await;
            return Err(too_large());
        }
        match (first.is_empty(), whole.is_empty()) {
            (true, true) => first = data,
            (false, true) => {
                whole.reserve(announced.map_or(0, |n| usize::try_from(n).unwrap_or(0)).max(first.len() + data.len()));
                whole.extend_from_slice(&first);
                whole.extend_from_slice(&data);
                first = Bytes::new();
            }
            _ => whole.extend_from_slice(&data),
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads the small body of a request that was refused by its head.
pub async fn drain_refused(parts: &Parts, body: Body) {
    if announced_bytes(&parts.headers).is_some_and(|bytes| bytes <= REFUSED_DRAIN_BYTES) {
        let _ = tokio::time::timeout(REFUSED_DRAIN, drain(body)).await;
    }
}

/// Reads what a refused client is still sending, within bounds: a connection that is closed under unread data is reset, and the answer lost.
async fn drain(mut body: Body) {
    let read = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > DRAIN_BYTES {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(BODY_IDLE, read).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_found_by_suffix_under_any_prefix() {
        let config = Config::default();
        for (path, route) in [
            ("/v1/chat/completions", Route::Conversation(Dialect::Chat)),
            ("/prod/v1/messages", Route::Conversation(Dialect::Messages)),
            ("/v1/models", Route::Models),
            ("/chat/completions", Route::Conversation(Dialect::Chat)),
            ("/models/gpt-4.1", Route::Model("gpt-4.1")),
            ("/openai/responses", Route::Conversation(Dialect::Responses)),
            ("/openai/deployments/gpt-4.1/chat/completions", Route::Conversation(Dialect::Chat)),
            ("/openai/deployments/a%2Fb/embeddings", Route::Embeddings),
            ("/team/chat/completions", Route::Unknown),
            ("/openai/deployments/chat/completions", Route::Unknown),
            (
                "/v1/models/us.anthropic.claude-sonnet-4-20250514-v1:0",
                Route::Model("us.anthropic.claude-sonnet-4-20250514-v1:0"),
            ),
            ("/v1beta/models/gemini-2.5-pro:generateContent", Route::Conversation(Dialect::GenerateContent)),
            ("/v1beta/models/gemini-2.5-pro:countTokens", Route::CountTokens(Dialect::GenerateContent)),
            ("/v1beta/models/gemini-2.5-pro", Route::Model("gemini-2.5-pro")),
            ("/v1beta/models/gemini-embedding-001:batchEmbedContents", Route::Unknown),
            ("/v1beta/models", Route::Models),
            ("/v1/responses", Route::Conversation(Dialect::Responses)),
            ("/v1/embeddings", Route::Embeddings),
            ("/v1/messages/count_tokens", Route::CountTokens(Dialect::Messages)),
            ("/v1/responses/input_tokens", Route::CountTokens(Dialect::Responses)),
            ("/prod/v2/rerank", Route::Rerank(Version::V2)),
            ("/v1/rerank", Route::Rerank(Version::V1)),
            ("/prod/v1/responses/resp_1", Route::Kept("GET, DELETE")),
            ("/v1/responses/resp_1/cancel", Route::Kept("POST")),
            ("/v1/responses/resp_1/input_items", Route::Kept("GET")),
            ("/v1/responses/compact", Route::Unknown),
            ("/v1/responses/resp_1/other", Route::Unknown),
            ("/v1/responses/resp_1%2f..", Route::Unknown),
            ("/v1/nothing", Route::Unknown),
        ] {
            assert_eq!(Route::of(&config, path), route, "{path}");
        }
    }

    #[test]
    fn geminis_path_says_model_and_streaming() {
        let generate = |uri: &str| Generate::of(&uri.parse().unwrap());
        for (uri, model, stream, array) in [
            ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", false, false),
            ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini-2.5-pro", true, false),
            ("/v1/models/gemini-2.5-pro:streamGenerateContent?x=1", "gemini-2.5-pro", true, true),
            ("/v1/projects/p/locations/l/publishers/google/models/m:generateContent?alt=sse", "m", false, false),
            ("/v1beta/models/us.amazon.nova-lite-v1%3A0:generateContent", "us.amazon.nova-lite-v1:0", false, false),
            ("/v1beta/models/us.amazon.nova-lite-v1:0:generateContent", "us.amazon.nova-lite-v1:0", false, false),
            ("/v1beta/models/meta/llama%2D4:generateContent", "meta/llama-4", false, false),
        ] {
            assert_eq!(generate(uri).unwrap(), Generate { model: model.to_owned(), stream, array }, "{uri}");
        }
        for uri in ["/v1beta/models/:generateContent", "/gen:generateContent", "/v1beta/models/%ff:generateContent"] {
            assert_eq!(generate(uri).unwrap_err().kind, FaultKind::NotFound, "{uri}");
        }
    }

    #[test]
    fn a_deployment_of_azures_is_the_model_whatever_the_body_says() {
        let body = |path: &str, body: &'static str| for_deployment(path, Bytes::from_static(body.as_bytes())).unwrap();
        let path = "/openai/deployments/meta%2Fllama/chat/completions";
        assert_eq!(body(path, r#"{"model":"x","n":1}"#), r#"{"model":"meta/llama","n":1}"#);
        assert_eq!(body(path, r#"{"n":1}"#), r#"{"model":"meta/llama","n":1}"#);
        assert_eq!(body("/chat/completions", r#"{"model":"x"}"#), r#"{"model":"x"}"#);
    }

    #[test]
    fn a_key_in_the_query_is_refused_by_name() {
        let token = |uri: &str, key: Option<&'static str>| {
            let mut request = http::Request::builder().uri(uri);
            if let Some(key) = key {
                request = request.header("x-goog-api-key", key);
            }
            token(&request.body(()).unwrap().into_parts().0).map(str::to_owned)
        };
        assert_eq!(token("/v1beta/models/m:generateContent?alt=sse&key=a.b.c", None), Err(AuthError::InQuery));
        assert_eq!(token("/v1beta/models/m:generateContent?monkey=1", None), Err(AuthError::Missing));
        assert_eq!(token("/v1beta/models/m:generateContent?key=x", Some("a.b.c")).as_deref(), Ok("a.b.c"));
    }

    #[test]
    fn a_kept_response_is_read_or_deleted_and_not_written() {
        let kept = Route::Kept("GET, DELETE");
        assert_eq!(kept.check_method(&Method::GET), Ok(()));
        assert_eq!(kept.check_method(&Method::DELETE), Ok(()));
        assert_eq!(kept.check_method(&Method::POST), Err("GET, DELETE"));
    }

    #[test]
    fn a_sensible_request_id_is_kept_and_another_is_replaced() {
        let with = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_str(id).unwrap());
            request_id(&headers)
        };
        assert_eq!(with("abc-1"), "abc-1");
        for id in ["", "a b", &"x".repeat(129)] {
            let new = with(id);
            let digits = new.strip_prefix("req_").unwrap();
            assert!(digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{new}");
        }
    }

    #[tokio::test]
    async fn a_body_that_trickles_in_ends_at_the_deadline() {
        let pieces = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b" ")), ()))
        });
        let (parts, ()) = http::Request::new(()).into_parts();
        let deadline = Instant::now() + Duration::from_millis(100);
        let fault = body(&parts, Body::from_stream(pieces), 1 << 20, deadline).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Timeout);
    }

    #[test]
    fn a_health_check_answers_a_wrong_method_as_every_path_does() {
        assert_eq!(Route::Health.check_method(&Method::POST), Err("GET"));
        assert_eq!(Route::Health.check_method(&Method::HEAD), Ok(()));
    }

    #[test]
    fn beta_flags_are_collected_from_every_header() {
        let mut headers = HeaderMap::new();
        headers.append("anthropic-beta", HeaderValue::from_static("a, b"));
        headers.append("anthropic-beta", HeaderValue::from_static("c,"));
        assert_eq!(betas(&headers), ["a", "b", "c"]);
    }
}
