//! Answers and chunks of them to events.
//!
//! 1. Parts of one kind in a row are one block. A call is a block of its own, whole in one part (case 6).
//! 2. A signature ends its block. One of thinking is the block's; one of a call stands in the thinking block before the call; one of text, or of an
//!    empty part, in a thinking block of its own behind it (case 27).
//! 3. The reason why the first candidate ended ends the answer, once the counts are there; a blocked prompt does, too.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use crate::gemini::signature::{Place, mark};
use crate::gemini::types::{Answer, Candidate, FunctionCall, Part, searches_of, stop_of};
use crate::gemini::{grounding, logprobs};
use crate::ir::{BlockKind, Citation, Delta, Event, Stop, StopReason, Usage};
use crate::names::ToolNames;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
}

/// Gathers the chunks of one answer.
#[derive(Debug, Default)]
pub(in crate::gemini) struct Assembler {
    started: bool,
    open: Option<(usize, Open)>,
    next_block: usize,
    calls: usize,
    logprobs: Vec<Value>,
    /// All text so far, and where that of the open block begins.
    text: String,
    text_begins: usize,
    /// What was told of which block.
    cited: Vec<(usize, Citation)>,
    usage: Usage,
    stop: Option<StopReason>,
    ended: bool,
}

impl Assembler {
    /// One chunk. `bytes`: as it came.
    pub(in crate::gemini) fn answer(&mut self, answer: Answer, bytes: &[u8], names: &ToolNames, out: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        let model = answer.model_version.as_deref();
        let grounded = answer.candidates.iter().flatten().filter_map(|one| searches_of(&one.grounding_metadata, model));
        let searches = grounded.reduce(u64::saturating_add);
        if !self.started {
            self.started = true;
            out.push(Event::Start { id: answer.response_id, model: answer.model_version });
        }
        let candidates = answer.candidates.into_iter().flatten();
        for mut candidate in candidates.filter(|candidate| candidate.index.unwrap_or_default() == 0) {
            self.logprobs.extend(logprobs::decoded(&candidate.logprobs_result));
            for part in candidate.content.take().and_then(|content| content.parts).into_iter().flatten() {
                self.part(part, bytes, names, out);
            }
            self.sources(&candidate, out);
            if let Some(finish) = candidate.finish_reason.filter(|finish| !finish.is_empty()) {
                self.stop = Some(stop_of(&finish, self.calls > 0));
            }
        }
        if answer.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            self.stop = Some(StopReason::ContentFilter);
        }
        let counted = answer.usage_metadata.is_some();
        let before = self.usage;
        self.usage.update(&answer.usage_metadata.unwrap_or_default().to_ir());
        self.usage.web_searches = self.usage.web_searches.max(searches);
        if self.usage != before {
            out.push(Event::Usage(self.usage));
        }
        if counted && self.stop.is_some() {
            self.end(out);
        }
    }

    /// The bytes have ended: true if the answer is complete.
    pub(in crate::gemini) fn end(&mut self, out: &mut Vec<Event>) -> bool {
        if !self.ended
            && let Some(reason) = self.stop
        {
            self.ended = true;
            self.close(out);
            out.push(Event::Stop(Stop { reason, sequence: None }));
        }
        self.ended
    }

    /// Nothing follows.
    pub(super) fn abandon(&mut self) {
        self.ended = true;
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended
    }

    fn part(&mut self, part: Part, bytes: &[u8], names: &ToolNames, out: &mut Vec<Event>) {
        let signature = part.thought_signature.filter(|signature| !signature.is_empty());
        if let Some(call) = part.function_call {
            return self.call(call, signature.as_deref(), bytes, names, out);
        }
        let text = match (part.text, part.inline_data) {
            (Some(text), _) => text,
            (None, Some(blob)) => {
                let kind = blob.mime_type.unwrap_or_else(|| "a file".to_owned());
                format!("[the model answered with {kind}, which a translated answer cannot hold]")
            }
            (None, None) => String::new(),
        };
        let thought = part.thought == Some(true);
        let (open, place) = if thought { (Open::Thinking, Place::Thought) } else { (Open::Text, Place::Text) };
        if !text.is_empty() {
            if !thought {
                self.take_logprobs(out);
                self.text.push_str(&text);
            }
            let delta = if thought { Delta::Thinking(text) } else { Delta::Text(text) };
            self.piece(open, delta, out);
        }
        if let Some(signature) = signature {
            if !thought {
                self.close(out);
            }
            self.piece(Open::Thinking, Delta::Signature(mark(place, &signature)), out);
            self.close(out);
        }
    }

    fn call(
        &mut self,
        call: FunctionCall,
        signature: Option<&str>,
        bytes: &[u8],
        names: &ToolNames,
        out: &mut Vec<Event>,
    ) {
        if let Some(signature) = signature {
            self.piece(Open::Thinking, Delta::Signature(mark(Place::Call, signature)), out);
        }
        self.close(out);
        let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| call_id(bytes, self.calls));
        self.calls += 1;
        let name = names.decode(&call.name.unwrap_or_default()).to_owned();
        let index = self.begin(BlockKind::ToolUse { id, name }, out);
        let args = call.args.filter(Value::is_object).unwrap_or_else(|| json!({}));
        out.push(Event::Delta { index, delta: Delta::ToolInput(args.to_string()) });
        out.push(Event::BlockStop { index });
    }

    /// A delta of a block of this kind, which is opened if it is not open.
    fn piece(&mut self, kind: Open, delta: Delta, out: &mut Vec<Event>) {
        let index = match self.open {
            Some((index, open)) if open == kind => index,
            _ => {
                self.close(out);
                let block = if kind == Open::Text { BlockKind::Text } else { BlockKind::Thinking };
                let index = self.begin(block, out);
                self.open = Some((index, kind));
                index
            }
        };
        out.push(Event::Delta { index, delta });
    }

    /// Go before the text that they are of.
    fn take_logprobs(&mut self, out: &mut Vec<Event>) {
        if !matches!(self.open, Some((_, Open::Text))) {
            self.text_begins = self.text.len();
        }
        if !self.logprobs.is_empty() {
            let logprobs = std::mem::take(&mut self.logprobs);
            self.piece(Open::Text, Delta::Logprobs(logprobs), out);
        }
    }

    /// They come when the text is there; a later chunk may say them again.
    fn sources(&mut self, candidate: &Candidate, out: &mut Vec<Event>) {
        let Some((index, Open::Text)) = self.open else { return };
        let mut sources = grounding::citations(&candidate.grounding_metadata, &self.text, self.text_begins);
        sources.extend(grounding::recited(&candidate.citation_metadata, &self.text, self.text_begins));
        for source in sources {
            if !self.cited.contains(&(index, source.clone())) {
                self.cited.push((index, source.clone()));
                out.push(Event::Delta { index, delta: Delta::Citation(source) });
            }
        }
    }

    fn begin(&mut self, kind: BlockKind, out: &mut Vec<Event>) -> usize {
        let index = self.next_block;
        self.next_block += 1;
        out.push(Event::BlockStart { index, kind });
        index
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if let Some((index, _)) = self.open.take() {
            out.push(Event::BlockStop { index });
        }
    }
}

/// An id for a call that has none: of the bytes that it came in, so that it differs from the calls of other answers and is the same for the same
/// answer. Within what every dialect takes.
fn call_id(bytes: &[u8], number: usize) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("call_{:016x}_{number}", hasher.finish())
}
