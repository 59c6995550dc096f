//! The route types `passthrough` and `detect`, over the whole gateway: an upstream that says what it was sent, and the router.

#[cfg(test)]
#[path = "passthrough/forwarded.rs"]
mod forwarded;
#[cfg(test)]
#[path = "support/mod.rs"]
mod support;
