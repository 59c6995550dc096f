//! Faults, in no dialect.

use std::time::Duration;

use bytes::Bytes;

/// What kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The request is wrong (400, 422).
    InvalidRequest,
    /// The prompt does not fit the model's context window (400).
    ContextLength,
    /// Refused by a content policy (400).
    ContentFilter,
    /// Whoever called is not known (401).
    Authentication,
    /// Known, and not allowed (403).
    Permission,
    /// No such model, or no such path (404).
    NotFound,
    /// Wrong method (405).
    MethodNotAllowed,
    /// A conflict that a retry may solve (409).
    Conflict,
    /// Body too large (413).
    TooLarge,
    /// Content type or encoding that is not served (415).
    UnsupportedMedia,
    /// Too many requests or tokens (429).
    RateLimited,
    /// A paid quota is used up (429, 402): retrying does not help.
    QuotaExhausted,
    /// The provider failed (500, 502).
    Api,
    /// The provider is out of capacity (503, 529).
    Overloaded,
    /// No answer in time (408, 504).
    Timeout,
    /// Not in this build (501).
    NotImplemented,
}

impl FaultKind {
    /// Each of them once.
    pub const ALL: [Self; 16] = [
        Self::InvalidRequest,
        Self::ContextLength,
        Self::ContentFilter,
        Self::Authentication,
        Self::Permission,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::TooLarge,
        Self::UnsupportedMedia,
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::Api,
        Self::Overloaded,
        Self::Timeout,
        Self::NotImplemented,
    ];

    /// As it stands in the access log.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::ContextLength => "context_length",
            Self::ContentFilter => "content_filter",
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::UnsupportedMedia => "unsupported_media",
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Api => "upstream_error",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::NotImplemented => "not_implemented",
        }
    }
}

/// A fault, in no dialect: the provider's, or the gateway's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// The upstream's HTTP status; `None` inside a stream, or when the gateway found the fault.
    pub status: Option<u16>,
    /// For the client. Contains no secret of ours.
    pub message: String,
    /// The field that is wrong.
    pub param: Option<String>,
    /// A machine-readable code: `model_not_found`, `context_length_exceeded`.
    pub code: Option<String>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// Whether to try again at all, where the upstream says it (`x-should-retry`).
    pub should_retry: Option<bool>,
    /// The upstream's own body, where it has the form of the upstream's dialect: a client that speaks it reads nothing less in it than in what the gateway
    /// would write.
    pub body: Option<Bytes>,
}

impl Fault {
    /// A fault of this kind.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: None,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
            should_retry: None,
            body: None,
        }
    }

    /// With the field that is wrong.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// With a machine-readable code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }
}
