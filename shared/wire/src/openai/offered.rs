//! The IR to an upstream's body: tools, and which of them to call.
//!
//! GPT-5 and later take a tool as what it is for the client (`custom`, whose grammar they enforce), and the whole list beside the names that are allowed. Both came with them
//! (<https://platform.openai.com/docs/guides/function-calling>); older models, servers that copy OpenAI and routers get functions, and the allowed ones alone.

use serde_json::{Map, Value, json};

use super::custom;
use super::model::Family;
use crate::ir::{Dropped, Request, Tool, ToolChoice};
use crate::names::ToolNames;

/// The tools of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offered<'a> {
    request: &'a Request,
    /// The model takes them as what they are.
    native: bool,
    /// What describes a tool stands under its type's name, as in chat completions; else beside the type.
    nested: bool,
}

impl<'a> Offered<'a> {
    /// To this model.
    pub(crate) fn to(request: &'a Request, model: &str, nested: bool) -> Self {
        Self { request, native: Family::of(model).has_custom_tools(model), nested }
    }

    /// The list.
    pub(crate) fn tools(self, names: &mut ToolNames) -> Vec<Value> {
        let mut tools: Vec<&Tool> = self.request.tools.iter().collect();
        if self.lists_allowed() {
            for (at, tool) in &self.request.set_aside {
                tools.insert((*at).min(tools.len()), tool);
            }
        }
        tools.into_iter().map(|tool| self.tool(tool, names)).collect()
    }

    /// Is this what a custom tool of the client is called, and the model calls it as that?
    pub(crate) fn is_custom(self, name: &str) -> bool {
        self.native && custom::is_custom(self.request, name)
    }

    /// `tool_choice`. `None`: OpenAI refuses the field without `tools`, or the client says nothing.
    pub(crate) fn choice(self, names: &mut ToolNames, dropped: &mut Vec<Dropped>) -> Option<Value> {
        let choice = self.request.tool_choice.as_ref()?;
        if self.request.tools.is_empty() {
            if matches!(choice, ToolChoice::Any | ToolChoice::Tool(_)) {
                dropped.push(Dropped::new("tool_choice", "there are no tools to choose from"));
            }
            return None;
        }
        let word = match choice {
            ToolChoice::Auto => "auto",
            ToolChoice::None => return Some("none".into()),
            ToolChoice::Any => "required",
            ToolChoice::Tool(name) => return Some(self.named(name, names)),
        };
        if !self.lists_allowed() {
            return Some(word.into());
        }
        let tools: Vec<Value> = self.request.tools.iter().map(|tool| self.named(&tool.name, names)).collect();
        let allowed = Map::from_iter([("mode".to_owned(), word.into()), ("tools".to_owned(), tools.into())]);
        Some(self.of_type("allowed_tools", allowed))
    }

    fn lists_allowed(self) -> bool {
        let some = !self.request.set_aside.is_empty() && !self.request.tools.is_empty();
        self.native && some && matches!(self.request.tool_choice, Some(ToolChoice::Auto | ToolChoice::Any))
    }

    fn named(self, name: &str, names: &mut ToolNames) -> Value {
        let kind = if self.is_custom(name) { "custom" } else { "function" };
        self.of_type(kind, Map::from_iter([("name".to_owned(), names.encode(name).into())]))
    }

    fn tool(self, tool: &Tool, names: &mut ToolNames) -> Value {
        let custom = tool.custom.as_ref().filter(|_| self.native);
        let mut fields = Map::from_iter([("name".to_owned(), Value::from(names.encode(&tool.name)))]);
        let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
        let description = custom.map_or(&tool.description, |custom| &custom.description);
        if let Some(text) = description {
            set("description", text.as_str().into());
        }
        let Some(custom) = custom else {
            set("parameters", tool.schema.clone());
            // Left out, it means yes in Responses and no in every other dialect.
            if let Some(strict) = tool.strict.or((!self.nested).then_some(false)) {
                set("strict", strict.into());
            }
            return self.of_type("function", fields);
        };
        if let Some((syntax, definition)) = &custom.grammar {
            let said = [("syntax", syntax), ("definition", definition)];
            let grammar = said.map(|(key, text)| (key.to_owned(), text.as_str().into()));
            set("format", self.of_type("grammar", Map::from_iter(grammar)));
        }
        self.of_type("custom", fields)
    }

    fn of_type(self, kind: &str, fields: Map<String, Value>) -> Value {
        if self.nested {
            return json!({ "type": kind, (kind): fields });
        }
        let mut all = Map::from_iter([("type".to_owned(), Value::from(kind))]);
        all.extend(fields);
        all.into()
    }
}
