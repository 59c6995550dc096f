//! The IR's turns as items.
//!
//! A user turn becomes: one output per result, then one message with the rest. What the model said becomes one item per block, in order:
//! reasoning has to stand right before what it led to.

use serde_json::{Map, Value, json};

use crate::error::WireError;
use crate::ir::{Block, Dropped, Message, Request, Role, Source};
use crate::json::object;
use crate::names::ToolNames;
use crate::openai::custom::text_of;
use crate::openai::encode::{call_id, data_url, detail, foreign_file, image_url, named_text};
use crate::openai::offered::Offered;
use crate::responses::reasoning::open_item;

/// `breakpoints`: the model honours `prompt_cache_breakpoint`.
pub(super) fn encode(
    offered: Offered<'_>,
    request: &Request,
    breakpoints: bool,
    names: &mut ToolNames,
    dropped: &mut Vec<Dropped>,
) -> Result<Vec<Value>, WireError> {
    let mut turns =
        Turns { offered, customs: Vec::new(), breakpoints, names, dropped, out: Vec::new(), thinking: None };
    for (index, message) in request.messages.iter().enumerate() {
        let path = format!("messages[{index}]");
        match message.role {
            Role::System => {
                let parts = turns.parts(&path, &message.blocks)?;
                turns.message("developer", parts);
            }
            Role::User => turns.user(&path, message)?,
            Role::Assistant => turns.assistant(&path, message),
        }
    }
    if let Some((path, count)) = turns.thinking {
        let reason = format!("thinking of another provider's model cannot be replayed to this one ({count} blocks)");
        turns.dropped.push(Dropped::new(path, reason));
    }
    Ok(turns.out)
}

struct Turns<'b> {
    offered: Offered<'b>,
    /// Ids of calls of custom tools.
    customs: Vec<&'b str>,
    breakpoints: bool,
    names: &'b mut ToolNames,
    dropped: &'b mut Vec<Dropped>,
    out: Vec<Value>,
    /// The first thinking block that was left out, and how many there were: reported once.
    thinking: Option<(String, usize)>,
}

/// The type of the result of a custom tool's call.
const CUSTOM_OUTPUT: &str = "custom_tool_call_output";

impl<'b> Turns<'b> {
    fn message(&mut self, role: &str, parts: Vec<Value>) {
        if !parts.is_empty() {
            self.out.push(object! {"type": "message", "role": role, "content": parts});
        }
    }

    fn user(&mut self, path: &str, message: &Message) -> Result<(), WireError> {
        for (index, block) in message.blocks.iter().enumerate() {
            let Block::ToolResult { id, content, is_error } = block else { continue };
            let mut parts = self.parts(&format!("{path}.content[{index}]"), content)?;
            if *is_error {
                // There is no field for it, so the model reads it.
                parts.insert(0, json!({"type": "input_text", "text": "The tool call failed:"}));
            }
            let output = plain(&parts).map_or_else(|| Value::Array(parts), Value::from);
            let kind = if self.customs.contains(&id.as_str()) { CUSTOM_OUTPUT } else { "function_call_output" };
            self.out.push(object! {"type": kind, "call_id": call_id(id), "output": output});
        }
        let parts = self.parts(path, &message.blocks)?;
        self.message("user", parts);
        Ok(())
    }

    fn assistant(&mut self, path: &str, message: &'b Message) {
        for (index, block) in message.blocks.iter().enumerate() {
            let path = || format!("{path}.content[{index}]");
            match block {
                Block::Text(text) | Block::Refusal(text) if text.trim().is_empty() => {}
                Block::Text(text) | Block::Refusal(text) => {
                    self.out.push(json!({"type": "message", "role": "assistant", "content": text}));
                }
                Block::ToolUse { id, name, input } => {
                    let sent = self.names.encode(name);
                    self.out.push(match text_of(input).filter(|_| self.offered.is_custom(name)) {
                        Some(text) => {
                            self.customs.push(id);
                            json!({"type": "custom_tool_call", "call_id": call_id(id), "name": sent, "input": text})
                        }
                        None => json!({
                            "type": "function_call", "call_id": call_id(id), "name": sent, "arguments": input.to_string(),
                        }),
                    });
                }
                Block::Thinking { text, signature } => match signature.as_deref().and_then(open_item) {
                    Some((id, encrypted)) => {
                        let part = json!({"type": "summary_text", "text": text});
                        let summary = if text.is_empty() { Vec::new() } else { vec![part] };
                        self.out.push(json!({
                            "type": "reasoning", "id": id, "summary": summary, "encrypted_content": encrypted,
                        }));
                    }
                    None => self.thinking.get_or_insert_with(|| (path(), 0)).1 += 1,
                },
                Block::RedactedThinking(_) => self.thinking.get_or_insert_with(|| (path(), 0)).1 += 1,
                Block::CacheMark(_) | Block::Detail { .. } | Block::Citations(_) => {}
                Block::Image(_) | Block::Document { .. } | Block::Audio { .. } | Block::ToolResult { .. } => {
                    let reason = "an assistant message holds text and calls only";
                    self.dropped.push(Dropped::new(path(), reason));
                }
            }
        }
    }

    /// Content blocks as parts. Tool results are not content here: they are items.
    fn parts(&mut self, path: &str, blocks: &[Block]) -> Result<Vec<Value>, WireError> {
        let mut parts: Vec<Value> = Vec::with_capacity(blocks.len());
        for (index, block) in blocks.iter().enumerate() {
            let path = || format!("{path}.content[{index}]");
            let part = match block {
                Block::Text(text) if text.trim().is_empty() => continue,
                Block::Text(text) => json!({"type": "input_text", "text": text}),
                Block::Image(source) => {
                    let detail = detail(blocks, index).unwrap_or("auto");
                    json!({"type": "input_image", "image_url": image_url(source, &path)?, "detail": detail})
                }
                Block::Document { source, name } => document(source, name.as_deref(), &path)?,
                Block::Audio { data, format } => {
                    json!({"type": "input_audio", "input_audio": {"data": data, "format": format}})
                }
                Block::ToolResult { .. } => continue,
                Block::Detail { .. } | Block::Citations(_) => continue,
                Block::CacheMark(_) => {
                    if let Some(Value::Object(last)) = parts.last_mut().filter(|_| self.breakpoints) {
                        last.insert("prompt_cache_breakpoint".to_owned(), json!({"mode": "explicit"}));
                    }
                    continue;
                }
                Block::ToolUse { .. } | Block::Thinking { .. } | Block::RedactedThinking(_) | Block::Refusal(_) => {
                    self.dropped.push(Dropped::new(path(), "only an assistant message can hold it"));
                    continue;
                }
            };
            parts.push(part);
        }
        Ok(parts)
    }
}

/// Text alone is a string, which every server takes.
fn plain(parts: &[Value]) -> Option<String> {
    let text = |part: &Value| {
        let bare = part.get("prompt_cache_breakpoint").is_none();
        part.get("text").and_then(Value::as_str).filter(|_| bare).map(str::to_owned)
    };
    parts.iter().map(text).collect::<Option<Vec<_>>>().map(|texts| texts.join("\n"))
}

fn document(source: &Source, name: Option<&str>, path: &impl Fn() -> String) -> Result<Value, WireError> {
    let mut part = Map::new();
    part.insert("type".to_owned(), "input_file".into());
    match source {
        Source::Base64 { media_type, data } => {
            part.insert("filename".to_owned(), name.unwrap_or("document.pdf").into());
            part.insert("file_data".to_owned(), data_url(media_type, data).into());
        }
        Source::Url(url) => {
            part.insert("file_url".to_owned(), url.as_str().into());
        }
        Source::Text(text) => {
            return Ok(json!({"type": "input_text", "text": named_text(name, text)}));
        }
        Source::File(_) => return Err(foreign_file(path)),
    }
    Ok(Value::Object(part))
}
