//! The JSON array of answers that `:streamGenerateContent` is without `?alt=sse`: read from an upstream, written for a client.

use bytes::{Buf, BytesMut};

use crate::error::WireError;
use crate::sse::SseParser;

/// An element larger than this is refused: the upstream is broken, or hostile.
const MAX_ELEMENT_BYTES: usize = 32 * 1024 * 1024;

/// Cuts an array of objects into its elements, however its bytes are split. What stands between them is skipped.
#[derive(Debug, Default)]
pub(super) struct ArrayParser {
    buffer: BytesMut,
    /// Everything before it has been looked at.
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl ArrayParser {
    /// Takes more bytes. Call [`Self::next_element`] until it gives none.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() > MAX_ELEMENT_BYTES {
            return Err(WireError::BadAnswer("one element of its stream is over 32 MiB".to_owned()));
        }
        Ok(())
    }

    /// The next whole object.
    pub(super) fn next_element(&mut self) -> Option<Vec<u8>> {
        while let Some(byte) = self.buffer.get(self.scanned).copied() {
            self.scanned += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' if self.depth > 0 => self.in_string = true,
                b'{' => {
                    if self.depth == 0 {
                        self.buffer.advance(self.scanned - 1);
                        self.scanned = 1;
                    }
                    self.depth += 1;
                }
                b'}' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        let element = self.buffer.split_to(self.scanned).to_vec();
                        self.scanned = 0;
                        return Some(element);
                    }
                }
                _ => {}
            }
        }
        if self.depth == 0 {
            self.buffer.clear();
            self.scanned = 0;
        }
        None
    }
}

/// Turns a stream of events for a Gemini client into the array.
#[derive(Debug, Default)]
pub struct ArrayForm {
    parser: SseParser,
    begun: bool,
}

impl ArrayForm {
    /// More events; any split of their bytes gives the same array.
    pub fn push(&mut self, events: &[u8], out: &mut Vec<u8>) {
        // An event over the parser's limit has been refused where it was read.
        if self.parser.push(events).is_err() {
            return;
        }
        while let Some(event) = self.parser.next_event() {
            self.element(&event.data(), out);
        }
    }

    /// The events have ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(event) = self.parser.finish() {
            self.element(&event.data(), out);
        }
        out.extend_from_slice(if self.begun { b"\n]\n" } else { b"[]\n" });
    }

    fn element(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if data.is_empty() {
            return;
        }
        out.extend_from_slice(if self.begun { b",\n" } else { b"[" });
        self.begun = true;
        out.extend_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRAY: &[u8] = b"[{\"a\":\"}\\\"{\",\"b\":[{}]}\n,\r\n{\"c\":{\"d\":1}}\n]\n";

    fn elements(pieces: &[&[u8]]) -> Vec<String> {
        let mut parser = ArrayParser::default();
        let mut out = Vec::new();
        for piece in pieces {
            parser.push(piece).unwrap();
            out.extend(std::iter::from_fn(|| parser.next_element()).map(|e| String::from_utf8(e).unwrap()));
        }
        out
    }

    #[test]
    fn any_split_gives_the_same_elements() {
        let whole = elements(&[ARRAY]);
        assert_eq!(whole, [r#"{"a":"}\"{","b":[{}]}"#, r#"{"c":{"d":1}}"#]);
        for cut in 0..ARRAY.len() {
            assert_eq!(elements(&[&ARRAY[..cut], &ARRAY[cut..]]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn events_become_an_array() {
        for cut in 0..20 {
            let events = b"data: {\"a\":1}\n\n: ping\n\ndata: {\"b\":2}\n\n";
            let (mut form, mut out) = (ArrayForm::default(), Vec::new());
            form.push(&events[..cut], &mut out);
            form.push(&events[cut..], &mut out);
            form.finish(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), "[{\"a\":1},\n{\"b\":2}\n]\n");
        }
        let mut out = Vec::new();
        ArrayForm::default().finish(&mut out);
        assert_eq!(out, b"[]\n");
    }
}
