//! What a request has used, told by somebody else; and how it is booked: once per team and request id, in whatever form and how often it comes.

use std::time::SystemTime;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tollgate_hooks::App;
use tollgate_hooks::caller::Who;
use tollgate_hooks::kinds::kinds;
use tollgate_limits::prices::PriceBook;
use tollgate_limits::{Ask, LedgerError, Limiter, Prompt, Spent, What};
use tollgate_telemetry::metric;
use tollgate_wire::ir::Usage;

/// Reports that are booked at the same time.
const AT_ONCE: usize = 4;

/// One request's usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whose.
    pub who: Who,
    /// The id that the function was asked with.
    pub request_id: String,
    /// The kind of the provider that served, if it is known.
    pub provider: Option<String>,
    /// The model that was asked for: budgets by model match it.
    pub model: String,
    /// The model that answered, if it is known.
    pub served_model: Option<String>,
    /// Tokens.
    pub usage: Usage,
}

/// What came of reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Booked {
    /// Booked now.
    pub settled: u64,
    /// Booked before.
    pub duplicates: u64,
    /// Without a price: their tokens are booked, their money is not.
    pub unpriced: u64,
    /// Not to be booked ever: what, and why.
    pub rejected: Vec<(String, String)>,
    /// Not booked, because the ledger did not answer: send them again.
    pub failed: Vec<String>,
}

impl Booked {
    /// As an answer.
    #[must_use]
    pub fn json(&self) -> Value {
        let rejected: Vec<Value> =
            self.rejected.iter().map(|(what, why)| json!({"request_id": what, "reason": why})).collect();
        json!({
            "settled": self.settled, "duplicates": self.duplicates, "unpriced": self.unpriced, "rejected": rejected,
            "failed": self.failed,
        })
    }

    /// A report that cannot be booked.
    pub fn reject(&mut self, what: impl Into<String>, why: impl Into<String>) {
        let (what, why) = (what.into(), why.into());
        tracing::warn!(request.id = %what, report.problem = %why, "a usage report cannot be booked");
        self.rejected.push((what, why));
    }
}

/// Books reports.
pub async fn book(app: &App, reports: Vec<Report>, now: SystemTime) -> Booked {
    let mut booked = Booked::default();
    let Some(limiter) = &app.limiter else { return booked };
    for chunk in reports.chunks(AT_ONCE) {
        let calls = chunk.iter().map(|report| one(app, limiter, report, now));
        for (report, outcome) in chunk.iter().zip(join_all(calls).await) {
            match outcome {
                Ok(Some(unpriced)) => {
                    booked.settled += 1;
                    booked.unpriced += u64::from(unpriced);
                }
                Ok(None) => booked.duplicates += 1,
                Err(error) => {
                    tracing::error!(
                        request.id = %report.request_id, tollgate.team = %report.who.team, error.cause = %error,
                        "a usage report could not be booked"
                    );
                    booked.failed.push(report.request_id.clone());
                }
            }
        }
    }
    booked
}

/// Whether it had no price. `None`: it was booked before.
async fn one(app: &App, limiter: &Limiter, report: &Report, now: SystemTime) -> Result<Option<bool>, LedgerError> {
    let who = &report.who;
    let ask = Ask {
        team: &who.team,
        tier: &who.tier,
        user: who.user.as_deref(),
        model: &report.model,
        calls: &[],
        prompt: Prompt::default(),
        max_output_tokens: None,
        choices: 1,
        service: None,
        extras: None,
        deadline: now,
        what: What::Spend,
        external_id: Some(&report.request_id),
    };
    let spent = spent(&limiter.prices(), app.config.webhooks.provider.as_deref(), report);
    let model = spent.model.clone();
    let bill = Box::pin(limiter.settle_reported(&ask, &report.request_id, vec![spent], now)).await?;
    let unpriced = bill.map(|bill| bill.unpriced);
    if unpriced == Some(true) {
        tollgate_telemetry::count(&metric::UNPRICED_USAGE, &[]);
        tracing::warn!(
            tollgate.team = %who.team, gen_ai.response.model = %model, request.id = %report.request_id,
            "usage of a model without a price: its money is not booked"
        );
    }
    Ok(unpriced)
}

/// At the price of the model that answered, else of the one that was asked for; of several kinds that may have served, at the dearest.
fn spent(book: &PriceBook, configured: Option<&str>, report: &Report) -> Spent {
    let models = report.served_model.iter().map(String::as_str).chain([report.model.as_str()]);
    let mut best: Option<(u64, &str, &str)> = None;
    for model in models {
        for kind in kinds(book, report.provider.as_deref(), configured, model) {
            let Some(price) = book.find(kind, model) else { continue };
            let cost = price.cost_nano_usd(kind, &report.usage);
            if best.is_none_or(|(dearest, ..)| cost > dearest) {
                best = Some((cost, kind, model));
            }
        }
        if best.is_some() {
            break;
        }
    }
    let unknown = || {
        let kind = kinds(book, report.provider.as_deref(), configured, &report.model).first().copied();
        (kind.unwrap_or("custom"), report.model.as_str())
    };
    let (kind, model) = best.map_or_else(unknown, |(_, kind, model)| (kind, model));
    Spent { kind: kind.to_owned(), model: model.to_owned(), usage: report.usage, estimated: false }
}
