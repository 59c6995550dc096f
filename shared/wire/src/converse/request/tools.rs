//! The tool config, and which tool must be called.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::family::Forcing;
use super::super::types::{InputSchema, ToolChoice, ToolConfig, ToolEntry, ToolSpec};
use super::{Encoder, empty_schema, is_blank};
use crate::ir::{self, Block};

/// What a request says of tools.
pub(super) struct Tools<'a> {
    entries: Vec<ToolEntry<'a>>,
    choice: Option<ToolChoice>,
}

impl<'r> Encoder<'r> {
    /// - No tools, and none in the history: nothing (case 4).
    /// - No tools, but calls in the history: a config made of their names, because Bedrock refuses such a history without one (case 3).
    /// - The client wants none called: Converse cannot say that. The tools are left out, or stay if the history needs them.
    pub(super) fn tools(&mut self) -> Tools<'r> {
        let request = self.request;
        let history = names_in_history(request);
        let mut choice = request.tool_choice.as_ref();
        let mut declared = request.tools.as_slice();
        if choice == Some(&ir::ToolChoice::None) {
            choice = None;
            if !declared.is_empty() && history.is_empty() {
                declared = &[];
                self.report("tool_choice", "Converse has no choice `none`: the tools are left out instead");
            } else if !declared.is_empty() {
                let reason = "Converse has no choice `none`, and the history needs the tools: the model may call one";
                self.report("tool_choice", reason);
            }
        }
        let entries = if declared.is_empty() { self.synthesised(&history) } else { self.declared(declared) };
        let choice = if declared.is_empty() { None } else { self.choice(choice, declared.len()) };
        Tools { entries, choice }
    }

    fn declared(&mut self, tools: &'r [ir::Tool]) -> Vec<ToolEntry<'r>> {
        let mut entries = Vec::with_capacity(tools.len());
        for (index, tool) in tools.iter().enumerate() {
            if tool.strict == Some(true) && !self.family.follows_schemas() {
                self.report(format!("tools[{index}].strict"), "this model does not enforce schemas on Bedrock");
            }
            let strict = (tool.strict == Some(true) && self.family.follows_schemas()).then_some(true);
            entries.push(ToolEntry::ToolSpec(ToolSpec {
                name: self.names.encode(&tool.name),
                description: tool.description.as_deref().filter(|text| !is_blank(text)),
                input_schema: InputSchema { json: self.schema(&tool.schema, index) },
                strict,
            }));
        }
        entries
    }

    fn synthesised(&mut self, names: &[&str]) -> Vec<ToolEntry<'r>> {
        let spec = |name| ToolSpec {
            name,
            description: None,
            input_schema: InputSchema { json: Cow::Owned(empty_schema()) },
            strict: None,
        };
        names.iter().map(|name| ToolEntry::ToolSpec(spec(self.names.encode(name)))).collect()
    }

    /// Bedrock wants `type: object` at the top of a tool's schema.
    fn schema(&mut self, schema: &'r Value, index: usize) -> Cow<'r, Value> {
        let Value::Object(members) = schema else {
            self.report(format!("tools[{index}].schema"), "a tool's schema is an object: replaced by an empty one");
            return Cow::Owned(empty_schema());
        };
        match members.get("type") {
            Some(Value::String(kind)) if kind == "object" => Cow::Borrowed(schema),
            None if members.is_empty() => Cow::Owned(empty_schema()),
            found => {
                if found.is_some() {
                    self.report(format!("tools[{index}].schema.type"), "Bedrock wants `object`: set to it");
                }
                let mut repaired = Map::with_capacity(members.len() + 1);
                repaired.insert("type".to_owned(), json!("object"));
                repaired
                    .extend(members.iter().filter(|(name, _)| *name != "type").map(|(n, v)| (n.clone(), v.clone())));
                Cow::Owned(Value::Object(repaired))
            }
        }
    }

    fn choice(&mut self, choice: Option<&ir::ToolChoice>, tools: usize) -> Option<ToolChoice> {
        let (wanted, name) = match choice? {
            ir::ToolChoice::Auto | ir::ToolChoice::None => return None,
            ir::ToolChoice::Any => (ToolChoice::Any {}, None),
            ir::ToolChoice::Tool(name) => (ToolChoice::Tool { name: self.names.encode(name) }, Some(name)),
        };
        match (self.family.forcing(), name) {
            (Forcing::Never, _) => {
                self.report("tool_choice", "this model cannot be forced to call a tool on Bedrock: it decides itself");
                None
            }
            (Forcing::Any, Some(_)) => {
                if tools > 1 {
                    self.report("tool_choice", "this model can be forced to call a tool on Bedrock, not this tool");
                }
                Some(ToolChoice::Any {})
            }
            _ => Some(wanted),
        }
    }

    /// `None` without tools, where one call at a time says nothing either.
    pub(super) fn tool_config(&mut self, tools: Tools<'r>) -> Option<ToolConfig<'r>> {
        let Tools { entries, choice } = tools;
        if entries.is_empty() {
            return None;
        }
        if self.request.parallel_tool_calls == Some(false) {
            self.report("parallel_tool_calls", "Converse has no such field: the model may call several at once");
        }
        Some(ToolConfig { tools: entries, tool_choice: choice })
    }
}

/// The tools that the conversation has called, in order, each once.
fn names_in_history(request: &ir::Request) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let blocks = request.messages.iter().flat_map(|message| &message.blocks);
    blocks
        .filter_map(|block| match block {
            Block::ToolUse { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .filter(|name| seen.insert(*name))
        .collect()
}
