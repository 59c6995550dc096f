//! A state item as it is kept: counters and open reservations.
//!
//! | attribute | type | |
//! |---|---|---|
//! | `pk`, `sk` | S | the scope's key; `state` |
//! | `rpm#202611221653` | N | requests admitted in that minute |
//! | `tpd#20261122` | N | tokens of that day, used and reserved |
//! | `usd#202611`, `usd#202611#gpt-4*` | N | nano-dollars of that month, used and reserved; the second for the models of a pattern |
//! | `o#<id>` | M | an open reservation, below |
//! | `lane`, `due` | S, N | the keys of the index `due`: when the sweep has to look at this item |
//! | `seq` | N | goes up with every reservation: the sweep's proof that nothing came in between |
//!
//! An open reservation: `w` the minute of its admission, `e` when it expires (seconds), `t` tokens and `c` nano-dollars reserved, `ct` and `cc` what
//! is charged if nobody settles it, and where they are there: `p` patterns whose counters it is in, `s` the keys of the other scopes that have it, too, `k`
//! kind and model, `h` the team if the key does not name it, `x` the caller's own id.
//!
//! With `z` it is a mark and holds nothing: the reservation is settled or released already, but a try of its admission went unanswered and may yet arrive. While the mark is
//! there, such a late write finds its place taken. The sweep removes it when the reservation would have expired.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::scope::{Amount, Counter};
use crate::window::Windows;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Prefix of an open reservation's attribute.
pub(crate) const OPEN: &str = "o#";
/// In an open reservation: it is only a mark.
pub(crate) const MARK: &str = "z";
/// The most characters of a text that a client chose: an item has 400 KB, and all open reservations share it.
pub(crate) const MAX_TEXT: usize = 240;
/// Prefixes of counters.
const COUNTERS: [&str; 3] = ["rpm#", "tpd#", "usd#"];

/// A state item, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Snapshot {
    counters: HashMap<String, i128>,
    /// Open reservations by id.
    pub(crate) open: HashMap<String, Entry>,
    /// Marks by id, and when they are of no more use.
    pub(crate) marks: HashMap<String, u64>,
    /// Goes up with every reservation.
    pub(crate) seq: i128,
}

/// An open reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) windows: Windows,
    pub(crate) expires_unix_s: u64,
    pub(crate) reserved: Amount,
    /// What it costs if nobody settles it.
    pub(crate) charge: Amount,
    pub(crate) patterns: Vec<String>,
    pub(crate) others: Vec<String>,
    pub(crate) model: Option<String>,
    /// The team whose usage it is, where the scope is not the team's own.
    pub(crate) team: Option<String>,
    pub(crate) external_id: Option<String>,
    /// Does the scope count tokens? Those of users, models and the gateway count money alone.
    pub(crate) counts_tokens: bool,
    /// It holds nothing, and only keeps a late write out.
    pub(crate) is_mark: bool,
}

impl Snapshot {
    pub(crate) fn read(item: &Item) -> Self {
        let mut snapshot = Self::default();
        for (name, value) in item {
            if let Some(id) = name.strip_prefix(OPEN) {
                let Some(entry) = value.as_m().ok().and_then(Entry::read) else { continue };
                if entry.is_mark {
                    snapshot.marks.insert(id.to_owned(), entry.expires_unix_s);
                } else {
                    snapshot.open.insert(id.to_owned(), entry);
                }
            } else if name == "seq" {
                snapshot.seq = number(value).unwrap_or_default();
            } else if COUNTERS.iter().any(|prefix| name.starts_with(prefix)) {
                snapshot.counters.insert(name.clone(), number(value).unwrap_or_default());
            }
        }
        snapshot
    }

    /// Used and reserved.
    pub(crate) fn committed(&self, counter: &Counter, windows: Windows) -> u64 {
        let value = self.counters.get(&counter.attribute(windows)).copied().unwrap_or_default();
        u64::try_from(value.max(0)).unwrap_or(u64::MAX)
    }

    /// Reserved by open reservations in the counter's window.
    pub(crate) fn reserved(&self, counter: &Counter, windows: Windows) -> u64 {
        let attribute = counter.attribute(windows);
        let counted = |entry: &&Entry| entry.counters().iter().any(|own| own.attribute(entry.windows) == attribute);
        self.open.values().filter(counted).fold(0, |sum, entry| sum.saturating_add(entry.reserved.of(counter)))
    }

    /// Used: what settlements have reported.
    pub(crate) fn used(&self, counter: &Counter, windows: Windows) -> u64 {
        self.committed(counter, windows).saturating_sub(self.reserved(counter, windows))
    }

    /// Counters of windows that nobody counts in any more, also not with a clock that is a window behind. At most so many: an expression has its bounds.
    pub(crate) fn stale(&self, now: Windows) -> Vec<String> {
        let keep = |window: &str| {
            [now.previous_minute().minute(), now.previous_day().day(), now.previous_month().month()]
                .iter()
                .any(|oldest| oldest.len() == window.len() && window >= oldest.as_str())
        };
        let mut stale: Vec<String> = self
            .counters
            .keys()
            .filter(|name| name.split('#').nth(1).is_some_and(|window| !keep(window)))
            .cloned()
            .collect();
        stale.sort_unstable();
        stale.truncate(20);
        stale
    }
}

impl Entry {
    /// A mark.
    pub(crate) fn mark(windows: Windows, expires_unix_s: u64) -> Self {
        Self {
            windows,
            expires_unix_s,
            reserved: Amount::default(),
            charge: Amount::default(),
            patterns: Vec::new(),
            others: Vec::new(),
            model: None,
            team: None,
            external_id: None,
            counts_tokens: false,
            is_mark: true,
        }
    }

    /// The counters that its scope has it in, but for requests, which are never given back by a settlement.
    pub(crate) fn counters(&self) -> Vec<Counter> {
        let mut counters = Vec::with_capacity(2 + self.patterns.len());
        if self.counts_tokens {
            counters.push(Counter::Tokens);
        }
        counters.push(Counter::Money);
        counters.extend(self.patterns.iter().map(|pattern| Counter::ModelMoney(pattern.clone())));
        counters
    }

    pub(crate) fn write(&self) -> AttributeValue {
        let mut map = HashMap::from([
            ("w".to_owned(), AttributeValue::S(self.windows.minute())),
            ("e".to_owned(), n(self.expires_unix_s)),
            ("c".to_owned(), n(self.reserved.nano_usd)),
            ("cc".to_owned(), n(self.charge.nano_usd)),
        ]);
        if self.counts_tokens {
            map.insert("t".to_owned(), n(self.reserved.tokens));
        }
        if self.counts_tokens || self.model.is_some() {
            // Also where the scope counts money alone: for the usage history.
            map.insert("ct".to_owned(), n(self.charge.tokens));
        }
        let texts = |texts: &[String]| AttributeValue::L(texts.iter().cloned().map(AttributeValue::S).collect());
        if !self.patterns.is_empty() {
            map.insert("p".to_owned(), texts(&self.patterns));
        }
        if !self.others.is_empty() {
            map.insert("s".to_owned(), texts(&self.others));
        }
        if let Some(model) = &self.model {
            map.insert("k".to_owned(), AttributeValue::S(model.clone()));
        }
        for (name, text) in [("h", &self.team), ("x", &self.external_id)] {
            if let Some(text) = text {
                map.insert(name.to_owned(), AttributeValue::S(text.clone()));
            }
        }
        if self.is_mark {
            map.insert(MARK.to_owned(), n(1));
        }
        AttributeValue::M(map)
    }

    fn read(map: &Item) -> Option<Self> {
        let figure = |key: &str| map.get(key).and_then(number).and_then(|value| u64::try_from(value).ok());
        let text = |key: &str| map.get(key).and_then(|value| value.as_s().ok()).cloned();
        let texts = |key: &str| -> Vec<String> {
            let list = map.get(key).and_then(|value| value.as_l().ok());
            list.into_iter().flatten().filter_map(|value| value.as_s().ok()).cloned().collect()
        };
        let tokens = figure("t");
        Some(Self {
            windows: Windows::parse(&text("w")?)?,
            expires_unix_s: figure("e")?,
            reserved: Amount { requests: 0, tokens: tokens.unwrap_or_default(), nano_usd: figure("c")? },
            charge: Amount {
                requests: 0,
                tokens: figure("ct").unwrap_or_default(),
                nano_usd: figure("cc").unwrap_or_default(),
            },
            patterns: texts("p"),
            others: texts("s"),
            model: text("k"),
            team: text("h"),
            external_id: text("x"),
            counts_tokens: tokens.is_some(),
            is_mark: map.contains_key(MARK),
        })
    }
}

/// A number of the table.
pub(crate) fn n(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Wider than what a request can ask for: a sum of such must not read as nothing.
pub(crate) fn number(value: &AttributeValue) -> Option<i128> {
    value.as_n().ok()?.parse().ok()
}

/// A text that a client chose, short enough to keep.
pub(crate) fn bounded(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            windows: Windows::parse("202611221653").unwrap(),
            expires_unix_s: 1_795_366_999,
            reserved: Amount { requests: 0, tokens: 10, nano_usd: 20 },
            charge: Amount { requests: 0, tokens: 1, nano_usd: 2 },
            patterns: vec!["gpt-4*".to_owned()],
            others: vec!["gateway".to_owned()],
            model: Some("openAI/gpt-4o".to_owned()),
            team: Some("search".to_owned()),
            external_id: None,
            counts_tokens: true,
            is_mark: false,
        }
    }

    #[test]
    fn an_open_reservation_is_read_as_it_was_written() {
        let money_only = Entry {
            counts_tokens: false,
            reserved: Amount { nano_usd: 5, ..Amount::default() },
            charge: Amount::default(),
            patterns: Vec::new(),
            others: Vec::new(),
            model: None,
            team: None,
            ..entry()
        };
        let huge = Entry { reserved: Amount { requests: 0, tokens: u64::MAX, nano_usd: u64::MAX }, ..entry() };
        for entry in [entry(), money_only, huge, Entry::mark(entry().windows, 7)] {
            assert_eq!(Entry::read(entry.write().as_m().unwrap()), Some(entry));
        }
    }

    #[test]
    fn used_is_what_is_committed_less_what_is_reserved() {
        let item = Item::from([
            ("usd#202611".to_owned(), n(100)),
            ("usd#202611#gpt-4*".to_owned(), n(30)),
            ("usd#202610".to_owned(), n(7)),
            ("o#a".to_owned(), entry().write()),
        ]);
        let snapshot = Snapshot::read(&item);
        let windows = entry().windows;
        assert_eq!((snapshot.committed(&Counter::Money, windows), snapshot.used(&Counter::Money, windows)), (100, 80));
        assert_eq!(snapshot.used(&Counter::ModelMoney("gpt-4*".to_owned()), windows), 10);
        assert_eq!(snapshot.used(&Counter::Money, windows.previous_month()), 7, "it is open in November only");
    }

    #[test]
    fn a_sum_beyond_64_bits_is_a_full_counter_and_not_an_empty_one() {
        let item =
            Item::from([("tpd#20261122".to_owned(), n(u128::from(u64::MAX) * 3)), ("usd#202611".to_owned(), n(-5))]);
        let (snapshot, windows) = (Snapshot::read(&item), entry().windows);
        assert_eq!(snapshot.committed(&Counter::Tokens, windows), u64::MAX);
        assert_eq!(snapshot.committed(&Counter::Money, windows), 0);
    }

    #[test]
    fn a_mark_is_not_an_open_reservation() {
        let item = Item::from([("o#a".to_owned(), Entry::mark(entry().windows, 7).write())]);
        let snapshot = Snapshot::read(&item);
        assert!(snapshot.open.is_empty());
        assert_eq!(snapshot.marks.get("a"), Some(&7));
    }

    #[test]
    fn counters_are_stale_two_windows_later() {
        let names = [
            "rpm#202611221653",
            "rpm#202611221652",
            "rpm#202611221651",
            "tpd#20261122",
            "tpd#20261121",
            "tpd#20261120",
            "usd#202611",
            "usd#202610#x",
            "usd#202609#x",
            "usd#202609",
        ];
        let item: Item = names.iter().map(|name| ((*name).to_owned(), n(1))).collect();
        let stale = Snapshot::read(&item).stale(Windows::parse("202611221653").unwrap());
        assert_eq!(stale, ["rpm#202611221651", "tpd#20261120", "usd#202609", "usd#202609#x"]);
    }
}
