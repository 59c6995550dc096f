//! Operations that are no conversation: one body in, one body out, nothing streamed. Embeddings, rerank, token counts.
//!
//! 1. A request is decoded once, by the rules of its client's shape (`embed`, `rerank`, `count`).
//! 2. For each attempt [`Unary::start`] makes a [`Plan`]: the upstream calls (several where an upstream takes fewer texts at once than the
//!    client sent), and the reader of their answers.
//! 3. The reader takes the answers in any order, and writes one for the client when all are there. A part that is missing is no answer: the
//!    attempt has failed, and what its other parts reported to have used is still known.
//!
//! Where client and upstream share the shape, bytes go through in both directions with the model edited, as with conversations.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::codec::{Seed, Target};
use crate::error::WireError;
use crate::exchange::State;
use crate::ir::{Dropped, Usage};
use crate::{count, embed, rerank};

/// What a request wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// An answer to a conversation.
    Generate,
    /// Vectors of texts.
    Embed,
    /// Documents in the order of their relevance.
    Rerank,
    /// The tokens of a conversation.
    CountTokens,
}

/// How an upstream is asked for something that is no conversation: each is an endpoint with a shape of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// OpenAI's embeddings: <https://platform.openai.com/docs/api-reference/embeddings>.
    OpenAiEmbeddings,
    /// Gemini's `batchEmbedContents`: <https://ai.google.dev/api/embeddings>.
    GeminiEmbeddings,
    /// Vertex's `predict`: <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>.
    VertexPredict,
    /// Vertex's `embedContent`, for the Gemini embedding models after the first.
    VertexEmbedContent,
    /// Bedrock's InvokeModel with the body of an embedding model.
    BedrockEmbeddings,
    /// Cohere's rerank: <https://docs.cohere.com/reference/rerank>.
    CohereRerank,
    /// Bedrock's InvokeModel with the body of a rerank model.
    BedrockRerank,
    /// Google's ranking API: <https://cloud.google.com/generative-ai-app-builder/docs/ranking>.
    VertexRank,
    /// The count endpoint of the target's dialect and carrier.
    Count,
    /// Vertex's `countTokens`, for Gemini: <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens>.
    VertexCount,
    /// There is none: the gateway estimates.
    Estimate,
}

impl Way {
    /// What is wanted.
    pub fn operation(self) -> Operation {
        match self {
            Self::OpenAiEmbeddings
            | Self::GeminiEmbeddings
            | Self::VertexPredict
            | Self::VertexEmbedContent
            | Self::BedrockEmbeddings => Operation::Embed,
            Self::CohereRerank | Self::BedrockRerank | Self::VertexRank => Operation::Rerank,
            Self::Count | Self::VertexCount | Self::Estimate => Operation::CountTokens,
        }
    }

    /// Is it the one for this model, where a provider has several ways to do the same?
    pub fn suits(self, model: &str) -> bool {
        match self {
            Self::VertexPredict => !embed::by_embed_content(model),
            Self::VertexEmbedContent => embed::by_embed_content(model),
            _ => true,
        }
    }
}

/// What an attempt is sent to, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service<'a> {
    /// Whom. Its dialect is that of its errors.
    pub target: Target<'a>,
    /// How.
    pub way: Way,
}

/// A client's request.
#[derive(Debug)]
pub enum Unary {
    /// Embeddings.
    Embed(embed::Request),
    /// Rerank.
    Rerank(rerank::Request),
    /// A token count.
    Count(Box<count::Request>),
}

/// An attempt, ready to be sent.
#[derive(Debug)]
pub struct Plan {
    /// The bodies of its upstream calls. None: no upstream is asked.
    pub calls: Vec<Bytes>,
    /// Flags for the `anthropic-beta` header, for an upstream that takes them there.
    pub betas: Vec<String>,
    /// What the upstream will not see as the client said it.
    pub dropped: Vec<Dropped>,
    /// Reads the answers for the client.
    pub reader: Box<dyn PartsReader>,
}

/// An answer for the client.
#[derive(Debug, PartialEq)]
pub struct Finished {
    /// The body, in the client's shape.
    pub body: Bytes,
    /// Usage and model.
    pub state: State,
    /// It is the gateway's estimate, not an upstream's word.
    pub estimate: bool,
}

/// Reads the answers of one attempt.
pub trait PartsReader: Send + std::fmt::Debug {
    /// The 2xx answer to the call at `index`. Each comes once, in any order. Says what that call has used.
    fn part(&mut self, index: usize, headers: &HeaderMap, body: Bytes) -> Result<Usage, WireError>;
    /// A call was refused. True: the reader can do without its answer.
    fn spares(&mut self, status: StatusCode, body: &[u8]) -> bool {
        let _ = (status, body);
        false
    }
    /// All are there.
    fn finish(self: Box<Self>) -> Result<Finished, WireError>;
}

impl Unary {
    /// The client's model.
    pub fn model(&self) -> &str {
        match self {
            Self::Embed(request) => request.model(),
            Self::Rerank(request) => request.model(),
            Self::Count(request) => request.model(),
        }
    }

    /// The body as the client sent it.
    pub fn body(&self) -> &Bytes {
        match self {
            Self::Embed(request) => request.body(),
            Self::Rerank(request) => request.body(),
            Self::Count(request) => request.body(),
        }
    }

    /// What it wants done.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Embed(_) => Operation::Embed,
            Self::Rerank(_) => Operation::Rerank,
            Self::Count(_) => Operation::CountTokens,
        }
    }

    /// Makes the calls of one attempt. `strict`: an error instead of a loss.
    pub fn start(&self, service: &Service<'_>, seed: &Seed, strict: bool) -> Result<Plan, WireError> {
        let plan = match self {
            Self::Embed(request) => request.start(service)?,
            Self::Rerank(request) => request.start(service, seed)?,
            Self::Count(request) => request.start(service, seed)?,
        };
        if strict && !plan.dropped.is_empty() {
            return Err(WireError::lossy(&plan.dropped));
        }
        Ok(plan)
    }
}

/// What several calls have used together. A figure that one of them did not report is not known for all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    tokens: u64,
    parts: usize,
    reported: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, input: Option<u64>) -> Usage {
        self.parts += 1;
        if let Some(tokens) = input {
            self.reported += 1;
            self.tokens = self.tokens.saturating_add(tokens);
        }
        usage(input)
    }

    /// The input tokens of all parts, if every part reported its own.
    pub(crate) fn input(&self) -> Option<u64> {
        (self.parts > 0 && self.reported == self.parts).then_some(self.tokens)
    }
}

/// The usage of a call without output.
pub(crate) fn usage(input: Option<u64>) -> Usage {
    Usage { input, output: Some(0), ..Usage::default() }
}

/// What is known once a whole answer is written.
pub(crate) fn state(usage: Usage, model: Option<String>) -> State {
    State { usage, model, content: true, done: true, ..State::default() }
}
