//! What a prompt may use, from its bytes: no tokenizer is asked, and nothing is parsed.
//!
//! Two figures. `tokens` is what the day's tokens reserve: text at some bytes per token (3 by default; English prose has over 4, code and JSON 3 to 4), an image
//! at a flat rate. `bound` is what money reserves: a token has at least one byte, whatever the tokenizer, so no text is dearer than that.

use std::ops::Range;

/// A run of base64 shorter than this is text.
const MIN_MEDIA_BYTES: usize = 1_024;
/// How a base64 text of an image begins: JPEG, PNG, GIF, WebP.
const IMAGES: [&[u8]; 4] = [b"/9j/", b"iVBOR", b"R0lGOD", b"UklGR"];
/// An image in a request, in either dialect, also by URL.
const IMAGE_MARKS: [&[u8]; 2] = [b"\"image_url\":", b"\"type\":\"image\""];

const FORM_BYTES_PER_SECOND: u64 = 2_000;
const FORM_TOKENS_PER_SECOND: u64 = 10;

/// The tokens of a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prompt {
    /// About so many.
    pub tokens: u64,
    /// Not more than so many, images apart.
    pub bound: u64,
    /// Of a rerank: search units, which are priced beside tokens or instead of them.
    pub searches: u64,
    /// Of a recording: seconds, which are priced instead of tokens where a model is paid by them.
    pub seconds: u64,
}

impl Prompt {
    /// A prompt whose tokens the caller has counted.
    pub fn counted(tokens: u64) -> Self {
        Self { tokens, bound: tokens, ..Self::default() }
    }

    /// Of a form with files, most of them recordings. Nobody knows how long those are before they are heard: counted are 16 kbit/s, less than most have, and OpenAI's
    /// ten tokens a second (<https://platform.openai.com/docs/guides/realtime-costs>).
    pub fn of_form(body: &[u8]) -> Self {
        let seconds = to_u64(body.len()).div_ceil(FORM_BYTES_PER_SECOND);
        Self { seconds, ..Self::counted(seconds.saturating_mul(FORM_TOKENS_PER_SECOND)) }
    }

    /// Of a request's body, in any dialect.
    pub fn of_body(body: &[u8], bytes_per_token: u64, image_tokens: u64) -> Self {
        let (mut media_bytes, mut flat, mut images) = (0, 0, 0_u64);
        if body.len() > MIN_MEDIA_BYTES {
            for run in media(body) {
                media_bytes += run.len();
                let bytes = body.get(run).unwrap_or_default();
                if IMAGES.iter().any(|magic| bytes.starts_with(magic)) {
                    images += 1;
                } else {
                    // A document or a sound: its text is within its bytes.
                    flat += to_u64(bytes.len()) / 4;
                }
            }
        }
        let marked = IMAGE_MARKS.iter().map(|mark| memchr::memmem::find_iter(body, mark).count()).max();
        let images = images.max(marked.map_or(0, to_u64));
        let text = to_u64(body.len() - media_bytes);
        let media = flat.saturating_add(images.saturating_mul(image_tokens));
        Self {
            tokens: text.div_ceil(bytes_per_token.max(1)).saturating_add(media),
            bound: text.saturating_add(media),
            ..Self::default()
        }
    }
}

/// Long runs of base64: the body of a string or of a data URL.
fn media(body: &[u8]) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    // Base64 inside JSON ends at the string's quote; text has blanks or escapes long before.
    for end in memchr::memchr_iter(b'"', body) {
        if end - start >= MIN_MEDIA_BYTES {
            let text = body.get(start..end).unwrap_or_default();
            let head = text.get(..128).unwrap_or(text);
            let skip = memchr::memchr(b',', head).map_or(0, |comma| comma + 1);
            let rest = text.get(skip..).unwrap_or_default();
            if rest.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_'))
            {
                runs.push(start + skip..end);
            }
        }
        start = end + 1;
    }
    runs
}

fn to_u64(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Prompt {
        Prompt::of_body(body.as_bytes(), 3, 1_600)
    }

    #[test]
    fn text_is_bounded_by_its_bytes() {
        assert_eq!(of(&"a".repeat(300)), Prompt { tokens: 100, bound: 300, ..Prompt::default() });
        assert_eq!(
            Prompt::of_body(b"abcd", 0, 0),
            Prompt { tokens: 4, bound: 4, ..Prompt::default() },
            "no division by zero"
        );
    }

    #[test]
    fn a_recording_counts_by_its_size() {
        let minute = Prompt::of_form(&vec![0; 120_000]);
        assert_eq!((minute.seconds, minute.tokens, minute.bound), (60, 600, 600));
    }

    #[test]
    fn an_image_costs_the_same_whatever_its_size() {
        let image = |bytes: usize| {
            of(&format!(
                r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,iVBORw0{}"}}}}"#,
                "A".repeat(bytes)
            ))
        };
        assert_eq!(image(2_000), image(2_000_000));
        assert!(image(2_000).tokens > 1_600 && image(2_000).tokens < 1_700);
        let by_url = of(r#"{"type":"image_url","image_url":{"url":"https://example.test/a.png"}}"#);
        assert!(by_url.tokens > 1_600);
    }

    #[test]
    fn a_document_counts_by_its_size_and_long_text_is_text() {
        let document = of(&format!(r#"{{"data":"JVBERi0{}"}}"#, "A".repeat(400_000)));
        assert!((100_000..101_000).contains(&document.tokens), "{document:?}");
        let text = "word ".repeat(2_000);
        assert_eq!(of(&format!("\"{text}\"")).bound, 10_002);
    }
}
