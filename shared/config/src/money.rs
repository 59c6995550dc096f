//! Amounts of money as the file writes them, as whole numbers.
//!
//! A file says dollars, `12.5` or `"12.5"`; the gateway counts in nano-dollars (budgets) and pico-dollars per token (prices), and never in
//! floating point. A text is read digit by digit; a number goes through its shortest decimal form, which is what the file said.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of US dollars, in nano-dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "Decimal"))]
pub struct Usd(pub u64);

/// A price in US dollars per million tokens, in pico-dollars per token: `$3` per million are 3,000,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "Decimal"))]
pub struct UsdPerMillion(pub u64);

/// How many times a price, in millionths: `1.75` is 1,750,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "Decimal"))]
pub struct Times(pub u64);

/// A number, or a text that holds one.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Decimal {
    Number(f64),
    Text(String),
}

impl Usd {
    /// Reads `12.5`.
    pub fn parse(text: &str) -> Result<Self, String> {
        scaled(text, 9).map(Self)
    }
}

impl UsdPerMillion {
    /// Reads `0.0375`.
    pub fn parse(text: &str) -> Result<Self, String> {
        scaled(text, 6).map(Self)
    }
}

/// A decimal of at most `places` places, times 10^places.
fn scaled(text: &str, places: usize) -> Result<u64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || whole.len() > 12 || !digits(whole) || !digits(fraction) {
        return Err(format!("expected an amount of dollars such as 12.5, got `{text:.40}`"));
    }
    if fraction.len() > places {
        return Err(format!("`{text:.40}` has more than {places} decimal places"));
    }
    let padded = format!("{whole}{fraction:0<places$}");
    padded.parse().map_err(|_| format!("`{text:.40}` is more than can be counted"))
}

struct Amount(fn(&str) -> Result<u64, String>);

impl Visitor<'_> for Amount {
    type Value = u64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an amount of dollars such as 12.5")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        (self.0)(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<u64, E> {
        // `Display` of a float never uses an exponent.
        self.visit_str(&value.to_string())
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Amount(|text| Usd::parse(text).map(|usd| usd.0))).map(Self)
    }
}

impl<'de> Deserialize<'de> for UsdPerMillion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Amount(|text| UsdPerMillion::parse(text).map(|price| price.0))).map(Self)
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UsdPerMillion::deserialize(deserializer).map(|millionths| Self(millionths.0))
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        UsdPerMillion(self.0).serialize(serializer)
    }
}

/// Dollars per million tokens, as the file writes them: `0.0375`.
impl std::fmt::Display for UsdPerMillion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// As a text, which is exact.
impl Serialize for UsdPerMillion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// For people: `$12.50`, and as many places as it takes.
impl std::fmt::Display for Usd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, nano) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let fraction = format!("{nano:09}");
        let kept = fraction.trim_end_matches('0').len().max(2);
        write!(f, "${whole}.{}", fraction.get(..kept).unwrap_or(&fraction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, nano) in [("0", 0), ("25", 25_000_000_000), ("12.5", 12_500_000_000), ("0.000000001", 1)] {
            assert_eq!(Usd::parse(text), Ok(Usd(nano)), "{text}");
            let value: f64 = text.parse().unwrap();
            assert_eq!(serde_json::from_value::<Usd>(serde_json::json!(value)).unwrap(), Usd(nano), "{value}");
        }
        assert_eq!(UsdPerMillion::parse("0.0375"), Ok(UsdPerMillion(37_500)));
        assert_eq!(UsdPerMillion::parse("3"), Ok(UsdPerMillion(3_000_000)));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "-1", "1e3", "1.", ".5", "abc", "1.0000000001", "1234567890123", "99999999999.5", "NaN"] {
            let parsed = Usd::parse(text);
            assert_eq!(parsed.is_ok(), text == "1.", "{text}: {parsed:?}");
        }
    }

    #[test]
    fn a_price_is_written_as_it_is_read() {
        for text in ["0", "3", "0.0375", "10000", "0.000001", "999999999999.999999"] {
            let price = UsdPerMillion::parse(text);
            assert_eq!(price.as_ref().map(ToString::to_string).as_deref(), Ok(text));
            assert_eq!(serde_json::to_value(price.unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn an_amount_is_shown_with_its_cents() {
        for (nano, shown) in
            [(0, "$0.00"), (12_500_000_000, "$12.50"), (1, "$0.000000001"), (99_990_001_000, "$99.990001")]
        {
            assert_eq!(Usd(nano).to_string(), shown);
        }
    }
}
