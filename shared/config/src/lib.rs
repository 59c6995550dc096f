//! The configuration file: parse, validate, explain.

mod secret;
mod types;

pub use types::*;
