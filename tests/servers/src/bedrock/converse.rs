//! Bedrock's Converse: what a request asks, what is wrong with it, and the answer as a response or as stream events.

use serde_json::{Value, json};

use crate::anthropic::valid_name;
use crate::script::{self, Answer, Asked, Block, Stop, Tool, Usage, at};

/// Reads a request body.
pub(crate) fn asked(body: &Value) -> Asked {
    let last = body["messages"].as_array().and_then(|messages| messages.last()).unwrap_or(&Value::Null);
    let mut asked =
        Asked { system: text_of(&body["system"]), text: text_of(&last["content"]), thinking: true, ..Asked::default() };
    for block in last["content"].as_array().into_iter().flatten() {
        if block["image"].is_object() {
            let size = at(block, "/image/source/bytes").as_str().and_then(script::decoded_size);
            let format = at(block, "/image/format").as_str().unwrap_or("?");
            asked.image = size.map(|size| (format!("image/{format}"), size));
        }
        if block["toolResult"].is_object() {
            asked.tool_results.push(result_text(at(block, "/toolResult/content")));
        }
    }
    let tools = &body["toolConfig"];
    asked.tools = tools["tools"].as_array().into_iter().flatten().filter_map(tool).collect();
    let choice = &tools["toolChoice"];
    asked.forced_tool = match at(choice, "/tool/name").as_str() {
        Some(name) => Some(name.to_owned()),
        None if choice["any"].is_object() => asked.tools.first().map(|tool| tool.name.clone()),
        None => None,
    };
    let format = at(body, "/outputConfig/textFormat");
    if format["type"] == "json_schema" {
        let schema = at(format, "/structure/jsonSchema/schema").as_str().unwrap_or_default();
        asked.schema = serde_json::from_str(schema).ok();
    } else if let Some((_, instruction)) = asked.system.split_once("JSON Schema") {
        // A schema in the system prompt: a model that follows its instructions answers the same.
        let schema = instruction.find('{').and_then(|start| instruction.get(start..)).unwrap_or_default();
        asked.schema = serde_json::Deserializer::from_str(schema).into_iter().next().and_then(Result::ok);
    }
    asked
}

fn tool(value: &Value) -> Option<Tool> {
    let spec = &value["toolSpec"];
    Some(Tool { name: spec["name"].as_str()?.to_owned(), schema: at(spec, "/inputSchema/json").clone() })
}

fn text_of(content: &Value) -> String {
    let blocks = content.as_array().into_iter().flatten();
    blocks.filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
}

fn result_text(content: &Value) -> String {
    let parts = content.as_array().into_iter().flatten();
    parts
        .map(|part| part["text"].as_str().map_or_else(|| part["json"].to_string(), str::to_owned))
        .collect::<Vec<_>>()
        .join(" ")
}

/// What is wrong with a request, in the words of the service.
pub(crate) fn fault(body: &Value) -> Option<String> {
    for key in body.as_object().into_iter().flat_map(serde_json::Map::keys) {
        if !KNOWN.contains(&key.as_str()) {
            return Some(format!("Unknown member {key:?}: the service would ignore it, a test should not"));
        }
    }
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    if messages.first().is_none_or(|first| first["role"] != "user") {
        return Some(
            "A conversation must start with a user message. Try again with a conversation that starts with a user message."
                .to_owned(),
        );
    }
    let mut waiting: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message["role"] != if index % 2 == 0 { "user" } else { "assistant" } {
            return Some("A conversation must alternate between user and assistant roles.".to_owned());
        }
        let blocks = message["content"].as_array().map_or(&[][..], Vec::as_slice);
        if blocks.is_empty() {
            return Some(format!("The content field in the Message object at messages.{index} is empty."));
        }
        if let Some(fault) = turn_fault(index, blocks, &mut waiting) {
            return Some(fault);
        }
    }
    for block in body["system"].as_array().into_iter().flatten() {
        if block["text"].as_str().is_some_and(|text| text.trim().is_empty()) {
            return Some("The text field in the ContentBlock object at system is blank.".to_owned());
        }
    }
    tool_config_fault(body, messages)
}

const KNOWN: [&str; 12] = [
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "promptVariables",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
];

fn turn_fault<'a>(index: usize, blocks: &'a [Value], waiting: &mut Vec<&'a str>) -> Option<String> {
    let results: Vec<&str> = blocks.iter().filter_map(|block| at(block, "/toolResult/toolUseId").as_str()).collect();
    if results.len() > waiting.len() {
        return Some(format!(
            "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of previous turn."
        ));
    }
    if let Some(missing) = waiting.iter().find(|id| !results.contains(id)) {
        return Some(format!(
            "Expected toolResult blocks at messages.{index}.content for the following Ids: {missing}"
        ));
    }
    waiting.clear();
    for block in blocks {
        if block.as_object().is_none_or(|block| block.len() != 1) {
            return Some(format!("messages.{index}: a content block has exactly one member"));
        }
        if block["text"].as_str().is_some_and(|text| text.trim().is_empty()) {
            return Some(format!("The text field in the ContentBlock object at messages.{index} is blank."));
        }
        let tool_use = &block["toolUse"];
        if tool_use.is_object() {
            let (name, id) = (tool_use["name"].as_str().unwrap_or(""), tool_use["toolUseId"].as_str().unwrap_or(""));
            if !valid_name(name, 64) || !valid_name(id, 64) || !tool_use["input"].is_object() {
                return Some(format!(
                    "Value at 'messages.{index}.member.content.toolUse' failed to satisfy constraint: {name} {id}"
                ));
            }
            waiting.push(id);
        }
        if block["image"].is_object()
            && !matches!(at(block, "/image/format").as_str(), Some("png" | "jpeg" | "gif" | "webp"))
        {
            return Some("Value at 'image.format' failed to satisfy enum value set: [gif, jpeg, png, webp]".to_owned());
        }
    }
    None
}

fn tool_config_fault(body: &Value, messages: &[Value]) -> Option<String> {
    let mut blocks = messages.iter().flat_map(|message| message["content"].as_array().into_iter().flatten());
    let tools_in_history = blocks.any(|block| block["toolUse"].is_object() || block["toolResult"].is_object());
    let config = &body["toolConfig"];
    if config.is_null() {
        return tools_in_history.then(|| {
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.".to_owned()
        });
    }
    let tools = config["tools"].as_array().map_or(&[][..], Vec::as_slice);
    if tools.is_empty() {
        return Some("Value '[]' at 'toolConfig.tools' failed to satisfy constraint: length at least 1".to_owned());
    }
    for spec in tools.iter().map(|tool| &tool["toolSpec"]).filter(|spec| spec.is_object()) {
        let name = spec["name"].as_str().unwrap_or_default();
        if !valid_name(name, 64) {
            return Some(format!(
                "Value {name:?} at 'toolSpec.name' must satisfy regular expression pattern: [a-zA-Z0-9_-]+"
            ));
        }
        if *at(spec, "/inputSchema/json/type") != "object" {
            return Some(format!("The value at toolConfig.tools.{name}.inputSchema.json.type must be one of: object."));
        }
        if spec["description"].as_str().is_some_and(str::is_empty) {
            return Some(format!("Value '' at 'toolSpec.description' of {name}: length at least 1"));
        }
    }
    None
}

fn stop_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn => "end_turn",
        Stop::ToolUse => "tool_use",
        Stop::MaxTokens => "max_tokens",
        Stop::Sequence => "stop_sequence",
        Stop::Refusal => "content_filtered",
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "inputTokens": usage.input, "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output + usage.cache_read + usage.cache_write,
        "cacheReadInputTokens": usage.cache_read, "cacheWriteInputTokens": usage.cache_write,
    })
}

/// The answer as one response.
pub(crate) fn response(answer: &Answer) -> Value {
    let content = answer.blocks.iter().map(|block| match block {
        Block::Text(text) => json!({"text": text}),
        Block::Thinking { text, signature } => {
            json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}})
        }
        Block::Tool { id, name, input } => json!({"toolUse": {"toolUseId": id, "name": name, "input": input}}),
    });
    json!({
        "output": {"message": {"role": "assistant", "content": content.collect::<Value>()}},
        "stopReason": stop_reason(answer.stop), "usage": usage(answer.usage), "metrics": {"latencyMs": 412},
    })
}

/// The answer as stream events: type and payload.
pub(crate) fn events(answer: &Answer) -> Vec<(&'static str, Value)> {
    let mut events = vec![("messageStart", json!({"role": "assistant"}))];
    for (index, block) in answer.blocks.iter().enumerate() {
        if let Block::Tool { id, name, .. } = block {
            let start = json!({"toolUse": {"toolUseId": id, "name": name}});
            events.push(("contentBlockStart", json!({"contentBlockIndex": index, "start": start})));
        }
        let deltas = deltas(block).into_iter();
        events.extend(deltas.map(|delta| ("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}))));
        events.push(("contentBlockStop", json!({"contentBlockIndex": index})));
    }
    events.push(("messageStop", json!({"stopReason": stop_reason(answer.stop)})));
    events.push(("metadata", json!({"usage": usage(answer.usage), "metrics": {"latencyMs": 412}})));
    events
}

fn deltas(block: &Block) -> Vec<Value> {
    match block {
        Block::Text(text) => script::pieces(text).into_iter().map(|piece| json!({"text": piece})).collect(),
        Block::Thinking { text, signature } => {
            let pieces = script::pieces(text).into_iter();
            let mut deltas: Vec<_> = pieces.map(|piece| json!({"reasoningContent": {"text": piece}})).collect();
            deltas.push(json!({"reasoningContent": {"signature": signature}}));
            deltas
        }
        Block::Tool { input, .. } => {
            let pieces = script::pieces(&input.to_string()).into_iter();
            pieces.map(|piece| json!({"toolUse": {"input": piece}})).collect()
        }
    }
}
