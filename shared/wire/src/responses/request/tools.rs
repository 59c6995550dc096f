//! A client's body to the IR, part 4: tools, and which of them to call.
//!
//! | the client's tool | for the upstream |
//! |---|---|
//! | `function` | a function |
//! | `namespace` | its functions, each named `<namespace>__<name>` |
//! | `custom` (free text) | a function with one text, `input`; a grammar is in its description, and reported: nobody enforces it |
//! | `local_shell` | a function with the fields of the shell's `action` |
//! | a tool that OpenAI runs (`web_search`, `mcp`, ...) | left out, and reported; to force the call of one is refused |
//! | any other | refused |
//!
//! What the model calls is written back in the client's form ([`ToolForm`]).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::chat::request::decode::unknown;
use crate::chat::request::fields::{Path, array, boolean, object, string};
use crate::error::WireError;
use crate::ir::{Dropped, Tool, ToolChoice, ToolForm};

/// The name of the function that stands for the client's shell.
pub(super) const LOCAL_SHELL: &str = "local_shell";

/// The name of a namespace's function.
pub(super) fn member_name(namespace: &str, name: &str) -> String {
    format!("{namespace}__{name}")
}

/// Reads tools, and keeps what they are for the client.
pub(super) struct Tools<'a> {
    pub(super) forms: &'a mut BTreeMap<String, ToolForm>,
    pub(super) unmapped: &'a mut Vec<Dropped>,
}

impl Tools<'_> {
    pub(super) fn decode(&mut self, items: Vec<Value>, path: &Path<'_>) -> Result<Vec<Tool>, WireError> {
        let mut tools = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let path = path.index(index);
            let mut fields = object(item, &path)?;
            let kind = fields.shift_remove("type").ok_or_else(|| path.missing("type"))?;
            let kind = string(kind, &path.key("type"))?;
            match kind.as_str() {
                "function" => tools.push(self.function(fields, &path)?),
                "namespace" => tools.extend(self.namespace(fields, &path)?),
                "custom" => tools.push(self.custom(fields, &path)?),
                LOCAL_SHELL => {
                    self.forms.insert(LOCAL_SHELL.to_owned(), ToolForm::LocalShell);
                    tools.push(local_shell());
                }
                hosted if is_hosted(hosted) => {
                    let reason = "only OpenAI runs this tool; the model is not offered it";
                    self.unmapped.push(Dropped::new(path.to_string(), reason));
                }
                other => {
                    let message = format!("tools of type {other:?} are not translated for this model");
                    return Err(WireError::unsupported(path.to_string(), message));
                }
            }
        }
        Ok(tools)
    }

    fn function(&mut self, fields: Map<String, Value>, path: &Path<'_>) -> Result<Tool, WireError> {
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
                "type" => {}
                "description" => tool.description = Some(string(value, &path)?),
                "parameters" => tool.schema = Value::Object(object(value, &path)?),
                "strict" => tool.strict = Some(boolean(&value, &path)?),
                // The model is told of it at once: there is no search for tools.
                "defer_loading" => {}
                _ => self.unmapped.push(unknown(&path)),
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

    fn namespace(&mut self, mut fields: Map<String, Value>, path: &Path<'_>) -> Result<Vec<Tool>, WireError> {
        let namespace = fields.shift_remove("name").ok_or_else(|| path.missing("name"))?;
        let namespace = string(namespace, &path.key("name"))?;
        let members = fields.shift_remove("tools").ok_or_else(|| path.missing("tools"))?;
        let path = path.key("tools");
        let mut tools = Vec::new();
        for (index, member) in array(members, &path)?.into_iter().enumerate() {
            let path = path.index(index);
            let fields = object(member, &path)?;
            let custom = fields.get("type").is_some_and(|kind| kind == "custom");
            if custom {
                let message = "custom tools in a namespace are not translated for this model";
                return Err(WireError::unsupported(path.to_string(), message));
            }
            let mut tool = self.function(fields, &path)?;
            let name = std::mem::take(&mut tool.name);
            tool.name = member_name(&namespace, &name);
            self.forms.insert(tool.name.clone(), ToolForm::Member { namespace: namespace.clone(), name });
            tools.push(tool);
        }
        Ok(tools)
    }

    fn custom(&mut self, fields: Map<String, Value>, path: &Path<'_>) -> Result<Tool, WireError> {
        let (mut name, mut description, mut grammar) = (None, String::new(), None);
        for (key, value) in fields {
            let path = path.key(&key);
            match key.as_str() {
                _ if value.is_null() => {}
                "name" => name = Some(string(value, &path)?),
                "description" => description = string(value, &path)?,
                "format" => grammar = self.grammar(object(value, &path)?, &path)?,
                "defer_loading" => {}
                _ => self.unmapped.push(unknown(&path)),
            }
        }
        if let Some(grammar) = grammar {
            if !description.is_empty() {
                description.push_str("\n\n");
            }
            description.push_str(&grammar);
        }
        let name = name.ok_or_else(|| path.missing("name"))?;
        self.forms.insert(name.clone(), ToolForm::Custom);
        let input = json!({"type": "string", "description": "The tool's whole input, as plain text"});
        let schema = json!({"type": "object", "properties": {"input": input}, "required": ["input"], "additionalProperties": false});
        let description = Some(description).filter(|text| !text.is_empty());
        Ok(Tool { name, description, schema, strict: None, cache: None })
    }

    fn grammar(&mut self, mut fields: Map<String, Value>, path: &Path<'_>) -> Result<Option<String>, WireError> {
        let kind = fields.shift_remove("type").ok_or_else(|| path.missing("type"))?;
        match string(kind, &path.key("type"))?.as_str() {
            "text" => Ok(None),
            "grammar" => {
                let mut text = |key: &str| {
                    let value = fields.shift_remove(key).ok_or_else(|| path.missing(key))?;
                    string(value, &path.key(key))
                };
                let (syntax, definition) = (text("syntax")?, text("definition")?);
                let reason = "this model is told of the grammar in the tool's description, and nothing enforces it";
                self.unmapped.push(Dropped::new(path.to_string(), reason));
                Ok(Some(format!("The input must follow this {syntax} grammar:\n{definition}")))
            }
            other => Err(path.key("type").invalid(format!("expected \"text\" or \"grammar\", got {other:?}"))),
        }
    }
}

/// <https://platform.openai.com/docs/guides/tools-local-shell>
fn local_shell() -> Tool {
    let text = json!({"type": "string"});
    let properties = json!({
        "command": {"type": "array", "items": text, "description": "The command and its arguments"},
        "working_directory": text,
        "env": {"type": "object", "additionalProperties": text},
        "timeout_ms": {"type": "integer"},
        "user": text,
    });
    let schema = json!({"type": "object", "properties": properties, "required": ["command"]});
    let description = Some("Runs a command in a shell on the user's machine and returns its output.".to_owned());
    Tool { name: LOCAL_SHELL.to_owned(), description, schema, strict: None, cache: None }
}

/// Tools that OpenAI runs itself, with and without a date behind their names.
fn is_hosted(kind: &str) -> bool {
    const HOSTED: [&str; 8] = [
        "web_search",
        "file_search",
        "code_interpreter",
        "image_generation",
        "mcp",
        "computer",
        "tool_search",
        "programmatic_tool_calling",
    ];
    HOSTED.iter().any(|hosted| kind == *hosted || kind.strip_prefix(hosted).is_some_and(|rest| rest.starts_with('_')))
}

/// The choice, and the names of the tools that it allows (`None`: all).
pub(super) fn decode_choice(value: Value, path: &Path<'_>) -> Result<(ToolChoice, Option<Vec<String>>), WireError> {
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
    match string(kind, &path.key("type"))?.as_str() {
        "allowed_tools" => allowed_tools(fields, path),
        "function" | "custom" => Ok((ToolChoice::Tool(tool_name(fields, path)?), None)),
        LOCAL_SHELL => Ok((ToolChoice::Tool(LOCAL_SHELL.to_owned()), None)),
        other => {
            let message = format!("this model cannot be made to call a tool of type {other:?}");
            Err(WireError::unsupported(path.to_string(), message))
        }
    }
}

fn tool_name(mut fields: Map<String, Value>, path: &Path<'_>) -> Result<String, WireError> {
    let mut text = |key: &str| fields.shift_remove(key).filter(|value| !value.is_null());
    let name = string(text("name").ok_or_else(|| path.missing("name"))?, &path.key("name"))?;
    match text("namespace") {
        Some(namespace) => Ok(member_name(&string(namespace, &path.key("namespace"))?, &name)),
        None => Ok(name),
    }
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
    let tools = fields.shift_remove("tools").ok_or_else(|| path.missing("tools"))?;
    let path = path.key("tools");
    let mut names = Vec::new();
    for (index, item) in array(tools, &path)?.into_iter().enumerate() {
        let path = path.index(index);
        let fields = object(item, &path)?;
        match fields.get("type").and_then(Value::as_str) {
            Some(LOCAL_SHELL) => names.push(LOCAL_SHELL.to_owned()),
            Some(hosted) if is_hosted(hosted) => {}
            _ => names.push(tool_name(fields, &path)?),
        }
    }
    Ok((choice, Some(names)))
}
