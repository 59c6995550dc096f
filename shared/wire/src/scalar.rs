//! One value of what an upstream sent, as text or as a count, whatever it is. Without a tree: a stream has a dozen of them in each event.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A value that is looked at.
#[derive(Debug, Clone, PartialEq)]
enum Scalar<'de> {
    Text(Cow<'de, str>),
    Count(u64),
    /// Anything else.
    Other,
}

/// A text that is there: neither empty nor another type.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(borrowed(deserializer)?.map(Cow::into_owned))
}

/// The same, a part of what was sent if that says it without an escape.
pub(crate) fn borrowed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    })
}

/// A number that is no less than zero, also one in a string.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Count(count) => Some(count),
        Scalar::Text(text) => text.parse().ok(),
        Scalar::Other => None,
    })
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Scalar<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text)))
    }

    fn visit_u64<E>(self, count: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Count(count))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
        Ok(if number >= 0.0 { Scalar::Count(number as u64) } else { Scalar::Other })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Scalar<'de>, A::Error> {
        IgnoredAny.visit_seq(items).map(|_| Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Scalar<'de>, A::Error> {
        IgnoredAny.visit_map(members).map(|_| Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Both {
        #[serde(deserialize_with = "text")]
        text: Option<String>,
        #[serde(deserialize_with = "count")]
        count: Option<u64>,
    }

    #[test]
    fn a_value_of_another_type_is_absent_and_what_follows_is_read() {
        for other in ["null", "true", "-1", "-0.5", "[1,[2,{\"a\":3}]]", "{\"a\":{\"b\":[]}}", "\"\""] {
            let both: Both = serde_json::from_str(&format!(r#"{{"text":{other},"count":{other},"more":0}}"#)).unwrap();
            assert_eq!(both, Both::default(), "{other}");
        }
        let both: Both = serde_json::from_str(r#"{"text":7,"count":"x"}"#).unwrap();
        assert_eq!(both, Both::default());
    }

    #[test]
    fn a_text_may_have_escapes_and_a_count_a_point_or_quotes() {
        for (json, expected) in [(r#""a""#, "a"), (r#""\u00e4\n""#, "ä\n")] {
            let both: Both = serde_json::from_str(&format!(r#"{{"text":{json}}}"#)).unwrap();
            assert_eq!(both.text.as_deref(), Some(expected));
        }
        for (json, expected) in [("7", 7), ("7.0", 7), ("\"7\"", 7), ("1e30", u64::MAX)] {
            let both: Both = serde_json::from_str(&format!(r#"{{"count":{json}}}"#)).unwrap();
            assert_eq!(both.count, Some(expected), "{json}");
        }
    }
}
