//! The metrics: all of them, with their dimensions. Dashboards and alarms may name what stands here and nothing else; `docs/telemetry.md` has the table.
//!
//! Every value of a dimension makes a metric of its own in CloudWatch, which is paid for: few dimensions, with few values. The empty set of dimensions is
//! always among them, because an alarm cannot add up the others.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::Access;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Tollgate";

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// CloudWatch's name of its unit.
    pub unit: &'static str,
    /// Where it is written.
    pub source: Source,
}

/// Where a metric is written.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// On every line of the access log; by `tollgate.route`, too.
    Request(fn(&Access) -> Figure),
    /// On lines of requests that a provider answered; by `tollgate.provider`, too.
    Served(fn(&Access) -> Figure),
    /// On the lines for which it holds; without dimensions.
    Rare(fn(&Access) -> bool),
    /// On a line of its own, by these dimensions, too.
    Event(&'static [&'static str]),
}

/// A value of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    /// How many.
    Count(u64),
    /// How much.
    Amount(f64),
}

/// The dimension of [`Source::Request`].
pub const ROUTE: &str = "tollgate.route";
/// The dimension of [`Source::Served`].
pub const PROVIDER: &str = "tollgate.provider";
/// The dimension of [`BY_TEAM`], where `telemetry.metricsByTeam` is set.
pub const TEAM: &str = "tollgate.team";

/// An upstream call that failed, of the provider's fault.
pub const UPSTREAM_FAULTS: Metric = event("UpstreamFaults", &[PROVIDER]);
/// A request was admitted, or refused, without the ledger's word.
pub const DEGRADED_ADMISSION: Metric = event("DegradedAdmission", &["mode"]);
/// A share of a monthly budget is used up.
pub const BUDGET_THRESHOLD: Metric = event("BudgetThreshold", &["scope", "percent"]);
/// Usage was reported of a model that has no price.
pub const UNPRICED_USAGE: Metric = event("UnpricedUsage", &[]);
/// A new configuration is in force.
pub const CONFIGURATION_ACCEPTED: Metric = event("ConfigurationAccepted", &[]);
/// A new configuration was refused, or could not be fetched: the last good one stays.
pub const CONFIGURATION_REFUSED: Metric = event("ConfigurationRefused", &["cause"]);
/// A span could not be exported.
pub const SPANS_DROPPED: Metric = event("SpansDropped", &[]);

/// All metrics.
pub const METRICS: &[Metric] = &[
    request("Requests", "Count", |_| Figure::Count(1)),
    request("Errors4xx", "Count", |a| Figure::Count(u64::from(a.status / 100 == 4 && !a.client_gone))),
    request("Errors5xx", "Count", |a| Figure::Count(u64::from(a.status / 100 == 5))),
    request("GatewayOverhead", "Milliseconds", |a| Figure::Amount(a.overhead_ms)),
    request("UpstreamAttempts", "Count", |a| Figure::Count(a.attempts.len().try_into().unwrap_or(u64::MAX))),
    served("FirstContent", "Milliseconds", |a| Figure::Amount(a.first_content_ms.unwrap_or_default())),
    served("InputTokens", "Count", |a| Figure::Count(a.input_tokens.unwrap_or_default())),
    served("OutputTokens", "Count", |a| Figure::Count(a.output_tokens.unwrap_or_default())),
    served("CacheReadTokens", "Count", |a| Figure::Count(a.cache_read_tokens.unwrap_or_default())),
    served("CacheWriteTokens", "Count", |a| Figure::Count(a.cache_write_tokens.unwrap_or_default())),
    served("ReasoningTokens", "Count", |a| Figure::Count(a.reasoning_tokens.unwrap_or_default())),
    served("CostUsd", "None", |a| Figure::Amount(dollars(a.cost_nano_usd.unwrap_or_default()))),
    rare("LimitRefusals", |a| a.limits == Some("refused")),
    rare("UnpricedRequests", |a| a.unpriced),
    rare("ResponsesLost", |a| a.state == Some("lost")),
    rare("ClientGone", |a| a.client_gone),
    UPSTREAM_FAULTS,
    DEGRADED_ADMISSION,
    BUDGET_THRESHOLD,
    UNPRICED_USAGE,
    CONFIGURATION_ACCEPTED,
    CONFIGURATION_REFUSED,
    SPANS_DROPPED,
];

/// Those that are kept by [`TEAM`], too, where the configuration asks for it.
pub const BY_TEAM: [&str; 4] = ["Requests", "InputTokens", "OutputTokens", "CostUsd"];

const fn request(name: &'static str, unit: &'static str, value: fn(&Access) -> Figure) -> Metric {
    Metric { name, unit, source: Source::Request(value) }
}

const fn served(name: &'static str, unit: &'static str, value: fn(&Access) -> Figure) -> Metric {
    Metric { name, unit, source: Source::Served(value) }
}

const fn rare(name: &'static str, holds: fn(&Access) -> bool) -> Metric {
    Metric { name, unit: "Count", source: Source::Rare(holds) }
}

const fn event(name: &'static str, dimensions: &'static [&'static str]) -> Metric {
    Metric { name, unit: "Count", source: Source::Event(dimensions) }
}

#[expect(clippy::cast_precision_loss, reason = "a chart, not a bill")]
fn dollars(nano_usd: u64) -> f64 {
    nano_usd as f64 / 1e9
}

impl Metric {
    /// The sets of dimensions under which CloudWatch keeps it; that of [`BY_TEAM`] aside.
    #[must_use]
    pub fn dimensions(&self) -> Vec<Vec<&'static str>> {
        let own = match self.source {
            Source::Request(_) => vec![ROUTE],
            Source::Served(_) => vec![PROVIDER],
            Source::Rare(_) => Vec::new(),
            Source::Event(dimensions) => dimensions.to_vec(),
        };
        if own.is_empty() { vec![own] } else { vec![Vec::new(), own] }
    }
}

/// Counts one event. `values`: of its dimensions, in their order.
pub fn count(metric: &Metric, values: &[&str]) {
    add(metric, values, 1);
}

/// Counts several of them.
pub fn add(metric: &Metric, values: &[&str], events: u64) {
    let mut line = line(metric, values, events, SystemTime::now()).to_string();
    line.push('\n');
    crate::out::line(line.as_bytes());
}

fn line(metric: &Metric, values: &[&str], events: u64, now: SystemTime) -> Value {
    let sets = metric.dimensions();
    let names = sets.last().into_iter().flatten();
    let mut fields: Map<String, Value> =
        names.zip(values).map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    fields.insert(metric.name.to_owned(), json!(events));
    let metrics =
        json!([{"Namespace": NAMESPACE, "Dimensions": sets, "Metrics": [{"Name": metric.name, "Unit": metric.unit}]}]);
    fields.insert("_aws".to_owned(), json!({"Timestamp": millis(now), "CloudWatchMetrics": metrics}));
    Value::Object(fields)
}

/// As CloudWatch counts time.
pub(crate) fn millis(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_embedded_metric() {
        let line = line(&BUDGET_THRESHOLD, &["team#a", "80"], 1, SystemTime::UNIX_EPOCH);
        assert_eq!(
            line,
            json!({"scope": "team#a", "percent": "80", "BudgetThreshold": 1, "_aws": {"Timestamp": 0, "CloudWatchMetrics": [
                {"Namespace": "Tollgate", "Dimensions": [[], ["scope", "percent"]], "Metrics": [{"Name": "BudgetThreshold", "Unit": "Count"}]}]}})
        );
    }

    #[test]
    fn names_are_told_apart_and_those_by_team_exist() {
        let mut names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        assert!(BY_TEAM.iter().all(|name| names.contains(name)));
    }
}
