//! The route types `passthrough` and `detect`, and kept responses, over the whole gateway: an upstream that says what it was sent, and the router.

#[cfg(test)]
#[path = "passthrough/forwarded.rs"]
mod forwarded;
#[cfg(test)]
#[path = "passthrough/kept.rs"]
mod kept;
#[cfg(test)]
#[path = "support/mod.rs"]
mod support;
