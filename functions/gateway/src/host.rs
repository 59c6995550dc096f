//! Where the router runs.

pub mod connection;
pub mod lambda;
pub mod native;
