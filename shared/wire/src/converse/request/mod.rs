//! Requests: the IR's to Converse.
//!
//! 1. [`tools`] decides on the tool config: what the client declared, or what the history needs.
//! 2. [`content`] writes the conversation in turns that alternate and begin with the user; [`media`] its images, documents and sounds.
//! 3. [`reasoning`] says how this model family is told to think, or that thinking stays off for this call.
//! 4. [`sampling`] writes the inference config within what the family and its thinking allow.
//! 5. [`output`] asks for structured output, by schema or, where the family has none, by an instruction.

mod content;
mod media;
mod output;
mod reasoning;
mod sampling;
mod tools;

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;

use super::family::Family;
use super::stream::Reader;
use super::types::{CachePoint, ConverseRequest, SystemBlock};
use crate::codec::{Encoded, Target};
use crate::error::WireError;
use crate::ir::{self, Block, Dropped, Role, Tier};
use crate::labels;
use crate::names::ToolNames;

/// Longest tool name, and longest `toolUseId`: both are `[a-zA-Z0-9_-]{1,64}`
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolUseBlock.html>).
const MAX_NAME_LEN: usize = 64;

/// Writes a request for an upstream.
pub fn encode_request(request: &ir::Request, target: &Target<'_>) -> Result<Encoded, WireError> {
    let mut encoder = Encoder::new(request, Family::of(target.model));
    let mut system = encoder.system();
    let tools = encoder.tools();
    let messages = encoder.messages()?;
    let mut plan = encoder.reasoning();
    let inference_config = encoder.inference_config(&mut plan);
    let output_config = encoder.output_format(&mut system);
    let tool_config = encoder.tool_config(tools);
    let body = ConverseRequest {
        system,
        messages,
        tool_config,
        inference_config,
        output_config,
        service_tier: request
            .tier
            .and_then(Tier::bedrock)
            .map(|tier| ("type".to_owned(), tier.into()))
            .into_iter()
            .collect(),
        request_metadata: labels::for_bedrock(request, &mut encoder.dropped),
        additional_model_request_fields: plan.fields,
    };
    let body = serde_json::to_vec(&body).map_err(|error| WireError::invalid("", error.to_string()))?;
    let reader = Reader::new(encoder.names, request.stop.clone());
    Ok(Encoded { body: Bytes::from(body), dropped: encoder.dropped, headers: Vec::new(), reader: Box::new(reader) })
}

/// What the parts of one encoding share.
struct Encoder<'r> {
    request: &'r ir::Request,
    family: Family,
    names: ToolNames,
    ids: ToolNames,
    /// Converse wants the names of a request's documents to differ.
    documents: BTreeSet<String>,
    dropped: Vec<Dropped>,
}

impl<'r> Encoder<'r> {
    fn new(request: &'r ir::Request, family: Family) -> Self {
        Self {
            request,
            family,
            names: ToolNames::new(MAX_NAME_LEN),
            ids: ToolNames::new(MAX_NAME_LEN),
            documents: BTreeSet::new(),
            dropped: request.unmapped.clone(),
        }
    }

    fn report(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.dropped.push(Dropped::new(path, reason));
    }

    /// The system prompt, with instructions that stand before the first turn of the conversation.
    fn system(&mut self) -> Vec<SystemBlock<'r>> {
        let request = self.request;
        let leading = leading_instructions(request).iter().flat_map(|message| &message.blocks);
        let mut system = Vec::new();
        for block in request.system.iter().chain(leading) {
            match block {
                Block::Text(text) if !is_blank(text) => system.push(SystemBlock::Text(Cow::Borrowed(text))),
                Block::CacheMark(_) if matches!(system.last(), Some(SystemBlock::Text(_))) => {
                    system.extend(self.cache_point().map(SystemBlock::CachePoint));
                }
                Block::Text(text) if !text.is_empty() => self.report("system", "Bedrock refuses blank text: left out"),
                Block::Text(_) | Block::CacheMark(_) => {}
                _ => self.report("system", "Converse takes only text in a system prompt"),
            }
        }
        system
    }

    /// A cache mark, where the model takes one. One that it does not take changes the cost and not the answer: it is left out and not
    /// reported.
    fn cache_point(&self) -> Option<CachePoint> {
        self.family.caches().then_some(CachePoint { r#type: "default" })
    }
}

fn leading_instructions(request: &ir::Request) -> &[ir::Message] {
    let count = request.messages.iter().take_while(|message| message.role == Role::System).count();
    request.messages.get(..count).unwrap_or_default()
}

/// Bedrock refuses text without a visible character (case 13).
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// `{"type":"object","properties":{}}`
fn empty_schema() -> Value {
    serde_json::json!({ "type": "object", "properties": {} })
}

#[cfg(test)]
mod tests;
