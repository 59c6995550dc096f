//! AWS event-stream frames, as the Bedrock runtime sends them.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

fn frame(headers: [(&'static str, &str); 3], payload: &Value) -> Bytes {
    let headers = headers.map(|(name, value)| Header::new(name, HeaderValue::String(value.to_owned().into())));
    let message = Message::new_from_parts(headers.to_vec(), payload.to_string().into_bytes());
    let mut out = Vec::new();
    // Only a header over 64 KiB fails, and these are constants.
    if write_message_to(&message, &mut out).is_err() {
        out.clear();
    }
    out.into()
}

fn padding(payload: &Value) -> &'static str {
    PADDING.get(..payload.to_string().len() * 7 % PADDING.len()).unwrap_or_default()
}

/// An event of ConverseStream.
pub(crate) fn event(kind: &str, mut payload: Value) -> Bytes {
    payload["p"] = json!(padding(&payload));
    frame([(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")], &payload)
}

/// A chunk of InvokeModelWithResponseStream.
pub(crate) fn chunk(inner: &Value) -> Bytes {
    let payload = json!({"bytes": STANDARD.encode(inner.to_string()), "p": padding(inner)});
    frame([(":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event")], &payload)
}

/// A modelled exception inside a stream.
pub(crate) fn exception(kind: &str, message: &str) -> Bytes {
    let mut payload = json!({"message": message});
    if kind == "modelStreamErrorException" {
        payload["originalStatusCode"] = json!(500);
        payload["originalMessage"] = json!(message);
    }
    frame([(":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")], &payload)
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::read_message_from;

    use super::*;

    #[test]
    fn frames_have_the_headers_of_recorded_ones() {
        let recorded =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/wire-samples/bedrock/basic.bin");
        let Ok(recorded) = std::fs::read(recorded) else {
            eprintln!("skipped: ../shared/wire-samples is not there");
            return;
        };
        let theirs = read_message_from(&mut &recorded[..]).unwrap();
        let ours = read_message_from(&mut &event("messageStart", json!({"role": "assistant"}))[..]).unwrap();
        assert_eq!(theirs.headers(), ours.headers());
        let payload: Value = serde_json::from_slice(ours.payload()).unwrap();
        assert_eq!(payload["role"], "assistant");
    }
}
