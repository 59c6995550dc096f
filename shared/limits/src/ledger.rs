//! Reserve, settle, release: the protocol. Every step is one conditional write of one item per scope, and can be sent again.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tollgate_config::LedgerTable;

use crate::breaker::Breaker;
use crate::expression::Expression;
use crate::history::{self, Record};
use crate::item::{Entry, OPEN, Snapshot, n};
use crate::refusal::{Refusal, Standing};
use crate::scope::{Amount, Counter, Scope};
use crate::table::{LedgerError, SdkSource, Table, Updated, lane};
use crate::warning::{Told, Warning};
use crate::window::{Windows, unix_s};

/// The sort key of a state item.
pub(crate) const STATE: &str = "state";
/// The sweep comes by an item with open reservations at least so often.
pub(crate) const VISIT_S: u64 = 240;
/// A settlement may take so many times the timeout of an admission: nobody waits for an answer's first byte any more.
const SETTLE_FACTOR: u32 = 4;
/// Settlements that could not be written and wait for another try, at most.
const MAX_PENDING: usize = 10_000;

/// What is to be reserved.
#[derive(Debug, Clone)]
pub struct Order {
    /// Where; the first is the team's.
    pub scopes: Vec<Scope>,
    /// How much at most.
    pub amount: Amount,
    /// What it costs if nobody settles it.
    pub charge: Amount,
    /// When that happens.
    pub expires: SystemTime,
    /// Kind and model, for the usage history of a reservation that nobody settles.
    pub model: Option<String>,
    /// The caller's own id, to find it by.
    pub external_id: Option<String>,
    /// To be settled: it stays open until then. If not, the amount is spent at once.
    pub open: bool,
}

/// A reservation. Settle it or release it: one that is dropped is swept when it expires, and charged its estimate.
#[derive(Debug, Clone)]
#[must_use = "settle or release the reservation"]
pub struct Reservation {
    pub(crate) id: String,
    pub(crate) windows: Windows,
    pub(crate) held: Vec<Held>,
    pub(crate) amount: Amount,
    pub(crate) expires: SystemTime,
    /// Was it made? The ledger's answer may have been lost.
    pub(crate) certain: bool,
    pub(crate) open: bool,
}

/// One scope's part of a reservation.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) scope: Scope,
    /// Counters of windows long past, to be taken out with the next write.
    stale: Vec<String>,
}

/// The ledger's word.
#[derive(Debug)]
pub enum Admission {
    /// It is reserved, in every scope.
    Admitted(Reservation, Vec<Standing>),
    /// It is not, in none.
    Refused(Refusal),
    /// Nobody knows: it may be.
    Unknown(Reservation, LedgerError),
}

/// What came of one scope.
enum Answer {
    Admitted(Snapshot),
    Refused(Box<Refusal>),
    Unknown(LedgerError),
}

/// A settlement on its way: the parts that have not been written yet.
#[derive(Debug, Clone)]
pub(crate) struct Settlement {
    reservation: Reservation,
    used: Amount,
    team: String,
    records: Vec<Record>,
    at: SystemTime,
    scopes_left: Vec<Held>,
    history_left: bool,
}

/// The ledger on one table.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) table: Table,
    pub(crate) told: Told,
    timeout: Duration,
    breaker: Breaker,
    pending: Mutex<Vec<Settlement>>,
}

impl Ledger {
    /// Touches no network. `warn_at`: shares of a budget, in per cent.
    pub fn new(settings: &LedgerTable, timeout: Duration, warn_at: Vec<u32>, sdk: SdkSource) -> Self {
        Self {
            table: Table::new(settings, timeout, sdk),
            told: Told::new(warn_at),
            timeout,
            breaker: Breaker::default(),
            pending: Mutex::default(),
        }
    }

    /// Prepares the connection, in the background.
    pub async fn warm(&self) {
        self.table.warm().await;
    }

    /// Makes the table: for emulators.
    pub async fn create_table(&self) -> Result<(), LedgerError> {
        self.table.create().await
    }

    /// Reserves in all scopes or in none.
    pub async fn reserve(&self, order: &Order, now: SystemTime) -> Admission {
        if let Some(refusal) = Refusal::too_large(order, now) {
            return Admission::Refused(refusal);
        }
        let mut reservation = Reservation {
            id: new_id(),
            windows: Windows::at(now),
            held: order.scopes.iter().map(|scope| Held { scope: scope.clone(), stale: Vec::new() }).collect(),
            amount: order.amount,
            expires: order.expires,
            certain: true,
            open: order.open,
        };
        if order.scopes.is_empty() {
            return Admission::Admitted(reservation, Vec::new());
        }
        if !self.breaker.lets_through() {
            reservation.certain = false;
            return Admission::Unknown(reservation, LedgerError::BreakerOpen);
        }
        let calls = (0..order.scopes.len()).map(|index| self.reserve_one(order, &reservation, index, now));
        let answers = join_all(calls).await;
        self.conclude(order, reservation, answers, now).await
    }

    /// Every scope has answered. What is admitted in one and refused in another is given back.
    async fn conclude(
        &self,
        order: &Order,
        mut reservation: Reservation,
        answers: Vec<Answer>,
        now: SystemTime,
    ) -> Admission {
        let (mut refusal, mut error, mut standings) = (None, None, Vec::new());
        let mut admitted = Vec::new();
        for (held, answer) in reservation.held.iter_mut().zip(answers) {
            match answer {
                Answer::Admitted(snapshot) => {
                    held.stale = snapshot.stale(reservation.windows);
                    standings.extend(Standing::of(&held.scope, &snapshot, reservation.windows, now));
                    admitted.push(held.clone());
                }
                Answer::Refused(one) => {
                    refusal.get_or_insert(*one);
                }
                Answer::Unknown(one) => {
                    // It may have been made: a refusal elsewhere has to take it back.
                    admitted.push(held.clone());
                    error = Some(one);
                }
            }
        }
        self.breaker.note(error.is_none());
        if let Some(refusal) = refusal {
            reservation.held = admitted;
            self.release(&reservation).await;
            if let (Some(Some(scope)), true) = (refusal.scope.map(|at| order.scopes.get(at)), refusal.exhausted) {
                self.told.exhausted(&self.table, scope, &refusal, Windows::at(now), now).await;
            }
            return Admission::Refused(refusal);
        }
        match error {
            None => Admission::Admitted(reservation, standings),
            Some(error) => {
                reservation.certain = false;
                Admission::Unknown(reservation, error)
            }
        }
    }

    async fn reserve_one(&self, order: &Order, reservation: &Reservation, index: usize, now: SystemTime) -> Answer {
        let Some(scope) = order.scopes.get(index) else { return Answer::Unknown(LedgerError::BreakerOpen) };
        let mut expression = Expression::default();
        for (counter, max) in &scope.counters {
            let amount = order.amount.of(counter);
            let attribute = counter.attribute(reservation.windows);
            expression.add(&attribute, n(amount));
            if let Some(max) = max {
                expression.require_at_most(&attribute, n(max.saturating_sub(amount)));
            }
        }
        if order.open {
            open(&mut expression, reservation, entry(order, reservation, index), now);
        }
        let call = self.table.update(&scope.key, STATE, expression);
        match tokio::time::timeout(self.timeout, call).await {
            Err(_) => Answer::Unknown(LedgerError::TimedOut(self.timeout)),
            Ok(Err(error)) => Answer::Unknown(error),
            Ok(Ok(Updated::Done(item))) => Answer::Admitted(Snapshot::read(&item)),
            Ok(Ok(Updated::Refused(item))) => {
                let snapshot = Snapshot::read(&item);
                if snapshot.open.contains_key(&reservation.id) {
                    // The first try was made, and its answer was lost.
                    return Answer::Admitted(snapshot);
                }
                let refusal = Refusal::new(order, index, &snapshot, now);
                refusal.map_or_else(
                    || Answer::Unknown(LedgerError::Failed("a condition failed without a reason".to_owned())),
                    |refusal| Answer::Refused(Box::new(refusal)),
                )
            }
        }
    }

    /// Gives everything back: the request was never sent. What fails here is swept.
    pub async fn release(&self, reservation: &Reservation) {
        if !reservation.open {
            return;
        }
        let calls = reservation.held.iter().map(|held| async {
            let mut expression = Expression::default();
            for (counter, _) in &held.scope.counters {
                let amount = i128::from(reservation.amount.of(counter));
                expression.add(&counter.attribute(reservation.windows), n(-amount));
            }
            close(&mut expression, &reservation.id);
            let call = self.table.update(&held.scope.key, STATE, expression);
            match tokio::time::timeout(self.timeout, call).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(
                    ledger.scope = %held.scope.key, reservation.id = %reservation.id, error.cause = %error,
                    "a reservation could not be released; the sweep will take it"
                ),
                Err(_) => tracing::warn!(
                    ledger.scope = %held.scope.key, reservation.id = %reservation.id,
                    "a reservation could not be released in time; the sweep will take it"
                ),
            }
        });
        join_all(calls).await;
    }

    /// Replaces what was reserved by what was used, once, and writes the usage history. What cannot be written now is kept and tried again
    /// with the next settlement ([`Self::flush`]).
    pub async fn settle(
        &self,
        reservation: Reservation,
        team: &str,
        used: Amount,
        records: Vec<Record>,
        now: SystemTime,
    ) -> Vec<Warning> {
        let settlement = Settlement {
            scopes_left: if reservation.open { reservation.held.clone() } else { Vec::new() },
            history_left: !records.is_empty(),
            team: team.to_owned(),
            used,
            records,
            at: now,
            reservation,
        };
        let mut warnings = self.write(settlement, now).await;
        warnings.extend(self.flush(now).await);
        warnings
    }

    /// Tries again what could not be written before.
    pub async fn flush(&self, now: SystemTime) -> Vec<Warning> {
        let waiting = self.pending.lock().map(|mut pending| std::mem::take(&mut *pending)).unwrap_or_default();
        if waiting.is_empty() {
            return Vec::new();
        }
        if !self.breaker.lets_through() {
            if let Ok(mut pending) = self.pending.lock() {
                pending.extend(waiting);
            }
            return Vec::new();
        }
        join_all(waiting.into_iter().map(|settlement| self.write(settlement, now)))
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    /// Settlements that wait for another try.
    pub fn pending(&self) -> usize {
        self.pending.lock().map_or(0, |pending| pending.len())
    }

    async fn write(&self, mut settlement: Settlement, now: SystemTime) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if now >= settlement.reservation.expires && settlement.has_teams_entry() {
            // The sweep may have been here: whoever takes the team's entry out writes the history.
            let first = settlement.scopes_left.remove(0);
            match self.settle_one(&settlement, &first, now).await {
                Ok(Some(found)) => warnings.extend(found),
                Ok(None) => {
                    settlement.history_left = false;
                    tracing::warn!(
                        reservation.id = %settlement.reservation.id, ledger.team = %settlement.team,
                        usage.tokens = settlement.used.tokens, usage.nano_usd = settlement.used.nano_usd,
                        "a settlement came after its reservation had expired: the team was charged the estimate"
                    );
                }
                Err(error) => {
                    settlement.scopes_left.insert(0, first);
                    self.keep(settlement, &error);
                    return warnings;
                }
            }
        }
        let scopes = join_all(settlement.scopes_left.iter().map(|held| self.settle_one(&settlement, held, now)));
        let (scopes, history) = tokio::join!(scopes, self.write_history(&settlement));
        let mut failed = None;
        let mut left = Vec::new();
        for (held, outcome) in std::mem::take(&mut settlement.scopes_left).into_iter().zip(scopes) {
            match outcome {
                Ok(found) => warnings.extend(found.into_iter().flatten()),
                Err(error) => {
                    left.push(held);
                    failed = Some(error);
                }
            }
        }
        settlement.scopes_left = left;
        match history {
            Ok(()) => settlement.history_left = false,
            Err(error) => failed = Some(error),
        }
        self.breaker.note(failed.is_none());
        if let Some(error) = failed {
            self.keep(settlement, &error);
        }
        warnings
    }

    /// `None`: there was nothing to settle any more.
    async fn settle_one(
        &self,
        settlement: &Settlement,
        held: &Held,
        now: SystemTime,
    ) -> Result<Option<Vec<Warning>>, LedgerError> {
        let reservation = &settlement.reservation;
        let mut expression = Expression::default();
        let mut touched = Vec::new();
        for (counter, _) in held.scope.counters.iter().filter(|(counter, _)| *counter != Counter::Requests) {
            let delta = i128::from(settlement.used.of(counter)) - i128::from(reservation.amount.of(counter));
            if delta != 0 {
                let attribute = counter.attribute(reservation.windows);
                expression.add(&attribute, n(delta));
                touched.push(attribute);
            }
        }
        for attribute in held.stale.iter().filter(|attribute| !touched.contains(attribute)) {
            expression.remove(attribute);
        }
        close(&mut expression, &reservation.id);
        let snapshot = match self.in_time(self.table.update(&held.scope.key, STATE, expression)).await? {
            Updated::Done(item) => Snapshot::read(&item),
            Updated::Refused(_) if reservation.certain => return Ok(None),
            // Admitted while the ledger was silent, and not written then: it is written now.
            Updated::Refused(_) => match self.charge_one(settlement, held, now).await? {
                Some(snapshot) => snapshot,
                None => return Ok(None),
            },
        };
        Ok(Some(self.told.crossed(&self.table, &held.scope, &snapshot, reservation.windows, now).await))
    }

    /// Adds what was used without asking, once: as a reservation that costs what it holds, and that the sweep takes out when it expires.
    async fn charge_one(
        &self,
        settlement: &Settlement,
        held: &Held,
        now: SystemTime,
    ) -> Result<Option<Snapshot>, LedgerError> {
        let reservation = &settlement.reservation;
        let used = settlement.used;
        let mut expression = Expression::default();
        for (counter, _) in &held.scope.counters {
            expression.add(&counter.attribute(reservation.windows), n(used.of(counter)));
        }
        let mark = Entry {
            windows: reservation.windows,
            expires_unix_s: unix_s(reservation.expires),
            reserved: used,
            charge: used,
            patterns: patterns(&held.scope),
            others: Vec::new(),
            model: None,
            external_id: None,
            counts_tokens: counts_tokens(&held.scope),
        };
        open(&mut expression, reservation, mark, now);
        match self.in_time(self.table.update(&held.scope.key, STATE, expression)).await? {
            Updated::Done(item) => Ok(Some(Snapshot::read(&item))),
            Updated::Refused(_) => Ok(None),
        }
    }

    async fn write_history(&self, settlement: &Settlement) -> Result<(), LedgerError> {
        if !settlement.history_left {
            return Ok(());
        }
        let id = &settlement.reservation.id;
        let updates = history::updates(&settlement.team, &settlement.records, id, settlement.at);
        self.in_time(self.table.update_once(id, updates)).await
    }

    pub(crate) async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        let timeout = self.timeout * SETTLE_FACTOR;
        tokio::time::timeout(timeout, call).await.unwrap_or(Err(LedgerError::TimedOut(timeout)))
    }

    /// The figures are in the log line: whoever has to, can book them by hand.
    fn keep(&self, settlement: Settlement, error: &LedgerError) {
        let id = settlement.reservation.id.clone();
        let (team, used) = (settlement.team.clone(), settlement.used);
        let kept = self.pending.lock().is_ok_and(|mut pending| {
            let room = pending.len() < MAX_PENDING;
            if room {
                pending.push(settlement);
            }
            room
        });
        tracing::error!(
            reservation.id = %id, ledger.team = %team, usage.tokens = used.tokens, usage.nano_usd = used.nano_usd,
            settlement.kept = kept, error.cause = %error, "a settlement could not be written"
        );
    }

    /// Where the scopes stand now, without reserving anything.
    pub async fn standing(&self, scopes: &[Scope], now: SystemTime) -> Result<Vec<Standing>, LedgerError> {
        let calls = scopes.iter().map(|scope| async move {
            let item = self.in_time(self.table.get(&scope.key, STATE, true)).await?.unwrap_or_default();
            Ok(Standing::of(scope, &Snapshot::read(&item), Windows::at(now), now))
        });
        let all: Result<Vec<_>, LedgerError> = join_all(calls).await.into_iter().collect();
        Ok(all?.into_iter().flatten().collect())
    }
}

impl Settlement {
    /// The first scope's part, which decides over the history, is not written yet.
    fn has_teams_entry(&self) -> bool {
        let first = |parts: &[Held]| parts.first().map(|held| held.scope.key.clone());
        !self.scopes_left.is_empty() && first(&self.scopes_left) == first(&self.reservation.held)
    }
}

impl Reservation {
    /// The ledger's own id of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it holds.
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// Whether the ledger has confirmed it. If not, the request runs because of `failureMode: open`.
    pub fn is_certain(&self) -> bool {
        self.certain
    }

    /// From its entry in the first scope's item.
    pub(crate) fn from_entry(id: &str, key: &str, entry: &Entry, scopes: &[Scope]) -> Self {
        let known = |key: &str| scopes.iter().find(|scope| scope.key == key);
        let held = |key: &str, counters: Vec<Counter>| {
            let max = |counter: &Counter| {
                known(key)?.counters.iter().find(|(known, _)| known == counter).and_then(|(_, max)| *max)
            };
            let owner = known(key).map_or(crate::scope::Owner::Team, |scope| scope.owner);
            let counters = counters.into_iter().map(|counter| (counter.clone(), max(&counter))).collect();
            Held { scope: Scope { key: key.to_owned(), owner, counters }, stale: Vec::new() }
        };
        let others = entry.others.iter().map(|key| held(key, vec![Counter::Money]));
        Self {
            id: id.to_owned(),
            windows: entry.windows,
            held: std::iter::once(held(key, entry.counters())).chain(others).collect(),
            amount: entry.reserved,
            expires: SystemTime::UNIX_EPOCH + Duration::from_secs(entry.expires_unix_s),
            certain: true,
            open: true,
        }
    }
}

fn entry(order: &Order, reservation: &Reservation, index: usize) -> Entry {
    let scope = order.scopes.get(index);
    let others = order.scopes.iter().skip(1).map(|scope| scope.key.clone());
    Entry {
        windows: reservation.windows,
        expires_unix_s: unix_s(order.expires),
        reserved: order.amount,
        charge: order.charge,
        patterns: scope.map(patterns).unwrap_or_default(),
        others: if index == 0 { others.collect() } else { Vec::new() },
        model: order.model.clone().filter(|_| index == 0),
        external_id: order.external_id.clone().filter(|_| index == 0),
        counts_tokens: scope.is_some_and(counts_tokens),
    }
}

fn patterns(scope: &Scope) -> Vec<String> {
    let pattern = |counter: &Counter| match counter {
        Counter::ModelMoney(pattern) => Some(pattern.clone()),
        _ => None,
    };
    scope.counters.iter().filter_map(|(counter, _)| pattern(counter)).collect()
}

fn counts_tokens(scope: &Scope) -> bool {
    scope.counters.iter().any(|(counter, _)| *counter == Counter::Tokens)
}

/// Puts an open reservation into an item, once.
fn open(expression: &mut Expression, reservation: &Reservation, entry: Entry, now: SystemTime) {
    let attribute = format!("{OPEN}{}", reservation.id);
    let due = entry.expires_unix_s.min(unix_s(now) + VISIT_S);
    expression.require_absent(&attribute);
    expression.set(&attribute, entry.write());
    expression.set("lane", lane());
    expression.set_if_absent("due", n(due));
    expression.add("seq", n(1));
}

/// Takes it out, once.
fn close(expression: &mut Expression, id: &str) {
    let attribute = format!("{OPEN}{id}");
    expression.require_present(&attribute);
    expression.remove(&attribute);
}

/// 12 characters of 62: never the client's own id, which may come twice.
fn new_id() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(12).collect()
}
