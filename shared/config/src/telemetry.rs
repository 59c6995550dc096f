//! `telemetry`: what is told about requests, and where.

use serde::Deserialize;

/// What is told about requests, beside the access log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Telemetry {
    /// Whether a line of the access log is CloudWatch's embedded metric format, too. Default: `on` on Lambda, `off` elsewhere.
    pub metrics: Option<Switch>,
    /// Keep some of the metrics by team, too. Every team is a paid metric for each of them. Default `false`.
    pub metrics_by_team: bool,
}

/// A switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

impl Telemetry {
    /// Are there metrics?
    #[must_use]
    pub fn metrics(&self, on_lambda: bool) -> bool {
        self.metrics.map_or(on_lambda, |switch| switch == Switch::On)
    }
}
