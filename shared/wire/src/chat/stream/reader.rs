//! Reads an upstream's stream, of OpenAI or of a server that copies it.
//!
//! 1. `Start` at the first chunk with a choice (Azure's first chunk has none, and no id).
//! 2. Reasoning, text and refusal each have a block of their own; one that begins closes the one before (case 9). Each call has a
//!    block; a late piece of an earlier call keeps its index (case 10).
//! 3. `finish_reason` is kept until `[DONE]` or the end of the bytes: usage comes behind it. Then the last block is closed and `Stop` is given.
//! 4. Bytes that end without either are [`WireError::Incomplete`] (case 24); an error object is [`Event::Fault`] (case 25), and nothing follows.

use std::borrow::Cow;

use crate::chat::error::fault_of;
use crate::chat::response::{Piece, call_id, decode, pieces_of, stop_of, token_logprobs};
use crate::chat::types::{AnswerIn, CallIn, ChoiceIn, ThinkingIn};
use crate::error::WireError;
use crate::ir::{self, BlockKind, Delta, Event, Usage};
use crate::json;
use crate::names::ToolNames;
use crate::openai::cited::citation_of;
use crate::openai::custom;
use crate::openai::read::items;
use crate::openai::usage::usage_and_tier;
use crate::reading::{Blocks, EventReader};
use crate::sse::SseEvent;

/// Reads one answer of an upstream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    names: ToolNames,
    id: Option<String>,
    started: bool,
    /// `Stop` or `Fault` was given: what follows is not looked at.
    ended: bool,
    blocks: Blocks<Open>,
    calls: Vec<Call>,
    /// The stream names its reasoning `reasoning_content` or `reasoning`; `thinking_blocks` then repeat it.
    plain_reasoning: bool,
    refused: bool,
    finish: Option<String>,
    sequence: Option<String>,
    usage: Usage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Refusal,
    Call,
}

#[derive(Debug)]
struct Call {
    /// The upstream's index of it, if it gives any.
    index: Option<u64>,
    id: Option<String>,
    /// Its block; `None` until its name is known.
    block: Option<usize>,
    /// Arguments that came before the name.
    held: String,
    /// Its tool's input is a text: what comes of it stands between [`custom::BEGIN`] and [`custom::END`].
    is_custom: bool,
}

impl EventReader for Reader {
    fn response(&mut self, body: &[u8]) -> Result<ir::Response, WireError> {
        decode(body, &self.names)
    }

    fn event(&mut self, event: &SseEvent, data: &[u8], out: &mut Vec<Event>) -> Result<(), WireError> {
        if data.starts_with(b"[DONE]") {
            // Only a stream that began can be done.
            return if self.started { self.complete(out) } else { Err(WireError::Incomplete) };
        }
        let mut chunk: AnswerIn<'_> = json::read(data)
            .map_err(|error| WireError::BadAnswer(format!("a chunk of its stream is no chat completion: {error}")))?;
        let named_error = event.name() == Some(b"error");
        if !chunk.error.is_null() || chunk.object.as_deref() == Some("error") || named_error {
            let whole = json::read(data).unwrap_or_default();
            let error = if chunk.error.is_null() { whole } else { std::mem::take(&mut chunk.error) };
            out.push(Event::Fault(fault_of(None, &error)));
            self.ended = true;
            return Ok(());
        }
        self.answer(chunk, out)
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn cut_off(&mut self, out: &mut Vec<Event>) -> Result<(), WireError> {
        if self.finish.is_some() { self.complete(out) } else { Err(WireError::Incomplete) }
    }
}

impl Reader {
    pub(super) fn new(names: ToolNames) -> Self {
        Self { names, ..Self::default() }
    }

    fn answer(&mut self, chunk: AnswerIn<'_>, out: &mut Vec<Event>) -> Result<(), WireError> {
        let usage = usage_and_tier(&chunk.usage, chunk.service_tier.as_deref());
        if !self.started && (!chunk.choices.is_empty() || usage.is_reported()) {
            self.started = true;
            self.id = chunk.id.map(Cow::into_owned);
            out.push(Event::Start { id: self.id.clone(), model: chunk.model.map(Cow::into_owned) });
        }
        // Of several choices, the first.
        for choice in chunk.choices {
            if choice.index.unwrap_or_default() == 0 {
                self.choice(choice, out);
            }
        }
        let before = self.usage;
        self.usage.update(&usage);
        if self.usage != before {
            out.push(Event::Usage(self.usage));
        }
        Ok(())
    }

    fn choice(&mut self, choice: ChoiceIn, out: &mut Vec<Event>) {
        let mut delta = *choice.delta.unwrap_or_default();
        if let Some(text) = delta.take_reasoning() {
            self.plain_reasoning = true;
            self.piece(Open::Thinking, Delta::Thinking(text), out);
        }
        for block in std::mem::take(&mut delta.thinking_blocks) {
            self.thinking_block(block, out);
        }
        let mut logprobs = token_logprobs(choice.logprobs);
        for piece in pieces_of(delta.content) {
            if matches!(piece, Piece::Text(_)) && !logprobs.is_empty() {
                self.piece(Open::Text, Delta::Logprobs(std::mem::take(&mut logprobs)), out);
            }
            match piece {
                Piece::Text(text) => self.piece(Open::Text, Delta::Text(text), out),
                Piece::Thinking(text) => self.piece(Open::Thinking, Delta::Thinking(text), out),
            }
        }
        if let Some(index) = self.blocks.open(Open::Text) {
            let left = (!logprobs.is_empty()).then_some(Delta::Logprobs(logprobs));
            let sources = items(delta.annotations).into_iter().filter_map(|one| citation_of(&one)).map(Delta::Citation);
            out.extend(left.into_iter().chain(sources).map(|delta| Event::Delta { index, delta }));
        }
        if let Some(text) = delta.refusal {
            self.refused = true;
            self.piece(Open::Refusal, Delta::Text(text), out);
        }
        let legacy = delta.function_call.map(|function| CallIn { index: Some(0), function, ..CallIn::default() });
        for call in delta.tool_calls.into_iter().chain(legacy) {
            self.call(call, out);
        }
        if choice.finish_reason.is_some() {
            self.finish = choice.finish_reason;
            self.sequence = choice.stop_reason;
        }
    }

    /// A delta of a block of this kind, which is opened if it is not open.
    fn piece(&mut self, kind: Open, delta: Delta, out: &mut Vec<Event>) {
        let block = match kind {
            Open::Thinking => BlockKind::Thinking,
            Open::Refusal => BlockKind::Refusal,
            Open::Text | Open::Call => BlockKind::Text,
        };
        let index = self.blocks.open(kind).unwrap_or_else(|| self.blocks.begin(kind, block, out));
        out.push(Event::Delta { index, delta });
    }

    /// LiteLLM's form, and ours: a signature ends its block.
    fn thinking_block(&mut self, block: ThinkingIn, out: &mut Vec<Event>) {
        if let Some(data) = block.data {
            self.blocks.begin(Open::Thinking, BlockKind::RedactedThinking(data), out);
            self.blocks.close(out);
            return;
        }
        if let Some(text) = block.thinking.filter(|_| !self.plain_reasoning) {
            self.piece(Open::Thinking, Delta::Thinking(text), out);
        }
        if let Some(signature) = block.signature {
            self.piece(Open::Thinking, Delta::Signature(signature), out);
            self.blocks.close(out);
        }
    }

    fn call(&mut self, delta: CallIn, out: &mut Vec<Event>) {
        let slot = self.slot(&delta);
        let number = self.calls.len();
        let signature = delta.extra_content.signature();
        let is_custom = delta.custom.name.is_some();
        let name = delta.custom.name.or(delta.function.name);
        let (arguments, text) = (delta.function.arguments, delta.custom.input);
        let slot = match slot {
            Some(slot) => slot,
            None => {
                let held = if is_custom { custom::BEGIN.to_owned() } else { String::new() };
                self.calls.push(Call { index: delta.index, id: delta.id, block: None, held, is_custom });
                number
            }
        };
        let Some(call) = self.calls.get_mut(slot) else { return };
        call.held.push_str(&arguments);
        if call.is_custom {
            call.held.push_str(&custom::escaped(&text));
        }
        if call.block.is_none() {
            let Some(name) = name else { return };
            let id = call.id.clone().unwrap_or_else(|| call_id(self.id.as_deref(), slot));
            let name = self.names.decode(&name).to_owned();
            if let Some(signature) = signature {
                self.piece(Open::Thinking, Delta::Signature(signature), out);
            }
            let index = self.blocks.begin(Open::Call, BlockKind::ToolUse { id, name }, out);
            if let Some(call) = self.calls.get_mut(slot) {
                call.block = Some(index);
            }
        }
        let Some(call) = self.calls.get_mut(slot) else { return };
        if let Some(index) = call.block
            && !call.held.is_empty()
        {
            out.push(Event::Delta { index, delta: Delta::ToolInput(std::mem::take(&mut call.held)) });
        }
    }

    /// The call that a delta continues. By its index; but an index with another id and a name is another call (Gemini's compatible endpoint
    /// gives every call index 0). Without an index: by its id, else a name begins a call and anything else continues the last.
    fn slot(&self, delta: &CallIn) -> Option<usize> {
        let named = delta.function.name.is_some() || delta.custom.name.is_some();
        let last = |test: &dyn Fn(&Call) -> bool| self.calls.iter().rposition(test);
        let differs = |call: &Call| named && delta.id.is_some() && call.id.is_some() && call.id != delta.id;
        if delta.index.is_some() {
            return last(&|call| call.index == delta.index && !differs(call));
        }
        match &delta.id {
            Some(id) => last(&|call| call.id.as_ref() == Some(id)),
            None if named => None,
            None => last(&|_| true),
        }
    }

    fn complete(&mut self, out: &mut Vec<Event>) -> Result<(), WireError> {
        self.ended = true;
        if self.calls.iter().any(|call| call.block.is_none()) {
            return Err(WireError::BadAnswer("its stream has a tool call without a name".to_owned()));
        }
        self.blocks.close(out);
        for call in self.calls.iter().filter(|call| call.is_custom) {
            let end = |index| Event::Delta { index, delta: Delta::ToolInput(custom::END.to_owned()) };
            out.extend(call.block.map(end));
        }
        let stop = stop_of(self.finish.as_deref(), self.sequence.take(), !self.calls.is_empty(), self.refused);
        out.push(Event::Stop(stop));
        Ok(())
    }
}
