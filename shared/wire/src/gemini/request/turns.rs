//! The conversation as Gemini's contents.
//!
//! - The results of a turn of calls stand in one content right behind it, whatever else the user says comes in the content after that: Gemini wants
//!   as many results as calls, and nothing between them (<https://ai.google.dev/gemini-api/docs/function-calling>).
//! - A signature goes to the part that it belongs to (`signature.rs`). One of another provider is left out with its thinking, and reported.
//! - Models of the third generation refuse a call of the current turn that has no signature, and a history that another model or a forgetful client
//!   wrote has none. The first call of each step then gets the text that Google has for this case; it means "do not check"
//!   (<https://ai.google.dev/gemini-api/docs/thought-signatures>).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::encode::{Encoder, leading_instructions};
use super::parts;
use crate::error::WireError;
use crate::gemini::set;
use crate::gemini::signature::{self, Place, UNCHECKED};
use crate::ir::{Block, Message, Role};
use crate::json::object;

const SIGNATURE: &str = "thoughtSignature";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    Results,
    Model,
}

struct Turn {
    kind: Kind,
    parts: Vec<Value>,
}

impl<'r> Encoder<'r> {
    /// The conversation without the instructions that lead it.
    pub(super) fn contents(&mut self) -> Result<Vec<Value>, WireError> {
        let request = self.request;
        let mut history = History { names: names_of(&request.messages), turns: Vec::new(), foreign: None };
        let first = leading_instructions(request).len();
        for (index, message) in request.messages.iter().enumerate().skip(first) {
            let path = format!("messages[{index}]");
            match message.role {
                Role::Assistant => self.model_turn(&path, message, &mut history)?,
                Role::User => self.user_turn(&path, message, &mut history)?,
                Role::System => {
                    let reason =
                        "Gemini has no instructions inside a conversation: sent as the user's text, in its place";
                    self.report(format!("{path}.role"), reason);
                    self.user_turn(&path, message, &mut history)?;
                }
            }
        }
        if let Some((path, count)) = history.foreign.take() {
            let reason = format!("another provider's thinking cannot be replayed to Gemini ({count} blocks)");
            self.report(path, reason);
        }
        let mut turns = history.turns;
        match turns.last() {
            None => return Err(WireError::invalid("messages", "Gemini wants at least one message that is not empty")),
            Some(turn) if turn.kind == Kind::Model => {
                let path = format!("messages[{}]", request.messages.len().saturating_sub(1));
                self.report(path, "Gemini answers behind the model's turn and does not continue it");
            }
            Some(_) => {}
        }
        if self.family.is_new() {
            sign_calls(&mut turns);
        }
        Ok(turns.into_iter().map(Turn::into_value).collect())
    }

    fn user_turn(&mut self, path: &str, message: &'r Message, history: &mut History<'r>) -> Result<(), WireError> {
        let mut results = Vec::new();
        let mut rest = Vec::new();
        for (index, block) in message.blocks.iter().enumerate() {
            let path = format!("{path}.content[{index}]");
            match block {
                Block::ToolResult { id, content, is_error } => {
                    let result = ToolAnswer { id, content, is_error: *is_error };
                    results.push(self.result(&path, &result, history, &mut rest)?);
                }
                Block::ToolUse { .. } | Block::Thinking { .. } | Block::RedactedThinking(_) => {
                    self.report(path, "only the model's turn can hold it");
                }
                _ => rest.extend(self.content_part(&path, block)?),
            }
        }
        history.push_results(results);
        history.push(Kind::User, rest);
        Ok(())
    }

    fn model_turn(&mut self, path: &str, message: &'r Message, history: &mut History<'r>) -> Result<(), WireError> {
        let mut out: Vec<Value> = Vec::new();
        let mut of_call: Option<&str> = None;
        for (index, block) in message.blocks.iter().enumerate() {
            let path = format!("{path}.content[{index}]");
            match block {
                Block::Thinking { text, signature } => {
                    let signed = match signature.as_deref().filter(|signature| !signature.is_empty()) {
                        None => None,
                        Some(signature) => match signature::marked(signature) {
                            Some(marked) => Some(marked),
                            None => {
                                history.foreign.get_or_insert((path, 0)).1 += 1;
                                continue;
                            }
                        },
                    };
                    of_call = thinking(text, signed, &mut out).or(of_call);
                }
                Block::RedactedThinking(_) => history.foreign.get_or_insert((path, 0)).1 += 1,
                Block::ToolUse { id, name, input } => {
                    let args = if input.is_object() { input.clone() } else { json!({}) };
                    let mut part =
                        json!({ "functionCall": { "id": id, "name": self.names.encode(name), "args": args } });
                    if let Some(signature) = of_call.take() {
                        set(&mut part, SIGNATURE, signature);
                    }
                    out.push(part);
                }
                Block::ToolResult { .. } => self.report(path, "only a user turn can hold it"),
                Block::Text(text) if is_signed_and_empty(out.last()) => {
                    if let Some(part) = out.last_mut() {
                        set(part, "text", text.as_str());
                    }
                }
                _ => out.extend(self.content_part(&path, block)?),
            }
        }
        // Its call is gone.
        out.extend(of_call.map(|signature| json!({ "text": "", SIGNATURE: signature })));
        history.push(Kind::Model, out);
        Ok(())
    }

    /// `rest` gets what a result of this model cannot hold.
    fn result(
        &mut self,
        path: &str,
        result: &ToolAnswer<'r>,
        history: &History<'r>,
        rest: &mut Vec<Value>,
    ) -> Result<Value, WireError> {
        let id = result.id;
        let name = history.names.get(id).ok_or_else(|| {
            WireError::invalid(
                path,
                format!("no tool call of the conversation has the id {id:?}, which this result answers"),
            )
        })?;
        let mut texts = Vec::new();
        let mut media = Vec::new();
        for (index, block) in result.content.iter().enumerate() {
            match block {
                Block::Text(text) | Block::Refusal(text) => texts.push(text.as_str()),
                Block::CacheMark(_) | Block::Detail { .. } | Block::Citations(_) => {}
                _ => media.extend(self.content_part(&format!("{path}.content[{index}]"), block)?),
            }
        }
        let key = if result.is_error { "error" } else { "output" };
        let mut response = json!({ "id": id, "name": self.names.encode(name), "response": { key: texts.join("\n") } });
        if !media.is_empty() && self.family.is_new() {
            set(&mut response, "parts", Value::Array(media));
        } else if !media.is_empty() {
            self.report(path, "a result of this model holds text only; the rest is in the user's content behind it");
            rest.push(json!({ "text": format!("The result of call {id} continues here:") }));
            rest.extend(media);
        }
        Ok(json!({ "functionResponse": response }))
    }

    /// Text and media. `None`: there is nothing to send.
    fn content_part(&mut self, path: &str, block: &Block) -> Result<Option<Value>, WireError> {
        Ok(match block {
            Block::Text(text) | Block::Refusal(text) => (!text.is_empty()).then(|| json!({ "text": text })),
            Block::Image(source) => Some(parts::media(source, "an image", path)?),
            Block::Document { source, name } => {
                if name.is_some() && !matches!(source, crate::ir::Source::Text(_)) {
                    self.report(format!("{path}.name"), "Gemini has no name for a document");
                }
                Some(parts::document(source, name.as_deref(), path)?)
            }
            Block::Audio { data, format } => Some(parts::audio(data, format)),
            _ => None,
        })
    }
}

/// A tool's result, as the IR has it.
struct ToolAnswer<'r> {
    id: &'r str,
    content: &'r [Block],
    is_error: bool,
}

struct History<'r> {
    /// The name of each call by its id.
    names: HashMap<&'r str, &'r str>,
    turns: Vec<Turn>,
    /// The first thinking block of another provider, and how many there were: reported once.
    foreign: Option<(String, usize)>,
}

impl History<'_> {
    fn push(&mut self, kind: Kind, parts: Vec<Value>) {
        if parts.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.kind == kind => turn.parts.extend(parts),
            _ => self.turns.push(Turn { kind, parts }),
        }
    }

    /// Behind the last turn of the model, whatever the user has said since.
    fn push_results(&mut self, parts: Vec<Value>) {
        if parts.is_empty() {
            return;
        }
        let behind = self.turns.iter().rposition(|turn| turn.kind == Kind::Model).map_or(0, |index| index + 1);
        match self.turns.get_mut(behind) {
            Some(turn) if turn.kind == Kind::Results => turn.parts.extend(parts),
            _ => self.turns.insert(behind, Turn { kind: Kind::Results, parts }),
        }
    }
}

impl Turn {
    fn into_value(self) -> Value {
        object! { "role": if self.kind == Kind::Model { "model" } else { "user" }, "parts": self.parts }
    }
}

fn names_of(messages: &[Message]) -> HashMap<&str, &str> {
    let blocks = messages.iter().flat_map(|message| &message.blocks);
    let calls = blocks.filter_map(|block| match block {
        Block::ToolUse { id, name, .. } => Some((id.as_str(), name.as_str())),
        _ => None,
    });
    calls.collect()
}

/// Writes a thinking block. Gives the signature that is for the call behind it.
fn thinking<'t>(text: &str, signed: Option<(Place, &'t str)>, out: &mut Vec<Value>) -> Option<&'t str> {
    let thought = |text: &str| json!({ "text": text, "thought": true });
    match signed {
        Some((Place::Thought, signature)) => {
            let mut part = thought(text);
            set(&mut part, SIGNATURE, signature);
            out.push(part);
            None
        }
        Some((Place::Call, signature)) => {
            out.extend((!text.is_empty()).then(|| thought(text)));
            Some(signature)
        }
        Some((Place::Text, signature)) => {
            out.extend((!text.is_empty()).then(|| thought(text)));
            match out.last_mut().filter(|part| part.get("text").is_some() && part.get("thought").is_none()) {
                Some(part) if part.get(SIGNATURE).is_none() => set(part, SIGNATURE, signature),
                _ => out.push(json!({ "text": "", SIGNATURE: signature })),
            }
            None
        }
        None => {
            out.extend((!text.is_empty()).then(|| thought(text)));
            None
        }
    }
}

/// A signature of text that came before its text: an OpenAI client keeps signatures apart.
fn is_signed_and_empty(part: Option<&Value>) -> bool {
    part.is_some_and(|part| {
        part.get("text") == Some(&Value::from("")) && part.get(SIGNATURE).is_some() && part.get("thought").is_none()
    })
}

/// Marks the first call of each step of the current turn, where it has no signature. The current turn begins with what the user said last.
fn sign_calls(turns: &mut [Turn]) {
    let current = turns.iter().rposition(|turn| turn.kind == Kind::User).unwrap_or_default();
    for turn in turns.iter_mut().skip(current).filter(|turn| turn.kind == Kind::Model) {
        let first = turn.parts.iter_mut().find(|part| part.get("functionCall").is_some());
        if let Some(part) = first.filter(|part| part.get(SIGNATURE).is_none()) {
            set(part, SIGNATURE, UNCHECKED);
        }
    }
}
