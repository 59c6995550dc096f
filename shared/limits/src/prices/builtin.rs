//! The table that comes with the gateway: `prices.json`, one row per model.

use std::collections::HashMap;

use serde::Deserialize;
use tollgate_config::{PriceAbove, PriceEntry, Times, UsdPerMillion};

use super::{Found, Origin, Price, name};

const TABLE: &str = include_str!("../../prices.json");

/// A row as the file has it. Prices are US dollars per million tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Row {
    kind: &'static str,
    model: &'static str,
    input: UsdPerMillion,
    output: UsdPerMillion,
    cache_read: Option<UsdPerMillion>,
    cache_write: Option<UsdPerMillion>,
    cache_write_1h: Option<UsdPerMillion>,
    reasoning: Option<UsdPerMillion>,
    audio_input: Option<UsdPerMillion>,
    audio_output: Option<UsdPerMillion>,
    image_input: Option<UsdPerMillion>,
    image_output: Option<UsdPerMillion>,
    search: Option<UsdPerMillion>,
    second: Option<UsdPerMillion>,
    web_search: Option<UsdPerMillion>,
    priority: Option<Times>,
    fast: Option<Times>,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    #[serde(default)]
    above: Vec<PriceAbove>,
    source: &'static str,
    date: &'static str,
}

/// The rows, found by kind and name. Kinds and names are in lower case.
#[derive(Debug, Default)]
pub(super) struct Builtin {
    rows: Vec<Priced>,
    exact: HashMap<(String, String), usize>,
    /// By the name's [stem](name::stem). `None`: rows of different prices share it, and none of them is it.
    stems: HashMap<(String, String), Option<usize>>,
}

#[derive(Debug)]
struct Priced {
    kind: &'static str,
    model: &'static str,
    source: &'static str,
    date: &'static str,
    price: Price,
}

impl Builtin {
    /// Reads the table. A test keeps it readable: should it not be, every model is unknown, which no one is billed nothing for.
    pub(super) fn load() -> Self {
        let rows: Vec<Row> = serde_json::from_str(TABLE).unwrap_or_default();
        let mut table = Self { rows: rows.into_iter().map(Priced::from).collect(), ..Self::default() };
        for (at, row) in table.rows.iter().enumerate() {
            let kind = name::kind(row.kind);
            table.exact.insert((kind, row.model.to_ascii_lowercase()), at);
        }
        for (at, row) in table.rows.iter().enumerate() {
            let (kind, model) = (name::kind(row.kind), row.model.to_ascii_lowercase());
            let stem = name::stem(&kind, &model).to_owned();
            let named_so = table.exact.get(&(kind.clone(), stem.clone())).copied();
            let shared = table.stems.entry((kind, stem)).or_insert(Some(at));
            let same = shared.and_then(|other| table.rows.get(other)).is_some_and(|other| other.price == row.price);
            *shared = named_so.or(shared.filter(|_| same));
        }
        table
    }

    /// Both in lower case.
    pub(super) fn find(&self, kind: &str, model: &str) -> Option<Found<'_>> {
        let candidates = name::candidates(kind, model);
        let at = name::tables(kind).iter().find_map(|table| {
            candidates.iter().find_map(|candidate| {
                let exact = self.exact.get(&((*table).to_owned(), (*candidate).to_owned())).copied();
                let stem = || self.stems.get(&((*table).to_owned(), name::stem(kind, candidate).to_owned())).copied();
                exact.or_else(|| stem().flatten())
            })
        })?;
        let row = self.rows.get(at)?;
        let origin = Origin::Builtin { kind: row.kind, model: row.model, source: row.source, date: row.date };
        Some(Found { price: &row.price, origin })
    }
}

impl From<Row> for Priced {
    fn from(row: Row) -> Self {
        let entry = PriceEntry {
            input: row.input,
            output: row.output,
            cache_read: row.cache_read,
            cache_write: row.cache_write,
            cache_write_1h: row.cache_write_1h,
            reasoning: row.reasoning,
            audio_input: row.audio_input,
            audio_output: row.audio_output,
            image_input: row.image_input,
            image_output: row.image_output,
            search: row.search,
            second: row.second,
            web_search: row.web_search,
            priority: row.priority,
            flex: None,
            fast: row.fast,
            max_input_tokens: row.max_input_tokens,
            max_output_tokens: row.max_output_tokens,
            above: row.above,
        };
        Self { kind: row.kind, model: row.model, source: row.source, date: row.date, price: Price::from(&entry) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        let rows: Vec<Row> = serde_json::from_str(TABLE).unwrap();
        assert!(rows.len() >= 100, "{}", rows.len());
        assert_eq!(Builtin::load().rows.len(), rows.len());
    }
}
