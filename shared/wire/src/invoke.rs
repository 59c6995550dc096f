//! The frames of Bedrock's InvokeModelWithResponseStream, as the server-sent events that Anthropic itself would send.
//!
//! Each frame's payload is `{"bytes":"<base64 of one event's JSON>"}`
//! (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html>). An exception frame becomes an `error` event.

use aws_smithy_types::event_stream::Message;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::error::WireError;
use crate::frames::{Frames, header};
use crate::ir::{Fault, FaultKind};
use crate::json;
use crate::{messages, sse};

/// Unwraps a stream of frames, however its bytes were split.
#[derive(Debug, Default)]
pub struct InvokeFrames {
    frames: Frames,
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
        self.frames.push(bytes);
        while let Some(message) = self.frames.next_frame()? {
            write(&message, out)?;
        }
        Ok(())
    }
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
    let chunk: Chunk<'_> = json::read(message.payload()).map_err(|e| bad(e.to_string()))?;
    let data = STANDARD.decode(chunk.bytes).map_err(|e| bad(e.to_string()))?;
    let Kind { kind } = json::read(&data).map_err(|e| bad(e.to_string()))?;
    sse::write_event(Some(&kind), &data, out);
    Ok(())
}

fn write_exception(kind: &str, payload: &[u8], out: &mut Vec<u8>) {
    #[derive(Deserialize)]
    struct Exception {
        #[serde(alias = "Message", default)]
        message: String,
    }
    let text = json::read::<Exception>(payload).map(|e| e.message).unwrap_or_default();
    let fault = Fault::new(crate::fault::aws_kind(kind).unwrap_or(FaultKind::Api), format!("{kind}: {text}"));
    sse::write_event(Some("error"), &messages::encode_error(&fault, ""), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue};

    fn frame(headers: &[(&'static str, &'static str)], payload: String) -> Vec<u8> {
        let mut message = Message::new(payload);
        for (name, value) in headers {
            message = message.add_header(Header::new(*name, HeaderValue::String((*value).into())));
        }
        let mut out = Vec::new();
        write_message_to(&message, &mut out).unwrap();
        out
    }

    fn chunk(event: &str) -> Vec<u8> {
        let payload = format!(r#"{{"bytes":"{}","p":"abc"}}"#, STANDARD.encode(event));
        frame(&[(":message-type", "event"), (":event-type", "chunk")], payload)
    }

    #[test]
    fn frames_become_the_events_that_anthropic_would_send_however_they_are_split() {
        let events = [r#"{"type":"message_start","message":{}}"#, r#"{"type":"message_stop"}"#];
        let bytes = events.map(chunk).concat();
        let expected: String = ["message_start", "message_stop"]
            .iter()
            .zip(events)
            .map(|(n, e)| format!("event: {n}\ndata: {e}\n\n"))
            .collect();
        for size in [1, 2, 3, 7, 50, bytes.len()] {
            let (mut frames, mut out) = (InvokeFrames::new(), Vec::new());
            for piece in bytes.chunks(size) {
                frames.push(piece, &mut out).unwrap();
            }
            assert_eq!(String::from_utf8(out).unwrap(), expected, "pieces of {size}");
        }
    }

    #[test]
    fn an_exception_frame_becomes_an_error_event() {
        let headers = [(":message-type", "exception"), (":exception-type", "throttlingException")];
        let mut out = Vec::new();
        InvokeFrames::new().push(&frame(&headers, r#"{"message":"slow down"}"#.to_owned()), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("event: error\n") && text.contains("rate_limit_error") && text.contains("slow down"),
            "{text}"
        );
    }

    #[test]
    fn a_frame_of_an_impossible_length_or_a_broken_checksum_is_refused() {
        assert!(InvokeFrames::new().push(&[0xff; 16], &mut Vec::new()).is_err());
        let mut broken = chunk(r#"{"type":"ping"}"#);
        if let Some(byte) = broken.last_mut() {
            *byte ^= 1;
        }
        assert!(InvokeFrames::new().push(&broken, &mut Vec::new()).is_err());
    }
}
