//! What readers of streams have in common: events are cut out of the bytes, and blocks are opened one at a time.

use std::fmt::Debug;

use crate::codec::ResponseReader;
use crate::error::WireError;
use crate::ir::{self, BlockKind, Event};
use crate::sse::{SseEvent, SseParser};

/// What a dialect makes of its answers, whose streams are server-sent events.
pub(crate) trait EventReader: Send + Debug {
    /// A whole (not streamed) 2xx body.
    fn response(&mut self, body: &[u8]) -> Result<ir::Response, WireError>;
    /// One event, and its data, which is not empty.
    fn event(&mut self, event: &SseEvent, data: &[u8], out: &mut Vec<Event>) -> Result<(), WireError>;
    /// `Stop` or `Fault` was given: what follows is not looked at.
    fn ended(&self) -> bool;
    /// The bytes have ended before [`Self::ended`] (case 24).
    fn cut_off(&mut self, _out: &mut Vec<Event>) -> Result<(), WireError> {
        Err(WireError::Incomplete)
    }
}

/// Reads one answer of an upstream that streams server-sent events.
#[derive(Debug)]
pub(crate) struct SseReader {
    parser: SseParser,
    dialect: Box<dyn EventReader>,
}

impl SseReader {
    /// At the start of an answer.
    pub(crate) fn boxed(dialect: impl EventReader + 'static) -> Box<dyn ResponseReader> {
        Box::new(Self { parser: SseParser::new(), dialect: Box::new(dialect) })
    }

    fn event(&mut self, event: &SseEvent, out: &mut Vec<Event>) -> Result<(), WireError> {
        let data = event.data();
        let data = data.trim_ascii();
        if self.dialect.ended() || data.is_empty() { Ok(()) } else { self.dialect.event(event, data, out) }
    }
}

impl ResponseReader for SseReader {
    fn response(&mut self, body: &[u8]) -> Result<ir::Response, WireError> {
        self.dialect.response(body)
    }

    fn chunk(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), WireError> {
        if self.dialect.ended() {
            return Ok(());
        }
        self.parser.push(bytes)?;
        while let Some(event) = self.parser.next_event() {
            self.event(&event, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), WireError> {
        if let Some(event) = self.parser.finish() {
            self.event(&event, out)?;
        }
        if self.dialect.ended() { Ok(()) } else { self.dialect.cut_off(out) }
    }
}

/// The blocks of an answer of which one at a time is open. `S`: where a block's content stands in the answer.
#[derive(Debug)]
pub(crate) struct Blocks<S> {
    next: usize,
    open: Option<(usize, S)>,
}

impl<S> Default for Blocks<S> {
    fn default() -> Self {
        Self { next: 0, open: None }
    }
}

impl<S: Copy + PartialEq> Blocks<S> {
    /// The index of the open block, if it is this one.
    pub(crate) fn open(&self, source: S) -> Option<usize> {
        self.open.filter(|(_, open)| *open == source).map(|(index, _)| index)
    }

    /// Begins a block, and ends the one before.
    pub(crate) fn begin(&mut self, source: S, kind: BlockKind, out: &mut Vec<Event>) -> usize {
        self.close(out);
        let index = self.next;
        self.next += 1;
        self.open = Some((index, source));
        out.push(Event::BlockStart { index, kind });
        index
    }

    /// Ends the open block.
    pub(crate) fn close(&mut self, out: &mut Vec<Event>) {
        if let Some((index, _)) = self.open.take() {
            out.push(Event::BlockStop { index });
        }
    }
}
