//! Requests: a client's to the IR ([`decode`]), the IR's to an upstream ([`encode`]).
//!
//! To encode:
//! 1. [`plan`]: what this model takes of thinking, sampling, output cap, tool choice and structured output; what it does not is reported.
//! 2. [`turns`]: messages to alternating turns.
//! 3. [`encode`]: system, tools and the body.

mod blocks;
mod decode;
mod encode;
mod object;
mod own;
mod plan;
mod schema;
mod turns;

pub use decode::decode_request;
pub use encode::encode_request;

use crate::ir::{Stop, StopReason};
use crate::names::ToolNames;

/// The tool that stands for structured output on models that have none. Its call is read back as text.
const JSON_TOOL: &str = "json_response";

/// What the reader of the answer must know of the request.
#[derive(Debug)]
pub(super) struct ReadBack {
    names: ToolNames,
    json_tool: bool,
}

impl ReadBack {
    /// The client's name of what the upstream called.
    pub(super) fn tool_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.names.decode(name)
    }

    /// Is this the call that stands for structured output?
    pub(super) fn is_json_tool(&self, name: &str) -> bool {
        self.json_tool && name == JSON_TOOL
    }

    /// The stop that the client sees: it knows of no call where we made one of its structured output.
    pub(super) fn stop(&self, stop: Stop) -> Stop {
        match stop.reason {
            StopReason::ToolUse if self.json_tool => Stop { reason: StopReason::EndTurn, ..stop },
            _ => stop,
        }
    }
}
