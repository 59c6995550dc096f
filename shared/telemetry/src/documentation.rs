//! `docs/telemetry.md` has every field and every metric, and no other.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::METRICS;
use crate::access::tests::full;

const DOCUMENT: &str = include_str!("../../../docs/telemetry.md");

/// The cells of a table's rows; the table stands behind a mark with this name.
fn rows(mark: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let (_, rest) = DOCUMENT.split_once(&format!("<!-- {mark} -->")).unwrap();
    let (table, _) = rest.split_once("<!-- end -->").unwrap();
    let rows = table.trim().lines().skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
}

/// The words of a cell that are code.
fn code(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

fn fields(mark: &str) -> BTreeSet<String> {
    rows(mark).flat_map(|cells| code(cells[0]).collect::<Vec<_>>()).collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_tables_have_the_fields_of_a_line_and_of_an_attempt() {
    let line = serde_json::to_value(full()).unwrap();
    assert_eq!(fields("access"), keys(&line));
    assert_eq!(fields("attempt"), keys(&line["tollgate.attempts"][0]));
}

#[test]
fn the_table_has_the_metrics_with_their_units_and_dimensions() {
    let documented: Vec<_> = rows("metrics")
        .map(|cells| (code(cells[0]).next().unwrap(), cells[1].to_owned(), code(cells[2]).collect::<Vec<_>>()))
        .collect();
    let ours: Vec<_> = METRICS
        .iter()
        .map(|metric| {
            let sets = metric.dimensions();
            assert!(sets.contains(&Vec::new()), "{}: an alarm needs it without dimensions", metric.name);
            let own = sets.last().into_iter().flatten().map(|name| (*name).to_owned()).collect();
            (metric.name.to_owned(), metric.unit.to_owned(), own)
        })
        .collect();
    assert_eq!(documented, ours);
}
