//! What can go wrong on the way to an upstream.

use std::time::Duration;

use tollgate_wire::ir::{Fault, FaultKind};

use crate::failover::FaultClass;

/// A provider could not be set up from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Its address is no URL.
    #[error("provider {provider}: its address {url:?} is not a URL: {cause}")]
    Url {
        /// The entry's name.
        provider: String,
        /// As it was put together.
        url: String,
        /// Why.
        cause: String,
    },
    /// A custom provider needs an address.
    #[error("provider {0}: a custom provider needs `baseUrl` (or `hostOverride`)")]
    NoAddress(String),
    /// Its root certificates cannot be read.
    #[error("provider {provider}: policies.backendTLS.root {path}: {cause}")]
    Roots {
        /// The entry's name.
        provider: String,
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built: {0}")]
    Client(String),
}

/// Why an attempt brought no answer of the provider.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum TransportError {
    /// Not reached.
    #[error("could not connect to the provider")]
    Connect(String),
    /// TCP and TLS took too long.
    #[error("connecting to the provider took longer than {} ms", .0.as_millis())]
    ConnectTimeout(Duration),
    /// The head of the answer, or its first content, took too long.
    #[error("the provider did not begin to answer within {} ms", .0.as_millis())]
    FirstByteTimeout(Duration),
    /// Silence in the middle.
    #[error("the provider's answer paused for longer than {} ms", .0.as_millis())]
    IdleTimeout(Duration),
    /// The whole request's time is up.
    #[error("the request's time is up")]
    Deadline,
    /// The connection broke.
    #[error("the connection to the provider broke")]
    Broken(String),
    /// The same, at once and before anything came, at a provider that has answered before: the connection was probably dead already (a Lambda
    /// environment was frozen, a load balancer timed it out).
    #[error("the connection to the provider broke")]
    Stale(String),
    /// More than we hold.
    #[error("the provider's answer is larger than {0} bytes")]
    TooLarge(usize),
    /// An encoding that was not asked for.
    #[error("the provider answered with content-encoding {0}, which was not asked for")]
    Encoding(String),
    /// The gateway has no usable key for it.
    #[error("the gateway's credentials for this provider are not available")]
    Credentials(String),
}

impl TransportError {
    /// The class that failover acts on.
    pub(crate) fn class(&self) -> FaultClass {
        match self {
            Self::Connect(_) => FaultClass::Connect,
            Self::ConnectTimeout(_) | Self::FirstByteTimeout(_) | Self::IdleTimeout(_) => FaultClass::Timeout,
            Self::Broken(_) | Self::Stale(_) | Self::TooLarge(_) | Self::Encoding(_) => FaultClass::Stream,
            Self::Credentials(_) => FaultClass::Auth,
            Self::Deadline => FaultClass::Final,
        }
    }

    /// Did the provider have the request, so that it may bill it?
    pub(crate) fn has_worked(&self) -> bool {
        match self {
            Self::Connect(_) | Self::ConnectTimeout(_) | Self::Stale(_) | Self::Credentials(_) => false,
            Self::FirstByteTimeout(_)
            | Self::IdleTimeout(_)
            | Self::Deadline
            | Self::Broken(_)
            | Self::TooLarge(_)
            | Self::Encoding(_) => true,
        }
    }

    /// For the client.
    pub(crate) fn fault(&self) -> Fault {
        let (kind, code) = match self {
            Self::Connect(_) => (FaultKind::Overloaded, "upstream_unreachable"),
            Self::ConnectTimeout(_) => (FaultKind::Timeout, "upstream_connect_timeout"),
            Self::FirstByteTimeout(_) => (FaultKind::Timeout, "upstream_first_byte_timeout"),
            Self::IdleTimeout(_) => (FaultKind::Timeout, "upstream_idle_timeout"),
            Self::Deadline => (FaultKind::Timeout, "request_timeout"),
            Self::Broken(_) | Self::Stale(_) => (FaultKind::Api, "upstream_connection_broken"),
            Self::TooLarge(_) => (FaultKind::Api, "upstream_answer_too_large"),
            Self::Encoding(_) => (FaultKind::Api, "bad_upstream_answer"),
            Self::Credentials(_) => (FaultKind::Api, "upstream_credentials"),
        };
        Fault::new(kind, self.to_string()).with_code(code)
    }

    /// For the log.
    pub(crate) fn cause(&self) -> &str {
        match self {
            Self::Connect(cause)
            | Self::Broken(cause)
            | Self::Stale(cause)
            | Self::Credentials(cause)
            | Self::Encoding(cause) => cause,
            _ => "",
        }
    }
}
