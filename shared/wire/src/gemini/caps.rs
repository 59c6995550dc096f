//! What limits need of a client's `generationConfig`, read without a tree.

use serde::Deserialize;
use serde_json::Value;

use crate::error::WireError;

/// The client's bounds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Caps {
    pub(crate) max_output_tokens: Option<u64>,
    pub(crate) candidates: u64,
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "maxOutputTokens", alias = "max_output_tokens", default)]
    max_output_tokens: Value,
    #[serde(rename = "candidateCount", alias = "candidate_count", default)]
    candidate_count: Value,
}

impl Caps {
    /// `name`: how the client spelled the field.
    pub(crate) fn read(config: &str, name: &str) -> Result<Self, WireError> {
        let config: Config =
            serde_json::from_str(config).map_err(|error| WireError::invalid(name, error.to_string()))?;
        Ok(Self {
            max_output_tokens: count(&config.max_output_tokens, || format!("{name}.maxOutputTokens"))?,
            candidates: count(&config.candidate_count, || format!("{name}.candidateCount"))?.unwrap_or_default(),
        })
    }
}

/// The JSON form of a protocol buffer has numbers in strings, too, and `5.0` for 5.
fn count(value: &Value, path: impl Fn() -> String) -> Result<Option<u64>, WireError> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.parse().ok(),
        value => value.as_u64().or_else(|| {
            let float = value.as_f64().filter(|float| float.fract() == 0.0 && (0.0..9e15).contains(float))?;
            Some(float as u64)
        }),
    };
    let message = || format!("expected a whole number of at least 0, got {value}");
    number.map(Some).ok_or_else(|| WireError::invalid(path(), message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_are_read_in_either_spelling_and_as_text() {
        for config in [
            r#"{"maxOutputTokens":7,"candidateCount":2}"#,
            r#"{"max_output_tokens":"7","candidate_count":2.0,"temperature":null}"#,
        ] {
            let caps = Caps::read(config, "generationConfig").unwrap();
            assert_eq!(caps, Caps { max_output_tokens: Some(7), candidates: 2 }, "{config}");
        }
    }

    #[test]
    fn what_is_no_cap_is_refused_and_so_is_one_that_stands_twice() {
        let error = |config: &str| Caps::read(config, "generation_config").unwrap_err().to_string();
        let message = "generation_config.maxOutputTokens: expected a whole number of at least 0, got -1";
        assert_eq!(error(r#"{"max_output_tokens":-1}"#), message);
        assert!(error(r#"{"max_output_tokens":1,"maxOutputTokens":9}"#).contains("duplicate field"));
        assert!(error("7").starts_with("generation_config: "));
    }
}
