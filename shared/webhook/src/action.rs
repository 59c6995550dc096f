//! What a hook answers.

use serde_json::{Map, Value, json};

use crate::{Choice, Message};

/// What a hook wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Go on.
    Pass {
        /// Why, for a log.
        reason: Option<String>,
    },
    /// Go on with these messages instead. An answer to `/request`.
    MaskRequest {
        /// All of them, masked or not.
        messages: Vec<Message>,
        /// Why, for a log.
        reason: Option<String>,
    },
    /// Give these answers instead. An answer to `/response`.
    MaskResponse {
        /// All of them, masked or not.
        choices: Vec<Choice>,
        /// Why, for a log.
        reason: Option<String>,
    },
    /// Stop, and tell the client this.
    Reject(Reject),
}

/// A refusal. It cannot be made without a body, or with a status that is no error: agentgateway would take that for a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    body: String,
    status_code: u16,
    reason: Option<String>,
}

/// Where no fitting status was given.
const FALLBACK_STATUS: u16 = 503;
/// Where no text was given.
const FALLBACK_BODY: &str = "rejected";

impl Action {
    /// Go on. `reason`: for a log.
    pub fn pass(reason: impl Into<String>) -> Self {
        Self::Pass { reason: Some(reason.into()) }
    }

    /// Stop. The client gets `body` with this status; JSON in the dialect of the client, where the hook knows it, as a text. Never a pass: an
    /// empty body becomes `rejected`, a status outside 400 to 599 becomes 503.
    pub fn reject(body: impl Into<String>, status_code: u16, reason: impl Into<String>) -> Self {
        Self::Reject(Reject::new(body, status_code, Some(reason.into())))
    }

    /// Go on with these messages.
    pub fn mask_request(messages: Vec<Message>, reason: impl Into<String>) -> Self {
        Self::MaskRequest { messages, reason: Some(reason.into()) }
    }

    /// Give these answers.
    pub fn mask_response(choices: Vec<Choice>, reason: impl Into<String>) -> Self {
        Self::MaskResponse { choices, reason: Some(reason.into()) }
    }

    /// The answer's body, as agentgateway reads it. It goes with HTTP 200 and `application/json`, whatever the action is.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut action = Map::new();
        let reason = match self {
            Self::Pass { reason } => reason,
            Self::MaskRequest { messages, reason } => {
                action.insert("body".to_owned(), json!({"messages": messages}));
                reason
            }
            Self::MaskResponse { choices, reason } => {
                action.insert("body".to_owned(), json!({"choices": choices}));
                reason
            }
            Self::Reject(reject) => {
                action.insert("body".to_owned(), Value::from(reject.body.as_str()));
                action.insert("status_code".to_owned(), Value::from(reject.status_code));
                &reject.reason
            }
        };
        if let Some(reason) = reason {
            action.insert("reason".to_owned(), Value::from(reason.as_str()));
        }
        json!({"action": action}).to_string()
    }
}

impl Reject {
    /// A refusal; repaired where it would not be one.
    pub fn new(body: impl Into<String>, status_code: u16, reason: Option<String>) -> Self {
        let mut body = body.into();
        if body.is_empty() {
            FALLBACK_BODY.clone_into(&mut body);
        }
        let status_code = if (400..=599).contains(&status_code) { status_code } else { FALLBACK_STATUS };
        Self { body, status_code, reason }
    }

    /// What the client is told, verbatim. Never empty.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// 400 to 599.
    #[must_use]
    pub fn status_code(&self) -> u16 {
        self.status_code
    }

    /// Why, for a log.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}
