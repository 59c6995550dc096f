//! The books of a session: each response is reserved before it begins, and settled when it is done.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tollgate_auth::Identity;
use tollgate_limits::{Ask, Bill, Call, Prompt, Spent, What};
use tollgate_wire::ir::{Fault, Usage};
use tollgate_wire::realtime::{Cap, ClientEvent, ServerEvent, cancel_event, client_event, error_event, server_event};

use crate::app::App;
use crate::error;
use crate::meter::{self, Denied, Meter};

/// A reservation is for one response; none takes longer.
const RESPONSE: Duration = Duration::from_secs(600);
/// A response that was cancelled is waited for so long: its usage comes with its end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a client's event leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It goes to the provider.
    Pass,
    /// It does not: the client gets this event.
    Refused(String),
}

/// What a provider's event leads to, besides going to the client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// An event for the provider.
    pub(super) cancel: Option<String>,
    /// Another event for the client.
    pub(super) tell: Option<String>,
    /// The session is over: a limit was reached in the middle of it.
    pub(super) over: bool,
}

/// A response that is being made.
#[derive(Debug, Default)]
struct Turn {
    meter: Option<Meter>,
    grown: u64,
}

/// The books of one session.
#[derive(Debug)]
pub(super) struct Turns {
    app: App,
    identity: Arc<Identity>,
    /// The model after aliasing.
    model: String,
    /// The provider's kind, and its name of the model: what is priced.
    kind: String,
    served: String,
    /// The session is a call's, whose model the provider knows better than the client.
    joined: bool,
    transcription_model: Option<String>,
    cap: Option<Cap>,
    /// Tokens that the next response will read, about.
    context: u64,
    /// Reserved for responses that were asked for and have not begun, with the client's ids of the events.
    asked: VecDeque<(Option<String>, Option<Meter>)>,
    made: HashMap<String, Turn>,
    /// A response that began by itself and was over a limit; since when.
    cancelled: Option<(String, Instant)>,
    /// Of the whole session.
    pub(super) usage: Usage,
    /// What the whole session came to.
    pub(super) bill: Bill,
}

impl Turns {
    pub(super) fn new(
        app: App,
        identity: Arc<Identity>,
        model: String,
        kind: String,
        served: String,
        joined: bool,
    ) -> Self {
        Self {
            app,
            identity,
            model,
            kind,
            served,
            joined,
            transcription_model: None,
            cap: None,
            context: 0,
            asked: VecDeque::new(),
            made: HashMap::new(),
            cancelled: None,
            usage: Usage::default(),
            bill: Bill::default(),
        }
    }

    /// The client says something.
    pub(super) async fn asks(&mut self, text: &str) -> Asked {
        match client_event(text) {
            ClientEvent::ResponseCreate { event_id, cap } => match self.reserve(cap.or(self.cap)).await {
                Ok(meter) => self.asked.push_back((event_id, meter)),
                Err(fault) => return Asked::Refused(error_event(&fault, &new_id(), event_id.as_deref())),
            },
            ClientEvent::SessionUpdate { cap, transcription_model } => {
                self.cap = cap.or(self.cap);
                self.transcription_model = transcription_model.or_else(|| self.transcription_model.take());
            }
            ClientEvent::Context(tokens) => self.context = self.context.saturating_add(tokens),
            ClientEvent::Other => {}
        }
        Asked::Pass
    }

    /// The provider says something.
    pub(super) async fn said(&mut self, text: &str) -> Said {
        match server_event(text) {
            ServerEvent::ResponseCreated(id) => return self.begins(id).await,
            ServerEvent::Grown { response_id, tokens } => {
                if let Some(turn) = self.made.get_mut(&response_id) {
                    turn.grown = turn.grown.saturating_add(tokens);
                }
            }
            ServerEvent::ResponseDone { response_id, usage } => {
                self.done(&response_id, usage).await;
                let over = self.cancelled.as_ref().is_some_and(|(id, _)| *id == response_id);
                return Said { over, ..Said::default() };
            }
            ServerEvent::Transcribed { item_id, usage } if usage.is_reported() => {
                let model = self.transcription_model.clone().unwrap_or_else(|| self.served.clone());
                self.report(&format!("{item_id}:transcription"), model, usage).await;
            }
            ServerEvent::Refused { event_id } => self.forget(event_id.as_deref()),
            ServerEvent::Session { model } if self.joined => self.served = model,
            ServerEvent::Session { .. } | ServerEvent::Transcribed { .. } | ServerEvent::Other => {}
        }
        Said::default()
    }

    /// Whether a cancelled response has had its time to say what it used.
    pub(super) fn is_over(&self) -> bool {
        self.cancelled.as_ref().is_some_and(|(_, since)| since.elapsed() > LAST_WORDS)
    }

    /// The session is over: settles what was being made by what of it has been seen, and releases the rest.
    pub(super) fn close(&mut self) {
        self.asked.clear();
        for (_, turn) in std::mem::take(&mut self.made) {
            let usage = Usage { input: Some(self.context), output: Some(turn.grown), ..Usage::default() };
            self.settle(turn.meter, usage, true);
        }
    }

    async fn begins(&mut self, id: String) -> Said {
        if let Some((_, meter)) = self.asked.pop_front() {
            self.made.insert(id, Turn { meter, grown: 0 });
            return Said::default();
        }
        // It begins by itself: the provider heard the user stop speaking.
        match self.reserve(self.cap).await {
            Ok(meter) => {
                self.made.insert(id, Turn { meter, grown: 0 });
                Said::default()
            }
            Err(fault) => {
                let said = Said {
                    cancel: Some(cancel_event(&id)),
                    tell: Some(error_event(&fault, &new_id(), None)),
                    over: false,
                };
                self.cancelled.get_or_insert((id, Instant::now()));
                said
            }
        }
    }

    async fn done(&mut self, id: &str, usage: Usage) {
        let reported = usage.is_reported();
        let Some(turn) = self.made.remove(id) else {
            if reported {
                let served = self.served.clone();
                self.report(id, served, usage).await;
            }
            return;
        };
        let counted = if reported {
            self.context = usage.total_input().saturating_add(usage.output.unwrap_or_default());
            usage
        } else {
            Usage { input: Some(self.context), output: Some(turn.grown), ..Usage::default() }
        };
        self.settle(turn.meter, counted, !reported);
    }

    /// An event of the client's came to nothing: what was reserved for it is released.
    fn forget(&mut self, event_id: Option<&str>) {
        let at = self.asked.iter().position(|(id, _)| id.as_deref() == event_id);
        if let Some(at) = at {
            self.asked.remove(at);
        }
    }

    async fn reserve(&self, cap: Option<Cap>) -> Result<Option<Meter>, Fault> {
        let request = meter::Request {
            prompt: Prompt::counted(self.context),
            max_output_tokens: match cap {
                Some(Cap::Tokens(tokens)) => Some(tokens),
                Some(Cap::Model) | None => None,
            },
            ..meter::Request::new(&self.identity, &self.model, tokio::time::Instant::now() + RESPONSE)
        };
        meter::reserved(&self.app, request).await.map_err(|denied| match denied {
            Denied::Limited(refusal) => error::limit_fault(&refusal),
            Denied::Fault(fault) => fault,
        })
    }

    fn spent(&self, model: String, usage: Usage, estimated: bool) -> Spent {
        Spent { kind: self.kind.clone(), model, usage, estimated }
    }

    fn settle(&mut self, meter: Option<Meter>, usage: Usage, estimated: bool) {
        self.add(&usage);
        let Some(limiter) = &self.app.limiter else { return };
        let bill = limiter.bill(vec![self.spent(self.served.clone(), usage, estimated)]);
        self.charge(&bill);
        drop(meter.and_then(|meter| meter.settle(bill)));
    }

    /// Books what was used without a reservation.
    async fn report(&mut self, id: &str, model: String, usage: Usage) {
        self.add(&usage);
        let Some(limiter) = self.app.limiter.clone() else { return };
        let spent = vec![self.spent(model, usage, false)];
        let whose = Ask {
            team: &self.identity.team,
            tier: &self.identity.tier,
            user: Some(&self.identity.subject),
            model: &self.model,
            calls: &[Call { kind: &self.kind, model: &self.served }],
            prompt: Prompt::counted(0),
            max_output_tokens: None,
            choices: 1,
            service: None,
            extras: None,
            deadline: SystemTime::now() + RESPONSE,
            what: What::Spend,
            external_id: Some(id),
        };
        match limiter.settle_reported(&whose, id, spent, SystemTime::now()).await {
            Ok(Some(bill)) => self.charge(&bill),
            Ok(None) => {}
            Err(error) => tracing::error!(error.cause = %error, "what a realtime session used could not be booked"),
        }
    }

    fn charge(&mut self, bill: &Bill) {
        self.bill.tokens = self.bill.tokens.saturating_add(bill.tokens);
        self.bill.nano_usd = self.bill.nano_usd.saturating_add(bill.nano_usd);
        self.bill.unpriced |= bill.unpriced;
    }

    /// Reports of several responses add up, other than those of one.
    fn add(&mut self, usage: &Usage) {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or_default().saturating_add(b.unwrap_or_default())),
        };
        let ours = self.usage;
        self.usage = Usage {
            input: sum(ours.input, usage.input),
            cache_read: sum(ours.cache_read, usage.cache_read),
            output: sum(ours.output, usage.output),
            audio_input: sum(ours.audio_input, usage.audio_input),
            audio_output: sum(ours.audio_output, usage.audio_output),
            seconds: sum(ours.seconds, usage.seconds),
            ..ours
        };
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.close();
    }
}

fn new_id() -> String {
    format!("event_{:032x}", fastrand::u128(..))
}
