//! Google: Gemini's `batchEmbedContents`, Vertex's `predict` and `embedContent`.
//!
//! | endpoint | texts per call | too long a text |
//! |---|---|---|
//! | Gemini `batchEmbedContents` | 100 | is cut by the provider, which cannot be told otherwise |
//! | Vertex `predict` | 250 and some 20,000 tokens; `gemini-embedding-001` 1 | `autoTruncate` |
//! | Vertex `embedContent` | 1 | `autoTruncate` |
//!
//! Sources: <https://ai.google.dev/api/embeddings>,
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>, and the request builders of the google-genai SDK.

use bytes::Bytes;
use serde::Serialize;

use super::answer::Shape;
use super::request::{Purpose, Request, Truncate};
use crate::count::text_tokens;
use crate::error::WireError;
use crate::ir::Dropped;

const GEMINI_TEXTS: usize = 100;
const PREDICT_TEXTS: usize = 250;
/// All texts of a `predict` call together, with room for what an estimate may be wrong.
const PREDICT_TOKENS: u64 = 15_000;
/// Longer texts are cut or refused one by one.
const PREDICT_TOKENS_PER_TEXT: u64 = 2_048;

/// One of the endpoints.
pub(super) enum Upstream {
    Gemini {
        /// Stands in every part of a batch: `models/gemini-embedding-001`.
        resource: String,
    },
    Predict {
        texts: usize,
    },
    EmbedContent,
}

impl Upstream {
    pub(super) fn gemini(model: &str) -> Self {
        let resource = if model.starts_with("models/") { model.to_owned() } else { format!("models/{model}") };
        Self::Gemini { resource }
    }

    pub(super) fn predict(model: &str) -> Self {
        Self::Predict { texts: if model.contains("gemini") { 1 } else { PREDICT_TEXTS } }
    }

    pub(super) fn embed_content() -> Self {
        Self::EmbedContent
    }
}

/// Is this a model that Vertex has only behind `embedContent`? The first Gemini embedding model is documented with `predict`.
pub(crate) fn by_embed_content(model: &str) -> bool {
    model.contains("gemini") && !model.contains("gemini-embedding-001") && !model.contains("gemini-embedding-exp")
}

fn task_type(request: &Request) -> Result<Option<&'static str>, WireError> {
    Ok(request.purpose()?.map(|purpose| match purpose {
        Purpose::Document => "RETRIEVAL_DOCUMENT",
        Purpose::Query => "RETRIEVAL_QUERY",
        Purpose::Classification => "CLASSIFICATION",
        Purpose::Clustering => "CLUSTERING",
    }))
}

/// Vertex cuts the end of a text, or nothing.
fn auto_truncate(request: &Request, dropped: &mut Vec<Dropped>) -> Result<bool, WireError> {
    let truncation = request.truncation()?;
    if truncation == Some(Truncate::Start) {
        dropped.push(Dropped::new("truncate", "this upstream cuts the end of a text, not its start"));
    }
    Ok(truncation == Some(Truncate::End))
}

impl super::Upstream for Upstream {
    fn batch(&self, texts: &[&str]) -> usize {
        match self {
            Self::Gemini { .. } => GEMINI_TEXTS.min(texts.len()),
            Self::EmbedContent => 1,
            Self::Predict { texts: most } => {
                let mut tokens = 0;
                let fits = texts.iter().take(*most).take_while(|text| {
                    tokens += text_tokens(text).min(PREDICT_TOKENS_PER_TEXT);
                    tokens <= PREDICT_TOKENS
                });
                fits.count()
            }
        }
    }

    fn body(&self, request: &Request, texts: &[&str], dropped: &mut Vec<Dropped>) -> Result<Bytes, WireError> {
        let (task_type, size) = (task_type(request)?, request.dimensions);
        match self {
            Self::Gemini { resource } => {
                if request.truncation()?.is_some_and(|end| end != Truncate::End) {
                    dropped.push(Dropped::new("truncate", "Gemini cuts the end of a text that is too long"));
                }
                let requests = texts.iter().map(|text| GeminiRequest {
                    model: resource,
                    content: Content::of(text),
                    task_type,
                    output_dimensionality: size,
                });
                super::written(&GeminiBody { requests: requests.collect() })
            }
            Self::Predict { .. } => {
                let instances = texts.iter().map(|content| Instance { content, task_type });
                let auto_truncate = auto_truncate(request, dropped)?;
                let parameters = Parameters { auto_truncate, output_dimensionality: size };
                super::written(&PredictBody { instances: instances.collect(), parameters })
            }
            Self::EmbedContent => {
                let auto_truncate = auto_truncate(request, dropped)?;
                super::written(&EmbedContentBody {
                    content: Content::of(texts.first().copied().unwrap_or_default()),
                    embed_content_config: EmbedContentConfig { auto_truncate, task_type, output_dimensionality: size },
                })
            }
        }
    }

    fn shape(&self) -> Shape {
        match self {
            Self::Gemini { .. } => Shape::Gemini,
            Self::Predict { .. } => Shape::Predict,
            Self::EmbedContent => Shape::EmbedContent,
        }
    }
}

#[derive(Serialize)]
struct GeminiBody<'a> {
    requests: Vec<GeminiRequest<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GeminiRequest<'a> {
    model: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u64>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

impl<'a> Content<'a> {
    fn of(text: &'a str) -> Self {
        Self { parts: [Part { text }] }
    }
}

#[derive(Serialize)]
struct PredictBody<'a> {
    instances: Vec<Instance<'a>>,
    parameters: Parameters,
}

/// Its field is in snake case, those of the parameters are not.
#[derive(Serialize)]
struct Instance<'a> {
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    auto_truncate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmbedContentBody<'a> {
    content: Content<'a>,
    embed_content_config: EmbedContentConfig,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmbedContentConfig {
    auto_truncate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u64>,
}
