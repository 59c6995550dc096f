//! A client's side of a stream: the answer that it puts together, as the official SDKs' helpers do.

use serde_json::{Value, json};
use tollgate_wire::codec::Dialect;

/// The events of a stream.
pub(crate) fn events(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data:").map(str::trim));
    let data = data.filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// The answer, in the form that a whole one has.
pub(crate) fn collect(client: Dialect, bytes: &[u8]) -> Value {
    let events = events(bytes);
    match client {
        Dialect::Responses => events
            .iter()
            .find_map(|event| {
                event
                    .get("response")
                    .filter(|_| event["type"] == "response.completed" || event["type"] == "response.incomplete")
            })
            .unwrap()
            .clone(),
        Dialect::Messages => messages(&events),
        Dialect::GenerateContent => gemini(&events),
        _ => chat(&events),
    }
}

fn append(place: &mut Value, more: &Value) {
    let text = format!("{}{}", place.as_str().unwrap_or_default(), more.as_str().unwrap_or_default());
    *place = text.into();
}

/// As `ChatCompletionStreamState` adds deltas: texts are joined, lists with indexes are merged by index, others grow.
fn chat(events: &[Value]) -> Value {
    let mut message = json!({"role": "assistant", "content": null});
    let mut whole = json!({});
    let mut logprobs = Vec::new();
    for event in events {
        if let Some(usage) = event.get("usage").filter(|usage| !usage.is_null()) {
            whole["usage"] = usage.clone();
        }
        if !event["service_tier"].is_null() {
            whole["service_tier"] = event["service_tier"].clone();
        }
        let choice = &event["choices"][0];
        logprobs.extend(choice["logprobs"]["content"].as_array().into_iter().flatten().cloned());
        if choice["finish_reason"].is_string() {
            whole["choices"] =
                json!([{"index": 0, "finish_reason": choice["finish_reason"], "stop_reason": choice["stop_reason"]}]);
        }
        for (key, value) in choice["delta"].as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                ("role", _) | (_, Value::Null) => {}
                ("tool_calls", calls) => calls.as_array().unwrap().iter().for_each(|call| add_call(&mut message, call)),
                (_, Value::Array(items)) => {
                    let mut all = message[key].as_array().cloned().unwrap_or_default();
                    all.extend(items.iter().cloned());
                    message[key] = all.into();
                }
                (_, Value::String(_)) => append(&mut message[key], value),
                _ => message[key] = value.clone(),
            }
        }
    }
    whole["choices"][0]["message"] = message;
    whole["choices"][0]["logprobs"] = json!({ "content": logprobs });
    whole
}

fn add_call(message: &mut Value, delta: &Value) {
    let index = usize::try_from(delta["index"].as_u64().unwrap()).unwrap();
    let mut calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
    if index == calls.len() {
        let mut call = delta.clone();
        call.as_object_mut().unwrap().shift_remove("index");
        calls.push(call);
    } else {
        append(&mut calls[index]["function"]["arguments"], &delta["function"]["arguments"]);
    }
    message["tool_calls"] = calls.into();
}

fn messages(events: &[Value]) -> Value {
    let mut message = json!({});
    let mut inputs: Vec<String> = Vec::new();
    for event in events {
        let index = event["index"].as_u64().map_or(0, |index| usize::try_from(index).unwrap());
        match event["type"].as_str().unwrap() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                assert_eq!(index, inputs.len(), "blocks come in order");
                inputs.push(String::new());
                message["content"].as_array_mut().unwrap().push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let (block, delta) = (&mut message["content"][index], &event["delta"]);
                match delta["type"].as_str().unwrap() {
                    "text_delta" => append(&mut block["text"], &delta["text"]),
                    "thinking_delta" => append(&mut block["thinking"], &delta["thinking"]),
                    "citations_delta" => {
                        let mut all = block["citations"].as_array().cloned().unwrap_or_default();
                        all.push(delta["citation"].clone());
                        block["citations"] = all.into();
                    }
                    "signature_delta" => block["signature"] = delta["signature"].clone(),
                    "input_json_delta" => inputs[index] += delta["partial_json"].as_str().unwrap(),
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" if !inputs[index].is_empty() => {
                message["content"][index]["input"] = serde_json::from_str(&inputs[index]).unwrap();
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["stop_sequence"] = event["delta"]["stop_sequence"].clone();
                message["usage"] = event["usage"].clone();
            }
            _ => {}
        }
    }
    message
}

/// As the chats of Google's SDK keep a stream: all parts, one behind the other.
fn gemini(events: &[Value]) -> Value {
    let mut whole = json!({});
    let mut parts = Vec::new();
    let mut more = serde_json::Map::new();
    for event in events {
        let candidate = &event["candidates"][0];
        parts.extend(candidate["content"]["parts"].as_array().cloned().unwrap_or_default());
        if candidate["finishReason"].is_string() {
            whole["candidates"] = json!([{ "finishReason": candidate["finishReason"] }]);
        }
        for key in ["logprobsResult", "groundingMetadata"] {
            if !candidate[key].is_null() {
                more.insert(key.to_owned(), candidate[key].clone());
            }
        }
        if !event["usageMetadata"].is_null() {
            whole["usageMetadata"] = event["usageMetadata"].clone();
        }
    }
    whole["candidates"][0]["content"] = json!({"role": "model", "parts": parts});
    whole["candidates"][0].as_object_mut().unwrap().extend(more);
    whole
}
