//! The answer: a number, in the client's shape.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{Request, estimate};
use crate::codec::{Carrier, Dialect, Target};
use crate::error::WireError;
use crate::exchange::Inbound;
use crate::ir::Usage;
use crate::unary::{Finished, PartsReader, state};

/// Reads a count.
#[derive(Debug)]
pub(super) struct Reader {
    client: Dialect,
    model: String,
    /// The upstream's answer is the client's.
    verbatim: bool,
    /// What to say if the upstream does not count this model.
    estimate: Option<u64>,
    answer: Option<Bytes>,
}

/// Anthropic's, Bedrock's and Gemini's.
#[derive(Deserialize)]
struct Count {
    #[serde(alias = "inputTokens", alias = "totalTokens")]
    input_tokens: u64,
}

impl Reader {
    pub(super) fn of(request: &Request, target: &Target<'_>) -> Self {
        // A request that is not understood here may be one that the upstream counts.
        let estimate = match target.carrier {
            Carrier::Bedrock => request.answerable().and_then(Inbound::request).ok().map(estimate::of_request),
            _ => None,
        };
        let verbatim = request.client() == target.dialect && target.carrier == Carrier::Direct;
        Self { client: request.client(), model: request.model().to_owned(), verbatim, estimate, answer: None }
    }

    pub(super) fn estimated(request: &Request) -> Result<Self, WireError> {
        let estimate = Some(estimate::of_request(request.answerable()?.request()?));
        let model = request.model().to_owned();
        Ok(Self { client: request.client(), model, verbatim: false, estimate, answer: None })
    }

    fn written(&self, tokens: u64) -> Bytes {
        let body = match self.client {
            Dialect::GenerateContent => json!({"totalTokens": tokens}),
            _ => json!({"input_tokens": tokens}),
        };
        body.to_string().into()
    }
}

impl PartsReader for Reader {
    fn part(&mut self, _index: usize, _headers: &HeaderMap, body: Bytes) -> Result<Usage, WireError> {
        let count: Count = serde_json::from_slice(&body).map_err(|error| WireError::BadAnswer(error.to_string()))?;
        self.answer = Some(if self.verbatim { body } else { self.written(count.input_tokens) });
        Ok(Usage::default())
    }

    /// Bedrock counts for some models only, and says so with a 400: `The provided model doesn't support counting tokens.`
    fn spares(&mut self, status: StatusCode, body: &[u8]) -> bool {
        let says = |text: &str| String::from_utf8_lossy(body).to_ascii_lowercase().contains(text);
        status == StatusCode::BAD_REQUEST && self.estimate.is_some() && says("support") && says("count")
    }

    fn finish(self: Box<Self>) -> Result<Finished, WireError> {
        let (body, estimate) = match (&self.answer, self.estimate) {
            (Some(answer), _) => (answer.clone(), false),
            (None, Some(tokens)) => (self.written(tokens), true),
            (None, None) => return Err(WireError::BadAnswer("it has no count".to_owned())),
        };
        Ok(Finished { body, state: state(Usage::default(), Some(self.model)), estimate })
    }
}
