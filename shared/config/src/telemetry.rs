//! `telemetry`: what is told about requests, and where.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::SecretRef;

/// What is told about requests, beside the access log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Telemetry {
    /// Whether a line of the access log is CloudWatch's embedded metric format, too. Default: `on` on Lambda, `off` elsewhere.
    pub metrics: Option<Switch>,
    /// Keep some of the metrics by team, too. Every team is a paid metric for each of them. Default `false`.
    pub metrics_by_team: bool,
    /// Where requests are sent as spans. Left out: nowhere.
    pub otlp: Option<Otlp>,
}

/// A collector of traces: OTLP over HTTP, JSON.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Otlp {
    /// Its address, without `/v1/traces`: `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// Headers for it: name -> reference to a secret with the value.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretRef>,
    /// `service.name`. Default `tollgate`.
    #[serde(default)]
    pub service_name: Option<String>,
    /// When spans are sent. Default `later`.
    #[serde(default)]
    pub flush: FlushSpans,
    /// Requests that may wait to be sent; with more, they are dropped and counted. Default 2,048.
    #[serde(default)]
    pub queue: Option<u64>,
}

/// When spans are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum FlushSpans {
    /// In the background. On Lambda that is during the next invocation; what the last one leaves is lost.
    #[default]
    Later,
    /// Before the last byte of the answer: no request is over before the collector has its span, or a second has passed.
    BeforeTheEnd,
}

impl Otlp {
    /// `service.name`.
    #[must_use]
    pub fn service_name(&self) -> &str {
        self.service_name.as_deref().unwrap_or("tollgate")
    }

    /// Requests that may wait.
    #[must_use]
    pub fn queue(&self) -> usize {
        self.queue.and_then(|queue| usize::try_from(queue).ok()).unwrap_or(2_048)
    }
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
