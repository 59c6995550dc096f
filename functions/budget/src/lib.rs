//! The budget function: has this team tokens and money left? It reserves what a request may cost. The contract tells it nothing of what it did
//! cost, so usage reaches it by other ways, and what nobody reports is charged its estimate.
//!
//! | what arrives | |
//! |---|---|
//! | `/request`, `/response`, `/check` | as in the rate limiter: `tollgate_hooks` |
//! | `POST /settle`, or `{"settlements": [...]}` by direct invocation | [`settle`]: usage in our own form |
//! | `POST /v1/usage`, `POST /v1/logs` | [`otlp`]: the access log of another gateway, OTLP/HTTP |
//! | `{"awslogs": ...}` | [`awslogs`]: the same log, from CloudWatch Logs |
//! | an EventBridge schedule, or `{"tollgate": "sweep"}` | [`sweep`]: charge what has expired, send the warnings of budgets |
//!
//! Usage is believed of trusted callers only: whoever may report it spends the money of every team.

pub mod attributes;
pub mod awslogs;
pub mod bus;
mod gunzip;
pub mod otlp;
pub mod report;
pub mod settle;
pub mod sweep;

use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Method, Request};
use serde_json::{Value, json};
use tollgate_hooks::run::Function;
use tollgate_hooks::{App, service};
use tollgate_host::lambda::Failed;
use tollgate_limits::What;

use crate::bus::Bus;

/// An invocation stops its work so long before it ends.
const MARGIN: Duration = Duration::from_secs(5);
/// The native server sweeps this often; in an account the schedule does.
const EVERY: Duration = Duration::from_secs(60);

/// The function.
#[derive(Debug, Clone)]
pub struct Budget {
    /// What it shares with the rate limiter.
    pub app: App,
    /// Where warnings go.
    pub bus: Bus,
}

impl Budget {
    /// With a bus of one's own.
    #[must_use]
    pub fn with(app: App, bus: Bus) -> Self {
        Self { app, bus }
    }
}

impl Function for Budget {
    const NAME: &'static str = "budget";
    const PORT: u16 = 8789;
    const WHAT: What = What::Spend;
    const ONCE: Option<(&'static str, &'static str)> = Some(("sweep", "sweep once"));

    fn new(app: App) -> Self {
        let bus = Bus::new(std::env::var("TOLLGATE_EVENT_BUS").ok(), app.aws.clone());
        Self { app, bus }
    }

    fn router(&self) -> Router {
        Router::new().fallback(entry).with_state(self.clone())
    }

    async fn event(&self, event: Value, ends: Instant) -> Result<Value, Failed> {
        let until = ends.checked_sub(MARGIN).unwrap_or(ends);
        if is_sweep(&event) {
            return sweep::run(&self.app, &self.bus, SystemTime::now(), until).await.map_err(Failed);
        }
        if let Some(logs) = event.get("awslogs") {
            return awslogs::take(&self.app, logs, SystemTime::now()).await.map_err(Failed);
        }
        if event.get("settlements").is_some() {
            return settle::invoked(&self.app, event, SystemTime::now()).await.map_err(Failed);
        }
        Ok(service::with_action(&self.app.check_invoked(event, SystemTime::now()).await))
    }

    async fn once(&self) -> Result<String, String> {
        let until = Instant::now() + EVERY;
        sweep::run(&self.app, &self.bus, SystemTime::now(), until).await.map(|swept| format!("{swept}\n"))
    }

    async fn beside(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            let until = Instant::now() + EVERY;
            match sweep::run(&self.app, &self.bus, SystemTime::now(), until).await {
                Ok(swept) => tracing::debug!(sweep.outcome = %swept, "swept"),
                Err(error) => tracing::error!(error.cause = %error, "the sweep failed; the next one is in a minute"),
            }
        }
    }
}

/// An EventBridge rule's schedule, EventBridge Scheduler, or our own word for it.
fn is_sweep(event: &Value) -> bool {
    let is =
        |field: &str, values: &[&str]| event.get(field).and_then(Value::as_str).is_some_and(|v| values.contains(&v));
    is("source", &["aws.events", "aws.scheduler"]) || is("tollgate", &["sweep"]) || *event == json!("sweep")
}

async fn entry(State(budget): State<Budget>, request: Request<Body>) -> Response {
    let path = request.uri().path();
    let post = request.method() == Method::POST;
    if post && path.ends_with("/settle") {
        return service::whole(settle::entry(budget.app, request)).await;
    }
    if post && (path.ends_with("/v1/usage") || path.ends_with("/v1/logs")) {
        return service::whole(otlp::entry(budget.app, request)).await;
    }
    service::whole(service::entry(budget.app, request)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_told_from_the_rest() {
        for event in [
            json!({"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}),
            json!({"source": "aws.scheduler", "detail-type": "Scheduled Event"}),
            json!({"tollgate": "sweep"}),
        ] {
            assert!(is_sweep(&event), "{event}");
        }
        for event in
            [json!({"team": "a"}), json!({"source": "aws.s3"}), json!({"tollgate": "x"}), json!(null), json!([])]
        {
            assert!(!is_sweep(&event), "{event}");
        }
    }
}
