//! One answer, as each upstream streams it.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_wire::codec::Dialect;

use super::answers::{
    Answer, Piece, chat_logprobs, chat_message, chat_usage, finish_of, guardrail, messages_usage, responses_items,
    whole,
};

/// The bytes of the stream.
pub(crate) fn streamed(upstream: Dialect, answer: &Answer) -> Vec<u8> {
    match upstream {
        Dialect::Chat => chat(answer),
        Dialect::Responses => responses(answer),
        Dialect::Messages => messages(answer),
        Dialect::Converse => converse(answer),
        Dialect::GenerateContent => format!("data: {}\n\n", whole(upstream, answer)).into_bytes(),
        other => panic!("no dialect of conversations: {other:?}"),
    }
}

/// Text in two halves, as it comes.
fn halves(text: &str) -> [&str; 2] {
    let (before, after) = text.split_at(text.len() / 2);
    [before, after]
}

fn sse(events: impl IntoIterator<Item = Value>) -> Vec<u8> {
    let named = |event: Value| match event["type"].as_str() {
        Some(name) => format!("event: {name}\ndata: {event}\n\n"),
        None => format!("data: {event}\n\n"),
    };
    events.into_iter().map(named).collect::<String>().into_bytes()
}

fn chat(answer: &Answer) -> Vec<u8> {
    let message = chat_message(answer);
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    for key in ["reasoning_content", "content", "refusal"] {
        let halves = message[key].as_str().map(halves).unwrap_or_default();
        deltas.extend(halves.iter().filter(|half| !half.is_empty()).map(|half| json!({ key: half })));
        if key == "reasoning_content" {
            let blocks = message["thinking_blocks"].as_array().into_iter().flatten();
            deltas.extend(blocks.map(|block| json!({ "thinking_blocks": [block] })));
        }
    }
    for (index, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let [before, after] = halves(call["function"]["arguments"].as_str().unwrap());
        let function = json!({"name": call["function"]["name"], "arguments": before});
        let begun = json!({"index": index, "id": call["id"], "type": "function", "function": function});
        deltas.push(json!({ "tool_calls": [begun] }));
        deltas.push(json!({"tool_calls": [{"index": index, "function": {"arguments": after}}]}));
    }
    let mut choices: Vec<Value> =
        deltas.into_iter().map(|delta| json!({"index": 0, "delta": delta, "finish_reason": null})).collect();
    // Of the whole text, with its first half.
    if let Some(first) =
        choices.iter_mut().find(|choice| choice["delta"]["content"].as_str().is_some_and(|text| !text.is_empty()))
    {
        first["logprobs"] = chat_logprobs(answer);
    }
    let annotations = message["annotations"].as_array().into_iter().flatten();
    choices.extend(annotations.map(|one| json!({"index": 0, "delta": {"annotations": [one]}, "finish_reason": null})));
    let mut last = json!({"index": 0, "delta": {}, "finish_reason": finish_of(answer)});
    if let Some((_, Some(sequence))) = answer.stop {
        last["stop_reason"] = sequence.into();
    }
    choices.push(last);
    let chunk = |choices: Vec<Value>| json!({"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, "service_tier": "priority"});
    let mut chunks: Vec<Value> = choices.into_iter().map(|choice| chunk(vec![choice])).collect();
    let mut usage = chunk(Vec::new());
    usage["usage"] = chat_usage();
    chunks.push(usage);
    let mut bytes = sse(chunks);
    bytes.extend_from_slice(b"data: [DONE]\n\n");
    bytes
}

fn responses(answer: &Answer) -> Vec<u8> {
    let complete = whole(Dialect::Responses, answer);
    let created = json!({"id": "resp_7", "object": "response", "model": "m", "status": "in_progress", "output": []});
    let mut events = vec![json!({"type": "response.created", "response": created})];
    for (index, item) in responses_items(answer).into_iter().enumerate() {
        let kind = item["type"].as_str().unwrap();
        let mut begun = item.clone();
        begun["arguments"] = "".into();
        begun["content"] = json!([]);
        begun["summary"] = json!([]);
        events.push(json!({"type": "response.output_item.added", "output_index": index, "item": begun}));
        let (name, text) = match kind {
            "function_call" => ("response.function_call_arguments.delta", &item["arguments"]),
            "reasoning" => ("response.reasoning_summary_text.delta", &item["summary"][0]["text"]),
            _ if item["content"][0]["type"] == "refusal" => ("response.refusal.delta", &item["content"][0]["refusal"]),
            _ => ("response.output_text.delta", &item["content"][0]["text"]),
        };
        for half in halves(text.as_str().unwrap_or_default()).iter().filter(|half| !half.is_empty()) {
            events.push(json!({
                "type": name, "item_id": item["id"], "output_index": index, "content_index": 0, "summary_index": 0, "delta": half,
            }));
        }
        // Of the whole text, with its first half.
        let logprobs = item["content"][0]["logprobs"].clone();
        if let Some(first) = events.iter_mut().find(|event| event["output_index"] == index && !event["delta"].is_null())
        {
            first["logprobs"] = logprobs;
        }
        for (number, annotation) in item["content"][0]["annotations"].as_array().into_iter().flatten().enumerate() {
            events.push(json!({
                "type": "response.output_text.annotation.added", "item_id": item["id"], "output_index": index, "content_index": 0,
                "annotation_index": number, "annotation": annotation,
            }));
        }
        events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
    let last = if complete["status"] == "incomplete" { "response.incomplete" } else { "response.completed" };
    events.push(json!({"type": last, "response": complete}));
    sse(events)
}

fn messages(answer: &Answer) -> Vec<u8> {
    let complete = whole(Dialect::Messages, answer);
    let mut begun = complete.clone();
    begun.as_object_mut().unwrap().shift_remove("amazon-bedrock-guardrailAction");
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    begun["stop_sequence"] = Value::Null;
    let mut events = vec![json!({"type": "message_start", "message": begun})];
    for (index, block) in complete["content"].as_array().unwrap().iter().enumerate() {
        let mut empty = block.clone();
        let mut deltas = Vec::new();
        match block["type"].as_str().unwrap() {
            "text" => {
                empty["text"] = "".into();
                let text = halves(block["text"].as_str().unwrap());
                empty["citations"] = json!([]);
                let citations = block["citations"].as_array().into_iter().flatten();
                deltas.extend(citations.map(|citation| json!({"type": "citations_delta", "citation": citation})));
                deltas.extend(text.map(|half| json!({"type": "text_delta", "text": half})));
            }
            "thinking" => {
                empty["thinking"] = "".into();
                empty["signature"] = "".into();
                let text = halves(block["thinking"].as_str().unwrap());
                deltas.extend(text.map(|half| json!({"type": "thinking_delta", "thinking": half})));
                deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            }
            "tool_use" => {
                empty["input"] = json!({});
                let input = block["input"].to_string();
                deltas.extend(halves(&input).map(|half| json!({"type": "input_json_delta", "partial_json": half})));
            }
            _ => {}
        }
        events.push(json!({"type": "content_block_start", "index": index, "content_block": empty}));
        let deltas = deltas.into_iter();
        events.extend(deltas.map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let delta = json!({"stop_reason": complete["stop_reason"], "stop_sequence": complete["stop_sequence"]});
    events.push(json!({"type": "message_delta", "delta": delta, "usage": messages_usage()}));
    let mut last = json!({"type": "message_stop"});
    last.as_object_mut().unwrap().extend(guardrail(answer));
    events.push(last);
    sse(events)
}

fn converse(answer: &Answer) -> Vec<u8> {
    let complete = whole(Dialect::Converse, answer);
    let mut frames = vec![("messageStart", json!({"role": "assistant"}))];
    for (index, piece) in answer.blocks.iter().enumerate() {
        let mut deltas = Vec::new();
        match piece {
            Piece::Text(text) => deltas.extend(halves(text).map(|half| json!({"text": half}))),
            Piece::Refusal(text) | Piece::Scored(text) | Piece::Cited(text) => {
                deltas.extend(halves(text).map(|half| json!({"text": half})));
            }
            Piece::Thinking(text, signature) => {
                deltas.extend(halves(text).map(|half| json!({"reasoningContent": {"text": half}})));
                deltas.push(json!({"reasoningContent": {"signature": signature}}));
            }
            Piece::Redacted(data) => deltas.push(json!({"reasoningContent": {"redactedContent": data}})),
            Piece::Call { id, name, input } => {
                let start = json!({"toolUse": {"toolUseId": id, "name": name}});
                frames.push(("contentBlockStart", json!({"contentBlockIndex": index, "start": start})));
                let input = input.to_string();
                deltas.extend(halves(&input).map(|half| json!({"toolUse": {"input": half}})));
            }
        }
        let deltas = deltas.into_iter().map(|delta| json!({"contentBlockIndex": index, "delta": delta}));
        frames.extend(deltas.map(|delta| ("contentBlockDelta", delta)));
        frames.push(("contentBlockStop", json!({ "contentBlockIndex": index })));
    }
    let mut stop = json!({ "stopReason": complete["stopReason"] });
    if let Some(fields) = complete.get("additionalModelResponseFields") {
        stop["additionalModelResponseFields"] = fields.clone();
    }
    frames.push(("messageStop", stop));
    let metadata =
        json!({"usage": complete["usage"], "metrics": complete["metrics"], "serviceTier": complete["serviceTier"]});
    frames.push(("metadata", metadata));
    let mut bytes = Vec::new();
    for (kind, payload) in frames {
        let header = |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
        let frame = Message::new(Bytes::from(payload.to_string()))
            .add_header(header(":event-type", kind))
            .add_header(header(":message-type", "event"));
        write_message_to(&frame, &mut bytes).unwrap();
    }
    bytes
}
