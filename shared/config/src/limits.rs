//! The `limits` block: rate limits, budgets, prices, and the ledger that holds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::money::{Times, Usd, UsdPerMillion};

/// Rate limits and budgets. Without this block nothing is limited and nothing is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Limits {
    /// `off`: no limits and no ledger, whatever else stands here. Default `on` when the block is there.
    pub quota: Quota,
    /// Where usage and reservations are kept.
    pub ledger: LedgerTable,
    /// What happens to requests when the ledger cannot be asked. Default `open`.
    pub failure_mode: FailureMode,
    /// An admission may take this long, in milliseconds. Default 250.
    pub timeout_ms: Option<u64>,
    /// Overrides and prices that are kept in the ledger's table are read again after so many seconds. Default 30.
    pub cache_seconds: Option<u64>,
    /// Bytes of a request that count as one token until the provider has counted. Default 3. With 1 no prompt can be larger than its reservation.
    pub prompt_bytes_per_token: Option<u64>,
    /// What an image counts as. Default 1,600 tokens.
    pub image_tokens: Option<u64>,
    /// The output that a request without `max_tokens` reserves. Default 4,096 tokens.
    pub default_output_tokens: Option<u64>,
    /// Shares of a monthly budget, in per cent, that are told once each when they are used up. Default 50, 80, 100.
    pub warn_at: Option<Vec<u32>>,
    /// What a model without a price costs. Left out: requests for it are refused where a budget applies.
    pub unknown_model_price: Option<PriceEntry>,
    /// Whether a request under a budget may use tools that cost money which no answer tells. Default `refuse`.
    pub unpriced_tools: UnpricedTools,
    /// Limits by tier. The tiers `sandbox`, `standard`, `premium` and `enterprise` are there already.
    pub tiers: BTreeMap<String, LimitSet>,
    /// Limits of single teams, instead of their tier's: only what stands here is replaced.
    pub teams: BTreeMap<String, TeamLimits>,
    /// What each user (`sub`) of a team may spend.
    pub users: UserLimits,
    /// What all teams together may spend on models of a name (`*` stands for any text), each pattern by itself.
    pub models: BTreeMap<String, Budget>,
    /// What all teams together may spend.
    pub gateway: Budget,
    /// Prices by `kind/model` or `model` (`*` stands for any text), instead of those in the built-in table.
    pub prices: BTreeMap<String, PriceEntry>,
}

/// Are there limits at all?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Quota {
    /// They are kept.
    #[default]
    On,
    /// They are not, and no DynamoDB is needed.
    Off,
}

/// The ledger unreachable, or too slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum FailureMode {
    /// Requests pass; each is counted as a degraded admission.
    #[default]
    Open,
    /// Requests are refused: 503.
    Closed,
}

/// Tools that a provider runs and bills beside the tokens, without its answer saying so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum UnpricedTools {
    /// A request for one is refused where a budget applies.
    #[default]
    Refuse,
    /// It passes; what the tool costs is in no budget.
    Allow,
}

/// A DynamoDB table. `docs/limits.md` and `docs/responses.md` have its keys; `infra/` makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct LedgerTable {
    /// Its name or ARN. Default `tollgate-ledger`, of responses `tollgate-responses`.
    pub table: Option<String>,
    /// Instead of DynamoDB's own address: an emulator's.
    pub endpoint: Option<String>,
    /// Its region. Default: the ambient one.
    pub region: Option<String>,
    /// The native server keeps the table itself, in this file: for a laptop. Not on Lambda.
    pub file: Option<String>,
}

impl LedgerTable {
    /// Whether its endpoint is on this machine: an emulator, which takes any credentials.
    #[must_use]
    pub fn is_emulator(&self) -> bool {
        let address = self.endpoint.as_deref().map(Address::parse);
        address.is_some_and(|address| address.is_ok_and(|address| address.is_loopback()))
    }
}

/// Limits of a tier. What is left out is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct LimitSet {
    /// Requests per UTC calendar minute.
    pub requests_per_minute: Option<u64>,
    /// Input and output tokens per UTC day.
    pub tokens_per_day: Option<u64>,
    /// US dollars per UTC month.
    pub usd_per_month: Option<Usd>,
    /// US dollars per UTC month for models of a name (`*` stands for any text), each pattern by itself.
    pub models: BTreeMap<String, Budget>,
}

/// Limits of one team.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct TeamLimits {
    /// Its tier, whatever the token says.
    pub tier: Option<String>,
    /// Requests per UTC calendar minute.
    pub requests_per_minute: Option<u64>,
    /// Input and output tokens per UTC day.
    pub tokens_per_day: Option<u64>,
    /// US dollars per UTC month.
    pub usd_per_month: Option<Usd>,
    /// US dollars per UTC month for models of a name, each pattern by itself.
    pub models: BTreeMap<String, Budget>,
    /// Added to the limits above until they end.
    pub raises: Vec<Raise>,
}

/// More than usual, for a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Raise {
    /// The last UTC day on which it holds: `2026-12-31`.
    pub until: String,
    /// Added to the requests per minute.
    #[serde(default)]
    pub requests_per_minute: u64,
    /// Added to the tokens per day.
    #[serde(default)]
    pub tokens_per_day: u64,
    /// Added to the dollars per month.
    #[serde(default)]
    pub usd_per_month: Usd,
    /// Why, for whoever reads the file next.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Money per month.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Budget {
    /// US dollars per UTC month. Left out: no limit.
    pub usd_per_month: Option<Usd>,
}

/// Money per user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct UserLimits {
    /// US dollars per UTC month for every user. Left out: no limit.
    pub usd_per_month: Option<Usd>,
    /// For single users, by `sub`.
    pub overrides: BTreeMap<String, Budget>,
}

/// What tokens cost, in US dollars per million of them. What is left out costs what its kind costs otherwise: cached input as input, reasoning
/// and audio as output or input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PriceEntry {
    /// Uncached input.
    pub input: UsdPerMillion,
    /// Output.
    pub output: UsdPerMillion,
    /// Input read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<UsdPerMillion>,
    /// Input written to a cache (for 5 minutes, where that makes a difference).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<UsdPerMillion>,
    /// Input written to a cache for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<UsdPerMillion>,
    /// Reasoning, a part of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<UsdPerMillion>,
    /// Audio in the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<UsdPerMillion>,
    /// Audio in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_output: Option<UsdPerMillion>,
    /// Images in the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_input: Option<UsdPerMillion>,
    /// Images in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_output: Option<UsdPerMillion>,
    /// A search unit of a rerank: a query with up to 100 documents. As all prices, for a million of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<UsdPerMillion>,
    /// A second of sound that is transcribed, at models that are paid by its length. As all prices, for a million of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<UsdPerMillion>,
    /// A search of the web that the provider makes for a conversation. As all prices, for a million of them. Left out: what is usual at the kind of provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_search: Option<UsdPerMillion>,
    /// How many times all of this costs in the priority tier. Left out: what is usual at the kind of provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Times>,
    /// The same for the flex tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flex: Option<Times>,
    /// How many times all of this costs in Anthropic's fast mode. Left out: 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast: Option<Times>,
    /// The most input tokens that the model takes: what is reserved for a request whose input is not all in it. Left out: 1,050,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    /// The most output tokens that the model gives: bounds what a request reserves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Other prices for the whole request once its input is larger than a size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<PriceAbove>,
}

/// Prices of requests with a large input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PriceAbove {
    /// They hold for requests with more input tokens than this, cached ones included.
    pub tokens: u64,
    /// Uncached input.
    pub input: UsdPerMillion,
    /// Output.
    pub output: UsdPerMillion,
    /// Input read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<UsdPerMillion>,
    /// Input written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<UsdPerMillion>,
    /// Input written to a cache for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<UsdPerMillion>,
}
