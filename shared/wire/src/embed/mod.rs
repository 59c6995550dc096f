//! Embeddings: OpenAI's shape from clients, any provider's to upstreams.
//!
//! | file | holds |
//! |---|---|
//! | `request` | the client's body |
//! | `openai` | the same shape upstream: bytes through, the model edited |
//! | `bedrock` | InvokeModel's bodies: Titan, Cohere, Nova |
//! | `google` | Gemini's `batchEmbedContents`, Vertex's `predict` and `embedContent` |
//! | `answer` | vectors, and the client's answer |
//!
//! Two fields that OpenAI does not have are understood besides its own, in Cohere's words: `input_type` (what the vectors are for) and `truncate`
//! (what happens to a text that is too long). Without `truncate` such a text is an error wherever the upstream can be told so, as it is at OpenAI.

mod answer;
mod bedrock;
mod google;
mod openai;
mod request;

use bytes::Bytes;

use crate::error::WireError;
use crate::ir::Dropped;
use crate::unary::{Plan, Service, Way};

use answer::{Reader, Shape};
pub(crate) use google::by_embed_content;
pub use request::Request;

/// The most texts of one request, where they are sent in parts: OpenAI's own bound.
const MAX_INPUTS: usize = 2_048;

impl Request {
    /// Makes the calls of one attempt.
    pub(crate) fn start(&self, service: &Service<'_>) -> Result<Plan, WireError> {
        let model = service.target.model;
        match service.way {
            Way::OpenAiEmbeddings => Ok(openai::plan(self, model)),
            Way::BedrockEmbeddings => self.translated(&bedrock::Upstream::of(model)?),
            Way::GeminiEmbeddings => self.translated(&google::Upstream::gemini(model)),
            Way::VertexPredict => self.translated(&google::Upstream::predict(model)),
            Way::VertexEmbedContent => self.translated(&google::Upstream::embed_content()),
            _ => Err(WireError::unsupported("model", format!("the provider of {model} has no embeddings"))),
        }
    }

    fn translated(&self, upstream: &impl Upstream) -> Result<Plan, WireError> {
        let texts = self.texts()?;
        let mut dropped = self.lost();
        let mut calls = Vec::new();
        let mut sizes = Vec::new();
        let mut rest = texts.as_slice();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(upstream.batch(rest).clamp(1, rest.len()));
            // What a body cannot carry is the same in each of them.
            let first = calls.is_empty();
            let mut lost = Vec::new();
            let body = upstream.body(self, batch, &mut lost)?;
            if first {
                dropped.extend(lost);
            }
            calls.push(body);
            sizes.push(batch.len());
            rest = after;
        }
        let reader = Reader::new(upstream.shape(), self, sizes);
        Ok(Plan { calls, betas: Vec::new(), dropped, reader: Box::new(reader) })
    }
}

/// An upstream that speaks another shape.
trait Upstream {
    /// How many of these texts go into the next call.
    fn batch(&self, texts: &[&str]) -> usize;
    /// The body of one call.
    fn body(&self, request: &Request, texts: &[&str], dropped: &mut Vec<Dropped>) -> Result<Bytes, WireError>;
    /// What its answers look like.
    fn shape(&self) -> Shape;
}

/// A body, written.
fn written(body: &impl serde::Serialize) -> Result<Bytes, WireError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| WireError::invalid("", error.to_string()))
}
