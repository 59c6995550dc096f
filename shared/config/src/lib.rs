//! The configuration file: parse, validate, explain.
//!
//! [`parse`] and [`load`] give a [`Config`] or every problem of the file at once, each with its key path, line, column and a
//! remedy. The words are agentgateway's where it has one: its `ai` block can be pasted in. What agentgateway knows and this
//! version does not serve is an error, never ignored.
//!
//! Secrets are references ([`SecretRef`]); this crate neither resolves them nor reads anything but the file. A `Config` also
//! answers what every request asks: [`Config::alias`], [`Config::chain`], [`Config::route_type`].

mod address;
mod auth;
mod cors;
mod de;
mod defaults;
mod explain;
mod fold;
mod guard;
mod limits;
mod load;
mod money;
pub mod pattern;
mod presets;
mod problem;
mod prompts;
mod providers;
mod resolve;
mod responses;
mod secret;
mod telemetry;
mod template;
mod tree;
mod types;
mod validate;
mod webhooks;
mod words;

pub use auth::*;
pub use cors::Cors;
pub use guard::*;
pub use limits::*;
pub use load::{load, parse};
pub use money::{Times, Usd, UsdPerMillion};
pub use presets::{Preset, PresetFacts};
pub use problem::{ConfigError, Problem};
pub use prompts::*;
pub use providers::*;
pub use resolve::{ModelName, below_azure};
pub use responses::Responses;
pub use telemetry::*;
pub use template::{Piece, Place, Template};
pub use types::*;
pub use webhooks::*;
