//! The access log: one line per request, whatever became of it.

use std::io::Write;

use serde::Serialize;

/// One request.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Access {
    /// When it came, RFC 3339, UTC.
    pub timestamp: String,
    /// Always `INFO`.
    pub level: &'static str,
    /// Always `request`.
    pub message: &'static str,
    /// As in the answer's `x-request-id`.
    #[serde(rename = "request.id")]
    pub request_id: String,
    /// The route type.
    #[serde(rename = "tollgate.route")]
    pub route: &'static str,
    /// HTTP method.
    #[serde(rename = "http.request.method")]
    pub method: String,
    /// Path without query.
    #[serde(rename = "url.path")]
    pub path: String,
    /// What the client got; 499: it went away before.
    #[serde(rename = "http.response.status_code")]
    pub status: u16,
    /// Who asked.
    #[serde(rename = "tollgate.team", skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Their tier.
    #[serde(rename = "tollgate.tier", skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Their client id.
    #[serde(rename = "tollgate.client_id", skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The model that the client named.
    #[serde(rename = "gen_ai.request.model", skip_serializing_if = "Option::is_none")]
    pub request_model: Option<String>,
    /// The model that answered, as its provider names it.
    #[serde(rename = "gen_ai.response.model", skip_serializing_if = "Option::is_none")]
    pub response_model: Option<String>,
    /// The kind of the provider that answered.
    #[serde(rename = "gen_ai.provider.name", skip_serializing_if = "Option::is_none")]
    pub provider_kind: Option<String>,
    /// Its name in the configuration.
    #[serde(rename = "tollgate.provider", skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Streamed?
    #[serde(rename = "tollgate.stream")]
    pub stream: bool,
    /// Every upstream call.
    #[serde(rename = "tollgate.attempts", skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptLine>,
    /// Uncached input tokens, cache reads and cache writes together.
    #[serde(rename = "gen_ai.usage.input_tokens", skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Output tokens, reasoning included.
    #[serde(rename = "gen_ai.usage.output_tokens", skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Input tokens that were read from a cache.
    #[serde(rename = "gen_ai.usage.cache_read.input_tokens", skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Input tokens that were written to a cache.
    #[serde(rename = "gen_ai.usage.cache_creation.input_tokens", skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Output tokens that were reasoning.
    #[serde(rename = "gen_ai.usage.reasoning.output_tokens", skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// What the request came to, in nano-dollars; `None`: nothing is limited, so nothing is priced.
    #[serde(rename = "tollgate.cost_nano_usd", skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<u64>,
    /// The tokens that the team's limits were charged, those of failed attempts and estimates included.
    #[serde(rename = "tollgate.billed_tokens", skip_serializing_if = "Option::is_none")]
    pub billed_tokens: Option<u64>,
    /// A provider did not say what it used; a part of the bill is an estimate.
    #[serde(rename = "tollgate.usage_estimated", skip_serializing_if = "std::ops::Not::not")]
    pub usage_estimated: bool,
    /// A model without a price served, and no budget applied.
    #[serde(rename = "tollgate.unpriced", skip_serializing_if = "std::ops::Not::not")]
    pub unpriced: bool,
    /// `refused`: over a limit; `degraded`: admitted without the ledger's word.
    #[serde(rename = "tollgate.limits", skip_serializing_if = "Option::is_none")]
    pub limits: Option<&'static str>,
    /// Which limit, and where it stood.
    #[serde(rename = "tollgate.limits.reason", skip_serializing_if = "Option::is_none")]
    pub limit_reason: Option<String>,
    /// Paths that the translation could not carry.
    #[serde(rename = "tollgate.dropped", skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    /// Why it failed: a short code.
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What a guard that rejected it said.
    #[serde(rename = "tollgate.guard.reason", skip_serializing_if = "Option::is_none")]
    pub guard_reason: Option<String>,
    /// The client went away.
    #[serde(rename = "tollgate.client_gone", skip_serializing_if = "std::ops::Not::not")]
    pub client_gone: bool,
    /// From the first byte of the request to the last of the answer.
    pub duration_ms: f64,
    /// From the first byte of the request to the first content of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_content_ms: Option<f64>,
    /// Spent waiting for upstreams up to the first content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_ms: Option<f64>,
}

/// One upstream call.
#[derive(Debug, Default, Clone, Serialize)]
pub struct AttemptLine {
    /// The provider's name.
    pub provider: String,
    /// The model that was asked for.
    pub model: String,
    /// Its HTTP status, if a head came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// How long it took to its first content or its failure.
    pub duration_ms: f64,
}

/// Writes the line. A log that cannot be written is no reason to fail a request.
pub fn write(access: &Access) {
    // A line has some 700 bytes: it should not have to grow.
    let mut line = Vec::with_capacity(1024);
    if serde_json::to_writer(&mut line, access).is_err() {
        return;
    }
    line.push(b'\n');
    let _ = std::io::stdout().lock().write_all(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_what_is_known_and_nothing_else() {
        let access = Access { message: "request", status: 200, input_tokens: Some(3), ..Access::default() };
        let line: serde_json::Value = serde_json::to_value(&access).unwrap();
        assert_eq!(line["gen_ai.usage.input_tokens"], 3);
        assert!(line.get("gen_ai.usage.output_tokens").is_none() && line.get("tollgate.client_gone").is_none());
    }
}
