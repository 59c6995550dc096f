//! Providers: URL, auth, transport, attempts, failover, health.
//!
//! 1. [`Chains`] is built once from the configuration: chains of groups of [`Provider`]s. Nothing is fetched then.
//! 2. [`dispatch`] runs the attempts of one request: [`failover::next`] decides (pure), a provider sends, the wire crate's relay reads.
//! 3. An answer that streams comes back as a [`LiveStream`] once its first content is there: up to then a failover is invisible.
//!
//! Failure policy: whatever an upstream does becomes a `Fault` with a class ([`failover::FaultClass`]); a class that the group retries moves to the
//! next provider, any other goes to the client. Each provider's health remembers failures and cools down. Secrets are
//! fetched when first needed, kept, and fetched again when a provider refuses them.

mod address;
mod amend;
mod attempts;
mod auth;
mod aws;
mod base;
mod bedrock;
mod body;
mod builder;
mod chains;
mod clients;
mod dispatch;
mod endpoints;
mod error;
pub mod failover;
mod forward;
mod health;
mod http;
mod listing;
mod live;
mod provider;
mod sdk;
mod secrets;
mod services;
pub mod signer;
#[cfg(test)]
mod tests;
mod token;
mod within;

pub use attempts::Attempt;
pub use aws::Aws;
pub use base::Base;
pub use chains::{Chain, Chains};
pub use dispatch::{Answer, Job, Outcome, Work, dispatch, dispatch_into};
pub use error::SetupError;
pub use forward::{Forward, Forwarded, ModelPlace, forward, forwardable, model_in_query};
pub use live::{LiveStream, Step};
pub use provider::Provider;
pub use within::within;
