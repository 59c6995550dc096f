//! Rerank: Cohere's shape from clients, `/v2/rerank` and `/v1/rerank`; Cohere's, Bedrock's and Google's to upstreams.
//!
//! | file | holds |
//! |---|---|
//! | `request` | the client's body, of either version |
//! | `upstream` | the bodies: Cohere v2, InvokeModel, Google's ranking API |
//! | `answer` | results, and the client's answer |
//! | `error` | Cohere's errors |
//!
//! A v2 body goes to Cohere, and to servers that copy it, with the model edited and nothing else. All others are written anew: documents become texts,
//! and `return_documents` is the gateway's to do, from the client's own documents.
//!
//! What is billed are search units: one query with up to 100 documents (<https://cohere.com/pricing>, <https://aws.amazon.com/bedrock/pricing/>).
//! Cohere reports them; for the others they are counted here.

mod answer;
mod error;
mod request;
mod upstream;

use crate::codec::Seed;
use crate::error::WireError;
use crate::unary::{Plan, Service, Way};

pub use error::{decode_fault, encode_error};
pub use request::{Request, Version};

use answer::{Reader, Shape};

/// The documents of one search unit.
const DOCUMENTS_PER_UNIT: u64 = 100;
/// A document with more tokens than this counts as several: <https://docs.cohere.com/docs/how-does-cohere-pricing-work>.
const TOKENS_PER_DOCUMENT: u64 = 500;

impl Request {
    /// Makes the call of one attempt.
    pub(crate) fn start(&self, service: &Service<'_>, seed: &Seed) -> Result<Plan, WireError> {
        let model = service.target.model;
        let mut dropped = Vec::new();
        let (body, shape) = match service.way {
            Way::CohereRerank if self.is_plain_v2() => (self.with_model(model), Shape::Verbatim),
            Way::CohereRerank => (upstream::cohere(self, model, &mut dropped)?, Shape::Cohere),
            Way::BedrockRerank => (upstream::bedrock(self, model, &mut dropped)?, Shape::Cohere),
            Way::VertexRank => (upstream::vertex(self, model, &mut dropped)?, Shape::Vertex),
            _ => return Err(WireError::unsupported("model", format!("the provider of {model} has no rerank"))),
        };
        let reader = Reader::new(shape, self, seed);
        Ok(Plan { calls: vec![body], betas: Vec::new(), dropped, reader: Box::new(reader) })
    }
}
