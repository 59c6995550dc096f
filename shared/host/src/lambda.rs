//! One event loop for all that reaches a function: HTTP behind any front door (ALB, function URL, API Gateway), and events that are none
//! (schedules, log subscriptions, direct invocations).
//!
//! 1. An event with a `requestContext` is HTTP. It goes through the router, and its answer back in the form of its front door.
//! 2. Everything else goes to the function's own handler, as JSON.
//!
//! An HTTP answer is never an error of the invocation. The handler's error is one: a schedule and a log subscription are tried again by AWS.

use std::convert::Infallible;
use std::future::Future;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use lambda_http::lambda_runtime::{Context, Diagnostic};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::tower::Service;
use lambda_http::{Adapter, LambdaEvent, RequestExt};
use serde_json::Value;
use tower::ServiceExt;

/// What our own gateway writes as the API id of the requests with which it invokes a function. No front door does: their ids are AWS's.
const INVOKED_BY_TOLLGATE: &str = "tollgate";

/// The caller was authenticated by IAM: a front door says so, or there is none. In a request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByIam;

/// An event that could not be handled; AWS may try it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed(pub String);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl From<Failed> for Diagnostic {
    fn from(failed: Failed) -> Self {
        Self { error_type: "Failed".to_owned(), error_message: failed.0 }
    }
}

/// Are we in Lambda?
pub fn detected() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Answers events until the environment is taken away. `other` gets what is not HTTP, and when the invocation ends.
pub async fn run<H, F>(router: Router, other: H) -> Result<(), lambda_http::Error>
where
    H: Fn(Value, Instant) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Value, Failed>> + Send + 'static,
{
    let service = lambda_http::service_fn(move |event: LambdaEvent<Value>| {
        let (router, other) = (router.clone(), other.clone());
        async move { answer(router, &other, event).await }
    });
    lambda_http::lambda_runtime::run_concurrent(service).await
}

/// One event, answered.
pub async fn answer<H, F>(router: Router, other: &H, event: LambdaEvent<Value>) -> Result<Value, Failed>
where
    H: Fn(Value, Instant) -> F,
    F: Future<Output = Result<Value, Failed>>,
{
    if event.payload.get("requestContext").is_none() {
        let ends = ends(&event.context);
        return other(event.payload, ends).await;
    }
    let LambdaEvent { payload, context } = event;
    let request: LambdaRequest = serde_json::from_value(payload).map_err(|error| Failed(error.to_string()))?;
    let service = tower::service_fn(move |request| through(router.clone(), request));
    let mut adapter = Adapter::from(service);
    let answered = adapter.call(LambdaEvent { payload: request, context }).await;
    let answered = answered.unwrap_or_else(|never: Infallible| match never {});
    serde_json::to_value(answered).map_err(|error| Failed(error.to_string()))
}

/// When the invocation ends. Without a deadline (tests, emulators): in a minute.
fn ends(context: &Context) -> Instant {
    let minute = Duration::from_secs(60);
    Instant::now() + time_left(context).map_or(minute, |left| left.min(15 * minute))
}

/// No invocation has ended before: 2014, when Lambda began.
const FIRST_DEADLINE_MS: u64 = 1_388_534_400_000;

/// How much time the invocation has. A deadline that has passed leaves none, which is not the same as no deadline: tests have none, and `cargo lambda watch` says the same
/// ten minutes of 1970 to everyone.
pub fn time_left(context: &Context) -> Option<Duration> {
    let stated = context.deadline >= FIRST_DEADLINE_MS;
    stated.then(|| context.deadline().duration_since(SystemTime::now()).unwrap_or_default())
}

async fn through(router: Router, event: lambda_http::Request) -> Result<Response<lambda_http::Body>, Infallible> {
    let response = router.oneshot(request(event)).await?;
    let (parts, body) = response.into_parts();
    // Our bodies are whole before they are answered; none fails.
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body = match String::from_utf8(bytes.into()) {
        Ok(text) if text.is_empty() => lambda_http::Body::Empty,
        Ok(text) => lambda_http::Body::Text(text),
        Err(error) => lambda_http::Body::Binary(error.into_bytes()),
    };
    Ok(Response::from_parts(parts, body))
}

fn request(event: lambda_http::Request) -> Request<Body> {
    let path = event.raw_http_path().to_owned();
    let by_iam = event.request_context_ref().is_some_and(is_by_iam);
    let (mut parts, body) = event.into_parts();
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // API Gateway's stage is no part of the path that a caller means.
    parts.uri = Uri::try_from(path + &query).unwrap_or(parts.uri);
    if by_iam {
        parts.extensions.insert(ByIam);
    }
    let body = match body {
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    };
    Request::from_parts(parts, body)
}

/// Callers have no say in `requestContext`: the front door writes it, or whoever may invoke the function, which is IAM's decision as well.
fn is_by_iam(context: &RequestContext) -> bool {
    match context {
        RequestContext::ApiGatewayV2(context) => {
            let authorized = context.authorizer.as_ref().and_then(|authorizer| authorizer.iam.as_ref());
            authorized.is_some_and(|iam| iam.user_arn.is_some())
                || context.apiid.as_deref() == Some(INVOKED_BY_TOLLGATE)
        }
        RequestContext::ApiGatewayV1(context) => context.identity.user_arn.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_deadline_leaves_time() {
        let left = |deadline| {
            let mut context = Context::default();
            context.deadline = deadline;
            time_left(&context)
        };
        let now_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let now_ms = u64::try_from(now_ms).unwrap();
        assert_eq!((left(0), left(600_000)), (None, None));
        assert_eq!(left(now_ms - 1_000), Some(Duration::ZERO));
        assert!(left(now_ms + 60_000).is_some_and(|left| left > Duration::from_secs(50)));
    }
}
