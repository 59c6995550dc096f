//! What `realtime` is in a build without it: the Lambda build.

use std::sync::Arc;

use axum::response::Response;
use http::HeaderMap;
use http::request::Parts;
use tollgate_auth::Identity;
use tollgate_wire::codec::Dialect;

use crate::app::App;
use crate::books::Books;
use crate::pipeline::{no_websocket, refuse};

/// Tokens among subprotocols are for WebSockets.
pub fn token(_: &HeaderMap) -> Option<&str> {
    None
}

/// Says who serves it.
pub async fn respond(
    _: &App,
    _: &Parts,
    client: Dialect,
    request_id: &str,
    books: Books,
    _: &Arc<Identity>,
) -> Response {
    refuse(books, &no_websocket(), client, request_id).await
}
