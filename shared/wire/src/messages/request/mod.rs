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

use super::bedrock::intervened;
use crate::ir::{Stop, StopReason};
use crate::names::ToolNames;

/// The tool that stands for structured output on models that have none. Its call is read back as text.
const JSON_TOOL: &str = "json_response";

/// What the reader of the answer must know of the request.
#[derive(Debug)]
pub(super) struct ReadBack {
    names: ToolNames,
    json_tool: bool,
    on_bedrock: bool,
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

    /// Does this answer, or event of one, say that a guardrail of Bedrock's intervened?
    pub(super) fn intervened(&self, json: &[u8]) -> bool {
        self.on_bedrock && intervened(json)
    }

    /// The stop that the client sees: it knows of no call where we made one of its structured output, and a guardrail that intervened is the reason. Calls that it
    /// let through, perhaps with a word masked, are to be made.
    pub(super) fn stop(&self, stop: Stop, intervened: bool) -> Stop {
        match stop.reason {
            StopReason::ToolUse if !self.json_tool => stop,
            _ if intervened => Stop { reason: StopReason::ContentFilter, sequence: None },
            StopReason::ToolUse => Stop { reason: StopReason::EndTurn, ..stop },
            _ => stop,
        }
    }
}
