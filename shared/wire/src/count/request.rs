//! The client's request: a conversation in its dialect.

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;

use crate::codec::Dialect;
use crate::error::WireError;
use crate::exchange::Inbound;
use crate::json;

/// A request for a count.
#[derive(Debug)]
pub struct Request {
    inbound: Inbound,
    client: Dialect,
    /// The same as a request for an answer, which has to say how long that may be.
    answerable: OnceLock<Result<Inbound, WireError>>,
}

impl Request {
    /// Reads a body of this client dialect. `betas`: the flags of the client's `anthropic-beta` headers.
    /// Anthropic's: <https://docs.anthropic.com/en/api/messages-count-tokens>.
    pub fn decode(client: Dialect, body: Bytes, betas: Vec<String>) -> Result<Self, WireError> {
        Ok(Self { inbound: Inbound::decode(client, body, betas)?, client, answerable: OnceLock::new() })
    }

    /// The client's model.
    pub fn model(&self) -> &str {
        &self.inbound.envelope().model
    }

    /// The body as the client sent it.
    pub fn body(&self) -> &Bytes {
        self.inbound.body()
    }

    /// The conversation: what guards see.
    pub fn inbound(&self) -> &Inbound {
        &self.inbound
    }

    /// The same with another conversation.
    #[must_use]
    pub fn with(&self, inbound: Inbound) -> Self {
        Self { inbound, client: self.client, answerable: OnceLock::new() }
    }

    /// The conversation as one that could be answered: what is translated.
    pub(super) fn answerable(&self) -> Result<&Inbound, WireError> {
        if self.client != Dialect::Messages || self.inbound.envelope().max_output_tokens.is_some() {
            return Ok(&self.inbound);
        }
        let answerable = self.answerable.get_or_init(|| self.inbound.with_body(with_max_tokens(self.body())?));
        answerable.as_ref().map_err(Clone::clone)
    }

    /// The client's dialect.
    pub fn client(&self) -> Dialect {
        self.client
    }
}

/// A Messages body with an output cap: the smallest that goes with its thinking budget, which has to be smaller.
pub(super) fn with_max_tokens(body: &Bytes) -> Result<Bytes, WireError> {
    let members = json::members(body)?;
    if members.iter().any(|member| member.key == "max_tokens" && member.value != "null") {
        return Ok(body.clone());
    }
    let thinking = members.iter().find(|member| member.key == "thinking");
    let thinking: Option<Value> = thinking.and_then(|member| serde_json::from_str(member.value).ok());
    let budget = thinking.and_then(|thinking| thinking.get("budget_tokens")?.as_u64());
    let cap = budget.map_or(1, |budget| budget.saturating_add(1));
    match members.iter().find(|member| member.key == "max_tokens") {
        Some(null) => Ok(json::replace(body, &null.value_span, &cap.to_string())),
        None => {
            let inside = memchr::memchr(b'{', body).map_or(0, |at| at + 1);
            // An object that names a model has members already.
            Ok(json::replace(body, &(inside..inside), &format!(r#""max_tokens":{cap},"#)))
        }
    }
}
