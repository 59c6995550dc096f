//! Anthropic's Messages: what a request asks, what is wrong with it, and the answer as a message or as stream events.

use serde_json::{Value, json};

use crate::script::{self, Answer, Asked, Block, Stop, Tool, Usage, at};

/// Reads a request body.
pub(crate) fn asked(body: &Value) -> Asked {
    let last = body["messages"].as_array().and_then(|messages| messages.last()).unwrap_or(&Value::Null);
    let mut asked = Asked {
        system: text_of(&body["system"]),
        text: text_of(&last["content"]),
        schema: schema(body).cloned(),
        thinking: matches!(at(body, "/thinking/type").as_str(), Some("enabled" | "adaptive")),
        ..Asked::default()
    };
    for block in last["content"].as_array().into_iter().flatten() {
        match block["type"].as_str() {
            Some("image") => asked.image = image(&block["source"]),
            Some("tool_result") => asked.tool_results.push(text_of(&block["content"])),
            _ => {}
        }
    }
    asked.tools = body["tools"].as_array().into_iter().flatten().filter_map(tool).collect();
    asked.forced_tool = match at(body, "/tool_choice/type").as_str() {
        Some("tool") => at(body, "/tool_choice/name").as_str().map(str::to_owned),
        Some("any") => asked.tools.first().map(|tool| tool.name.clone()),
        _ => None,
    };
    asked
}

fn schema(body: &Value) -> Option<&Value> {
    let format = if at(body, "/output_config/format").is_object() {
        at(body, "/output_config/format")
    } else {
        &body["output_format"]
    };
    (format["type"] == "json_schema").then(|| &format["schema"])
}

fn image(source: &Value) -> Option<(String, usize)> {
    match source["type"].as_str() {
        Some("base64") => {
            let size = script::decoded_size(source["data"].as_str()?)?;
            Some((source["media_type"].as_str()?.to_owned(), size))
        }
        Some("url") => Some(("a picture by URL".to_owned(), 0)),
        _ => None,
    }
}

fn tool(value: &Value) -> Option<Tool> {
    Some(Tool { name: value["name"].as_str()?.to_owned(), schema: value["input_schema"].clone() })
}

/// The text of a content: a string, or the text blocks of a list.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// What is wrong with a request's turns and tools, in the words of the service.
pub(crate) fn fault(body: &Value) -> Option<String> {
    let Some(messages) = body["messages"].as_array() else { return Some("messages: Field required".to_owned()) };
    if !body["max_tokens"].is_u64() {
        return Some("max_tokens: Field required".to_owned());
    }
    if messages.is_empty() {
        return Some("messages: at least one message is required".to_owned());
    }
    let mut waiting: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = if index % 2 == 0 { "user" } else { "assistant" };
        if message["role"] != role {
            return Some(format!("messages.{index}: roles must alternate, starting with \"user\"; expected {role:?}"));
        }
        if let Some(fault) = content_fault(index, &message["content"], &mut waiting) {
            return Some(fault);
        }
    }
    tools_fault(body).or_else(|| thinking_fault(body, messages))
}

fn content_fault<'a>(index: usize, content: &'a Value, waiting: &mut Vec<&'a str>) -> Option<String> {
    let blocks = match content {
        Value::String(text) if text.trim().is_empty() => {
            return Some(format!("messages.{index}: text content blocks must contain non-whitespace text"));
        }
        Value::String(_) => &[][..],
        Value::Array(blocks) if !blocks.is_empty() => blocks.as_slice(),
        _ => return Some(format!("messages.{index}.content: must not be empty")),
    };
    for block in blocks {
        match block["type"].as_str() {
            Some("text") if block["text"].as_str().is_none_or(|text| text.trim().is_empty()) => {
                return Some(format!("messages.{index}: text content blocks must contain non-whitespace text"));
            }
            Some("tool_result") => {
                let id = block["tool_use_id"].as_str().unwrap_or_default();
                let Some(place) = waiting.iter().position(|known| *known == id) else {
                    return Some(format!("messages.{index}: unexpected `tool_use_id` found in `tool_result`: {id}"));
                };
                waiting.remove(place);
            }
            Some("thinking") if block["signature"].as_str().is_none_or(str::is_empty) => {
                return Some(format!("messages.{index}: thinking.signature: Field required"));
            }
            Some("tool_use") if !block["input"].is_object() => {
                return Some(format!("messages.{index}: tool_use.input: Input should be a valid dictionary"));
            }
            Some("text" | "tool_use" | "image" | "document" | "thinking" | "redacted_thinking") => {}
            other => return Some(format!("messages.{index}: unknown content type {other:?}")),
        }
    }
    if !waiting.is_empty() {
        return Some(format!("messages.{index}: `tool_use` ids were found without `tool_result` blocks: {waiting:?}"));
    }
    waiting.extend(blocks.iter().filter(|block| block["type"] == "tool_use").filter_map(|block| block["id"].as_str()));
    None
}

fn tools_fault(body: &Value) -> Option<String> {
    for tool in body["tools"].as_array().into_iter().flatten() {
        let name = tool["name"].as_str().unwrap_or_default();
        if !valid_name(name, 128) {
            return Some(format!("tools: {name:?} should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"));
        }
        if tool["type"].as_str().is_none_or(|kind| kind == "custom") && *at(tool, "/input_schema/type") != "object" {
            return Some(format!("tools.{name}.input_schema.type: Input should be 'object'"));
        }
    }
    if body["tool_choice"].is_object() && body["tools"].as_array().is_none_or(Vec::is_empty) {
        return Some("tool_choice: may only be specified while providing tools".to_owned());
    }
    None
}

fn thinking_fault(body: &Value, messages: &[Value]) -> Option<String> {
    if *at(body, "/thinking/type") != "enabled" {
        return None;
    }
    let budget = at(body, "/thinking/budget_tokens").as_u64().unwrap_or_default();
    if budget < 1_024 {
        return Some("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024".to_owned());
    }
    if body["max_tokens"].as_u64().is_some_and(|max| max <= budget) {
        return Some("`max_tokens` must be greater than `thinking.budget_tokens`".to_owned());
    }
    if matches!(at(body, "/tool_choice/type").as_str(), Some("tool" | "any")) {
        return Some("Thinking may not be enabled when tool_choice forces tool use.".to_owned());
    }
    let last = messages.last()?["content"].as_array()?;
    let in_tool_loop = last.iter().any(|block| block["type"] == "tool_result");
    let previous = messages.len().checked_sub(2).and_then(|index| messages.get(index))?;
    let first = previous["content"].get(0).unwrap_or(&Value::Null);
    let thought = matches!(first["type"].as_str(), Some("thinking" | "redacted_thinking"));
    (in_tool_loop && !thought)
        .then(|| "When `thinking` is enabled, a final `assistant` message must start with a thinking block".to_owned())
}

pub(crate) fn valid_name(name: &str, max: usize) -> bool {
    (1..=max).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn stop_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn => "end_turn",
        Stop::ToolUse => "tool_use",
        Stop::MaxTokens => "max_tokens",
        Stop::Sequence => "stop_sequence",
        Stop::Refusal => "refusal",
    }
}

fn stop_sequence(stop: Stop) -> Value {
    if stop == Stop::Sequence { json!("END") } else { Value::Null }
}

fn usage(usage: Usage, output: u64) -> Value {
    json!({
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": output,
    })
}

/// The answer as one message.
pub(crate) fn message(answer: &Answer, id: &str, model: &str) -> Value {
    let content = answer.blocks.iter().map(|block| match block {
        Block::Text(text) => json!({"type": "text", "text": text}),
        Block::Thinking { text, signature } => json!({"type": "thinking", "thinking": text, "signature": signature}),
        Block::Tool { id, name, input } => json!({"type": "tool_use", "id": id, "name": name, "input": input}),
    });
    json!({
        "id": id, "type": "message", "role": "assistant", "model": model,
        "content": content.collect::<Value>(),
        "stop_reason": stop_reason(answer.stop), "stop_sequence": stop_sequence(answer.stop),
        "usage": usage(answer.usage, answer.usage.output),
    })
}

/// The answer as stream events.
pub(crate) fn events(answer: &Answer, id: &str, model: &str) -> Vec<Value> {
    let mut events = vec![json!({"type": "message_start", "message": {
        "id": id, "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage(answer.usage, 1),
    }})];
    for (index, block) in answer.blocks.iter().enumerate() {
        let (start, deltas) = block_events(block);
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        let deltas = deltas.into_iter();
        events.extend(deltas.map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason(answer.stop), "stop_sequence": stop_sequence(answer.stop)},
        // All of it once more, as the API does it since 2025.
        "usage": usage(answer.usage, answer.usage.output),
    }));
    events.push(json!({"type": "message_stop"}));
    events
}

fn block_events(block: &Block) -> (Value, Vec<Value>) {
    match block {
        Block::Text(text) => (
            json!({"type": "text", "text": ""}),
            script::pieces(text).into_iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect(),
        ),
        Block::Thinking { text, signature } => {
            let pieces = script::pieces(text).into_iter();
            let mut deltas: Vec<_> = pieces.map(|piece| json!({"type": "thinking_delta", "thinking": piece})).collect();
            deltas.push(json!({"type": "signature_delta", "signature": signature}));
            (json!({"type": "thinking", "thinking": "", "signature": ""}), deltas)
        }
        Block::Tool { id, name, input } => {
            let mut parts = vec![String::new()];
            parts.extend(script::pieces(&input.to_string()));
            let parts = parts.into_iter().map(|part| json!({"type": "input_json_delta", "partial_json": part}));
            (json!({"type": "tool_use", "id": id, "name": name, "input": {}}), parts.collect())
        }
    }
}
