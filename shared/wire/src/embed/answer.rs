//! Answers: an upstream's vectors to the client's list of them.
//!
//! Numbers stay the text that the upstream wrote, unless the client wants base64: then each is read as the nearest 32-bit float, and their bytes are
//! written in little-endian order, as OpenAI does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Request;
use crate::error::WireError;
use crate::ir::Usage;
use crate::json;
use crate::unary::{Finished, PartsReader, Tally, state, usage};

/// Bedrock's own count, on every answer of InvokeModel:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html>.
const INPUT_TOKENS: &str = "x-amzn-bedrock-input-token-count";

/// What an upstream's answers look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"embedding": [...], "inputTextTokenCount": 3}`
    Titan,
    /// `{"embeddings": [[...]]}`, or by type: `{"embeddings": {"float": [[...]]}}`
    Cohere,
    /// `{"embeddings": [{"embeddingType": "TEXT", "embedding": [...]}]}`
    Nova,
    /// `{"embeddings": [{"values": [...]}]}`
    Gemini,
    /// `{"predictions": [{"embeddings": {"values": [...], "statistics": {"token_count": 3}}}]}`
    Predict,
    /// `{"embedding": {"values": [...]}, "usageMetadata": {"promptTokenCount": 3}}`
    EmbedContent,
}

type Vector = Box<RawValue>;

/// Puts the vectors of all parts together.
#[derive(Debug)]
pub(super) struct Reader {
    shape: Shape,
    base64: bool,
    model: String,
    /// The client is told a figure in any case; the books know which one is an estimate.
    estimated_tokens: u64,
    /// How many texts each part has.
    sizes: Vec<usize>,
    parts: Vec<Vec<Vector>>,
    tally: Tally,
}

impl Reader {
    pub(super) fn new(shape: Shape, request: &Request, sizes: Vec<usize>) -> Self {
        Self {
            shape,
            base64: request.base64,
            model: request.model().to_owned(),
            estimated_tokens: request.estimated_tokens(),
            parts: sizes.iter().map(|_| Vec::new()).collect(),
            sizes,
            tally: Tally::default(),
        }
    }
}

impl PartsReader for Reader {
    fn part(&mut self, index: usize, headers: &HeaderMap, body: Bytes) -> Result<Usage, WireError> {
        let (vectors, tokens) = self.shape.read(&body).map_err(|error| WireError::BadAnswer(error.to_string()))?;
        let in_header = || headers.get(INPUT_TOKENS)?.to_str().ok()?.parse().ok();
        let used = self.tally.add(tokens.or_else(in_header));
        let expected = self.sizes.get(index).copied().unwrap_or_default();
        if vectors.len() != expected {
            return Err(WireError::BadAnswer(format!("{} vectors for {expected} texts", vectors.len())));
        }
        if let Some(part) = self.parts.get_mut(index) {
            *part = vectors;
        }
        Ok(used)
    }

    fn finish(self: Box<Self>) -> Result<Finished, WireError> {
        let vectors = self.parts.iter().flatten();
        let data = vectors.enumerate().map(|(index, vector)| {
            let text = vector.get();
            let embedding = if self.base64 { Embedding::Base64(base64(text)?) } else { Embedding::Floats(vector) };
            Ok(Item { object: "embedding", index, embedding })
        });
        let data = data.collect::<Result<Vec<_>, WireError>>()?;
        let input = self.tally.input();
        let prompt_tokens = input.unwrap_or(self.estimated_tokens);
        let answer = Answer {
            object: "list",
            data,
            model: &self.model,
            usage: AnswerUsage { prompt_tokens, total_tokens: prompt_tokens },
        };
        let body = serde_json::to_vec(&answer).map_err(|error| WireError::BadAnswer(error.to_string()))?;
        let state = state(usage(input), Some(self.model.clone()));
        Ok(Finished { body: body.into(), state, estimate: false })
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    data: Vec<Item<'a>>,
    model: &'a str,
    usage: AnswerUsage,
}

#[derive(Serialize)]
struct Item<'a> {
    object: &'static str,
    index: usize,
    embedding: Embedding<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Embedding<'a> {
    Floats(&'a RawValue),
    Base64(String),
}

#[derive(Serialize)]
struct AnswerUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// The numbers of a JSON array as the base64 of 32-bit floats.
pub(super) fn base64(array: &str) -> Result<String, WireError> {
    let bad = || WireError::BadAnswer("a vector is not an array of numbers".to_owned());
    let inner = array.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(bad)?;
    let mut bytes = Vec::with_capacity(inner.len() / 2);
    for number in inner.split(',').map(str::trim).filter(|number| !number.is_empty()) {
        // Read as a 32-bit float at once: by way of a 64-bit one it would be rounded twice.
        let value: f32 = number.parse().map_err(|_| bad())?;
        if !value.is_finite() {
            return Err(bad());
        }
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    Ok(STANDARD.encode(bytes))
}

impl Shape {
    /// The vectors of a part, and what it used if it says so.
    fn read(self, body: &[u8]) -> serde_json::Result<(Vec<Vector>, Option<u64>)> {
        Ok(match self {
            Self::Titan => {
                let answer: TitanAnswer = json::read(body)?;
                (vec![answer.embedding], answer.input_text_token_count)
            }
            Self::Cohere => {
                let CohereAnswer { embeddings } = json::read(body)?;
                let vectors = if embeddings.get().starts_with('{') {
                    serde_json::from_str::<ByType>(embeddings.get())?.float
                } else {
                    serde_json::from_str(embeddings.get())?
                };
                (vectors, None)
            }
            Self::Nova => {
                let answer: NovaAnswer = json::read(body)?;
                (answer.embeddings.into_iter().map(|one| one.embedding).collect(), answer.input_token_count)
            }
            Self::Gemini => {
                let answer: GeminiAnswer = json::read(body)?;
                let tokens = answer.usage_metadata.and_then(|usage| usage.prompt_token_count);
                (answer.embeddings.into_iter().map(|one| one.values).collect(), tokens)
            }
            Self::Predict => {
                let PredictAnswer { predictions } = json::read(body)?;
                let mut tokens = Some(0_u64);
                let vectors = predictions.into_iter().map(|one| {
                    tokens = one.embeddings.statistics.token_count().and_then(|more| Some(tokens? + more));
                    one.embeddings.values
                });
                let vectors = vectors.collect();
                (vectors, tokens)
            }
            Self::EmbedContent => {
                let answer: EmbedContentAnswer = json::read(body)?;
                let tokens = answer.usage_metadata.and_then(|usage| usage.prompt_token_count);
                (vec![answer.embedding.values], tokens)
            }
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TitanAnswer {
    embedding: Vector,
    input_text_token_count: Option<u64>,
}

#[derive(Deserialize)]
struct CohereAnswer {
    embeddings: Box<RawValue>,
}

#[derive(Deserialize)]
struct ByType {
    float: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NovaAnswer {
    embeddings: Vec<NovaVector>,
    input_token_count: Option<u64>,
}

#[derive(Deserialize)]
struct NovaVector {
    embedding: Vector,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeminiAnswer {
    embeddings: Vec<Values>,
    usage_metadata: Option<UsageMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EmbedContentAnswer {
    embedding: Values,
    usage_metadata: Option<UsageMetadata>,
}

#[derive(Deserialize)]
struct Values {
    values: Vector,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    prompt_token_count: Option<u64>,
}

#[derive(Deserialize)]
struct PredictAnswer {
    predictions: Vec<Prediction>,
}

#[derive(Deserialize)]
struct Prediction {
    embeddings: PredictedValues,
}

#[derive(Deserialize)]
struct PredictedValues {
    values: Vector,
    #[serde(default)]
    statistics: Statistics,
}

/// Google writes the count as a float.
#[derive(Deserialize, Default)]
struct Statistics {
    token_count: Option<serde_json::Number>,
}

impl Statistics {
    fn token_count(&self) -> Option<u64> {
        let count = self.token_count.as_ref()?;
        count.as_u64().or_else(|| count.to_string().split('.').next()?.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base64_is_that_of_little_endian_32_bit_floats() {
        assert_eq!(base64("[1,-2.5]").unwrap(), STANDARD.encode([0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]));
        assert_eq!(base64("[]").unwrap(), "");
        for wrong in ["[1,\"a\"]", "{}", "[null]", "[1e400]", "[[1]]"] {
            assert!(base64(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_is_rounded_once() {
        // A 64-bit float nearest to this lies exactly between two 32-bit ones, and would go to the wrong one.
        let text = "1.00000005960464477539062500000000000001";
        let bytes = STANDARD.decode(base64(&format!("[{text}]")).unwrap()).unwrap();
        assert_eq!(f32::from_le_bytes(bytes.try_into().unwrap()), text.parse::<f32>().unwrap());
    }

    proptest! {
        #[test]
        fn base64_holds_exactly_the_floats_that_were_written(floats in proptest::collection::vec(-1e30_f32..1e30, 0..50)) {
            let text = serde_json::to_string(&floats).unwrap();
            let bytes = STANDARD.decode(base64(&text).unwrap()).unwrap();
            let back: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
            prop_assert_eq!(back, floats);
        }
    }
}
