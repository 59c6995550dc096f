//! One request and its attempts: what the pipeline holds. It never sees a dialect.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderMap;

use crate::caching::Caching;
use crate::codec::{self, Carrier, Dialect, ResponseReader, Seed, StreamWriter, Target};
use crate::envelope::Envelope;
use crate::error::WireError;
use crate::extras::Extras;
use crate::identity::{self, Sniffer};
use crate::ir::{self, BlockKind, Delta, Dropped, Event, Fault, Tier, Usage};
use crate::messages;

/// A client's request.
#[derive(Debug)]
pub struct Inbound {
    dialect: Dialect,
    body: Bytes,
    envelope: Envelope,
    betas: Vec<String>,
    kept: OnceLock<Box<Kept>>,
    /// In a box: it is large, and the same dialect never looks at it.
    tree: OnceLock<Box<Result<ir::Request, WireError>>>,
}

/// A request's place among the responses that the gateway keeps itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its answer is kept under this id; `None`: it is not.
    pub id: Option<String>,
    /// It goes on with this response.
    pub previous: Option<String>,
}

/// An attempt, ready to be sent.
#[derive(Debug)]
pub struct Started {
    /// The upstream's body.
    pub body: Bytes,
    /// Flags for the `anthropic-beta` header, for an upstream that takes them there.
    pub betas: Vec<String>,
    /// More headers, for an upstream that takes there what has no place in the body.
    pub headers: Vec<(&'static str, String)>,
    /// What the upstream will not see as the client said it.
    pub dropped: Vec<Dropped>,
    /// Reads the answer for the client.
    pub relay: Relay,
}

impl Inbound {
    /// Looks at a body: is it JSON, which model, streamed? `betas`: the flags of the client's `anthropic-beta` headers.
    pub fn decode(dialect: Dialect, body: Bytes, betas: Vec<String>) -> Result<Self, WireError> {
        let envelope = Envelope::decode(dialect, &body)?;
        Ok(Self { dialect, body, envelope, betas, kept: OnceLock::new(), tree: OnceLock::new() })
    }

    /// A request of Gemini's, whose model and streaming stand in its path.
    pub fn by_path(body: Bytes, model: String, stream: bool) -> Result<Self, WireError> {
        let envelope = Envelope::by_path(&body, model, stream)?;
        Ok(Self {
            dialect: Dialect::GenerateContent,
            body,
            envelope,
            betas: Vec::new(),
            kept: OnceLock::new(),
            tree: OnceLock::new(),
        })
    }

    /// What it may cost beside its own tokens.
    pub fn extras(&self) -> Extras {
        Extras::of(self.dialect, &self.body)
    }

    /// Its client's dialect.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The body as the client sent it.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The same request with another body.
    pub fn with_body(&self, body: Bytes) -> Result<Self, WireError> {
        match self.dialect {
            Dialect::GenerateContent => Self::by_path(body, self.envelope.model.clone(), self.envelope.stream),
            dialect => Self::decode(dialect, body, self.betas.clone()),
        }
    }

    /// The same request with cache marks, for an upstream that knows them.
    pub fn marked(&self, caching: &Caching) -> Result<Self, WireError> {
        if self.dialect == Dialect::Messages {
            return self.with_body(caching.mark_body(&self.body)?);
        }
        let mut request = self.request()?.clone();
        caching.mark(&mut request);
        Ok(Self {
            dialect: self.dialect,
            body: self.body.clone(),
            envelope: self.envelope.clone(),
            betas: self.betas.clone(),
            kept: self.kept.clone(),
            tree: OnceLock::from(Box::new(Ok(request))),
        })
    }

    /// Says where its answer is kept, if another dialect's provider answers it. One of the client's own dialect keeps its answers itself. Once, and before it is
    /// first asked for as a tree.
    pub fn keep(&self, kept: Kept) {
        let _ = self.kept.set(Box::new(kept));
    }

    /// What routing and limits need.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The request as a tree; built at the first call.
    pub fn request(&self) -> Result<&ir::Request, WireError> {
        let tree = self.tree.get_or_init(|| Box::new(self.decoded()));
        tree.as_ref().as_ref().map_err(Clone::clone)
    }

    fn decoded(&self) -> Result<ir::Request, WireError> {
        let mut request = codec::decode_request(self.dialect, &self.body)?;
        if self.dialect == Dialect::GenerateContent {
            request.model.clone_from(&self.envelope.model);
            request.stream = self.envelope.stream;
        }
        if let Some(Kept { id, previous }) = self.kept.get().map(AsRef::as_ref) {
            let mut echo = ir::Echo::clone(&request.echo);
            echo.kept.clone_from(id);
            echo.fields.insert("store".to_owned(), id.is_some().into());
            echo.fields.insert("previous_response_id".to_owned(), previous.as_deref().into());
            request.echo = Arc::new(echo);
        }
        Ok(request)
    }

    /// Makes the request of one attempt. `strict`: an error instead of a loss. The flags of `anthropic-beta`, which a translation leaves out, are
    /// reported and never a reason to refuse: SDKs send them with every request, and what they allow in a body is judged there.
    pub fn start(&self, target: &Target<'_>, seed: &Seed, strict: bool) -> Result<Started, WireError> {
        if self.envelope.thread && (target.dialect, target.carrier) != (Dialect::Messages, Carrier::Direct) {
            return Err(messages::no_threads());
        }
        let mut dropped = Vec::new();
        let (body, betas, headers, kind) = if target.dialect == self.dialect {
            let body = identity::edit_request(&self.body, &self.envelope, &self.betas, target, &mut dropped)?;
            let hide_usage = self.dialect == Dialect::Chat && !self.envelope.include_usage;
            (
                body,
                self.betas.clone(),
                Vec::new(),
                Kind::Identity(Box::new(
                    Sniffer::new(self.dialect, hide_usage).expecting(self.envelope.choices).of(target),
                )),
            )
        } else {
            let request = self.request()?;
            let encoded = codec::encode_request(request, target)?;
            dropped = encoded.dropped;
            if request.echo.kept.is_some() {
                dropped.retain(|dropped| dropped.path != "store");
            }
            let writer = codec::stream_writer(self.dialect, seed, self.envelope.include_usage, &request.echo);
            let translation = Translation {
                client: self.dialect,
                asked: self.envelope.model.clone(),
                seed: seed.clone(),
                echo: Arc::clone(&request.echo),
                tier: None,
                reader: encoded.reader,
                writer,
                events: Vec::new(),
            };
            (encoded.body, Vec::new(), encoded.headers, Kind::Translated(Box::new(translation)))
        };
        if strict && !dropped.is_empty() {
            return Err(WireError::lossy(&dropped));
        }
        if matches!(kind, Kind::Translated(_)) {
            let reason = "the request was translated; the flags of its header are not sent on";
            dropped.extend(self.betas.iter().map(|flag| Dropped::new(format!("anthropic-beta: {flag}"), reason)));
        }
        Ok(Started { body, betas, headers, dropped, relay: Relay { kind, state: State::default() } })
    }
}

/// Turns one upstream answer into the client's, and keeps the books on it. Owned by one attempt.
#[derive(Debug)]
pub struct Relay {
    kind: Kind,
    state: State,
}

#[derive(Debug)]
enum Kind {
    Identity(Box<Sniffer>),
    Translated(Box<Translation>),
}

#[derive(Debug)]
struct Translation {
    client: Dialect,
    /// What the client asked for: the answer's model where the upstream names none.
    asked: String,
    seed: Seed,
    echo: Arc<ir::Echo>,
    /// How the call was served, where a header says it.
    tier: Option<Tier>,
    reader: Box<dyn ResponseReader>,
    writer: Box<dyn StreamWriter>,
    events: Vec<Event>,
}

/// What has been seen of the answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// What the upstream reported so far.
    pub usage: Usage,
    /// The model that answers, as the upstream names it.
    pub model: Option<String>,
    /// Content has passed: from here on a failover would be seen.
    pub content: bool,
    /// The answer is complete.
    pub done: bool,
    /// How much content has passed, for an upstream that does not say what it was.
    pub relayed: Relayed,
}

/// How much content of a stream has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relayed {
    events: u64,
    bytes: u64,
    least: Option<u64>,
}

impl Relayed {
    /// An event with content, with its envelope.
    pub(crate) fn event(&mut self, bytes: usize) {
        self.note(bytes, bytes);
    }

    /// Content by itself.
    pub(crate) fn content(&mut self, delta: &Delta) {
        let bytes = match delta {
            Delta::Text(text) | Delta::Thinking(text) | Delta::ToolInput(text) => text.len(),
            Delta::Signature(_) | Delta::Logprobs(_) | Delta::Citation(_) => return,
        };
        self.note(bytes, 0);
    }

    fn note(&mut self, bytes: usize, envelope: usize) {
        let count = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        self.events += 1;
        self.bytes = self.bytes.saturating_add(count(bytes));
        self.least = Some(self.least.map_or(count(envelope), |least| least.min(count(envelope))));
    }

    /// About so many output tokens: one per event at least, and one for every four bytes that an event has more than the smallest of its stream, which is all
    /// envelope but for a token.
    pub fn tokens(&self) -> u64 {
        let envelopes = self.events.saturating_mul(self.least.unwrap_or_default());
        self.events.max(self.bytes.saturating_sub(envelopes) / 4)
    }
}

impl Relay {
    /// What has been seen so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How the call was served, where a header of its answer says so: of InvokeModel and of Gemini.
    pub fn served(&mut self, headers: &HeaderMap) {
        const TIERS: [&str; 2] = ["x-amzn-bedrock-service-tier", "x-gemini-service-tier"];
        let word = TIERS.iter().find_map(|name| headers.get(*name)?.to_str().ok());
        let Some(tier) = word.and_then(Tier::named) else { return };
        self.state.usage.tier = Some(tier);
        match &mut self.kind {
            Kind::Identity(sniffer) => sniffer.usage.tier = Some(tier),
            Kind::Translated(translation) => {
                translation.tier = Some(tier);
                translation.writer.usage().tier = Some(tier);
            }
        }
    }

    /// A whole 2xx body, for the client. A fault means that it is no answer of the upstream's dialect.
    pub fn response(&mut self, body: Bytes) -> Result<Bytes, Fault> {
        let body = match &mut self.kind {
            Kind::Identity(sniffer) => {
                sniffer.response(&body).map_err(WireError::into_fault)?;
                self.state.take_from(sniffer);
                sniffer.whole(body)
            }
            Kind::Translated(translation) => {
                let mut response = translation.reader.response(&body).map_err(WireError::into_fault)?;
                response.model.get_or_insert_with(|| translation.asked.clone());
                response.usage.tier = translation.tier.or(response.usage.tier);
                self.state.usage.update(&response.usage);
                self.state.model.clone_from(&response.model);
                codec::encode_response(translation.client, &response, &translation.seed, &translation.echo)
            }
        };
        self.state.content = true;
        self.state.done = true;
        self.state.relayed.note(body.len(), 0);
        Ok(body)
    }

    /// More bytes of a stream. Appends what the client gets. A fault: the upstream reported an error, or broke its dialect.
    pub fn chunk(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        match &mut self.kind {
            Kind::Identity(sniffer) => {
                let outcome = sniffer.chunk(bytes, out);
                self.state.take_from(sniffer);
                outcome
            }
            Kind::Translated(translation) => {
                let read = translation.reader.chunk(bytes, &mut translation.events);
                translation.write(&mut self.state, out)?;
                read.map_err(WireError::into_fault)
            }
        }
    }

    /// The stream's bytes have ended. A fault if it is not complete.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        match &mut self.kind {
            Kind::Identity(sniffer) => {
                let outcome = sniffer.finish(out);
                self.state.take_from(sniffer);
                outcome
            }
            Kind::Translated(translation) => {
                let read = translation.reader.finish(&mut translation.events);
                translation.write(&mut self.state, out)?;
                read.map_err(WireError::into_fault)?;
                if self.state.done { Ok(()) } else { Err(WireError::Incomplete.into_fault()) }
            }
        }
    }

    /// Ends the client's stream with an error event in its dialect.
    pub fn fail(&mut self, fault: &Fault, request_id: &str, out: &mut Vec<u8>) {
        match &mut self.kind {
            Kind::Identity(sniffer) => sniffer.fail(fault, request_id, out),
            Kind::Translated(translation) => translation.writer.fault(fault, request_id, out),
        }
    }
}

impl State {
    fn take_from(&mut self, sniffer: &Sniffer) {
        self.usage = sniffer.usage;
        if self.model.is_none() {
            self.model.clone_from(&sniffer.model);
        }
        self.content = sniffer.content;
        self.done = sniffer.done;
        self.relayed = sniffer.relayed;
    }
}

impl Translation {
    fn write(&mut self, state: &mut State, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut stopped = false;
        for mut event in self.events.drain(..) {
            match &mut event {
                Event::Start { model, .. } => {
                    model.get_or_insert_with(|| self.asked.clone());
                    state.model.clone_from(model);
                }
                Event::BlockStart { kind: BlockKind::ToolUse { .. } | BlockKind::RedactedThinking(_), .. } => {
                    state.content = true;
                }
                Event::Delta { delta, .. } => {
                    state.content = true;
                    state.relayed.content(delta);
                }
                Event::Usage(usage) => {
                    // The host of a model knows better than the model.
                    usage.tier = self.tier.or(usage.tier);
                    state.usage.update(usage);
                }
                Event::Stop(_) => {
                    state.content = true;
                    stopped = true;
                }
                Event::Fault(fault) => return Err(fault.clone()),
                Event::BlockStart { .. } | Event::BlockStop { .. } => {}
            }
            self.writer.event(&event, out);
        }
        if stopped && !state.done {
            state.done = true;
            self.writer.finish(out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Carrier;

    #[test]
    fn beta_flags_that_a_translation_leaves_out_are_reported_and_not_refused() {
        let body = r#"{"model":"claude-sonnet-4-5","max_tokens":64,"messages":[{"role":"user","content":"Hi"}]}"#;
        let flags = ["context-1m-2025-08-07", "a-flag-of-tomorrow"].map(str::to_owned).to_vec();
        let inbound = Inbound::decode(Dialect::Messages, Bytes::from_static(body.as_bytes()), flags.clone()).unwrap();
        let seed = Seed { created_unix_s: 0, request_id: "r".to_owned() };
        for dialect in [Dialect::Chat, Dialect::Responses, Dialect::Converse, Dialect::GenerateContent] {
            let target = Target { dialect, carrier: Carrier::Direct, model: "gemini-3-flash-preview" };
            let started = inbound.start(&target, &seed, true).unwrap();
            let paths: Vec<&str> = started.dropped.iter().map(|dropped| dropped.path.as_str()).collect();
            let expected = ["anthropic-beta: context-1m-2025-08-07", "anthropic-beta: a-flag-of-tomorrow"];
            assert_eq!((paths, started.betas), (expected.to_vec(), Vec::new()), "{dialect:?}");
        }
        let target = Target { dialect: Dialect::Messages, carrier: Carrier::Direct, model: "claude-sonnet-4-5" };
        let started = inbound.start(&target, &seed, true).unwrap();
        assert_eq!((started.dropped, started.betas), (Vec::new(), flags), "sent on");
    }
}
