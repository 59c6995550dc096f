//! Streams: an upstream's bytes to events, events to a client's bytes.

mod reader;
mod writer;

pub use writer::Writer;

use crate::codec::ResponseReader;
use crate::names::ToolNames;
use crate::reading::SseReader;

/// Reads one answer of an upstream.
pub(super) fn reader(names: ToolNames) -> Box<dyn ResponseReader> {
    SseReader::boxed(reader::Reader::new(names))
}
