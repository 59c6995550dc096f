//! Streams: ConverseStream's event-stream frames to IR events.
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html>
//!
//! 1. Bytes gather until a frame is whole; its checksums are checked; a length that no frame has ends the stream.
//! 2. An exception or error frame is a fault, and nothing follows it.
//! 3. Blocks get indexes of our own, because Bedrock announces only tool blocks: text and reasoning open with their first delta, and a block
//!    closes with `contentBlockStop`, with the next block, or with the message.
//! 4. `metadata` comes after `messageStop`: `Stop` waits for it, so that `Usage` goes before. A stream that ends after `messageStop` is
//!    complete without it; one that ends before is not (case 24).

use std::collections::BTreeMap;

use aws_smithy_types::event_stream::Message;
use serde::de::DeserializeOwned;

use super::error::stream_fault;
use super::response::{call_of, decode_response, is_the_clients, join_base64, parse, stop_of, usage_of};
use super::types::{
    BlockDelta, BlockDeltaEvent, BlockStartEvent, BlockStopEvent, MessageStopEvent, MetadataEvent, ReasoningDelta,
};
use crate::codec::ResponseReader;
use crate::error::WireError;
use crate::frames::{Frames, header};
use crate::ir::{BlockKind, Delta, Event, Fault, Response, Stop, Usage};
use crate::names::ToolNames;

/// Reads one answer of Converse or ConverseStream.
#[derive(Debug)]
pub(super) struct Reader {
    names: ToolNames,
    stops: Vec<String>,
    frames: Frames,
    state: State,
}

/// ## `Reading` => `Stopped` (`messageStop`) => `Done` (`metadata`, or the end) | `Done` (fault)
#[derive(Debug, Default)]
struct State {
    started: bool,
    open: Option<Open>,
    blocks: usize,
    /// Tool blocks by Bedrock's index; `None`: a call that is not for the client.
    tools: BTreeMap<u64, Option<usize>>,
    metered: bool,
    stop: Option<Stop>,
    done: bool,
}

/// The block that is open.
#[derive(Debug)]
struct Open {
    /// Bedrock's index of it.
    theirs: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Text {
        index: usize,
    },
    Thinking {
        index: usize,
    },
    Tool {
        index: usize,
    },
    /// Has no index before it is whole.
    Redacted {
        pieces: Vec<String>,
    },
}

impl Reader {
    pub(super) fn new(names: ToolNames, stops: Vec<String>) -> Self {
        Self { names, stops, frames: Frames::default(), state: State::default() }
    }

    fn frame(&mut self, message: &Message, out: &mut Vec<Event>) -> Result<(), WireError> {
        let payload = message.payload();
        match header(message, ":message-type").unwrap_or("event") {
            "event" => self.event(header(message, ":event-type").unwrap_or_default(), payload, out),
            "exception" => {
                let fault = stream_fault(header(message, ":exception-type").unwrap_or_default(), payload, None);
                self.state.fault(fault, out);
                Ok(())
            }
            "error" => {
                let code = header(message, ":error-code").unwrap_or_default();
                let fault = stream_fault(code, payload, header(message, ":error-message"));
                self.state.fault(fault, out);
                Ok(())
            }
            // A kind of message that we do not know is no part of the answer.
            _ => Ok(()),
        }
    }

    fn event(&mut self, kind: &str, payload: &[u8], out: &mut Vec<Event>) -> Result<(), WireError> {
        let state = &mut self.state;
        match kind {
            "messageStart" => state.start(out),
            "contentBlockStart" if state.stop.is_none() => {
                state.block_start(read(kind, payload)?, &self.names, out);
            }
            "contentBlockDelta" if state.stop.is_none() => {
                let event: BlockDeltaEvent = read(kind, payload)?;
                if let Some(delta) = event.delta {
                    state.delta(event.content_block_index, delta, out)?;
                }
            }
            "contentBlockStop" => {
                let event: BlockStopEvent = read(kind, payload)?;
                if state.open.as_ref().is_some_and(|open| open.theirs == event.content_block_index) {
                    state.close(out);
                }
            }
            "messageStop" if state.stop.is_none() => {
                let event: MessageStopEvent = read(kind, payload)?;
                state.start(out);
                state.close(out);
                let fields = event.additional_model_response_fields.as_ref();
                state.stop = Some(stop_of(event.stop_reason.as_deref(), fields, &self.stops));
                if state.metered {
                    state.end(out);
                }
            }
            "metadata" => {
                let event: MetadataEvent = read(kind, payload)?;
                state.start(out);
                state.metered = true;
                let usage = usage_of(event.usage.as_ref(), &event.service_tier);
                if usage != Usage::default() {
                    out.push(Event::Usage(usage));
                }
                state.end(out);
            }
            _ => {}
        }
        Ok(())
    }
}

impl State {
    fn start(&mut self, out: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            out.push(Event::Start { id: None, model: None });
        }
    }

    /// Bedrock announces tools; of what else it may announce, the deltas say what it is, or we do not know it.
    fn block_start(&mut self, event: BlockStartEvent, names: &ToolNames, out: &mut Vec<Event>) {
        self.close(out);
        let Some(call) = event.start.and_then(|start| start.tool_use) else { return };
        if !is_the_clients(&call) {
            self.tools.insert(event.content_block_index, None);
            return;
        }
        let (id, name) = call_of(&call, names, self.blocks);
        let index = self.begin(BlockKind::ToolUse { id, name }, out);
        self.tools.insert(event.content_block_index, Some(index));
        self.open = Some(Open { theirs: event.content_block_index, content: Content::Tool { index } });
    }

    fn delta(&mut self, theirs: u64, delta: BlockDelta, out: &mut Vec<Event>) -> Result<(), WireError> {
        if let Some(text) = delta.text.filter(|text| !text.is_empty()) {
            let index = self.text(theirs, out);
            out.push(Event::Delta { index, delta: Delta::Text(text) });
        }
        if let Some(tool) = delta.tool_use {
            match self.tools.get(&theirs) {
                Some(Some(index)) if !tool.input.is_empty() => {
                    out.push(Event::Delta { index: *index, delta: Delta::ToolInput(tool.input) });
                }
                Some(_) => {}
                None => return Err(WireError::BadAnswer("its stream has a tool's input without the tool".to_owned())),
            }
        }
        if let Some(reasoning) = delta.reasoning_content {
            self.reasoning(theirs, reasoning, out);
        }
        Ok(())
    }

    fn text(&mut self, theirs: u64, out: &mut Vec<Event>) -> usize {
        match &self.open {
            Some(Open { theirs: open, content: Content::Text { index } }) if *open == theirs => *index,
            _ => {
                let index = self.begin(BlockKind::Text, out);
                self.open = Some(Open { theirs, content: Content::Text { index } });
                index
            }
        }
    }

    fn reasoning(&mut self, theirs: u64, delta: ReasoningDelta, out: &mut Vec<Event>) {
        let parts = [delta.text.map(Delta::Thinking), delta.signature.map(Delta::Signature)];
        for part in parts.into_iter().flatten() {
            if !matches!(&part, Delta::Thinking(text) | Delta::Signature(text) if text.is_empty()) {
                let index = self.thinking(theirs, out);
                out.push(Event::Delta { index, delta: part });
            }
        }
        let Some(piece) = delta.redacted_content.filter(|piece| !piece.is_empty()) else { return };
        match &mut self.open {
            Some(Open { theirs: open, content: Content::Redacted { pieces } }) if *open == theirs => pieces.push(piece),
            _ => {
                self.start(out);
                self.close(out);
                self.open = Some(Open { theirs, content: Content::Redacted { pieces: vec![piece] } });
            }
        }
    }

    fn thinking(&mut self, theirs: u64, out: &mut Vec<Event>) -> usize {
        match &self.open {
            Some(Open { theirs: open, content: Content::Thinking { index } }) if *open == theirs => *index,
            _ => {
                let index = self.begin(BlockKind::Thinking, out);
                self.open = Some(Open { theirs, content: Content::Thinking { index } });
                index
            }
        }
    }

    fn begin(&mut self, kind: BlockKind, out: &mut Vec<Event>) -> usize {
        self.start(out);
        self.close(out);
        let index = self.blocks;
        self.blocks += 1;
        out.push(Event::BlockStart { index, kind });
        index
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        let index = match self.open.take().map(|open| open.content) {
            None => return,
            Some(Content::Text { index } | Content::Thinking { index } | Content::Tool { index }) => index,
            Some(Content::Redacted { pieces }) => self.begin(BlockKind::RedactedThinking(join_base64(&pieces)), out),
        };
        out.push(Event::BlockStop { index });
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        if let Some(stop) = self.stop.clone() {
            self.done = true;
            out.push(Event::Stop(stop));
        }
    }

    fn fault(&mut self, fault: Fault, out: &mut Vec<Event>) {
        self.done = true;
        out.push(Event::Fault(fault));
    }
}

impl ResponseReader for Reader {
    fn response(&mut self, body: &[u8]) -> Result<Response, WireError> {
        decode_response(body, &self.names, &self.stops)
    }

    fn chunk(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), WireError> {
        if self.state.done {
            return Ok(());
        }
        self.frames.push(bytes);
        while !self.state.done
            && let Some(message) = self.frames.next_frame()?
        {
            self.frame(&message, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), WireError> {
        if self.state.done {
            return Ok(());
        }
        if self.state.stop.is_none() || !self.frames.is_empty() {
            return Err(WireError::Incomplete);
        }
        self.state.end(out);
        Ok(())
    }
}

fn read<T: DeserializeOwned>(kind: &str, payload: &[u8]) -> Result<T, WireError> {
    parse(payload, kind)
}

#[cfg(test)]
mod tests;
