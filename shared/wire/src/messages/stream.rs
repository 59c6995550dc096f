//! Streams: an upstream's bytes to events, events to a client's bytes.
//!
//! Reader: `Start => blocks => Ended`, where `Ended` is after `message_stop` or `error`; bytes after it are ignored, and an end before it is
//! an error (case 24). A block of an unknown kind is skipped with its deltas, and the others are numbered without a gap.
//!
//! Writer: `message_start` waits for the first block, so that usage that came with the start is in it; it is written once. One block is open at a
//! time. A signature is written whole, before its block stops: the official clients keep only the last `signature_delta`.

use serde::Serialize;
use serde_json::{Value, json};

use super::error::{encode_error, fault_from};
use super::request::ReadBack;
use super::response::decode_response;
use super::types::{
    BlockDelta, ContentBlock, MessageDelta, StreamEvent, citation_of, merge_usage, message_id, stop_from, stop_name,
    usage_value,
};
use crate::codec::{Seed, StreamWriter};
use crate::error::WireError;
use crate::ir::{self, BlockKind, Delta, Event, Fault};
use crate::reading::EventReader;
use crate::sse::{SseEvent, write_event};

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

    fn stream_event(&mut self, event: StreamEvent, out: &mut Vec<Event>) {
        match event {
            StreamEvent::MessageStart { message } => {
                self.start(message.id, message.model, out);
                self.report(&message.usage.unwrap_or_default().to_ir(), out);
            }
            StreamEvent::ContentBlockStart { index, content_block } => self.block_start(index, content_block, out),
            StreamEvent::ContentBlockDelta { index, delta } => self.block_delta(index, delta, out),
            StreamEvent::ContentBlockStop { index } => {
                if let Some(at) = self.blocks.iter().position(|block| block.wire == index) {
                    close(self.blocks.remove(at), out);
                }
            }
            StreamEvent::MessageDelta { delta: MessageDelta { stop_reason, stop_sequence }, usage } => {
                if stop_reason.is_some() {
                    self.stop = stop_from(stop_reason.as_deref(), stop_sequence);
                }
                self.report(&usage.unwrap_or_default().to_ir(), out);
            }
            StreamEvent::MessageStop { metrics } => {
                self.start(None, None, out);
                self.report(&metrics.unwrap_or_default().to_ir(), out);
                self.blocks.drain(..).for_each(|block| close(block, out));
                out.push(Event::Stop(self.read_back.stop(std::mem::take(&mut self.stop), self.intervened)));
                self.ended = true;
            }
            StreamEvent::Error { error } => {
                out.push(Event::Fault(fault_from(&error, None)));
                self.ended = true;
            }
            StreamEvent::Other => {}
        }
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

    fn block_delta(&mut self, wire: u64, delta: BlockDelta, out: &mut Vec<Event>) {
        let Some(block) = self.blocks.iter_mut().find(|block| block.wire == wire) else { return };
        let Some(index) = block.index else { return };
        let delta = match delta {
            BlockDelta::Text { text } => {
                block.characters += text.chars().count();
                Delta::Text(text)
            }
            BlockDelta::Citations { citation } => {
                block.sources.push(citation);
                return;
            }
            BlockDelta::Thinking { thinking } => Delta::Thinking(thinking),
            BlockDelta::Signature { signature } => Delta::Signature(signature),
            BlockDelta::InputJson { partial_json } if block.is_json => Delta::Text(partial_json),
            BlockDelta::InputJson { partial_json } => Delta::ToolInput(partial_json),
            BlockDelta::Other => return,
        };
        if !is_empty(&delta) {
            block.whole_input = None;
            out.push(Event::Delta { index, delta });
        }
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
        let event = serde_json::from_slice(data).map_err(|error| WireError::BadAnswer(format!("an event: {error}")))?;
        self.intervened |= self.read_back.intervened(data);
        self.stream_event(event, out);
        Ok(())
    }

    fn ended(&self) -> bool {
        self.ended
    }
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
        send("message_start", &json!({ "type": "message_start", "message": message }), out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(index) = self.open.take() else { return };
        if !self.signature.is_empty() {
            let signature = std::mem::take(&mut self.signature);
            send_delta(index, &DeltaOut::Signature { signature: &signature }, out);
        }
        send("content_block_stop", &json!({ "type": "content_block_stop", "index": index }), out);
    }
}

fn send(name: &str, data: &Value, out: &mut Vec<u8>) {
    write_event(Some(name), data.to_string().as_bytes(), out);
}

/// The event that a stream is made of: written without a tree.
#[derive(Serialize)]
struct DeltaEvent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    index: usize,
    delta: &'a DeltaOut<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum DeltaOut<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
}

fn send_delta(index: usize, delta: &DeltaOut<'_>, out: &mut Vec<u8>) {
    const KIND: &str = "content_block_delta";
    let mut data = Vec::with_capacity(128);
    // Text and numbers into memory: it cannot fail.
    if serde_json::to_writer(&mut data, &DeltaEvent { kind: KIND, index, delta }).is_ok() {
        write_event(Some(KIND), &data, out);
    }
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
        send("content_block_start", &event, out);
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
        let delta = match delta {
            Delta::Text(text) => DeltaOut::Text { text },
            Delta::Thinking(thinking) => DeltaOut::Thinking { thinking },
            Delta::ToolInput(partial_json) => DeltaOut::InputJson { partial_json },
            Delta::Signature(part) => {
                self.signature.push_str(part);
                return;
            }
            // No client of this dialect can ask for the first, and Anthropic's own form of the second has a proof that only it can make.
            Delta::Logprobs(_) | Delta::Citation(_) => return,
        };
        send_delta(index, &delta, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.close(out);
        let delta = json!({ "stop_reason": stop_name(self.stop.reason), "stop_sequence": self.stop.sequence });
        let event = json!({ "type": "message_delta", "delta": delta, "usage": usage_value(&self.usage) });
        send("message_delta", &event, out);
        send("message_stop", &json!({ "type": "message_stop" }), out);
    }

    fn fault(&mut self, fault: &Fault, request_id: &str, out: &mut Vec<u8>) {
        write_event(Some("error"), &encode_error(fault, request_id), out);
    }
}
