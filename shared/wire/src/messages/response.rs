//! Whole answers: an upstream's to the IR, the IR's to a client.

use bytes::Bytes;
use serde_json::{Value, json};

use super::request::ReadBack;
use super::types::{ContentBlock, Message, citation_of, message_id, stop_from, stop_name, usage_value};
use crate::codec::Seed;
use crate::error::WireError;
use crate::ir::{self, Block, Citation};
use crate::json::{self, object};

/// Reads an upstream's whole answer.
pub(super) fn decode_response(body: &[u8], read_back: &ReadBack) -> Result<ir::Response, WireError> {
    let value: Value = json::read(body).map_err(|error| WireError::BadAnswer(error.to_string()))?;
    if let Some(error) = value.get("error") {
        let message = error.get("message").and_then(Value::as_str).unwrap_or("an error without a message");
        return Err(WireError::BadAnswer(format!("status 200 with an error: {}", crate::fault::scrub(message))));
    }
    if !value.get("content").is_some_and(Value::is_array) {
        return Err(WireError::BadAnswer("content: expected an array of blocks".to_owned()));
    }
    let message: Message = serde_json::from_value(value).map_err(|error| WireError::BadAnswer(error.to_string()))?;
    let stop = stop_from(message.stop_reason.as_deref(), message.stop_sequence);
    let mut blocks = Vec::with_capacity(message.content.len());
    for block in message.content {
        let sources = sources_of(&block);
        blocks.extend(decode_block(block, read_back));
        blocks.extend(sources.map(Block::Citations));
    }
    Ok(ir::Response {
        id: message.id,
        model: message.model,
        stop: read_back.stop(stop, read_back.intervened(body)),
        blocks,
        usage: message.usage.unwrap_or_default().to_ir(),
        logprobs: Vec::new(),
    })
}

fn sources_of(block: &ContentBlock) -> Option<Vec<Citation>> {
    let ContentBlock::Text { text, citations: Value::Array(citations) } = block else { return None };
    let end = text.chars().count();
    let sources: Vec<Citation> = citations.iter().filter_map(|citation| citation_of(citation, end)).collect();
    (!sources.is_empty()).then_some(sources)
}

fn decode_block(block: ContentBlock, read_back: &ReadBack) -> Option<Block> {
    Some(match block {
        ContentBlock::Text { text, .. } => Block::Text(text),
        ContentBlock::Thinking { thinking, signature } => {
            Block::Thinking { text: thinking, signature: signature.filter(|signature| !signature.is_empty()) }
        }
        ContentBlock::RedactedThinking { data } => Block::RedactedThinking(data),
        ContentBlock::ToolUse { name, input, .. } if read_back.is_json_tool(&name) => Block::Text(input.to_string()),
        ContentBlock::ToolUse { id, name, input } => {
            let input = if input.is_object() { input } else { json!({}) };
            Block::ToolUse { id, name: read_back.tool_name(&name).to_owned(), input }
        }
        ContentBlock::Other => return None,
    })
}

/// Writes an answer for a client.
pub fn encode_response(response: &ir::Response, seed: &Seed) -> Bytes {
    let content: Vec<Value> = response.blocks.iter().filter_map(encode_block).collect();
    let message = object! {
        "id": message_id(response.id.as_deref(), &seed.request_id),
        "type": "message",
        "role": "assistant",
        "model": response.model.as_deref().unwrap_or_default(),
        "content": content,
        "stop_reason": stop_name(response.stop.reason),
        "stop_sequence": response.stop.sequence.as_deref(),
        "usage": usage_value(&response.usage),
    };
    json::bytes(&message)
}

/// What a model can say. The rest of the IR's blocks is only in requests.
fn encode_block(block: &Block) -> Option<Value> {
    Some(match block {
        Block::Text(text) | Block::Refusal(text) => json!({ "type": "text", "text": text }),
        Block::Thinking { text, signature } => {
            json!({ "type": "thinking", "thinking": text, "signature": signature.as_deref().unwrap_or_default() })
        }
        Block::RedactedThinking(data) => json!({ "type": "redacted_thinking", "data": data }),
        Block::ToolUse { id, name, input } => json!({ "type": "tool_use", "id": id, "name": name, "input": input }),
        _ => return None,
    })
}
