//! Cache marks for requests that have none: `promptCaching`, as agentgateway has it. For upstreams that cache what is marked: Anthropic's dialect, and Converse.
//!
//! A mark stands after the tools, after the system prompt, and after the last message but one, where the prefix up to there has enough tokens to be worth it.
//! A client that marks anything itself knows better, and is left alone.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::error::WireError;
use crate::ir::{self, Block, CacheTtl};
use crate::json;

/// Where marks are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caching {
    /// After the system prompt.
    pub system: bool,
    /// After a message.
    pub messages: bool,
    /// After the tools.
    pub tools: bool,
    /// A prefix of fewer tokens gets no mark. A token is four bytes of the request.
    pub min_tokens: u64,
    /// How many messages further from the end the mark of the messages stands.
    pub message_offset: usize,
}

const BYTES_PER_TOKEN: usize = 4;

impl Caching {
    fn is_worth_it(&self, prefix_bytes: usize) -> bool {
        u64::try_from(prefix_bytes / BYTES_PER_TOKEN).unwrap_or(u64::MAX) >= self.min_tokens
    }

    /// Which message is marked: the last but one, so that what comes next reads what this request writes.
    fn message(&self, count: usize) -> Option<usize> {
        count.checked_sub(2)?.checked_sub(self.message_offset)
    }

    /// Marks a body of Anthropic's dialect.
    pub(crate) fn mark_body(&self, body: &Bytes) -> Result<Bytes, WireError> {
        if memchr::memmem::find(body, b"\"cache_control\"").is_some() {
            return Ok(body.clone());
        }
        let mut tree: Value = json::read(body).map_err(|e| WireError::NotJson { message: e.to_string() })?;
        let mut prefix = size(tree.get("tools"));
        let mut marked = self.tools && self.is_worth_it(prefix) && mark(last(tree.get_mut("tools")));
        prefix += size(tree.get("system"));
        if self.system && self.is_worth_it(prefix) {
            marked |= mark_content(tree.get_mut("system"));
        }
        let messages = tree.get_mut("messages").and_then(Value::as_array_mut);
        if let Some(messages) = messages.filter(|_| self.messages)
            && let Some(place) = self.message(messages.len())
        {
            prefix += messages.iter().take(place + 1).map(|message| size(Some(message))).sum::<usize>();
            if self.is_worth_it(prefix) {
                marked |= mark_content(messages.get_mut(place).and_then(|message| message.get_mut("content")));
            }
        }
        Ok(if marked { tree.to_string().into() } else { body.clone() })
    }

    /// Marks a request of another dialect, on its way into one that knows marks.
    pub(crate) fn mark(&self, request: &mut ir::Request) {
        let mark = Block::CacheMark(CacheTtl::FiveMinutes);
        let has_mark = |blocks: &[Block]| blocks.iter().any(|block| matches!(block, Block::CacheMark(_)));
        let own = request.tools.iter().any(|tool| tool.cache.is_some())
            || has_mark(&request.system)
            || request.messages.iter().any(|message| has_mark(&message.blocks));
        if own {
            return;
        }
        let mut prefix: usize = request.tools.iter().map(tool_size).sum();
        if let Some(tool) = request.tools.last_mut().filter(|_| self.tools && self.is_worth_it(prefix)) {
            tool.cache = Some(CacheTtl::FiveMinutes);
        }
        prefix += blocks_size(&request.system);
        if self.system && self.is_worth_it(prefix) && !request.system.is_empty() {
            request.system.push(mark.clone());
        }
        let Some(place) = self.message(request.messages.len()).filter(|_| self.messages) else { return };
        prefix += request.messages.iter().take(place + 1).map(|message| blocks_size(&message.blocks)).sum::<usize>();
        if let Some(message) = request.messages.get_mut(place).filter(|_| self.is_worth_it(prefix)) {
            message.blocks.push(mark);
        }
    }
}

fn size(value: Option<&Value>) -> usize {
    value.filter(|value| !value.is_null()).map_or(0, |value| value.to_string().len())
}

fn tool_size(tool: &ir::Tool) -> usize {
    tool.name.len() + tool.description.as_ref().map_or(0, String::len) + size(Some(&tool.schema))
}

fn blocks_size(blocks: &[Block]) -> usize {
    let of = |block: &Block| match block {
        Block::Text(text) | Block::Refusal(text) | Block::RedactedThinking(text) => text.len(),
        Block::Thinking { text, .. } => text.len(),
        Block::ToolUse { name, input, .. } => name.len() + size(Some(input)),
        Block::ToolResult { content, .. } => blocks_size(content),
        Block::Image(source) | Block::Document { source, .. } => match source {
            ir::Source::Base64 { data, .. } => data.len(),
            ir::Source::Text(text) => text.len(),
            ir::Source::Url(_) | ir::Source::File(_) => 0,
        },
        Block::Audio { data, .. } => data.len(),
        Block::CacheMark(_) | Block::Detail { .. } | Block::Citations(_) => 0,
    };
    blocks.iter().map(of).sum()
}

fn last(list: Option<&mut Value>) -> Option<&mut Value> {
    list.and_then(Value::as_array_mut)?.last_mut()
}

/// Marks a block, or a tool.
fn mark(block: Option<&mut Value>) -> bool {
    let Some(block) = block.and_then(Value::as_object_mut) else { return false };
    block.insert("cache_control".to_owned(), json!({"type": "ephemeral"}));
    true
}

/// Marks the end of a content: a text, or a list of blocks. Neither thinking nor an empty text takes a mark.
fn mark_content(content: Option<&mut Value>) -> bool {
    match content {
        Some(Value::String(text)) if text.trim().is_empty() => false,
        Some(content @ Value::String(_)) => {
            let text = content.take();
            *content = json!([{"type": "text", "text": text}]);
            mark(last(Some(content)))
        }
        Some(Value::Array(blocks)) => {
            let takes = |block: &&mut Value| match block.get("type").and_then(Value::as_str) {
                Some("thinking" | "redacted_thinking") => false,
                Some("text") => !block.get("text").and_then(Value::as_str).unwrap_or_default().trim().is_empty(),
                _ => true,
            };
            mark(blocks.iter_mut().rev().find(takes))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Caching = Caching { system: true, messages: true, tools: true, min_tokens: 0, message_offset: 0 };

    fn marked(caching: Caching, body: &Value) -> Value {
        let body = Bytes::from(body.to_string());
        serde_json::from_slice(&caching.mark_body(&body).unwrap()).unwrap()
    }

    fn body() -> Value {
        json!({
            "tools": [{"name": "a"}, {"name": "b"}],
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": "one"},
                {"role": "assistant", "content": [{"type": "text", "text": "two"}, {"type": "thinking", "thinking": "x"}]},
                {"role": "user", "content": "three"},
            ],
        })
    }

    #[test]
    fn marks_stand_after_tools_system_and_the_last_message_but_one() {
        let mark = json!({"type": "ephemeral"});
        let mut expected = body();
        expected["tools"][1]["cache_control"] = mark.clone();
        expected["system"] = json!([{"type": "text", "text": "Be brief.", "cache_control": mark}]);
        expected["messages"][1]["content"][0]["cache_control"] = mark.clone();
        assert_eq!(marked(ALL, &body()), expected);
        let mut expected = body();
        expected["messages"][0]["content"] = json!([{"type": "text", "text": "one", "cache_control": mark}]);
        let further = Caching { system: false, tools: false, message_offset: 1, ..ALL };
        assert_eq!(marked(further, &body()), expected);
        assert_eq!(marked(Caching { message_offset: 2, ..further }, &body()), body(), "there are not so many");
    }

    #[test]
    fn a_short_prefix_and_a_client_with_marks_of_its_own_are_left_alone() {
        assert_eq!(marked(Caching { min_tokens: 1_000, ..ALL }, &body()), body());
        let mut own = body();
        own["messages"][2]["content"] = json!([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]);
        assert_eq!(marked(ALL, &own), own);
        let mut long = body();
        long["system"] = "x".repeat(4_000).into();
        let result = marked(Caching { min_tokens: 1_000, ..ALL }, &long);
        assert!(result["tools"][1].get("cache_control").is_none(), "up to there it is short");
        assert!(result["system"][0].get("cache_control").is_some());
    }

    #[test]
    fn a_request_of_another_dialect_gets_the_same_marks() {
        let text = |text: &str| Block::Text(text.to_owned());
        let message = |role, content: &str| ir::Message { role, blocks: vec![text(content)] };
        let tool = ir::Tool {
            name: "a".to_owned(),
            description: None,
            schema: json!({}),
            strict: None,
            cache: None,
            custom: None,
        };
        let request = ir::Request {
            system: vec![text("Be brief.")],
            tools: vec![tool],
            messages: vec![message(ir::Role::User, "one"), message(ir::Role::Assistant, "two")],
            ..ir::Request::default()
        };
        let mark = Block::CacheMark(CacheTtl::FiveMinutes);
        let mut marked = request.clone();
        ALL.mark(&mut marked);
        assert_eq!(marked.tools[0].cache, Some(CacheTtl::FiveMinutes));
        assert_eq!((marked.system.last(), marked.messages[0].blocks.last()), (Some(&mark), Some(&mark)));
        let mut again = marked.clone();
        ALL.mark(&mut again);
        assert_eq!(again, marked, "marks of its own");
        let mut short = request.clone();
        Caching { min_tokens: 1_000, ..ALL }.mark(&mut short);
        assert_eq!(short, request);
    }
}
