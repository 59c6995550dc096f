//! A client's body to the IR: functions, and which of the tools to call.

use serde_json::{Map, Value, json};

use super::fields::{Path, array, boolean, object, string};
use super::parts::cache_control;
use super::settings::unknown;
use crate::error::WireError;
use crate::ir::{Dropped, Tool, ToolChoice};

/// A function: what chat completions has under `function`, and Responses beside the type.
pub(crate) fn function(
    fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Tool, WireError> {
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
            // The model is told of it at once: there is no search for tools.
            "type" | "defer_loading" => {}
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

/// Reads the name of a tool of this type, as it stands in a choice or in a list of allowed tools. `None`: the model has no such tool.
pub(crate) type Name<'n> = &'n dyn Fn(&str, Map<String, Value>, &Path<'_>) -> Result<Option<String>, WireError>;

/// The choice, and the names of the tools that it allows (`None`: all).
pub(crate) fn decode_choice(
    value: Value,
    path: &Path<'_>,
    name: Name<'_>,
) -> Result<(ToolChoice, Option<Vec<String>>), WireError> {
    const EXPECTED: &str = "expected \"none\", \"auto\", \"required\", or an object with a type";
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
    let kind = fields.shift_remove("type").ok_or_else(|| path.missing("type"))?;
    let kind = string(kind, &path.key("type"))?;
    if kind == "allowed_tools" {
        // Chat completions has them one level deeper.
        return match fields.shift_remove(&kind) {
            Some(inner) => allowed_tools(object(inner, &path.key(&kind))?, &path.key(&kind), name),
            None => allowed_tools(fields, path, name),
        };
    }
    match name(&kind, fields, path)? {
        Some(name) => Ok((ToolChoice::Tool(name), None)),
        None => {
            let message = format!("this model cannot be made to call a tool of type {kind:?}");
            Err(WireError::unsupported(path.to_string(), message))
        }
    }
}

fn allowed_tools(
    mut fields: Map<String, Value>,
    path: &Path<'_>,
    name: Name<'_>,
) -> Result<(ToolChoice, Option<Vec<String>>), WireError> {
    let choice = match fields.get("mode").and_then(Value::as_str) {
        Some("auto") => ToolChoice::Auto,
        Some("required") => ToolChoice::Any,
        _ => return Err(path.key("mode").invalid("expected \"auto\" or \"required\"")),
    };
    let tools = fields.shift_remove("tools").ok_or_else(|| path.missing("tools"))?;
    let path = path.key("tools");
    let mut names = Vec::new();
    for (index, item) in array(tools, &path)?.into_iter().enumerate() {
        let path = path.index(index);
        let mut fields = object(item, &path)?;
        let kind = fields
            .shift_remove("type")
            .map_or_else(|| Ok("function".to_owned()), |kind| string(kind, &path.key("type")))?;
        names.extend(name(&kind, fields, &path)?);
    }
    Ok((choice, Some(names)))
}

/// `name` of an object.
pub(crate) fn name_of(fields: &mut Map<String, Value>, path: &Path<'_>) -> Result<String, WireError> {
    let name = fields.shift_remove("name").filter(|name| !name.is_null()).ok_or_else(|| path.missing("name"))?;
    string(name, &path.key("name"))
}
