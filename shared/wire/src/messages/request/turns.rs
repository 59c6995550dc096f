//! Messages to the turns that the API takes: user and assistant alternate, results of calls come first in the user's turn (case 1), no text is
//! blank (case 13), and no thinking is unsigned (case 11).

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::plan::Plan;
use crate::codec::Carrier;
use crate::error::WireError;
use crate::identity::{first_of_loop, is_not_claudes};
use crate::ir::{Block, CacheTtl, Dropped, Message, Role, Source};
use crate::messages::bedrock::is_blank;
use crate::messages::models::Model;
use crate::names::ToolNames;

/// Pictures that the API takes: <https://platform.claude.com/docs/en/build-with-claude/vision>.
const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// One turn of the body.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) role: Role,
    pub(super) blocks: Vec<Value>,
}

/// What the turns are made for.
pub(super) struct Encoder<'a> {
    pub(super) model: Model,
    pub(super) carrier: Carrier,
    pub(super) plan: &'a Plan,
    pub(super) names: &'a mut ToolNames,
    pub(super) ids: ToolNames,
    pub(super) dropped: &'a mut Vec<Dropped>,
}

/// Are we in a tool loop whose first assistant turn does not begin with thinking that can be replayed? With a budget the API refuses that: `Expected thinking
/// or redacted_thinking, but found tool_use`.
pub(super) fn lost_thinking_in_tool_loop(messages: &[Message]) -> bool {
    let is_result = |block: &Block| matches!(block, Block::ToolResult { .. });
    let loop_of_tools = first_of_loop(
        messages,
        |message| message.role == Role::Assistant,
        |message| message.blocks.iter().any(is_result),
    );
    let Some(answer) = loop_of_tools else { return false };
    match answer.iter().find_map(|message| message.blocks.first()) {
        Some(Block::Thinking { signature: Some(signature), .. }) => is_not_claudes(signature),
        Some(Block::RedactedThinking(_)) => false,
        _ => true,
    }
}

impl Encoder<'_> {
    /// All turns.
    pub(super) fn turns(&mut self, messages: &[Message]) -> Result<Vec<Turn>, WireError> {
        let mut turns: Vec<Turn> = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let path = format!("messages[{index}]");
            let blocks = self.blocks(&message.blocks, message.role, &path)?;
            if blocks.is_empty() {
                continue;
            }
            let role = match message.role {
                Role::System if !self.keeps_system(&turns, messages.get(index + 1..).unwrap_or_default()) => {
                    self.report(path, "no system message can stand here for this model; sent as the user's text");
                    Role::User
                }
                role => role,
            };
            match turns.last_mut().filter(|turn| turn.role == role) {
                Some(turn) => turn.blocks.extend(blocks),
                None => turns.push(Turn { role, blocks }),
            }
        }
        for turn in turns.iter_mut().filter(|turn| turn.role == Role::User) {
            let results: Vec<_> = turn.blocks.extract_if(.., |block| kind(block) == "tool_result").collect();
            turn.blocks.splice(0..0, results);
        }
        self.begin_with_user(&mut turns);
        self.end(&mut turns);
        Ok(turns)
    }

    /// A system message may stand after a user's turn, before an assistant's or at the end:
    /// <https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages>.
    fn keeps_system(&self, before: &[Turn], after: &[Message]) -> bool {
        let next = after.iter().find(|message| message.role != Role::System).map(|message| message.role);
        self.model.takes_system_turns()
            && before.last().is_some_and(|turn| turn.role != Role::Assistant)
            && next != Some(Role::User)
    }

    fn begin_with_user(&mut self, turns: &mut Vec<Turn>) {
        if turns.first().is_some_and(|turn| turn.role == Role::Assistant) {
            self.report(
                "messages[0]".to_owned(),
                "a conversation begins with the user; a `.` of the user was put before it",
            );
            turns.insert(0, Turn { role: Role::User, blocks: vec![json!({ "type": "text", "text": "." })] });
        }
    }

    /// A last assistant turn is a prefill: not every model continues it, none while it thinks, and it must not end in whitespace.
    fn end(&mut self, turns: &mut Vec<Turn>) {
        let Some(last) = turns.last_mut().filter(|turn| turn.role == Role::Assistant) else { return };
        if !self.model.takes_prefill() || self.plan.thinks() {
            let reason = "this model does not continue an answer; a `Continue.` of the user was put after it";
            self.report("messages".to_owned(), reason);
            turns.push(Turn { role: Role::User, blocks: vec![json!({ "type": "text", "text": "Continue." })] });
            return;
        }
        last.blocks.retain(|block| !matches!(kind(block), "thinking" | "redacted_thinking"));
        if let Some(Value::String(text)) = last.blocks.last_mut().and_then(|block| block.get_mut("text")) {
            text.truncate(text.trim_end().len());
        }
    }

    fn report(&mut self, path: String, reason: &str) {
        self.dropped.push(Dropped::new(path, reason));
    }

    fn blocks(&mut self, blocks: &[Block], role: Role, path: &str) -> Result<Vec<Value>, WireError> {
        let mut out: Vec<Value> = Vec::with_capacity(blocks.len());
        for (index, block) in blocks.iter().enumerate() {
            let path = format!("{path}.content[{index}]");
            match block {
                Block::CacheMark(ttl) => {
                    if !mark(&mut out, *ttl) {
                        self.report(path, "there is nothing before it that can carry a cache mark");
                    }
                }
                block => out.extend(self.block(block, role, path)?),
            }
        }
        Ok(out)
    }

    /// A block; `None` if nothing of it is sent.
    fn block(&mut self, block: &Block, role: Role, path: String) -> Result<Option<Value>, WireError> {
        Ok(Some(match block {
            Block::Text(text) | Block::Refusal(text) if is_blank(text) => return Ok(None),
            Block::Text(text) | Block::Refusal(text) => json!({ "type": "text", "text": text }),
            Block::Image(source) => json!({ "type": "image", "source": self.image(source, &path)? }),
            Block::Document { source, name } => self.document(source, name.as_deref(), &path)?,
            Block::Audio { .. } => {
                return Err(WireError::unsupported(path, "Claude does not hear; send a transcript as text"));
            }
            Block::ToolUse { id, name, input } => json!({
                "type": "tool_use",
                "id": self.ids.encode(id),
                "name": self.names.encode(name),
                "input": if input.is_object() { input.clone() } else { json!({}) },
            }),
            Block::ToolResult { id, content, is_error } => {
                let content = self.blocks(content, role, &path)?;
                let mut result = Map::new();
                result.insert("type".to_owned(), json!("tool_result"));
                result.insert("tool_use_id".to_owned(), json!(self.ids.encode(id)));
                if !content.is_empty() {
                    result.insert("content".to_owned(), Value::Array(content));
                }
                if *is_error {
                    result.insert("is_error".to_owned(), json!(true));
                }
                Value::Object(result)
            }
            Block::Thinking { .. } | Block::RedactedThinking(_) => return Ok(self.thinking(block, role, path)),
            Block::CacheMark(_) | Block::Detail { .. } | Block::Citations(_) => return Ok(None),
        }))
    }

    fn thinking(&mut self, block: &Block, role: Role, path: String) -> Option<Value> {
        let reason = match block {
            _ if role != Role::Assistant => "only the model thinks",
            _ if self.model.thinks() == crate::messages::models::Thinks::Never => "this model cannot think",
            Block::Thinking { signature: Some(signature), .. } if is_not_claudes(signature) => {
                "another provider's signature means nothing to Claude: left out with its thinking"
            }
            Block::Thinking { text, signature: Some(signature) } => {
                return Some(json!({ "type": "thinking", "thinking": text, "signature": signature }));
            }
            Block::RedactedThinking(data) => return Some(json!({ "type": "redacted_thinking", "data": data })),
            _ => "thinking without its signature is refused upstream",
        };
        self.report(path, reason);
        None
    }

    fn image(&self, source: &Source, path: &str) -> Result<Value, WireError> {
        match source {
            Source::Base64 { media_type, data } if IMAGE_TYPES.contains(&media_type.as_str()) => {
                Ok(json!({ "type": "base64", "media_type": media_type, "data": data }))
            }
            Source::Base64 { media_type, .. } => {
                let known = "image/jpeg, image/png, image/gif or image/webp";
                Err(WireError::unsupported(path, format!("Claude does not read {media_type}; send {known}")))
            }
            Source::Url(url) => self.url(url, path),
            Source::Text(_) | Source::File(_) => Err(file(path)),
        }
    }

    /// Bedrock's InvokeModel and Vertex take bytes only: <https://platform.claude.com/docs/en/build-with-claude/vision#url-based-image-example>.
    fn url(&self, url: &str, path: &str) -> Result<Value, WireError> {
        match self.carrier {
            Carrier::Direct => Ok(json!({ "type": "url", "url": url })),
            Carrier::Bedrock => Err(WireError::unsupported(path, "Bedrock fetches no URL; send the bytes as base64")),
            Carrier::Vertex => Err(WireError::unsupported(path, "Vertex fetches no URL; send the bytes as base64")),
        }
    }

    fn document(&self, source: &Source, name: Option<&str>, path: &str) -> Result<Value, WireError> {
        let source = match source {
            Source::Base64 { media_type, data } if media_type == "application/pdf" => {
                json!({ "type": "base64", "media_type": media_type, "data": data })
            }
            Source::Base64 { media_type, data } if media_type.starts_with("text/") => plain(&decode_text(data, path)?),
            Source::Base64 { media_type, .. } => {
                let message = format!("Claude does not read {media_type}; send a PDF or text");
                return Err(WireError::unsupported(path, message));
            }
            Source::Url(url) => self.url(url, path)?,
            Source::Text(text) => plain(text),
            Source::File(_) => return Err(file(path)),
        };
        let mut document = Map::new();
        document.insert("type".to_owned(), json!("document"));
        document.insert("source".to_owned(), source);
        if let Some(name) = name {
            document.insert("title".to_owned(), json!(name));
        }
        Ok(Value::Object(document))
    }
}

fn plain(text: &str) -> Value {
    json!({ "type": "text", "media_type": "text/plain", "data": text })
}

fn decode_text(data: &str, path: &str) -> Result<String, WireError> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(data);
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| WireError::invalid(path, "expected base64 of UTF-8 text"))
}

fn file(path: &str) -> WireError {
    WireError::unsupported(path, "a file of another provider cannot be read here; send its bytes as base64")
}

fn kind(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Puts a cache mark on the last block that can carry one: thinking cannot.
fn mark(blocks: &mut [Value], ttl: CacheTtl) -> bool {
    let carrier = blocks.iter_mut().rev().find(|block| !matches!(kind(block), "thinking" | "redacted_thinking"));
    let Some(Value::Object(fields)) = carrier else { return false };
    fields.insert("cache_control".to_owned(), cache_control(ttl));
    true
}

/// The mark on the wire.
pub(super) fn cache_control(ttl: CacheTtl) -> Value {
    match ttl {
        CacheTtl::FiveMinutes => json!({ "type": "ephemeral" }),
        CacheTtl::OneHour => json!({ "type": "ephemeral", "ttl": "1h" }),
    }
}
