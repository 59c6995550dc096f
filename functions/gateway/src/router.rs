//! The routes.

use axum::Router;
use axum::routing::get;

use crate::app::App;
use crate::{accept, pipeline};

/// All routes. Route types are found by path suffix, so all but the health check is one entry.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(accept::health))
        .route("/healthz", get(accept::health))
        .fallback(pipeline::entry)
        .with_state(app)
}
