//! A client's body to the IR, part 2: the input.
//!
//! - Instructions before the first turn are [`Request::system`]; later ones keep their place.
//! - What the model said (reasoning, messages, calls) is one turn as long as nobody else speaks; results of calls are one turn of the user.
//! - Ids and states of items are the server's business and not looked at.
//!
//! Items: <https://platform.openai.com/docs/api-reference/responses/create>.

use serde_json::{Map, Value, json};

use super::content;
use super::own;
use super::tools::member_name;
use crate::error::WireError;
use crate::ir::{Block, Dropped, Message, Request, Role};
use crate::openai::fields::{Path, array, object, string};
use crate::openai::parts::{Said, instructions_alone};
use crate::openai::read::input_of;
use crate::openai::settings::unknown;
use crate::responses::reasoning::{Opened, open};

pub(super) fn decode(input: Value, path: &Path<'_>, request: &mut Request) -> Result<(), WireError> {
    let items = match input {
        Value::String(text) => {
            request.messages.push(Message { role: Role::User, blocks: vec![Block::Text(text)] });
            return Ok(());
        }
        Value::Array(items) => items,
        other => return Err(path.expected("a string or an array of items", &other)),
    };
    let mut turns = Turns { request, after_result: false };
    for (index, item) in items.into_iter().enumerate() {
        let path = path.index(index);
        turns.item(object(item, &path)?, &path)?;
    }
    instructions_alone(request, path);
    Ok(())
}

struct Turns<'a> {
    request: &'a mut Request,
    after_result: bool,
}

impl Turns<'_> {
    fn item(&mut self, mut fields: Map<String, Value>, path: &Path<'_>) -> Result<(), WireError> {
        let kind = match fields.shift_remove("type").filter(|kind| !kind.is_null()) {
            Some(kind) => string(kind, &path.key("type"))?,
            None if fields.contains_key("role") => "message".to_owned(),
            None => return Err(path.missing("type")),
        };
        match kind.as_str() {
            "message" => self.message(fields, path)?,
            "function_call" => {
                let call = self.function_call(fields, path)?;
                self.assistant(vec![call]);
            }
            "custom_tool_call" => {
                let mut call = Fields::new(fields, path);
                let (id, name) = (call.text("call_id")?, call.text("name")?);
                let input = json!({ "input": call.text("input")? });
                call.finish(&mut self.request.unmapped);
                self.assistant(vec![Block::ToolUse { id, name, input }]);
            }
            "local_shell_call" => self.own_call(fields, path, own::LOCAL_SHELL, "action")?,
            "shell_call" => self.own_call(fields, path, own::SHELL, "action")?,
            "apply_patch_call" => self.own_call(fields, path, own::APPLY_PATCH, "operation")?,
            "shell_call_output" => {
                let mut result = Fields::new(fields, path);
                let id = result.text("call_id")?;
                let content = vec![Block::Text(result.take("output")?.to_string())];
                result.finish(&mut self.request.unmapped);
                self.result_turn(Block::ToolResult { id, content, is_error: false });
            }
            "apply_patch_call_output" => {
                let mut result = Fields::new(fields, path);
                let id = result.text("call_id")?;
                let status = result.text("status")?;
                let is_error = status == "failed";
                let content = vec![Block::Text(result.optional("output")?.unwrap_or(status))];
                result.finish(&mut self.request.unmapped);
                self.result_turn(Block::ToolResult { id, content, is_error });
            }
            "function_call_output" | "custom_tool_call_output" | "local_shell_call_output" => {
                let result = self.result(fields, path, &kind)?;
                self.result_turn(result);
            }
            "reasoning" => {
                let blocks = self.reasoning(fields, path)?;
                self.assistant(blocks);
            }
            "item_reference" => {
                let message = "the provider of this model keeps no items; send the item itself";
                return Err(WireError::unsupported(path.to_string(), message));
            }
            hosted if is_hosted(hosted) => {
                let reason = "a step of a tool that OpenAI runs; what came of it is in the messages behind it";
                self.request.unmapped.push(Dropped::new(path.to_string(), reason));
            }
            other => {
                let message = format!("items of type {other:?} are not translated for this model");
                return Err(WireError::unsupported(path.key("type").to_string(), message));
            }
        }
        Ok(())
    }

    fn message(&mut self, mut fields: Map<String, Value>, path: &Path<'_>) -> Result<(), WireError> {
        let role = fields.shift_remove("role").ok_or_else(|| path.missing("role"))?;
        let (role, said) = match string(role, &path.key("role"))?.as_str() {
            "system" | "developer" => (Role::System, Said::Text),
            "user" => (Role::User, Said::Media),
            "assistant" => (Role::Assistant, Said::Assistant),
            other => {
                let message = format!("expected system, developer, user or assistant, got {other:?}");
                return Err(path.key("role").invalid(message));
            }
        };
        let content = fields.shift_remove("content").ok_or_else(|| path.missing("content"))?;
        let blocks = content::decode(content, &path.key("content"), said, &mut self.request.unmapped)?;
        // OpenAI's models know by `phase` what was a preamble.
        report(fields, &["id", "status", "phase"], path, &mut self.request.unmapped);
        match role {
            Role::Assistant => self.assistant(blocks),
            Role::System if self.request.messages.is_empty() => self.request.system.extend(blocks),
            _ => {
                self.after_result = false;
                self.request.messages.push(Message { role, blocks });
            }
        }
        Ok(())
    }

    /// A call of a tool that is OpenAI's and that the client runs. `key`: where its arguments are.
    fn own_call(
        &mut self,
        fields: Map<String, Value>,
        path: &Path<'_>,
        name: &str,
        key: &str,
    ) -> Result<(), WireError> {
        let mut call = Fields::new(fields, path);
        let id = call.text("call_id")?;
        let mut input = object(call.take(key)?, &path.key(key))?;
        if name == own::LOCAL_SHELL {
            // Always `exec`.
            input.shift_remove("type");
        }
        call.finish(&mut self.request.unmapped);
        self.assistant(vec![Block::ToolUse { id, name: name.to_owned(), input: Value::Object(input) }]);
        Ok(())
    }

    fn function_call(&mut self, fields: Map<String, Value>, path: &Path<'_>) -> Result<Block, WireError> {
        let mut call = Fields::new(fields, path);
        let (id, mut name) = (call.text("call_id")?, call.text("name")?);
        let arguments = call.text("arguments")?;
        if let Some(namespace) = call.optional("namespace")? {
            name = member_name(&namespace, &name);
        }
        call.finish(&mut self.request.unmapped);
        let (input, valid) = input_of(&arguments);
        if !valid {
            let reason = "not the text of a JSON object; sent as {\"INVALID_JSON\": text}";
            self.request.unmapped.push(Dropped::new(path.key("arguments").to_string(), reason));
        }
        Ok(Block::ToolUse { id, name, input })
    }

    fn result(&mut self, fields: Map<String, Value>, path: &Path<'_>, kind: &str) -> Result<Block, WireError> {
        let mut result = Fields::new(fields, path);
        // A shell's output names its call by `id`.
        let id = match result.optional("call_id")? {
            Some(id) => id,
            None if kind == "local_shell_call_output" => result.text("id")?,
            None => return Err(path.missing("call_id")),
        };
        let output = result.take("output")?;
        result.finish(&mut self.request.unmapped);
        let content = content::decode(output, &path.key("output"), Said::Media, &mut self.request.unmapped)?;
        Ok(Block::ToolResult { id, content, is_error: false })
    }

    /// Text and proof; of another provider's proof, nothing is left that anybody could replay.
    fn reasoning(&mut self, mut fields: Map<String, Value>, path: &Path<'_>) -> Result<Vec<Block>, WireError> {
        let mut texts = Vec::new();
        for key in ["summary", "content"] {
            let Some(value) = fields.shift_remove(key).filter(|value| !value.is_null()) else { continue };
            for (index, part) in array(value, &path.key(key))?.into_iter().enumerate() {
                let (list, text) = (path.key(key), "text");
                let path = list.index(index);
                let part = object(part, &path)?.shift_remove(text).ok_or_else(|| path.missing(text))?;
                texts.push(string(part, &path.key(text))?);
            }
        }
        let encrypted = fields.shift_remove("encrypted_content").filter(|value| !value.is_null());
        let encrypted = encrypted.map(|value| string(value, &path.key("encrypted_content"))).transpose()?;
        report(fields, &["id", "status"], path, &mut self.request.unmapped);
        let text = texts.join("\n\n");
        Ok(match encrypted.as_deref().map(open) {
            Some(Opened::Signature(signature)) => {
                vec![Block::Thinking { text, signature: Some(signature.to_owned()) }]
            }
            Some(Opened::Redacted(data)) => vec![Block::RedactedThinking(data.to_owned())],
            Some(Opened::Foreign) => {
                let reason = "another provider's reasoning; only the one that made it can read it";
                self.request.unmapped.push(Dropped::new(path.key("encrypted_content").to_string(), reason));
                Vec::new()
            }
            None if text.is_empty() => Vec::new(),
            None => vec![Block::Thinking { text, signature: None }],
        })
    }

    fn assistant(&mut self, blocks: Vec<Block>) {
        if blocks.is_empty() {
            return;
        }
        self.after_result = false;
        match self.request.messages.last_mut() {
            Some(turn) if turn.role == Role::Assistant => turn.blocks.extend(blocks),
            _ => self.request.messages.push(Message { role: Role::Assistant, blocks }),
        }
    }

    fn result_turn(&mut self, result: Block) {
        match self.request.messages.last_mut() {
            Some(turn) if self.after_result => turn.blocks.push(result),
            _ => self.request.messages.push(Message { role: Role::User, blocks: vec![result] }),
        }
        self.after_result = true;
    }
}

/// What OpenAI's own tools leave in a conversation.
fn is_hosted(kind: &str) -> bool {
    matches!(
        kind,
        "web_search_call"
            | "file_search_call"
            | "code_interpreter_call"
            | "computer_call"
            | "computer_call_output"
            | "image_generation_call"
            | "mcp_list_tools"
            | "mcp_call"
            | "mcp_approval_request"
            | "mcp_approval_response"
            | "tool_search_call"
            | "tool_search_output"
    )
}

/// The fields of a call or a result.
struct Fields<'a> {
    fields: Map<String, Value>,
    path: &'a Path<'a>,
}

impl<'a> Fields<'a> {
    fn new(fields: Map<String, Value>, path: &'a Path<'a>) -> Self {
        Self { fields, path }
    }

    fn take(&mut self, key: &str) -> Result<Value, WireError> {
        self.fields.shift_remove(key).filter(|value| !value.is_null()).ok_or_else(|| self.path.missing(key))
    }

    fn text(&mut self, key: &str) -> Result<String, WireError> {
        string(self.take(key)?, &self.path.key(key))
    }

    fn optional(&mut self, key: &str) -> Result<Option<String>, WireError> {
        let value = self.fields.shift_remove(key).filter(|value| !value.is_null());
        value.map(|value| string(value, &self.path.key(key))).transpose()
    }

    fn finish(self, unmapped: &mut Vec<Dropped>) {
        const HARMLESS: [&str; 7] =
            ["id", "status", "name", "namespace", "created_by", "environment", "max_output_length"];
        report(self.fields, &HARMLESS, self.path, unmapped);
    }
}

/// Reports what nobody took, but for what only names the item.
fn report(fields: Map<String, Value>, harmless: &[&str], path: &Path<'_>, unmapped: &mut Vec<Dropped>) {
    for (key, value) in fields {
        let direct = key == "caller" && value.get("type").is_some_and(|kind| kind == "direct");
        if !value.is_null() && !direct && !harmless.contains(&key.as_str()) {
            unmapped.push(unknown(&path.key(&key)));
        }
    }
}
