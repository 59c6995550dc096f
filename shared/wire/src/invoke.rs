//! The frames of Bedrock's InvokeModelWithResponseStream, as the server-sent events that Anthropic itself would send.
//!
//! Each frame's payload is `{"bytes":"<base64 of one event's JSON>"}`
//! (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html>). An exception frame becomes an `error` event.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use serde::Deserialize;

use crate::error::WireError;
use crate::ir::{Fault, FaultKind};
use crate::{messages, sse};

/// A frame that announces more than this is refused; the service's own limit is 16 MiB.
const MAX_FRAME_BYTES: u32 = 24 * 1024 * 1024;

/// Unwraps a stream of frames, however its bytes were split.
#[derive(Debug, Default)]
pub struct InvokeFrames {
    decoder: MessageFrameDecoder,
    buffer: BytesMut,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    bytes: &'a str,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type", default)]
    kind: String,
}

impl InvokeFrames {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes more bytes; appends whole events.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        self.buffer.extend_from_slice(bytes);
        loop {
            let announced = self.buffer.first_chunk::<4>().map(|length| u32::from_be_bytes(*length));
            if announced.is_some_and(|length| length > MAX_FRAME_BYTES) {
                return Err(WireError::BadAnswer("a frame of its stream is too large".to_owned()));
            }
            let frame = self.decoder.decode_frame(&mut self.buffer).map_err(|e| WireError::BadAnswer(e.to_string()))?;
            match frame {
                DecodedFrame::Complete(message) => write(&message, out)?,
                DecodedFrame::Incomplete => return Ok(()),
            }
        }
    }
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let header = message.headers().iter().find(|h| h.name().as_str() == name)?;
    header.value().as_string().ok().map(|value| value.as_str())
}

fn write(message: &Message, out: &mut Vec<u8>) -> Result<(), WireError> {
    if matches!(header(message, ":message-type"), Some("exception" | "error")) {
        let kind = header(message, ":exception-type").or_else(|| header(message, ":error-code")).unwrap_or_default();
        write_exception(kind, message.payload(), out);
        return Ok(());
    }
    if header(message, ":event-type") != Some("chunk") {
        return Ok(());
    }
    let bad = |e: String| WireError::BadAnswer(format!("a chunk of its stream: {e}"));
    let chunk: Chunk<'_> = serde_json::from_slice(message.payload()).map_err(|e| bad(e.to_string()))?;
    let data = STANDARD.decode(chunk.bytes).map_err(|e| bad(e.to_string()))?;
    let Kind { kind } = serde_json::from_slice(&data).map_err(|e| bad(e.to_string()))?;
    sse::write_event(Some(&kind), &data, out);
    Ok(())
}

fn write_exception(kind: &str, payload: &[u8], out: &mut Vec<u8>) {
    #[derive(Deserialize)]
    struct Exception {
        #[serde(alias = "Message", default)]
        message: String,
    }
    let text = serde_json::from_slice::<Exception>(payload).map(|e| e.message).unwrap_or_default();
    let fault = Fault::new(messages::bedrock::aws_kind(kind).unwrap_or(FaultKind::Api), format!("{kind}: {text}"));
    sse::write_event(Some("error"), &messages::encode_error(&fault, ""), out);
}
