//! Equal dialects: the client's bytes go to the upstream with targeted edits, the upstream's bytes go to the client as they came.
//! Fields that we have never heard of survive; only usage, content and the end are looked for.
//!
//! | edit of the request | when |
//! |---|---|
//! | `model` | an alias or a pin changed it |
//! | `stream_options.include_usage: true` | OpenAI streams: the gateway always meters; what the client did not ask for is taken out of the stream again |
//! | `model`, `stream` out, `anthropic_version`, `anthropic_beta` in | Claude on Bedrock |
//! | beta flags that Bedrock refuses, and the fields that they gate, out (reported) | Claude on Bedrock |
//! | blank text blocks out (reported) | Claude on Bedrock |
//! | reasoning of another provider's model out (reported): `foreign` | Messages, Responses, Gemini |
//! | thinking without a signature out (reported): `foreign` | Claude |
//! | `thinking` off in a tool loop that came back without its thinking (reported): `thinking` | Messages |
//! | one of `temperature` and `top_p` out (reported): `sampling` | Claude 4.1 to 4.6 |
//! | `model` out, `anthropic_version` in | Claude on Vertex |
//!
//! Gemini's body has neither model nor `stream`, so it goes as it came, but for that.
//!
//! What is taken out would be refused for certain; whatever else a provider refuses, its own error tells the client (`docs/decisions/0017`).
//! The one edit of an answer: `guardrail`.

mod foreign;
mod guardrail;
mod invoke;
mod responses;
mod sampling;
mod thinking;

pub(crate) use foreign::is_not_claudes;
pub(crate) use thinking::first_of_loop;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use guardrail::Guardrail;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::codec::{self, Carrier, Dialect, Seed, Target};
use crate::envelope::Envelope;
use crate::error::WireError;
use crate::exchange::Relayed;
use crate::ir::{Dropped, Fault, Usage};
use crate::messages::vertex;
use crate::sse::{SseEvent, SseParser};
use crate::{gemini, json, messages, openai, responses as responses_dialect};

/// The upstream's body of a request in the same dialect.
pub fn edit_request(
    body: &Bytes,
    envelope: &Envelope,
    betas: &[String],
    target: &Target<'_>,
    dropped: &mut Vec<Dropped>,
) -> Result<Bytes, WireError> {
    let edited = match target.dialect {
        Dialect::Messages => mended(body, envelope, target, dropped),
        _ => foreign::without(target, body, dropped),
    };
    let Some(edited) = edited else {
        return edit(body, envelope, betas, target, dropped);
    };
    let edited = Bytes::from(edited);
    if target.dialect == Dialect::GenerateContent {
        return Ok(edited);
    }
    let envelope = Envelope::decode(target.dialect, &edited)?;
    edit(&edited, &envelope, betas, target, dropped)
}

/// A request in the Messages dialect, without what is refused for certain. `None`: there is nothing of the kind in it.
fn mended(body: &Bytes, envelope: &Envelope, target: &Target<'_>, dropped: &mut Vec<Dropped>) -> Option<Vec<u8>> {
    let mut edited = None;
    if TEXTS.thinking.find(body).is_some() {
        edited = foreign::without(target, body, dropped);
        edited = thinking::off(edited.as_deref().unwrap_or(body), dropped).or(edited);
    }
    if envelope.samples_twice {
        edited = sampling::one_of_two(edited.as_deref().unwrap_or(body), target.model, dropped).or(edited);
    }
    edited
}

fn edit(
    body: &Bytes,
    envelope: &Envelope,
    betas: &[String],
    target: &Target<'_>,
    dropped: &mut Vec<Dropped>,
) -> Result<Bytes, WireError> {
    match target.carrier {
        _ if target.dialect == Dialect::GenerateContent => Ok(body.clone()),
        Carrier::Direct => edit_direct(body, envelope, target),
        Carrier::Bedrock => invoke::edit(body, betas, target.model, dropped),
        Carrier::Vertex => vertex::edit_request(body),
    }
}

fn edit_direct(body: &Bytes, envelope: &Envelope, target: &Target<'_>) -> Result<Bytes, WireError> {
    let mut cuts: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    if target.model != envelope.model {
        cuts.push((envelope.model_span.clone(), json_string(target.model)));
    }
    if target.dialect == Dialect::Chat && envelope.stream && !envelope.include_usage {
        match &envelope.stream_options_span {
            Some(span) => cuts.push((span.clone(), with_usage(body.get(span.clone()).unwrap_or_default())?)),
            None => {
                let inside = memchr::memchr(b'{', body).map_or(0, |at| at + 1);
                cuts.push((inside..inside, r#""stream_options":{"include_usage":true},"#.to_owned()));
            }
        }
    }
    if cuts.is_empty() {
        return Ok(body.clone());
    }
    Ok(json::spliced(body, cuts).into())
}

fn with_usage(options: &[u8]) -> Result<String, WireError> {
    let mut options: serde_json::Map<String, serde_json::Value> =
        json::read(options).map_err(|e| WireError::invalid("stream_options", e.to_string()))?;
    options.insert("include_usage".to_owned(), true.into());
    Ok(serde_json::Value::Object(options).to_string())
}

fn json_string(text: &str) -> String {
    // A text can always be written.
    serde_json::to_string(text).unwrap_or_default()
}

/// Follows an upstream's answer in the client's own dialect.
#[derive(Debug)]
pub struct Sniffer {
    dialect: Dialect,
    /// The client did not ask for usage: what [`edit_request`] added is taken out again.
    hide_usage: bool,
    /// How many answers have not ended yet (Gemini): nothing else marks the end of its stream.
    unfinished: u64,
    parser: SseParser,
    finish_reason: bool,
    /// Events of a Responses stream that have passed: the number of the next one.
    events: u64,
    /// The event with which a Responses stream says that its answer failed.
    failed: Option<Bytes>,
    /// Claude on Bedrock.
    guardrail: Option<Guardrail>,
    /// Usage so far.
    pub usage: Usage,
    /// The model that answers.
    pub model: Option<String>,
    /// Content has passed.
    pub content: bool,
    /// The final event has passed.
    pub done: bool,
    /// How much content has passed.
    pub relayed: Relayed,
}

/// What the events of Chat and Messages may hold, as far as it is looked at.
#[derive(Deserialize)]
struct Sniffed<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(rename = "amazon-bedrock-invocationMetrics", borrow, default)]
    metrics: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(default)]
    finish_reason: Option<String>,
}

impl Sniffer {
    /// For an answer in this dialect. `hide_usage`: the gateway asked for usage in the client's name.
    pub fn new(dialect: Dialect, hide_usage: bool) -> Self {
        Self {
            dialect,
            hide_usage,
            unfinished: 1,
            parser: SseParser::new(),
            finish_reason: false,
            events: 0,
            failed: None,
            guardrail: None,
            usage: Usage::default(),
            model: None,
            content: false,
            done: false,
            relayed: Relayed::default(),
        }
    }

    /// From this upstream.
    #[must_use]
    pub(crate) fn of(self, target: &Target<'_>) -> Self {
        let on_bedrock = target.carrier == Carrier::Bedrock && target.dialect == Dialect::Messages;
        Self { guardrail: on_bedrock.then(Guardrail::default), ..self }
    }

    /// So many answers will come at once.
    #[must_use]
    pub fn expecting(self, choices: u64) -> Self {
        Self { unfinished: choices, ..self }
    }

    /// A whole answer that was found good, as the client gets it.
    pub(crate) fn whole(&self, body: Bytes) -> Bytes {
        if self.guardrail.is_some() { Guardrail::whole(body) } else { body }
    }

    /// A whole 2xx body: checks that it is an answer of the dialect, and keeps its usage.
    pub fn response(&mut self, body: &[u8]) -> Result<(), WireError> {
        let bad = |text: &str| WireError::BadAnswer(text.to_owned());
        if self.dialect == Dialect::GenerateContent {
            let sniffed = self.gemini_answer(body).map_err(|fault| WireError::Fault(Box::new(fault)))?;
            (self.content, self.done) = (true, true);
            return if sniffed { Ok(()) } else { Err(bad("it has no `candidates`")) };
        }
        let members = json::members_of_answer(body, &["choices", "content", "error", "model", "output", "usage"])?;
        let find = |key: &str| members.iter().find(|m| m.key == key && m.value != "null").map(|m| m.value);
        let has_list = |key: &str| find(key).is_some_and(|value| value.starts_with('['));
        match self.dialect {
            Dialect::Chat if !has_list("choices") => {
                // OpenRouter says under a 200 what goes wrong once a model is at work: <https://openrouter.ai/docs/errors>.
                return Err(match find("error") {
                    Some(_) => WireError::Fault(Box::new(self.fault_event(body))),
                    None => bad("it has no `choices`"),
                });
            }
            Dialect::Messages if !has_list("content") => return Err(bad("it has no `content`")),
            Dialect::Responses if find("error").is_some() => {
                return Err(WireError::Fault(Box::new(responses_dialect::fault_of_event(body))));
            }
            Dialect::Responses if !has_list("output") => return Err(bad("it has no `output`")),
            _ => {}
        }
        self.content = true;
        self.done = true;
        self.model = find("model").and_then(json::string).map(Cow::into_owned);
        if let Some(usage) = find("usage") {
            self.take_usage(usage);
        }
        if self.dialect == Dialect::Responses {
            self.usage.web_searches = openai::usage::web_searches(body);
        }
        Ok(())
    }

    /// More bytes of a stream: whole events go to `out`.
    pub fn chunk(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.parser.push(bytes).map_err(WireError::into_fault)?;
        while let Some(event) = self.parser.next_event() {
            self.event(&event, out)?;
        }
        Ok(())
    }

    /// The stream's bytes have ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let last = self.parser.finish();
        if let Some(event) = &last {
            self.event(event, out)?;
        }
        if let Some(guardrail) = &mut self.guardrail {
            guardrail.release(out);
        }
        if last.is_some() {
            out.extend_from_slice(b"\n");
        }
        if self.done {
            return Ok(());
        }
        if self.finish_reason && self.dialect == Dialect::Chat {
            // Some compatible servers leave `[DONE]` out; a client may wait for it.
            self.done = true;
            out.extend_from_slice(b"data: [DONE]\n\n");
            return Ok(());
        }
        if self.finish_reason && self.dialect == Dialect::GenerateContent {
            self.done = true;
            return Ok(());
        }
        Err(WireError::Incomplete.into_fault())
    }

    /// Ends the client's stream with an error event in its dialect.
    pub fn fail(&mut self, fault: &Fault, request_id: &str, out: &mut Vec<u8>) {
        if self.dialect == Dialect::Responses {
            match self.failed.take() {
                Some(event) => out.extend_from_slice(&event),
                None => responses_dialect::write_fault(fault, self.events, out),
            }
            return;
        }
        let seed = Seed { created_unix_s: 0, request_id: request_id.to_owned() };
        codec::stream_writer(self.dialect, &seed, false, &Arc::default()).fault(fault, request_id, out);
    }

    fn event(&mut self, event: &SseEvent, out: &mut Vec<u8>) -> Result<(), Fault> {
        let data = event.data();
        if let Some(guardrail) = &mut self.guardrail {
            guardrail.before(&data, out);
        }
        let null_usage = match self.dialect {
            Dialect::Chat => TEXTS.null_usage.find(&event.raw),
            _ => None,
        };
        let forward = match self.dialect {
            _ if data.is_empty() || self.done => !self.done,
            Dialect::Chat | Dialect::Rerank => self.chat_event(&data, null_usage.is_some())?,
            Dialect::Responses => self.responses_event(event, &data)?,
            Dialect::GenerateContent => self.gemini_answer(&data).map(|_| true)?,
            Dialect::Messages | Dialect::Converse => self.messages_event(event, &data)?,
        };
        if !forward {
            return Ok(());
        }
        if self.content && !self.done && !self.finish_reason {
            self.relayed.event(event.raw.len());
        }
        if self.guardrail.as_mut().is_some_and(|guardrail| guardrail.waits(event, &data)) {
            return Ok(());
        }
        match null_usage.filter(|_| self.hide_usage) {
            // With `include_usage` OpenAI adds this to every chunk. The text cannot stand inside a JSON string: its quotes would be escaped.
            Some(at) => {
                out.extend_from_slice(event.raw.get(..at).unwrap_or_default());
                out.extend_from_slice(event.raw.get(at + NULL_USAGE.len()..).unwrap_or_default());
            }
            None => out.extend_from_slice(&event.raw),
        }
        Ok(())
    }

    /// Is this chunk the client's? `null_usage`: it says that it has no usage.
    fn chat_event(&mut self, data: &[u8], null_usage: bool) -> Result<bool, Fault> {
        if data == b"[DONE]" {
            self.done = true;
            return Ok(true);
        }
        let has_usage = !null_usage && TEXTS.usage.find(data).is_some();
        let plain = self.content && self.finish_reason && !has_usage;
        if plain && TEXTS.error.find(data).is_none() {
            return Ok(true);
        }
        if self.content && !has_usage && is_plain_delta(data) {
            return Ok(true);
        }
        let sniffed: Sniffed<'_> = json::read(data).map_err(|e| WireError::BadAnswer(e.to_string()).into_fault())?;
        if sniffed.error.is_some_and(|e| e.get() != "null") {
            return Err(self.fault_event(data));
        }
        self.take_raw_usage(sniffed.usage);
        self.model = self.model.take().or(sniffed.model);
        let choices = sniffed.choices.unwrap_or_default();
        for choice in &choices {
            self.content |= choice.delta.is_some_and(|delta| has_content(delta.get()));
            if choice.finish_reason.as_deref().is_some_and(|reason| !reason.is_empty()) {
                self.finish_reason = true;
                self.content = true;
            }
        }
        Ok(!(self.hide_usage && choices.is_empty() && sniffed.usage.is_some_and(|u| u.get() != "null")))
    }

    /// An answer of Gemini's, or a chunk of one: is it one at all? The stream is over when every candidate has ended and the counts are there.
    fn gemini_answer(&mut self, data: &[u8]) -> Result<bool, Fault> {
        let sniffed: gemini::Sniffed<'_> =
            json::read(data).map_err(|e| WireError::BadAnswer(e.to_string()).into_fault())?;
        if sniffed.error.is_some_and(|e| e.get() != "null") {
            return Err(self.fault_event(data));
        }
        self.content |= sniffed.has_content() || sniffed.finished() > 0;
        self.unfinished = self.unfinished.saturating_sub(sniffed.finished());
        self.finish_reason |= sniffed.finished() > 0;
        if let Some(counts) = &sniffed.usage_metadata {
            self.usage.update(&counts.to_ir());
            self.done |= self.unfinished == 0;
        }
        self.usage.web_searches = self.usage.web_searches.max(sniffed.web_searches());
        let is_answer = sniffed.is_answer();
        self.model = self.model.take().or(sniffed.model_version);
        Ok(is_answer)
    }

    fn messages_event(&mut self, event: &SseEvent, data: &[u8]) -> Result<bool, Fault> {
        if event.name() == Some(b"content_block_delta") {
            self.content = true;
            return Ok(true);
        }
        let sniffed: Sniffed<'_> = json::read(data).map_err(|e| WireError::BadAnswer(e.to_string()).into_fault())?;
        match sniffed.kind.as_deref().unwrap_or_default() {
            "error" => return Err(self.fault_event(data)),
            "message_start" => {
                let start = sniffed.message.and_then(|m| serde_json::from_str::<Sniffed<'_>>(m.get()).ok());
                if let Some(start) = start {
                    self.take_raw_usage(start.usage);
                    self.model = start.model;
                }
            }
            "content_block_delta" => self.content = true,
            "message_delta" => {
                self.content = true;
                self.take_raw_usage(sniffed.usage);
            }
            "message_stop" => {
                self.done = true;
                if let Some(metrics) = sniffed.metrics {
                    messages::merge_metrics(metrics.get(), &mut self.usage);
                }
            }
            _ => {}
        }
        Ok(true)
    }

    /// An error event inside a 200 stream: it has no status of its own.
    fn fault_event(&self, data: &[u8]) -> Fault {
        let (status, headers) = (http::StatusCode::OK, http::HeaderMap::new());
        Fault { status: None, ..codec::decode_fault(self.dialect, status, &headers, data) }
    }

    fn take_raw_usage(&mut self, usage: Option<&RawValue>) {
        if let Some(usage) = usage.filter(|usage| usage.get() != "null") {
            self.take_usage(usage.get());
        }
    }

    fn take_usage(&mut self, usage: &str) {
        match self.dialect {
            Dialect::Chat | Dialect::Responses | Dialect::Rerank => openai::usage::merge_usage(usage, &mut self.usage),
            Dialect::Messages | Dialect::Converse => messages::merge_usage(usage, &mut self.usage),
            // Its counts stand elsewhere: see `gemini_answer`.
            Dialect::GenerateContent => {}
        }
    }
}

const NULL_USAGE: &[u8] = b",\"usage\":null";

/// What bodies and events are searched for. To prepare a search costs several times what the search of an event does.
struct Texts {
    usage: Finder<'static>,
    null_usage: Finder<'static>,
    unfinished: Finder<'static>,
    error: Finder<'static>,
    thinking: Finder<'static>,
}

static TEXTS: LazyLock<Texts> = LazyLock::new(|| Texts {
    usage: Finder::new(b"\"usage\""),
    null_usage: Finder::new(NULL_USAGE),
    unfinished: Finder::new(b"\"finish_reason\":null"),
    error: Finder::new(b"\"error\""),
    thinking: Finder::new(b"\"thinking\""),
});

/// A chunk that surely holds neither an error nor a finish reason, in OpenAI's own spelling.
fn is_plain_delta(data: &[u8]) -> bool {
    TEXTS.unfinished.find(data).is_some() && TEXTS.error.find(data).is_none()
}

fn has_content(delta: &str) -> bool {
    let Ok(serde_json::Value::Object(delta)) = serde_json::from_str(delta) else { return false };
    delta.iter().any(|(key, value)| match value {
        _ if key == "role" => false,
        serde_json::Value::String(text) => !text.is_empty(),
        serde_json::Value::Array(items) => !items.is_empty(),
        serde_json::Value::Object(_) => true,
        _ => false,
    })
}
