//! A JSON object of a client's body that knows its path, takes either spelling of a name, and reports what nobody took from it.

use serde_json::Value;

use crate::error::WireError;
use crate::ir::Dropped;
use crate::json::kind_of;

/// One object.
pub(super) struct Object {
    fields: Vec<(String, Value)>,
    path: String,
}

impl Object {
    /// Of a value, which must be an object.
    pub(super) fn new(value: Value, path: impl Into<String>) -> Result<Self, WireError> {
        let path = path.into();
        match value {
            Value::Object(fields) => Ok(Self { fields: fields.into_iter().collect(), path }),
            other => Err(expected(&path, "an object", &other)),
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Where a field of it is.
    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a field by its camelCase name, with its path; `null` is none.
    pub(super) fn take(&mut self, name: &str) -> Option<(Value, String)> {
        let place = self.fields.iter().position(|(key, value)| is_spelling_of(key, name) && !value.is_null())?;
        let (key, value) = self.fields.swap_remove(place);
        let path = self.at(&key);
        Some((value, path))
    }

    fn take_as<T>(
        &mut self,
        name: &str,
        what: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, WireError> {
        let Some((value, path)) = self.take(name) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| expected(&path, what, &value))
    }

    pub(super) fn string(&mut self, name: &str) -> Result<Option<String>, WireError> {
        self.take_as(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, WireError> {
        self.take_as(name, "a number", Value::as_f64)
    }

    /// A whole number; 64 bits of it come in a string, and `40.0` is one, too.
    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, WireError> {
        self.take_as(name, "a whole number", |value| match value {
            Value::String(text) => text.parse().ok(),
            value => value.as_i64().or_else(|| {
                let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15)?;
                Some(float as i64)
            }),
        })
    }

    pub(super) fn unsigned(&mut self, name: &str) -> Result<Option<u64>, WireError> {
        let path = self.at(name);
        let read = |value: i64| {
            u64::try_from(value).map_err(|_| WireError::invalid(path, format!("expected at least 0, got {value}")))
        };
        self.integer(name)?.map(read).transpose()
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, WireError> {
        self.take_as(name, "true or false", Value::as_bool)
    }

    /// The items of an array, each with its path.
    pub(super) fn array(&mut self, name: &str) -> Result<Vec<(Value, String)>, WireError> {
        let Some((value, path)) = self.take(name) else { return Ok(Vec::new()) };
        let Value::Array(items) = value else { return Err(expected(&path, "an array", &value)) };
        Ok(items.into_iter().enumerate().map(|(index, item)| (item, format!("{path}[{index}]"))).collect())
    }

    pub(super) fn strings(&mut self, name: &str) -> Result<Vec<String>, WireError> {
        let text = |(value, path): (Value, String)| match value {
            Value::String(text) => Ok(text),
            other => Err(expected(&path, "a string", &other)),
        };
        self.array(name)?.into_iter().map(text).collect()
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Object>, WireError> {
        self.take(name).map(|(value, path)| Object::new(value, path)).transpose()
    }

    /// A required field is not there.
    pub(super) fn missing(&self, name: &str) -> WireError {
        WireError::invalid(self.at(name), "required")
    }

    /// Reports the fields that nobody took and that say something.
    pub(super) fn finish(self, reason: &str, unmapped: &mut Vec<Dropped>) {
        for (name, value) in &self.fields {
            let says_nothing = match value {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                _ => false,
            };
            if !says_nothing {
                unmapped.push(Dropped::new(self.at(name), reason));
            }
        }
    }
}

fn expected(path: &str, what: &str, got: &Value) -> WireError {
    let path = if path.is_empty() { "body" } else { path };
    WireError::invalid(path, format!("expected {what}, got {}", kind_of(got)))
}

/// `max_output_tokens` is `maxOutputTokens`.
pub(super) fn is_spelling_of(key: &str, name: &str) -> bool {
    key == name || (key.contains('_') && camel(key) == name)
}

/// In camelCase.
pub(super) fn camel(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    let mut upper = false;
    for c in key.chars() {
        match c {
            '_' => upper = !out.is_empty(),
            c if upper => {
                out.extend(c.to_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn either_spelling_is_the_same_field() {
        let body = json!({"max_output_tokens": "7", "topK": 40.0, "thinking_config": {"thinkingBudget": -1}});
        let mut object = Object::new(body, "generationConfig").unwrap();
        assert_eq!(object.unsigned("maxOutputTokens").unwrap(), Some(7));
        assert_eq!(object.unsigned("topK").unwrap(), Some(40));
        let mut thinking = object.object("thinkingConfig").unwrap().unwrap();
        assert_eq!(thinking.path(), "generationConfig.thinking_config");
        assert_eq!(thinking.integer("thinkingBudget").unwrap(), Some(-1));
    }

    #[test]
    fn a_refusal_names_the_field_as_the_client_spelled_it() {
        let mut object = Object::new(json!({"stop_sequences": [1]}), "generationConfig").unwrap();
        let error = object.strings("stopSequences").unwrap_err().to_string();
        assert_eq!(error, "generationConfig.stop_sequences[0]: expected a string, got a number");
    }
}
