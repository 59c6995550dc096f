//! The rate limiter: may this team send one more request this minute? It counts the request in the same ledger as the gateway, and has nothing to
//! settle. What it serves is `tollgate_hooks`' business; `docs/functions.md` says how to call it.

use std::time::{Instant, SystemTime};

use axum::Router;
use serde_json::Value;
use tollgate_hooks::run::Function;
use tollgate_hooks::{App, service};
use tollgate_host::lambda::Failed;
use tollgate_limits::What;

/// The function.
#[derive(Debug, Clone)]
pub struct RateLimiter(App);

impl Function for RateLimiter {
    const NAME: &'static str = "rate-limiter";
    const PORT: u16 = 8788;
    const WHAT: What = What::Request;

    fn new(app: App) -> Self {
        Self(app)
    }

    fn router(&self) -> Router {
        service::router(self.0.clone())
    }

    /// Every event that is not HTTP is a check: what is none is refused by it.
    async fn event(&self, event: Value, _ends: Instant) -> Result<Value, Failed> {
        Ok(service::with_action(&self.0.check_invoked(event, SystemTime::now()).await))
    }
}
