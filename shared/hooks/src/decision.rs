//! What comes of a question, and how it is told.
//!
//! The contract has no headers: what the client should know stands in the text of a reject, as JSON that the SDKs of both dialects read as an error, with our
//! three fields beside it.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tollgate_limits::{Counter, Owner, Refusal, Standing};
use tollgate_webhook::Action;

/// No, for another reason than a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What the client gets.
    pub status: StatusCode,
    /// Why, in public words.
    pub reason: String,
}

impl Denied {
    /// With a status of an error.
    pub fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }

    /// One line for the log.
    pub fn log(&self) {
        tracing::info!(hook.status = self.status.as_u16(), hook.reason = %self.reason, "not decided");
    }
}

/// Yes or no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// `None`: yes.
    pub refused: Option<StatusCode>,
    /// Why, in public words.
    pub reason: String,
    /// When to come again.
    pub retry_after: Option<Duration>,
    /// A word for programs: `rate_limit_exceeded`, `budget_exceeded`, ...
    pub code: &'static str,
    /// Where the limits stand.
    pub standings: Vec<Standing>,
    /// The limit that refused.
    limit: Option<(Owner, Counter)>,
}

impl From<Denied> for Decision {
    fn from(Denied { status, reason }: Denied) -> Self {
        Self {
            refused: Some(status),
            reason,
            retry_after: None,
            code: code(status),
            standings: Vec::new(),
            limit: None,
        }
    }
}

impl Decision {
    /// Yes.
    pub fn allowed(reason: impl Into<String>, standings: Vec<Standing>) -> Self {
        Self { refused: None, reason: reason.into(), retry_after: None, code: "allowed", standings, limit: None }
    }

    /// A limit says no.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        let code = if refusal.counter.is_money() { "budget_exceeded" } else { "rate_limit_exceeded" };
        Self {
            refused: Some(StatusCode::TOO_MANY_REQUESTS),
            reason: refusal.reason,
            retry_after: Some(refusal.retry_after),
            code,
            standings: refusal.standings,
            limit: Some((refusal.owner, refusal.counter)),
        }
    }

    /// As the contract has it.
    #[must_use]
    pub fn action(&self) -> Action {
        match self.refused {
            None => Action::pass(self.reason.clone()),
            Some(status) => Action::reject(self.client_body(status).to_string(), status.as_u16(), self.reason.clone()),
        }
    }

    /// `error` is OpenAI's and Anthropic's at once.
    fn client_body(&self, status: StatusCode) -> Value {
        let error = json!({"type": kind(status), "message": self.reason, "code": self.code, "param": null});
        let mut body = json!({"type": "error", "error": error, "allowed": false, "reason": self.reason});
        if let (Some(object), Some(seconds)) = (body.as_object_mut(), self.retry_after_s()) {
            object.insert("retry_after_seconds".to_owned(), seconds.into());
        }
        body
    }

    /// As the native form has it.
    #[must_use]
    pub fn native(&self) -> Value {
        let mut body = json!({"allowed": self.refused.is_none(), "reason": self.reason});
        let Some(object) = body.as_object_mut() else { return body };
        if let Some(seconds) = self.retry_after_s() {
            object.insert("retry_after_seconds".to_owned(), seconds.into());
        }
        if let Some(status) = self.refused {
            object.insert("code".to_owned(), self.code.into());
            object.insert("status".to_owned(), status.as_u16().into());
        }
        if let Some(standing) = self.tightest() {
            object.insert("limit".to_owned(), standing.limit.into());
            object.insert("remaining".to_owned(), standing.remaining.into());
        }
        if !self.standings.is_empty() {
            object.insert("limits".to_owned(), self.standings.iter().map(standing).collect());
        }
        body
    }

    fn retry_after_s(&self) -> Option<u64> {
        self.retry_after.map(|after| (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1))
    }

    /// The limit that refused, else the one of which the smallest share is left.
    fn tightest(&self) -> Option<&Standing> {
        let is = |standing: &&Standing| {
            self.limit.as_ref().is_some_and(|(owner, counter)| standing.owner == *owner && standing.counter == *counter)
        };
        let share = |standing: &&Standing| (u128::from(standing.remaining) << 64) / u128::from(standing.limit.max(1));
        self.standings.iter().find(is).or_else(|| self.standings.iter().min_by_key(share))
    }
}

fn standing(standing: &Standing) -> Value {
    let scope = match standing.owner {
        Owner::Team => "team",
        Owner::User => "user",
        Owner::Model => "model",
        Owner::Gateway => "gateway",
    };
    let (counter, unit) = match &standing.counter {
        Counter::Requests => ("requests_per_minute".to_owned(), "requests"),
        Counter::Tokens => ("tokens_per_day".to_owned(), "tokens"),
        Counter::Money => ("usd_per_month".to_owned(), "nano_usd"),
        Counter::ModelMoney(pattern) => (format!("usd_per_month for {pattern}"), "nano_usd"),
    };
    json!({
        "scope": scope, "counter": counter, "unit": unit, "limit": standing.limit, "remaining": standing.remaining,
        "reset_seconds": standing.reset.as_secs(),
    })
}

/// Anthropic's `error.type`, which OpenAI's SDK shows as it is.
fn kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 | 405 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        503 => "overloaded_error",
        _ => "api_error",
    }
}

fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "unauthenticated",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        413 => "too_large",
        400..=499 => "bad_request",
        503 => "unavailable",
        _ => "internal",
    }
}
