//! Streams: an upstream's bytes to events, events to a client's bytes.

mod reader;
mod writer;

pub(super) use reader::Reader;
pub use writer::Writer;
