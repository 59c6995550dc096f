//! The sweep: reservations that nobody settled are charged their estimate, and warnings are handed out for their events. Run it every minute.
//!
//! It reads the index `due`, and then only the items that it names. An item with open reservations is named at the latest [`VISIT_S`] seconds after its first one, so a
//! reservation is swept within that, the grace and the schedule's minute.

use std::time::SystemTime;

use tollgate_wire::ir::Usage;

use crate::expression::Expression;
use crate::history::{self, Record};
use crate::item::OPEN;
use crate::item::{Entry, Snapshot, n};
use crate::ledger::{GRACE_S, Ledger, Reservation, STATE, VISIT_S};
use crate::reported::{Booked, against};
use crate::scope::Amount;
use crate::table::{LedgerError, Transacted, Updated};
use crate::warning::{WARNED, Warning};
use crate::window::unix_s;

/// Items of one query.
const PAGE: i32 = 100;
/// Marks that one write takes out; an expression has its bounds.
const MARKS: usize = 100;

/// What a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Items that were looked at.
    pub items: usize,
    /// Reservations that were charged their estimate.
    pub reservations: usize,
    /// What they were charged, in nano-dollars.
    pub charged_nano_usd: u64,
    /// Warnings whose event has not been sent. [`Ledger::sent`] takes one out.
    pub warnings: Vec<Warning>,
}

impl Ledger {
    /// Sweeps what is due, in pages, until nothing is or `until` has come. An item that fails is left for the next run.
    pub async fn sweep(&self, now: SystemTime, until: std::time::Instant) -> Result<Swept, LedgerError> {
        let mut swept = Swept::default();
        let (mut failed, mut start) = (None, None);
        loop {
            let (due, next) = self.table.due(unix_s(now), PAGE, start).await?;
            for (pk, sk) in &due {
                let outcome = if sk.starts_with(WARNED) {
                    self.take_warning(pk, sk, &mut swept).await
                } else {
                    self.sweep_item(pk, now, &mut swept).await
                };
                if let Err(error) = outcome {
                    tracing::error!(ledger.scope = %pk, error.cause = %error, "an item could not be swept; the next run will");
                    failed = Some(error);
                }
            }
            // What stays due, because it failed or because its event is not sent yet, must not keep the rest from being reached.
            start = next;
            if start.is_none() || std::time::Instant::now() >= until {
                break;
            }
        }
        match failed {
            Some(error) if swept == Swept::default() => Err(error),
            _ => Ok(swept),
        }
    }

    async fn take_warning(&self, pk: &str, sk: &str, swept: &mut Swept) -> Result<(), LedgerError> {
        if let Some(item) = self.table.get(pk, sk, true).await? {
            swept.warnings.extend(Warning::read(pk, sk, &item));
        }
        Ok(())
    }

    /// A warning's event was sent.
    pub async fn sent(&self, warning: &Warning) -> Result<(), LedgerError> {
        let mut expression = Expression::default();
        expression.require_present("percent");
        expression.remove("lane");
        expression.remove("due");
        self.table.update(&warning.scope, &warning.sort_key(), expression).await.map(|_| ())
    }

    async fn sweep_item(&self, pk: &str, now: SystemTime, swept: &mut Swept) -> Result<(), LedgerError> {
        swept.items += 1;
        let Some(item) = self.table.get(pk, STATE, true).await? else { return Ok(()) };
        let snapshot = Snapshot::read(&item);
        let expired = |expires_unix_s: u64| expires_unix_s.saturating_add(GRACE_S) <= unix_s(now);
        let mut failed = None;
        for (id, entry) in snapshot.open.iter().filter(|(_, entry)| expired(entry.expires_unix_s)) {
            match self.charge(pk, id, entry, now).await {
                Ok(Some(charged)) => {
                    swept.reservations += 1;
                    swept.charged_nano_usd = swept.charged_nano_usd.saturating_add(charged.nano_usd);
                }
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            // It stays due.
            return Err(error);
        }
        let mut expression = Expression::default();
        let old = snapshot.marks.iter().filter(|(_, expires)| expired(**expires)).map(|(id, _)| id);
        for id in old.take(MARKS) {
            expression.remove(&format!("{OPEN}{id}"));
        }
        let left = snapshot.open.values().map(|entry| entry.expires_unix_s).chain(snapshot.marks.values().copied());
        let too_many = snapshot.marks.values().filter(|expires| expired(**expires)).count() > MARKS;
        let next = left.filter(|expires| too_many || !expired(*expires)).min();
        match next {
            Some(next) => {
                let next = next.saturating_add(GRACE_S);
                expression.require_present("seq");
                expression.set("lane", crate::table::lane());
                expression.set("due", n(next.min(unix_s(now) + VISIT_S)));
            }
            None => {
                // Only if nothing was reserved since it was read: a later reservation relies on this visit.
                expression.require_equal("seq", n(snapshot.seq));
                expression.remove("lane");
                expression.remove("due");
            }
        }
        self.table.update(pk, STATE, expression).await.map(|_| ())
    }

    /// Settles it with its estimate, in one write with the usage history. It is in its own scope's item only: each scope's item is due by itself. What it was charged;
    /// `None`: somebody else has settled it.
    async fn charge(&self, pk: &str, id: &str, entry: &Entry, now: SystemTime) -> Result<Option<Amount>, LedgerError> {
        let alone = Entry { others: Vec::new(), ..entry.clone() };
        let reservation = Reservation::from_entry(id, pk, &alone, &[]);
        let team = entry.team.as_deref().or(pk.strip_prefix("team#")).unwrap_or(pk);
        let records: Vec<Record> = record(entry).into_iter().collect();
        let mut charge = entry.charge;
        if let Some(external_id) = &entry.external_id {
            // Whoever reports it later must find that it is booked.
            match self.book(Some(&reservation), &[], team, external_id, charge, &records, now).await? {
                Booked::Now => return Ok(Some(noted(pk, id, charge))),
                Booked::Missing(_) => return Ok(None),
                // A caller that asked twice and reported once: this one was never used.
                Booked::Before => charge = Amount::default(),
            }
        }
        let Some(held) = reservation.held.first() else { return Ok(None) };
        let (pk_, sk, expression) = against(&reservation, &held.scope, charge);
        let taken = if records.is_empty() || charge == Amount::default() {
            matches!(self.in_time(self.table.update(&pk_, &sk, expression)).await?, Updated::Done(_))
        } else {
            let mut updates = vec![(pk_, sk, expression)];
            updates.extend(history::updates(team, &records, id, now));
            matches!(self.in_time(self.table.transact(None, updates)).await?, Transacted::Done)
        };
        Ok(taken.then(|| noted(pk, id, charge)))
    }
}

/// The usage that is charged, for the history.
fn record(entry: &Entry) -> Option<Record> {
    let (kind, model) = entry.model.as_deref()?.split_once('/')?;
    (entry.charge != Amount::default()).then(|| Record {
        kind: kind.to_owned(),
        model: model.to_owned(),
        usage: Usage { input: Some(entry.charge.tokens), ..Usage::default() },
        nano_usd: entry.charge.nano_usd,
        estimated: true,
        unpriced: false,
    })
}

fn noted(pk: &str, id: &str, charge: Amount) -> Amount {
    tracing::warn!(
        ledger.scope = %pk, reservation.id = %id, usage.tokens = charge.tokens, usage.nano_usd = charge.nano_usd,
        "a reservation that nobody settled has expired and was charged its estimate"
    );
    charge
}
