//! Writes a client's stream.
//!
//! 1. Each piece of text or thinking is a chunk of its own. A signature comes with the last piece of what it signs, for which each piece of thinking
//!    waits for the next: Vercel's AI SDK reads no signature of an empty part of thinking. Log probabilities come with their text.
//! 2. Calls are whole in Gemini, and an upstream may interleave its own: they are gathered, and written when the answer stops.
//! 3. The last chunk has the reason, the sources and the counts. Nothing marks the end of the stream.
//! 4. A fault is a chunk with `error`, on which the official SDK raises.

use serde_json::{Value, json};

use crate::codec::{Seed, StreamWriter};
use crate::gemini::error::encode_error;
use crate::gemini::response::{call, redacted, thought};
use crate::gemini::signature;
use crate::gemini::types::{finish_of, usage_value};
use crate::gemini::{grounding, logprobs, set};
use crate::ir::{BlockKind, Citation, Delta, Fault, Stop, Usage};
use crate::sse::{Piece, begin_event, end_event, write_event, write_json, write_value};

/// Writes a stream for a client.
#[derive(Debug)]
pub struct Writer {
    id: String,
    model: String,
    blocks: Vec<Written>,
    /// The signature of the call that comes next.
    of_call: Option<String>,
    /// Go with the text that comes next.
    logprobs: Vec<Value>,
    /// The sum of those that went, and how many.
    scored: (f64, usize),
    /// All text so far: sources are places in it.
    text: String,
    sources: Vec<(usize, Citation)>,
    usage: Usage,
    stop: Stop,
}

/// What is known of a block: its place in the list is its index.
#[derive(Debug)]
enum Written {
    /// `begins`: after so many characters of text.
    Text {
        begins: usize,
    },
    /// `held` is the piece that waits.
    Thinking {
        held: String,
        signature: String,
    },
    Call {
        id: String,
        name: String,
        args: String,
        signature: Option<String>,
    },
}

impl Writer {
    /// At the start of a stream.
    pub fn new(seed: Seed) -> Self {
        Self {
            id: seed.request_id,
            model: String::new(),
            blocks: Vec::new(),
            of_call: None,
            logprobs: Vec::new(),
            scored: (0.0, 0),
            text: String::new(),
            sources: Vec::new(),
            usage: Usage::default(),
            stop: Stop::default(),
        }
    }

    fn parts(&self, parts: Vec<Value>, out: &mut Vec<u8>) {
        let candidate = json!({ "content": { "parts": parts, "role": "model" }, "index": 0 });
        self.candidate(candidate, out);
    }

    fn candidate(&self, candidate: Value, out: &mut Vec<u8>) {
        self.chunk(json!({ "candidates": [candidate] }), out);
    }

    fn chunk(&self, mut chunk: Value, out: &mut Vec<u8>) {
        set(&mut chunk, "modelVersion", self.model.as_str());
        set(&mut chunk, "responseId", self.id.as_str());
        write_value(None, &chunk, out);
    }

    /// What most chunks are: a piece of text. `more`: fields of its part that follow.
    fn piece(&self, text: &str, more: &str, out: &mut Vec<u8>) {
        begin_event(None, out);
        let pieces = [
            Piece::Json("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":"),
            Piece::Text(text),
            Piece::Json(more),
            Piece::Json("}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":"),
            Piece::Text(&self.model),
            Piece::Json(",\"responseId\":"),
            Piece::Text(&self.id),
            Piece::Json("}"),
        ];
        write_json(&pieces, out);
        end_event(out);
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        self.text.push_str(text);
        if self.logprobs.is_empty() {
            self.piece(text, "", out);
            return;
        }
        let content = json!({ "parts": [{ "text": text }], "role": "model" });
        let mut candidate = json!({ "content": content, "index": 0 });
        let logprobs = std::mem::take(&mut self.logprobs);
        self.scored = (self.scored.0 + logprobs::sum(&logprobs), self.scored.1 + logprobs.len());
        set(&mut candidate, "logprobsResult", logprobs::encoded(&logprobs));
        self.candidate(candidate, out);
    }

    fn thought(&self, text: &str, signature: Option<&str>, out: &mut Vec<u8>) {
        match signature {
            None if text.is_empty() => {}
            None => self.piece(text, ",\"thought\":true", out),
            Some(_) => self.parts(thought(text, signature).into_iter().collect(), out),
        }
    }

    /// The pieces that still wait: the stream ends inside of their blocks.
    fn flush(&mut self, out: &mut Vec<u8>) {
        for index in 0..self.blocks.len() {
            self.block_stop(index, out);
        }
    }

    fn calls(&self) -> Vec<Value> {
        let calls = self.blocks.iter().filter_map(|block| match block {
            Written::Call { id, name, args, signature } => {
                let (args, _) = crate::openai::read::input_of(args);
                Some(call(id, name, &args, signature.as_deref()))
            }
            _ => None,
        });
        calls.collect()
    }
}

impl StreamWriter for Writer {
    fn start(&mut self, id: Option<&str>, model: Option<&str>, _out: &mut Vec<u8>) {
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            id.clone_into(&mut self.id);
        }
        self.model = model.unwrap_or_default().to_owned();
    }

    fn usage(&mut self) -> &mut Usage {
        &mut self.usage
    }

    fn stop(&mut self, stop: &Stop, _out: &mut Vec<u8>) {
        self.stop = stop.clone();
    }

    fn block_start(&mut self, _index: usize, kind: &BlockKind, out: &mut Vec<u8>) {
        let written = match kind {
            BlockKind::Text | BlockKind::Refusal => Written::Text { begins: self.text.chars().count() },
            BlockKind::Thinking => Written::Thinking { held: String::new(), signature: String::new() },
            BlockKind::RedactedThinking(data) => {
                self.parts(vec![redacted(data)], out);
                Written::Text { begins: 0 }
            }
            BlockKind::ToolUse { id, name } => Written::Call {
                id: id.clone(),
                name: name.clone(),
                args: String::new(),
                signature: self.of_call.take(),
            },
        };
        self.blocks.push(written);
    }

    fn block_delta(&mut self, index: usize, delta: &Delta, out: &mut Vec<u8>) {
        match (delta, self.blocks.get_mut(index)) {
            (Delta::Text(text), _) if !text.is_empty() => self.text(text, out),
            (Delta::Logprobs(more), _) => self.logprobs.extend(more.iter().cloned()),
            (Delta::Citation(source), Some(Written::Text { begins })) => {
                self.sources.push((*begins, source.clone()));
            }
            (Delta::Thinking(text), Some(Written::Thinking { held, .. })) if !text.is_empty() => {
                let before = std::mem::replace(held, text.clone());
                self.thought(&before, None, out);
            }
            (Delta::Signature(more), Some(Written::Thinking { signature, .. })) => signature.push_str(more),
            (Delta::ToolInput(more), Some(Written::Call { args, .. })) => args.push_str(more),
            // A reader that gives such events breaks the agreement of `Event`.
            _ => {}
        }
    }

    fn block_stop(&mut self, index: usize, out: &mut Vec<u8>) {
        let Some(Written::Thinking { held, signature }) = self.blocks.get_mut(index) else { return };
        let (held, signature) = (std::mem::take(held), std::mem::take(signature));
        if let Some(of_call) = signature::of_call(&signature) {
            self.of_call = Some(of_call.to_owned());
            self.thought(&held, None, out);
        } else {
            self.thought(&held, Some(signature.as_str()).filter(|signature| !signature.is_empty()), out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.flush(out);
        let mut candidate = json!({
            "content": { "parts": self.calls(), "role": "model" },
            "finishReason": finish_of(self.stop.reason),
            "index": 0,
        });
        if !self.sources.is_empty() {
            set(&mut candidate, "groundingMetadata", grounding::metadata(&self.sources, &self.text));
        }
        if self.scored.1 > 0 {
            set(&mut candidate, "avgLogprobs", self.scored.0 / self.scored.1 as f64);
        }
        let mut chunk = json!({ "candidates": [candidate] });
        if self.usage.is_reported() {
            set(&mut chunk, "usageMetadata", usage_value(&self.usage));
        }
        self.chunk(chunk, out);
    }

    fn fault(&mut self, fault: &Fault, request_id: &str, out: &mut Vec<u8>) {
        self.flush(out);
        write_event(None, &encode_error(fault, request_id), out);
    }
}
