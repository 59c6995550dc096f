//! Token counts: what a conversation would use as a prompt, without an answer to it.
//!
//! Anthropic's shape (`/v1/messages/count_tokens`), Gemini's (`:countTokens`) and OpenAI's (`/v1/responses/input_tokens`) from clients. The conversation is translated as if it were to be answered,
//! and what comes of that is what the upstream counts:
//!
//! | upstream | its endpoint | the body |
//! |---|---|---|
//! | Anthropic | `/v1/messages/count_tokens` | a Messages body |
//! | OpenAI, a model that is asked by Responses | `/v1/responses/input_tokens` | a Responses body |
//! | Claude on Vertex | `count-tokens:rawPredict` | the same, with Vertex's name of the model |
//! | Claude on Bedrock | CountTokens | `input.invokeModel.body`: the InvokeModel body in base64 |
//! | other models of Bedrock | CountTokens | `input.converse`: messages, system, tools |
//! | Gemini | `:countTokens` | `generateContentRequest`; bare `contents` as they are |
//! | Gemini on Vertex | `:countTokens` | contents, instructions, tools, settings |
//! | others, and where Bedrock or Vertex do not count a model | - | an estimate |
//!
//! The `estimate` is a documented rule of thumb; an answer that is one says so (`Finished::estimate`).

mod answer;
mod estimate;
mod request;
mod upstream;

use crate::codec::Seed;
use crate::error::WireError;
use crate::unary::{Plan, Service, Way};

use answer::Reader;
pub use estimate::text_tokens;
pub use request::Request;

impl Request {
    /// Makes the call of one attempt; for an estimate there is none.
    pub(crate) fn start(&self, service: &Service<'_>, seed: &Seed) -> Result<Plan, WireError> {
        let target = &service.target;
        if service.way == Way::Estimate {
            let reader = Reader::estimated(self)?;
            return Ok(Plan { calls: Vec::new(), betas: Vec::new(), dropped: Vec::new(), reader: Box::new(reader) });
        }
        let own = self.client() == target.dialect;
        let inbound = if own { self.inbound() } else { self.answerable()? };
        let started = inbound.start(target, seed, false)?;
        let body = upstream::body(service, started.body, own)?;
        let reader = Reader::of(self, service);
        Ok(Plan { calls: vec![body], betas: started.betas, dropped: started.dropped, reader: Box::new(reader) })
    }
}
