//! Responses that the gateway keeps: an embedded DynamoDB, scripted upstreams over HTTP, and the router.

#[cfg(test)]
#[path = "kept/owners.rs"]
mod owners;
#[cfg(test)]
#[path = "kept/questions.rs"]
mod questions;
#[cfg(test)]
#[path = "support/mod.rs"]
mod support;
#[cfg(test)]
#[path = "kept/turns.rs"]
mod turns;
#[cfg(test)]
#[path = "kept/world.rs"]
mod world;
