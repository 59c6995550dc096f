//! The conversation. Converse wants turns that alternate and begin with the user, tool results in the user turn that follows the calls, no
//! blank text, and text beside every document (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html>).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::types::{
    CachePoint, ContentBlock, Message, Reasoning, Speaker, ToolResult, ToolResultContent, ToolUse,
};
use super::{Encoder, is_blank, leading_instructions};
use crate::error::WireError;
use crate::identity::is_not_claudes;
use crate::ir::{self, Block, Role};

/// Stands where Converse wants text and the client has none: beside a document, and in an empty tool result.
const DOCUMENT_TEXT: &str = "See the document.";
const EMPTY_RESULT: &str = "(empty)";
/// The user's turn that a conversation lacks when the assistant begins it.
const FIRST_TURN: &str = "(start)";

/// Content with the cache mark that stands after it: the two stay together when a turn is put in order.
struct Item<'a> {
    block: ContentBlock<'a>,
    cache: Option<CachePoint>,
}

struct Turn<'a> {
    speaker: Speaker,
    items: Vec<Item<'a>>,
}

impl<'r> Encoder<'r> {
    /// The conversation without the instructions that lead it.
    pub(super) fn messages(&mut self) -> Result<Vec<Message<'r>>, WireError> {
        let request = self.request;
        let mut turns: Vec<Turn<'r>> = Vec::new();
        let first = leading_instructions(request).len();
        for (index, message) in request.messages.iter().enumerate().skip(first) {
            let speaker = if message.role == Role::Assistant { Speaker::Assistant } else { Speaker::User };
            let items = self.items(index, message, speaker)?;
            if items.is_empty() {
                continue;
            }
            if message.role == Role::System {
                self.report(
                    format!("messages[{index}].role"),
                    "Converse has no instructions inside a conversation: sent as the user's text, in its place",
                );
            }
            match turns.last_mut() {
                Some(turn) if turn.speaker == speaker => turn.items.extend(items),
                _ => turns.push(Turn { speaker, items }),
            }
        }
        self.put_in_order(&mut turns)?;
        Ok(turns.into_iter().map(Turn::into_message).collect())
    }

    fn put_in_order(&mut self, turns: &mut Vec<Turn<'r>>) -> Result<(), WireError> {
        match turns.first() {
            None => {
                return Err(WireError::invalid("messages", "Converse wants at least one message that is not blank"));
            }
            Some(turn) if turn.speaker == Speaker::Assistant => {
                self.report("messages[0]", "Converse wants the user to begin: a short user turn was put before it");
                turns.insert(0, Turn { speaker: Speaker::User, items: vec![text_item(FIRST_TURN)] });
            }
            Some(_) => {}
        }
        for turn in turns.iter_mut() {
            let is_result = |item: &mut Item<'_>| matches!(item.block, ContentBlock::ToolResult(_));
            let results: Vec<_> = turn.items.extract_if(.., is_result).collect();
            turn.items.splice(0..0, results);
            let has = |of: fn(&ContentBlock<'_>) -> bool| turn.items.iter().any(|item| of(&item.block));
            if has(|block| matches!(block, ContentBlock::Document(_)))
                && !has(|block| matches!(block, ContentBlock::Text(_)))
            {
                turn.items.push(text_item(DOCUMENT_TEXT));
            }
        }
        if let Some(turn) = turns.last_mut()
            && turn.speaker == Speaker::Assistant
            && let Some(Item { block: ContentBlock::Text(text), .. }) = turn.items.last_mut()
        {
            // Not every model goes on behind white space.
            *text = Cow::Owned(text.trim_end().to_owned());
        }
        Ok(())
    }

    fn items(&mut self, index: usize, message: &'r ir::Message, speaker: Speaker) -> Result<Vec<Item<'r>>, WireError> {
        let mut items: Vec<Item<'r>> = Vec::new();
        for (position, block) in message.blocks.iter().enumerate() {
            let path = || format!("messages[{index}].content[{position}]");
            if matches!(block, Block::CacheMark(_)) {
                let point = self.cache_point();
                if let Some(item) = items.last_mut() {
                    item.cache = item.cache.or(point);
                }
                continue;
            }
            let Some(content) = self.block(block, speaker, &path)? else { continue };
            let cache = match block {
                Block::ToolResult { content, .. } => content.iter().find_map(|block| match block {
                    Block::CacheMark(_) => self.cache_point(),
                    _ => None,
                }),
                _ => None,
            };
            items.push(Item { block: content, cache });
        }
        Ok(items)
    }

    fn block(
        &mut self,
        block: &'r Block,
        speaker: Speaker,
        path: &dyn Fn() -> String,
    ) -> Result<Option<ContentBlock<'r>>, WireError> {
        check_speaker(block, speaker, path)?;
        Ok(match block {
            Block::Text(text) | Block::Refusal(text) => self.text(text, path).map(ContentBlock::Text),
            Block::Image(source) => Some(ContentBlock::Image(self.image(source, path)?)),
            Block::Document { source, name } => {
                Some(ContentBlock::Document(self.document(source, name.as_deref(), path)?))
            }
            Block::Audio { data, format } => Some(ContentBlock::Audio(self.audio(data, format, path)?)),
            Block::ToolUse { id, name, input } => Some(ContentBlock::ToolUse(ToolUse {
                tool_use_id: self.ids.encode(id),
                name: self.names.encode(name),
                input: object(input),
            })),
            Block::ToolResult { id, content, is_error } => {
                Some(ContentBlock::ToolResult(self.tool_result(id, content, *is_error, path)?))
            }
            Block::Thinking { text, signature } => {
                self.thinking(text, signature.as_deref(), path).map(ContentBlock::ReasoningContent)
            }
            Block::RedactedThinking(data) => self.redacted(data, path).map(ContentBlock::ReasoningContent),
            Block::CacheMark(_) | Block::Detail { .. } | Block::Citations(_) => None,
        })
    }

    /// Blank text goes (case 13); an empty one says nothing and is not reported.
    fn text(&mut self, text: &'r str, path: &dyn Fn() -> String) -> Option<Cow<'r, str>> {
        if !is_blank(text) {
            return Some(Cow::Borrowed(text));
        }
        if !text.is_empty() {
            self.report(path(), "Bedrock refuses blank text: left out");
        }
        None
    }

    fn tool_result(
        &mut self,
        id: &str,
        content: &'r [Block],
        is_error: bool,
        path: &dyn Fn() -> String,
    ) -> Result<ToolResult<'r>, WireError> {
        let mut parts = Vec::new();
        for (position, block) in content.iter().enumerate() {
            let path = || format!("{}.content[{position}]", path());
            match block {
                Block::Text(text) | Block::Refusal(text) => {
                    parts.extend(self.text(text, &path).map(ToolResultContent::Text));
                }
                Block::CacheMark(_) | Block::Detail { .. } | Block::Citations(_) => {}
                Block::Image(source) => parts.push(ToolResultContent::Image(self.image(source, &path)?)),
                Block::Document { source, name } => {
                    parts.push(ToolResultContent::Document(self.document(source, name.as_deref(), &path)?));
                }
                _ => {
                    let message = "a tool result of Converse holds text, images and documents: send this as text";
                    return Err(WireError::unsupported(path(), message));
                }
            }
        }
        if parts.is_empty() {
            parts.push(ToolResultContent::Text(Cow::Borrowed(EMPTY_RESULT)));
        }
        let status = is_error && self.family.takes_tool_status();
        if is_error && !status {
            self.report(format!("{}.is_error", path()), "only Claude and Nova take a tool's status: left out");
        }
        Ok(ToolResult { tool_use_id: self.ids.encode(id), content: parts, status: status.then_some("error") })
    }

    /// Converse wants the signature back with the text, which may be empty (case 11).
    fn thinking(
        &mut self,
        text: &'r str,
        signature: Option<&'r str>,
        path: &dyn Fn() -> String,
    ) -> Option<Reasoning<'r>> {
        let Some(signature) = signature.filter(|signature| !signature.is_empty()) else {
            self.report(path(), "reasoning without a signature is refused by the upstream: left out");
            return None;
        };
        if is_not_claudes(signature) {
            self.report(
                path(),
                "another provider's signature means nothing to this model: left out with its reasoning",
            );
            return None;
        }
        if !self.family.replays_reasoning() {
            self.report(path(), "this model takes no earlier reasoning: left out");
            return None;
        }
        Some(Reasoning::ReasoningText { text, signature })
    }

    fn redacted(&mut self, data: &'r str, path: &dyn Fn() -> String) -> Option<Reasoning<'r>> {
        if !self.family.replays_reasoning() {
            self.report(path(), "this model takes no earlier reasoning: left out");
            return None;
        }
        let bytes = if STANDARD.decode(data).is_ok() { Cow::Borrowed(data) } else { Cow::Owned(STANDARD.encode(data)) };
        Some(Reasoning::RedactedContent(bytes))
    }
}

impl<'a> Turn<'a> {
    fn into_message(self) -> Message<'a> {
        let mut content = Vec::with_capacity(self.items.len());
        for item in self.items {
            content.push(item.block);
            content.extend(item.cache.map(ContentBlock::CachePoint));
        }
        Message { role: self.speaker, content }
    }
}

fn text_item<'a>(text: &'a str) -> Item<'a> {
    Item { block: ContentBlock::Text(Cow::Borrowed(text)), cache: None }
}

fn check_speaker(block: &Block, speaker: Speaker, path: &dyn Fn() -> String) -> Result<(), WireError> {
    match (block, speaker) {
        (Block::ToolUse { .. } | Block::Thinking { .. } | Block::RedactedThinking(_), Speaker::User) => Err(
            WireError::invalid(path(), "only the assistant calls tools and reasons: put it into an assistant message"),
        ),
        (Block::ToolResult { .. }, Speaker::Assistant) => {
            Err(WireError::invalid(path(), "a tool's result belongs into the user's turn"))
        }
        (Block::Image(_) | Block::Document { .. } | Block::Audio { .. }, Speaker::Assistant) => {
            let message = "Converse takes images, documents and audio only from the user: move it into a user message";
            Err(WireError::unsupported(path(), message))
        }
        _ => Ok(()),
    }
}

/// A call's arguments are an object, whatever the history says (case 5).
fn object(input: &Value) -> Cow<'_, Value> {
    if input.is_object() { Cow::Borrowed(input) } else { Cow::Owned(Value::Object(serde_json::Map::new())) }
}
