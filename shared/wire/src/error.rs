//! What can go wrong in a translation.

use crate::ir::{Dropped, Fault, FaultKind};

/// A translation failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WireError {
    /// The body is not JSON.
    #[error("the request body is not valid JSON: {message}")]
    NotJson {
        /// What, and where: `unexpected '}' at line 1 column 8`.
        message: String,
    },
    /// A field has the wrong type or value.
    #[error("{path}: {message}")]
    Invalid {
        /// Path in the client's body: `messages[0].content`.
        path: String,
        /// What is wrong and what is expected.
        message: String,
    },
    /// This upstream cannot do what the request needs, and leaving it out would change the meaning. Another upstream may.
    #[error("{path}: {message}")]
    Unsupported {
        /// Path in the client's body.
        path: String,
        /// What, why and what to do instead.
        message: String,
    },
    /// The upstream's answer is not in its dialect.
    #[error("the upstream's answer could not be read: {0}")]
    BadAnswer(String),
    /// The upstream's answer is an error, under a status that promised something else.
    #[error("{}", .0.message)]
    Fault(Box<Fault>),
    /// The upstream's stream ended before its final event.
    #[error("the upstream's stream ended before it was complete")]
    Incomplete,
}

impl WireError {
    /// A field is wrong.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { path: path.into(), message: message.into() }
    }

    /// This upstream cannot do it.
    pub fn unsupported(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unsupported { path: path.into(), message: message.into() }
    }

    /// `strict` is on, and these would be lost.
    pub fn lossy(dropped: &[Dropped]) -> Self {
        let list: Vec<String> = dropped.iter().map(|d| format!("{} ({})", d.path, d.reason)).collect();
        let path = dropped.first().map(|d| d.path.clone()).unwrap_or_default();
        Self::Unsupported { path, message: format!("strict mode refuses a lossy translation: {}", list.join("; ")) }
    }

    /// As a fault for the client.
    pub fn into_fault(self) -> Fault {
        let message = self.to_string();
        match self {
            Self::NotJson { .. } => Fault::new(FaultKind::InvalidRequest, message).with_code("invalid_json"),
            Self::Invalid { path, .. } => Fault::new(FaultKind::InvalidRequest, message).with_param(path),
            Self::Unsupported { path, .. } => {
                Fault::new(FaultKind::InvalidRequest, message).with_param(path).with_code("unsupported_by_upstream")
            }
            Self::Fault(fault) => {
                let mut fault = *fault;
                if fault.kind == FaultKind::Api {
                    fault.code.get_or_insert_with(|| "bad_upstream_answer".to_owned());
                }
                fault
            }
            Self::BadAnswer(_) | Self::Incomplete => {
                Fault::new(FaultKind::Api, message).with_code("bad_upstream_answer")
            }
        }
    }
}
