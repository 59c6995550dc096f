//! Usage in our own form: `POST /settle`, or by direct invocation.
//!
//! ```json
//! {"settlements": [{"request_id": "r-1", "team": "search", "model": "gpt-4o", "provider": "openAI", "input_tokens": 900, "output_tokens": 300}]}
//! ```
//!
//! `input_tokens` are those that no cache was read or written for; `cache_read_tokens`, `cache_write_tokens` and `cache_write_1h_tokens` (a part of
//! the writes) stand beside them, `reasoning_tokens` are a part of `output_tokens`. The same request id again changes nothing.

use std::time::SystemTime;

use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tollgate_hooks::App;
use tollgate_hooks::caller::{Credentials, Named, Who};
use tollgate_hooks::decision::{Decision, Denied};
use tollgate_hooks::service::{json, native, read};
use tollgate_wire::ir::Usage;

use crate::report::{Booked, Report, book};

/// Of one batch.
const MAX_REPORTS: usize = 1_000;
/// The longest id and name.
const MAX_BYTES: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    settlements: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settlement {
    request_id: String,
    team: Option<String>,
    tier: Option<String>,
    user: Option<String>,
    /// Instead of the team: a client of `auth.teams`.
    client_id: Option<String>,
    provider: Option<String>,
    model: String,
    served_model: Option<String>,
    input_tokens: Option<u64>,
    cache_read_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    cache_write_1h_tokens: Option<u64>,
    output_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    audio_input_tokens: Option<u64>,
    audio_output_tokens: Option<u64>,
}

/// Over HTTP. 503: send the same batch again; what was booked stays booked once.
pub async fn entry(app: App, request: Request<Body>) -> Response {
    match taken(&app, request).await {
        Ok(booked) => {
            let status = if booked.failed.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            json(status, booked.json().to_string())
        }
        Err(denied) => {
            denied.log();
            native(&Decision::from(denied))
        }
    }
}

async fn taken(app: &App, request: Request<Body>) -> Result<Booked, Denied> {
    let (headers, by_iam, body) = read(app, request).await?;
    let now = SystemTime::now();
    app.may_settle(Credentials { headers: &headers, by_iam }, now).await?;
    let bad = |error: serde_json::Error| Denied::new(StatusCode::BAD_REQUEST, format!("not a batch: {error}"));
    let batch: Value = serde_json::from_slice(&body).map_err(bad)?;
    batch_booked(app, batch, now).await.map_err(|reason| Denied::new(StatusCode::BAD_REQUEST, reason))
}

/// By direct invocation. An error (the ledger did not answer) makes AWS try an asynchronous invocation again.
pub async fn invoked(app: &App, batch: Value, now: SystemTime) -> Result<Value, String> {
    let booked = batch_booked(app, batch, now).await?;
    if booked.failed.is_empty() {
        Ok(booked.json())
    } else {
        Err(format!("{} usage reports could not be booked: send the batch again", booked.failed.len()))
    }
}

async fn batch_booked(app: &App, batch: Value, now: SystemTime) -> Result<Booked, String> {
    let Batch { settlements } = serde_json::from_value(batch).map_err(|error| format!("not a batch: {error}"))?;
    if settlements.len() > MAX_REPORTS {
        return Err(format!("a batch has at most {MAX_REPORTS} settlements"));
    }
    let (mut reports, mut rejected) = (Vec::new(), Booked::default());
    for (index, value) in settlements.into_iter().enumerate() {
        let id = value.get("request_id").and_then(Value::as_str).map(str::to_owned);
        match report(app, value) {
            Ok(report) => reports.push(report),
            Err(reason) => rejected.reject(id.unwrap_or_else(|| format!("settlements[{index}]")), reason),
        }
    }
    let booked = book(app, reports, now).await;
    Ok(Booked { rejected: rejected.rejected, ..booked })
}

fn report(app: &App, value: Value) -> Result<Report, String> {
    let settlement: Settlement = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let named = Named { team: settlement.team, tier: settlement.tier, user: settlement.user };
    let usage = Usage {
        input: settlement.input_tokens,
        cache_read: settlement.cache_read_tokens,
        cache_write: settlement.cache_write_tokens,
        cache_write_1h: settlement.cache_write_1h_tokens,
        output: settlement.output_tokens,
        reasoning: settlement.reasoning_tokens,
        audio_input: settlement.audio_input_tokens,
        audio_output: settlement.audio_output_tokens,
        ..Usage::default()
    };
    if !usage.is_reported() {
        return Err("no tokens are stated; none at all is `\"input_tokens\": 0`".to_owned());
    }
    checked(Report {
        who: whose(app, named, settlement.client_id.as_deref())?,
        request_id: settlement.request_id,
        provider: settlement.provider,
        model: settlement.model,
        served_model: settlement.served_model,
        usage,
    })
}

/// The team that a report names, or the one of its client.
pub(crate) fn whose(app: &App, mut named: Named, client_id: Option<&str>) -> Result<Who, String> {
    if named.team.as_ref().is_none_or(String::is_empty)
        && let Some(row) = client_id.and_then(|client| app.config.auth.teams.get(client))
    {
        named.team = Some(row.team.clone());
        named.tier = named.tier.or_else(|| row.tier.clone());
    }
    match app.named(&named) {
        Err(denied) if denied.status == StatusCode::UNAUTHORIZED => Err("no team is named".to_owned()),
        named => named.map_err(|denied| denied.reason),
    }
}

/// Ids and names become keys.
pub(crate) fn checked(report: Report) -> Result<Report, String> {
    let texts = [Some(&report.request_id), Some(&report.model), report.served_model.as_ref(), report.provider.as_ref()];
    let bad = |text: &&String| text.len() > MAX_BYTES || text.chars().any(char::is_control);
    if texts.into_iter().flatten().any(|text| bad(&text)) {
        return Err(format!("an id or a name is longer than {MAX_BYTES} bytes, or has control characters"));
    }
    if report.request_id.is_empty() {
        return Err("the request id is empty".to_owned());
    }
    Ok(report)
}
