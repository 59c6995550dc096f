//! Budget warnings: each share of a month's budget is told once.
//!
//! The item `warned#<month>#<percent>` (and `#<pattern>` for models) under the scope's key is written on the condition that it is not there: whoever
//! writes it tells it, by log and metric. It is also the outbox: it stands in the index `due` until the sweep has sent its event.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::SystemTime;

use tollgate_config::Usd;
use tollgate_telemetry::metric;

use crate::expression::Expression;
use crate::item::{Item, Snapshot, n, number};
use crate::refusal::Refusal;
use crate::scope::{Counter, Scope};
use crate::table::{Table, Updated, lane};
use crate::window::{Windows, unix_s};

/// The prefix of a warning's sort key.
pub(crate) const WARNED: &str = "warned#";
/// So many are remembered; with more, all are forgotten once, and the table says what was told.
const MAX_KNOWN: usize = 10_000;
/// Kept for so long, in seconds.
const KEPT_S: u64 = 400 * 86_400;

/// A refusal means that a budget is used up only if so much of it is, in per cent: one request may have asked for too much.
const NEARLY: u32 = 90;

/// A share of a budget is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The scope's key: `team#search`.
    pub scope: String,
    /// The models that the budget is for; `None`: all.
    pub pattern: Option<String>,
    /// `202611`.
    pub month: String,
    /// The share, in per cent.
    pub percent: u32,
    /// Used so far, in nano-dollars.
    pub used_nano_usd: u64,
    /// The budget, in nano-dollars.
    pub limit_nano_usd: u64,
}

/// What this process knows to have been told.
#[derive(Debug)]
pub(crate) struct Told {
    shares: Vec<u32>,
    known: Mutex<HashSet<(String, String)>>,
}

impl Told {
    pub(crate) fn new(mut shares: Vec<u32>) -> Self {
        shares.sort_unstable();
        Self { shares, known: Mutex::default() }
    }

    /// After a settlement: the shares that are used up now and that nobody has told.
    pub(crate) async fn crossed(
        &self,
        table: &Table,
        scope: &Scope,
        snapshot: &Snapshot,
        windows: Windows,
        now: SystemTime,
    ) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (counter, max) in scope.counters.iter().filter(|(counter, _)| counter.is_money()) {
            let Some(limit) = *max else { continue };
            let used = snapshot.used(counter, windows);
            let reached = self.shares.iter().filter(|share| is_reached(used, limit, **share));
            for share in reached {
                warnings.extend(self.tell(table, &warning(scope, counter, windows, *share, used, limit), now).await);
            }
        }
        warnings
    }

    /// After a refusal: a budget without room is used up, though the last cents may be left.
    pub(crate) async fn exhausted(
        &self,
        table: &Table,
        scope: &Scope,
        refusal: &Refusal,
        windows: Windows,
        now: SystemTime,
    ) -> Option<Warning> {
        let standing = refusal.standings.iter().find(|standing| standing.counter == refusal.counter)?;
        if !self.shares.contains(&100) || !refusal.counter.is_money() {
            return None;
        }
        let used = standing.limit.saturating_sub(standing.remaining);
        if !is_reached(used, standing.limit, NEARLY) {
            return None;
        }
        self.tell(table, &warning(scope, &refusal.counter, windows, 100, used, standing.limit), now).await
    }

    /// Tells it if nobody has.
    async fn tell(&self, table: &Table, warning: &Warning, now: SystemTime) -> Option<Warning> {
        let key = (warning.scope.clone(), warning.sort_key());
        if self.known.lock().is_ok_and(|known| known.contains(&key)) {
            return None;
        }
        let mut expression = Expression::default();
        expression.require_absent("percent");
        expression.set("percent", n(warning.percent));
        expression.set("used", n(warning.used_nano_usd));
        expression.set("limit", n(warning.limit_nano_usd));
        expression.set("lane", lane());
        expression.set("due", n(unix_s(now)));
        expression.set("expires", n(unix_s(now) + KEPT_S));
        let first = match table.update(&key.0, &key.1, expression).await {
            Ok(Updated::Done(_)) => true,
            Ok(Updated::Refused(_)) => false,
            Err(error) => {
                tracing::warn!(ledger.scope = %warning.scope, error.cause = %error, "a budget warning could not be noted");
                return None;
            }
        };
        if let Ok(mut known) = self.known.lock() {
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(key);
        }
        if !first {
            return None;
        }
        warning.log();
        Some(warning.clone())
    }
}

impl Warning {
    /// The sort key of its item.
    pub(crate) fn sort_key(&self) -> String {
        match &self.pattern {
            None => format!("{WARNED}{}#{}", self.month, self.percent),
            Some(pattern) => format!("{WARNED}{}#{}#{pattern}", self.month, self.percent),
        }
    }

    /// From its item.
    pub(crate) fn read(pk: &str, sk: &str, item: &Item) -> Option<Self> {
        let mut words = sk.strip_prefix(WARNED)?.splitn(3, '#');
        let (month, percent) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        let figure = |name: &str| item.get(name).and_then(number).and_then(|value| u64::try_from(value).ok());
        Some(Self {
            scope: pk.to_owned(),
            pattern: words.next().map(str::to_owned),
            month,
            percent,
            used_nano_usd: figure("used")?,
            limit_nano_usd: figure("limit")?,
        })
    }

    fn log(&self) {
        let models = self.pattern.as_deref().unwrap_or("*");
        tracing::warn!(
            ledger.scope = %self.scope, budget.models = models, budget.month = %self.month, budget.percent = self.percent,
            budget.used_nano_usd = self.used_nano_usd, budget.limit_nano_usd = self.limit_nano_usd,
            "{} % of a budget is used up: {} of {}", self.percent, Usd(self.used_nano_usd), Usd(self.limit_nano_usd)
        );
        tollgate_telemetry::count(&metric::BUDGET_THRESHOLD, &[&self.scope, &self.percent.to_string()]);
    }
}

fn warning(scope: &Scope, counter: &Counter, windows: Windows, percent: u32, used: u64, limit: u64) -> Warning {
    let pattern = match counter {
        Counter::ModelMoney(pattern) => Some(pattern.clone()),
        _ => None,
    };
    let month = windows.month();
    Warning { scope: scope.key.clone(), pattern, month, percent, used_nano_usd: used, limit_nano_usd: limit }
}

fn is_reached(used: u64, limit: u64, share: u32) -> bool {
    limit > 0 && u128::from(used) * 100 >= u128::from(limit) * u128::from(share)
}
