//! Reads an upstream's stream.
//!
//! 1. `Start` at `response.created`, or at whatever else has the response or an item of it.
//! 2. Each text, each refusal, the reasoning of an item and each call have a block of their own; one that begins closes the one before. A
//!    late piece of an earlier call keeps its index.
//! 3. What came only whole (`*.done` without deltas, as some servers send it) is taken from there. A reasoning item's proof comes with its end.
//! 4. `response.completed` and `response.incomplete` have the usage and end the stream; `response.failed` and `error` are
//!    [`Event::Fault`], and nothing follows. Bytes that end without any of them are [`WireError::Incomplete`].

use crate::error::WireError;
use crate::ir::{self, BlockKind, Delta, Event, StopReason, Usage};
use crate::json;
use crate::names::ToolNames;
use crate::openai::cited::citation_of;
use crate::openai::custom;
use crate::openai::read::items;
use crate::openai::usage::{usage_and_tier, web_searches};
use crate::reading::{Blocks, EventReader};
use crate::responses::error::fault_of_event;
use crate::responses::response::{decode, signature_of, stop_of};
use crate::responses::types::{AnswerIn, EventIn, ItemIn};
use crate::sse::SseEvent;

/// Reads one answer of an upstream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    names: ToolNames,
    started: bool,
    /// `Stop` or `Fault` was given: what follows is not looked at.
    ended: bool,
    blocks: Blocks<Source>,
    /// What has been begun.
    seen: Vec<Seen>,
    refused: bool,
}

/// Where a block's content stands in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Text { item: u64, part: u64 },
    Refusal { item: u64, part: u64 },
    Reasoning { item: u64 },
    Call { item: u64 },
}

#[derive(Debug)]
struct Seen {
    source: Source,
    block: usize,
    /// Of reasoning: the kind and number of the part that comes at the moment.
    part: (Thought, u64),
    /// Content has come.
    filled: bool,
    /// The call of a tool whose input is a text: what comes of it stands between [`custom::BEGIN`] and [`custom::END`].
    is_custom: bool,
}

/// Reasoning is sent as a summary, as text, or as both, which then say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thought {
    Summary,
    Text,
}

impl EventReader for Reader {
    fn response(&mut self, body: &[u8]) -> Result<ir::Response, WireError> {
        decode(body, &self.names)
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn event(&mut self, _event: &SseEvent, data: &[u8], out: &mut Vec<Event>) -> Result<(), WireError> {
        if data.starts_with(b"[DONE]") {
            return Ok(());
        }
        let event: EventIn = json::read(data)
            .map_err(|error| WireError::BadAnswer(format!("an event of its stream cannot be read: {error}")))?;
        match event.kind.as_deref().unwrap_or_default() {
            "error" | "response.failed" => {
                if let Some(response) = &event.response {
                    report_usage(response, data, out);
                }
                out.push(Event::Fault(fault_of_event(data)));
                self.ended = true;
            }
            "response.completed" | "response.incomplete" => {
                let response = event.response.unwrap_or_default();
                self.start(Some(&response), out);
                self.complete(&response, data, out);
            }
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(event.response.as_ref(), out);
            }
            _ => {
                self.start(None, out);
                self.content(event, out);
            }
        }
        Ok(())
    }
}

impl Reader {
    pub(super) fn new(names: ToolNames) -> Self {
        Self { names, ..Self::default() }
    }

    fn start(&mut self, response: Option<&AnswerIn>, out: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            let (id, model) =
                response.map(|response| (response.id.clone(), response.model.clone())).unwrap_or_default();
            out.push(Event::Start { id, model });
        }
    }

    fn content(&mut self, event: EventIn, out: &mut Vec<Event>) {
        let (item, part) = (event.output_index, event.content_index);
        let text = Source::Text { item, part };
        let refusal = Source::Refusal { item, part };
        let delta = event.delta.unwrap_or_default();
        match event.kind.as_deref().unwrap_or_default() {
            "response.output_text.delta" => {
                let logprobs = items(event.logprobs);
                if !logprobs.is_empty() {
                    self.piece(text, Delta::Logprobs(logprobs), out);
                }
                self.piece(text, Delta::Text(delta), out);
            }
            "response.output_text.annotation.added" => {
                if let (Some(source), Some(index)) = (citation_of(&event.annotation), self.blocks.open(text)) {
                    out.push(Event::Delta { index, delta: Delta::Citation(source) });
                }
            }
            "response.output_text.done" => self.whole(text, Delta::Text(event.text.unwrap_or_default()), out),
            "response.refusal.delta" => self.piece(refusal, Delta::Text(delta), out),
            "response.refusal.done" => self.whole(refusal, Delta::Text(event.refusal.unwrap_or_default()), out),
            "response.reasoning_summary_text.delta" => {
                self.thought(item, (Thought::Summary, event.summary_index), delta, out);
            }
            "response.reasoning_text.delta" => self.thought(item, (Thought::Text, part), delta, out),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.arguments(item, delta, out);
            }
            "response.function_call_arguments.done" if !self.filled(Source::Call { item }) => {
                self.arguments(item, event.arguments, out);
            }
            "response.custom_tool_call_input.done" if !self.filled(Source::Call { item }) => {
                self.arguments(item, event.input, out);
            }
            "response.output_item.added" => {
                if let Some(added) = event.item {
                    self.item_added(item, added, out);
                }
            }
            "response.output_item.done" => {
                if let Some(done) = event.item {
                    self.item_done(item, done, out);
                }
            }
            _ => {}
        }
    }

    fn item_added(&mut self, item: u64, added: ItemIn, out: &mut Vec<Event>) {
        let source = Source::Call { item };
        let is_custom = added.kind.as_deref() == Some("custom_tool_call");
        if !(is_custom || added.kind.as_deref() == Some("function_call")) || self.seen(source).is_some() {
            return;
        }
        let (Some(id), Some(name)) = (added.call_id.or(added.id), added.name) else { return };
        let name = self.names.decode(&name).to_owned();
        let index = self.begin(source, BlockKind::ToolUse { id, name }, out);
        if let Some(seen) = self.seen.last_mut().filter(|_| is_custom) {
            seen.is_custom = true;
            out.push(Event::Delta { index, delta: Delta::ToolInput(custom::BEGIN.to_owned()) });
        }
    }

    fn item_done(&mut self, item: u64, done: ItemIn, out: &mut Vec<Event>) {
        match done.kind.as_deref() {
            Some("message") => {
                for (part, content) in (0u64..).zip(done.content) {
                    let (text, refusal) = (Source::Text { item, part }, Source::Refusal { item, part });
                    self.whole(text, Delta::Text(content.text.unwrap_or_default()), out);
                    self.whole(refusal, Delta::Text(content.refusal.unwrap_or_default()), out);
                }
            }
            Some(kind @ ("function_call" | "custom_tool_call")) => {
                let arguments = if kind == "function_call" { done.arguments.clone() } else { done.input.clone() };
                self.item_added(item, done, out);
                if !self.filled(Source::Call { item }) {
                    self.arguments(item, arguments, out);
                }
            }
            Some("reasoning") => {
                let source = Source::Reasoning { item };
                if !self.filled(source) {
                    let (kind, parts) = if done.summary.is_empty() {
                        (Thought::Text, &done.content)
                    } else {
                        (Thought::Summary, &done.summary)
                    };
                    for (number, part) in (0u64..).zip(parts) {
                        self.thought(item, (kind, number), part.text.clone().unwrap_or_default(), out);
                    }
                }
                if let Some(signature) = signature_of(&done) {
                    let index = self.at(source, out);
                    out.push(Event::Delta { index, delta: Delta::Signature(signature) });
                }
                if self.blocks.open(source).is_some() {
                    self.blocks.close(out);
                }
            }
            _ => {}
        }
    }

    fn seen(&self, source: Source) -> Option<&Seen> {
        self.seen.iter().rev().find(|seen| seen.source == source)
    }

    fn filled(&self, source: Source) -> bool {
        self.seen(source).is_some_and(|seen| seen.filled)
    }

    fn begin(&mut self, source: Source, kind: BlockKind, out: &mut Vec<Event>) -> usize {
        let block = self.blocks.begin(source, kind, out);
        self.seen.push(Seen { source, block, part: (Thought::Summary, 0), filled: false, is_custom: false });
        block
    }

    /// The open block of a source; else a new one.
    fn at(&mut self, source: Source, out: &mut Vec<Event>) -> usize {
        let kind = match source {
            Source::Reasoning { .. } => BlockKind::Thinking,
            Source::Refusal { .. } => BlockKind::Refusal,
            Source::Text { .. } | Source::Call { .. } => BlockKind::Text,
        };
        self.blocks.open(source).unwrap_or_else(|| self.begin(source, kind, out))
    }

    fn piece(&mut self, source: Source, delta: Delta, out: &mut Vec<Event>) {
        if matches!(&delta, Delta::Text(text) | Delta::Thinking(text) if text.is_empty()) {
            return;
        }
        self.refused |= matches!(source, Source::Refusal { .. });
        let index = self.at(source, out);
        self.fill(source);
        out.push(Event::Delta { index, delta });
    }

    fn whole(&mut self, source: Source, delta: Delta, out: &mut Vec<Event>) {
        if !self.filled(source) {
            self.piece(source, delta, out);
        }
    }

    fn fill(&mut self, source: Source) {
        if let Some(seen) = self.seen.iter_mut().rev().find(|seen| seen.source == source) {
            seen.filled = true;
        }
    }

    /// More of an item's reasoning. Parts are paragraphs; of summary and text, the one that came first.
    fn thought(&mut self, item: u64, part: (Thought, u64), mut text: String, out: &mut Vec<Event>) {
        let source = Source::Reasoning { item };
        match self.seen(source).filter(|seen| seen.filled).map(|seen| seen.part) {
            Some((kind, _)) if kind != part.0 => return,
            Some((_, number)) if number != part.1 && !text.is_empty() => text.insert_str(0, "\n\n"),
            _ => {}
        }
        self.piece(source, Delta::Thinking(text), out);
        if let Some(seen) = self.seen.iter_mut().rev().find(|seen| seen.source == source) {
            seen.part = part;
        }
    }

    fn arguments(&mut self, item: u64, more: String, out: &mut Vec<Event>) {
        let source = Source::Call { item };
        let Some(&Seen { block: index, is_custom, .. }) = self.seen(source).filter(|_| !more.is_empty()) else {
            return;
        };
        self.fill(source);
        let more = if is_custom { custom::escaped(&more) } else { more };
        out.push(Event::Delta { index, delta: Delta::ToolInput(more) });
    }

    fn complete(&mut self, response: &AnswerIn, data: &[u8], out: &mut Vec<Event>) {
        self.ended = true;
        self.blocks.close(out);
        for seen in self.seen.iter().filter(|seen| seen.is_custom) {
            out.push(Event::Delta { index: seen.block, delta: Delta::ToolInput(custom::END.to_owned()) });
        }
        report_usage(response, data, out);
        let mut stop = stop_of(response);
        if stop.reason == StopReason::EndTurn {
            if self.seen.iter().any(|seen| matches!(seen.source, Source::Call { .. })) {
                stop.reason = StopReason::ToolUse;
            } else if self.refused {
                stop.reason = StopReason::Refusal;
            }
        }
        out.push(Event::Stop(stop));
    }
}

fn report_usage(response: &AnswerIn, data: &[u8], out: &mut Vec<Event>) {
    let usage = usage_and_tier(&response.usage, response.service_tier.as_deref());
    let usage = Usage { web_searches: web_searches(data), ..usage };
    if usage != Usage::default() {
        out.push(Event::Usage(usage));
    }
}
