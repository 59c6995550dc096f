//! Reading a JSON tree with its path at hand, so that every refusal names the field.

use std::fmt;

use serde_json::{Map, Value};

use crate::error::WireError;
use crate::json::kind_of;

/// Where in the client's body. It costs nothing until someone prints it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Segment<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The body itself.
    pub(crate) const ROOT: Path<'static> = Path { parent: None, segment: Segment::Root };

    pub(crate) fn key(&'a self, key: &'a str) -> Path<'a> {
        Path { parent: Some(self), segment: Segment::Key(key) }
    }

    pub(crate) fn index(&'a self, index: usize) -> Path<'a> {
        Path { parent: Some(self), segment: Segment::Index(index) }
    }

    /// The value here is not what it should be.
    pub(crate) fn invalid(&self, message: impl Into<String>) -> WireError {
        let path = self.to_string();
        WireError::invalid(if path.is_empty() { "body".to_owned() } else { path }, message)
    }

    /// The type of the value here is wrong.
    pub(crate) fn expected(&self, what: &str, got: &Value) -> WireError {
        self.invalid(format!("expected {what}, got {}", kind_of(got)))
    }

    /// A field of the object here is missing.
    pub(crate) fn missing(&self, key: &str) -> WireError {
        self.key(key).invalid("required")
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(f)?;
        match self.segment {
            Segment::Root => Ok(()),
            Segment::Key(key) if parent.parent.is_none() => f.write_str(key),
            Segment::Key(key) => write!(f, ".{key}"),
            Segment::Index(index) => write!(f, "[{index}]"),
        }
    }
}

pub(crate) fn string(value: Value, path: &Path<'_>) -> Result<String, WireError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(path.expected("a string", &other)),
    }
}

pub(crate) fn array(value: Value, path: &Path<'_>) -> Result<Vec<Value>, WireError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(path.expected("an array", &other)),
    }
}

pub(crate) fn object(value: Value, path: &Path<'_>) -> Result<Map<String, Value>, WireError> {
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(path.expected("an object", &other)),
    }
}

pub(crate) fn boolean(value: &Value, path: &Path<'_>) -> Result<bool, WireError> {
    value.as_bool().ok_or_else(|| path.expected("a boolean", value))
}

pub(crate) fn number(value: &Value, path: &Path<'_>) -> Result<f64, WireError> {
    value.as_f64().ok_or_else(|| path.expected("a number", value))
}

pub(crate) fn unsigned(value: &Value, path: &Path<'_>) -> Result<u64, WireError> {
    value.as_u64().ok_or_else(|| match value {
        Value::Number(number) => path.invalid(format!("expected a non-negative integer, got {number}")),
        other => path.expected("a non-negative integer", other),
    })
}

pub(crate) fn integer(value: &Value, path: &Path<'_>) -> Result<i64, WireError> {
    value.as_i64().ok_or_else(|| match value {
        Value::Number(number) => path.invalid(format!("expected an integer, got {number}")),
        other => path.expected("an integer", other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_the_code_that_reaches_it() {
        let messages = Path::ROOT.key("messages");
        let third = messages.index(2);
        assert_eq!(third.key("content").to_string(), "messages[2].content");
        assert_eq!(Path::ROOT.expected("an object", &Value::Null).to_string(), "body: expected an object, got null");
    }
}
