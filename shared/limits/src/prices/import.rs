//! Price lists of others: LiteLLM's `model_prices_and_context_window.json` and models.dev's `api.json`.
//!
//! 1. The text is JSON, and its shape says which list it is.
//! 2. Every entry that has prices of tokens becomes a [`PriceEntry`] under `kind/model`; one that has none is skipped.
//! 3. One price that cannot be one (negative, not a number, beyond all reason) refuses the whole list: half a price list is worse than none.
//!
//! Numbers are read as the decimal texts that they are, never multiplied as floats: `3e-07` dollars per token are exactly 0.3 per million.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tollgate_config::{PriceEntry, UsdPerMillion};

mod decimal;
mod litellm;
mod models_dev;

/// No model costs more, in pico-dollars per token: $10,000 per million tokens.
const ABSURD: u64 = 10_000_000_000;

/// A price list, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Prices by `kind/model`.
    pub prices: BTreeMap<String, PriceEntry>,
    /// The entries without prices of tokens, by the list's own names, sorted.
    pub skipped: Vec<String>,
}

/// Why a price list is refused, as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ImportError {
    #[error("not JSON: {0}")]
    NotJson(String),
    #[error("the list is empty")]
    Empty,
    #[error(
        "neither LiteLLM's price list nor models.dev's: expected an object of models with `litellm_provider`, or of providers with `models`"
    )]
    UnknownShape,
    #[error("no entry has a price of tokens")]
    NothingPriced,
    #[error("`{entry}`: {problem}")]
    Entry { entry: String, problem: String },
}

/// What a list says about one entry: `None` when it has no price of tokens.
type Read = Result<Option<(String, PriceEntry)>, ImportError>;

/// Reads a price list, LiteLLM's or models.dev's.
///
/// # Errors
/// When it is neither, prices nothing, or holds something that is no price. Nothing of it is used then.
pub fn import(text: &str) -> Result<Imported, ImportError> {
    let list: Value = serde_json::from_str(text).map_err(|error| ImportError::NotJson(error.to_string()))?;
    let Value::Object(list) = list else { return Err(ImportError::UnknownShape) };
    if list.is_empty() {
        return Err(ImportError::Empty);
    }
    let mut reading = Reading::default();
    if models_dev::looks_like(&list) {
        models_dev::read(&list, &mut reading)?;
    } else if litellm::looks_like(&list) {
        litellm::read(&list, &mut reading)?;
    } else {
        return Err(ImportError::UnknownShape);
    }
    if reading.prices.is_empty() {
        return Err(ImportError::NothingPriced);
    }
    Ok(Imported { prices: reading.prices, skipped: reading.skipped.into_iter().collect() })
}

/// Writes prices in the form of the configuration's `limits.prices`, as JSON.
#[must_use]
pub fn to_json(prices: &BTreeMap<String, PriceEntry>) -> String {
    // A map with texts as keys and nothing but numbers, texts and lists in it can always be written.
    let mut text = serde_json::to_string_pretty(prices).unwrap_or_default();
    text.push('\n');
    text
}

/// Reads what [`to_json`] writes, or the `limits.prices` of a configuration as JSON.
///
/// # Errors
/// When it is not that, with what is wrong and where.
pub fn from_json(text: &str) -> Result<BTreeMap<String, PriceEntry>, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// A list while it is read.
#[derive(Debug, Default)]
struct Reading {
    prices: BTreeMap<String, PriceEntry>,
    skipped: BTreeSet<String>,
}

impl Reading {
    /// Takes in what an entry says. Lists name some models twice: the first one stands.
    fn take(&mut self, name: String, read: Option<(String, PriceEntry)>) {
        match read {
            Some((key, price)) => {
                self.prices.entry(key).or_insert(price);
            }
            None => {
                self.skipped.insert(name);
            }
        }
    }
}

/// The fields of one entry, and its name for errors.
#[derive(Debug, Clone, Copy)]
struct Fields<'a> {
    entry: &'a str,
    fields: &'a Map<String, Value>,
    /// What a price of 1 means, as a power of ten: 12 pico-dollars for dollars per token, 6 for dollars per million.
    scale: i32,
}

impl<'a> Fields<'a> {
    fn of(entry: &'a str, value: &'a Value, scale: i32) -> Result<Self, ImportError> {
        match value {
            Value::Object(fields) => Ok(Self { entry, fields, scale }),
            other => Err(refuse(entry, &format!("expected an object, got {}", short(other)))),
        }
    }

    /// An object inside of this one.
    fn inner(&self, key: &str) -> Result<Option<Self>, ImportError> {
        match self.fields.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => Fields::of(self.entry, value, self.scale).map(Some),
        }
    }

    /// The price of one search: up to a thousand times what a token may cost.
    fn query(&self, key: &str) -> Result<Option<UsdPerMillion>, ImportError> {
        Fields { scale: self.scale - 3, ..*self }
            .price(key)
            .map(|price| price.map(|price| UsdPerMillion(price.0 * 1_000)))
    }

    /// A price, if there is one.
    fn price(&self, key: &str) -> Result<Option<UsdPerMillion>, ImportError> {
        let number = match self.fields.get(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.to_string(),
            Some(other) => return Err(self.refuse(key, &format!("expected a number, got {}", short(other)))),
        };
        match decimal::scaled(&number, self.scale) {
            Some(pico) if pico <= ABSURD => Ok(Some(UsdPerMillion(pico))),
            Some(_) => Err(self.refuse(key, &format!("{number} is more than $10,000 per million tokens"))),
            None => Err(self.refuse(key, &format!("{number} is no price"))),
        }
    }

    /// A number of tokens. Zero is none.
    fn tokens(&self, key: &str) -> Result<Option<u64>, ImportError> {
        match self.fields.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => match decimal::scaled(&number.to_string(), 0) {
                Some(tokens) => Ok(Some(tokens).filter(|tokens| *tokens > 0)),
                None => Err(self.refuse(key, &format!("{number} is no number of tokens"))),
            },
            Some(other) => Err(self.refuse(key, &format!("expected a number, got {}", short(other)))),
        }
    }

    fn refuse(&self, key: &str, problem: &str) -> ImportError {
        refuse(self.entry, &format!("{key}: {problem}"))
    }
}

fn refuse(entry: &str, problem: &str) -> ImportError {
    ImportError::Entry { entry: entry.to_owned(), problem: problem.to_owned() }
}

/// A value, for an error message.
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 40 { format!("{}...", text.chars().take(40).collect::<String>()) } else { text }
}
