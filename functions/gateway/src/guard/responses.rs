//! The texts of an answer of the Responses API, and a mask put back into it: whole, or a complete stream, in which every text stands again in
//! the events that end its part, its item and the answer.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use tollgate_webhook::{Choice, Message};
use tollgate_wire::sse::{SseEvent, SseParser, write_event};

use super::{Choices, Unmatched, tree};

/// Item and part.
type Block = (u64, u64);

/// An answer: one document, or the events of a stream.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: Bytes,
    pieces: Vec<Piece>,
    texts: BTreeMap<Block, String>,
    masked: Option<String>,
}

/// A stream has many thousands, so their trees are not kept.
#[derive(Debug)]
enum Piece {
    Document(Bytes),
    Event { event: SseEvent, has_text: bool },
}

/// A text of an answer.
struct Place<'a> {
    block: Block,
    /// More of the block; else all of it.
    is_delta: bool,
    text: &'a mut String,
}

impl Answer {
    /// A whole answer. `None`: it is none.
    pub(super) fn whole(bytes: Bytes) -> Option<Self> {
        let mut value = tree_of(&bytes)?;
        value.get("output").and_then(Value::as_array)?;
        let pieces = vec![Piece::Document(bytes.clone())];
        let mut answer = Self { bytes, pieces, texts: BTreeMap::new(), masked: None };
        answer.gather(&mut value)?;
        Some(answer)
    }

    /// A complete stream. `None`: it is none, or says of a text two things.
    pub(super) fn stream(bytes: Bytes) -> Option<Self> {
        let mut parser = SseParser::new();
        parser.push(&bytes).ok()?;
        let mut answer = Self { bytes, pieces: Vec::new(), texts: BTreeMap::new(), masked: None };
        while let Some(event) = parser.next_event().or_else(|| parser.finish()) {
            let has_text = match event.data().as_ref() {
                b"" | b"[DONE]" => false,
                data => answer.gather(&mut tree_of(data)?)?,
            };
            answer.pieces.push(Piece::Event { event, has_text });
        }
        Some(answer)
    }

    fn gather(&mut self, data: &mut Value) -> Option<bool> {
        let mut has_text = false;
        for place in places(data) {
            has_text = true;
            let known = self.texts.entry(place.block).or_default();
            if place.is_delta {
                known.push_str(place.text);
            } else if known.is_empty() {
                known.clone_from(place.text);
            } else if known != place.text {
                return None;
            }
        }
        Some(has_text)
    }

    pub(super) fn into_bytes(self) -> Option<Bytes> {
        let Some(masked) = &self.masked else { return Some(self.bytes) };
        let first = self.texts.keys().next().copied();
        let mut left = Some(masked.as_str());
        let mut out = Vec::with_capacity(self.bytes.len());
        for piece in &self.pieces {
            match piece {
                Piece::Document(bytes) => {
                    let mut value = tree_of(bytes)?;
                    put(&mut value, first, masked, &mut left);
                    out.extend_from_slice(value.to_string().as_bytes());
                }
                Piece::Event { event, has_text: false } => out.extend_from_slice(&event.raw),
                Piece::Event { event, has_text: true } => {
                    let mut value = tree_of(&event.data())?;
                    put(&mut value, first, masked, &mut left);
                    let name = event.name().and_then(|name| std::str::from_utf8(name).ok());
                    write_event(name, value.to_string().as_bytes(), &mut out);
                }
            }
        }
        Some(out.into())
    }
}

impl Choices for Answer {
    fn choices(&self) -> Vec<Choice> {
        let texts: Vec<&str> = self.texts.values().map(String::as_str).collect();
        vec![Choice { message: Message::new("assistant", self.masked.clone().unwrap_or_else(|| texts.join(" "))) }]
    }

    /// The first text becomes the masked one and the others empty, because nobody knows which words were whose.
    fn mask(&mut self, masked: Vec<Choice>) -> Result<(), Unmatched> {
        let own = self.choices();
        if !super::answer::same_speakers(&own, &masked) {
            return Err(Unmatched);
        }
        let (Some(own), Some(masked)) = (own.into_iter().next(), masked.into_iter().next()) else { return Ok(()) };
        if own.message.content == masked.message.content {
            return Ok(());
        }
        if self.texts.is_empty() {
            return Err(Unmatched);
        }
        self.masked = Some(masked.message.content);
        Ok(())
    }
}

/// Puts the masked text into a document or an event. `left`: what no delta has said yet.
fn put(data: &mut Value, first: Option<Block>, masked: &str, left: &mut Option<&str>) {
    for place in places(data) {
        let text = match (place.is_delta, Some(place.block) == first) {
            (true, true) => left.take().unwrap_or_default(),
            (false, true) => masked,
            (_, false) => "",
        };
        text.clone_into(place.text);
    }
}

fn tree_of(bytes: &[u8]) -> Option<Value> {
    tree::parse(std::str::from_utf8(bytes).ok()?).ok()
}

/// All texts of a document or an event.
fn places(data: &mut Value) -> Vec<Place<'_>> {
    let number = |data: &Value, key: &str| data.get(key).and_then(Value::as_u64).unwrap_or_default();
    let block = (number(data, "output_index"), number(data, "content_index"));
    let Value::Object(fields) = data else { return Vec::new() };
    match fields.get("type").and_then(Value::as_str).unwrap_or_default() {
        "response.output_text.delta" => one(block, fields.get_mut("delta"), true),
        "response.output_text.done" => one(block, fields.get_mut("text"), false),
        "response.content_part.added" | "response.content_part.done" => match fields.get_mut("part") {
            Some(part) if part.get("type").is_some_and(|kind| kind == "output_text") => {
                one(block, part.get_mut("text"), false)
            }
            _ => Vec::new(),
        },
        "response.output_item.added" | "response.output_item.done" => {
            fields.get_mut("item").map(|item| of_item(block.0, item)).unwrap_or_default()
        }
        "" => of_output(fields.get_mut("output")),
        _ => of_output(fields.get_mut("response").and_then(|response| response.get_mut("output"))),
    }
}

fn one(block: Block, text: Option<&mut Value>, is_delta: bool) -> Vec<Place<'_>> {
    match text {
        Some(Value::String(text)) if !text.is_empty() => vec![Place { block, is_delta, text }],
        _ => Vec::new(),
    }
}

fn of_output(output: Option<&mut Value>) -> Vec<Place<'_>> {
    let items = output.and_then(Value::as_array_mut).into_iter().flatten();
    (0u64..).zip(items).flat_map(|(index, item)| of_item(index, item)).collect()
}

fn of_item(index: u64, item: &mut Value) -> Vec<Place<'_>> {
    if item.get("type").is_none_or(|kind| kind != "message") {
        return Vec::new();
    }
    let parts = item.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten();
    let places = (0u64..).zip(parts).filter_map(|(part, value)| match value.get_mut("text") {
        Some(Value::String(text)) if !text.is_empty() => Some(Place { block: (index, part), is_delta: false, text }),
        _ => None,
    });
    places.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"output\":[]}}\n\n\
        event: response.reasoning_text.delta\ndata: {\"type\":\"response.reasoning_text.delta\",\"output_index\":0,\"content_index\":0,\"delta\":\"hm\"}\n\n\
        event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":1,\"content_index\":0,\"delta\":\"my \"}\n\n\
        event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":1,\"content_index\":0,\"delta\":\"secret\"}\n\n\
        event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"output_index\":1,\"content_index\":0,\"text\":\"my secret\"}\n\n\
        event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"output_index\":1,\"item\":{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"my secret\"}]}}\n\n\
        event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"type\":\"reasoning\",\"content\":[{\"text\":\"hm\"}]},{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"my secret\"}]}]}}\n\n";
    const WHOLE: &str = r#"{"id":"r", "output":[{"type":"message","content":[{"type":"output_text","text":"a"},{"type":"output_text","text":"b"}]}],"x":1.0}"#;

    fn masked(answer: Option<Answer>, text: &str) -> Result<String, Unmatched> {
        let mut answer = answer.unwrap();
        answer.mask(vec![Choice { message: Message::new("assistant", text) }])?;
        Ok(String::from_utf8(answer.into_bytes().unwrap().to_vec()).unwrap())
    }

    fn said(answer: &Answer) -> String {
        answer.choices()[0].message.content.clone()
    }

    #[test]
    fn texts_are_gathered_once() {
        assert_eq!(said(&Answer::stream(Bytes::from_static(STREAM.as_bytes())).unwrap()), "my secret");
        assert_eq!(said(&Answer::whole(Bytes::from_static(WHOLE.as_bytes())).unwrap()), "a b");
    }

    #[test]
    fn what_is_not_masked_goes_out_as_it_came() {
        assert_eq!(masked(Answer::stream(Bytes::from_static(STREAM.as_bytes())), "my secret").unwrap(), STREAM);
        assert_eq!(masked(Answer::whole(Bytes::from_static(WHOLE.as_bytes())), "a b").unwrap(), WHOLE);
    }

    #[test]
    fn a_masked_answer_says_the_masked_text_wherever_it_stands_and_the_old_one_nowhere() {
        let stream = masked(Answer::stream(Bytes::from_static(STREAM.as_bytes())), "my ***").unwrap();
        assert!(!stream.contains("secret") && stream.matches("my ***").count() == 4, "{stream}");
        assert_eq!(said(&Answer::stream(stream.into()).unwrap()), "my ***");
        let whole = masked(Answer::whole(Bytes::from_static(WHOLE.as_bytes())), "*").unwrap();
        assert!(whole.contains(r#""text":"*"},{"type":"output_text","text":"""#), "{whole}");
    }

    #[test]
    fn a_text_without_its_deltas_is_seen_and_one_that_differs_from_them_is_withheld() {
        let done = STREAM.split_inclusive("\n\n").filter(|event| !event.contains("output_text.delta"));
        let done: String = done.collect();
        assert_eq!(said(&Answer::stream(done.into()).unwrap()), "my secret");
        assert!(
            Answer::stream(STREAM.replace("\"text\":\"my secret\"}]}}", "\"text\":\"other\"}]}}").into()).is_none()
        );
        assert!(Answer::stream(Bytes::from_static(b"data: oops\n\n")).is_none());
        assert!(Answer::whole(Bytes::from_static(b"{}")).is_none());
    }

    #[test]
    fn a_text_where_there_was_none_cannot_be_put_back() {
        let empty = || Answer::whole(Bytes::from_static(br#"{"output":[]}"#));
        assert_eq!(masked(empty(), "new"), Err(Unmatched));
        assert_eq!(masked(empty(), "").as_deref(), Ok(r#"{"output":[]}"#));
    }
}
