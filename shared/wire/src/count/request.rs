//! The client's request: a conversation in its dialect.

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;

use super::upstream::MESSAGES;
use crate::amend::Amendments;
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

    /// Reads a body of Gemini's, whose model stands in its path: `contents`, or a whole `generateContentRequest`
    /// (<https://ai.google.dev/api/tokens>). In Vertex AI's form the other parts of a request stand beside `contents`
    /// (<https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens>).
    pub fn by_path(body: Bytes, model: String) -> Result<Self, WireError> {
        let members = json::members(&body)?;
        let find = |name: &str| members.iter().find(|member| member.key == name && member.value != "null");
        let inbound = match find("generateContentRequest").or_else(|| find("generate_content_request")) {
            None => Inbound::by_path(body.clone(), model, false)?,
            // Google says "never both"; whichever we took, a guard might have seen the other.
            Some(whole) if find("contents").is_some() => {
                return Err(WireError::invalid(whole.key.as_ref(), "send this or `contents`, not both"));
            }
            Some(whole) if !whole.value.starts_with('{') => {
                let message = format!("expected an object, got {}", json::kind(whole.value));
                return Err(WireError::invalid(whole.key.as_ref(), message));
            }
            Some(whole) => Inbound::by_path(body.slice(whole.value_span.clone()), model, false)
                .map_err(|error| inside(&whole.key, error))?,
        };
        Ok(Self { inbound, client: Dialect::GenerateContent, answerable: OnceLock::new() })
    }

    /// The client's model.
    pub fn model(&self) -> &str {
        &self.inbound.envelope().model
    }

    /// The conversation's body as the client sent it.
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

    /// The same with what the configuration puts into every request. Of the settings among it only those that a count takes: another is refused.
    pub fn amended(&self, amendments: &Amendments) -> Result<Self, WireError> {
        let body = self.inbound.body();
        let amended = amendments.apply(self.client, body)?;
        if self.client != Dialect::Messages {
            return Ok(self.with(self.inbound.with_body(amended)?));
        }
        let said = json::members(body)?;
        let kept = json::kept(&amended, "", &|key| MESSAGES.contains(&key) || said.iter().any(|own| own.key == key))?;
        Ok(self.with(self.inbound.with_body(kept)?))
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

/// An error in a part of the body.
fn inside(part: &str, error: WireError) -> WireError {
    match error {
        WireError::Invalid { path, message } if path != "model" => {
            WireError::Invalid { path: format!("{part}.{path}"), message }
        }
        other => other,
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
