//! Where the router runs.

pub mod lambda;
pub mod native;
