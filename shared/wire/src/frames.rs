//! AWS event-stream frames: <https://smithy.io/2.0/aws/amazon-eventstream.html>. Cut out of a byte stream, checksums checked.

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::Message;
use bytes::{Buf, BytesMut};

use crate::error::WireError;

/// Largest frame: a payload of 16 MiB and headers of 128 KiB, and room.
const MAX_FRAME_BYTES: usize = 24 * 1024 * 1024;
/// Two lengths and their checksum before the headers, and a checksum after the payload.
const MIN_FRAME_BYTES: usize = 16;

/// Gathers bytes until a frame is whole. (`MessageFrameDecoder` of the same crate accepts any length and hides a partial frame.)
#[derive(Debug, Default)]
pub(crate) struct Frames {
    buffer: BytesMut,
}

impl Frames {
    /// Takes more bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Is there no part of a frame left?
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// The next whole frame.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Message>, WireError> {
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if !(MIN_FRAME_BYTES..=MAX_FRAME_BYTES).contains(&length) {
            return Err(WireError::BadAnswer("a frame of its stream has an impossible length".to_owned()));
        }
        if self.buffer.len() < length {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(length).freeze();
        let message = read_message_from(&mut frame);
        let message =
            message.map_err(|error| WireError::BadAnswer(format!("a frame of its stream is broken: {error}")))?;
        if frame.has_remaining() {
            return Err(WireError::BadAnswer("a frame of its stream has a wrong length".to_owned()));
        }
        Ok(Some(message))
    }
}

/// A header's text.
pub(crate) fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
    header.value().as_string().ok().map(|value| value.as_str())
}
