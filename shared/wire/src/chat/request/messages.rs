//! A client's body to the IR, part 3: messages.
//!
//! - Instructions before the first turn are [`Request::system`]; later ones keep their place (case 21).
//! - Consecutive `tool` messages are one user turn (case 1).
//! - A cache mark stands behind the block that carries it; one on a message stands behind the message's last block.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::parts;
use crate::chat::types::ExtraContent;
use crate::error::WireError;
use crate::ir::{Block, CacheTtl, Dropped, Message, Request, Role};
use crate::openai::cited::are_pages;
use crate::openai::fields::{Path, array, object, string};
use crate::openai::parts::{Said, cache_control, instructions_alone};
use crate::openai::read::input_of;
use crate::openai::settings::{report_unknown, unknown};
use crate::openai::tools::name_of;

pub(super) fn decode(items: Vec<Value>, path: &Path<'_>, request: &mut Request) -> Result<(), WireError> {
    request.messages.reserve(items.len());
    let mut after_tool = false;
    for (index, item) in items.into_iter().enumerate() {
        let path = path.index(index);
        let fields = object(item, &path)?;
        let unmapped = &mut request.unmapped;
        let (role, blocks) = match fields.get("role") {
            Some(Value::String(role)) => match role.as_str() {
                "system" | "developer" => (Role::System, plain(fields, &path, unmapped)?),
                "user" => (Role::User, plain(fields, &path, unmapped)?),
                "assistant" => (Role::Assistant, assistant(fields, &path, unmapped)?),
                "tool" => {
                    let blocks = tool_result(fields, &path, unmapped)?;
                    match request.messages.last_mut() {
                        Some(turn) if after_tool => turn.blocks.extend(blocks),
                        _ => request.messages.push(Message { role: Role::User, blocks }),
                    }
                    after_tool = true;
                    continue;
                }
                "function" => {
                    let message = "the deprecated function role is not translated; use tool_calls and role tool";
                    return Err(WireError::unsupported(path.to_string(), message));
                }
                other => {
                    let message = format!("expected system, developer, user, assistant or tool, got {other:?}");
                    return Err(path.key("role").invalid(message));
                }
            },
            None | Some(Value::Null) => return Err(path.missing("role")),
            Some(other) => return Err(path.key("role").expected("a string", other)),
        };
        after_tool = false;
        if role == Role::System && request.messages.is_empty() {
            request.system.extend(blocks);
        } else {
            request.messages.push(Message { role, blocks });
        }
    }
    instructions_alone(request, path);
    Ok(())
}

/// A system, developer or user message.
fn plain(fields: Map<String, Value>, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<Vec<Block>, WireError> {
    let text_only = fields.get("role").is_some_and(|role| role != "user");
    let mut blocks = None;
    let mut mark = None;
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            "role" => {}
            _ if value.is_null() && key != "content" => {}
            "content" if text_only => blocks = Some(parts::decode(value, &path, Said::Text, unmapped)?),
            "content" => blocks = Some(parts::decode(value, &path, Said::Media, unmapped)?),
            "cache_control" => mark = Some(cache_control(value, &path, unmapped)?),
            _ => unmapped.push(unmapped_field(&key, &path)),
        }
    }
    let mut blocks = blocks.ok_or_else(|| path.missing("content"))?;
    blocks.extend(mark.map(Block::CacheMark));
    Ok(blocks)
}

fn tool_result(
    fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Vec<Block>, WireError> {
    let (mut id, mut content, mut mark) = (None, None, None);
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            "role" => {}
            _ if value.is_null() && key != "content" => {}
            "tool_call_id" => id = Some(string(value, &path)?),
            "content" => content = Some(parts::decode(value, &path, Said::Media, unmapped)?),
            "cache_control" => mark = Some(cache_control(value, &path, unmapped)?),
            _ => unmapped.push(unmapped_field(&key, &path)),
        }
    }
    let id = id.ok_or_else(|| path.missing("tool_call_id"))?;
    let content = content.ok_or_else(|| path.missing("content"))?;
    let result = Block::ToolResult { id, content, is_error: false };
    Ok(std::iter::once(result).chain(mark.map(Block::CacheMark)).collect())
}

/// What an assistant message says, before it is put in order: thinking, text, refusal, calls.
#[derive(Default)]
struct Assistant {
    thinking: Vec<Block>,
    reasoning: Option<String>,
    content: Vec<Block>,
    refusal: Option<String>,
    calls: Vec<Block>,
    mark: Option<CacheTtl>,
}

fn assistant(
    fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Vec<Block>, WireError> {
    let mut message = Assistant::default();
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            "role" => {}
            _ if value.is_null() => {}
            "content" => message.content = parts::decode(value, &path, Said::Assistant, unmapped)?,
            "refusal" => message.refusal = Some(string(value, &path)?).filter(|text| !text.is_empty()),
            "tool_calls" => message.calls = tool_calls(array(value, &path)?, &path, unmapped)?,
            "thinking_blocks" => message.thinking = parts::thinking_blocks(value, &path, unmapped)?,
            "reasoning_content" => message.reasoning = Some(string(value, &path)?),
            // vLLM's and OpenRouter's name of it; some send both.
            "reasoning" => {
                let text = string(value, &path)?;
                message.reasoning.get_or_insert(text);
            }
            "cache_control" => message.mark = Some(cache_control(value, &path, unmapped)?),
            "annotations" if are_pages(&value) => {}
            "function_call" => {
                let message = "deprecated and not translated; use tool_calls";
                return Err(WireError::unsupported(path.to_string(), message));
            }
            _ => unmapped.push(unmapped_field(&key, &path)),
        }
    }
    Ok(message.into_blocks())
}

impl Assistant {
    fn into_blocks(mut self) -> Vec<Block> {
        self.join_reasoning();
        let mut blocks = self.thinking;
        blocks.extend(self.content);
        blocks.extend(self.refusal.map(Block::Refusal));
        blocks.extend(self.calls);
        // `content: ""` beside calls or thinking says nothing.
        let empty = |block: &Block| matches!(block, Block::Text(text) if text.is_empty());
        if blocks.iter().any(|block| !empty(block)) {
            blocks.retain(|block| !empty(block));
        }
        blocks.extend(self.mark.map(Block::CacheMark));
        blocks
    }

    /// `reasoning_content` is the text of `thinking_blocks` once more, for readers that know only that. It counts where the blocks do not have
    /// it: alone, or beside a single block whose text went another way (a client that kept only the signature's delta).
    fn join_reasoning(&mut self) {
        let Some(reasoning) = self.reasoning.take().filter(|text| !text.is_empty()) else { return };
        match self.thinking.as_mut_slice() {
            [] => self.thinking.push(Block::Thinking { text: reasoning, signature: None }),
            [Block::Thinking { text, .. }] if text.is_empty() => *text = reasoning,
            _ => {}
        }
    }
}

fn tool_calls(items: Vec<Value>, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<Vec<Block>, WireError> {
    let mut calls = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let path = path.index(index);
        let fields = object(item, &path)?;
        let (mut id, mut call, mut signature, mut mark) = (None, None, None, None);
        for (key, value) in fields {
            let path = path.key(&key);
            match key.as_str() {
                _ if value.is_null() => {}
                // The AI SDK puts the mark of a part there (opencode, with Claude).
                "cache_control" => mark = Some(cache_control(value, &path, unmapped)?),
                // `index` is left over from joined stream deltas.
                "type" | "index" => {}
                "id" => id = Some(string(value, &path)?),
                "extra_content" => match ExtraContent::deserialize(&value).ok().and_then(|extra| extra.signature()) {
                    Some(found) => signature = Some(found),
                    None => unmapped.push(unknown(&path)),
                },
                "function" => call = Some(function_call(object(value, &path)?, &path, unmapped)?),
                "custom" => call = Some(custom_call(object(value, &path)?, &path, unmapped)?),
                _ => unmapped.push(unknown(&path)),
            }
        }
        let id = id.ok_or_else(|| path.missing("id"))?;
        let (name, input) = call.ok_or_else(|| path.missing("function"))?;
        if signature.is_some() {
            calls.push(Block::Thinking { text: String::new(), signature });
        }
        calls.push(Block::ToolUse { id, name, input });
        calls.extend(mark.map(Block::CacheMark));
    }
    Ok(calls)
}

fn function_call(
    fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<(String, Value), WireError> {
    let mut name = None;
    let mut input = Value::Object(Map::new());
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "name" => name = Some(string(value, &path)?),
            "arguments" => {
                let (object, valid) = match value {
                    // Clients of Ollama send the object itself.
                    Value::Object(_) => (value, true),
                    other => input_of(&string(other, &path)?),
                };
                if !valid {
                    let reason = "not the text of a JSON object; sent as {\"INVALID_JSON\": text}";
                    unmapped.push(Dropped::new(path.to_string(), reason));
                }
                input = object;
            }
            _ => unmapped.push(unknown(&path)),
        }
    }
    Ok((name.ok_or_else(|| path.missing("name"))?, input))
}

/// A custom tool is a function with one text for the upstream.
fn custom_call(
    mut fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<(String, Value), WireError> {
    let name = name_of(&mut fields, path)?;
    let input = fields.shift_remove("input").ok_or_else(|| path.missing("input"))?;
    let input = string(input, &path.key("input"))?;
    report_unknown(&fields, path, unmapped);
    Ok((name, json!({ "input": input })))
}

fn unmapped_field(key: &str, path: &Path<'_>) -> Dropped {
    let reason = match key {
        "name" => "only OpenAI tells speakers of one role apart by name",
        "audio" => "an earlier answer's audio exists only at OpenAI",
        "annotations" => "other dialects have no place for citations of an earlier answer",
        _ => return unknown(path),
    };
    Dropped::new(path.to_string(), reason)
}
