//! `/v1/realtime` over the whole gateway: its native server, a provider's WebSocket that does as it is told, a ledger, and clients.

#[cfg(test)]
#[path = "realtime/bills.rs"]
mod bills;
#[cfg(test)]
#[path = "support/closed.rs"]
mod closed;
#[cfg(test)]
#[path = "support/ledger.rs"]
mod ledger;
#[cfg(test)]
#[path = "realtime/sessions.rs"]
mod sessions;
#[cfg(test)]
#[path = "support/mod.rs"]
#[expect(dead_code, reason = "its reader of event streams is for the other tests")]
mod support;
#[cfg(test)]
#[path = "realtime/world.rs"]
mod world;
