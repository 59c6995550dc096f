//! Usage that somebody else reports: a foreign gateway's log, by its own request id.
//!
//! Such a report may come late, twice, or without a reservation. It is one transaction: a mark `booked#<team>`, `<id>` on the condition that it is not there, the
//! counters of every scope, and the usage history. It costs twice the write units of a settlement of ours, and nobody waits for it.

use std::time::SystemTime;

use crate::expression::Expression;
use crate::history::{self, Record};
use crate::item::{Snapshot, bounded, n};
use crate::ledger::{Ledger, Reservation, STATE, close};
use crate::scope::{Amount, Counter, Scope};
use crate::table::{KeyedUpdate, LedgerError, Transacted};
use crate::warning::Warning;
use crate::window::{Windows, unix_s};

/// A mark is kept for so long: three days.
const MARKED_S: u64 = 3 * 86_400;
/// A reservation may be swept between its reading and its settlement; it is looked for again.
const ATTEMPTS: usize = 8;

/// What came of a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Booked {
    /// It is booked.
    Now,
    /// It was before.
    Before,
    /// This part of the reservation is not there (any more); nothing was written.
    Missing(usize),
}

impl Ledger {
    /// Books a report. `false`: it was booked before. The first scope is the team's, if the team has one.
    pub async fn settle_reported(
        &self,
        scopes: &[Scope],
        team: &str,
        external_id: &str,
        used: Amount,
        records: &[Record],
        now: SystemTime,
    ) -> Result<bool, LedgerError> {
        let mut found = self.find(scopes, external_id).await?;
        for _ in 0..ATTEMPTS {
            match self.book(found.as_ref(), scopes, team, external_id, used, records, now).await? {
                Booked::Now => return Ok(true),
                Booked::Before => return Ok(false),
                // One scope's part was never made, or is swept already: the others are booked without it.
                Booked::Missing(at) if at > 0 => drop_part(&mut found, at),
                Booked::Missing(_) => found = self.find(scopes, external_id).await?,
            }
        }
        Err(LedgerError::Refused("the reservation changed again and again".to_owned()))
    }

    /// Tells the shares of budgets that these scopes have used up: the transaction of a report answers without the items that it wrote.
    pub(crate) async fn warn(&self, scopes: &[Scope], now: SystemTime) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for scope in scopes {
            match self.in_time(self.table.get(&scope.key, STATE, true)).await {
                Ok(item) => {
                    let snapshot = Snapshot::read(&item.unwrap_or_default());
                    warnings.extend(self.told.crossed(&self.table, scope, &snapshot, Windows::at(now), now).await);
                }
                Err(error) => tracing::warn!(
                    ledger.scope = %scope.key, error.cause = %error, "it could not be seen whether a budget is used up"
                ),
            }
        }
        warnings
    }

    /// One try.
    #[expect(clippy::too_many_arguments, reason = "each is one column of the booking; there are two callers")]
    pub(crate) async fn book(
        &self,
        found: Option<&Reservation>,
        scopes: &[Scope],
        team: &str,
        external_id: &str,
        used: Amount,
        records: &[Record],
        now: SystemTime,
    ) -> Result<Booked, LedgerError> {
        let mut mark = Expression::default();
        mark.require_absent("expires");
        mark.set("expires", n(unix_s(now) + MARKED_S));
        let mut updates = vec![(format!("booked#{team}"), bounded(external_id), mark)];
        match found {
            Some(reservation) => {
                updates.extend(reservation.held.iter().map(|held| against(reservation, &held.scope, used)))
            }
            None => updates.extend(scopes.iter().filter_map(|scope| without(scope, used, Windows::at(now)))),
        }
        updates.extend(history::updates(team, records, external_id, now));
        match self.in_time(self.table.transact(None, updates)).await? {
            Transacted::Done => Ok(Booked::Now),
            Transacted::Refused(0) => Ok(Booked::Before),
            Transacted::Refused(at) => Ok(Booked::Missing(at - 1)),
        }
    }

    /// The open reservation that a caller knows by its own id, the oldest of them.
    async fn find(&self, scopes: &[Scope], external_id: &str) -> Result<Option<Reservation>, LedgerError> {
        let Some(first) = scopes.first() else { return Ok(None) };
        let Some(item) = self.in_time(self.table.get(&first.key, STATE, true)).await? else { return Ok(None) };
        let (snapshot, external_id) = (Snapshot::read(&item), bounded(external_id));
        let mine = snapshot.open.iter().filter(|(_, entry)| entry.external_id.as_ref() == Some(&external_id));
        let oldest = mine.min_by_key(|(id, entry)| (entry.expires_unix_s, (*id).clone()));
        Ok(oldest.map(|(id, entry)| Reservation::from_entry(id, &first.key, entry, scopes)))
    }
}

fn drop_part(found: &mut Option<Reservation>, at: usize) {
    if let Some(reservation) = found
        && at < reservation.held.len()
    {
        reservation.held.remove(at);
    }
}

/// Replaces what is reserved by what was used.
pub(crate) fn against(reservation: &Reservation, scope: &Scope, used: Amount) -> KeyedUpdate {
    let mut expression = Expression::default();
    for (counter, _) in scope.counters.iter().filter(|(counter, _)| *counter != Counter::Requests) {
        let delta = i128::from(used.of(counter)) - i128::from(reservation.amount.of(counter));
        if delta != 0 {
            expression.add(&counter.attribute(reservation.windows), n(delta));
        }
    }
    close(&mut expression, &reservation.id);
    (scope.key.clone(), STATE.to_owned(), expression)
}

/// Adds what was used; requests were counted by whoever admitted them. `None`: nothing to add.
fn without(scope: &Scope, used: Amount, windows: Windows) -> Option<KeyedUpdate> {
    let mut expression = Expression::default();
    let mut adds = false;
    for (counter, _) in scope.counters.iter().filter(|(counter, _)| used.of(counter) > 0) {
        expression.add(&counter.attribute(windows), n(used.of(counter)));
        adds = true;
    }
    adds.then(|| (scope.key.clone(), STATE.to_owned(), expression))
}
