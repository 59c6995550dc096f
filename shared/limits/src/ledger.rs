//! Reserving, and what a reservation is. One conditional write per scope, which can be sent again.

use std::hash::BuildHasher;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tollgate_config::LedgerTable;

use crate::breaker::Breaker;
use crate::expression::Expression;
use crate::item::{Entry, MARK, OPEN, Snapshot, bounded, n};
use crate::refusal::{Refusal, Standing};
use crate::scope::{Amount, Counter, Scope};
use crate::settlement::Settlement;
use crate::table::{LedgerError, SdkSource, Table, Updated, lane};
use crate::warning::Told;
use crate::window::{Windows, unix_s};

/// The name of its table where the configuration has none.
const TABLE: &str = "tollgate-ledger";
/// The sort key of a state item.
pub(crate) const STATE: &str = "state";
/// The sweep comes by an item with open reservations at least so often. With a run per minute, one of which may fail, that is within five minutes.
pub(crate) const VISIT_S: u64 = 180;
/// The clocks of two machines may differ by so much.
pub(crate) const GRACE_S: u64 = 20;

/// What is to be reserved.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whose usage it is.
    pub team: String,
    /// Where; the first is the team's, if the team has limits.
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
    pub(crate) made: SystemTime,
    pub(crate) expires: SystemTime,
    /// Was it made in every scope? The ledger's answer may have been lost.
    pub(crate) certain: bool,
    pub(crate) open: bool,
}

/// One scope's part of a reservation.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) scope: Scope,
    /// Counters of windows long past, to be taken out with the next write.
    pub(crate) stale: Vec<String>,
    /// Every try of its admission was answered. If not, one may have been made that nobody knows of, or may yet arrive, also after the settlement.
    pub(crate) sure: bool,
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

/// The ledger on one table.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) table: Table,
    pub(crate) told: Told,
    pub(crate) timeout: Duration,
    pub(crate) breaker: Breaker,
    pub(crate) pending: Mutex<Vec<Settlement>>,
}

impl Ledger {
    /// Touches no network. `warn_at`: shares of a budget, in per cent.
    pub fn new(settings: &LedgerTable, timeout: Duration, warn_at: Vec<u32>, sdk: SdkSource) -> Self {
        Self {
            table: Table::new(settings, TABLE, timeout, sdk),
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

    /// It failed so often of late that it is not asked for a moment.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.breaker.is_open()
    }

    /// Reserves in all scopes or in none.
    pub async fn reserve(&self, order: &Order, now: SystemTime) -> Admission {
        if let Some(refusal) = Refusal::too_large(order, now) {
            return Admission::Refused(refusal);
        }
        let mut reservation = Reservation {
            id: new_id(now),
            windows: Windows::at(now),
            held: order
                .scopes
                .iter()
                .map(|scope| Held { scope: scope.clone(), stale: Vec::new(), sure: false })
                .collect(),
            amount: order.amount,
            made: now,
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
        answers: Vec<(Answer, bool)>,
        now: SystemTime,
    ) -> Admission {
        let (mut refusal, mut error, mut standings) = (None, None, Vec::new());
        let mut admitted = Vec::new();
        for (held, (answer, sure)) in reservation.held.iter_mut().zip(answers) {
            held.sure = sure;
            match answer {
                Answer::Admitted(snapshot) => {
                    held.stale = snapshot.stale(reservation.windows);
                    standings.extend(Standing::of(&held.scope, &snapshot, reservation.windows, now));
                    admitted.push(held.clone());
                }
                Answer::Refused(one) => {
                    refusal.get_or_insert(*one);
                    if !sure {
                        // An earlier try may arrive when there is room again.
                        admitted.push(held.clone());
                    }
                }
                Answer::Unknown(one) => {
                    // It may have been made: a refusal elsewhere has to take it back.
                    admitted.push(held.clone());
                    error = Some(one);
                }
            }
        }
        self.breaker.note(!error.as_ref().is_some_and(LedgerError::is_outage));
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

    /// And whether every try was answered.
    async fn reserve_one(
        &self,
        order: &Order,
        reservation: &Reservation,
        index: usize,
        now: SystemTime,
    ) -> (Answer, bool) {
        let Some(scope) = order.scopes.get(index) else { return (Answer::Unknown(LedgerError::BreakerOpen), true) };
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
            open(&mut expression, &reservation.id, entry(order, reservation, index), now);
        }
        let call = self.table.update_watched(&scope.key, STATE, expression);
        match tokio::time::timeout(self.timeout, call).await {
            Err(_) => (Answer::Unknown(LedgerError::TimedOut(self.timeout)), false),
            // Answered, and not made: whoever asks so often may come again in a second, whatever `failureMode` says.
            Ok((Err(LedgerError::Throttled(_)), unanswered)) => {
                (Answer::Refused(Box::new(Refusal::throttled(scope.owner))), !unanswered)
            }
            Ok((Err(error), _)) => (Answer::Unknown(error), false),
            Ok((Ok(Updated::Done(item)), unanswered)) => (Answer::Admitted(Snapshot::read(&item)), !unanswered),
            Ok((Ok(Updated::Refused(item)), unanswered)) => {
                (refused(order, index, &Snapshot::read(&item), &reservation.id, now), !unanswered)
            }
        }
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
            Held { scope: Scope { key: key.to_owned(), owner, counters }, stale: Vec::new(), sure: true }
        };
        let others = entry.others.iter().map(|key| held(key, vec![Counter::Money]));
        Self {
            id: id.to_owned(),
            windows: entry.windows,
            held: std::iter::once(held(key, entry.counters())).chain(others).collect(),
            amount: entry.reserved,
            made: SystemTime::UNIX_EPOCH,
            expires: SystemTime::UNIX_EPOCH + Duration::from_secs(entry.expires_unix_s),
            certain: true,
            open: true,
        }
    }
}

/// The condition did not hold: why?
fn refused(order: &Order, index: usize, snapshot: &Snapshot, id: &str, now: SystemTime) -> Answer {
    if snapshot.open.contains_key(id) {
        // The first try was made, and its answer was lost.
        return Answer::Admitted(snapshot.clone());
    }
    Refusal::new(order, index, snapshot, now).map_or_else(
        || Answer::Unknown(LedgerError::Refused("a condition failed without a reason".to_owned())),
        |refusal| Answer::Refused(Box::new(refusal)),
    )
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
        model: order.model.as_deref().filter(|_| index == 0).map(bounded),
        team: scope.filter(|scope| index == 0 && scope.team() != Some(&order.team)).map(|_| order.team.clone()),
        external_id: order.external_id.as_deref().filter(|_| index == 0).map(bounded),
        counts_tokens: scope.is_some_and(counts_tokens),
        is_mark: false,
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
pub(crate) fn open(expression: &mut Expression, id: &str, entry: Entry, now: SystemTime) {
    let attribute = format!("{OPEN}{id}");
    // Before it has expired for everybody, there is nothing to sweep.
    let due = entry.expires_unix_s.saturating_add(GRACE_S).min(unix_s(now) + VISIT_S);
    expression.require_absent(&attribute);
    expression.set(&attribute, entry.write());
    expression.set("lane", lane());
    expression.set_if_absent("due", n(due));
    expression.add("seq", n(1));
}

/// Takes it out, once.
pub(crate) fn close(expression: &mut Expression, id: &str) {
    let attribute = format!("{OPEN}{id}");
    expression.require_present(&attribute);
    expression.require_absent_in(&attribute, MARK);
    expression.remove(&attribute);
}

/// Takes it out, once, and keeps its place taken.
pub(crate) fn close_with_mark(expression: &mut Expression, reservation: &Reservation) {
    let attribute = format!("{OPEN}{}", reservation.id);
    expression.require_present(&attribute);
    expression.require_absent_in(&attribute, MARK);
    expression.set(&attribute, Entry::mark(reservation.windows, unix_s(reservation.expires)).write());
    // The sweep may have read it as open, and must not take the item off its list for that.
    expression.add("seq", n(1));
}

/// 12 characters of 62: never the client's own id, which may come twice. The system's randomness is behind it: two sandboxes that start alike, as two on Lambda do, must not
/// count alike, and a clock is all that some generators begin with.
fn new_id(now: SystemTime) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let random = std::hash::RandomState::new();
    let mut bits = u128::from(random.hash_one(now)) << 64 | u128::from(random.hash_one((now, 1)));
    let letter = |_| {
        let at = usize::try_from(bits % 62).unwrap_or_default();
        bits /= 62;
        char::from(LETTERS.get(at).copied().unwrap_or(b'0'))
    };
    (0..12).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_also_in_the_same_moment_and_on_other_threads() {
        let now = SystemTime::UNIX_EPOCH;
        let ids = move || (0..1_000).map(|_| new_id(now)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(ids)).collect();
        let all: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert!(all.iter().all(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 4_000);
    }
}
