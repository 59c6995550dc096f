//! An estimate of a conversation's tokens, without a tokenizer. A rule of thumb, within some 20 % for English prose and code:
//!
//! | part | tokens |
//! |---|---|
//! | text, tool arguments, tool schemas | 1 for every 4 ASCII characters |
//! | letters beyond ASCII | 1 for every 2 (accents, Cyrillic, Greek, Arabic); 1 each (from U+2E80 on: Chinese, Japanese, Korean, emoji) |
//! | a turn, the instructions, a tool's declaration | 4 more each |
//! | an image | 1,600 |
//! | a document or a sound | 1 for every 4 bytes of its base64 |

use crate::ir::{Block, Request, Source};

const PER_TURN: u64 = 4;
const PER_IMAGE: u64 = 1_600;

/// About so many tokens of input.
pub(super) fn of_request(request: &Request) -> u64 {
    let system = if request.system.is_empty() { 0 } else { PER_TURN + of_blocks(&request.system) };
    let turns = request.messages.iter().map(|message| PER_TURN + of_blocks(&message.blocks));
    let tools = request.tools.iter().map(|tool| {
        let description = tool.description.as_deref().unwrap_or_default();
        PER_TURN + text_tokens(&tool.name) + text_tokens(description) + text_tokens(&tool.schema.to_string())
    });
    turns.chain(tools).fold(system, u64::saturating_add)
}

fn of_blocks(blocks: &[Block]) -> u64 {
    blocks.iter().map(of_block).fold(0, u64::saturating_add)
}

fn of_block(block: &Block) -> u64 {
    match block {
        Block::Text(text) | Block::Refusal(text) | Block::RedactedThinking(text) => text_tokens(text),
        Block::Thinking { text, .. } => text_tokens(text),
        Block::Image(_) => PER_IMAGE,
        Block::Document { source: Source::Text(text), .. } => text_tokens(text),
        Block::Document { source: Source::Base64 { data, .. }, .. } | Block::Audio { data, .. } => quarter(data.len()),
        Block::Document { .. } => PER_IMAGE,
        Block::ToolUse { name, input, .. } => text_tokens(name) + text_tokens(&input.to_string()),
        Block::ToolResult { content, .. } => of_blocks(content),
        Block::CacheMark(_) | Block::Detail { .. } | Block::Citations(_) => 0,
    }
}

/// About so many tokens of text; at least 1 if there is any.
pub fn text_tokens(text: &str) -> u64 {
    let quarters = text.chars().fold(0_u64, |sum, c| {
        sum + match u32::from(c) {
            0..0x80 => 1,
            0x80..0x2E80 => 2,
            _ => 4,
        }
    });
    quarters.div_ceil(4)
}

fn quarter(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_estimated_by_its_letters() {
        for (text, tokens) in [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("été", 2), ("日本語", 3), ("🙂", 1)]
        {
            assert_eq!(text_tokens(text), tokens, "{text}");
        }
    }
}
