//! The door for callers: who asks for what, admitted or not, and what it came to.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use tollgate_config::{FailureMode, Limits, PriceEntry, Quota, UnpricedTools};
use tollgate_telemetry::metric;
use tollgate_wire::extras::Extras;
use tollgate_wire::ir::{Tier, Usage};

use crate::estimate::Prompt;
use crate::history::Record;
use crate::ledger::{Admission, Ledger, Order, Reservation};
use crate::overrides::Overrides;
use crate::policy::{self, Subject};
use crate::prices::{Price, PriceBook, Service};
use crate::refusal::{Refusal, Standing};
use crate::scope::{Amount, Counter, Scope};
use crate::sweep::Swept;
use crate::table::{LedgerError, SdkSource};
use crate::warning::Warning;

/// The output ceiling of a model that the prices do not know.
const MAX_OUTPUT_TOKENS: u64 = 131_072;
/// What is reserved of a model whose context the prices do not know: the largest that is usual.
const MAX_INPUT_TOKENS: u64 = 1_050_000;
/// A reservation outlives its request by so much.
const MARGIN: Duration = Duration::from_secs(60);

/// What a caller wants to know and to reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum What {
    /// A request, its tokens and its money: the gateway.
    #[default]
    All,
    /// A request only; nothing to settle: the rate limiter function.
    Request,
    /// Tokens and money: the budget function.
    Spend,
}

/// A provider that may serve the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// Its kind, as prices name it.
    pub kind: &'a str,
    /// The model that it would be sent.
    pub model: &'a str,
}

/// One request, before it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Whose it is.
    pub team: &'a str,
    /// The tier that the token or the table gave.
    pub tier: &'a str,
    /// The user (`sub`).
    pub user: Option<&'a str>,
    /// The model after aliasing: budgets by model match it, and what the providers are sent.
    pub model: &'a str,
    /// Who may serve it.
    pub calls: &'a [Call<'a>],
    /// Its prompt.
    pub prompt: Prompt,
    /// The client's own output cap.
    pub max_output_tokens: Option<u64>,
    /// How many answers it wants; at least 1.
    pub choices: u64,
    /// The service tier that it asks for.
    pub service: Option<Tier>,
    /// What else it may cost, if its body was looked at for that.
    pub extras: Option<&'a Extras>,
    /// When it is over at the latest.
    pub deadline: SystemTime,
    /// What is to be reserved.
    pub what: What,
    /// The caller's id of it, to settle by.
    pub external_id: Option<&'a str>,
}

/// Whether it may be sent.
#[derive(Debug)]
pub enum Verdict {
    /// Yes.
    Admitted(Reservation, Vec<Standing>),
    /// No.
    Refused(Refusal),
    /// The ledger did not say, and `failureMode` is `open`: yes.
    Degraded(Reservation),
    /// The ledger did not say, and `failureMode` is `closed`: no.
    Closed,
    /// No: a budget applies, and this model (`kind/model`) has no price.
    Unpriced(String),
    /// No: a budget applies, and what this tool costs no answer tells.
    UnpricedTool(String),
}

/// What one upstream call has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// The kind of its provider.
    pub kind: String,
    /// The model that it was sent.
    pub model: String,
    /// Tokens.
    pub usage: Usage,
    /// It is our estimate.
    pub estimated: bool,
}

/// What a request came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bill {
    /// Input and output tokens.
    pub tokens: u64,
    /// Nano-dollars.
    pub nano_usd: u64,
    /// A model without a price served: its part is not in the sum.
    pub unpriced: bool,
    records: Vec<Record>,
}

/// Limits, prices and the ledger.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
    ledger: Arc<Ledger>,
    overrides: Overrides,
    unknown_price: Option<Price>,
}

impl Bill {
    /// Whether a part of it is our estimate.
    pub fn is_estimated(&self) -> bool {
        self.records.iter().any(|record| record.estimated)
    }
}

impl Limiter {
    /// Touches no network. `None`: there is nothing to limit.
    pub fn new(limits: Option<&Limits>, sdk: SdkSource) -> Option<Self> {
        let limits = limits.filter(|limits| limits.quota == Quota::On)?.clone();
        let ledger = Ledger::new(&limits.ledger, limits.timeout(), limits.warn_at().to_vec(), sdk);
        Some(Self::on(Arc::new(ledger), limits))
    }

    /// For the next configuration. The ledger stays if it is asked in the same way, with what it still has to write; what the table says of teams and prices is
    /// read again.
    #[must_use]
    pub fn succeeded_by(&self, limits: Option<&Limits>, sdk: SdkSource) -> Option<Self> {
        let asked = |limits: &Limits| (limits.ledger.clone(), limits.timeout(), limits.warn_at().to_vec());
        match limits.filter(|limits| limits.quota == Quota::On) {
            Some(limits) if asked(limits) == asked(&self.limits) => {
                Some(Self::on(Arc::clone(&self.ledger), limits.clone()))
            }
            limits => Self::new(limits, sdk),
        }
    }

    fn on(ledger: Arc<Ledger>, limits: Limits) -> Self {
        let base = PriceBook::with(&PriceBook::builtin(), &limits.prices);
        let overrides = Overrides::new(limits.cache_for(), limits.timeout(), base);
        let unknown_price = limits.unknown_model_price.as_ref().map(|entry: &PriceEntry| Price::from(entry));
        Self { limits, ledger, overrides, unknown_price }
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A prompt, by the body of its request.
    pub fn prompt(&self, body: &[u8]) -> Prompt {
        Prompt::of_body(body, self.limits.prompt_bytes_per_token(), self.limits.image_tokens())
    }

    /// Reserves. At most one round trip, when what the table says of the team is fresh.
    pub fn reserve<'a>(&'a self, ask: &'a Ask<'_>, now: SystemTime) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let served = ask.calls.iter().map(|call| call.model);
            let (scopes, book) = self.scopes(ask, served, ask.what, now).await;
            let spends = ask.what != What::Request;
            let costs = self.costs(&book, ask);
            let is_money = |(counter, max): &(Counter, Option<u64>)| counter.is_money() && max.is_some();
            let has_budget = scopes.iter().any(|scope| scope.counters.iter().any(is_money));
            if let Some(model) = costs.unpriced.filter(|_| has_budget) {
                return Verdict::Unpriced(model);
            }
            let tool = ask.extras.and_then(|extras| extras.unpriced.clone());
            if let Some(tool) = tool.filter(|_| has_budget && self.limits.unpriced_tools == UnpricedTools::Refuse) {
                return Verdict::UnpricedTool(tool);
            }
            let order = Order {
                team: ask.team.to_owned(),
                scopes,
                amount: Amount { requests: 1, tokens: costs.tokens, nano_usd: costs.nano_usd },
                charge: Amount { requests: 0, tokens: ask.prompt.tokens, nano_usd: costs.prompt_nano_usd },
                expires: ask.deadline + MARGIN,
                model: ask.calls.first().map(|call| format!("{}/{}", call.kind, call.model)),
                external_id: ask.external_id.map(str::to_owned),
                open: spends,
            };
            match self.ledger.reserve(&order, now).await {
                Admission::Admitted(reservation, standings) => Verdict::Admitted(reservation, standings),
                Admission::Refused(refusal) => Verdict::Refused(refusal),
                Admission::Unknown(reservation, error) => self.without_ledger(reservation, ask.team, &error).await,
            }
        })
    }

    /// The scopes that apply, and the prices, both after what the table says.
    async fn scopes<'a>(
        &self,
        whose: &'a Ask<'_>,
        served: impl Iterator<Item = &'a str>,
        what: What,
        now: SystemTime,
    ) -> (Vec<Scope>, Arc<PriceBook>) {
        let (team, book) = self.overrides.of(&self.ledger, whose.team).await;
        let models: Vec<&str> = std::iter::once(whose.model).chain(served).collect();
        let subject = Subject { team: whose.team, tier: whose.tier, user: whose.user, models: &models };
        (narrowed(policy::scopes(&self.limits, team.as_deref(), subject, now), what), book)
    }

    async fn without_ledger(&self, reservation: Reservation, team: &str, error: &LedgerError) -> Verdict {
        let open = self.limits.failure_mode == FailureMode::Open;
        let mode = if open { "open" } else { "closed" };
        tracing::warn!(
            ledger.team = team, error.cause = %error, failure.mode = mode, "an admission without the ledger's word"
        );
        tollgate_telemetry::count(&metric::DEGRADED_ADMISSION, &[mode]);
        if open {
            return Verdict::Degraded(reservation);
        }
        if !matches!(error, LedgerError::BreakerOpen) {
            self.ledger.release(&reservation).await;
        }
        Verdict::Closed
    }

    fn costs(&self, book: &PriceBook, ask: &Ask<'_>) -> Costs {
        let mut costs = Costs::default();
        // Nobody knows who will serve: no pattern of a price means that.
        let nobody = [Call { kind: "", model: "" }];
        let calls = if ask.calls.is_empty() { &nobody } else { ask.calls };
        let none = Extras::default();
        let extras = ask.extras.unwrap_or(&none);
        let asked = extras.output_cap(ask.max_output_tokens);
        for call in calls {
            let known = if call.model.is_empty() { None } else { book.find(call.kind, call.model) };
            let price = known.or(self.unknown_price.as_ref());
            let output = self.output_cap(price, asked).saturating_mul(ask.choices.max(1));
            costs.tokens = costs.tokens.max(ask.prompt.tokens.saturating_add(output));
            match price {
                Some(price) => {
                    let beside = price.beside_tokens_nano_usd(ask.prompt.searches, ask.prompt.seconds);
                    let (fast, in_region) = (extras.fast, extras.in_region);
                    let service = Service { kind: call.kind, tier: ask.service, fast, in_region };
                    let context = if ask.prompt.elsewhere { context_of(Some(price)) } else { 0 };
                    let input = ask.prompt.bound.max(context);
                    let bound = price.bound_nano_usd(service, input, output).saturating_add(beside);
                    let bound = bound.saturating_add(price.web_searches_nano_usd(call.kind, extras.web_searches));
                    let prompt = price.bound_nano_usd(service, ask.prompt.tokens, 0).saturating_add(beside);
                    costs.nano_usd = costs.nano_usd.max(bound);
                    costs.prompt_nano_usd = costs.prompt_nano_usd.max(prompt);
                }
                None => costs.unpriced = Some(format!("{}/{}", call.kind, call.model)),
            }
        }
        costs
    }

    fn output_cap(&self, price: Option<&Price>, asked: Option<u64>) -> u64 {
        let ceiling = price.and_then(|price| price.max_output_tokens).unwrap_or(MAX_OUTPUT_TOKENS);
        asked.unwrap_or(self.limits.default_output_tokens()).min(ceiling)
    }

    /// The most output tokens that a call with this cap can come to, as far as anybody knows.
    pub fn most_output(&self, kind: &str, model: &str, asked: Option<u64>) -> u64 {
        let book = self.overrides.current_prices();
        self.output_cap(book.find(kind, model).or(self.unknown_price.as_ref()), asked)
    }

    /// The most input tokens that a model takes, as far as anybody knows.
    pub fn most_input(&self, kind: &str, model: &str) -> u64 {
        let book = self.overrides.current_prices();
        context_of(book.find(kind, model).or(self.unknown_price.as_ref()))
    }

    /// What calls came to, at the prices of now.
    pub fn bill(&self, spent: Vec<Spent>) -> Bill {
        let book = self.overrides.current_prices();
        let mut bill = Bill::default();
        for mut call in spent {
            let price = book.find(&call.kind, &call.model).or(self.unknown_price.as_ref());
            if call.estimated && price.is_some_and(|price| !price.covers(&call.usage)) {
                // Its tokens are estimated beside them.
                call.usage.seconds = None;
            }
            let price = price.filter(|price| price.covers(&call.usage));
            let nano_usd = price.map_or(0, |price| price.cost_nano_usd(&call.kind, &call.usage));
            let tokens = call.usage.total_input().saturating_add(call.usage.output.unwrap_or_default());
            bill.tokens = bill.tokens.saturating_add(tokens);
            bill.nano_usd = bill.nano_usd.saturating_add(nano_usd);
            bill.unpriced |= price.is_none();
            let Spent { kind, model, usage, estimated } = call;
            bill.records.push(Record { kind, model, usage, nano_usd, estimated, unpriced: price.is_none() });
        }
        bill
    }

    /// Replaces the reservation by the bill, and writes the usage history.
    pub fn settle<'a>(
        &'a self,
        reservation: Reservation,
        team: &'a str,
        bill: &'a Bill,
        now: SystemTime,
    ) -> BoxFuture<'a, Vec<Warning>> {
        Box::pin(async move {
            let used = Amount { requests: 1, tokens: bill.tokens, nano_usd: bill.nano_usd };
            self.ledger.settle(reservation, team, used, bill.records.clone(), now).await
        })
    }

    /// Books what a caller reports by its own id, once: against its reservation if it has one, else as it is. `None`: it was booked before.
    pub async fn settle_reported(
        &self,
        whose: &Ask<'_>,
        external_id: &str,
        spent: Vec<Spent>,
        now: SystemTime,
    ) -> Result<Option<Bill>, LedgerError> {
        let served = spent.iter().map(|call| call.model.as_str());
        let (scopes, _) = self.scopes(whose, served, What::Spend, now).await;
        let bill = self.bill(spent);
        let used = Amount { requests: 0, tokens: bill.tokens, nano_usd: bill.nano_usd };
        let booked = self.ledger.settle_reported(&scopes, whose.team, external_id, used, &bill.records, now).await?;
        if booked {
            let _ = self.ledger.warn(&scopes, now).await;
        }
        Ok(booked.then_some(bill))
    }

    /// Tries again what could not be written; for hosts that have time between requests.
    pub async fn flush(&self, now: SystemTime) {
        let _ = self.ledger.flush(now).await;
    }

    /// Charges expired reservations, and names the warnings whose events are to be sent.
    pub async fn sweep(&self, now: SystemTime, until: std::time::Instant) -> Result<Swept, LedgerError> {
        self.ledger.sweep(now, until).await
    }

    /// Prices, as last read.
    pub fn prices(&self) -> Arc<PriceBook> {
        self.overrides.current_prices()
    }
}

#[derive(Debug, Default)]
struct Costs {
    tokens: u64,
    nano_usd: u64,
    prompt_nano_usd: u64,
    unpriced: Option<String>,
}

fn narrowed(mut scopes: Vec<Scope>, what: What) -> Vec<Scope> {
    let keeps = |counter: &Counter| match what {
        What::All => true,
        What::Request => *counter == Counter::Requests,
        What::Spend => *counter != Counter::Requests,
    };
    for scope in &mut scopes {
        scope.counters.retain(|(counter, _)| keeps(counter));
    }
    scopes.retain(Scope::is_limited);
    scopes
}

/// The most input tokens of a model.
fn context_of(price: Option<&Price>) -> u64 {
    price.and_then(|price| price.max_input_tokens).unwrap_or(MAX_INPUT_TOKENS)
}
