//! A client's contents to the IR's messages.
//!
//! - A stream's chunks come back as many parts, or many contents: thinking in a row is one block, which ends with its signature; the model's text
//!   in a row is one text.
//! - A call without an id gets one of its place, and its result is found by the function's name, in order. So a conversation has the same ids each time
//!   that it comes.

use serde_json::Value;

use super::fields::Object;
use super::parts::{is_googles, type_of};
use crate::error::WireError;
use crate::gemini::base64;
use crate::gemini::signature::{Place, Returned, UNCHECKED, from_client};
use crate::ir::{Block, Dropped, Message, Role, Source};

const ONLY_GEMINI: &str = "only Gemini has it";

/// The parts of `systemInstruction`: text only.
pub(super) fn system_parts(mut system: Object, unmapped: &mut Vec<Dropped>) -> Result<Vec<Block>, WireError> {
    drop(system.take("role"));
    let mut blocks = Vec::new();
    for (part, path) in system.array("parts")? {
        let mut part = Object::new(part, path)?;
        blocks.extend(part.string("text")?.filter(|text| !text.is_empty()).map(Block::Text));
        part.finish("instructions are text", unmapped);
    }
    system.finish(ONLY_GEMINI, unmapped);
    Ok(blocks)
}

/// All of them.
pub(super) fn decode(items: Vec<(Value, String)>, unmapped: &mut Vec<Dropped>) -> Result<Vec<Message>, WireError> {
    let mut decoder = Decoder { messages: Vec::new(), calls: Vec::new(), number: 0, unmapped };
    for (item, path) in items {
        decoder.content(Object::new(item, path)?)?;
    }
    Ok(decoder.messages)
}

struct Decoder<'u> {
    messages: Vec<Message>,
    /// The calls that wait for a result.
    calls: Vec<Call>,
    number: usize,
    unmapped: &'u mut Vec<Dropped>,
}

struct Call {
    id: String,
    name: String,
}

impl Decoder<'_> {
    fn content(&mut self, mut content: Object) -> Result<(), WireError> {
        let path = content.at("role");
        let role = match content.string("role")?.as_deref() {
            None | Some("" | "user" | "function" | "tool") => Role::User,
            Some("model") => Role::Assistant,
            Some("system") => Role::System,
            Some(other) => {
                let message = format!("expected \"user\" or \"model\", got {:?}", other.escape_debug().to_string());
                return Err(WireError::invalid(path, message));
            }
        };
        // The chunks of a stream, kept one by one.
        let continued = self.messages.last().is_some_and(|last| last.role == role && role == Role::Assistant);
        if !continued {
            self.messages.push(Message { role, blocks: Vec::new() });
        }
        for (part, path) in content.array("parts")? {
            self.part(role, Object::new(part, path)?)?;
        }
        content.finish(ONLY_GEMINI, self.unmapped);
        if self.messages.last().is_some_and(|message| message.blocks.is_empty()) {
            self.messages.pop();
        }
        Ok(())
    }

    fn push(&mut self, block: Block) {
        let Some(message) = self.messages.last_mut() else { return };
        match (message.blocks.last_mut(), block) {
            (Some(Block::Text(text)), Block::Text(more)) if message.role == Role::Assistant => text.push_str(&more),
            (Some(Block::Thinking { text, signature: signed @ None }), Block::Thinking { text: more, signature }) => {
                text.push_str(&more);
                *signed = signature;
            }
            (_, block) => message.blocks.push(block),
        }
    }

    fn part(&mut self, role: Role, mut part: Object) -> Result<(), WireError> {
        let thought = part.boolean("thought")? == Some(true);
        let signature = part.string("thoughtSignature")?.filter(|text| !text.is_empty() && text != UNCHECKED);
        if let Some(call) = part.object("functionCall")? {
            if role != Role::Assistant {
                let message = "a call stands in a content whose `role` is \"model\"";
                return Err(WireError::invalid(part.at("functionCall"), message));
            }
            self.call(call, signature.as_deref())?;
        } else if let Some(response) = part.object("functionResponse")? {
            self.response(response)?;
        } else if let Some(text) = part.string("text")? {
            self.text(text, thought, signature.as_deref());
        } else if let Some(data) = part.object("inlineData")? {
            let block = self.inline(data)?;
            self.push(block);
        } else if let Some(file) = part.object("fileData")? {
            let block = self.file(file)?;
            self.push(block);
        } else if signature.is_some() {
            self.text(String::new(), thought, signature.as_deref());
        } else if role == Role::User {
            let message = "expected text, inlineData, fileData or functionResponse; nothing else can be translated";
            return Err(WireError::unsupported(part.path(), message));
        }
        part.finish(ONLY_GEMINI, self.unmapped);
        Ok(())
    }

    fn text(&mut self, text: String, thought: bool, signature: Option<&str>) {
        let place = if thought { Place::Thought } else { Place::Text };
        let signature = match signature.map(|signature| from_client(signature, place)) {
            Some(Returned::Redacted(data)) => return self.push(Block::RedactedThinking(data)),
            Some(Returned::Signature(signature)) => Some(signature),
            None => None,
        };
        match (thought, signature) {
            (true, signature) if !text.is_empty() || signature.is_some() => {
                self.push(Block::Thinking { text, signature });
            }
            (true, _) => {}
            (false, signature) => {
                if !text.is_empty() {
                    self.push(Block::Text(text));
                }
                if signature.is_some() {
                    self.push_apart(Block::Thinking { text: String::new(), signature });
                }
            }
        }
    }

    /// Not joined to what stands before it.
    fn push_apart(&mut self, block: Block) {
        if let Some(message) = self.messages.last_mut() {
            message.blocks.push(block);
        }
    }

    fn call(&mut self, mut call: Object, signature: Option<&str>) -> Result<(), WireError> {
        let name = call.string("name")?.ok_or_else(|| call.missing("name"))?;
        let id = call.string("id")?.filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| format!("call_{}", self.number));
        self.number += 1;
        let input = match call.take("args") {
            None => Value::Object(serde_json::Map::new()),
            Some((args @ Value::Object(_), _)) => args,
            Some((_, path)) => return Err(WireError::invalid(path, "expected an object")),
        };
        call.finish(ONLY_GEMINI, self.unmapped);
        if let Some(Returned::Signature(signature)) = signature.map(|signature| from_client(signature, Place::Call)) {
            self.push_apart(Block::Thinking { text: String::new(), signature: Some(signature) });
        }
        self.calls.push(Call { id: id.clone(), name: name.clone() });
        self.push(Block::ToolUse { id, name, input });
        Ok(())
    }

    fn response(&mut self, mut response: Object) -> Result<(), WireError> {
        let name = response.string("name")?.unwrap_or_default();
        let id = response.string("id")?.filter(|id| !id.is_empty());
        let by_id = id.as_ref().and_then(|id| self.calls.iter().position(|call| call.id == *id));
        let place = by_id.or_else(|| self.calls.iter().position(|call| call.name == name));
        let id = match place {
            Some(place) => self.calls.remove(place).id,
            None => {
                let message = "no functionCall before it has this id or this name and waits for a result";
                return Err(WireError::invalid(response.path(), message));
            }
        };
        let (text, is_error) = result_of(response.take("response").map(|(value, _)| value));
        let mut content = vec![Block::Text(text)];
        for (part, path) in response.array("parts")? {
            let mut part = Object::new(part, path)?;
            if let Some(data) = part.object("inlineData")? {
                content.push(self.inline(data)?);
            } else if let Some(file) = part.object("fileData")? {
                content.push(self.file(file)?);
            }
            part.finish(ONLY_GEMINI, self.unmapped);
        }
        response.finish(ONLY_GEMINI, self.unmapped);
        self.push(Block::ToolResult { id, content, is_error });
        Ok(())
    }

    fn inline(&mut self, mut data: Object) -> Result<Block, WireError> {
        let media_type = data.string("mimeType")?.ok_or_else(|| data.missing("mimeType"))?;
        let bytes = data.string("data")?.ok_or_else(|| data.missing("data"))?;
        let bytes = base64::standard(&bytes).into_owned();
        let name = data.string("displayName")?;
        let block = match media_type.split_once('/') {
            Some(("image", _)) => Block::Image(Source::Base64 { media_type, data: bytes }),
            Some(("audio", kind)) => Block::Audio { format: format_of(kind), data: bytes },
            Some(("video", _)) => return Err(video(&data)),
            _ => Block::Document { source: Source::Base64 { media_type, data: bytes }, name },
        };
        data.finish(ONLY_GEMINI, self.unmapped);
        Ok(block)
    }

    fn file(&mut self, mut file: Object) -> Result<Block, WireError> {
        let uri = file.string("fileUri")?.ok_or_else(|| file.missing("fileUri"))?;
        let media_type = file.string("mimeType")?.or_else(|| type_of(&uri).map(str::to_owned)).unwrap_or_default();
        let name = file.string("displayName")?;
        let source = if is_googles(&uri) { Source::File(uri) } else { Source::Url(uri) };
        let block = match media_type.split_once('/') {
            Some(("image", _)) => Block::Image(source),
            Some(("audio", _)) => {
                let message = "sound by its address cannot be translated: send its bytes in inlineData";
                return Err(WireError::unsupported(file.path(), message));
            }
            Some(("video", _)) => return Err(video(&file)),
            _ => Block::Document { source, name },
        };
        file.finish(ONLY_GEMINI, self.unmapped);
        Ok(block)
    }
}

fn video(at: &Object) -> WireError {
    WireError::unsupported(at.path(), "no other provider takes a video: route this model to Gemini")
}

/// OpenAI's and Bedrock's names of formats.
fn format_of(kind: &str) -> String {
    let kind = kind.split(';').next().unwrap_or_default();
    match kind.strip_prefix("x-").unwrap_or(kind) {
        "mpeg" => "mp3",
        "wave" => "wav",
        other => other,
    }
    .to_owned()
}

/// A function's result as text, and whether it failed. By Google's convention `output` is the result and `error` the failure; else the whole object is
/// the result.
fn result_of(response: Option<Value>) -> (String, bool) {
    let Some(Value::Object(fields)) = response else {
        return (response.map(|value| value.to_string()).unwrap_or_default(), false);
    };
    let is_error = fields.contains_key("error") && !fields.contains_key("output");
    let only = if fields.len() == 1 { fields.get("output").or_else(|| fields.get("error")) } else { None };
    match only {
        Some(Value::String(text)) => (text.clone(), is_error),
        Some(value) => (value.to_string(), is_error),
        None => (Value::Object(fields).to_string(), is_error),
    }
}
