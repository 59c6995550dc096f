//! Warnings of budgets, as events of EventBridge: source `tollgate`, detail type `Budget threshold`.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::DisplayErrorContext;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use serde_json::json;
use tollgate_hooks::Aws;
use tollgate_limits::Warning;

/// Of one call.
pub const MAX_ENTRIES: usize = 10;

/// Where warnings go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    name: Option<String>,
    aws: Aws,
}

impl Bus {
    /// By name or ARN. Without one warnings are logged only.
    pub fn new(name: Option<String>, aws: Aws) -> Self {
        Self { name: name.filter(|name| !name.is_empty()), aws }
    }

    /// Sends at most [`MAX_ENTRIES`]. Answers for each whether it was taken.
    pub async fn send(&self, warnings: &[Warning]) -> Vec<bool> {
        let Some(bus) = &self.name else { return vec![true; warnings.len()] };
        let client = Client::new(self.aws.config().await);
        let entry = |warning: &Warning| {
            let entry = PutEventsRequestEntry::builder().event_bus_name(bus).source("tollgate");
            entry.detail_type("Budget threshold").detail(detail(warning).to_string()).build()
        };
        let call = client.put_events().set_entries(Some(warnings.iter().map(entry).collect()));
        let output = match Box::pin(call.send()).await {
            Ok(output) => output,
            Err(error) => {
                let cause = format!("{:.500}", DisplayErrorContext(&error).to_string());
                tracing::error!(event.bus = %bus, error.cause = %cause, "warnings could not be sent; the next sweep will");
                return vec![false; warnings.len()];
            }
        };
        let answers = output.entries();
        let taken = |(index, warning): (usize, &Warning)| match answers.get(index) {
            Some(answer) if answer.error_code().is_none() => true,
            answer => {
                let code = answer.and_then(|answer| answer.error_code()).unwrap_or("no answer");
                tracing::error!(ledger.scope = %warning.scope, error.code = code, "a warning was not taken; the next sweep sends it again");
                false
            }
        };
        warnings.iter().enumerate().map(taken).collect()
    }
}

fn detail(warning: &Warning) -> serde_json::Value {
    let (owner, name) = warning.scope.split_once('#').unwrap_or((warning.scope.as_str(), ""));
    json!({
        "scope": warning.scope, "owner": owner, "name": name, "models": warning.pattern, "month": warning.month,
        "percent": warning.percent, "used_usd": usd(warning.used_nano_usd), "limit_usd": usd(warning.limit_nano_usd),
        "used_nano_usd": warning.used_nano_usd, "limit_nano_usd": warning.limit_nano_usd,
    })
}

#[expect(clippy::cast_precision_loss, reason = "for people; the exact figures stand beside it")]
fn usd(nano_usd: u64) -> f64 {
    nano_usd as f64 / 1e9
}
