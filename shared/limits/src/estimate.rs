//! What a prompt may use, from its bytes: no tokenizer is asked, and nothing is parsed.
//!
//! Two figures. `tokens` is what the day's tokens reserve: text at some bytes per token (3 by default; English prose has over 4, code and JSON 3 to 4), an image
//! at a flat rate. `bound` is what money reserves: a token has at least one byte, whatever the tokenizer, so no text is dearer than that. Where input is not in the
//! body, or its bytes do not tell, only the model's context is a bound.

use tollgate_wire::extras::Extras;

use crate::media::{self, Kind};

/// An image in a request, in either dialect, also by URL.
const IMAGE_MARKS: [&[u8]; 2] = [b"\"image_url\":", b"\"type\":\"image\""];
/// The same however it is written, for what money reserves; chat completions have two of them for each image.
const WIDE_IMAGE_MARKS: [&[u8]; 3] = [b"\"image_url\"", b"\"image\"", b"\"input_image\""];
/// The most tokens of an image, where its mark stands once: Claude has up to 4,784, Gemini 2,240, and GPT-5 4,096 at full detail.
/// <https://platform.claude.com/docs/en/build-with-claude/vision>, <https://ai.google.dev/gemini-api/docs/media-resolution>
const MOST_IMAGE_TOKENS: u64 = 5_000;

const FORM_BYTES_PER_SECOND: u64 = 2_000;
const FORM_TOKENS_PER_SECOND: u64 = 10;

/// The tokens of a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prompt {
    /// About so many.
    pub tokens: u64,
    /// Not more than so many.
    pub bound: u64,
    /// But for what is not in the body: no more than the model takes.
    pub elsewhere: bool,
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
        let runs = media::runs(body);
        let (mut media_bytes, mut flat, mut most, mut images) = (0, 0, 0, 0_u64);
        for run in &runs {
            media_bytes += run.bytes.len();
            let bytes = to_u64(run.bytes.len());
            match run.kind {
                Kind::Image => images += 1,
                // A document or a sound: its text is within its bytes.
                Kind::Other => (flat, most) = (flat + bytes / 4, most + bytes / 4 * 3),
                Kind::Proof => (flat, most) = (flat + bytes / 4, most + bytes / 2),
            }
        }
        let count = |mark: &&[u8]| to_u64(memchr::memmem::find_iter(body, mark).count());
        let marked = |marks: &[&[u8]]| marks.iter().map(count).max().unwrap_or_default().max(images);
        let most_images = marked(&WIDE_IMAGE_MARKS).saturating_mul(image_tokens.max(MOST_IMAGE_TOKENS));
        let text = to_u64(body.len() - media_bytes);
        let media = flat.saturating_add(marked(&IMAGE_MARKS).saturating_mul(image_tokens));
        Self {
            tokens: text.div_ceil(bytes_per_token.max(1)).saturating_add(media),
            bound: text.saturating_add(most).saturating_add(most_images),
            elsewhere: media::is_elsewhere(body, &runs),
            ..Self::default()
        }
    }

    /// The same with what the request lets its provider add.
    #[must_use]
    pub fn with(self, extras: &Extras) -> Self {
        let bound = self.bound.saturating_add(extras.input_tokens);
        Self { bound, elsewhere: self.elsewhere || extras.elsewhere, ..self }
    }
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

    fn in_chat(url: &str) -> String {
        format!(r#"{{"messages":[{{"content":[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]}}]}}"#)
    }

    #[test]
    fn an_image_costs_the_same_whatever_its_size() {
        let image = |bytes: usize| of(&in_chat(&format!("data:image/png;base64,iVBORw0{}", "A".repeat(bytes))));
        assert_eq!(image(2_000), image(2_000_000));
        assert!(image(2_000).tokens > 1_600 && image(2_000).tokens < 1_700);
        assert!(of(&in_chat("https://example.test/a.png")).tokens > 1_600);
        let spaced = of(
            r#"{"messages": [{"content": [{"type" : "image", "source": {"type": "url", "url": "https://example.test/a.png"}}]}]}"#,
        );
        assert!(spaced.bound > 5_000, "{spaced:?}");
    }

    #[test]
    fn a_text_that_looks_like_an_image_is_a_text() {
        let text = format!("iVBORw0{}", "A".repeat(900_000));
        for body in [
            format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#),
            format!(r#"{{"messages":[{{"content":[{{"type":"tool_use","input":{{"data":"{text}"}}}}]}}]}}"#),
        ] {
            let prompt = of(&body);
            assert!(prompt.bound > 900_000 && prompt.tokens > 300_000, "{prompt:?}");
        }
    }

    #[test]
    fn a_document_counts_by_its_size_and_long_text_is_text() {
        let document =
            of(&format!(r#"{{"input":[{{"content":[{{"file_data":"JVBERi0{}"}}]}}]}}"#, "A".repeat(400_000)));
        assert!((100_000..101_000).contains(&document.tokens) && document.elsewhere, "{document:?}");
        let text = "word ".repeat(2_000);
        assert_eq!(of(&format!("\"{text}\"")).bound, 10_002);
    }
}
