//! Lambda: the same router, one event at a time, or several where the platform allows (`AWS_LAMBDA_MAX_CONCURRENCY`).
//!
//! Buffered (the default, behind an ALB target group): a streamed answer arrives whole, still valid SSE. What does not fit through the front
//! door is an error of ours: the load balancer would make a bare 502 of it. Streaming (`TOLLGATE_RESPONSE_MODE=stream`): function URLs and
//! API Gateway with response streaming.

use std::sync::Arc;
use std::time::Duration;

use ::tower::ServiceExt;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::BodyExt;
use lambda_http::request::RequestContext;
use lambda_http::{RequestExt, tower};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tollgate_telemetry::metric::{self, count};
use tollgate_wire::codec::Dialect;
use tollgate_wire::ir::{Fault, FaultKind};

use crate::pipeline::{ClientDialect, HOST_MARGIN, HostDeadline};
use crate::reload::Live;
use crate::{accept, error, router};

/// A function's answer to an ALB, as JSON: <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html>.
const ALB_LIMIT_BYTES: usize = 1024 * 1024;
/// A buffered answer to any other front door: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const INVOKE_LIMIT_BYTES: usize = 6 * 1024 * 1024;

/// The longest that an event waits for the first configuration.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// What an environment serves: a configuration that is there, or one that has yet to come.
pub struct Start {
    ready: OnceCell<(Live, Router)>,
    fetch: Fetch,
}

/// Gets the first configuration; again if it failed.
pub type Fetch = Box<dyn Fn() -> BoxFuture<'static, Result<Live, String>> + Send + Sync>;

impl Start {
    /// It is there.
    pub fn ready(live: Live) -> Self {
        let router = router::router(live.clone());
        let fetch: Fetch = Box::new(|| Box::pin(std::future::ready(Err("it is there".to_owned()))));
        Self { ready: OnceCell::new_with(Some((live, router))), fetch }
    }

    /// It has yet to come: events wait for it.
    pub fn waiting(fetch: Fetch) -> Self {
        Self { ready: OnceCell::new(), fetch }
    }

    /// What serves the event that is there now. A fetch that is under way is joined; after one that failed, this event's own begins. Looks for a new
    /// configuration when it is time, beside the event.
    pub async fn router(&self) -> Result<Router, String> {
        let (live, router) = match self.ready.get() {
            Some(ready) => ready,
            None => {
                let first = Box::pin(self.ready.get_or_try_init(|| self.first()));
                let late = |_| Err(format!("no configuration within {} s", FIRST_WAIT.as_secs()));
                tokio::time::timeout(FIRST_WAIT, first).await.unwrap_or_else(late)?
            }
        };
        live.refresh_if_due();
        Ok(router.clone())
    }

    async fn first(&self) -> Result<(Live, Router), String> {
        let live = (self.fetch)().await.inspect_err(|cause| {
            tracing::error!(error.cause = %cause, "there is no configuration to begin with; the next request tries again");
            count(&metric::CONFIGURATION_REFUSED, &["unavailable"]);
        })?;
        live.app().warm();
        let router = router::router(live.clone());
        Ok((live, router))
    }

    /// Begins in the background what the first event would otherwise wait for.
    fn warm(self: &Arc<Self>) {
        if let Some((live, _)) = self.ready.get() {
            return live.app().warm();
        }
        let start = Arc::clone(self);
        tokio::spawn(async move { start.router().await.map(drop) });
    }
}

/// Answers events until the environment is taken away.
pub async fn run(start: Start, stream: bool) -> Result<(), lambda_http::Error> {
    let start = Arc::new(start);
    start.warm();
    if stream {
        let service = tower::service_fn(move |event| {
            let start = Arc::clone(&start);
            async move {
                match start.router().await {
                    Ok(router) => streamed(router, event).await,
                    Err(cause) => streamed(without(&cause), event).await,
                }
            }
        });
        return lambda_http::run_with_streaming_response_concurrent(service).await;
    }
    let service = tower::service_fn(move |event| {
        let start = Arc::clone(&start);
        async move {
            match start.router().await {
                Ok(router) => buffered(router, event).await,
                Err(cause) => buffered(without(&cause), event).await,
            }
        }
    });
    lambda_http::run_concurrent(service).await
}

/// Answers everything with the news that there is no configuration; the health check, too.
pub fn without(cause: &str) -> Router {
    let text = "the gateway has no configuration yet; try again in a moment";
    let fault = Fault::new(FaultKind::Overloaded, text).with_code("no_configuration");
    let fault = Fault { retry_after: Some(Duration::from_secs(1)), ..fault };
    tracing::warn!(error.cause = cause, "a request found no configuration");
    Router::new().fallback(move |headers: HeaderMap| {
        let id = accept::request_id(&headers);
        let client = if headers.contains_key("anthropic-version") { Dialect::Messages } else { Dialect::Chat };
        let response = error::response(&fault, client, &id);
        std::future::ready(([(accept::X_REQUEST_ID, id)], response))
    })
}

/// One event, answered as its body comes.
pub async fn streamed(router: Router, event: lambda_http::Request) -> Result<Response<Body>, std::convert::Infallible> {
    router.oneshot(request(event)).await
}

/// One event, answered whole.
pub async fn buffered(
    router: Router,
    event: lambda_http::Request,
) -> Result<Response<lambda_http::Body>, std::convert::Infallible> {
    let (door, limit) = match event.request_context_ref() {
        Some(RequestContext::Alb(_)) => ("an Application Load Balancer", ALB_LIMIT_BYTES),
        _ => ("a buffered Lambda invocation", INVOKE_LIMIT_BYTES),
    };
    let response = router.oneshot(request(event)).await?;
    let client = response.extensions().get::<ClientDialect>().map_or(Dialect::Chat, |client| client.0);
    let (mut parts, body) = response.into_parts();
    // Our bodies do not fail: they end with an error event instead.
    let mut bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let size = envelope_bytes(&parts.headers, &bytes);
    if size > limit {
        let request_id = parts.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        let replacement = error::response(&too_large(door, size, limit), client, request_id);
        tracing::warn!(
            request.id = request_id,
            response.bytes = size,
            response.limit_bytes = limit,
            "an answer did not fit through the front door"
        );
        let (new, body) = replacement.into_parts();
        parts.status = new.status;
        parts.headers.extend(new.headers);
        bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    }
    Ok(Response::from_parts(parts, lambda_body(bytes)))
}

fn too_large(door: &str, size: usize, limit: usize) -> Fault {
    let message = format!(
        "the answer takes {size} bytes, and {door} carries at most {limit}. Lower max_tokens, or use the gateway's streaming function URL or its \
         native server, which have no such limit"
    );
    Fault::new(FaultKind::TooLarge, message).with_code("response_too_large")
}

fn request(event: lambda_http::Request) -> Request<Body> {
    let left = event.lambda_context_ref().and_then(tollgate_host::lambda::time_left);
    let path = event.raw_http_path().to_owned();
    let (mut parts, body) = event.into_parts();
    parts.uri = without_stage(&parts.uri, path);
    if let Some(left) = left {
        parts.extensions.insert(HostDeadline(Instant::now() + left.saturating_sub(HOST_MARGIN)));
    }
    let body = match body {
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    };
    Request::from_parts(parts, body)
}

/// API Gateway's stage is no part of the path that a client means.
fn without_stage(uri: &Uri, path: String) -> Uri {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Uri::try_from(path + &query).unwrap_or_else(|_| uri.clone())
}

fn lambda_body(bytes: Bytes) -> lambda_http::Body {
    match String::from_utf8(bytes.into()) {
        Ok(text) if text.is_empty() => lambda_http::Body::Empty,
        Ok(text) => lambda_http::Body::Text(text),
        Err(error) => lambda_http::Body::Binary(error.into_bytes()),
    }
}

/// The size of the JSON document that carries an answer: headers twice (single and multi-value), the body as a JSON string.
fn envelope_bytes(headers: &HeaderMap, body: &[u8]) -> usize {
    let headers: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 10).sum();
    let escaped: usize = match std::str::from_utf8(body) {
        Ok(_) => body.iter().map(|byte| escaped_bytes(*byte)).sum(),
        Err(_) => body.len().div_ceil(3) * 4,
    };
    200 + 2 * headers + escaped
}

fn escaped_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_an_answer_is_that_of_its_json() {
        for body in ["plain", "a \"quoted\"\n\tline\u{1}", "\u{e9}\u{4e2d}"] {
            let json = serde_json::to_string(body).unwrap();
            assert_eq!(envelope_bytes(&HeaderMap::new(), body.as_bytes()), 200 + json.len() - 2, "{body:?}");
        }
    }
}
