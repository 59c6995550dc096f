//! The answer: a number, in the client's shape.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{Request, estimate};
use crate::codec::{Carrier, Dialect};
use crate::error::WireError;
use crate::exchange::Inbound;
use crate::ir::Usage;
use crate::json;
use crate::unary::{Finished, PartsReader, Service, Way, state};

/// Reads a count.
#[derive(Debug)]
pub(super) struct Reader {
    client: Dialect,
    model: String,
    /// The upstream's answer is the client's.
    verbatim: bool,
    /// The upstream writes no zeros, as is the rule of protocol buffers: <https://protobuf.dev/programming-guides/json/>.
    omits_zero: bool,
    /// There are places where the upstream has no such endpoint.
    in_some_regions: bool,
    /// What to say if the upstream does not count this model.
    estimate: Option<u64>,
    answer: Option<Bytes>,
}

/// Anthropic's, Bedrock's and Gemini's.
#[derive(Deserialize)]
struct Count {
    #[serde(alias = "inputTokens", alias = "totalTokens")]
    input_tokens: Option<u64>,
}

impl Reader {
    pub(super) fn of(request: &Request, service: &Service<'_>) -> Self {
        let target = &service.target;
        // A request that is not understood here may be one that the upstream counts.
        let estimate = match (target.carrier, service.way) {
            (Carrier::Direct, Way::Count) => None,
            _ => request.answerable().and_then(Inbound::request).ok().map(estimate::of_request),
        };
        Self {
            client: request.client(),
            model: request.model().to_owned(),
            verbatim: request.client() == target.dialect && target.carrier != Carrier::Bedrock,
            omits_zero: target.dialect == Dialect::GenerateContent,
            in_some_regions: target.carrier == Carrier::Vertex,
            estimate,
            answer: None,
        }
    }

    pub(super) fn estimated(request: &Request) -> Result<Self, WireError> {
        let estimate = Some(estimate::of_request(request.answerable()?.request()?));
        let model = request.model().to_owned();
        let client = request.client();
        Ok(Self { client, model, verbatim: false, omits_zero: false, in_some_regions: false, estimate, answer: None })
    }

    fn written(&self, tokens: u64) -> Bytes {
        let body = match self.client {
            Dialect::GenerateContent => json!({"totalTokens": tokens}),
            Dialect::Responses => json!({"object": "response.input_tokens", "input_tokens": tokens}),
            _ => json!({"input_tokens": tokens}),
        };
        body.to_string().into()
    }
}

impl PartsReader for Reader {
    fn part(&mut self, _index: usize, _headers: &HeaderMap, body: Bytes) -> Result<Usage, WireError> {
        let count: Count = json::read(&body).map_err(|error| WireError::BadAnswer(error.to_string()))?;
        let tokens = count.input_tokens.or(self.omits_zero.then_some(0));
        let tokens = tokens.ok_or_else(|| WireError::BadAnswer("it has no count".to_owned()))?;
        self.answer = Some(if self.verbatim { body } else { self.written(tokens) });
        Ok(Usage::default())
    }

    /// Bedrock and Vertex count for some models only, and say so with a 400: `The provided model doesn't support counting tokens.`,
    /// `claude-... is not supported for token counting`, `countTokens is infeasible for ...`. Vertex counts Claude's tokens in some regions
    /// only: elsewhere its endpoint, whose address names no model, is a 404.
    fn spares(&mut self, status: StatusCode, body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body).to_ascii_lowercase();
        let is_about_it = text.contains("counting") || text.contains("counttokens");
        let says_no = is_about_it && (text.contains("support") || text.contains("infeasible"));
        self.estimate.is_some()
            && match status {
                StatusCode::BAD_REQUEST => says_no,
                StatusCode::NOT_FOUND => self.in_some_regions,
                _ => false,
            }
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
