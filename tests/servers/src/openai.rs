//! OpenAI's Chat Completions: what a request asks, what is wrong with it, and the answer as a completion or as chunks.

use serde_json::{Value, json};

use crate::script::{self, Answer, Asked, Block, Stop, Tool, Usage, at};

/// Reads a request body.
pub(crate) fn asked(body: &Value) -> Asked {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let of_role = |roles: &'static [&'static str]| {
        messages.iter().filter(move |message| message["role"].as_str().is_some_and(|role| roles.contains(&role)))
    };
    let mut asked = Asked {
        system: of_role(&["system", "developer"])
            .map(|message| text_of(&message["content"]))
            .collect::<Vec<_>>()
            .join("\n"),
        thinking: body["reasoning_effort"].is_string(),
        ..Asked::default()
    };
    let results = messages.iter().rev().take_while(|message| message["role"] == "tool");
    asked.tool_results = results.map(|message| text_of(&message["content"])).collect();
    asked.tool_results.reverse();
    if asked.tool_results.is_empty()
        && let Some(user) = of_role(&["user"]).next_back()
    {
        asked.text = text_of(&user["content"]);
        asked.image = user["content"].as_array().into_iter().flatten().find_map(image);
    }
    asked.tools = body["tools"].as_array().into_iter().flatten().filter_map(tool).collect();
    asked.forced_tool = match &body["tool_choice"] {
        Value::String(choice) if choice == "required" => asked.tools.first().map(|tool| tool.name.clone()),
        choice => at(choice, "/function/name").as_str().map(str::to_owned),
    };
    if *at(body, "/response_format/type") == "json_schema" {
        asked.schema = Some(at(body, "/response_format/json_schema/schema").clone());
    }
    asked
}

fn image(part: &Value) -> Option<(String, usize)> {
    let url = at(part, "/image_url/url").as_str()?;
    match url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((media_type, data)) => Some((media_type.to_owned(), script::decoded_size(data)?)),
        None => Some(("a picture by URL".to_owned(), 0)),
    }
}

fn tool(value: &Value) -> Option<Tool> {
    let function = &value["function"];
    Some(Tool { name: function["name"].as_str()?.to_owned(), schema: function["parameters"].clone() })
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// What is wrong with a request, in the words of the service.
pub(crate) fn fault(body: &Value) -> Option<String> {
    if !body["model"].is_string() {
        return Some("you must provide a model parameter".to_owned());
    }
    let Some(messages) = body["messages"].as_array() else {
        return Some("Missing required parameter: 'messages'.".to_owned());
    };
    let mut waiting: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(place) = waiting.iter().position(|known| *known == id) else {
                return Some(format!(
                    "messages.[{index}].role 'tool' must be a response to a preceeding message with 'tool_calls'"
                ));
            };
            waiting.remove(place);
            continue;
        }
        if !waiting.is_empty() {
            return Some(format!(
                "An assistant message with 'tool_calls' must be followed by tool messages: {waiting:?}"
            ));
        }
        if !matches!(message["role"].as_str(), Some("system" | "developer" | "user" | "assistant")) {
            return Some(format!("Invalid value for messages[{index}].role"));
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            if !at(call, "/function/arguments").is_string() {
                return Some(format!("Invalid type for messages[{index}].tool_calls[].function.arguments"));
            }
            waiting.extend(call["id"].as_str());
        }
    }
    None
}

fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn | Stop::Sequence => "stop",
        Stop::ToolUse => "tool_calls",
        Stop::MaxTokens => "length",
        Stop::Refusal => "content_filter",
    }
}

fn usage(usage: Usage) -> Value {
    let prompt = usage.input + usage.cache_read + usage.cache_write;
    json!({
        "prompt_tokens": prompt, "completion_tokens": usage.output, "total_tokens": prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    })
}

fn arguments(input: &Value) -> String {
    input.to_string()
}

/// The answer as one completion.
pub(crate) fn completion(answer: &Answer, model: &str) -> Value {
    let mut message = json!({"role": "assistant", "content": null, "refusal": null, "annotations": []});
    let mut calls = Vec::new();
    for block in &answer.blocks {
        match block {
            Block::Text(text) => message["content"] = json!(text),
            Block::Thinking { text, .. } => message["reasoning_content"] = json!(text),
            Block::Tool { id, name, input } => calls.push(json!({
                "id": id, "type": "function", "function": {"name": name, "arguments": arguments(input)},
            })),
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    json!({
        "id": "chatcmpl-fake", "object": "chat.completion", "created": 1_760_000_000, "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(answer.stop)}],
        "usage": usage(answer.usage), "service_tier": "default", "system_fingerprint": "fp_fake",
    })
}

/// The answer as stream chunks, without `[DONE]`.
pub(crate) fn chunks(answer: &Answer, model: &str, include_usage: bool) -> Vec<Value> {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1_760_000_000, "model": model,
            "service_tier": "default", "system_fingerprint": "fp_fake", "choices": choices,
        });
        if include_usage {
            chunk["usage"] = usage;
        }
        chunk
    };
    let delta = |delta: Value, finish: Value| {
        chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]), Value::Null)
    };
    let mut out = vec![delta(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null)];
    let mut calls = 0;
    for block in &answer.blocks {
        let deltas = block_deltas(block, calls);
        if matches!(block, Block::Tool { .. }) {
            calls += 1;
        }
        out.extend(deltas.into_iter().map(|inner| delta(inner, Value::Null)));
    }
    out.push(delta(json!({}), json!(finish_reason(answer.stop))));
    if include_usage {
        out.push(chunk(json!([]), usage(answer.usage)));
    }
    out
}

fn block_deltas(block: &Block, call: usize) -> Vec<Value> {
    match block {
        Block::Text(text) => script::pieces(text).into_iter().map(|piece| json!({"content": piece})).collect(),
        Block::Thinking { text, .. } => {
            script::pieces(text).into_iter().map(|piece| json!({"reasoning_content": piece})).collect()
        }
        Block::Tool { id, name, input } => {
            let start = json!({
                "index": call, "id": id, "type": "function", "function": {"name": name, "arguments": ""},
            });
            let pieces = script::pieces(&arguments(input)).into_iter();
            let parts = pieces.map(|piece| json!({"index": call, "function": {"arguments": piece}}));
            std::iter::once(start).chain(parts).map(|part| json!({"tool_calls": [part]})).collect()
        }
    }
}
