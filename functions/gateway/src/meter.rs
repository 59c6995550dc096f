//! Limits in the life of a request: reserved before the attempts, settled after them, however they ended.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::response::Response;
use http::{HeaderName, HeaderValue};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tollgate_auth::Identity;
use tollgate_limits::{
    Ask, Bill, Call, Counter, Limiter, Owner, Prompt, Refusal, Reservation, Spent, Standing, Verdict, What, timestamp,
};
use tollgate_upstream::{Provider, Work};
use tollgate_wire::codec::Dialect;
use tollgate_wire::exchange::State;
use tollgate_wire::extras::Extras;
use tollgate_wire::ir::{Fault, FaultKind, Tier};
use tollgate_wire::unary::Unary;

use crate::app::App;
use crate::spend::Most;
pub use crate::spend::{Use, Watched};

/// A request's place in the ledger, from its admission to its settlement.
#[derive(Debug)]
pub struct Meter {
    app: App,
    team: String,
    reservation: Option<Reservation>,
    prompt: Prompt,
    /// Whose answer it may be that nobody here sees the end of.
    watched: Watched,
    /// Its output cap, and how many answers it wants.
    cap: (Option<u64>, u64),
    /// Searches of the web that no answer of chat completions counts.
    web_searches: u64,
    free: bool,
    /// The ledger did not say.
    pub degraded: bool,
    /// What is left, for the answer's headers.
    pub standings: Vec<Standing>,
}

/// A request that may not be sent.
#[derive(Debug)]
pub enum Denied {
    /// It is over a limit.
    Limited(Refusal),
    /// It cannot be admitted for another reason.
    Fault(Fault),
}

/// What there is to reserve for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whose it is.
    pub identity: Arc<Identity>,
    /// The model after aliasing.
    pub model: String,
    /// Its prompt.
    pub prompt: Prompt,
    /// The client's output cap.
    pub max_output_tokens: Option<u64>,
    /// How many answers it wants.
    pub choices: u64,
    /// When it is over at the latest.
    pub deadline: Instant,
    /// The service tier that it asks for.
    pub service: Option<Tier>,
    /// What else it may cost.
    pub extras: Extras,
    /// Searches of the web by chat completions, whose answers do not count them.
    pub chat_searches: u64,
    /// How much of its answer is seen.
    pub watched: Watched,
    /// What of it is limited.
    pub what: What,
    /// It costs nothing, whoever serves it.
    pub free: bool,
}

impl Request {
    /// One answer to nothing that is known yet, all of it limited.
    pub fn new(identity: &Arc<Identity>, model: &str, deadline: Instant) -> Self {
        Self {
            identity: Arc::clone(identity),
            model: model.to_owned(),
            prompt: Prompt::counted(0),
            max_output_tokens: None,
            choices: 1,
            deadline,
            service: None,
            extras: Extras::default(),
            chat_searches: 0,
            watched: Watched::Streamed,
            what: What::All,
            free: false,
        }
    }

    /// Without a cap of its own: what is no conversation has no output.
    fn of(limiter: &Limiter, work: Work<'_>, identity: &Arc<Identity>, model: &str, deadline: Instant) -> Self {
        let request = Self { max_output_tokens: Some(0), ..Self::new(identity, model, deadline) };
        match work {
            Work::Conversation(inbound) => {
                let envelope = inbound.envelope();
                let (max_output_tokens, choices) = (envelope.max_output_tokens, envelope.choices);
                let watched = match (envelope.background.is_some(), envelope.stream) {
                    (true, _) => Watched::Unseen,
                    (_, true) => Watched::Streamed,
                    (_, false) => Watched::Whole,
                };
                let service = envelope.tier;
                let extras = inbound.extras();
                let chat_searches = if inbound.dialect() == Dialect::Chat { extras.web_searches } else { 0 };
                Self {
                    prompt: limiter.prompt(inbound.body()).with(&extras),
                    max_output_tokens,
                    choices,
                    service,
                    extras,
                    chat_searches,
                    watched,
                    ..request
                }
            }
            // No provider takes money for a count.
            Work::Unary(Unary::Count(_)) => Self { what: What::Request, free: true, ..request },
            Work::Unary(Unary::Embed(embed)) => Self { prompt: limiter.prompt(embed.body()), ..request },
            Work::Unary(Unary::Rerank(rerank)) => {
                let prompt = Prompt { searches: rerank.search_units(), ..limiter.prompt(rerank.body()) };
                Self { prompt, ..request }
            }
        }
    }
}

/// Reserves. `None`: nothing is limited here. Runs in a task of its own: a client that goes away meanwhile leaves no reservation behind.
pub async fn admit(
    app: &App,
    work: Work<'_>,
    identity: &Arc<Identity>,
    model: &str,
    deadline: Instant,
) -> Result<Option<Meter>, Denied> {
    let Some(limiter) = &app.limiter else { return Ok(None) };
    if let Work::Conversation(inbound) = work
        && let Some(field) = inbound.envelope().background.and_then(|background| background.unbounded)
    {
        return Err(Denied::Fault(unbounded(field)));
    }
    let mut request = Request::of(limiter, work, identity, model, deadline);
    if let (Work::Conversation(inbound), Some(_)) = (work, &request.extras.unpriced) {
        // Where everybody is asked in other words, a tool of the client's dialect is left out.
        let own = inbound.dialect();
        let same = |provider: &Provider| provider.target(own, provider.model_for(model)).dialect == own;
        if !app.chains.of(model).is_some_and(|chain| chain.providers().any(same)) {
            request.extras.unpriced = None;
        }
    }
    reserved(app, request).await
}

/// The same for what a gateway does not read.
pub async fn reserved(app: &App, request: Request) -> Result<Option<Meter>, Denied> {
    let reserving = app.settlements.spawn(reserve(app.clone(), request));
    reserving.await.unwrap_or_else(|_| Err(Denied::Fault(unavailable())))
}

async fn reserve(app: App, request: Request) -> Result<Option<Meter>, Denied> {
    let (Some(limiter), Some(chain)) = (&app.limiter, app.chains.of(&request.model)) else { return Ok(None) };
    let calls: Vec<Call<'_>> = chain
        .providers()
        .map(|provider| Call { kind: provider.kind(), model: provider.model_for(&request.model) })
        .collect();
    let now = SystemTime::now();
    let ask = Ask {
        team: &request.identity.team,
        tier: &request.identity.tier,
        user: Some(&request.identity.subject),
        model: &request.model,
        calls: &calls,
        prompt: request.prompt,
        max_output_tokens: request.max_output_tokens,
        choices: request.choices,
        service: request.service,
        extras: Some(&request.extras),
        deadline: now + request.deadline.saturating_duration_since(Instant::now()),
        what: request.what,
        external_id: None,
    };
    let meter = |reservation, standings, degraded| Meter {
        app: app.clone(),
        team: request.identity.team.clone(),
        reservation: Some(reservation),
        prompt: ask.prompt,
        watched: request.watched,
        cap: (request.extras.output_cap(request.max_output_tokens), request.choices.max(1)),
        web_searches: request.chat_searches,
        free: request.free,
        degraded,
        standings,
    };
    match limiter.reserve(&ask, now).await {
        Verdict::Admitted(reservation, standings) => Ok(Some(meter(reservation, standings, false))),
        Verdict::Degraded(reservation) => Ok(Some(meter(reservation, Vec::new(), true))),
        Verdict::Refused(refusal) => Err(Denied::Limited(refusal)),
        Verdict::Closed => Err(Denied::Fault(unavailable())),
        Verdict::Unpriced(model) => Err(Denied::Fault(unpriced(&model))),
        Verdict::UnpricedTool(tool) => Err(Denied::Fault(unpriced_tool(&tool))),
    }
}

fn unavailable() -> Fault {
    let text = "the limits of your team cannot be checked at the moment; try again soon";
    let fault = Fault::new(FaultKind::Overloaded, text).with_code("limits_unavailable");
    Fault { retry_after: Some(Duration::from_secs(5)), ..fault }
}

fn unpriced(model: &str) -> Fault {
    let shown: String = model.chars().take(200).collect();
    let text = format!(
        "a budget applies to this request, and the gateway has no price for the model `{shown}`. Choose another model, or ask whoever runs the gateway \
         to add it to limits.prices"
    );
    Fault::new(FaultKind::InvalidRequest, text).with_param("model").with_code("model_not_priced")
}

fn unpriced_tool(tool: &str) -> Fault {
    let text = format!(
        "a budget applies to this request, and no answer tells what `{tool}` costs beside the tokens. Leave it out, or ask whoever runs the gateway to set \
         limits.unpricedTools: allow"
    );
    Fault::new(FaultKind::InvalidRequest, text).with_param("tools").with_code("tool_not_priced")
}

/// Nothing will say what an answer in the background has used: it is charged with the most that it can come to.
fn unbounded(field: &'static str) -> Fault {
    let text = match field {
        "max_output_tokens" => {
            "limits apply to this request, and an answer in the background is charged with its whole output cap, because its usage comes when nobody waits for it. \
             Set max_output_tokens, or leave background out"
        }
        _ => {
            "limits apply to this request, and nothing tells in advance how much input this field adds; what an answer in the background has used, nobody here \
             sees. Leave the field or background out"
        }
    };
    Fault::new(FaultKind::InvalidRequest, text).with_param(field).with_code("unbounded_background")
}

impl Meter {
    /// What the calls came to. `last`: what was seen of the answer that the client got.
    pub fn bill(&self, uses: &[Use], last: Option<&State>) -> Bill {
        if self.free {
            return Bill::default();
        }
        let Some(limiter) = &self.app.limiter else { return Bill::default() };
        let most = |one: &Use| {
            let output = limiter.most_output(&one.kind, &one.model, self.cap.0).saturating_mul(self.cap.1);
            let context = self.prompt.elsewhere.then(|| limiter.most_input(&one.kind, &one.model));
            let (input, seconds) = (context.unwrap_or(self.prompt.tokens), self.prompt.seconds);
            Most { input, seconds, output: one.unseen(self.watched, output) }
        };
        let mut spent: Vec<Spent> = uses.iter().filter_map(|one| one.spent(last, most(one))).collect();
        // A request that is forwarded may name no model: its answer does, if it is one of a model's.
        for nameless in spent.iter_mut().filter(|one| one.model.is_empty()) {
            nameless.model = last.and_then(|state| state.model.clone()).unwrap_or_default();
        }
        if let Some(served) = spent.last_mut().filter(|served| matches!(served.kind.as_str(), "openAI" | "azure")) {
            served.usage.web_searches = served.usage.web_searches.or(Some(self.web_searches).filter(|some| *some > 0));
        }
        limiter.bill(spent)
    }

    /// Settles in a task of its own: a client that goes away now does not stop it. Wait for it where the process may freeze afterwards. `None`: there is no
    /// runtime any more.
    pub fn settle(mut self, bill: Bill) -> Option<JoinHandle<()>> {
        let reservation = self.reservation.take()?;
        let (app, team) = (self.app.clone(), std::mem::take(&mut self.team));
        self.spawn(async move {
            if let Some(limiter) = &app.limiter {
                let _ = limiter.settle(reservation, &team, &bill, SystemTime::now()).await;
            }
        })
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Option<JoinHandle<()>> {
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        Some(self.app.settlements.spawn_on(task, &runtime))
    }
}

impl Drop for Meter {
    /// Its request ended before it was handed over: nothing was sent.
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            let app = self.app.clone();
            drop(self.spawn(async move {
                if let Some(limiter) = &app.limiter {
                    limiter.ledger().release(&reservation).await;
                }
            }));
        }
    }
}

/// What is left of the team's limits, in the words of the client's provider: OpenAI's
/// <https://platform.openai.com/docs/guides/rate-limits>, Anthropic's <https://docs.anthropic.com/en/api/rate-limits>.
pub fn headers(response: &mut Response, client: Dialect, standings: &[Standing], now: SystemTime) {
    let headers = response.headers_mut();
    for standing in standings.iter().filter(|standing| standing.owner == Owner::Team) {
        let what = match standing.counter {
            Counter::Requests => "requests",
            Counter::Tokens => "tokens",
            Counter::Money | Counter::ModelMoney(_) => continue,
        };
        let values = [
            ("limit", standing.limit.to_string()),
            ("remaining", standing.remaining.to_string()),
            (
                "reset",
                if client == Dialect::Messages {
                    timestamp(now + standing.reset)
                } else {
                    openai_duration(standing.reset)
                },
            ),
        ];
        for (field, value) in values {
            let name = match client {
                Dialect::Messages => format!("anthropic-ratelimit-{what}-{field}"),
                _ => format!("x-ratelimit-{field}-{what}"),
            };
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
    }
}

/// As OpenAI writes it: `1s`, `6m0s`, `23h59m59s`.
fn openai_duration(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_written_as_openai_writes_it() {
        for (seconds, text) in [(1, "1s"), (59, "59s"), (360, "6m0s"), (86_399, "23h59m59s")] {
            assert_eq!(openai_duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(openai_duration(Duration::from_millis(1_001)), "2s");
    }
}
