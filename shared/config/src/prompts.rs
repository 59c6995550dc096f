//! What is put into requests: cache marks, and messages around the client's own. Words are agentgateway's.

use serde::Deserialize;

/// Cache marks for requests that have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct PromptCaching {
    /// Mark the system prompt. Default `true`.
    pub cache_system: bool,
    /// Mark the messages, up to the last but one. Default `true`.
    pub cache_messages: bool,
    /// Mark the tools. Default `false`.
    pub cache_tools: bool,
    /// A prefix of fewer tokens gets no mark. Default 1,024.
    pub min_tokens: u64,
    /// How many messages further from the end the mark of the messages stands. Default 0.
    pub cache_message_offset: usize,
}

impl Default for PromptCaching {
    fn default() -> Self {
        Self {
            cache_system: true,
            cache_messages: true,
            cache_tools: false,
            min_tokens: 1_024,
            cache_message_offset: 0,
        }
    }
}

/// Messages around the client's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Prompts {
    /// Before them.
    pub prepend: Vec<PromptMessage>,
    /// After them.
    pub append: Vec<PromptMessage>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PromptMessage {
    /// Who speaks.
    pub role: PromptRole,
    /// What.
    pub content: String,
}

/// Who speaks in a message that is put into requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum PromptRole {
    /// Instructions, wherever the dialect has them.
    #[serde(alias = "developer")]
    System,
    /// The end user.
    User,
    /// The model.
    Assistant,
}
