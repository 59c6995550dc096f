//! Which path is which, and what an answer looks like.
//!
//! | path, under any prefix | answer |
//! |---|---|
//! | `POST /request` | the contract: HTTP 200, pass or reject |
//! | `POST /response` | the contract: pass, there is nothing to check |
//! | `POST /check` | the native form: HTTP 200 for yes and no, 4xx and 5xx for what was not decided |
//! | `GET /`, `GET /healthz` | `ok` |
//! | anything else | 404 or 405, and the body is a reject |
//!
//! Every answer that is no pass has a whole reject in its body, whatever its status and path: a gateway that asks at the wrong place must not read one.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Map, Value};
use tollgate_host::lambda::ByIam;
use tollgate_webhook::{Action, RequestBody};

use crate::app::App;
use crate::caller::Credentials;
use crate::decision::{Decision, Denied};

/// As much of an unwanted body is read, for so long.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_FOR: Duration = Duration::from_secs(2);

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Request,
    Response,
    Check,
    Health,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/" | "" | "/healthz" => Some(Self::Health),
            _ if path.ends_with("/request") => Some(Self::Request),
            _ if path.ends_with("/response") => Some(Self::Response),
            _ if path.ends_with("/check") => Some(Self::Check),
            _ => None,
        }
    }
}

/// All routes are found by the end of their path, so there is one entry.
pub fn router(app: App) -> Router {
    Router::new().fallback(fallback).with_state(app)
}

async fn fallback(State(app): State<App>, request: Request<Body>) -> Response {
    whole(entry(app, request)).await
}

/// A bug costs one request, and is a reject.
pub async fn whole(answering: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(answering).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a request has met a bug");
        native(&Decision::from(Denied::new(StatusCode::INTERNAL_SERVER_ERROR, "an internal error")))
    })
}

/// One request.
pub async fn entry(app: App, request: Request<Body>) -> Response {
    let route = Route::of(request.uri().path());
    let method = request.method().clone();
    match (route, &method) {
        (Some(Route::Health), &Method::GET | &Method::HEAD) => (StatusCode::OK, "ok\n").into_response(),
        (Some(Route::Request | Route::Response | Route::Check), &Method::POST) => {
            let (headers, by_iam, body) = match read(&app, request).await {
                Ok(parts) => parts,
                Err(denied) if route == Some(Route::Check) => return native(&denied.into()),
                Err(denied) => return contract(&Decision::from(denied).action()),
            };
            let credentials = Credentials { headers: &headers, by_iam };
            match route {
                Some(Route::Response) => contract(&Action::pass("nothing to check: an answer carries no usage")),
                Some(Route::Check) => match app.check(credentials, &body, SystemTime::now()).await {
                    Ok(decision) => json(StatusCode::OK, with_action(&decision).to_string()),
                    Err(denied) => native(&denied.into()),
                },
                _ => {
                    let decision = app.hook(credentials, &body, SystemTime::now()).await;
                    contract(&decision.action())
                }
            }
        }
        (Some(_), _) => {
            drain(request).await;
            native(&Denied::new(StatusCode::METHOD_NOT_ALLOWED, "this path has another method").into())
        }
        (None, _) => {
            drain(request).await;
            native(&Denied::new(StatusCode::NOT_FOUND, "there is nothing at this path").into())
        }
    }
}

/// A small body that nobody wants is read before the answer: left on the connection, it would cost the next request on it.
async fn drain(request: Request<Body>) {
    let _ = tokio::time::timeout(DRAIN_FOR, axum::body::to_bytes(request.into_body(), DRAIN_BYTES)).await;
}

impl App {
    /// The contract's question.
    pub async fn hook(&self, credentials: Credentials<'_>, body: &[u8], now: SystemTime) -> Decision {
        let decision = self.hooked(credentials, body, now).await;
        decision.inspect_err(Denied::log).unwrap_or_else(Decision::from)
    }

    async fn hooked(&self, credentials: Credentials<'_>, body: &[u8], now: SystemTime) -> Result<Decision, Denied> {
        let who = self.who_by_headers(credentials, now).await?;
        RequestBody::decode(body).map_err(|error| Denied::new(StatusCode::BAD_REQUEST, error.to_string()))?;
        let question = self.question(credentials.headers, body)?;
        Ok(self.decide(&who, &question, now).await)
    }
}

/// The parts of a request that answers are made from.
pub async fn read(app: &App, request: Request<Body>) -> Result<(HeaderMap, bool, Bytes), Denied> {
    let limit = usize::try_from(app.config.request.max_body_bytes()).unwrap_or(usize::MAX);
    let (parts, body) = request.into_parts();
    let by_iam = parts.extensions.get::<ByIam>().is_some();
    let body = axum::body::to_bytes(body, limit).await;
    let body = body.map_err(|_| {
        Denied::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body did not arrive, or is larger than {limit} bytes"))
    })?;
    Ok((parts.headers, by_iam, body))
}

/// An answer of the contract.
fn contract(action: &Action) -> Response {
    json(StatusCode::OK, action.encode())
}

/// An answer of the native form, with its status. What is no yes reads as a reject in the contract, too.
#[must_use]
pub fn native(decision: &Decision) -> Response {
    json(decision.refused.unwrap_or(StatusCode::OK), with_action(decision).to_string())
}

/// The native form with the contract's action in it.
#[must_use]
pub fn with_action(decision: &Decision) -> Value {
    let mut native = decision.native();
    let action: Map<String, Value> = serde_json::from_str(&decision.action().encode()).unwrap_or_default();
    if let Some(object) = native.as_object_mut() {
        object.extend(action);
    }
    native
}

/// JSON with a status.
pub fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
