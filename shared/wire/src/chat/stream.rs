//! Streams: an upstream's bytes to events, events to a client's bytes.

use crate::codec::{Seed, StreamWriter};
use crate::ir::{Event, Fault};

/// Writes a stream for a client.
#[derive(Debug)]
pub struct Writer {}

impl Writer {
    /// At the start of a stream.
    pub fn new(_seed: Seed, _include_usage: bool) -> Self {
        todo!()
    }
}

impl StreamWriter for Writer {
    fn event(&mut self, _event: &Event, _out: &mut Vec<u8>) {
        todo!()
    }
    fn finish(&mut self, _out: &mut Vec<u8>) {
        todo!()
    }
    fn fault(&mut self, _fault: &Fault, _request_id: &str, _out: &mut Vec<u8>) {
        todo!()
    }
}
