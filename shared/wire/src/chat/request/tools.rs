//! A client's body to the IR, part 2: tools, and which of them to call.
//!
//! Custom (free-form) tools are refused: without them the model could not do what the client asks, and a provider that speaks this dialect can.

use serde_json::{Map, Value, json};

use super::decode::unknown;
use super::fields::{Path, array, boolean, object, string};
use super::messages::cache_control;
use crate::error::WireError;
use crate::ir::{Dropped, Tool, ToolChoice};

pub(super) fn decode(items: Vec<Value>, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<Vec<Tool>, WireError> {
    let mut tools = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let path = path.index(index);
        tools.push(tool(object(item, &path)?, &path, unmapped)?);
    }
    Ok(tools)
}

fn tool(fields: Map<String, Value>, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<Tool, WireError> {
    match fields.get("type") {
        None => {}
        Some(kind) if kind == "function" => {}
        Some(Value::String(kind)) => {
            let message = format!("tools of type {kind:?} are not translated; only function tools are");
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
            "function" => found = Some(function(object(value, &path)?, &path, unmapped)?),
            "cache_control" => cache = Some(cache_control(value, &path, unmapped)?),
            _ => unmapped.push(unknown(&path)),
        }
    }
    let mut tool = found.ok_or_else(|| path.missing("function"))?;
    tool.cache = cache.or(tool.cache);
    Ok(tool)
}

fn function(fields: Map<String, Value>, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<Tool, WireError> {
    let mut tool = Tool { name: String::new(), description: None, schema: Value::Null, strict: None, cache: None };
    let mut has_name = false;
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "name" => {
                tool.name = string(value, &path)?;
                has_name = true;
            }
            "description" => tool.description = Some(string(value, &path)?),
            "parameters" => tool.schema = Value::Object(object(value, &path)?),
            "strict" => tool.strict = Some(boolean(&value, &path)?),
            "cache_control" => tool.cache = Some(cache_control(value, &path, unmapped)?),
            _ => unmapped.push(unknown(&path)),
        }
    }
    if !has_name {
        return Err(path.missing("name"));
    }
    // Without `parameters`, or with `{}`: a function without arguments.
    if tool.schema.as_object().is_none_or(Map::is_empty) {
        tool.schema = json!({"type": "object", "properties": {}});
    }
    Ok(tool)
}

/// The choice, and the names of the tools that it allows (`None`: all).
pub(super) fn decode_choice(
    value: Value,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<(ToolChoice, Option<Vec<String>>), WireError> {
    const EXPECTED: &str = "expected \"none\", \"auto\", \"required\", or an object of type function or allowed_tools";
    let mut fields = match value {
        Value::String(text) => {
            return match text.as_str() {
                "none" => Ok((ToolChoice::None, None)),
                "auto" => Ok((ToolChoice::Auto, None)),
                "required" => Ok((ToolChoice::Any, None)),
                _ => Err(path.invalid(format!("{EXPECTED}; got {text:?}"))),
            };
        }
        Value::Object(fields) => fields,
        _ => return Err(path.invalid(EXPECTED)),
    };
    let kind = fields.swap_remove("type").unwrap_or(Value::Null);
    let key = match kind.as_str() {
        Some(key @ ("function" | "allowed_tools")) => key,
        Some("custom") => {
            return Err(WireError::unsupported(path.to_string(), "custom tools are not translated"));
        }
        _ => return Err(path.key("type").invalid("expected \"function\" or \"allowed_tools\"")),
    };
    let inner = fields.swap_remove(key).ok_or_else(|| path.missing(key))?;
    for (key, value) in &fields {
        if !value.is_null() {
            unmapped.push(unknown(&path.key(key)));
        }
    }
    let path = path.key(key);
    if key == "function" {
        return Ok((ToolChoice::Tool(name(inner, &path)?), None));
    }
    allowed_tools(object(inner, &path)?, &path)
}

fn allowed_tools(
    mut fields: Map<String, Value>,
    path: &Path<'_>,
) -> Result<(ToolChoice, Option<Vec<String>>), WireError> {
    let choice = match fields.get("mode").and_then(Value::as_str) {
        Some("auto") => ToolChoice::Auto,
        Some("required") => ToolChoice::Any,
        _ => return Err(path.key("mode").invalid("expected \"auto\" or \"required\"")),
    };
    let path = path.key("tools");
    let mut names = Vec::new();
    for (index, item) in array(fields.swap_remove("tools").unwrap_or(Value::Null), &path)?.into_iter().enumerate() {
        let path = path.index(index);
        let function = object(item, &path)?.swap_remove("function").ok_or_else(|| path.missing("function"))?;
        names.push(name(function, &path.key("function"))?);
    }
    Ok((choice, Some(names)))
}

fn name(value: Value, path: &Path<'_>) -> Result<String, WireError> {
    let name = object(value, path)?.swap_remove("name").ok_or_else(|| path.missing("name"))?;
    string(name, &path.key("name"))
}
