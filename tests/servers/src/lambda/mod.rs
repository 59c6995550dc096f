//! Lambda without AWS: the Runtime API for a function under test, and the front doors that put events into it.
//!
//! Five ports, all printed at the start:
//! - `runtime`: the Runtime API (set `AWS_LAMBDA_RUNTIME_API` to its host and port; several environments may poll)
//! - `invoke`: `POST /invoke` with an event; the function's raw answer comes back as it is written
//! - `alb`, `albMulti`: an ALB target group in single-value and in multi-value header mode (`alb.rs`)
//! - `url`: a function URL with response streaming (`url.rs`)

mod alb;
mod runtime;
mod url;

use axum::Router;
use axum::routing::{any, get, post};
use serde_json::json;
use tokio::net::TcpListener;

use runtime::Function;

/// Serves until the process ends.
pub(crate) async fn serve() -> std::io::Result<()> {
    let function = Function::default();
    let api = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(runtime::next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(runtime::response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(runtime::error))
        .route("/2018-06-01/runtime/init/error", post(runtime::init_error))
        .with_state(function.clone());
    let invoke = Router::new()
        .route("/invoke", post(runtime::invoke))
        .route("/stats", get(runtime::stats))
        .with_state(function.clone());
    let single = Router::new().fallback(any(alb::single)).with_state(function.clone());
    let multi = Router::new().fallback(any(alb::multi)).with_state(function.clone());
    let url = Router::new().fallback(any(url::forward)).with_state(function);

    let mut addresses = json!({});
    let mut servers = tokio::task::JoinSet::new();
    for (name, app) in [("runtime", api), ("invoke", invoke), ("alb", single), ("albMulti", multi), ("url", url)] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses[name] = json!(format!("http://{}", listener.local_addr()?));
        servers.spawn(async move { axum::serve(listener, app).await });
    }
    addresses["listen"] = addresses["invoke"].clone();
    crate::announce(&addresses)?;
    match servers.join_next().await {
        Some(Ok(ended)) => ended,
        _ => Ok(()),
    }
}
