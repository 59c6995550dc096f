//! What `realtime` is in a build without it: the Lambda build.

use std::sync::Arc;

use axum::response::Response;
use http::HeaderMap;
use http::request::Parts;
use tollgate_auth::Identity;
use tollgate_wire::codec::Dialect;
use tollgate_wire::ir::{Fault, FaultKind};

use crate::app::App;
use crate::books::Books;
use crate::pipeline::refuse;

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
    let message = "WebSockets are not served here: a Lambda function cannot. Connect to the gateway's native server (container, ECS), over HTTP/1.1";
    let fault = Fault::new(FaultKind::NotImplemented, message).with_code("websocket_not_supported");
    refuse(books, &fault, client, request_id).await
}
