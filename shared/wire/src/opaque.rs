//! Requests and answers that are not translated, as far as a gateway looks at them: where a request names its model, and what an answer says that it used.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ir::{Tier, Usage};
use crate::json;
use crate::sse::SseParser;
use crate::{messages, openai};

/// A JSON answer that is larger is not looked at: images in base64 have megabytes.
const MAX_LOOKED_AT_BYTES: usize = 16 * 1024 * 1024;
/// A model's name in a form is not longer than this.
const MAX_MODEL_BYTES: usize = 2_048;

/// Where a request names its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub model: String,
    /// Where it stands in the body: a JSON value with its quotes, or the text of a part of a form.
    pub span: Range<usize>,
    /// In a form.
    pub is_form: bool,
}

/// Finds the model in a body: `model`, or `session.model` as a Realtime session has it, in a JSON object, or the part `model` or `session` of a form
/// (RFC 7578). `None`: it names none, or is neither.
pub fn model_of(content_type: Option<&str>, body: &[u8]) -> Option<Named> {
    match boundary(content_type.unwrap_or_default()) {
        Some(boundary) => in_form(boundary, body),
        None => in_json(body, 0, true),
    }
}

/// What a body of an API that is not known lets it cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps {
    /// Output tokens.
    pub output_tokens: Option<u64>,
    /// Answers.
    pub choices: u64,
    /// The service tier.
    pub tier: Option<Tier>,
}

impl Caps {
    /// Of a body of JSON; a form has none.
    pub fn of(body: &[u8]) -> Self {
        let members = json::members(body).unwrap_or_default();
        let find = |key: &str| members.iter().find(|member| member.key == key);
        let most = |keys: &[&str]| keys.iter().filter_map(|key| find(key)?.value.parse::<u64>().ok()).max();
        Self {
            output_tokens: most(&["max_tokens", "max_completion_tokens", "max_output_tokens"]),
            choices: most(&["n", "best_of"]).unwrap_or(1).max(1),
            tier: find("service_tier").and_then(|tier| Tier::named(&json::string(tier.value)?)),
        }
    }
}

/// Can it be told which model a body names? Not where JSON has a key twice, or a form two parts for it: who reads the body next may take the other one.
pub fn is_clear(content_type: Option<&str>, body: &[u8]) -> bool {
    if let Some(boundary) = boundary(content_type.unwrap_or_default()) {
        let Some(parts) = parts(boundary, body) else { return false };
        let names = parts.iter().map(|(head, _)| part_name(head));
        let odd = parts.iter().any(|(head, _)| memmem::find(&head.to_ascii_lowercase(), b"name*").is_some());
        return !odd && names.filter(|name| matches!(name, Some("model" | "session"))).count() <= 1;
    }
    let text = body.trim_ascii_start();
    text.first().is_none_or(|byte| !matches!(byte, b'{' | 0xef)) || json::members(body).is_ok()
}

/// The heads and places of a form's parts; `None`: it is none, or has no end.
fn parts<'a>(boundary: &str, body: &'a [u8]) -> Option<Vec<(&'a [u8], Range<usize>)>> {
    let (delimiter, last) = (format!("--{boundary}\r\n"), format!("--{boundary}--"));
    let mut at = memmem::find(body, delimiter.as_bytes())?;
    let mut parts = Vec::new();
    while !body.get(at..)?.starts_with(last.as_bytes()) {
        if !body.get(at..)?.starts_with(delimiter.as_bytes()) {
            return None;
        }
        let head_start = at + delimiter.len();
        let head_end = head_start + memmem::find(body.get(head_start..)?, b"\r\n\r\n")?;
        let start = head_end + 4;
        let end = start + memmem::find(body.get(start..)?, format!("\r\n--{boundary}").as_bytes())?;
        parts.push((body.get(head_start..head_end)?, start..end));
        at = end + 2;
    }
    Some(parts)
}

/// In an object that begins at `offset`, and in its `session` if it has one with a model.
fn in_json(object: &[u8], offset: usize, in_session: bool) -> Option<Named> {
    let members = json::members(object).ok()?;
    let member = |key: &str| members.iter().find(|member| member.key == key);
    if let Some(member) = member("model") {
        let model = serde_json::from_str(member.value).ok()?;
        return Some(Named {
            model,
            span: member.value_span.start + offset..member.value_span.end + offset,
            is_form: false,
        });
    }
    let session = member("session").filter(|_| in_session)?;
    in_json(session.value.as_bytes(), session.value_span.start + offset, false)
}

/// The boundary of a `multipart/form-data` body.
fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let parameter = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    });
    parameter.filter(|boundary| !boundary.is_empty())
}

fn in_form(boundary: &str, body: &[u8]) -> Option<Named> {
    for (head, span) in parts(boundary, body)? {
        let part = body.get(span.clone())?;
        match part_name(head) {
            Some("model") if part.len() <= MAX_MODEL_BYTES => {
                let model = std::str::from_utf8(part).ok()?.to_owned();
                return Some(Named { model, span, is_form: true });
            }
            Some("session") => {
                if let Some(named) = in_json(part, span.start, false) {
                    return Some(named);
                }
            }
            _ => {}
        }
    }
    None
}

/// The name of the part with these headers.
fn part_name(head: &[u8]) -> Option<&str> {
    let head = std::str::from_utf8(head).ok()?;
    let disposition = head
        .split("\r\n")
        .find(|line| line.get(..20).is_some_and(|name| name.eq_ignore_ascii_case("content-disposition:")))?;
    let name = disposition.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("name="))?;
    Some(name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name))
}

/// Looks for usage in an answer whose shape is not known. One per answer; any split of its bytes finds the same.
#[derive(Debug)]
pub struct Detector {
    form: Form,
    usage: Usage,
    model: Option<String>,
}

#[derive(Debug)]
enum Form {
    Json(Vec<u8>),
    Events(SseParser),
    /// A transcript, perhaps with times: its end.
    Cues(Vec<u8>),
    /// Sound, images, files; or too large.
    Other,
}

/// Where the known APIs have their usage: at the top, or in the message or response that an event is about.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

impl Detector {
    /// For an answer of this content type.
    pub fn new(content_type: Option<&str>) -> Self {
        let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let form = match kind.as_str() {
            "text/event-stream" => Form::Events(SseParser::new()),
            "application/json" => Form::Json(Vec::new()),
            "text/plain" | "text/vtt" | "application/x-subrip" => Form::Cues(Vec::new()),
            _ => Form::Other,
        };
        Self { form, usage: Usage::default(), model: None }
    }

    /// More bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut found = Vec::new();
        match &mut self.form {
            Form::Json(body) if body.len() + bytes.len() <= MAX_LOOKED_AT_BYTES => body.extend_from_slice(bytes),
            Form::Json(_) => self.form = Form::Other,
            Form::Events(parser) => {
                if parser.push(bytes).is_err() {
                    self.form = Form::Other;
                    return;
                }
                while let Some(event) = parser.next_event() {
                    found.push(event.data().into_owned());
                }
            }
            Form::Cues(end) => {
                end.extend_from_slice(bytes);
                let over = end.len().saturating_sub(MAX_CUE_BYTES);
                end.drain(..over);
            }
            Form::Other => {}
        }
        for data in found {
            self.look_at(&data);
        }
    }

    /// What was found: the usage, and the model that answered.
    pub fn finish(mut self) -> (Usage, Option<String>) {
        let last = match &mut self.form {
            Form::Json(body) => std::mem::take(body),
            Form::Events(parser) => parser.finish().map(|event| event.data().into_owned()).unwrap_or_default(),
            Form::Cues(end) => {
                self.usage.seconds = last_cue(end);
                Vec::new()
            }
            Form::Other => Vec::new(),
        };
        self.look_at(&last);
        (self.usage, self.model)
    }

    fn look_at(&mut self, data: &[u8]) {
        let Ok(shape) = json::read::<Shape<'_>>(data) else { return };
        self.take(&shape);
        for inner in [shape.message, shape.response].into_iter().flatten() {
            if let Ok(shape) = serde_json::from_str::<Shape<'_>>(inner.get()) {
                self.take(&shape);
            }
        }
    }

    fn take(&mut self, shape: &Shape<'_>) {
        if self.model.is_none() {
            self.model = shape.model.as_ref().map(|model| model.clone().into_owned());
        }
        let Some(usage) = shape.usage.map(RawValue::get) else { return };
        let has = |field: &str| memmem::find(usage.as_bytes(), field.as_bytes()).is_some();
        // OpenAI's newer form has cached tokens as a part of its input: images, transcriptions
        // (<https://platform.openai.com/docs/api-reference/images/object>, <https://platform.openai.com/docs/api-reference/audio/json-object>).
        if has("\"prompt_tokens\"") || has("\"input_tokens_details\"") || has("\"input_token_details\"") {
            openai::usage::merge_usage(usage, &mut self.usage);
        } else if has("\"input_tokens\"") || has("\"output_tokens\"") {
            messages::merge_usage(usage, &mut self.usage);
        } else if has("\"seconds\"") {
            self.usage.update(&duration(usage));
        }
    }
}

/// A cue of a transcript is shorter.
const MAX_CUE_BYTES: usize = 4096;

/// Where the last cue of subtitles ends, in seconds: nearly the length of what was heard, which such an answer does not say. SubRip has
/// `00:01:02,345 --> 00:01:04,000`, WebVTT a point for the comma and may leave out the hours.
fn last_cue(text: &[u8]) -> Option<u64> {
    let line = text.get(memmem::rfind(text, b"-->")? + 3..)?;
    let time = line.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok())?;
    let mut seconds = 0.0;
    for part in time.split_whitespace().next()?.split(':') {
        seconds =
            seconds * 60.0 + part.replace(',', ".").parse::<f64>().ok().filter(|part| (0.0..1e4).contains(part))?;
    }
    Usage::of_seconds(seconds).seconds
}

/// Of a transcription that is paid by its length: <https://platform.openai.com/docs/api-reference/audio/verbose-json-object>.
fn duration(usage: &str) -> Usage {
    #[derive(Deserialize)]
    struct Wire {
        seconds: f64,
    }
    serde_json::from_str(usage).map(|wire: Wire| Usage::of_seconds(wire.seconds)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "multipart/form-data; boundary=\"x-1\"";

    fn form(parts: &[(&str, &str)]) -> Vec<u8> {
        let parts = parts.iter().map(|(disposition, text)| {
            format!("--x-1\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{text}\r\n")
        });
        format!("{}--x-1--\r\n", parts.collect::<String>()).into_bytes()
    }

    #[test]
    fn the_model_of_a_json_body_is_found_with_its_place() {
        let body = br#"{"input":"the \"model\": x","model":"tts-1"}"#;
        let named = model_of(Some("application/json"), body).unwrap();
        assert_eq!((named.model.as_str(), &body[named.span], named.is_form), ("tts-1", &b"\"tts-1\""[..], false));
        let session = br#"{"session":{"type":"realtime","model":"gpt-realtime"}}"#;
        let named = model_of(None, session).unwrap();
        assert_eq!((named.model.as_str(), &session[named.span]), ("gpt-realtime", &b"\"gpt-realtime\""[..]));
        for body in [&b"{}"[..], b"no json", b"[1]", br#"{"model":7}"#, br#"{"session":[]}"#] {
            assert_eq!(model_of(Some("application/json"), body), None);
        }
    }

    #[test]
    fn the_model_of_a_form_is_found_behind_a_file_that_talks_of_models() {
        let body = form(&[
            ("name=\"file\"; filename=\"model\"", "name=\"model\" \r\n\r\n not me"),
            ("name=\"model\"", "whisper-1"),
        ]);
        let named = model_of(Some(FORM), &body).unwrap();
        assert_eq!((named.model.as_str(), &body[named.span], named.is_form), ("whisper-1", &b"whisper-1"[..], true));
    }

    /// As browsers and servers make a call: <https://platform.openai.com/docs/guides/realtime-webrtc>.
    #[test]
    fn the_model_of_a_calls_form_is_found_in_its_session() {
        let session = r#"{"type": "realtime", "model": "ours"}"#;
        let body = form(&[("name=\"sdp\"", "v=0\r\n"), ("name=\"session\"", session)]);
        let named = model_of(Some(FORM), &body).unwrap();
        assert_eq!((named.model.as_str(), &body[named.span], named.is_form), ("ours", &b"\"ours\""[..], false));
        for session in ["{}", "none", r#"{"session": {"model": "m"}}"#] {
            assert_eq!(
                model_of(Some(FORM), &form(&[("name=\"session\"", session), ("name=\"sdp\"", "v=0")])),
                None,
                "{session}"
            );
        }
    }

    #[test]
    fn a_body_that_two_readers_may_read_differently_is_not_clear() {
        let model = ("name=\"model\"", "cheap");
        for body in [
            form(&[model, ("name=\"model\"", "dear")]),
            form(&[("name*=utf-8\'\'model", "dear")]),
            form(&[model])[..30].to_vec(),
        ] {
            assert!(!is_clear(Some(FORM), &body), "{}", String::from_utf8_lossy(&body));
        }
        assert!(is_clear(Some(FORM), &form(&[("name=\"file\"; filename=\"model\"", "x"), model])));
        for (body, clear) in [
            (&br#"{"model":"cheap","model":"dear"}"#[..], false),
            (b"\xef\xbb\xbf{\"model\":\"dear\"}", false),
            (br#"{"model":"dear","input":[}"#, false),
            (br#"{"input":"x"}"#, true),
            (b"", true),
            (b"ID3 sound", true),
        ] {
            assert_eq!(is_clear(Some("application/json"), body), clear, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn what_a_body_may_cost_is_read_where_the_known_apis_have_it() {
        let caps = Caps::of(br#"{"model":"m","max_tokens":7,"n":2,"best_of":5,"service_tier":"priority"}"#);
        assert_eq!(caps, Caps { output_tokens: Some(7), choices: 5, tier: Some(Tier::Priority) });
        assert_eq!(Caps::of(b"--x").choices, 1);
    }

    #[test]
    fn a_form_without_a_model_or_an_end_names_none() {
        let whole = form(&[("name=\"file\"", "x")]);
        let model = form(&[("name=\"model\"", "whisper-1")]);
        for body in [&whole[..], &model[..model.len() - 10], b"", b"--x-1"] {
            assert_eq!(model_of(Some(FORM), body), None, "{}", String::from_utf8_lossy(body));
        }
    }

    fn detected(kind: &str, text: &str) -> Usage {
        let whole = {
            let mut detector = Detector::new(Some(kind));
            detector.push(text.as_bytes());
            detector.finish()
        };
        let mut split = Detector::new(Some(kind));
        for byte in text.as_bytes() {
            split.push(std::slice::from_ref(byte));
        }
        assert_eq!(whole, split.finish());
        whole.0
    }

    #[test]
    fn usage_is_found_in_every_shape_that_providers_have() {
        let completion = r#"{"object":"text_completion","model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}"#;
        assert_eq!(
            detected("application/json", completion),
            Usage { input: Some(5), output: Some(7), ..Usage::default() }
        );
        let image = r#"{"created":1,"data":[{"b64_json":"AA"}],"usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50,
            "input_tokens_details":{"text_tokens":10,"image_tokens":40}}}"#;
        assert_eq!(detected("application/json; charset=utf-8", image).total_input(), 50);
        let stream = "data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n";
        assert_eq!(detected("text/event-stream", stream).output, Some(7));
        let batch = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"c\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n";
        assert_eq!(detected("text/event-stream", batch).input, Some(3));
        let spoken = r#"{"task":"transcribe","language":"english","duration":8.470000267028809,"text":"The beach","usage":{"type":"duration","seconds":9}}"#;
        assert_eq!(detected("application/json", spoken), Usage { seconds: Some(9), ..Usage::default() });
    }

    #[test]
    fn what_says_nothing_has_used_nothing_that_is_known() {
        for (kind, text) in [
            ("application/json", r#"{"results":[]}"#),
            ("application/json", r#"{"usage":{"type":"duration","seconds":"x"}}"#),
            ("application/json", r#"{"usage":{"type":"duration","seconds":-1}}"#),
            ("application/json", "{"),
            ("audio/mpeg", r#"{"usage":{"prompt_tokens":5}}"#),
        ] {
            assert!(!detected(kind, text).is_reported(), "{text}");
        }
    }

    #[test]
    fn subtitles_say_how_long_what_was_heard_is_and_a_bare_text_does_not() {
        let found = |kind: &str, text: &str| {
            let mut detector = Detector::new(Some(kind));
            text.as_bytes().chunks(7).for_each(|piece| detector.push(piece));
            detector.finish().0.seconds
        };
        let subrip = "1\n00:00:00,000 --> 00:00:03,500\nHi.\n\n2\n00:01:02,000 --> 01:01:04,250\nÄ: that is all.\n";
        assert_eq!(found("text/plain; charset=utf-8", subrip), Some(3665));
        assert_eq!(found("text/vtt", "WEBVTT\n\n00:00.000 --> 00:02.000 align:start\nHi."), Some(2));
        for text in ["Hi.", "an arrow --> here", "x --> -1:00", "x --> 99999999999:00", "-->", ""] {
            assert_eq!(found("text/plain", text), None, "{text}");
        }
        assert_eq!(found("text/html", subrip), None);
    }
}
