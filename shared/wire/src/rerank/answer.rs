//! Answers: an upstream's order to the client's.

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{Request, Version};
use crate::codec::Seed;
use crate::error::WireError;
use crate::ir::Usage;
use crate::json;
use crate::unary::{Finished, PartsReader, state};

/// What an upstream's answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Cohere v2, for a client of v2.
    Verbatim,
    /// `{"results": [{"index": 1, "relevance_score": 0.9}]}`: Cohere's, and both of Bedrock's.
    Cohere,
    /// `{"records": [{"id": "1", "score": 0.9}]}`
    Vertex,
}

/// Writes the client's answer.
#[derive(Debug)]
pub(super) struct Reader {
    shape: Shape,
    version: Version,
    model: String,
    request_id: String,
    counted_units: u64,
    wanted: usize,
    /// What `return_documents` asks back, by index; empty: it does not.
    documents: Vec<Value>,
    count: usize,
    answer: Bytes,
    usage: Usage,
}

impl Reader {
    pub(super) fn new(shape: Shape, request: &Request, seed: &Seed) -> Self {
        let documents = request.documents.iter().filter(|_| request.return_documents);
        let documents =
            documents.map(|document| document.object.clone().unwrap_or_else(|| json!({"text": document.text})));
        Self {
            shape,
            version: request.version,
            model: request.model().to_owned(),
            request_id: seed.request_id.clone(),
            // Bedrock bills pieces of 512 tokens as Cohere does, and tells nothing of it: https://aws.amazon.com/bedrock/pricing/
            counted_units: if shape == Shape::Vertex { request.counted_units() } else { request.search_units() },
            wanted: usize::try_from(request.wanted()).unwrap_or(usize::MAX),
            documents: documents.collect(),
            count: request.documents.len(),
            answer: Bytes::new(),
            usage: Usage::default(),
        }
    }

    fn write(&self, id: Option<String>, ranked: Vec<Ranked<'_>>) -> Result<Bytes, WireError> {
        let results = ranked.into_iter().take(self.wanted).map(|one| {
            if one.index >= self.count {
                return Err(WireError::BadAnswer(format!("it ranks document {} of {}", one.index, self.count)));
            }
            let score: Value = serde_json::from_str(one.score).map_err(|e| WireError::BadAnswer(e.to_string()))?;
            let mut result = Map::new();
            result.insert("index".to_owned(), one.index.into());
            result.insert("relevance_score".to_owned(), score);
            if let Some(document) = self.documents.get(one.index) {
                result.insert("document".to_owned(), document.clone());
            }
            Ok(Value::Object(result))
        });
        let results = results.collect::<Result<Vec<_>, _>>()?;
        let version = if self.version == Version::V1 { "1" } else { "2" };
        let body = json!({
            "id": id.unwrap_or_else(|| self.request_id.clone()),
            "results": results,
            "meta": {
                "api_version": {"version": version},
                "billed_units": {"search_units": self.usage.searches.unwrap_or_default()},
            },
        });
        Ok(body.to_string().into())
    }
}

/// A document's place.
struct Ranked<'a> {
    index: usize,
    /// As the upstream wrote the number.
    score: &'a str,
}

#[derive(Deserialize)]
struct CohereAnswer<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(borrow)]
    results: Vec<CohereResult<'a>>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct CohereResult<'a> {
    index: usize,
    #[serde(borrow)]
    relevance_score: &'a RawValue,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    billed_units: Option<Billed>,
    #[serde(default)]
    tokens: Option<Tokens>,
}

/// Cohere writes all of them as floats.
#[derive(Deserialize)]
struct Billed {
    search_units: Option<f64>,
    input_tokens: Option<f64>,
    total_tokens: Option<f64>,
}

#[derive(Deserialize)]
struct Tokens {
    input_tokens: Option<f64>,
}

#[derive(Deserialize)]
struct VertexAnswer<'a> {
    #[serde(borrow)]
    records: Vec<VertexRecord<'a>>,
}

#[derive(Deserialize)]
struct VertexRecord<'a> {
    id: String,
    #[serde(borrow)]
    score: &'a RawValue,
}

impl Meta {
    /// `None` where it says nothing of searches: a server that bills tokens, or nothing.
    fn usage(&self, counted_units: u64) -> Usage {
        let billed = self.billed_units.as_ref();
        let whole = |figure: Option<f64>| {
            let figure = figure.filter(|figure| figure.is_finite() && *figure >= 0.0)?.ceil();
            format!("{figure:.0}").parse::<u64>().ok()
        };
        let tokens = billed.and_then(|billed| whole(billed.input_tokens).or(whole(billed.total_tokens)));
        let tokens = tokens.or_else(|| whole(self.tokens.as_ref()?.input_tokens));
        let searches = billed.and_then(|billed| whole(billed.search_units));
        let searches = searches.or_else(|| tokens.is_none().then_some(counted_units));
        Usage { input: tokens, searches, output: Some(0), ..Usage::default() }
    }
}

impl PartsReader for Reader {
    fn part(&mut self, _index: usize, _headers: &HeaderMap, body: Bytes) -> Result<Usage, WireError> {
        let bad = |error: serde_json::Error| WireError::BadAnswer(error.to_string());
        let counted = Usage { searches: Some(self.counted_units), output: Some(0), ..Usage::default() };
        if self.shape == Shape::Vertex {
            let answer: VertexAnswer<'_> = json::read(&body).map_err(bad)?;
            self.usage = counted;
            let ranked = answer.records.iter().map(|record| {
                let index =
                    record.id.parse().map_err(|_| WireError::BadAnswer("a record has another id".to_owned()))?;
                Ok(Ranked { index, score: record.score.get() })
            });
            self.answer = self.write(None, ranked.collect::<Result<_, WireError>>()?)?;
            return Ok(self.usage);
        }
        let answer: CohereAnswer<'_> = json::read(&body).map_err(bad)?;
        self.usage = answer.meta.map_or(counted, |meta| meta.usage(self.counted_units));
        self.answer = if self.shape == Shape::Verbatim {
            body.clone()
        } else {
            let ranked = answer.results.iter();
            let ranked = ranked.map(|one| Ranked { index: one.index, score: one.relevance_score.get() });
            self.write(answer.id, ranked.collect())?
        };
        Ok(self.usage)
    }

    fn finish(self: Box<Self>) -> Result<Finished, WireError> {
        Ok(Finished { body: self.answer, state: state(self.usage, Some(self.model)), estimate: false })
    }
}
