//! The routes.

use axum::Router;
use axum::routing::MethodRouter;

use crate::reload::Live;
use crate::{accept, pipeline};

/// All routes. Route types are found by path suffix, so all but the health check is one entry.
pub fn router(live: Live) -> Router {
    let alive = health().get(accept::health);
    let healthy = health().get(accept::healthz);
    Router::new().route("/", alive).route("/healthz", healthy).fallback(pipeline::entry).with_state(live)
}

fn health() -> MethodRouter<Live> {
    MethodRouter::new().fallback(pipeline::entry)
}
