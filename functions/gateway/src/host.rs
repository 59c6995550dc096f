//! Where the router runs. The native server is every function's; on Lambda the gateway streams and knows dialects, so its loop is its own.

pub mod lambda;

pub use tollgate_host::{connection, native};
