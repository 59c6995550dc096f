//! Usage history: one item per team, day, kind and model, `pk` = `usage#<team>`, `sk` = `<day>#<kind>/<model>#<shard>`,
//! for reports.
//!
//! It is written beside the state, in the same moment, as a transaction of its own with the reservation's id as its token, so that a second try
//! counts once. Transactions on one item conflict, therefore it has [`SHARDS`] parts. The state decides about limits; a process that dies between the two writes leaves the history short of that one request, or (until
//! the sweep has charged the estimate) ahead of the state.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tollgate_wire::ir::Usage;

use crate::expression::Expression;
use crate::item::n;
use crate::window::{Windows, unix_s};

/// Kept for so long: 400 days, a year and a month.
const KEPT_S: u64 = 400 * 86_400;
/// Items per team, day and model.
const SHARDS: u32 = 16;

/// What one upstream call used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The kind of its provider.
    pub kind: String,
    /// The model that served.
    pub model: String,
    /// Tokens.
    pub usage: Usage,
    /// What they cost, in nano-dollars.
    pub nano_usd: u64,
    /// The provider did not report it (all): it is our estimate.
    pub estimated: bool,
    /// There was no price for the model.
    pub unpriced: bool,
}

/// One update per item: calls of one request to the same model share it. `id` chooses the shard.
pub(crate) fn updates(team: &str, records: &[Record], id: &str, at: SystemTime) -> Vec<(String, String, Expression)> {
    let mut sums: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
    let day = Windows::at(at).day();
    let shard = id.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % SHARDS;
    for record in records {
        // 1,024 bytes are what a sort key may have.
        let name: String = format!("{}/{}", record.kind, record.model).chars().take(240).collect();
        let sk = format!("{day}#{name}#{shard}");
        let sum = sums.entry(sk).or_default();
        for (name, value) in figures(record) {
            let total = sum.entry(name).or_default();
            *total = total.saturating_add(value);
        }
    }
    let expires = unix_s(at) + KEPT_S;
    let update = |(sk, sum): (String, BTreeMap<&'static str, u64>)| {
        let mut expression = Expression::default();
        expression.set_if_absent("expires", n(expires));
        for (name, value) in sum.into_iter().filter(|(_, value)| *value > 0) {
            expression.add(name, n(value));
        }
        (format!("usage#{team}"), sk, expression)
    };
    sums.into_iter().map(update).collect()
}

fn figures(record: &Record) -> [(&'static str, u64); 13] {
    let usage = &record.usage;
    let tokens = |value: Option<u64>| value.unwrap_or_default();
    [
        ("requests", 1),
        ("input", tokens(usage.input)),
        ("cache_read", tokens(usage.cache_read)),
        ("cache_write", tokens(usage.cache_write)),
        ("cache_write_1h", tokens(usage.cache_write_1h)),
        ("output", tokens(usage.output)),
        ("reasoning", tokens(usage.reasoning)),
        ("audio_input", tokens(usage.audio_input)),
        ("audio_output", tokens(usage.audio_output)),
        ("seconds", tokens(usage.seconds)),
        ("nano_usd", record.nano_usd),
        ("estimated", u64::from(record.estimated)),
        ("unpriced", u64::from(record.unpriced)),
    ]
}
