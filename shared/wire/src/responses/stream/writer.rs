//! Writes a client's stream.
//!
//! 1. `response.created`, `response.in_progress`. Every event is numbered, from 0.
//! 2. Each block is an item: `output_item.added`, its parts and deltas, `output_item.done`. A text or reasoning item begins with its first
//!    delta, so that a block without any leaves no trace.
//! 3. Calls are closed at the end, because a late piece of an earlier one is legal. The text of a custom tool's call is unwrapped as it comes;
//!    the call of a tool of the client's own (its shell) is written when its arguments are complete.
//! 4. `response.completed` or `response.incomplete` has the whole answer and the usage. There is no `[DONE]`.
//! 5. A fault is an `error` event; in an answer that has begun `response.failed` follows, which ends it. Nothing is written after it.
//!
//! <https://platform.openai.com/docs/api-reference/responses-streaming>

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::codec::{Seed, StreamWriter};
use crate::ir::{BlockKind, Delta, Echo, Fault, Stop, ToolForm, Usage};
use crate::json::object;
use crate::openai::cited::annotation;
use crate::openai::custom::{custom_input, custom_more};
use crate::responses::error::{error_json, write_fault};
use crate::responses::reasoning::{seal_redacted, seal_signature};
use crate::responses::response::{Answer, Ending, answer_id};
use crate::responses::types::{Item, ItemKind};
use crate::sse::{Piece, begin_event, end_event, write_json, write_value};

/// Writes a stream for a client.
#[derive(Debug)]
pub struct Writer {
    seed: Seed,
    echo: Arc<Echo>,
    id: String,
    model: String,
    started: bool,
    sequence: u64,
    /// By index: what a block is, and its item once it has one.
    blocks: Vec<(Waiting, Option<usize>)>,
    items: Vec<Item>,
    /// Go with the text that comes next.
    logprobs: Vec<Value>,
    usage: Usage,
    stop: Stop,
}

/// A block without an item yet.
#[derive(Debug, Clone, Copy)]
enum Waiting {
    Text,
    Refusal,
    Thinking,
    /// It has one from its start.
    Nothing,
}

impl Writer {
    /// At the start of a stream.
    pub fn new(seed: Seed, echo: Arc<Echo>) -> Self {
        Self {
            id: answer_id(None, &seed, &echo),
            seed,
            echo,
            model: String::new(),
            started: false,
            sequence: 0,
            blocks: Vec::new(),
            items: Vec::new(),
            logprobs: Vec::new(),
            usage: Usage::default(),
            stop: Stop::default(),
        }
    }

    fn answer(&self) -> Answer<'_> {
        Answer {
            id: &self.id,
            created: self.seed.created_unix_s,
            model: &self.model,
            echo: &self.echo,
            usage: &self.usage,
        }
    }

    fn emit(&mut self, kind: &str, fields: Value, out: &mut Vec<u8>) {
        let mut event = Map::new();
        event.insert("type".to_owned(), kind.into());
        event.insert("sequence_number".to_owned(), self.sequence.into());
        if let Value::Object(fields) = fields {
            event.extend(fields);
        }
        self.sequence += 1;
        write_value(Some(kind), &Value::Object(event), out);
    }

    /// More of an item. `place`: the field that says in which part of it, if it has parts; `more`: fields that follow.
    fn emit_delta(&mut self, kind: &str, at: usize, place: Option<&str>, delta: &str, more: &str, out: &mut Vec<u8>) {
        let Some(item) = self.items.get(at) else { return };
        begin_event(Some(kind), out);
        let pieces = [
            Piece::Json("{\"type\":\""),
            Piece::Json(kind),
            Piece::Json("\",\"sequence_number\":"),
            Piece::Number(self.sequence),
            Piece::Json(",\"item_id\":"),
            Piece::Text(&item.id),
            Piece::Json(",\"output_index\":"),
            Piece::Number(at as u64),
        ];
        write_json(&pieces, out);
        if let Some(place) = place {
            write_json(&[Piece::Json(",\""), Piece::Json(place), Piece::Json("\":0")], out);
        }
        write_json(&[Piece::Json(",\"delta\":"), Piece::Text(delta), Piece::Json(more), Piece::Json("}")], out);
        end_event(out);
        self.sequence += 1;
    }

    /// Adds an item, and says where it is.
    fn open(&mut self, kind: ItemKind, out: &mut Vec<u8>) -> usize {
        let at = self.items.len();
        let item = Item::new(&self.id, at, kind);
        let json = item.json("in_progress");
        let part = match &item.kind {
            ItemKind::Text(_) | ItemKind::Refusal(_) => item.part(),
            ItemKind::Reasoning { .. } | ItemKind::Call { .. } => None,
        };
        let id = item.id.clone();
        self.items.push(item);
        self.emit("response.output_item.added", object! {"output_index": at, "item": json}, out);
        if let Some(part) = part {
            let fields = object! {"item_id": id, "output_index": at, "content_index": 0, "part": part};
            self.emit("response.content_part.added", fields, out);
        }
        at
    }

    /// The item of a block, which begins now if it has not begun.
    fn item_of(&mut self, block: usize, out: &mut Vec<u8>) -> Option<usize> {
        let (waiting, item) = *self.blocks.get(block)?;
        if item.is_some() {
            return item;
        }
        let text = String::new();
        let kind = match waiting {
            Waiting::Text => ItemKind::Text(text),
            Waiting::Refusal => ItemKind::Refusal(text),
            Waiting::Thinking => ItemKind::Reasoning { text, summary: self.echo.summaries, encrypted: None },
            Waiting::Nothing => return None,
        };
        let at = self.open(kind, out);
        if let Some((_, item)) = self.blocks.get_mut(block) {
            *item = Some(at);
        }
        Some(at)
    }

    fn item_done(&mut self, at: usize, status: &str, out: &mut Vec<u8>) {
        let Some(item) = self.items.get(at).map(|item| item.json(status)) else { return };
        self.emit("response.output_item.done", object! {"output_index": at, "item": item}, out);
    }
}

const CUSTOM_DELTA: &str = "response.custom_tool_call_input.delta";
const ARGUMENTS_DELTA: &str = "response.function_call_arguments.delta";

fn with(mut place: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut place, more) {
        fields.extend(more);
    }
    place
}

/// The events of reasoning: of a summary, or of the text itself.
struct Reasoning {
    part_type: &'static str,
    index: &'static str,
    added: &'static str,
    delta: &'static str,
    done: &'static str,
    part_done: &'static str,
}

impl Reasoning {
    fn of(summary: bool) -> Self {
        if summary {
            Self {
                part_type: "summary_text",
                index: "summary_index",
                added: "response.reasoning_summary_part.added",
                delta: "response.reasoning_summary_text.delta",
                done: "response.reasoning_summary_text.done",
                part_done: "response.reasoning_summary_part.done",
            }
        } else {
            Self {
                part_type: "reasoning_text",
                index: "content_index",
                added: "response.content_part.added",
                delta: "response.reasoning_text.delta",
                done: "response.reasoning_text.done",
                part_done: "response.content_part.done",
            }
        }
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
        self.id = answer_id(id, &self.seed, &self.echo);
        self.model = model.unwrap_or_default().to_owned();
        for kind in ["response.created", "response.in_progress"] {
            let response = self.answer().begun();
            self.emit(kind, object! { "response": response }, out);
        }
    }

    fn block_start(&mut self, _index: usize, kind: &BlockKind, out: &mut Vec<u8>) {
        self.start(None, None, out);
        let block = match kind {
            BlockKind::Text => (Waiting::Text, None),
            BlockKind::Refusal => (Waiting::Refusal, None),
            BlockKind::Thinking => (Waiting::Thinking, None),
            BlockKind::RedactedThinking(data) => {
                let encrypted = Some(seal_redacted(data));
                let kind = ItemKind::Reasoning { text: String::new(), summary: self.echo.summaries, encrypted };
                (Waiting::Nothing, Some(self.open(kind, out)))
            }
            BlockKind::ToolUse { id, name } => {
                let form = self.echo.tools.get(name).cloned();
                let (call_id, name) = (id.clone(), name.clone());
                let kind = ItemKind::Call { call_id, name, form, arguments: String::new(), told: 0 };
                (Waiting::Nothing, Some(self.open(kind, out)))
            }
        };
        self.blocks.push(block);
    }

    fn block_delta(&mut self, block: usize, delta: &Delta, out: &mut Vec<u8>) {
        if matches!(delta, Delta::Text(more) | Delta::Thinking(more) if more.is_empty()) {
            return;
        }
        let Some(at) = self.item_of(block, out) else { return };
        let Some(Item { id, kind, annotations, logprobs }) = self.items.get_mut(at) else { return };
        match (delta, kind) {
            (Delta::Text(more), ItemKind::Text(text)) => {
                text.push_str(more);
                let of_piece = std::mem::take(&mut self.logprobs);
                let known = match of_piece.is_empty() {
                    true => Cow::Borrowed(",\"logprobs\":[]"),
                    false => Cow::Owned(format!(",\"logprobs\":{}", json!(of_piece))),
                };
                logprobs.extend(of_piece);
                self.emit_delta("response.output_text.delta", at, Some("content_index"), more, &known, out);
            }
            (Delta::Text(more), ItemKind::Refusal(text)) => {
                text.push_str(more);
                self.emit_delta("response.refusal.delta", at, Some("content_index"), more, "", out);
            }
            (Delta::Thinking(more), ItemKind::Reasoning { text, summary, .. }) => {
                let first = text.is_empty();
                text.push_str(more);
                let names = Reasoning::of(*summary);
                if first {
                    let part = json!({"type": names.part_type, "text": ""});
                    let fields = json!({"item_id": id, "output_index": at, (names.index): 0, "part": part});
                    self.emit(names.added, fields, out);
                }
                self.emit_delta(names.delta, at, Some(names.index), more, "", out);
            }
            (Delta::Signature(more), ItemKind::Reasoning { encrypted, .. }) => match encrypted {
                Some(sealed) => sealed.push_str(more),
                None => *encrypted = Some(seal_signature(more)),
            },
            (Delta::ToolInput(more), ItemKind::Call { arguments, form, told, .. }) => {
                arguments.push_str(more);
                let (kind, more) = match form {
                    None | Some(ToolForm::Member { .. }) => (ARGUMENTS_DELTA, Cow::Borrowed(more.as_str())),
                    Some(ToolForm::Custom) => (CUSTOM_DELTA, Cow::Owned(custom_more(arguments, told))),
                    Some(ToolForm::LocalShell | ToolForm::Shell | ToolForm::ApplyPatch) => return,
                };
                if !more.is_empty() {
                    self.emit_delta(kind, at, None, &more, "", out);
                }
            }
            (Delta::Logprobs(more), _) => self.logprobs.extend(more.iter().cloned()),
            (Delta::Citation(source), ItemKind::Text(_)) => {
                let annotation = annotation(source, 0, false);
                let place = json!({"item_id": id, "output_index": at});
                let number =
                    json!({"content_index": 0, "annotation_index": annotations.len(), "annotation": annotation});
                annotations.push(annotation);
                self.emit("response.output_text.annotation.added", with(place, number), out);
            }
            // A reader that gives such events breaks the agreement of `Event`.
            _ => {}
        }
    }

    fn block_stop(&mut self, block: usize, out: &mut Vec<u8>) {
        let Some((_, Some(at))) = self.blocks.get(block).copied() else { return };
        let Some(Item { id, kind, logprobs, .. }) = self.items.get(at) else { return };
        let place = json!({"item_id": id, "output_index": at});
        let part = self.items.get(at).and_then(Item::part);
        match kind {
            ItemKind::Text(text) => {
                let fields = with(place.clone(), json!({"content_index": 0, "text": text, "logprobs": logprobs}));
                self.emit("response.output_text.done", fields, out);
                self.emit("response.content_part.done", with(place, object! {"content_index": 0, "part": part}), out);
            }
            ItemKind::Refusal(refusal) => {
                let fields = with(place.clone(), json!({"content_index": 0, "refusal": refusal}));
                self.emit("response.refusal.done", fields, out);
                self.emit("response.content_part.done", with(place, object! {"content_index": 0, "part": part}), out);
            }
            ItemKind::Reasoning { text, summary, .. } => {
                let names = Reasoning::of(*summary);
                if part.is_some() {
                    let fields = with(place.clone(), json!({(names.index): 0, "text": text}));
                    self.emit(names.done, fields, out);
                    self.emit(names.part_done, with(place, json!({(names.index): 0, "part": part})), out);
                }
            }
            ItemKind::Call { .. } => return,
        }
        self.item_done(at, "completed", out);
    }

    /// Closes the calls. One that was cut off is incomplete: its arguments are not to be used.
    fn stop(&mut self, stop: &Stop, out: &mut Vec<u8>) {
        self.start(None, None, out);
        self.stop = stop.clone();
        let ending = Ending::of(stop, &self.items);
        for at in 0..self.items.len() {
            let last = at + 1 == self.items.len();
            let Some(Item { id, kind: ItemKind::Call { arguments, form, name, told, .. }, .. }) =
                self.items.get_mut(at)
            else {
                continue;
            };
            if arguments.trim().is_empty() {
                "{}".clone_into(arguments);
            }
            let place = json!({"item_id": id, "output_index": at});
            match form {
                Some(ToolForm::Custom) => {
                    let input = custom_input(arguments);
                    if *told == 0 {
                        self.emit_delta(CUSTOM_DELTA, at, None, &input, "", out);
                    }
                    let done = with(place, json!({"input": input}));
                    self.emit("response.custom_tool_call_input.done", done, out);
                }
                Some(ToolForm::LocalShell | ToolForm::Shell | ToolForm::ApplyPatch) => {}
                Some(ToolForm::Member { .. }) | None => {
                    let name = match form {
                        Some(ToolForm::Member { name, .. }) => name,
                        _ => name,
                    };
                    let done = with(place, json!({"name": name, "arguments": arguments}));
                    self.emit("response.function_call_arguments.done", done, out);
                }
            }
            self.item_done(at, if last { ending.status() } else { "completed" }, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let ending = Ending::of(&self.stop, &self.items);
        let response = self.answer().ended(ending, &self.items);
        self.emit(&format!("response.{}", ending.status()), object! { "response": response }, out);
    }

    fn fault(&mut self, fault: &Fault, _request_id: &str, out: &mut Vec<u8>) {
        write_fault(fault, self.sequence, out);
        self.sequence += 1;
        if self.started {
            let response = self.answer().failed(error_json(fault), &self.items);
            self.emit("response.failed", object! { "response": response }, out);
        }
    }
}
