//! Server-sent events: <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>.
//!
//! Line ends may be `\n`, `\r\n` or `\r`; the space after the colon may be missing; comments and unknown fields are skipped; an event may
//! arrive in any number of pieces, and a piece may hold many events (case 23).

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use serde_json::Value;

use crate::error::WireError;

/// An event larger than this is refused: the upstream is broken, or hostile.
const MAX_EVENT_BYTES: usize = 32 * 1024 * 1024;

/// May stand at the very start.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Cuts a byte stream into events.
#[derive(Debug, Default)]
pub struct SseParser {
    buffer: BytesMut,
    /// Everything before it has been looked at and holds no event end; it is at the start of a line.
    line_start: usize,
    /// Inside the line that begins at `line_start`: everything before it holds no line end.
    scanned: usize,
    started: bool,
}

/// One event, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// Its bytes, the closing blank line included.
    pub raw: Bytes,
}

impl SseParser {
    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes more bytes. Call [`Self::next_event`] until it gives none.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        if self.buffer.len() + bytes.len() > MAX_EVENT_BYTES {
            return Err(WireError::BadAnswer("one event of its stream is over 32 MiB".to_owned()));
        }
        self.buffer.extend_from_slice(bytes);
        if !self.started && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.advance(BYTE_ORDER_MARK.len());
            // Half of it may have been looked at already.
            self.scanned = 0;
            self.started = true;
        }
        self.started |= !BYTE_ORDER_MARK.starts_with(&self.buffer);
        Ok(())
    }

    /// The next whole event, if one is there. Events without `data` (comments, keep-alives) are given, too.
    pub fn next_event(&mut self) -> Option<SseEvent> {
        loop {
            let rest = self.buffer.get(self.scanned..)?;
            let Some(offset) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.scanned = self.buffer.len();
                return None;
            };
            let end = self.scanned + offset;
            let line_end = match (self.buffer.get(end), self.buffer.get(end + 1)) {
                (Some(b'\r'), Some(b'\n')) => end + 2,
                // A `\r` that ends the bytes so far may be half of a `\r\n`.
                (Some(b'\r'), None) => {
                    self.scanned = end;
                    return None;
                }
                _ => end + 1,
            };
            let blank = end == self.line_start;
            self.line_start = line_end;
            self.scanned = line_end;
            if blank {
                self.line_start = 0;
                self.scanned = 0;
                return Some(SseEvent { raw: self.buffer.split_to(line_end).freeze() });
            }
        }
    }

    /// The stream has ended: an event that was not closed by a blank line, if it has data. (A last `data: [DONE]\n` without its blank line is
    /// common, and so is a `\r` at the very end.)
    pub fn finish(&mut self) -> Option<SseEvent> {
        let raw = self.buffer.split().freeze();
        self.line_start = 0;
        self.scanned = 0;
        let event = SseEvent { raw };
        let ends_in_line_end = matches!(event.raw.last(), Some(b'\n' | b'\r'));
        (ends_in_line_end && !event.data().is_empty()).then_some(event)
    }
}

impl SseEvent {
    /// Its `event:` field.
    pub fn name(&self) -> Option<&[u8]> {
        lines(&self.raw).find_map(|line| field(line, b"event"))
    }

    /// Its `data:` lines, joined with `\n`; empty if there are none.
    pub fn data(&self) -> Cow<'_, [u8]> {
        let mut data = lines(&self.raw).filter_map(|line| field(line, b"data"));
        let Some(first) = data.next() else { return Cow::Borrowed(&[]) };
        let Some(second) = data.next() else { return Cow::Borrowed(first) };
        let mut joined = first.to_vec();
        for line in std::iter::once(second).chain(data) {
            joined.push(b'\n');
            joined.extend_from_slice(line);
        }
        Cow::Owned(joined)
    }
}

/// Appends an event. `data` must be one line, as serialized JSON is.
pub fn write_event(name: Option<&str>, data: &[u8], out: &mut Vec<u8>) {
    begin_event(name, out);
    out.extend_from_slice(data);
    end_event(out);
}

/// Appends an event.
pub(crate) fn write_value(name: Option<&str>, data: &Value, out: &mut Vec<u8>) {
    begin_event(name, out);
    // Its keys are strings, and memory takes everything: it cannot fail.
    let _ = serde_json::to_writer(&mut *out, data);
    end_event(out);
}

/// Begins an event whose data is written next, on one line, up to [`end_event`].
pub(crate) fn begin_event(name: Option<&str>, out: &mut Vec<u8>) {
    // What a piece of an answer takes in most dialects.
    out.reserve(256);
    if let Some(name) = name {
        write_json(&[Piece::Json("event: "), Piece::Json(name), Piece::Json("\n")], out);
    }
    out.extend_from_slice(b"data: ");
}

/// Ends an event.
pub(crate) fn end_event(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\n\n");
}

/// A piece of JSON. What streams consist of is written from such pieces: a tree of it costs ten times as much.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a> {
    /// JSON, as it is.
    Json(&'a str),
    /// A text, of which a JSON string is made.
    Text(&'a str),
    /// A number.
    Number(u64),
}

/// Appends JSON.
pub(crate) fn write_json(pieces: &[Piece<'_>], out: &mut Vec<u8>) {
    for piece in pieces {
        // Into memory, and of shapes that JSON has: it cannot fail.
        let _ = match piece {
            Piece::Json(json) => {
                out.extend_from_slice(json.as_bytes());
                Ok(())
            }
            Piece::Text(text) => serde_json::to_writer(&mut *out, text),
            Piece::Number(number) => serde_json::to_writer(&mut *out, number),
        };
    }
}

fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        rest = tail.strip_prefix(b"\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
        Some(line)
    })
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?;
    match value.split_first() {
        None => Some(value),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(pieces: &[&[u8]]) -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
        let mut parser = SseParser::new();
        let mut out = Vec::new();
        let mut take = |event: SseEvent| out.push((event.name().map(<[u8]>::to_vec), event.data().into_owned()));
        for piece in pieces {
            parser.push(piece).unwrap();
            while let Some(event) = parser.next_event() {
                take(event);
            }
        }
        if let Some(event) = parser.finish() {
            take(event);
        }
        out
    }

    #[test]
    fn a_byte_order_mark_in_pieces_is_no_part_of_the_first_line() {
        let bytes = b"\xef\xbb\xbf\r\rdata: a\r\r";
        for cut in 0..bytes.len() {
            let (mut parser, mut events) = (SseParser::new(), Vec::new());
            for piece in [&bytes[..cut], &bytes[cut..]] {
                parser.push(piece).unwrap();
                events.extend(std::iter::from_fn(|| parser.next_event()));
            }
            events.extend(parser.finish());
            let raw: Vec<&[u8]> = events.iter().map(|event| event.raw.as_ref()).collect();
            assert_eq!(raw, [b"\r".as_slice(), b"\r", b"data: a\r\r"], "cut at {cut}");
        }
    }

    #[test]
    fn data_without_a_space_is_read() {
        assert_eq!(events(&[b"data:{}\n\n"]), [(None, b"{}".to_vec())]);
    }

    #[test]
    fn every_line_end_is_a_line_end() {
        for text in ["event: a\ndata: 1\n\n", "event: a\r\ndata: 1\r\n\r\n", "event: a\rdata: 1\r\r"] {
            assert_eq!(events(&[text.as_bytes()]), [(Some(b"a".to_vec()), b"1".to_vec())], "{text:?}");
        }
    }

    #[test]
    fn comments_have_no_data() {
        assert_eq!(events(&[b": ping\n\ndata: 1\n\n"]), [(None, vec![]), (None, b"1".to_vec())]);
    }

    #[test]
    fn data_lines_are_joined() {
        assert_eq!(events(&[b"data: a\ndata: b\n\n"]), [(None, b"a\nb".to_vec())]);
    }

    #[test]
    fn two_events_in_one_piece_are_two() {
        assert_eq!(events(&[b"data: 1\n\ndata: 2\n\n"]).len(), 2);
    }

    #[test]
    fn an_event_cut_off_in_its_last_line_is_not_an_event() {
        assert_eq!(events(&[b"data: 1\n\ndata: {\"a\":"]).len(), 1);
    }

    #[test]
    fn a_last_event_without_its_blank_line_is_an_event() {
        assert_eq!(events(&[b"data: [DONE]\n"]), [(None, b"[DONE]".to_vec())]);
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(events(&[b"\xef\xbb\xbfdata: 1\n\n"]), [(None, b"1".to_vec())]);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            text in proptest::collection::vec(prop_oneof![
                Just("data: x"), Just("data:y"), Just(": c"), Just("event: e"), Just("\n"), Just("\r\n"), Just("\r"), Just("\n\n"), Just("id")
            ], 0..30),
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let text = text.concat();
            let whole = events(&[text.as_bytes()]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % (text.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut start = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                pieces.push(&text.as_bytes()[start..cut]);
                start = cut;
            }
            prop_assert_eq!(events(&pieces), whole);
        }
    }
}
