//! Usage that somebody else reports: a foreign gateway's log, by its own request id.
//!
//! Such a report may come late, twice, or without a reservation. It is one transaction: a mark `booked#<team>`, `<id>` on the condition that it is not there, the
//! counters of every scope, and the usage history. It costs twice the write units of a settlement of ours, and nobody waits for it.

use std::time::SystemTime;

use crate::expression::Expression;
use crate::history::{self, Record};
use crate::item::{OPEN, Snapshot, n};
use crate::ledger::{Ledger, Reservation, STATE};
use crate::scope::{Amount, Counter, Scope};
use crate::table::{KeyedUpdate, LedgerError, Transacted};
use crate::window::{Windows, unix_s};

/// A mark is kept for so long: three days.
const MARKED_S: u64 = 3 * 86_400;
/// A reservation may be swept between its reading and its settlement; it is looked for again.
const ATTEMPTS: usize = 3;

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
        for _ in 0..ATTEMPTS {
            let found = self.find(scopes, external_id).await?;
            if let Some(booked) = self.book(found, scopes, team, external_id, used, records, now).await? {
                return Ok(booked);
            }
        }
        Err(LedgerError::Failed("the reservation changed again and again".to_owned()))
    }

    /// One try. `None`: the reservation was taken by somebody else in the meantime.
    #[expect(clippy::too_many_arguments, reason = "each is one column of the booking; there are two callers")]
    pub(crate) async fn book(
        &self,
        found: Option<Reservation>,
        scopes: &[Scope],
        team: &str,
        external_id: &str,
        used: Amount,
        records: &[Record],
        now: SystemTime,
    ) -> Result<Option<bool>, LedgerError> {
        let mut mark = Expression::default();
        mark.require_absent("expires");
        mark.set("expires", n(unix_s(now) + MARKED_S));
        let mut updates = vec![(format!("booked#{team}"), shortened(external_id), mark)];
        match &found {
            Some(reservation) => {
                updates.extend(reservation.held.iter().map(|held| against(reservation, &held.scope, used)))
            }
            None => updates.extend(scopes.iter().filter_map(|scope| without(scope, used, Windows::at(now)))),
        }
        updates.extend(history::updates(team, records, external_id, now));
        match self.in_time(self.table.transact(None, updates)).await? {
            Transacted::Done => Ok(Some(true)),
            Transacted::Refused(0) => Ok(Some(false)),
            Transacted::Refused(_) => Ok(None),
        }
    }

    /// The open reservation that a caller knows by its own id, the oldest of them.
    async fn find(&self, scopes: &[Scope], external_id: &str) -> Result<Option<Reservation>, LedgerError> {
        let Some(first) = scopes.first() else { return Ok(None) };
        let Some(item) = self.in_time(self.table.get(&first.key, STATE, true)).await? else { return Ok(None) };
        let snapshot = Snapshot::read(&item);
        let mine = snapshot.open.iter().filter(|(_, entry)| entry.external_id.as_deref() == Some(external_id));
        let oldest = mine.min_by_key(|(id, entry)| (entry.expires_unix_s, (*id).clone()));
        Ok(oldest.map(|(id, entry)| Reservation::from_entry(id, &first.key, entry, scopes)))
    }
}

/// Replaces what is reserved by what was used.
fn against(reservation: &Reservation, scope: &Scope, used: Amount) -> KeyedUpdate {
    let mut expression = Expression::default();
    for (counter, _) in scope.counters.iter().filter(|(counter, _)| *counter != Counter::Requests) {
        let delta = i128::from(used.of(counter)) - i128::from(reservation.amount.of(counter));
        if delta != 0 {
            expression.add(&counter.attribute(reservation.windows), n(delta));
        }
    }
    let attribute = format!("{OPEN}{}", reservation.id);
    expression.require_present(&attribute);
    expression.remove(&attribute);
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

/// A sort key has at most 1,024 bytes.
fn shortened(id: &str) -> String {
    id.chars().take(250).collect()
}
