//! What an operator changes and sees while requests run: configurations, traces.

#[cfg(test)]
#[path = "operations/export.rs"]
mod export;
#[cfg(test)]
#[path = "operations/reload.rs"]
mod reload;
#[cfg(test)]
#[path = "operations/start.rs"]
mod start;
#[cfg(test)]
#[path = "support/mod.rs"]
mod support;
#[cfg(test)]
#[path = "operations/world.rs"]
mod world;
