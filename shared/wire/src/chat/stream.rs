//! Streams: an upstream's bytes to events, events to a client's bytes.
//!
//! <https://platform.openai.com/docs/api-reference/chat-streaming>

mod reader;
mod writer;

pub(in crate::chat) use reader::Reader;
pub use writer::Writer;
