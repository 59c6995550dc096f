//! Images, documents and sounds in the body of a request: base64 where an API takes it, and what is not in the body at all.
//!
//! A place counts, not a look: base64 in a message's text, in a tool's arguments or in a schema is text, and is billed as text.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memmem};

/// A run of base64 shorter than this is text.
const MIN_BYTES: usize = 1_024;
/// How a base64 text of an image begins: JPEG and PNG, whose first byte is in no text; GIF and WebP, whose first letters may be a text's: Gemini takes texts in the same place.
const IMAGES: [&[u8]; 2] = [b"/9j/", b"iVBOR"];
const LETTERED_IMAGES: [&[u8]; 2] = [b"R0lGOD", b"UklGR"];
/// Where a conversation stands: chat completions and Messages, Responses, Gemini.
const ROOTS: [&[u8]; 3] = [b"messages", b"input", b"contents"];
/// What may lie between a conversation and a medium.
const BETWEEN: [&[u8]; 11] = [
    b"content",
    b"output",
    b"parts",
    b"source",
    b"image_url",
    b"input_audio",
    b"file",
    b"inlineData",
    b"inline_data",
    b"functionResponse",
    b"function_response",
];
/// The keys of media.
const MEDIA: [&[u8]; 4] = [b"data", b"url", b"image_url", b"file_data"];
/// The keys of what only a provider can have written: it checks that.
const PROOFS: [&[u8]; 4] = [b"signature", b"encrypted_content", b"thoughtSignature", b"thought_signature"];
/// Keys of texts that name input which the provider has or fetches.
const ELSEWHERE: [&[u8]; 7] = [
    b"\"file_id\"",
    b"\"file_url\"",
    b"\"file_data\"",
    b"\"fileUri\"",
    b"\"file_uri\"",
    b"\"video_url\"",
    b"\"vector_store_id\"",
];
/// Types of content whose tokens their bytes do not tell: pages are counted as text and as pictures.
const TYPES: [&[u8]; 5] =
    [b"\"document\"", b"\"input_file\"", b"\"item_reference\"", b"\"container_upload\"", b"\"video\""];
/// The beginnings of media types whose tokens their bytes do not tell.
const PAGES: [&[u8]; 4] = [b"\"application/", b"\"application\\/", b"\"text/", b"\"text\\/"];

/// A run of base64 in the place of a medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) bytes: Range<usize>,
    pub(crate) kind: Kind,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Image,
    /// A sound, a document, a film.
    Other,
    /// What the model has thought, sealed.
    Proof,
}

/// The media of a body, which is JSON.
pub(crate) fn runs(body: &[u8]) -> Vec<Run> {
    if body.len() <= MIN_BYTES || !has_run(body) {
        return Vec::new();
    }
    Walker { body, at: 0, keys: Vec::new(), in_object: Vec::new(), runs: Vec::new() }.walk()
}

/// Is any string long and without blanks or escapes?
fn has_run(body: &[u8]) -> bool {
    let mut start = 0;
    memchr_iter(b'"', body).any(|end| {
        let text = body.get(start..end).unwrap_or_default();
        start = end + 1;
        base64(text).is_some()
    })
}

/// The base64 in a text that is nothing else, perhaps behind the head of a data URL.
fn base64(text: &[u8]) -> Option<usize> {
    if text.len() < MIN_BYTES {
        return None;
    }
    let head = text.get(..128).unwrap_or(text);
    let skip = memchr(b',', head).map_or(0, |comma| comma + 1);
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
    text.get(skip..).unwrap_or_default().iter().all(is_digit).then_some(skip)
}

/// Goes through a JSON text and knows under which keys it is.
struct Walker<'a> {
    body: &'a [u8],
    at: usize,
    /// The key of each object that is open.
    keys: Vec<&'a [u8]>,
    /// Which of the open values are objects.
    in_object: Vec<bool>,
    runs: Vec<Run>,
}

impl Walker<'_> {
    fn walk(mut self) -> Vec<Run> {
        let mut is_key = false;
        while let Some(byte) = self.body.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => {
                    let text = self.string();
                    if !is_key {
                        self.value(text);
                    } else if let Some(key) = self.keys.last_mut() {
                        *key = self.body.get(text).unwrap_or_default();
                    }
                }
                b'{' => {
                    self.in_object.push(true);
                    self.keys.push(b"");
                    is_key = true;
                }
                b'[' => self.in_object.push(false),
                b'}' | b']' => {
                    let was_object = self.in_object.pop().unwrap_or_default();
                    self.keys.truncate(self.keys.len() - usize::from(was_object && !self.keys.is_empty()));
                }
                b':' => is_key = false,
                b',' => is_key = self.in_object.last() == Some(&true),
                _ => {}
            }
        }
        self.runs
    }

    /// The string whose opening quote was just read, without its quotes.
    fn string(&mut self) -> Range<usize> {
        let start = self.at;
        while let Some(found) = self.body.get(self.at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            self.at += found + 1;
            if self.body.get(self.at - 1) == Some(&b'"') {
                return start..self.at - 1;
            }
            self.at += 1;
        }
        self.at = self.body.len();
        start..self.at
    }

    fn value(&mut self, text: Range<usize>) {
        let bytes = self.body.get(text.clone()).unwrap_or_default();
        let (Some(skip), Some(proof)) = (base64(bytes), self.place()) else { return };
        let head = bytes.get(..skip).unwrap_or_default();
        let begins = |magic: &&[u8]| bytes.get(skip..).unwrap_or_default().starts_with(magic);
        let kind = if proof {
            Kind::Proof
        } else if (IMAGES.iter().any(begins) || (!self.is_geminis() && LETTERED_IMAGES.iter().any(begins)))
            && (head.is_empty() || head.starts_with(b"data:image/"))
        {
            Kind::Image
        } else {
            Kind::Other
        };
        self.runs.push(Run { bytes: text.start + skip..text.end, kind });
    }

    fn is_geminis(&self) -> bool {
        self.keys.iter().any(|key| matches!(*key, b"inlineData" | b"inline_data"))
    }

    /// Is this where an API takes a medium, and is that a proof?
    fn place(&self) -> Option<bool> {
        let [root, between @ .., last] = self.keys.as_slice() else { return None };
        let fits = ROOTS.contains(root) && between.iter().all(|key| BETWEEN.contains(key));
        match (MEDIA.contains(last), PROOFS.contains(last)) {
            _ if !fits => None,
            (true, _) => Some(false),
            (_, true) => Some(true),
            _ => None,
        }
    }
}

/// Is some of the input not in the body, or such that its bytes do not tell its tokens?
pub(crate) fn is_elsewhere(body: &[u8], runs: &[Run]) -> bool {
    // Inside a text the quote would be escaped.
    let has = |start: &&[u8]| memmem::find_iter(body, start).any(|at| !is_escaped(body, at));
    let media = runs.iter().any(|run| run.kind != Kind::Proof);
    ELSEWHERE.iter().any(|key| memmem::find_iter(body, key).any(|at| is_key_of_text(body, at + key.len())))
        || TYPES.iter().any(|kind| memmem::find_iter(body, kind).any(|at| is_type(body, at)))
        || (media && PAGES.iter().any(has))
        || memmem::find_iter(body, b"data:application/").any(|at| body.get(at.wrapping_sub(1)) == Some(&b'"'))
        || hides_letters(body)
}

/// `: "` comes here.
fn is_key_of_text(body: &[u8], at: usize) -> bool {
    let rest = body.get(at..).unwrap_or_default().trim_ascii_start();
    rest.strip_prefix(b":").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"\""))
}

/// `"type":` stands before it.
fn is_type(body: &[u8], at: usize) -> bool {
    let before = body.get(..at).unwrap_or_default().trim_ascii_end();
    before.strip_suffix(b":").is_some_and(|before| before.trim_ascii_end().ends_with(b"\"type\""))
}

/// Letters and digits that are written as escapes: no serializer does that, and names are looked for as they are.
fn hides_letters(body: &[u8]) -> bool {
    memmem::find_iter(body, b"\\u00").filter(|at| !is_escaped(body, *at)).any(|at| {
        let digits = body.get(at + 4..at + 6).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b':'))
    })
}

/// Does a backslash before it take its meaning?
fn is_escaped(body: &[u8], at: usize) -> bool {
    let before = body.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(body: &str) -> Vec<Kind> {
        runs(body.as_bytes()).into_iter().map(|run| run.kind).collect()
    }

    #[test]
    fn base64_is_a_medium_only_where_an_api_takes_one() {
        let image = format!("iVBORw0{}", "A".repeat(2_000));
        for (body, kind) in [
            (
                r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,@"}}]}]}"#,
                Kind::Image,
            ),
            (
                r#"{"messages":[{"content":[{"type":"tool_result","content":[{"type":"image","source":{"type":"base64","data":"@"}}]}]}]}"#,
                Kind::Image,
            ),
            (r#"{"input":[{"content":[{"type":"input_image","image_url":"data:image/png;base64,@"}]}]}"#, Kind::Image),
            (r#"{ "contents" : [ { "parts" : [ { "inlineData" : { "data" : "@" } } ] } ] }"#, Kind::Image),
            (r#"{"input":[{"type":"reasoning","encrypted_content":"@"}]}"#, Kind::Proof),
            (
                r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:application/pdf;base64,@"}}]}]}"#,
                Kind::Other,
            ),
        ] {
            assert_eq!(kinds(&body.replace('@', &image)), [kind], "{body}");
        }
        for body in [
            r#"{"messages":[{"role":"user","content":"@"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"@"}]}]}"#,
            r#"{"messages":[{"content":[{"type":"tool_use","input":{"source":{"data":"@"}}}]}]}"#,
            r#"{"messages":[{"content":[{"type":"text","text":"\"}]},{\"url\":\"","x":1}]}],"data":"@"}"#,
            r#"{"system":[{"source":{"data":"@"}}],"tools":[{"input_schema":{"data":"@","url":"@"}}]}"#,
            r#"{"contents":[{"parts":[{"functionCall":{"args":{"data":"@"}}}]}]}"#,
            r#"{"input":"@"}"#,
        ] {
            assert_eq!(kinds(&body.replace('@', &image)), [], "{body}");
        }
    }

    #[test]
    fn input_that_is_elsewhere_is_found_however_it_is_written() {
        let of = |body: &str| is_elsewhere(body.as_bytes(), &runs(body.as_bytes()));
        for body in [
            r#"{"input":[{"content":[{"type":"input_file","file_id" : "file-1"}]}]}"#,
            r#"{"messages":[{"content":[{ "type" : "document", "source": {"type":"url","url":"https://example.test/a.pdf"}}]}]}"#,
            r#"{"contents":[{"parts":[{"fileData":{"fileUri":"https://example.test/a"}}]}]}"#,
            r#"{"input":[{"type":"item_reference","id":"i"}]}"#,
            r#"{"messages":[{"content":[{"t\u0079pe":"docum\u0065nt"}]}]}"#,
        ] {
            assert!(of(body), "{body}");
        }
        let webp = format!(
            r#"{{"contents":[{{"parts":[{{"inlineData":{{"mimeType":"Text/Plain","data":"UklGR{}"}}}}]}}]}}"#,
            "A".repeat(2_000)
        );
        assert_eq!(kinds(&webp), [Kind::Other], "it may be a text");
        let pages = format!(
            r#"{{"contents":[{{"parts":[{{"inlineData":{{"mimeType":"text\/plain","data":"UklGR{}"}}}}]}}]}}"#,
            "A".repeat(2_000)
        );
        assert!(of(&pages));
        let picture = format!(
            r#"{{"messages":[{{"content":[{{"type":"text","text":"<style type=\"text/css\">"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,iVBOR{}"}}}}]}}]}}"#,
            "A".repeat(2_000)
        );
        assert!(!of(&picture), "a page of HTML beside a picture of it");
        for body in [
            r#"{"messages":[{"content":"a file_id, a \"document\" and <b>\u003c\u00e9\u0027</b>"}]}"#,
            r#"{"messages":[{"content":"a program writes \\u0041"}]}"#,
            r#"{"tools":[{"input_schema":{"properties":{"file_id":{"type":"string"},"document":{"type":"object"}}}}]}"#,
            r#"{"messages":[{"content":[{"type":"image","source":{"type":"url","url":"https://example.test/a.png"}}]}]}"#,
        ] {
            assert!(!of(body), "{body}");
        }
    }
}
