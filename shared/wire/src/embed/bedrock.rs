//! Bedrock: InvokeModel with the body of an embedding model.
//!
//! | model | texts per call | dimensions | truncates |
//! |---|---|---|---|
//! | Titan v1 | 1 | 1,536 | no |
//! | Titan v2 | 1 | 256, 512, 1,024 | no |
//! | Titan multimodal (its texts) | 1 | 256, 384, 1,024 | no |
//! | Cohere v3 | 96 | 1,024 | either end |
//! | Cohere v4 | 96 | 256, 512, 1,024, 1,536 | either end |
//! | Nova multimodal (its texts) | 1 | 256, 384, 1,024, 3,072 | either end |
//!
//! Sources: <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-mm.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v3.html> and `-v4.html`,
//! <https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html>.

use bytes::Bytes;
use serde::Serialize;

use super::answer::Shape;
use super::request::{Purpose, Request, Truncate};
use crate::error::WireError;
use crate::ir::Dropped;

/// The most texts of one call to a Cohere model.
const COHERE_TEXTS: usize = 96;

/// Models that take the same body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    TitanV1,
    TitanV2,
    TitanImage,
    CohereV3,
    CohereV4,
    Nova,
}

/// A Bedrock model.
pub(super) struct Upstream {
    family: Family,
}

impl Upstream {
    /// By any name: model id, inference profile, ARN of either.
    pub(super) fn of(model: &str) -> Result<Self, WireError> {
        let has = |part: &str| model.contains(part);
        let family = if has("titan-embed-text-v2") {
            Family::TitanV2
        } else if has("titan-embed-image") {
            Family::TitanImage
        } else if has("titan-embed") {
            Family::TitanV1
        } else if has("cohere.embed-v4") {
            Family::CohereV4
        } else if has("cohere.embed") {
            Family::CohereV3
        } else if has("nova") && has("embeddings") {
            Family::Nova
        } else {
            let message = format!(
                "{model:.128} is no embedding model of Bedrock that this gateway knows: Titan, Cohere Embed or Nova multimodal embeddings, by a name that says so"
            );
            return Err(WireError::unsupported("model", message));
        };
        Ok(Self { family })
    }

    /// The sizes that a model's vectors may have; the default first.
    fn sizes(&self) -> &'static [u64] {
        match self.family {
            Family::TitanV1 => &[1_536],
            Family::TitanV2 => &[1_024, 512, 256],
            Family::TitanImage => &[1_024, 384, 256],
            Family::CohereV3 => &[1_024],
            Family::CohereV4 => &[1_536, 1_024, 512, 256],
            Family::Nova => &[3_072, 1_024, 384, 256],
        }
    }

    /// What to write for the client's `dimensions`. A model of one size has no field for it.
    fn dimensions(&self, request: &Request) -> Result<Option<u64>, WireError> {
        let Some(wanted) = request.dimensions else { return Ok(None) };
        let sizes = self.sizes();
        if !sizes.contains(&wanted) {
            let list: Vec<String> = sizes.iter().map(u64::to_string).collect();
            let message = format!("this model's vectors have {} dimensions, not {wanted}", list.join(", "));
            return Err(WireError::unsupported("dimensions", message));
        }
        Ok((sizes.len() > 1).then_some(wanted))
    }

    fn titan(&self, request: &Request, text: &str, dropped: &mut Vec<Dropped>) -> Result<Bytes, WireError> {
        if request.truncation()?.is_some_and(|end| end != Truncate::None) {
            dropped.push(Dropped::new("truncate", "Titan does not truncate: a text that is too long is an error"));
        }
        if request.purpose()?.is_some() {
            dropped.push(Dropped::new("input_type", "Titan embeds all texts alike"));
        }
        let size = self.dimensions(request)?;
        let (dimensions, image) = if self.family == Family::TitanImage { (None, size) } else { (size, None) };
        let embedding_config = image.map(|output_embedding_length| EmbeddingConfig { output_embedding_length });
        super::written(&TitanBody { input_text: text, dimensions, embedding_config })
    }

    fn cohere(&self, request: &Request, texts: &[&str]) -> Result<Bytes, WireError> {
        let input_type = match request.purpose()?.unwrap_or(Purpose::Document) {
            Purpose::Document => "search_document",
            Purpose::Query => "search_query",
            Purpose::Classification => "classification",
            Purpose::Clustering => "clustering",
        };
        let (start, end) = if self.family == Family::CohereV4 { ("LEFT", "RIGHT") } else { ("START", "END") };
        let truncate = match request.truncation()?.unwrap_or(Truncate::None) {
            Truncate::None => "NONE",
            Truncate::Start => start,
            Truncate::End => end,
        };
        let output_dimension = self.dimensions(request)?;
        super::written(&CohereBody { texts, input_type, truncate, embedding_types: ["float"], output_dimension })
    }

    fn nova(&self, request: &Request, text: &str) -> Result<Bytes, WireError> {
        let embedding_purpose = match request.purpose()? {
            None | Some(Purpose::Document) => "GENERIC_INDEX",
            Some(Purpose::Query) => "TEXT_RETRIEVAL",
            Some(Purpose::Classification) => "CLASSIFICATION",
            Some(Purpose::Clustering) => "CLUSTERING",
        };
        let truncation_mode = match request.truncation()?.unwrap_or(Truncate::None) {
            Truncate::None => "NONE",
            Truncate::Start => "START",
            Truncate::End => "END",
        };
        super::written(&NovaBody {
            schema_version: "nova-multimodal-embed-v1",
            task_type: "SINGLE_EMBEDDING",
            single_embedding_params: NovaParams {
                embedding_purpose,
                embedding_dimension: self.dimensions(request)?,
                text: NovaText { truncation_mode, value: text },
            },
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TitanBody<'a> {
    input_text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_config: Option<EmbeddingConfig>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmbeddingConfig {
    output_embedding_length: u64,
}

#[derive(Serialize)]
struct CohereBody<'a> {
    texts: &'a [&'a str],
    input_type: &'static str,
    truncate: &'static str,
    embedding_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NovaBody<'a> {
    schema_version: &'static str,
    task_type: &'static str,
    single_embedding_params: NovaParams<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NovaParams<'a> {
    embedding_purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_dimension: Option<u64>,
    text: NovaText<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NovaText<'a> {
    truncation_mode: &'static str,
    value: &'a str,
}

impl super::Upstream for Upstream {
    fn batch(&self, texts: &[&str]) -> usize {
        match self.family {
            Family::CohereV3 | Family::CohereV4 => texts.len().min(COHERE_TEXTS),
            Family::TitanV1 | Family::TitanV2 | Family::TitanImage | Family::Nova => 1,
        }
    }

    fn body(&self, request: &Request, texts: &[&str], dropped: &mut Vec<Dropped>) -> Result<Bytes, WireError> {
        let first = texts.first().copied().unwrap_or_default();
        match self.family {
            Family::TitanV1 | Family::TitanV2 | Family::TitanImage => self.titan(request, first, dropped),
            Family::CohereV3 | Family::CohereV4 => self.cohere(request, texts),
            Family::Nova => self.nova(request, first),
        }
    }

    fn shape(&self) -> Shape {
        match self.family {
            Family::TitanV1 | Family::TitanV2 | Family::TitanImage => Shape::Titan,
            Family::CohereV3 | Family::CohereV4 => Shape::Cohere,
            Family::Nova => Shape::Nova,
        }
    }
}
