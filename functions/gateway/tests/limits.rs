//! Limits over the whole gateway: an embedded DynamoDB, scripted upstreams over HTTP, and the router.

#[cfg(test)]
#[path = "limits/attacks.rs"]
mod attacks;
#[cfg(test)]
#[path = "limits/batches.rs"]
mod batches;
#[cfg(test)]
#[path = "limits/bills.rs"]
mod bills;
#[cfg(test)]
#[path = "support/ledger.rs"]
mod ledger;
#[cfg(test)]
#[path = "limits/refusals.rs"]
mod refusals;
#[cfg(test)]
#[path = "support/mod.rs"]
mod support;
#[cfg(test)]
#[path = "limits/unary.rs"]
mod unary;
#[cfg(test)]
#[path = "limits/world.rs"]
mod world;
