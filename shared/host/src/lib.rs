//! Where the functions run: the native server ([`native`]), and Lambda's events of any shape ([`lambda`]).
//!
//! The gateway has an event loop of its own, because it streams and knows dialects; the server it shares.

pub mod connection;
pub mod lambda;
pub mod native;
mod streams;
