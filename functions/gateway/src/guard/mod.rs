//! Prompt guards: webhooks that see a request before the model does, and an answer before the client does.
//!
//! 1. [`Guards::request`] asks the request hooks in order, before anything is reserved or sent. A pass leaves the client's bytes as they are; a mask
//!    replaces texts in them (`conversation`); a reject ends the request with the hook's own status and body.
//! 2. [`Guards::answer`] does the same with a whole answer, [`Guards::stream`] with a stream that was held until it was complete (`answer`,
//!    `stream`; `responses` for both of that dialect). What the model used is spent by then, and booked.
//! 3. `hook` is one hook: what it is sent (`facts` fills its headers), how it is reached (HTTP, or `function` by ARN), what its answer means.
//!
//! What is no conversation, no hook sees: routes of the types passthrough, detect and realtime are refused where there are guards, unless the configuration says
//! otherwise ([`Guards::bar`]).
//!
//! What a hook sees is the contract's: texts with their roles, nothing else, no identity unless its configuration names one.
//!
//! # When something fails
//!
//! A hook that cannot be reached, is late, or answers with something that is no action has failed: 503 (`guard_failed`), or with
//! `failureMode: failOpen` a warning. `failOpen` is about hooks that are down. It does not turn these into a pass: an action that cannot be read (it
//! may be a broken reject), a 4xx that does not mean "later" (a prompt that is too long for a hook must not get past it), a mask that does not fit,
//! a header whose value the request lacks.

mod answer;
mod content;
mod conversation;
mod facts;
mod function;
mod hook;
mod responses;
mod stream;
mod tree;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use tollgate_config::{Config, GuardStreaming, PromptGuard, UnguardedRoute};
use tollgate_upstream::Chains;
use tollgate_webhook::{Action, Choice, Phase, Reject, RequestBody, ResponseBody};
use tollgate_wire::codec::Dialect;
use tollgate_wire::exchange::Inbound;
use tollgate_wire::ir::{Fault, FaultKind};

pub use facts::Facts;
use hook::{Failure, Hook};

/// The most of a stream that is held for its check.
pub const MAX_HELD_BYTES: usize = 16 * 1024 * 1024;

/// All guards of the configuration.
#[derive(Debug, Default)]
pub struct Guards {
    request: Vec<Hook>,
    response: Vec<Hook>,
    skips_streams: bool,
    config: PromptGuard,
}

/// Why a request does not go on, or its answer does not go out.
#[derive(Debug)]
pub enum Stop {
    /// A hook says no.
    Rejected(Reject),
    /// A hook failed, or the request cannot be read.
    Failed(Fault),
}

/// Texts that a mask cannot be put back into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unmatched;

impl Guards {
    /// Builds the hooks; touches no network.
    pub fn new(config: &Config, chains: &Chains) -> Self {
        let Some(guard) = &config.ai.prompt_guard else { return Self::default() };
        let hooks = |guards: &[tollgate_config::Guard], phase: Phase| {
            guards.iter().enumerate().map(|(index, guard)| Hook::new(&guard.webhook, phase, index, chains)).collect()
        };
        Self {
            request: hooks(&guard.request, Phase::Request),
            response: hooks(&guard.response, Phase::Response),
            skips_streams: guard.streaming == GuardStreaming::Skip,
            config: guard.clone(),
        }
    }

    /// Prepares in the background what the first call of a function would otherwise wait for. Needs a runtime.
    pub fn warm(&self) {
        if let Some(hook) = self.request.iter().chain(&self.response).find(|hook| hook.is_function()) {
            hook.warm();
        }
    }

    /// Is there anything to ask about answers?
    pub fn checks_answers(&self) -> bool {
        !self.response.is_empty()
    }

    /// May what this route carries not pass, because no guard would see it?
    pub fn bar(&self, route: Option<UnguardedRoute>) -> bool {
        route.is_some_and(|route| self.config.bars(route))
    }

    /// Has a stream to be held until it is complete?
    pub fn holds_streams(&self) -> bool {
        self.checks_answers() && !self.skips_streams
    }

    /// Asks the request hooks. `Some`: the request with what they masked.
    pub async fn request(&self, facts: &Facts<'_>, inbound: &Inbound) -> Result<Option<Inbound>, Stop> {
        if self.request.is_empty() {
            return Ok(None);
        }
        let invalid = |error: tollgate_wire::error::WireError| Stop::Failed(error.into_fault());
        let mut conversation = conversation::Conversation::read(facts.client, inbound.body()).map_err(invalid)?;
        let mut masked = false;
        for hook in &self.request {
            let body = RequestBody { messages: conversation.messages() }.encode();
            match hook.ask(facts, body).await? {
                Action::MaskRequest { messages, .. } => match conversation.mask(messages) {
                    Ok(changed) => masked |= changed,
                    Err(Unmatched) => return Err(unmatched(hook)),
                },
                Action::Reject(reject) => return Err(Stop::Rejected(reject)),
                Action::Pass { .. } | Action::MaskResponse { .. } => {}
            }
        }
        if !masked {
            return Ok(None);
        }
        inbound.with_body(conversation.into_body()).map(Some).map_err(invalid)
    }

    /// Asks the response hooks about a whole answer in the client's dialect.
    pub async fn answer(&self, facts: &Facts<'_>, body: Bytes) -> Result<Bytes, Stop> {
        if !self.checks_answers() {
            return Ok(body);
        }
        if facts.client == Dialect::Responses {
            let mut answer = responses::Answer::whole(body).ok_or_else(|| unreadable("answer"))?;
            self.choices(facts, &mut answer).await?;
            return answer.into_bytes().ok_or_else(|| unreadable("answer"));
        }
        let mut answer = answer::Whole::read(facts.client, body).ok_or_else(|| unreadable("answer"))?;
        self.choices(facts, &mut answer).await?;
        Ok(answer.into_body())
    }

    /// Asks the response hooks about a complete stream in the client's dialect.
    pub async fn stream(&self, facts: &Facts<'_>, bytes: Bytes) -> Result<Bytes, Stop> {
        if facts.client == Dialect::Responses {
            let mut answer = responses::Answer::stream(bytes).ok_or_else(|| unreadable("stream"))?;
            self.choices(facts, &mut answer).await?;
            return answer.into_bytes().ok_or_else(|| unreadable("stream"));
        }
        let mut stream = stream::Held::read(facts.client, bytes).ok_or_else(|| unreadable("stream"))?;
        self.choices(facts, &mut stream).await?;
        Ok(stream.into_bytes())
    }

    async fn choices(&self, facts: &Facts<'_>, answer: &mut impl Choices) -> Result<(), Stop> {
        for hook in &self.response {
            let body = ResponseBody { choices: answer.choices() }.encode();
            match hook.ask(facts, body).await? {
                Action::MaskResponse { choices, .. } => answer.mask(choices).map_err(|Unmatched| unmatched(hook))?,
                Action::Reject(reject) => return Err(Stop::Rejected(reject)),
                Action::Pass { .. } | Action::MaskRequest { .. } => {}
            }
        }
        Ok(())
    }
}

/// An answer whose texts can be read and replaced.
trait Choices {
    fn choices(&self) -> Vec<Choice>;
    fn mask(&mut self, choices: Vec<Choice>) -> Result<(), Unmatched>;
}

/// A hook's reject, as the client gets it: its status and its body, verbatim.
pub fn rejection(reject: &Reject) -> Response {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(reject.body()).is_ok();
    let kind = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
    let mut response = Response::new(Body::from(reject.body().to_owned()));
    *response.status_mut() = StatusCode::from_u16(reject.status_code()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// What a provider keeps is what its model said, before any guard had seen it.
pub fn kept() -> Fault {
    let text = "responses that the provider keeps cannot be read here: prompt guards check answers on this gateway, and have not checked those";
    Fault::new(FaultKind::Permission, text).with_code("guarded")
}

/// Its answer could be read only where nothing has checked it.
pub fn in_background() -> Fault {
    let text = "answers in the background are not served here: prompt guards check answers on this gateway, and would not see this one; leave it out";
    Fault::new(FaultKind::InvalidRequest, text).with_param("background").with_code("guarded")
}

/// No guard sees what passes there.
pub fn barred(route: &str) -> Fault {
    let text = format!(
        "prompt guards check what passes this gateway, and cannot see into a route of the type `{route}`, so it is off. Use another API, or ask whoever \
         runs the gateway to name `{route}` in ai.promptGuard.unguardedRoutes"
    );
    Fault::new(FaultKind::Permission, text).with_code("guarded")
}

/// More of a stream came than is held.
pub fn too_large() -> Fault {
    tracing::error!(held_bytes = MAX_HELD_BYTES, "a streamed answer is larger than what is held for the guards");
    failed()
}

fn unmatched(hook: &Hook) -> Stop {
    hook.failed(&Failure::decided("its mask has other messages than it was sent"));
    Stop::Failed(failed())
}

fn unreadable(what: &'static str) -> Stop {
    tracing::error!(guard.subject = what, "an answer could not be read for the guards; it is withheld");
    Stop::Failed(failed())
}

/// Nothing of the hook reaches the client.
fn failed() -> Fault {
    let text = "a prompt guard of this gateway failed, and what it has not checked does not pass; try again later";
    Fault::new(FaultKind::Overloaded, text).with_code("guard_failed")
}
