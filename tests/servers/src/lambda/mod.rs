//! Lambda without AWS: the Runtime API for a function under test, and the front doors that put events into it.
//!
//! Five ports, all printed at the start:
//! - `runtime`: the Runtime API (set `AWS_LAMBDA_RUNTIME_API` to its host and port; several environments may poll)
//! - `invoke`: `POST /invoke` with an event; the function's raw answer comes back as it is written. `GET /stats`, `GET /health` (an ALB's check)
//! - `alb`, `albMulti`: an ALB target group in single-value and in multi-value header mode (`alb.rs`)
//! - `url`: a function URL with response streaming (`url.rs`)

mod alb;
mod runtime;
mod url;

use std::time::Duration;

use axum::Router;
use axum::routing::{any, get, post};
use serde_json::json;
use tokio::net::TcpListener;

use alb::TargetGroup;
use runtime::Function;

/// How long who waits.
#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    /// The function's own: how long an invocation may take.
    pub(crate) function: Duration,
    /// The load balancer's.
    pub(crate) idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { function: Duration::from_secs(60), idle: Duration::from_secs(60) }
    }
}

/// Serves until the process ends.
pub(crate) async fn serve(timeouts: Timeouts) -> std::io::Result<()> {
    let function = Function::new(timeouts.function);
    let group = |multi| TargetGroup { function: function.clone(), multi, idle_timeout: timeouts.idle };
    let api = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(runtime::next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(runtime::response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(runtime::error))
        .route("/2018-06-01/runtime/init/error", post(runtime::init_error))
        .with_state(function.clone());
    let invoke = Router::new()
        .route("/invoke", post(runtime::invoke))
        .route("/stats", get(runtime::stats))
        .with_state(function.clone())
        .merge(Router::new().route("/health", get(alb::health)).with_state(group(true)));
    let single = Router::new().fallback(any(alb::forward)).with_state(group(false));
    let multi = Router::new().fallback(any(alb::forward)).with_state(group(true));
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
