//! What a limit says to a request: where it stands, or why not.

use std::time::{Duration, SystemTime};

use tollgate_config::Usd;

use crate::item::Snapshot;
use crate::ledger::Order;
use crate::scope::{Counter, Owner, Scope};
use crate::window::Windows;

/// Reservations of requests under way come back when those end; nobody knows when, most within seconds.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// A partition that was too hot takes writes again.
const COOLED: Duration = Duration::from_secs(1);

/// One limit, after a request was admitted or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whose.
    pub owner: Owner,
    /// Of what.
    pub counter: Counter,
    /// The most per window: requests, tokens, or nano-dollars.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// When the window ends.
    pub reset: Duration,
}

/// A request that is over a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For people: `RPM limit exceeded (101/100 requests per minute)`.
    pub reason: String,
    /// When to come again.
    pub retry_after: Duration,
    /// A month's money is spent: trying again soon is of no use.
    pub exhausted: bool,
    /// The limit.
    pub counter: Counter,
    /// Whose limit.
    pub owner: Owner,
    /// The limits of that scope.
    pub standings: Vec<Standing>,
    /// Which scope of the order.
    pub(crate) scope: Option<usize>,
}

impl Standing {
    /// All limits of a scope.
    pub(crate) fn of(scope: &Scope, snapshot: &Snapshot, windows: Windows, now: SystemTime) -> Vec<Self> {
        let standing = |(counter, max): &(Counter, Option<u64>)| {
            let limit = (*max)?;
            Some(Self {
                owner: scope.owner,
                counter: counter.clone(),
                limit,
                remaining: limit.saturating_sub(snapshot.committed(counter, windows)),
                reset: reset(counter, now),
            })
        };
        scope.counters.iter().filter_map(standing).collect()
    }
}

impl Refusal {
    /// When to come again, in whole seconds.
    pub fn retry_after_seconds(&self) -> u64 {
        self.retry_after.as_secs() + u64::from(self.retry_after.subsec_nanos() > 0)
    }

    /// So many requests at once that the ledger cannot count them: DynamoDB takes about a thousand writes a second of one item, refused ones included.
    pub(crate) fn throttled(owner: Owner) -> Self {
        let whose = if owner == Owner::Team { "of this team" } else { "under the same limit" };
        Self {
            reason: format!("too many requests {whose} at once: they cannot be counted so fast; try again in a second"),
            retry_after: COOLED,
            exhausted: false,
            counter: Counter::Requests,
            owner,
            standings: Vec::new(),
            scope: None,
        }
    }

    /// The first limit of the scope that has no room for the order. `None`: all have.
    pub(crate) fn new(order: &Order, index: usize, snapshot: &Snapshot, now: SystemTime) -> Option<Self> {
        let scope = order.scopes.get(index)?;
        let windows = Windows::at(now);
        let over = |(counter, max): &&(Counter, Option<u64>)| {
            max.is_some_and(|max| snapshot.committed(counter, windows).saturating_add(order.amount.of(counter)) > max)
        };
        let (counter, max) = scope.counters.iter().find(over)?;
        let (max, amount) = (max.unwrap_or_default(), order.amount.of(counter));
        let wanted = snapshot.committed(counter, windows).saturating_add(amount);
        let used = snapshot.used(counter, windows);
        // Would there be room if the requests under way used nothing?
        let waits = !matches!(counter, Counter::Requests) && used.saturating_add(amount) <= max;
        let mut reason = words(scope, counter, wanted, max);
        if waits {
            let reserved = shown(counter, snapshot.reserved(counter, windows));
            reason.push_str(&format!(", {reserved} of it reserved by requests under way"));
        }
        let reset = reset(counter, now);
        Some(Self {
            reason,
            retry_after: if waits { UNDER_WAY.min(reset) } else { reset },
            exhausted: counter.is_money() && !waits,
            counter: counter.clone(),
            owner: scope.owner,
            standings: Standing::of(scope, snapshot, windows, now),
            scope: Some(index),
        })
    }

    /// What no empty window has room for need not be asked for.
    pub(crate) fn too_large(order: &Order, now: SystemTime) -> Option<Self> {
        for scope in &order.scopes {
            for (counter, max) in &scope.counters {
                let (Some(max), amount) = (*max, order.amount.of(counter)) else { continue };
                if amount > max {
                    let reason = match counter {
                        Counter::Requests => words(scope, counter, amount, max),
                        _ => format!(
                            "{}; this request alone may use that much: lower max_tokens or shorten it",
                            words(scope, counter, amount, max)
                        ),
                    };
                    return Some(Self {
                        reason,
                        retry_after: reset(counter, now),
                        exhausted: true,
                        counter: counter.clone(),
                        owner: scope.owner,
                        standings: Vec::new(),
                        scope: None,
                    });
                }
            }
        }
        None
    }
}

fn words(scope: &Scope, counter: &Counter, wanted: u64, max: u64) -> String {
    let whose = match scope.owner {
        Owner::Team => String::new(),
        Owner::User => "user ".to_owned(),
        Owner::Model => format!("{} ", scope.label()),
        Owner::Gateway => "gateway ".to_owned(),
    };
    match counter {
        Counter::Requests => format!("{whose}RPM limit exceeded ({wanted}/{max} requests per minute)"),
        Counter::Tokens => format!("{whose}TPD limit exceeded ({wanted}/{max} tokens per day)"),
        Counter::Money => format!("{whose}budget exceeded ({}/{} per month)", Usd(wanted), Usd(max)),
        Counter::ModelMoney(pattern) => {
            format!("{whose}budget for {pattern} exceeded ({}/{} per month)", Usd(wanted), Usd(max))
        }
    }
}

fn shown(counter: &Counter, value: u64) -> String {
    if counter.is_money() { Usd(value).to_string() } else { value.to_string() }
}

fn reset(counter: &Counter, now: SystemTime) -> Duration {
    match counter {
        Counter::Requests => Windows::left_in_minute(now),
        Counter::Tokens => Windows::left_in_day(now),
        Counter::Money | Counter::ModelMoney(_) => Windows::left_in_month(now),
    }
}
