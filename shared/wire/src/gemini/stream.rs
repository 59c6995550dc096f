//! Streams: an upstream's to events, events to a client.

mod assembler;
mod reader;
mod writer;

pub(super) use assembler::Assembler;
pub(super) use reader::Reader;
pub use writer::Writer;
