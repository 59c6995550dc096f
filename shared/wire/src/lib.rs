//! Dialects and their translation: pure, no I/O, no clock, no AWS account.
//!
//! 1. [`Inbound::decode`](exchange::Inbound::decode) looks at a client's body without building a tree: model, stream, output cap.
//! 2. For each attempt [`Inbound::start`](exchange::Inbound::start) makes the upstream's body. Equal dialects: the client's bytes with targeted
//!    edits ([`identity`]). Different ones: decode to the [`ir`], encode to the upstream's dialect ([`codec`]).
//! 3. The [`Relay`](exchange::Relay) of that attempt turns the upstream's bytes into the client's, and keeps the usage that it saw on the way.
//!
//! A dialect is a folder with five files: `types.rs` (wire shapes), `request.rs`, `response.rs`, `stream.rs`, `error.rs`; each holds both
//! directions, decode (bytes to IR) and encode (IR to bytes). To add one: write the folder, add an arm to each `match` of [`codec`], add
//! its rows to the tables of [`ir::Usage`] and [`ir::StopReason`], and fixtures for the golden tests.
//!
//! Failure policy: a body that is not what it should be is a [`WireError`](error::WireError) that names the path; what a
//! dialect cannot carry is an [`ir::Dropped`]; nothing is left out silently and nothing panics.

pub mod amend;
pub mod caching;
pub mod chat;
pub mod codec;
pub mod converse;
pub mod count;
pub mod embed;
pub mod envelope;
pub mod error;
pub mod exchange;
pub mod extras;
pub mod fault;
mod frames;
pub mod gemini;
pub mod identity;
pub mod invoke;
pub mod ir;
pub mod json;
mod labels;
pub mod messages;
pub mod names;
pub mod opaque;
mod openai;
mod reading;
pub mod realtime;
pub mod rerank;
pub mod responses;
mod scalar;
pub mod sse;
pub mod unary;
