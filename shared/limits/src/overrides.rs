//! What the table itself says: limits of single teams, and prices. Both can be changed without a deployment.
//!
//! | `pk` | `sk` | attribute `json` |
//! |---|---|---|
//! | `team#<team>` | `limits` | as `limits.teams.<team>` in the configuration |
//! | `prices` | `overlay` | as `limits.prices` |
//!
//! They are read again when they are older than `cacheSeconds`. What cannot be read stays as it was, and is tried again [`RETRY`] later.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tollgate_config::{PriceEntry, TeamLimits};

use crate::expression::Expression;
use crate::ledger::Ledger;
use crate::prices::PriceBook;
use crate::table::LedgerError;

const LIMITS: &str = "limits";
const PRICES: (&str, &str) = ("prices", "overlay");
/// After a failure.
const RETRY: Duration = Duration::from_secs(5);
/// Teams that are remembered; with more, all are forgotten once.
const MAX_TEAMS: usize = 10_000;

/// What is known, and until when.
#[derive(Debug, Clone)]
struct Cached<T> {
    value: T,
    fresh_until: Instant,
}

/// The overrides of a table.
#[derive(Debug)]
pub(crate) struct Overrides {
    for_seconds: Duration,
    timeout: Duration,
    base: Arc<PriceBook>,
    teams: Mutex<HashMap<String, Cached<Option<Arc<TeamLimits>>>>>,
    prices: Mutex<Option<Cached<Arc<PriceBook>>>>,
}

impl Overrides {
    pub(crate) fn new(for_seconds: Duration, timeout: Duration, base: Arc<PriceBook>) -> Self {
        Self { for_seconds, timeout, base, teams: Mutex::default(), prices: Mutex::default() }
    }

    /// Both, read again where they are too old.
    pub(crate) async fn of(&self, ledger: &Ledger, team: &str) -> (Option<Arc<TeamLimits>>, Arc<PriceBook>) {
        tokio::join!(self.team(ledger, team), self.prices(ledger))
    }

    async fn team(&self, ledger: &Ledger, team: &str) -> Option<Arc<TeamLimits>> {
        let now = Instant::now();
        let known = self.teams.lock().ok().and_then(|teams| teams.get(team).cloned());
        if let Some(known) = &known
            && now < known.fresh_until
        {
            return known.value.clone();
        }
        let read = self.read::<TeamLimits>(ledger, &format!("team#{team}"), LIMITS).await;
        let cached = match read {
            Some(value) => Cached { value: value.map(Arc::new), fresh_until: now + self.for_seconds },
            None => Cached { value: known.and_then(|known| known.value), fresh_until: now + RETRY },
        };
        if let Ok(mut teams) = self.teams.lock() {
            if teams.len() >= MAX_TEAMS {
                teams.clear();
            }
            teams.insert(team.to_owned(), cached.clone());
        }
        cached.value
    }

    async fn prices(&self, ledger: &Ledger) -> Arc<PriceBook> {
        let now = Instant::now();
        let known = self.prices.lock().ok().and_then(|prices| prices.clone());
        if let Some(known) = &known
            && now < known.fresh_until
        {
            return Arc::clone(&known.value);
        }
        let cached = match self.read::<BTreeMap<String, PriceEntry>>(ledger, PRICES.0, PRICES.1).await {
            Some(Some(overlay)) => {
                Cached { value: PriceBook::with(&self.base, &overlay), fresh_until: now + self.for_seconds }
            }
            Some(None) => Cached { value: Arc::clone(&self.base), fresh_until: now + self.for_seconds },
            None => {
                let value = known.map_or_else(|| Arc::clone(&self.base), |known| known.value);
                Cached { value, fresh_until: now + RETRY }
            }
        };
        if let Ok(mut prices) = self.prices.lock() {
            *prices = Some(cached.clone());
        }
        cached.value
    }

    /// The prices as last read, however old.
    pub(crate) fn current_prices(&self) -> Arc<PriceBook> {
        let known = self.prices.lock().ok().and_then(|prices| prices.as_ref().map(|known| Arc::clone(&known.value)));
        known.unwrap_or_else(|| Arc::clone(&self.base))
    }

    /// `None`: it could not be read, or makes no sense. `Some(None)`: there is none.
    async fn read<T: DeserializeOwned>(&self, ledger: &Ledger, pk: &str, sk: &str) -> Option<Option<T>> {
        if ledger.is_left_alone() {
            return None;
        }
        let read = tokio::time::timeout(self.timeout, ledger.table.get(pk, sk, false)).await;
        let item = match read.unwrap_or(Err(LedgerError::TimedOut(self.timeout))) {
            Ok(item) => item,
            Err(error) => {
                tracing::warn!(ledger.scope = pk, error.cause = %error, "overrides could not be read; the last ones stay");
                return None;
            }
        };
        let Some(json) = item.as_ref().and_then(|item| item.get("json")) else { return Some(None) };
        let parsed = json.as_s().map_err(|_| "`json` is not a text".to_owned());
        match parsed.and_then(|json| serde_json::from_str(json).map_err(|error| error.to_string())) {
            Ok(value) => Some(Some(value)),
            Err(error) => {
                tracing::error!(ledger.scope = pk, error.cause = %error, "overrides make no sense; the last ones stay");
                None
            }
        }
    }
}

impl Ledger {
    /// Replaces the prices that are kept in the table. JSON as in `limits.prices`.
    pub async fn put_prices(&self, json: &str) -> Result<(), LedgerError> {
        self.put_json(PRICES.0, PRICES.1, json).await
    }

    /// Replaces the limits of a team that are kept in the table. JSON as in `limits.teams.<team>`.
    pub async fn put_team_limits(&self, team: &str, json: &str) -> Result<(), LedgerError> {
        self.put_json(&format!("team#{team}"), LIMITS, json).await
    }

    async fn put_json(&self, pk: &str, sk: &str, json: &str) -> Result<(), LedgerError> {
        let mut expression = Expression::default();
        expression.set("json", aws_sdk_dynamodb::types::AttributeValue::S(json.to_owned()));
        self.table.update(pk, sk, expression).await.map(|_| ())
    }
}
