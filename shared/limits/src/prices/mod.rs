//! What tokens cost.
//!
//! A [`PriceBook`] finds the [`Price`] of a provider kind and a model name:
//!
//! 1. the overlays, the one added last first; in each: `kind/model` exactly, `model` exactly, then the longest pattern with `*`;
//! 2. the [built-in table](PriceBook::builtin): the name exactly, then without what does not change a price (a region, a version, a date).
//!
//! A name that merely begins like a known one finds nothing. `None` is "unknown", never "free": the caller refuses or takes the configured
//! price for unknown models.
//!
//! Rates are pico-dollars per token, which is what dollars per million tokens are with six decimal places; costs are nano-dollars. All
//! arithmetic is on integers. `docs/prices.md` has the rules in plain words.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use tollgate_config::{PriceEntry, pattern};

mod builtin;
pub mod import;
mod name;
mod price;

pub use price::{Price, Service};

use builtin::Builtin;

/// Prices by provider kind and model. Cheap to clone and to overlay: layers are shared.
#[derive(Debug, Clone, Default)]
pub struct PriceBook {
    builtin: Arc<Builtin>,
    /// The last one wins.
    overlays: Vec<Arc<Overlay>>,
}

/// Prices of a configuration or of the ledger, by key in lower case.
#[derive(Debug, Default)]
struct Overlay {
    exact: BTreeMap<String, Keyed>,
    patterns: BTreeMap<String, Keyed>,
}

#[derive(Debug)]
struct Keyed {
    /// As it was written.
    key: String,
    price: Price,
}

/// A price, and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The price.
    pub price: &'a Price,
    /// Where it stands.
    pub origin: Origin<'a>,
}

/// Where a price stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// In an overlay, under this key.
    Overlay(&'a str),
    /// In the built-in table.
    Builtin {
        /// The row's provider kind: not always the one asked for.
        kind: &'a str,
        /// The row's model.
        model: &'a str,
        /// The address of the page or file that shows the price.
        source: &'a str,
        /// The day on which it showed it: `2026-11-22`.
        date: &'a str,
    },
}

impl PriceBook {
    /// The table that comes with this crate. Read once.
    #[must_use]
    pub fn builtin() -> Arc<Self> {
        static BOOK: LazyLock<Arc<PriceBook>> =
            LazyLock::new(|| Arc::new(PriceBook { builtin: Arc::new(Builtin::load()), overlays: Vec::new() }));
        Arc::clone(&BOOK)
    }

    /// `base` with more prices on top, by `kind/model` or `model` (`*` stands for any text). They win over everything in `base`.
    #[must_use]
    pub fn with(base: &Arc<Self>, overlay: &BTreeMap<String, PriceEntry>) -> Arc<Self> {
        if overlay.is_empty() {
            return Arc::clone(base);
        }
        let mut book = Self::clone(base);
        book.overlays.push(Arc::new(Overlay::new(overlay)));
        Arc::new(book)
    }

    /// The price of a model at a provider of this kind: `openAI`, `anthropic`, `bedrock`, `gemini`, `azure`, `vertex`, `custom`, or a custom
    /// provider's `providerOverride`. None: it is not known, which is not free.
    #[must_use]
    pub fn find(&self, kind: &str, model: &str) -> Option<&Price> {
        self.lookup(kind, model).map(|found| found.price)
    }

    /// [`find`](Self::find), and where the price stands.
    #[must_use]
    pub fn lookup(&self, kind: &str, model: &str) -> Option<Found<'_>> {
        let kind = name::kind(kind);
        let model = model.trim().to_ascii_lowercase();
        let both = format!("{kind}/{model}");
        let overlaid = self.overlays.iter().rev().find_map(|overlay| overlay.find(&both, &model));
        if let Some(keyed) = overlaid {
            return Some(Found { price: &keyed.price, origin: Origin::Overlay(&keyed.key) });
        }
        self.builtin.find(&kind, &model)
    }
}

impl Overlay {
    fn new(entries: &BTreeMap<String, PriceEntry>) -> Self {
        let mut overlay = Self::default();
        for (key, entry) in entries {
            let layer = if key.contains('*') { &mut overlay.patterns } else { &mut overlay.exact };
            layer.insert(overlay_key(key), Keyed { key: key.clone(), price: Price::from(entry) });
        }
        overlay
    }

    /// `both` is `kind/model`. Of two patterns of the same length the one that names the kind wins.
    fn find(&self, both: &str, model: &str) -> Option<&Keyed> {
        if let Some(keyed) = self.exact.get(both).or_else(|| self.exact.get(model)) {
            return Some(keyed);
        }
        let longest = |text: &str| {
            let hits = self.patterns.iter().filter(|(pattern, _)| pattern::matches(pattern, text));
            hits.max_by_key(|(pattern, _)| pattern.len())
        };
        match (longest(both), longest(model)) {
            (Some(kind), Some(any)) => Some(if any.0.len() > kind.0.len() { any.1 } else { kind.1 }),
            (one, other) => one.or(other).map(|(_, keyed)| keyed),
        }
    }
}

/// Lower case, and the kind under the name that [`name::kind`] gives it.
fn overlay_key(key: &str) -> String {
    let key = key.trim().to_ascii_lowercase();
    match key.split_once('/') {
        Some((kind, model)) => format!("{}/{model}", name::kind(kind)),
        None => key,
    }
}
