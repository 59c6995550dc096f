//! Settling and releasing. Every step is one conditional write of one item per scope, and can be sent again.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;

use crate::expression::Expression;
use crate::history::{self, Record};
use crate::item::{Entry, Snapshot, n};
use crate::ledger::{Held, Ledger, Reservation, STATE, close, close_with_mark, open};
use crate::scope::{Amount, Counter};
use crate::table::{LedgerError, Updated};
use crate::warning::Warning;
use crate::window::unix_s;

/// A settlement may take so many times the timeout of an admission: nobody waits for an answer's first byte any more.
const SETTLE_FACTOR: u32 = 4;
/// Settlements that could not be written and wait for another try, at most.
const MAX_PENDING: usize = 10_000;
/// So many of them are tried again at a time.
const BATCH: usize = 8;
/// The service knows the token of a transaction for ten minutes; a later second try could count twice.
const TOKEN_HOLDS: Duration = Duration::from_secs(540);

/// A settlement on its way: the parts that have not been written yet.
#[derive(Debug, Clone)]
pub(crate) struct Settlement {
    reservation: Reservation,
    used: Amount,
    /// The request was never sent.
    released: bool,
    team: String,
    records: Vec<Record>,
    at: SystemTime,
    scopes_left: Vec<Held>,
    history_left: bool,
    /// When the history was last tried.
    tried: Option<SystemTime>,
}

/// What came of adding usage without a reservation.
enum Charged {
    Done(Snapshot),
    /// The reservation is there after all.
    Arrived,
    /// Its mark is there.
    Before,
}

impl Ledger {
    /// Gives everything back: the request was never sent. What cannot be written now is tried again as a settlement is, or swept.
    pub async fn release(&self, reservation: &Reservation) {
        if !reservation.open {
            return;
        }
        let now = reservation.made;
        let settlement = Settlement {
            scopes_left: reservation.held.clone(),
            history_left: false,
            team: String::new(),
            used: Amount::default(),
            released: true,
            records: Vec::new(),
            at: now,
            tried: None,
            reservation: reservation.clone(),
        };
        if self.breaker.lets_through() {
            self.write(settlement, now).await;
        } else {
            self.keep(settlement, &LedgerError::BreakerOpen);
        }
    }

    /// Replaces what was reserved by what was used, once, and writes the usage history. What cannot be written now is kept and tried again
    /// with the next settlement ([`Self::flush`]). Let it end: a future that is dropped settles nothing more.
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
            released: false,
            records,
            at: now,
            tried: None,
            reservation,
        };
        if !self.breaker.lets_through() {
            self.keep(settlement, &LedgerError::BreakerOpen);
            return Vec::new();
        }
        let mut warnings = self.write(settlement, now).await;
        // One batch: the caller has a client that waits.
        if self.pending() > 0 && self.breaker.lets_through() {
            warnings.extend(self.write_again(BATCH, now).await);
        }
        warnings
    }

    /// Tries again what could not be written before, each once.
    pub async fn flush(&self, now: SystemTime) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut left = self.pending();
        while left > 0 && self.breaker.lets_through() {
            let size = left.min(BATCH);
            warnings.extend(self.write_again(size, now).await);
            left -= size;
        }
        warnings
    }

    /// Settlements that wait for another try.
    pub fn pending(&self) -> usize {
        self.pending.lock().map_or(0, |pending| pending.len())
    }

    /// The oldest of those that wait.
    async fn write_again(&self, size: usize, now: SystemTime) -> Vec<Warning> {
        let batch: Vec<Settlement> = self
            .pending
            .lock()
            .map(|mut pending| {
                let size = size.min(pending.len());
                pending.drain(..size).collect()
            })
            .unwrap_or_default();
        let written = join_all(batch.into_iter().map(|settlement| self.write(settlement, now))).await;
        written.into_iter().flatten().collect()
    }

    async fn write(&self, mut settlement: Settlement, now: SystemTime) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if now >= settlement.reservation.expires
            && settlement.has_teams_entry()
            && !self.write_late(&mut settlement, &mut warnings, now).await
        {
            return warnings;
        }
        let scopes = join_all(settlement.scopes_left.iter().map(|held| self.settle_one(&settlement, held, now)));
        let (scopes, history) = tokio::join!(scopes, self.write_history(&settlement, now));
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
            Err(error) => {
                settlement.tried = Some(now);
                failed = Some(error);
            }
        }
        self.breaker.note(!failed.as_ref().is_some_and(LedgerError::is_outage));
        if let Some(error) = failed {
            self.keep(settlement, &error);
        }
        warnings
    }

    /// The sweep may have been here: whoever takes the team's entry out writes the history. `false`: nobody knows yet.
    async fn write_late(&self, settlement: &mut Settlement, warnings: &mut Vec<Warning>, now: SystemTime) -> bool {
        let first = settlement.scopes_left.remove(0);
        match self.settle_one(settlement, &first, now).await {
            Ok(Some(found)) => warnings.extend(found),
            Ok(None) => {
                settlement.history_left = false;
                tracing::warn!(
                    reservation.id = %settlement.reservation.id, ledger.team = %settlement.team,
                    usage.tokens = settlement.used.tokens, usage.nano_usd = settlement.used.nano_usd,
                    "a settlement came after its reservation had expired: what was charged is the estimate, or nothing if the ledger never had it"
                );
            }
            Err(error) => {
                self.breaker.note(!error.is_outage());
                settlement.scopes_left.insert(0, first);
                self.keep(settlement.clone(), &error);
                return false;
            }
        }
        true
    }

    /// `None`: there was nothing to settle any more.
    async fn settle_one(
        &self,
        settlement: &Settlement,
        held: &Held,
        now: SystemTime,
    ) -> Result<Option<Vec<Warning>>, LedgerError> {
        let reservation = &settlement.reservation;
        let mut snapshot = self.close_one(settlement, held).await?;
        // Not there: it was settled before, or it was admitted while the ledger was silent, and not written then. After its end the sweep may have charged it, and its
        // mark may be gone: to add it then could count it twice.
        if snapshot.is_none() && !held.sure && now < reservation.expires {
            snapshot = match self.charge_one(settlement, held, now).await? {
                Charged::Done(snapshot) => Some(snapshot),
                // It arrived between the two writes.
                Charged::Arrived => self.close_one(settlement, held).await?,
                Charged::Before => None,
            };
        }
        let Some(snapshot) = snapshot else { return Ok(None) };
        if settlement.released {
            return Ok(Some(Vec::new()));
        }
        Ok(Some(self.told.crossed(&self.table, &held.scope, &snapshot, reservation.windows, now).await))
    }

    /// Takes the open reservation out, and adds the difference. `None`: it is not there.
    async fn close_one(&self, settlement: &Settlement, held: &Held) -> Result<Option<Snapshot>, LedgerError> {
        let reservation = &settlement.reservation;
        let mut expression = Expression::default();
        let mut touched = Vec::new();
        for (counter, _) in &held.scope.counters {
            if *counter == Counter::Requests && !settlement.released {
                continue;
            }
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
        if held.sure {
            close(&mut expression, &reservation.id);
        } else {
            close_with_mark(&mut expression, reservation);
        }
        let call = self.table.update(&held.scope.key, STATE, expression);
        Ok(match self.in_time_of(settlement, call).await? {
            Updated::Done(item) => Some(Snapshot::read(&item)),
            Updated::Refused(_) => None,
        })
    }

    /// Adds what was used without asking, once, and takes the reservation's place with a mark: no late try of the admission, and no second settlement, counts
    /// after it.
    async fn charge_one(&self, settlement: &Settlement, held: &Held, now: SystemTime) -> Result<Charged, LedgerError> {
        let reservation = &settlement.reservation;
        let mut expression = Expression::default();
        for (counter, _) in &held.scope.counters {
            let used = settlement.used.of(counter);
            if used > 0 {
                expression.add(&counter.attribute(reservation.windows), n(used));
            }
        }
        let mark = Entry::mark(reservation.windows, unix_s(reservation.expires));
        open(&mut expression, &reservation.id, mark, now);
        let call = self.table.update(&held.scope.key, STATE, expression);
        Ok(match self.in_time_of(settlement, call).await? {
            Updated::Done(item) => Charged::Done(Snapshot::read(&item)),
            Updated::Refused(item) if Snapshot::read(&item).open.contains_key(&reservation.id) => Charged::Arrived,
            Updated::Refused(_) => Charged::Before,
        })
    }

    async fn write_history(&self, settlement: &Settlement, now: SystemTime) -> Result<(), LedgerError> {
        if !settlement.history_left {
            return Ok(());
        }
        if settlement.tried.is_some_and(|tried| now > tried + TOKEN_HOLDS) {
            tracing::error!(
                reservation.id = %settlement.reservation.id, ledger.team = %settlement.team,
                usage.tokens = settlement.used.tokens, usage.nano_usd = settlement.used.nano_usd,
                "the usage history may lack a request: its last try was so long ago that another could count twice"
            );
            return Ok(());
        }
        let id = &settlement.reservation.id;
        let updates = history::updates(&settlement.team, &settlement.records, id, settlement.at);
        self.in_time(self.table.update_once(id, updates)).await
    }

    /// A release is waited for by the client that was refused.
    async fn in_time_of<T>(
        &self,
        settlement: &Settlement,
        call: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        if settlement.released {
            return tokio::time::timeout(self.timeout, call).await.unwrap_or(Err(LedgerError::TimedOut(self.timeout)));
        }
        self.in_time(call).await
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
        let (team, used, released) = (settlement.team.clone(), settlement.used, settlement.released);
        let kept = self.pending.lock().is_ok_and(|mut pending| {
            let room = pending.len() < MAX_PENDING;
            if room {
                pending.push(settlement);
            }
            room
        });
        if released {
            tracing::warn!(
                reservation.id = %id, settlement.kept = kept, error.cause = %error,
                "a reservation could not be released; it is tried again, or swept"
            );
        } else {
            tracing::error!(
                reservation.id = %id, ledger.team = %team, usage.tokens = used.tokens, usage.nano_usd = used.nano_usd,
                settlement.kept = kept, error.cause = %error, "a settlement could not be written"
            );
        }
    }
}

impl Settlement {
    /// The first scope's part, which decides over the history, is not written yet.
    fn has_teams_entry(&self) -> bool {
        let first = |parts: &[Held]| parts.first().map(|held| held.scope.key.clone());
        !self.scopes_left.is_empty() && first(&self.scopes_left) == first(&self.reservation.held)
    }
}
