//! The texts of a complete stream, and a mask put back into its events.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use tollgate_webhook::{Choice, Message};
use tollgate_wire::codec::Dialect;
use tollgate_wire::sse::{SseEvent, SseParser, write_event};

use super::answer::same_speakers;
use super::{Choices, Unmatched, content, tree};

/// A complete stream in the client's dialect.
#[derive(Debug)]
pub(super) struct Held {
    client: Dialect,
    bytes: Bytes,
    changed: bool,
    pieces: Vec<Piece>,
    /// The text of each choice, by its index.
    texts: BTreeMap<u64, String>,
}

/// One event. A stream has many thousands, so their trees are not kept.
#[derive(Debug)]
struct Piece {
    event: SseEvent,
    has_text: bool,
}

impl Held {
    /// `None`: it is no stream of this dialect.
    pub(super) fn read(client: Dialect, bytes: Bytes) -> Option<Self> {
        let mut parser = SseParser::new();
        parser.push(&bytes).ok()?;
        let mut held = Self { client, bytes, changed: false, pieces: Vec::new(), texts: BTreeMap::new() };
        let mut block = None;
        while let Some(event) = parser.next_event().or_else(|| parser.finish()) {
            let has_text = held.gather(&event, &mut block)?;
            held.pieces.push(Piece { event, has_text });
        }
        if client == Dialect::Messages {
            held.texts.entry(0).or_default();
        }
        Some(held)
    }

    /// Gathers an event's text; says whether it has any. `block`: the text block that came last.
    fn gather(&mut self, event: &SseEvent, block: &mut Option<u64>) -> Option<bool> {
        if matches!(event.data().as_ref(), b"" | b"[DONE]") {
            return Some(false);
        }
        let mut value = tree_of(event)?;
        let mut has_text = false;
        for (choice, at_block, text) in texts(self.client, &mut value) {
            let whole = self.texts.entry(choice).or_default();
            let Some(text) = text else { continue };
            // Blocks are joined as the parts of a whole answer are.
            if at_block.is_some() && *block != at_block {
                if block.is_some() {
                    whole.push(' ');
                }
                *block = at_block;
            }
            whole.push_str(text);
            has_text = true;
        }
        Some(has_text)
    }

    pub(super) fn into_bytes(self) -> Bytes {
        if !self.changed {
            return self.bytes;
        }
        let mut out = Vec::with_capacity(self.bytes.len());
        self.pieces.iter().for_each(|piece| out.extend_from_slice(&piece.event.raw));
        out.into()
    }
}

fn tree_of(event: &SseEvent) -> Option<Value> {
    tree::parse(std::str::from_utf8(&event.data()).ok()?).ok()
}

/// The places of an event that hold text of an answer: which choice, which block of it, and the text. A choice without text stands there, too.
fn texts(client: Dialect, data: &mut Value) -> Vec<(u64, Option<u64>, Option<&mut String>)> {
    fn text(value: Option<&mut Value>) -> Option<&mut String> {
        match value {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
    let index_of = |value: &Value| value.get("index").and_then(Value::as_u64).unwrap_or(0);
    if client == Dialect::Messages {
        let block = index_of(data);
        let part = match data.get("type").and_then(Value::as_str) {
            Some("content_block_start") => data.get_mut("content_block"),
            Some("content_block_delta") => data.get_mut("delta"),
            _ => None,
        };
        return vec![(0, Some(block), text(part.and_then(|part| part.get_mut("text"))))];
    }
    if client == Dialect::GenerateContent {
        let candidates = data.get_mut("candidates").and_then(Value::as_array_mut).into_iter().flatten();
        return candidates.flat_map(|candidate| spoken(index_of(candidate), candidate)).collect();
    }
    let choices = data.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten();
    let choices = choices.map(|choice| {
        let index = index_of(choice);
        (index, None, text(choice.get_mut("delta").and_then(|delta| delta.get_mut("content"))))
    });
    choices.collect()
}

/// The texts of a candidate of Gemini's, and one place without text, so that it is known.
fn spoken(index: u64, candidate: &mut Value) -> Vec<(u64, Option<u64>, Option<&mut String>)> {
    let parts = candidate.get_mut("content").and_then(|content| content.get_mut("parts")).and_then(Value::as_array_mut);
    let parts = parts.into_iter().flatten().filter(|part| content::is_spoken(part));
    let texts = parts.filter_map(|part| match part.get_mut("text") {
        Some(Value::String(text)) if !text.is_empty() => Some((index, None, Some(text))),
        _ => None,
    });
    std::iter::once((index, None, None)).chain(texts).collect()
}

impl Choices for Held {
    fn choices(&self) -> Vec<Choice> {
        let choice = |text: &String| Choice { message: Message::new("assistant", text.as_str()) };
        self.texts.values().map(choice).collect()
    }

    /// A choice's first piece gets the whole masked text, its other pieces get none.
    fn mask(&mut self, masked: Vec<Choice>) -> Result<(), Unmatched> {
        if !same_speakers(&self.choices(), &masked) {
            return Err(Unmatched);
        }
        let mut new: BTreeMap<u64, String> = BTreeMap::new();
        for ((index, own), choice) in self.texts.iter_mut().zip(masked) {
            let masked = choice.message.content;
            if *own != masked {
                own.clone_from(&masked);
                new.insert(*index, masked);
            }
        }
        self.changed |= !new.is_empty();
        let mut left = new.clone();
        for piece in self.pieces.iter_mut().filter(|piece| piece.has_text && !new.is_empty()) {
            let mut data = tree_of(&piece.event).ok_or(Unmatched)?;
            let mut changed = false;
            for (choice, _, text) in texts(self.client, &mut data) {
                if let Some(text) = text.filter(|_| new.contains_key(&choice)) {
                    *text = left.remove(&choice).unwrap_or_default();
                    changed = true;
                }
            }
            if changed {
                let mut raw = Vec::new();
                let name = piece.event.name().and_then(|name| std::str::from_utf8(name).ok());
                write_event(name, data.to_string().as_bytes(), &mut raw);
                piece.event.raw = raw.into();
            }
        }
        if left.values().all(String::is_empty) { Ok(()) } else { Err(Unmatched) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"my \"}}]}\n\n: keep-alive\n\n\
        data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"secret\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

    const MESSAGES: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[]}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"my\"}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"text_delta\",\"text\":\"sec\"}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"text_delta\",\"text\":\"ret\"}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    fn read(client: Dialect, text: &'static str) -> Held {
        Held::read(client, Bytes::from_static(text.as_bytes())).unwrap()
    }

    fn choices(texts: &[&str]) -> Vec<Choice> {
        texts.iter().map(|text| Choice { message: Message::new("assistant", *text) }).collect()
    }

    #[test]
    fn texts_are_gathered_by_choice() {
        assert_eq!(read(Dialect::Chat, CHAT).choices(), choices(&["my secret", "other"]));
        assert_eq!(read(Dialect::Messages, MESSAGES).choices(), choices(&["my secret"]));
    }

    const GEMINI: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\",\"thought\":true},{\"text\":\"my \"}]},\"index\":0}]}\n\n\
        data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"secret\"}]},\"finishReason\":\"STOP\",\"index\":0}]}\n\n";

    #[test]
    fn geminis_texts_are_gathered_and_masked_and_its_thinking_stays() {
        let mut held = read(Dialect::GenerateContent, GEMINI);
        assert_eq!(held.choices(), choices(&["my secret"]));
        held.mask(choices(&["my ***"])).unwrap();
        let bytes = held.into_bytes();
        assert_eq!(read_all(Dialect::GenerateContent, &bytes), choices(&["my ***"]));
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.contains("hm") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn what_is_not_masked_goes_out_as_it_came() {
        for (client, text) in [(Dialect::Chat, CHAT), (Dialect::Messages, MESSAGES)] {
            let mut held = read(client, text);
            let same = held.choices();
            assert_eq!(held.mask(same), Ok(()));
            assert_eq!(held.into_bytes(), text);
        }
    }

    #[test]
    fn a_masked_stream_says_the_masked_text_once() {
        let mut held = read(Dialect::Chat, CHAT);
        held.mask(choices(&["my ***", "other"])).unwrap();
        let bytes = held.into_bytes();
        assert_eq!(read_all(Dialect::Chat, &bytes), choices(&["my ***", "other"]));
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(!text.contains("secret") && text.contains("keep-alive") && text.ends_with("[DONE]\n\n"), "{text}");

        let mut held = read(Dialect::Messages, MESSAGES);
        held.mask(choices(&["***"])).unwrap();
        let bytes = held.into_bytes();
        assert_eq!(read_all(Dialect::Messages, &bytes), choices(&["***"]));
        assert!(std::str::from_utf8(&bytes).unwrap().contains("event: content_block_delta\ndata: {\"type\""));
    }

    fn read_all(client: Dialect, bytes: &Bytes) -> Vec<Choice> {
        Held::read(client, bytes.clone()).unwrap().choices()
    }

    #[test]
    fn a_text_where_there_was_none_cannot_be_put_back() {
        let mut held = read(Dialect::Messages, "data: {\"type\":\"message_stop\"}\n\n");
        assert_eq!(held.choices(), choices(&[""]));
        assert_eq!(held.mask(choices(&["new"])), Err(Unmatched));
        assert_eq!(read(Dialect::Chat, CHAT).mask(choices(&["only one"])), Err(Unmatched));
    }

    #[test]
    fn what_is_no_json_is_not_passed() {
        assert!(Held::read(Dialect::Chat, Bytes::from_static(b"data: oops\n\n")).is_none());
    }
}
