//! The `responses` block: responses that the gateway keeps itself.

use std::time::Duration;

use serde::Deserialize;

use crate::LedgerTable;

const KEEP_DAYS: u32 = 30;
const TIMEOUT_MS: u64 = 2_000;

/// Responses (`POST /v1/responses`) by providers that keep none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Responses {
    /// The table in which they are kept: what clients said and what models answered. Left out: they are not.
    pub state: Option<LedgerTable>,
    /// So many days. Default 30.
    pub keep_days: Option<u32>,
    /// A read or a write may take this long, in milliseconds. Default 2,000.
    pub timeout_ms: Option<u64>,
}

impl Responses {
    /// How long a response is kept.
    #[must_use]
    pub fn keep_for(&self) -> Duration {
        Duration::from_secs(u64::from(self.keep_days.unwrap_or(KEEP_DAYS)) * 24 * 60 * 60)
    }

    /// How long a read or a write may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.unwrap_or(TIMEOUT_MS))
    }
}
