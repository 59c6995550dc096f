//! The routes.

use std::sync::Arc;

use axum::BoxError;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::MethodRouter;
use bytes::Bytes;
use http::Request;
use tower::ServiceExt;

use crate::host::native::{Answered, Watched};
use crate::reload::Live;
use crate::{accept, pipeline};

/// All routes. Route types are found by path suffix, so all but the health check is one entry.
pub fn router(live: Live) -> Router {
    let alive = health().get(accept::health);
    let healthy = health().get(accept::healthz);
    Router::new().route("/", alive).route("/healthz", healthy).fallback(pipeline::entry).with_state(live)
}

/// The way in of the native server: what is surely the pipeline's goes there without the table of routes, which hands each request through three boxes.
#[derive(Debug, Clone)]
pub struct Door(Arc<(Live, Router)>);

impl Door {
    /// `routes`: those of [`router`], and what the host has beside them, nothing of it below `/v1`.
    pub fn new(live: Live, routes: Router) -> Self {
        Self(Arc::new((live, routes)))
    }

    /// Answers one request.
    pub async fn answer<B>(self, request: Request<B>) -> Answered
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (live, routes) = &*self.0;
        let request = request.map(Body::new);
        let response = if request.uri().path().starts_with("/v1") {
            pipeline::entry(State(live.app()), request).await
        } else {
            // In a box: it is for the few.
            Box::pin(routes.clone().oneshot(request)).await?
        };
        Ok(response.map(Watched::new))
    }
}

fn health() -> MethodRouter<Live> {
    MethodRouter::new().fallback(pipeline::entry)
}
