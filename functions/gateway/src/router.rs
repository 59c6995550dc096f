//! The routes.

use axum::Router;
use axum::routing::{MethodRouter, get};

use crate::app::App;
use crate::{accept, pipeline};

/// All routes. Route types are found by path suffix, so all but the health check is one entry.
pub fn router(app: App) -> Router {
    Router::new().route("/", health()).route("/healthz", health()).fallback(pipeline::entry).with_state(app)
}

fn health() -> MethodRouter<App> {
    get(accept::health).fallback(pipeline::entry)
}
