//! Writes a client's stream.
//!
//! 1. The first chunk has the role and empty content (case 8). Every chunk has id, object, created and model.
//! 2. Thinking is `reasoning_content`. When its signature is there, the whole block comes once more in `thinking_blocks`, so that a client that joins those
//!    lists can replay it.
//!    Log probabilities come with their text; each source of a text in a chunk of its own.
//! 3. A call begins with id, name, Gemini's signature if it has one, and empty arguments; one without any arguments gets `{}` before the end. The text
//!    of a custom tool's call is unwrapped as it comes; what the model wrapped in another way is written whole, before the end.
//! 4. `Stop` is the chunk with `finish_reason`. At the end, if the client asked for it, a chunk without choices has the usage, and every
//!    chunk before has `"usage": null` (case 15); then `[DONE]`.
//! 5. A fault is `data: {"error": {...}}`, on which the official SDKs raise
//!    (<https://github.com/openai/openai-python/blob/main/src/openai/_streaming.py>). No `[DONE]` follows.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use crate::chat::error::encode_error;
use crate::chat::response::{answer_id, finish_reason, logprobs_of};
use crate::chat::types::{CallOut, ChoiceOut, DeltaOut, ExtraContent, ThinkingOut, UsageOut};
use crate::codec::{Seed, StreamWriter};
use crate::ir::{BlockKind, Delta, Echo, Fault, Stop, Tier, Usage};
use crate::openai::cited::annotation;
use crate::openai::custom::{custom_input, custom_more};
use crate::sse::{Piece, begin_event, end_event, write_event, write_json};

/// Writes a stream for a client.
#[derive(Debug)]
pub struct Writer {
    seed: Seed,
    echo: Arc<Echo>,
    include_usage: bool,
    /// What every chunk begins with, up to its choices.
    head: Vec<u8>,
    started: bool,
    blocks: Vec<Written>,
    calls: usize,
    /// Goes with the call that comes next.
    of_call: Option<ExtraContent>,
    /// Go with the text that comes next.
    logprobs: Vec<Value>,
    /// Characters of text so far.
    written: usize,
    usage: Usage,
}

/// What is known of a block: its place in the list is its index.
#[derive(Debug)]
enum Written {
    /// `begins`: after so many characters of text.
    Text {
        begins: usize,
    },
    Refusal,
    Thinking {
        text: String,
        signature: String,
    },
    Call {
        number: usize,
        has_arguments: bool,
    },
    /// The call of a tool whose input is a text. `told`: how much of its arguments is written.
    Custom {
        number: usize,
        arguments: String,
        told: usize,
    },
}

/// Of a function's call.
const ARGUMENTS: &str = ",\"function\":{\"arguments\":";
/// Of a custom tool's.
const INPUT: &str = ",\"custom\":{\"input\":";

impl Writer {
    /// At the start of a stream.
    pub fn new(seed: Seed, include_usage: bool, echo: Arc<Echo>) -> Self {
        Self {
            seed,
            echo,
            include_usage,
            head: Vec::new(),
            started: false,
            blocks: Vec::new(),
            calls: 0,
            of_call: None,
            logprobs: Vec::new(),
            written: 0,
            usage: Usage::default(),
        }
    }

    fn delta(&self, delta: DeltaOut<'_>, out: &mut Vec<u8>) {
        self.choice(delta, Vec::new(), None, out);
    }

    fn choice(&self, delta: DeltaOut<'_>, logprobs: Vec<Value>, stop: Option<&Stop>, out: &mut Vec<u8>) {
        let choice = ChoiceOut {
            index: 0,
            message: None,
            delta: Some(delta),
            logprobs: logprobs_of(logprobs),
            finish_reason: stop.map(|stop| finish_reason(stop.reason)),
            stop_reason: stop.and_then(|stop| stop.sequence.as_deref()),
        };
        // These shapes have string keys only, so writing them cannot fail.
        let choices = serde_json::to_string(&[choice]).unwrap_or_default();
        self.chunk(&[&[Piece::Json(&choices)]], None, out);
    }

    /// What most chunks have: a choice whose delta is one field.
    fn field(&self, field: &[Piece<'_>], out: &mut Vec<u8>) {
        const BEFORE: Piece<'_> = Piece::Json("[{\"index\":0,\"delta\":{");
        const AFTER: Piece<'_> = Piece::Json("},\"logprobs\":null,\"finish_reason\":null}]");
        self.chunk(&[&[BEFORE], field, &[AFTER]], None, out);
    }

    fn chunk(&self, choices: &[&[Piece<'_>]], usage: Option<UsageOut>, out: &mut Vec<u8>) {
        begin_event(None, out);
        out.extend_from_slice(&self.head);
        choices.iter().for_each(|pieces| write_json(pieces, out));
        if self.include_usage {
            let usage = usage.and_then(|usage| serde_json::to_string(&usage).ok());
            write_json(&[Piece::Json(",\"usage\":"), Piece::Json(usage.as_deref().unwrap_or("null"))], out);
        }
        if let Some(tier) = self.usage.tier.and_then(Tier::openai) {
            write_json(&[Piece::Json(",\"service_tier\":"), Piece::Text(tier)], out);
        }
        out.push(b'}');
        end_event(out);
    }

    /// More of a call: [`ARGUMENTS`] or [`INPUT`].
    fn call(&self, number: usize, field: &str, more: &str, out: &mut Vec<u8>) {
        let field = [
            Piece::Json("\"tool_calls\":[{\"index\":"),
            Piece::Number(number as u64),
            Piece::Json(field),
            Piece::Text(more),
            Piece::Json("}}]"),
        ];
        self.field(&field, out);
    }

    fn thinking_block(&self, block: ThinkingOut<'_>, out: &mut Vec<u8>) {
        self.delta(DeltaOut { thinking_blocks: Some([block]), ..DeltaOut::default() }, out);
    }
}

impl StreamWriter for Writer {
    fn usage(&mut self) -> &mut Usage {
        &mut self.usage
    }

    fn start(&mut self, id: Option<&str>, model: Option<&str>, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.started = true;
        let pieces = [
            Piece::Json("{\"id\":"),
            Piece::Text(&answer_id(id, &self.seed)),
            Piece::Json(",\"object\":\"chat.completion.chunk\",\"created\":"),
            Piece::Number(self.seed.created_unix_s),
            Piece::Json(",\"model\":"),
            Piece::Text(model.unwrap_or_default()),
            Piece::Json(",\"choices\":"),
        ];
        write_json(&pieces, &mut self.head);
        self.delta(DeltaOut { role: Some("assistant"), content: Some(""), ..DeltaOut::default() }, out);
    }

    fn block_start(&mut self, _index: usize, kind: &BlockKind, out: &mut Vec<u8>) {
        self.start(None, None, out);
        let written = match kind {
            BlockKind::Text => Written::Text { begins: self.written },
            BlockKind::Refusal => Written::Refusal,
            BlockKind::Thinking => Written::Thinking { text: String::new(), signature: String::new() },
            BlockKind::RedactedThinking(data) => {
                self.thinking_block(ThinkingOut::RedactedThinking { data }, out);
                Written::Refusal
            }
            BlockKind::ToolUse { id, name } => {
                let number = self.calls;
                self.calls += 1;
                let call = CallOut {
                    index: Some(number),
                    id: Some(Cow::Borrowed(id)),
                    extra_content: self.of_call.take(),
                    ..CallOut::default()
                };
                let call = call.whole(name, String::new(), &self.echo);
                let written = if call.function.is_some() {
                    Written::Call { number, has_arguments: false }
                } else {
                    Written::Custom { number, arguments: String::new(), told: 0 }
                };
                self.delta(DeltaOut { tool_calls: Some([call]), ..DeltaOut::default() }, out);
                written
            }
        };
        self.blocks.push(written);
    }

    fn block_delta(&mut self, index: usize, delta: &Delta, out: &mut Vec<u8>) {
        match (delta, self.blocks.get_mut(index)) {
            (Delta::Text(more), Some(Written::Refusal)) => {
                self.field(&[Piece::Json("\"refusal\":"), Piece::Text(more)], out);
            }
            (Delta::Text(more), _) => {
                self.written += more.chars().count();
                if self.logprobs.is_empty() {
                    self.field(&[Piece::Json("\"content\":"), Piece::Text(more)], out);
                } else {
                    let logprobs = std::mem::take(&mut self.logprobs);
                    self.choice(DeltaOut { content: Some(more), ..DeltaOut::default() }, logprobs, None, out);
                }
            }
            (Delta::Logprobs(more), _) => self.logprobs.extend(more.iter().cloned()),
            (Delta::Citation(source), Some(Written::Text { begins })) => {
                let annotations = Value::Array(vec![annotation(source, *begins, true)]);
                self.delta(DeltaOut { annotations, ..DeltaOut::default() }, out);
            }
            (Delta::Thinking(more), block) => {
                if let Some(Written::Thinking { text, .. }) = block {
                    text.push_str(more);
                }
                self.field(&[Piece::Json("\"reasoning_content\":"), Piece::Text(more)], out);
            }
            // Written whole, at the block's end.
            (Delta::Signature(more), Some(Written::Thinking { signature, .. })) => signature.push_str(more),
            (Delta::ToolInput(more), Some(Written::Call { number, has_arguments })) => {
                *has_arguments |= !more.trim().is_empty();
                let number = *number;
                self.call(number, ARGUMENTS, more, out);
            }
            (Delta::ToolInput(more), Some(Written::Custom { number, arguments, told })) => {
                arguments.push_str(more);
                let (number, text) = (*number, custom_more(arguments, told));
                if !text.is_empty() {
                    self.call(number, INPUT, &text, out);
                }
            }
            // A reader that gives such events breaks the agreement of `Event`.
            (Delta::Signature(_) | Delta::ToolInput(_) | Delta::Citation(_), _) => {}
        }
    }

    fn block_stop(&mut self, index: usize, out: &mut Vec<u8>) {
        let Some(Written::Thinking { text, signature }) = self.blocks.get_mut(index) else { return };
        if signature.is_empty() {
            return;
        }
        let (text, signature) = (std::mem::take(text), std::mem::take(signature));
        if let Some(extra) = ExtraContent::of(Some(&signature)) {
            self.of_call = Some(extra);
            return;
        }
        self.thinking_block(ThinkingOut::Thinking { thinking: &text, signature: Some(&signature) }, out);
    }

    fn stop(&mut self, stop: &Stop, out: &mut Vec<u8>) {
        self.start(None, None, out);
        for block in &self.blocks {
            match block {
                Written::Call { number, has_arguments: false } => self.call(*number, ARGUMENTS, "{}", out),
                Written::Custom { number, arguments, told: 0 } => {
                    self.call(*number, INPUT, &custom_input(arguments), out);
                }
                _ => {}
            }
        }
        let logprobs = std::mem::take(&mut self.logprobs);
        self.choice(DeltaOut::default(), logprobs, Some(stop), out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.include_usage {
            self.chunk(&[&[Piece::Json("[]")]], UsageOut::of(&self.usage), out);
        }
        write_event(None, b"[DONE]", out);
    }

    fn fault(&mut self, fault: &Fault, _request_id: &str, out: &mut Vec<u8>) {
        write_event(None, &encode_error(fault), out);
    }
}
