//! A client's body to the IR: functions, and which of the tools to call.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fields::{Path, array, boolean, object, string};
use super::parts::cache_control;
use super::settings::unknown;
use crate::error::WireError;
use crate::ir::{CustomTool, Dropped, GRAMMAR_IS_ONLY_TOLD, Tool, ToolChoice, ToolForm};

/// Reads tools, and keeps what they are for the client.
pub(crate) struct Tools<'a> {
    /// What is no function for the client, by the name of the function that stands for it.
    pub(crate) forms: &'a mut BTreeMap<String, ToolForm>,
    pub(crate) unmapped: &'a mut Vec<Dropped>,
}

impl Tools<'_> {
    /// A tool whose input is a text, and the function with one text, `input`, that it is for models of others. A grammar is in the function's description, and
    /// reported: nobody enforces it there.
    pub(crate) fn custom(&mut self, fields: Map<String, Value>, path: &Path<'_>) -> Result<Tool, WireError> {
        let (mut name, mut custom) = (None, CustomTool::default());
        for (key, value) in fields {
            let path = path.key(&key);
            match key.as_str() {
                _ if value.is_null() => {}
                "name" => name = Some(string(value, &path)?),
                "description" => custom.description = Some(string(value, &path)?).filter(|text| !text.is_empty()),
                "format" => custom.grammar = self.grammar(object(value, &path)?, &path)?,
                "defer_loading" => {}
                _ => self.unmapped.push(unknown(&path)),
            }
        }
        let mut description = custom.description.clone();
        if let Some((syntax, definition)) = &custom.grammar {
            let grammar = format!("The input must follow this {syntax} grammar:\n{definition}");
            description = Some(description.map_or_else(|| grammar.clone(), |text| format!("{text}\n\n{grammar}")));
        }
        let name = name.ok_or_else(|| path.missing("name"))?;
        self.forms.insert(name.clone(), ToolForm::Custom);
        let input = json!({"type": "string", "description": "The tool's whole input, as plain text"});
        let schema = json!({"type": "object", "properties": {"input": input}, "required": ["input"], "additionalProperties": false});
        Ok(Tool { name, description, schema, strict: None, cache: None, custom: Some(custom) })
    }

    fn grammar(
        &mut self,
        mut fields: Map<String, Value>,
        path: &Path<'_>,
    ) -> Result<Option<(String, String)>, WireError> {
        let kind = fields.shift_remove("type").ok_or_else(|| path.missing("type"))?;
        match string(kind, &path.key("type"))?.as_str() {
            "text" => Ok(None),
            "grammar" => {
                // Chat completions has it one level deeper.
                if let Some(inner) = fields.shift_remove("grammar") {
                    fields = object(inner, &path.key("grammar"))?;
                }
                let mut text = |key: &str| {
                    let value = fields.shift_remove(key).ok_or_else(|| path.missing(key))?;
                    string(value, &path.key(key))
                };
                let grammar = (text("syntax")?, text("definition")?);
                self.unmapped.push(Dropped::new(path.to_string(), GRAMMAR_IS_ONLY_TOLD));
                Ok(Some(grammar))
            }
            other => Err(path.key("type").invalid(format!("expected \"text\" or \"grammar\", got {other:?}"))),
        }
    }
}

/// A function: what chat completions has under `function`, and Responses beside the type.
pub(crate) fn function(
    fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Tool, WireError> {
    let mut tool =
        Tool { name: String::new(), description: None, schema: Value::Null, strict: None, cache: None, custom: None };
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
