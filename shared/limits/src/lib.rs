//! Rate limits and budgets: reserve before a call, settle after it.
//!
//! A team never gets one request, one token or one cent more than its limits, however many gateways run and however they fail; and a team within
//! its limits never notices.
//!
//! ## The protocol
//!
//! Every scope (team, user, model, gateway) has one state item in one DynamoDB table (`item`).
//!
//! 1. **Reserve**: one conditional `UpdateItem` per scope, all at once. It adds the request, its estimated tokens and their price to the counters of the
//!    current minute, day and month, and puts an open reservation `o#<id>` into the item, on the condition that every limited counter has room and the
//!    reservation is not there. A refusal changes nothing. Refused in one scope, it is released in the others.
//! 2. **Settle**: one `UpdateItem` per scope. It takes the open reservation out, on the condition that it is there, and adds the difference between what was used
//!    and what was reserved. Beside it, the usage history.
//! 3. **Release**: as settle, with everything given back: the request was never sent.
//! 4. **Sweep**: a reservation that has expired is settled with its estimate.
//!
//! Each of these writes can be sent any number of times: the open reservation's presence says whether it was made. So a lost answer, a retry of the SDK, a second call
//! and a crash between any two steps are the same case.
//!
//! One thing remains: a try of a reserve that went unanswered may arrive after everything else. Where there was one, settling, releasing and refusing leave a mark in the reservation's
//! place until it would have expired. A request that ran without the ledger's word is settled in two steps: close it if it is there, else add what was used and mark the place; if it
//! arrived in between, close it after all.
//!
//! ## The invariants
//!
//! For every scope and window, at every moment:
//!
//! - I1. `counter = settled usage + open reservations`. The condition of the reserve is on `counter`, therefore
//! - I2. `used + reserved <= limit` as long as no settlement exceeds its reservation. (A reservation bounds what a request costs: the output by `max_tokens`, the prompt's
//!   price by its bytes. A provider that exceeds a bound is booked as it reports.)
//! - I3. A reservation is made at most once in an item, and settled, released or swept once.
//! - I4. After the last reservation was settled or swept: `reserved = 0`, `used` = what was reported, and estimates for what was swept.
//! - I5. Nobody is refused while `used + reserved + the request's own estimate <= limit`.
//!
//! More than one scope means more than one item: the protocol between them (reserve all, release on refusal, sweep after a crash) is model-checked in `tests/model`.
//!
//! ## What fails
//!
//! The ledger answers late or not at all: [`Admission::Unknown`], and `failureMode` decides. A breaker keeps the next requests from waiting, too. A settlement
//! that cannot be written is kept and tried again with the next; its figures are in the log.
//!
//! # Beside it
//!
//! [`KeptTable`]: the responses that the gateway keeps for providers that keep none. It is here because it asks DynamoDB by the same few operations, which are
//! a large part of a Lambda function's binary; it has a table of its own, and nothing to do with limits.

mod breaker;
mod estimate;
mod expression;
mod history;
mod item;
mod kept;
mod ledger;
mod limiter;
mod media;
mod overrides;
mod policy;
pub mod prices;
mod refusal;
mod reported;
mod scope;
mod settlement;
mod sweep;
mod table;
mod warning;
mod window;

pub use estimate::Prompt;
pub use history::Record;
pub use kept::{Home, KeepError, KeptTable, KeptTurn};
pub use ledger::{Admission, Ledger, Order, Reservation};
pub use limiter::{Ask, Bill, Call, Limiter, Spent, Verdict, What};
pub use refusal::{Refusal, Standing};
pub use scope::{Amount, Counter, Owner, Scope};
pub use sweep::Swept;
pub use table::{LedgerError, SdkSource};
pub use warning::Warning;
pub use window::{timestamp, unix_s};
