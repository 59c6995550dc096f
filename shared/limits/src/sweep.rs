//! The sweep: reservations that nobody settled are charged their estimate, and warnings are handed out for their events. Run it every minute.
//!
//! It reads the index `due`, and then only the items that it names. An item with open reservations is named at the latest [`VISIT_S`] seconds after its first one, so a
//! reservation is swept within that, the grace and the schedule's minute.

use std::time::SystemTime;

use tollgate_wire::ir::Usage;

use crate::expression::Expression;
use crate::history::Record;
use crate::item::{Entry, Snapshot, n};
use crate::ledger::{Ledger, Reservation, STATE, VISIT_S};
use crate::scope::Amount;
use crate::table::LedgerError;
use crate::warning::{WARNED, Warning};
use crate::window::unix_s;

/// The clocks of two machines may differ by so much.
const GRACE_S: u64 = 20;
/// Items of one query.
const PAGE: i32 = 100;

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
        let mut failed = None;
        loop {
            let due = self.table.due(unix_s(now), PAGE).await?;
            let before = swept.items;
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
            // Warnings stay due until they are sent, and so does what failed: another page would bring the same.
            let full = usize::try_from(PAGE).is_ok_and(|page| due.len() == page);
            if !full
                || failed.is_some()
                || swept.items == before
                || !swept.warnings.is_empty()
                || std::time::Instant::now() >= until
            {
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
        let expired = |entry: &Entry| entry.expires_unix_s.saturating_add(GRACE_S) <= unix_s(now);
        let mut next = None;
        for (id, entry) in &snapshot.open {
            if expired(entry) {
                self.charge(pk, id, entry, now).await?;
                swept.reservations += 1;
                swept.charged_nano_usd = swept.charged_nano_usd.saturating_add(entry.charge.nano_usd);
            } else {
                let expires = entry.expires_unix_s.saturating_add(GRACE_S);
                next = Some(next.map_or(expires, |next: u64| next.min(expires)));
            }
        }
        let mut expression = Expression::default();
        match next {
            Some(next) => {
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

    /// Settles it with its estimate. It is in its own scope's item only: each scope's item is due by itself.
    async fn charge(&self, pk: &str, id: &str, entry: &Entry, now: SystemTime) -> Result<(), LedgerError> {
        let Amount { tokens, nano_usd, .. } = entry.charge;
        let team = pk.strip_prefix("team#").unwrap_or(pk);
        let model = entry.model.as_deref().and_then(|model| model.split_once('/'));
        let record = model.filter(|_| entry.charge != Amount::default()).map(|(kind, model)| Record {
            kind: kind.to_owned(),
            model: model.to_owned(),
            usage: Usage { input: Some(tokens), ..Usage::default() },
            nano_usd,
            estimated: true,
            unpriced: false,
        });
        tracing::warn!(
            ledger.scope = %pk, reservation.id = %id, usage.tokens = tokens, usage.nano_usd = nano_usd,
            "a reservation that nobody settled has expired and is charged its estimate"
        );
        let records: Vec<Record> = record.into_iter().collect();
        let alone = Entry { others: Vec::new(), ..entry.clone() };
        let reservation = Reservation::from_entry(id, pk, &alone, &[]);
        if let Some(external_id) = &entry.external_id {
            // Whoever reports it later must find that it is booked.
            return self.book(Some(reservation), &[], team, external_id, entry.charge, &records, now).await.map(|_| ());
        }
        let _ = self.settle(reservation, team, entry.charge, records, now).await;
        Ok(())
    }
}
