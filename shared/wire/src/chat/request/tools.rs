//! A client's body to the IR, part 2: tools.
//!
//! A custom (free-form) tool is a function with one text for models that know only functions, and what the model calls is written back in the client's form.

use serde_json::{Map, Value};

use crate::error::WireError;
use crate::ir::Tool;
use crate::openai::fields::{Path, object};
use crate::openai::parts::cache_control;
use crate::openai::settings::unknown;
use crate::openai::tools::{Tools, function, name_of};

const CUSTOM: &str = "custom";

pub(super) fn decode(items: Vec<Value>, path: &Path<'_>, found: &mut Tools<'_>) -> Result<Vec<Tool>, WireError> {
    let mut tools = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let path = path.index(index);
        tools.push(tool(object(item, &path)?, &path, found)?);
    }
    Ok(tools)
}

fn tool(fields: Map<String, Value>, path: &Path<'_>, tools: &mut Tools<'_>) -> Result<Tool, WireError> {
    match fields.get("type") {
        None => {}
        Some(kind) if kind == "function" || kind == CUSTOM => {}
        Some(Value::String(kind)) => {
            let message = format!("tools of type {kind:?} are not translated; only functions and custom tools are");
            return Err(WireError::unsupported(path.to_string(), message));
        }
        Some(other) => return Err(path.key("type").expected("a string", other)),
    }
    let mut found = None;
    let mut cache = None;
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "type" => {}
            "function" => found = Some(function(object(value, &path)?, &path, tools.unmapped)?),
            CUSTOM => found = Some(tools.custom(object(value, &path)?, &path)?),
            "cache_control" => cache = Some(cache_control(value, &path, tools.unmapped)?),
            _ => tools.unmapped.push(unknown(&path)),
        }
    }
    let mut tool = found.ok_or_else(|| path.missing("function"))?;
    tool.cache = cache.or(tool.cache);
    Ok(tool)
}

/// The name of a tool in a choice: it stands under its type's name.
pub(super) fn name(kind: &str, mut fields: Map<String, Value>, path: &Path<'_>) -> Result<Option<String>, WireError> {
    match kind {
        "function" | CUSTOM => {
            let path = path.key(kind);
            let inner = fields.shift_remove(kind).ok_or_else(|| path.invalid("required"))?;
            name_of(&mut object(inner, &path)?, &path).map(Some)
        }
        _ => Ok(None),
    }
}
