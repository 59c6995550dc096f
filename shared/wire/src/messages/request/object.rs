//! A JSON object of a client's body that knows its path, and reports what nobody took from it.

use serde_json::{Map, Value};

use crate::error::WireError;
use crate::ir::Dropped;
use crate::json::kind_of;

/// One object.
pub(super) struct Object {
    fields: Map<String, Value>,
    path: String,
}

impl Object {
    /// Of a value, which must be an object.
    pub(super) fn new(value: Value, path: impl Into<String>) -> Result<Self, WireError> {
        let path = path.into();
        match value {
            Value::Object(fields) => Ok(Self { fields, path }),
            other => Err(expected(path, "an object", &other)),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Where a field of it is.
    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a field; `null` is none.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.swap_remove(name).filter(|value| !value.is_null())
    }

    /// Takes all that is left.
    pub(super) fn clear(&mut self) {
        self.fields.clear();
    }

    /// Leaves a field to the report after all.
    pub(super) fn put_back(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    fn take_as<T>(
        &mut self,
        name: &str,
        what: &str,
        read: impl FnOnce(Value) -> Result<T, Value>,
    ) -> Result<Option<T>, WireError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        read(value).map(Some).map_err(|value| expected(self.at(name), what, &value))
    }

    pub(super) fn string(&mut self, name: &str) -> Result<Option<String>, WireError> {
        self.take_as(name, "a string", |value| match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        })
    }

    pub(super) fn required_string(&mut self, name: &str) -> Result<String, WireError> {
        self.string(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn u64(&mut self, name: &str) -> Result<Option<u64>, WireError> {
        self.take_as(name, "a whole number that is not negative", |value| value.as_u64().ok_or(value))
    }

    pub(super) fn f64(&mut self, name: &str) -> Result<Option<f64>, WireError> {
        self.take_as(name, "a number", |value| value.as_f64().ok_or(value))
    }

    pub(super) fn bool(&mut self, name: &str) -> Result<Option<bool>, WireError> {
        self.take_as(name, "`true` or `false`", |value| value.as_bool().ok_or(value))
    }

    pub(super) fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, WireError> {
        self.take_as(name, "an array", |value| match value {
            Value::Array(items) => Ok(items),
            other => Err(other),
        })
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Object>, WireError> {
        let path = self.at(name);
        self.take(name).map(|value| Object::new(value, path)).transpose()
    }

    /// Its `type`.
    pub(super) fn kind(&mut self) -> Result<String, WireError> {
        self.required_string("type")
    }

    /// A required field is not there.
    pub(super) fn missing(&self, name: &str) -> WireError {
        WireError::invalid(self.at(name), "Field required")
    }

    /// A value that is none of those that the API knows.
    pub(super) fn unknown(&self, name: &str, value: &str, known: &str) -> WireError {
        WireError::invalid(self.at(name), format!("`{value}` is not known; expected {known}"))
    }

    /// Reports the fields that nobody took.
    pub(super) fn finish(self, unmapped: &mut Vec<Dropped>) {
        for (name, value) in &self.fields {
            if !value.is_null() {
                unmapped.push(Dropped::new(self.at(name), "has no counterpart outside the Messages API"));
            }
        }
    }
}

/// `expected a string, got a number`.
pub(super) fn expected(path: impl Into<String>, what: &str, got: &Value) -> WireError {
    let got = kind_of(got);
    let message = if got == "a number" && what.contains("number") {
        "got another number".to_owned()
    } else {
        format!("got {got}")
    };
    WireError::invalid(path, format!("expected {what}, {message}"))
}
