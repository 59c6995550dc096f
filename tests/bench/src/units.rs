//! Write units: what a request writes, by the sizes of the items that are stored, and by what the embedded DynamoDB charges.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use tollgate_limits::{Admission, Amount, Counter, Ledger, Order, Owner, Record, Reservation, Scope};

use crate::Result;
use crate::dynamo::{self, Counting};
use crate::report::{Table, note, thousands};
use crate::scaling::Sizes;

/// A write in a transaction takes twice the units.
pub(crate) const HISTORY_FACTOR: f64 = 2.0;
/// Dollars per million write units, on demand, in us-east-1, since November 2024.
const DOLLARS: f64 = 0.625;
const OPEN: [usize; 4] = [1, 10, 100, 1_000];

/// What a write of an item of so many bytes takes.
pub(crate) fn write_units(bytes: f64) -> f64 {
    (bytes / 1_024.0).ceil().max(1.0)
}

/// Bytes of an item by DynamoDB's rules: names and texts in UTF-8, two digits of a number a byte and one more, three more for a map or a list and one for each of its parts.
fn item_bytes(item: &Value) -> usize {
    item.as_object().into_iter().flatten().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else { return 1 };
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => text.len(),
        ("N", Value::String(digits)) => {
            let digits = digits.trim_start_matches('-').trim_matches('0');
            digits.len().div_ceil(2) + 1
        }
        ("M", map) => {
            let parts = map.as_object().map_or(0, serde_json::Map::len);
            3 + parts + item_bytes(map)
        }
        ("L", Value::Array(parts)) => 3 + parts.iter().map(|part| value_bytes(part) + 1).sum::<usize>(),
        _ => 1,
    }
}

/// A team's scope with three limits that never refuse.
pub(crate) fn scope(team: &str) -> Scope {
    let counters = [Counter::Requests, Counter::Tokens, Counter::Money];
    let counters = counters.into_iter().map(|counter| (counter, Some(u64::MAX / 4))).collect();
    Scope { key: format!("team#{team}"), owner: Owner::Team, counters }
}

/// A request of the bench as the gateway orders it.
pub(crate) fn order(team: &str, now: SystemTime) -> Order {
    Order {
        team: team.to_owned(),
        scopes: vec![scope(team)],
        amount: Amount { requests: 1, tokens: 649, nano_usd: 6_147_500 },
        charge: Amount { requests: 0, tokens: 137, nano_usd: 342_500 },
        expires: now + Duration::from_secs(180),
        model: Some("openAI/gpt-4o-2024-08-06".to_owned()),
        external_id: None,
        open: true,
    }
}

/// What came of it.
pub(crate) fn used() -> (Amount, Record) {
    let mut record = Record {
        kind: "openAI".to_owned(),
        model: "gpt-4o-2024-08-06".to_owned(),
        usage: Default::default(),
        nano_usd: 552_500,
        estimated: false,
        unpriced: false,
    };
    record.usage.input = Some(61);
    record.usage.output = Some(40);
    (Amount { requests: 1, tokens: 101, nano_usd: 552_500 }, record)
}

/// It has to be admitted.
pub(crate) async fn reserve(ledger: &Ledger, order: &Order, now: SystemTime) -> Result<Reservation> {
    match ledger.reserve(order, now).await {
        Admission::Admitted(reservation, _) => Ok(reservation),
        other => Err(format!("an admission was {other:?}").into()),
    }
}

struct Row {
    open: usize,
    bytes: usize,
    history_bytes: usize,
    /// The embedded DynamoDB's: reserve, settle, history.
    charged: [f64; 3],
}

async fn row(open: usize) -> Result<Row> {
    let behind = dynamo::start().await?;
    let (counting, endpoint) = Counting::start(&behind).await?;
    let ledger = dynamo::ledger(&endpoint)?;
    ledger.create_table().await?;
    let (team, now) = ("search", SystemTime::now());
    let (used, record) = used();
    // The item, its place in the index and the history are there already, as they are for all requests but a team's first.
    let first = reserve(&ledger, &order(team, now), now).await?;
    ledger.settle(first, team, used, vec![record.clone()], now).await;
    let mut others = Vec::with_capacity(open);
    for _ in 1..open {
        others.push(reserve(&ledger, &order(team, now), now).await?);
    }
    counting.take();
    let own = reserve(&ledger, &order(team, now), now).await?;
    let after_reserve = counting.take();
    let state = dynamo::items(&behind, "team#search").await?;
    let bytes = state.iter().map(item_bytes).max().ok_or("there is no state item")?;
    ledger.settle(own, team, used, vec![record], now).await;
    let after_settle = counting.take();
    let calls: Vec<usize> = [&after_reserve, &after_settle]
        .iter()
        .flat_map(|charged| charged.values().map(|charged| charged.calls))
        .collect();
    if calls != [1, 1, 1] {
        return Err(format!("a request was expected to make three calls: {after_reserve:?}, {after_settle:?}").into());
    }
    let history = dynamo::items(&behind, "usage#search").await?;
    let history_bytes = history.iter().map(item_bytes).max().ok_or("there is no history")?;
    let units = |charged: &std::collections::BTreeMap<String, dynamo::Charged>, operation: &str| {
        charged.get(operation).map_or(f64::NAN, |charged| charged.units)
    };
    let charged = [
        units(&after_reserve, "UpdateItem"),
        units(&after_settle, "UpdateItem"),
        units(&after_settle, "TransactWriteItems"),
    ];
    drop(others);
    note(&format!("write units: {open} open, {bytes} bytes"));
    Ok(Row { open, bytes, history_bytes, charged })
}

/// The table, and the sizes for [`crate::scaling`].
pub(crate) async fn section() -> Result<(String, Sizes)> {
    let mut table = Table::new(&[
        "open reservations",
        "item bytes",
        "reserve",
        "settle",
        "usage history",
        "units per request",
        "as the embedded DynamoDB counts",
        "dollars per million requests",
    ]);
    let (mut rows, mut agree) = (Vec::new(), true);
    for open in OPEN {
        let row = row(open).await?;
        let state = write_units(row.bytes as f64);
        let history = HISTORY_FACTOR * write_units(row.history_bytes as f64);
        let (units, charged) = (2.0 * state + history, row.charged.iter().sum::<f64>());
        agree &= units.total_cmp(&charged).is_eq();
        table.row(&[
            thousands(row.open as f64),
            thousands(row.bytes as f64),
            thousands(state),
            thousands(state),
            thousands(history),
            thousands(units),
            thousands(charged),
            format!("{:.2}", units * DOLLARS),
        ]);
        rows.push(row);
    }
    let (Some(low), Some(high)) = (rows.first(), rows.last()) else { return Err("no rows".into()) };
    let each = (high.bytes - low.bytes) as f64 / (high.open - low.open) as f64;
    let sizes = Sizes { empty: low.bytes as f64 - each, each, history: low.history_bytes as f64 };
    let verdict = if agree { "The two counts agree." } else { "**The two counts differ.**" };
    let text = format!(
        "### Write units per request\n\nOne scope, three calls: reserve, settle, and beside it the history (a transaction on one item of {} bytes, which counts twice). An \
         `UpdateItem` takes a unit per KiB of the item, the larger of before and after. {verdict} Dollars: on demand in us-east-1, at {DOLLARS} per million write \
         units.\n\n{}\n",
        low.history_bytes,
        table.text()
    );
    Ok((text, sizes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_are_counted_by_dynamodbs_rules() {
        let item = json!({"pk": {"S": "team#a"}, "n": {"N": "12300"}, "m": {"M": {"a": {"N": "-7"}, "b": {"L": [{"S": "xy"}]}}}});
        // pk 2 + 6; n 1 + (2 + 1); m 1 + 3 + 2 parts + (a 1 + 2) + (b 1 + 3 + (2 + 1)).
        assert_eq!(item_bytes(&item), 8 + 4 + 6 + 3 + 7);
    }

    #[test]
    fn a_unit_is_a_kibibyte_begun() {
        assert_eq!([0.0, 1.0, 1_024.0, 1_025.0].map(write_units), [1.0, 1.0, 1.0, 2.0]);
    }
}
