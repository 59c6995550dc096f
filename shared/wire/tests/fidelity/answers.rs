//! One answer, as each upstream writes it.

use serde_json::{Value, json};
use tollgate_wire::codec::Dialect;

/// What an answer holds, in no dialect.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) blocks: Vec<Piece>,
    /// In the upstream's words.
    pub(crate) stop: Option<(&'static str, Option<&'static str>)>,
}

/// A block of it.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Text(String),
    /// Text and signature. Gemini signs the call behind it; OpenAI's chat models sign nothing, the servers that do are LiteLLM's.
    Thinking(String, String),
    Redacted(String),
    Call {
        id: String,
        name: String,
        input: Value,
    },
    Refusal(&'static str),
    /// Text from a page of the web.
    Cited(&'static str),
    /// Text with the log probabilities of its only token.
    Scored(&'static str),
}

/// Whence it is.
pub(crate) const PAGE: &str = "https://example.com/page-77";

fn logprobs(text: &str) -> Value {
    let token = json!({"token": text, "logprob": -0.77, "bytes": text.as_bytes()});
    let mut whole = token.clone();
    whole["top_logprobs"] = json!([token]);
    json!([whole])
}

fn url_citation(text: &str) -> Value {
    json!({"start_index": 0, "end_index": text.len(), "url": PAGE, "title": "Page"})
}

pub(crate) const UNCACHED: u64 = 1003;
pub(crate) const READ: u64 = 32_651;
pub(crate) const WRITTEN: u64 = 4177;
pub(crate) const OUTPUT: u64 = 9001;
pub(crate) const REASONING: u64 = 776;

pub(crate) fn call(id: &str, input: Value) -> Piece {
    named_call(id, "look_77", input)
}

pub(crate) fn named_call(id: &str, name: &str, input: Value) -> Piece {
    Piece::Call { id: id.to_owned(), name: name.to_owned(), input }
}

/// One of each.
pub(crate) fn everything() -> Answer {
    Answer {
        blocks: vec![
            Piece::Thinking("THINK-7".to_owned(), "c2lnLTc3".to_owned()),
            Piece::Redacted("UkVELTc3".to_owned()),
            Piece::Text("TEXT-7".to_owned()),
            call("call_a7", json!({"city_77": "OSLO-7"})),
            call("call_b8", json!({"city_77": "BERN-8"})),
        ],
        stop: None,
    }
}

impl Answer {
    pub(crate) fn calls(&self) -> bool {
        self.blocks.iter().any(|piece| matches!(piece, Piece::Call { .. }))
    }
}

/// The whole (not streamed) body.
pub(crate) fn whole(upstream: Dialect, answer: &Answer) -> Value {
    match upstream {
        Dialect::Chat => chat(answer),
        Dialect::Responses => responses(answer),
        Dialect::Messages => messages(answer),
        Dialect::Converse => converse(answer),
        Dialect::GenerateContent => gemini(answer),
        other => panic!("no dialect of conversations: {other:?}"),
    }
}

pub(crate) fn chat_usage() -> Value {
    let input = UNCACHED + READ + WRITTEN;
    json!({
        "prompt_tokens": input, "completion_tokens": OUTPUT, "total_tokens": input + OUTPUT,
        "prompt_tokens_details": {"cached_tokens": READ, "cache_write_tokens": WRITTEN},
        "completion_tokens_details": {"reasoning_tokens": REASONING},
    })
}

pub(crate) fn finish_of(answer: &Answer) -> &'static str {
    answer.stop.map_or(if answer.calls() { "tool_calls" } else { "stop" }, |(reason, _)| reason)
}

/// The parts of a chat message: content, refusal, thinking blocks, calls.
pub(crate) fn chat_message(answer: &Answer) -> Value {
    let mut message = json!({"role": "assistant", "content": null});
    let (mut thinking, mut calls) = (Vec::new(), Vec::new());
    for piece in &answer.blocks {
        match piece {
            Piece::Text(text) => message["content"] = text.as_str().into(),
            Piece::Scored(text) => message["content"] = (*text).into(),
            Piece::Cited(text) => {
                message["content"] = (*text).into();
                message["annotations"] = json!([{"type": "url_citation", "url_citation": url_citation(text)}]);
            }
            Piece::Refusal(text) => message["refusal"] = (*text).into(),
            Piece::Thinking(text, signature) => {
                message["reasoning_content"] = text.as_str().into();
                thinking.push(json!({"type": "thinking", "thinking": text, "signature": signature}));
            }
            Piece::Redacted(data) => thinking.push(json!({"type": "redacted_thinking", "data": data})),
            Piece::Call { id, name, input } => calls.push(json!({
                "id": id, "type": "function", "function": {"name": name, "arguments": input.to_string()},
            })),
        }
    }
    if !thinking.is_empty() {
        message["thinking_blocks"] = thinking.into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message
}

fn chat(answer: &Answer) -> Value {
    let mut choice = json!({"index": 0, "message": chat_message(answer), "finish_reason": finish_of(answer)});
    if let Some((_, Some(sequence))) = answer.stop {
        choice["stop_reason"] = sequence.into();
    }
    choice["logprobs"] = chat_logprobs(answer);
    json!({
        "id": "chatcmpl-7", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": chat_usage(),
        "service_tier": "priority",
    })
}

pub(crate) fn chat_logprobs(answer: &Answer) -> Value {
    let scored = answer.blocks.iter().find_map(|piece| match piece {
        Piece::Scored(text) => Some(json!({"content": logprobs(text), "refusal": null})),
        _ => None,
    });
    scored.unwrap_or_default()
}

pub(crate) fn responses_items(answer: &Answer) -> Vec<Value> {
    let message = |part: Value| json!({"type": "message", "id": "msg_7", "role": "assistant", "status": "completed", "content": [part]});
    let item = |piece: &Piece| match piece {
        Piece::Text(text) => message(json!({"type": "output_text", "text": text, "annotations": []})),
        Piece::Scored(text) => {
            message(json!({"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs(text)}))
        }
        Piece::Cited(text) => {
            let mut annotation = url_citation(text);
            annotation["type"] = "url_citation".into();
            message(json!({"type": "output_text", "text": text, "annotations": [annotation]}))
        }
        Piece::Refusal(text) => message(json!({"type": "refusal", "refusal": text})),
        Piece::Thinking(text, signature) => json!({
            "type": "reasoning", "id": format!("rs_{signature}"), "summary": [{"type": "summary_text", "text": text}],
            "encrypted_content": signature,
        }),
        Piece::Redacted(data) => {
            json!({"type": "reasoning", "id": format!("rs_{data}"), "summary": [], "encrypted_content": data})
        }
        Piece::Call { id, name, input } => json!({
            "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name, "arguments": input.to_string(),
            "status": "completed",
        }),
    };
    answer.blocks.iter().map(item).collect()
}

fn responses(answer: &Answer) -> Value {
    let mut body = json!({
        "id": "resp_7", "object": "response", "created_at": 1, "model": "m", "status": "completed",
        "output": responses_items(answer), "usage": responses_usage(), "service_tier": "priority",
    });
    if let Some((reason, _)) = answer.stop.filter(|(reason, _)| *reason != "completed") {
        body["status"] = "incomplete".into();
        body["incomplete_details"] = json!({ "reason": reason });
    }
    body
}

fn responses_usage() -> Value {
    let input = UNCACHED + READ + WRITTEN;
    json!({
        "input_tokens": input, "output_tokens": OUTPUT, "total_tokens": input + OUTPUT,
        "input_tokens_details": {"cached_tokens": READ, "cache_write_tokens": WRITTEN},
        "output_tokens_details": {"reasoning_tokens": REASONING},
    })
}

pub(crate) fn messages_usage() -> Value {
    json!({
        "input_tokens": UNCACHED, "cache_read_input_tokens": READ, "cache_creation_input_tokens": WRITTEN, "output_tokens": OUTPUT,
        "output_tokens_details": {"thinking_tokens": REASONING}, "service_tier": "priority",
    })
}

/// How InvokeModel ends an answer in which a guardrail intervened: with Claude's own reason, and the word beside it.
pub(crate) const GUARDED: &str = "end_turn, guardrail INTERVENED";

/// What stands beside the answer, and in a stream in its last event.
pub(crate) fn guardrail(answer: &Answer) -> Option<(String, Value)> {
    let guarded = answer.stop.is_some_and(|(reason, _)| reason == GUARDED);
    guarded.then(|| ("amazon-bedrock-guardrailAction".to_owned(), "INTERVENED".into()))
}

fn messages(answer: &Answer) -> Value {
    let block = |piece: &Piece| match piece {
        Piece::Text(text) => json!({"type": "text", "text": text}),
        Piece::Refusal(text) | Piece::Scored(text) => json!({"type": "text", "text": text}),
        Piece::Cited(text) => json!({"type": "text", "text": text, "citations": [{
            "type": "web_search_result_location", "url": PAGE, "title": "Page", "encrypted_index": "Eo8B", "cited_text": "Told",
        }]}),
        Piece::Thinking(text, signature) => json!({"type": "thinking", "thinking": text, "signature": signature}),
        Piece::Redacted(data) => json!({"type": "redacted_thinking", "data": data}),
        Piece::Call { id, name, input } => json!({"type": "tool_use", "id": id, "name": name, "input": input}),
    };
    let (reason, sequence) = answer.stop.unwrap_or((if answer.calls() { "tool_use" } else { "end_turn" }, None));
    let mut body = json!({
        "id": "msg_7", "type": "message", "role": "assistant", "model": "m",
        "content": answer.blocks.iter().map(block).collect::<Vec<_>>(),
        "stop_reason": if reason == GUARDED { "end_turn" } else { reason }, "stop_sequence": sequence, "usage": messages_usage(),
    });
    body.as_object_mut().unwrap().extend(guardrail(answer));
    body
}

fn converse(answer: &Answer) -> Value {
    let block = |piece: &Piece| match piece {
        Piece::Text(text) => json!({"text": text}),
        Piece::Refusal(text) | Piece::Scored(text) | Piece::Cited(text) => json!({"text": text}),
        Piece::Thinking(text, signature) => {
            json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}})
        }
        Piece::Redacted(data) => json!({"reasoningContent": {"redactedContent": data}}),
        Piece::Call { id, name, input } => json!({"toolUse": {"toolUseId": id, "name": name, "input": input}}),
    };
    let (reason, sequence) = answer.stop.unwrap_or((if answer.calls() { "tool_use" } else { "end_turn" }, None));
    let mut body = json!({
        "metrics": {"latencyMs": 7},
        "output": {"message": {"role": "assistant", "content": answer.blocks.iter().map(block).collect::<Vec<_>>()}},
        "stopReason": reason, "serviceTier": {"type": "priority"},
        "usage": {
            "inputTokens": UNCACHED, "outputTokens": OUTPUT, "totalTokens": UNCACHED + READ + WRITTEN + OUTPUT,
            "cacheReadInputTokens": READ, "cacheWriteInputTokens": WRITTEN,
        },
    });
    if let Some(sequence) = sequence {
        body["additionalModelResponseFields"] = json!({ "stop_sequence": sequence });
    }
    body
}

fn gemini(answer: &Answer) -> Value {
    let mut parts = Vec::new();
    let mut signature = None;
    let mut more = json!({});
    for piece in &answer.blocks {
        let mut part = match piece {
            Piece::Text(text) => json!({"text": text}),
            Piece::Refusal(text) => json!({"text": text}),
            Piece::Scored(text) => {
                let token = json!({"token": text, "logProbability": -0.77});
                let top = json!([{ "candidates": [token] }]);
                more["logprobsResult"] = json!({"chosenCandidates": [token], "topCandidates": top});
                json!({"text": text})
            }
            Piece::Cited(text) => {
                let segment = json!({"endIndex": text.len(), "text": text});
                let support = json!({"segment": segment, "groundingChunkIndices": [0]});
                let chunk = json!({"web": {"uri": PAGE, "title": "Page"}});
                more["groundingMetadata"] = json!({"groundingChunks": [chunk], "groundingSupports": [support]});
                json!({"text": text})
            }
            Piece::Thinking(text, signed) => {
                signature = Some(signed);
                json!({"text": text, "thought": true})
            }
            // Gemini has no such thing.
            Piece::Redacted(_) => continue,
            Piece::Call { id, name, input } => json!({"functionCall": {"id": id, "name": name, "args": input}}),
        };
        if let Some(signature) = signature.take_if(|_| matches!(piece, Piece::Call { .. })) {
            part["thoughtSignature"] = signature.as_str().into();
        }
        parts.push(part);
    }
    let reason = answer.stop.map_or("STOP", |(reason, _)| reason);
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0});
    candidate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": UNCACHED + READ, "cachedContentTokenCount": READ, "candidatesTokenCount": OUTPUT - REASONING,
            "thoughtsTokenCount": REASONING, "totalTokenCount": UNCACHED + READ + OUTPUT,
            "serviceTier": "priority",
        },
        "modelVersion": "m", "responseId": "resp-7",
    })
}
