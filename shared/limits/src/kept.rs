//! Responses that the gateway keeps, in a table of their own.
//!
//! | attribute | type | |
//! |---|---|---|
//! | `pk`, `sk` | S | whose it is: the response's id, the token's issuer, the team; the number of the part, `0` first |
//! | `data` | B | the part, of at most [`PART_BYTES`] |
//! | `expires` | N | the table's TTL, in seconds. DynamoDB deletes days later, so it is read as well |
//! | `parts` | N | in part `0`: how many there are |
//! | `chain` | L | in part `0`: the ids of the turns before this one, the first one first |
//!
//! - The owner is part of the key. So another team's response is one that is not there, by the same call, in the same time.
//! - Part `0` is written when all others are there: what can be found is complete.
//! - Reads are consistent: a turn that goes on right after its answer finds it.
//! - A delete takes the contents out, part `0` last, and leaves the keys to the TTL: so that no further operation of DynamoDB's is needed.

use std::time::SystemTime;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::BoxFuture;
use tollgate_config::Responses;

use crate::breaker::Breaker;
use crate::expression::Expression;
use crate::item::{Item, n, number};
use crate::table::{LedgerError, SdkSource, Table, Updated};
use crate::window::unix_s;

/// The name of the table where the configuration has none.
const TABLE: &str = "tollgate-responses";
/// An item has 400 KB, keys and names included: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>.
const PART_BYTES: usize = 350_000;
/// The most of a response: 5.6 MB.
const MAX_PARTS: usize = 16;

/// The table, and how it is asked.
#[derive(Debug)]
pub struct KeptTable {
    settings: Responses,
    table: Table,
    breaker: Breaker,
}

/// Who has a response, and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The issuer of the owner's tokens.
    pub issuer: String,
    /// The owner.
    pub team: String,
    /// The response.
    pub id: String,
}

/// A turn that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTurn {
    /// The ids of the turns before it, the first one first.
    pub chain: Vec<String>,
    /// What was put in.
    pub data: Vec<u8>,
}

/// A response could not be kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeepError {
    /// There is too much of it.
    #[error("it has {0} bytes, and a response that is kept at most {max}", max = PART_BYTES * MAX_PARTS)]
    TooLarge(usize),
    /// The table.
    #[error(transparent)]
    Table(#[from] LedgerError),
}

impl Home {
    /// A blank stands in no id and in no issuer, so two owners never share a key.
    fn key(&self) -> String {
        format!("{} {} {}", self.id, self.issuer, self.team)
    }
}

impl KeptTable {
    /// Touches no network. `None`: nothing is kept.
    pub fn new(settings: &Responses, sdk: SdkSource) -> Option<Self> {
        let table = Table::new(settings.state.as_ref()?, TABLE, settings.timeout(), sdk);
        Some(Self { settings: settings.clone(), table, breaker: Breaker::default() })
    }

    /// Would these settings be asked in the same way?
    pub fn is_asked_by(&self, settings: &Responses) -> bool {
        self.settings == *settings
    }

    /// Prepares the client, in the background.
    pub async fn warm(&self) {
        self.table.warm().await;
    }

    /// Makes the table: for emulators.
    pub async fn create_table(&self) -> Result<(), LedgerError> {
        self.table.create().await
    }

    /// Keeps a turn. When it is done, it is there for whoever reads next.
    pub fn put<'a>(
        &'a self,
        home: &'a Home,
        chain: &'a [String],
        data: &'a [u8],
        now: SystemTime,
    ) -> BoxFuture<'a, Result<(), KeepError>> {
        Box::pin(self.putting(home, chain, data, now))
    }

    async fn putting(&self, home: &Home, chain: &[String], data: &[u8], now: SystemTime) -> Result<(), KeepError> {
        let parts: Vec<&[u8]> = if data.is_empty() { vec![data] } else { data.chunks(PART_BYTES).collect() };
        if parts.len() > MAX_PARTS {
            return Err(KeepError::TooLarge(data.len()));
        }
        let expires = unix_s(now) + self.settings.keep_for().as_secs();
        let key = home.key();
        let written = async {
            for (number, data) in parts.iter().enumerate().rev() {
                let mut part = Expression::default();
                part.set("data", AttributeValue::B(Blob::new(*data)));
                part.set("expires", n(expires));
                if number == 0 {
                    part.set("parts", n(parts.len()));
                    part.set("chain", AttributeValue::L(chain.iter().cloned().map(AttributeValue::S).collect()));
                }
                self.write(&key, number, part).await?;
            }
            Ok(())
        };
        Ok(self.asked(written).await?)
    }

    /// Finds a turn of this owner's. `None`: there is none, or no more.
    pub fn get(&self, home: &Home, now: SystemTime) -> BoxFuture<'_, Result<Option<KeptTurn>, LedgerError>> {
        let key = home.key();
        Box::pin(self.asked(async move {
            let Some(head) = self.table.get(&key, "0", true).await? else { return Ok(None) };
            let Some((parts, chain)) = read_head(&head, now) else { return Ok(None) };
            let mut data = Vec::new();
            let mut part = Some(head);
            for next in 1..=parts {
                let Some(AttributeValue::B(bytes)) = part.and_then(|mut part| part.remove("data")) else {
                    return Ok(None);
                };
                data.extend_from_slice(bytes.as_ref());
                part = if next < parts { self.table.get(&key, &next.to_string(), true).await? } else { None };
            }
            Ok(Some(KeptTurn { chain, data }))
        }))
    }

    /// Deletes a turn of this owner's. `false`: there is none.
    pub fn delete(&self, home: &Home, now: SystemTime) -> BoxFuture<'_, Result<bool, LedgerError>> {
        let key = home.key();
        Box::pin(self.asked(async move {
            let Some(head) = self.table.get(&key, "0", true).await? else { return Ok(false) };
            let Some((parts, _)) = read_head(&head, now) else { return Ok(false) };
            for part in (1..parts).rev() {
                self.write(&key, part, emptied(now)).await?;
            }
            self.write(&key, 0, emptied_head(now)).await
        }))
    }

    /// `false`: the condition does not hold.
    async fn write(&self, key: &str, part: usize, expression: Expression) -> Result<bool, LedgerError> {
        let updated = self.table.update_unseen(key, &part.to_string(), expression).await?;
        Ok(matches!(updated, Updated::Done(_)))
    }

    /// Within the timeout, and not while it fails again and again.
    async fn asked<T>(&self, call: impl Future<Output = Result<T, LedgerError>>) -> Result<T, LedgerError> {
        if !self.breaker.lets_through() {
            return Err(LedgerError::BreakerOpen);
        }
        let timeout = self.settings.timeout();
        let outcome = tokio::time::timeout(timeout, call).await.unwrap_or(Err(LedgerError::TimedOut(timeout)));
        self.breaker.note(!outcome.as_ref().is_err_and(LedgerError::is_outage));
        outcome
    }
}

/// How many parts there are, and the chain. `None`: it was deleted, or has expired.
fn read_head(head: &Item, now: SystemTime) -> Option<(usize, Vec<String>)> {
    let figure = |name: &str| head.get(name).and_then(number);
    figure("expires").filter(|expires| *expires > i128::from(unix_s(now)))?;
    let parts = usize::try_from(figure("parts")?).ok().filter(|parts| *parts <= MAX_PARTS)?;
    let chain = head.get("chain")?.as_l().ok()?.iter().filter_map(|id| id.as_s().ok()).cloned().collect();
    Some((parts, chain))
}

fn emptied(now: SystemTime) -> Expression {
    let mut expression = Expression::default();
    // An item that the TTL has taken meanwhile must not come back.
    expression.require_present("data");
    expression.remove("data");
    expression.set("expires", n(unix_s(now)));
    expression
}

fn emptied_head(now: SystemTime) -> Expression {
    let mut expression = emptied(now);
    expression.remove("parts");
    expression.remove("chain");
    expression
}
