//! What an answer has to know of its request, beyond what the IR says.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Made by the decoder of a client's dialect, read by the writers of the same dialect. Encoders for upstreams never look at it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Echo {
    /// Settings that the answer repeats (Responses does).
    pub fields: Map<String, Value>,
    /// Tools that are functions for the upstream and something else for the client, by the function's name.
    pub tools: BTreeMap<String, ToolForm>,
    /// The client wants the model's reasoning as summaries.
    pub summaries: bool,
    /// The gateway keeps the answer, under this id (Responses).
    pub kept: Option<String>,
}

/// What a function is for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolForm {
    /// A tool whose input is a text (`custom`).
    Custom,
    /// The client's own shell, one command at a time (`local_shell`).
    LocalShell,
    /// The client's own shell, several commands at a time (`shell`).
    Shell,
    /// The client's own files (`apply_patch`).
    ApplyPatch,
    /// A function of a namespace.
    Member {
        /// The namespace.
        namespace: String,
        /// Its name in it.
        name: String,
    },
}
