//! The IR to an upstream's body.
//!
//! 1. [`turns`](super::turns) writes the conversation: results right behind their calls, signatures on the parts that they belong to.
//! 2. [`tools`](super::tools) writes the functions and which of them may be called.
//! 3. [`settings`](super::settings) writes sampling, thinking and structured output, within what the model's family takes.
//!
//! Cache marks are not reported: Gemini caches prefixes by itself, so a mark changes the price and not the answer.
//! Paths in reports are those of the IR: `messages[1].content[0]`, `effort`.

use serde_json::{Map, Value, json};

use crate::codec::{Carrier, Encoded, Target};
use crate::error::WireError;
use crate::gemini::family::Family;
use crate::gemini::stream::Reader;
use crate::ir::{Block, Dropped, Message, Request, Role, Tier};
use crate::json::{self, object};
use crate::labels;
use crate::names::ToolNames;

/// A function's name begins with a letter or `_`; letters, digits and `_-` up to 64 are what every version of the API takes
/// (<https://ai.google.dev/api/caching#FunctionDeclaration>).
const MAX_NAME_LEN: usize = 64;

/// Writes a request for an upstream. The model and whether it streams are the path's.
pub fn encode_request(request: &Request, target: &Target<'_>) -> Result<Encoded, WireError> {
    let mut encoder = Encoder {
        request,
        family: Family::of(target.model),
        names: ToolNames::new(MAX_NAME_LEN).letter_first(),
        dropped: request.unmapped.clone(),
    };
    let mut system = encoder.system();
    let mut body = Map::new();
    body.insert("contents".to_owned(), Value::Array(encoder.contents()?));
    encoder.tools(&mut body);
    let config = encoder.generation_config(&mut system);
    if !system.is_empty() {
        body.insert("systemInstruction".to_owned(), object! { "parts": system });
    }
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), Value::Object(config));
    }
    if let Some(tier) = request.tier {
        match tier.gemini() {
            // It is what happens anyway, and older models do not know the field.
            Some(_) if tier == Tier::Standard => {}
            Some(word) => {
                body.insert("serviceTier".to_owned(), word.into());
            }
            None => encoder.report("service_tier", "Gemini has no such tier"),
        }
    }
    if target.carrier == Carrier::Vertex {
        let labels = labels::for_vertex(request, &mut encoder.dropped);
        if !labels.is_empty() {
            body.insert("labels".to_owned(), labels.into());
        }
    }
    if request.user.is_some() {
        encoder.report("user", "Gemini has no such field");
    }
    let body = json::bytes(&Value::Object(body));
    Ok(Encoded { body, dropped: encoder.dropped, headers: Vec::new(), reader: Box::new(Reader::new(encoder.names)) })
}

/// What the parts of one encoding share.
pub(super) struct Encoder<'r> {
    pub(super) request: &'r Request,
    pub(super) family: Family,
    pub(super) names: ToolNames,
    pub(super) dropped: Vec<Dropped>,
}

impl<'r> Encoder<'r> {
    pub(super) fn report(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.dropped.push(Dropped::new(path, reason));
    }

    /// The system prompt, with the instructions that stand before the first turn.
    fn system(&mut self) -> Vec<Value> {
        let leading = leading_instructions(self.request).iter().flat_map(|message| &message.blocks);
        let mut parts = Vec::new();
        for block in self.request.system.iter().chain(leading) {
            match block {
                Block::Text(text) if !text.is_empty() => parts.push(json!({ "text": text })),
                Block::Text(_) | Block::CacheMark(_) => {}
                _ => self.report("system", "Gemini takes only text as instructions"),
            }
        }
        parts
    }
}

pub(super) fn leading_instructions(request: &Request) -> &[Message] {
    let count = request.messages.iter().take_while(|message| message.role == Role::System).count();
    request.messages.get(..count).unwrap_or_default()
}
