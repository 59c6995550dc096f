//! Streams: an upstream's bytes to events, events to a client's bytes.
//!
//! Reader: `Start => blocks => Ended`, where `Ended` is after `message_stop` or `error`; bytes after it are ignored, and an end before it is
//! an error (case 24). A block of an unknown kind is skipped with its deltas, and the others are numbered without a gap.
//!
//! Writer: `message_start` waits for the first block, so that usage that came with the start is in it; it is written once. One block is open at a
//! time. A signature is written whole, before its block stops: the official clients keep only the last `signature_delta`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{encode_error, fault_from};
use super::request::ReadBack;
use super::response::decode_response;
use super::types::{
    ContentBlock, StreamDelta, StreamEvent, citation_of, merge_usage, message_id, stop_from, stop_name, usage_value,
};
use crate::codec::{Seed, StreamWriter};
use crate::error::WireError;
use crate::ir::{self, BlockKind, Delta, Event, Fault};
use crate::json;
use crate::reading::EventReader;
use crate::sse::{Piece, SseEvent, begin_event, end_event, write_event, write_json, write_value};

/// Reads one upstream answer.
#[derive(Debug)]
pub(super) struct Reader {
    read_back: ReadBack,
    started: bool,
    ended: bool,
    blocks: Vec<OpenBlock>,
    next_index: usize,
    usage: ir::Usage,
    stop: ir::Stop,
    /// A guardrail of Bedrock's did.
    intervened: bool,
}

/// A block that the upstream has begun and not stopped.
#[derive(Debug, Default)]
struct OpenBlock {
    /// The upstream's index.
    wire: u64,
    /// Ours; `None`: skipped.
    index: Option<usize>,
    /// The arguments that came whole with the start of a call, until a delta comes.
    whole_input: Option<String>,
    /// The call that stands for JSON output: its arguments are text.
    is_json: bool,
    /// Characters of text so far, and the sources of all of it: they are told before it.
    characters: usize,
    sources: Vec<Value>,
}

impl Reader {
    pub(super) fn new(read_back: ReadBack) -> Self {
        Self {
            read_back,
            started: false,
            ended: false,
            blocks: Vec::new(),
            next_index: 0,
            usage: ir::Usage::default(),
            stop: ir::Stop::default(),
            intervened: false,
        }
    }

    /// `None`: it lacks a field that an event of its kind has.
    fn stream_event(&mut self, event: StreamEvent<'_>, out: &mut Vec<Event>) -> Option<()> {
        match event.kind.as_ref() {
            "message_start" => {
                let message = event.message?;
                self.start(message.id, message.model, out);
                self.report(&message.usage.unwrap_or_default().to_ir(), out);
            }
            "content_block_start" => self.block_start(event.index?, event.content_block?, out),
            "content_block_delta" => self.block_delta(event.index?, event.delta?, out)?,
            "content_block_stop" => {
                let index = event.index?;
                if let Some(at) = self.blocks.iter().position(|block| block.wire == index) {
                    close(self.blocks.remove(at), out);
                }
            }
            "message_delta" => {
                let StreamDelta { stop_reason, stop_sequence, .. } = event.delta.unwrap_or_default();
                if stop_reason.is_some() {
                    self.stop = stop_from(stop_reason.as_deref(), stop_sequence);
                }
                self.report(&event.usage.unwrap_or_default().to_ir(), out);
            }
            "message_stop" => {
                self.start(None, None, out);
                self.report(&event.metrics.unwrap_or_default().to_ir(), out);
                self.blocks.drain(..).for_each(|block| close(block, out));
                out.push(Event::Stop(self.read_back.stop(std::mem::take(&mut self.stop), self.intervened)));
                self.ended = true;
            }
            "error" => {
                out.push(Event::Fault(fault_from(&event.error?, None)));
                self.ended = true;
            }
            "" => return None,
            // `ping`, or a new one.
            _ => {}
        }
        Some(())
    }

    fn start(&mut self, id: Option<String>, model: Option<String>, out: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            out.push(Event::Start { id, model });
        }
    }

    fn report(&mut self, later: &ir::Usage, out: &mut Vec<Event>) {
        let before = self.usage;
        merge_usage(&mut self.usage, later);
        if self.usage != before {
            out.push(Event::Usage(self.usage));
        }
    }

    fn block_start(&mut self, wire: u64, block: ContentBlock, out: &mut Vec<Event>) {
        self.start(None, None, out);
        let mut open = OpenBlock { wire, ..OpenBlock::default() };
        let mut first = Vec::new();
        let kind = match block {
            ContentBlock::Text { text, citations } => {
                open.characters = text.chars().count();
                open.sources = citations.as_array().cloned().unwrap_or_default();
                first.push(Delta::Text(text));
                BlockKind::Text
            }
            ContentBlock::Thinking { thinking, signature } => {
                first.push(Delta::Thinking(thinking));
                first.push(Delta::Signature(signature.unwrap_or_default()));
                BlockKind::Thinking
            }
            ContentBlock::RedactedThinking { data } => BlockKind::RedactedThinking(data),
            ContentBlock::ToolUse { id, name, input } => {
                open.whole_input = input.as_object().filter(|input| !input.is_empty()).map(|_| input.to_string());
                open.is_json = self.read_back.is_json_tool(&name);
                if open.is_json {
                    BlockKind::Text
                } else {
                    BlockKind::ToolUse { id, name: self.read_back.tool_name(&name).to_owned() }
                }
            }
            ContentBlock::Other => {
                self.blocks.push(open);
                return;
            }
        };
        let index = self.next_index;
        self.next_index += 1;
        open.index = Some(index);
        self.blocks.push(open);
        out.push(Event::BlockStart { index, kind });
        out.extend(first.into_iter().filter(|delta| !is_empty(delta)).map(|delta| Event::Delta { index, delta }));
    }

    fn block_delta(&mut self, wire: u64, delta: StreamDelta<'_>, out: &mut Vec<Event>) -> Option<()> {
        let Some(block) = self.blocks.iter_mut().find(|block| block.wire == wire) else { return Some(()) };
        let Some(index) = block.index else { return Some(()) };
        let delta = match delta.kind.as_ref() {
            "text_delta" => {
                let text = delta.text?;
                block.characters += text.chars().count();
                Delta::Text(text)
            }
            "citations_delta" => {
                block.sources.push(delta.citation);
                return Some(());
            }
            "thinking_delta" => Delta::Thinking(delta.thinking?),
            "signature_delta" => Delta::Signature(delta.signature?),
            "input_json_delta" if block.is_json => Delta::Text(delta.partial_json?),
            "input_json_delta" => Delta::ToolInput(delta.partial_json?),
            "" => return None,
            _ => return Some(()),
        };
        if !is_empty(&delta) {
            block.whole_input = None;
            out.push(Event::Delta { index, delta });
        }
        Some(())
    }
}

fn close(block: OpenBlock, out: &mut Vec<Event>) {
    let Some(index) = block.index else { return };
    if let Some(input) = block.whole_input {
        let delta = if block.is_json { Delta::Text(input) } else { Delta::ToolInput(input) };
        out.push(Event::Delta { index, delta });
    }
    let sources = block.sources.iter().filter_map(|citation| citation_of(citation, block.characters));
    out.extend(sources.map(|source| Event::Delta { index, delta: Delta::Citation(source) }));
    out.push(Event::BlockStop { index });
}

fn is_empty(delta: &Delta) -> bool {
    match delta {
        Delta::Text(text) | Delta::Thinking(text) | Delta::Signature(text) | Delta::ToolInput(text) => text.is_empty(),
        Delta::Logprobs(_) | Delta::Citation(_) => false,
    }
}

impl EventReader for Reader {
    fn response(&mut self, body: &[u8]) -> Result<ir::Response, WireError> {
        decode_response(body, &self.read_back)
    }

    fn event(&mut self, _event: &SseEvent, data: &[u8], out: &mut Vec<Event>) -> Result<(), WireError> {
        let event = match json::read::<StreamEvent<'_>>(data) {
            Ok(event) => event,
            // One that nobody knows yet may have anything under a known name.
            Err(_) if is_unknown(data) => return Ok(()),
            Err(error) => return Err(WireError::BadAnswer(format!("an event: {error}"))),
        };
        self.intervened |= self.read_back.intervened(data);
        let kind = event.kind.clone();
        self.stream_event(event, out).ok_or_else(|| WireError::BadAnswer(format!("an event {kind:?} lacks a field")))
    }

    fn ended(&self) -> bool {
        self.ended
    }
}

/// An event of a kind that has no meaning here?
fn is_unknown(data: &[u8]) -> bool {
    const KNOWN: [&str; 7] = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    ];
    #[derive(Deserialize)]
    struct Typed {
        r#type: String,
    }
    json::read::<Typed>(data).is_ok_and(|event| !KNOWN.contains(&event.r#type.as_str()))
}

/// Writes a stream for a client.
#[derive(Debug)]
pub struct Writer {
    seed: Seed,
    id: Option<String>,
    model: Option<String>,
    started: bool,
    open: Option<usize>,
    /// The signature of the open block so far.
    signature: String,
    usage: ir::Usage,
    stop: ir::Stop,
}

impl Writer {
    /// At the start of a stream.
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            id: None,
            model: None,
            started: false,
            open: None,
            signature: String::new(),
            usage: ir::Usage::default(),
            stop: ir::Stop::default(),
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.started = true;
        let message = json!({
            "id": message_id(self.id.as_deref(), &self.seed.request_id),
            "type": "message",
            "role": "assistant",
            "model": self.model.as_deref().unwrap_or_default(),
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage_value(&self.usage),
        });
        write_value(Some("message_start"), &json!({ "type": "message_start", "message": message }), out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(index) = self.open.take() else { return };
        if !self.signature.is_empty() {
            let signature = std::mem::take(&mut self.signature);
            send_delta(index, ("signature_delta", "signature"), &signature, out);
        }
        write_value(Some("content_block_stop"), &json!({ "type": "content_block_stop", "index": index }), out);
    }
}

/// More of a block: a delta of this kind, whose text is in this field.
fn send_delta(index: usize, (kind, field): (&str, &str), text: &str, out: &mut Vec<u8>) {
    begin_event(Some("content_block_delta"), out);
    let pieces = [
        Piece::Json("{\"type\":\"content_block_delta\",\"index\":"),
        Piece::Number(index as u64),
        Piece::Json(",\"delta\":{\"type\":\""),
        Piece::Json(kind),
        Piece::Json("\",\""),
        Piece::Json(field),
        Piece::Json("\":"),
        Piece::Text(text),
        Piece::Json("}}"),
    ];
    write_json(&pieces, out);
    end_event(out);
}

impl StreamWriter for Writer {
    fn start(&mut self, id: Option<&str>, model: Option<&str>, _out: &mut Vec<u8>) {
        self.id = id.map(str::to_owned);
        self.model = model.map(str::to_owned);
    }

    fn block_start(&mut self, index: usize, kind: &BlockKind, out: &mut Vec<u8>) {
        self.begin(out);
        self.close(out);
        self.open = Some(index);
        let block = match kind {
            BlockKind::Text | BlockKind::Refusal => json!({ "type": "text", "text": "" }),
            BlockKind::Thinking => json!({ "type": "thinking", "thinking": "", "signature": "" }),
            BlockKind::RedactedThinking(data) => json!({ "type": "redacted_thinking", "data": data }),
            BlockKind::ToolUse { id, name } => json!({ "type": "tool_use", "id": id, "name": name, "input": {} }),
        };
        let event = json!({ "type": "content_block_start", "index": index, "content_block": block });
        write_value(Some("content_block_start"), &event, out);
    }

    /// A block that another one has already closed is not closed twice.
    fn block_stop(&mut self, index: usize, out: &mut Vec<u8>) {
        if self.open == Some(index) {
            self.close(out);
        }
    }

    fn usage(&mut self) -> &mut ir::Usage {
        &mut self.usage
    }

    fn stop(&mut self, stop: &ir::Stop, _out: &mut Vec<u8>) {
        self.stop = stop.clone();
    }

    fn block_delta(&mut self, index: usize, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) => send_delta(index, ("text_delta", "text"), text, out),
            Delta::Thinking(text) => send_delta(index, ("thinking_delta", "thinking"), text, out),
            Delta::ToolInput(text) => send_delta(index, ("input_json_delta", "partial_json"), text, out),
            Delta::Signature(part) => self.signature.push_str(part),
            // No client of this dialect can ask for the first, and Anthropic's own form of the second has a proof that only it can make.
            Delta::Logprobs(_) | Delta::Citation(_) => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.close(out);
        let delta = json!({ "stop_reason": stop_name(self.stop.reason), "stop_sequence": self.stop.sequence });
        let event = json!({ "type": "message_delta", "delta": delta, "usage": usage_value(&self.usage) });
        write_value(Some("message_delta"), &event, out);
        write_value(Some("message_stop"), &json!({ "type": "message_stop" }), out);
    }

    fn fault(&mut self, fault: &Fault, request_id: &str, out: &mut Vec<u8>) {
        write_event(Some("error"), &encode_error(fault, request_id), out);
    }
}
