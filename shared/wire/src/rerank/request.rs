//! The client's request: <https://docs.cohere.com/reference/rerank> (v2), <https://docs.cohere.com/v1/reference/rerank> (v1).

use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;

use super::{DOCUMENTS_PER_UNIT, TOKENS_PER_DOCUMENT};
use crate::count::text_tokens;
use crate::envelope::{model_name, unsigned};
use crate::error::WireError;
use crate::ir::Dropped;
use crate::json::{self, Member};

/// Cohere's own bound.
const MAX_DOCUMENTS: usize = 10_000;

/// The version of the client's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `/v1/rerank`
    V1,
    /// `/v2/rerank`
    V2,
}

/// A request for an order of documents.
#[derive(Debug)]
pub struct Request {
    body: Bytes,
    model: String,
    model_span: Range<usize>,
    pub(super) version: Version,
    pub(super) query: String,
    pub(super) documents: Vec<Document>,
    pub(super) top_n: Option<u64>,
    pub(super) return_documents: bool,
    pub(super) max_tokens_per_doc: Option<u64>,
    /// What a body that is written anew does not have.
    others: Vec<String>,
}

/// A document.
#[derive(Debug)]
pub(super) struct Document {
    /// What is ranked.
    pub(super) text: String,
    /// As the client sent it, if it is more than a text.
    pub(super) object: Option<Value>,
}

impl Request {
    /// Reads a body of this version. Documents are texts or objects in both.
    pub fn decode(version: Version, body: Bytes) -> Result<Self, WireError> {
        let members = json::members(&body)?;
        let find = |key: &str| members.iter().find(|member| member.key == key && member.value != "null");
        let required =
            |key: &str, what: &str| find(key).ok_or_else(|| WireError::invalid(key, format!("required: {what}")));
        let model = required("model", "name a model")?;
        let query: String = typed(required("query", "a text")?, "a string")?;
        if query.trim().is_empty() {
            return Err(WireError::invalid("query", "expected a text that is not blank"));
        }
        let fields = find("rank_fields").map(|member| typed::<Vec<String>>(member, "an array of strings"));
        let fields = fields.transpose()?.unwrap_or_default();
        let documents = documents(required("documents", "an array of texts")?, &fields)?;
        let top_n = find("top_n").map(unsigned).transpose()?;
        if top_n == Some(0) {
            return Err(WireError::invalid("top_n", "expected at least 1, got 0"));
        }
        let return_documents = find("return_documents").map(|member| typed(member, "true or false")).transpose()?;
        let known = |member: &&Member<'_>| {
            matches!(
                member.key.as_ref(),
                "model" | "query" | "documents" | "top_n" | "return_documents" | "rank_fields" | "max_tokens_per_doc"
            )
        };
        let others = members.iter().filter(|member| !known(member) && member.value != "null");
        Ok(Self {
            model: model_name(model)?,
            model_span: model.value_span.clone(),
            version,
            query,
            documents,
            top_n,
            return_documents: return_documents.unwrap_or(false),
            max_tokens_per_doc: find("max_tokens_per_doc").map(unsigned).transpose()?,
            others: others.map(|member| member.key.clone().into_owned()).collect(),
            body: body.clone(),
        })
    }

    /// The client's model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The body as the client sent it.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Search units that it may be billed, at most: long documents count as several.
    pub fn search_units(&self) -> u64 {
        let pieces = self.documents.iter().map(|document| text_tokens(&document.text).div_ceil(TOKENS_PER_DOCUMENT));
        let pieces = pieces.fold(0, |sum: u64, pieces| sum.saturating_add(pieces.max(1)));
        pieces.div_ceil(DOCUMENTS_PER_UNIT).max(1)
    }

    /// Search units by the number of documents alone, for an upstream that reports none.
    pub(super) fn counted_units(&self) -> u64 {
        u64::try_from(self.documents.len()).unwrap_or(u64::MAX).div_ceil(DOCUMENTS_PER_UNIT).max(1)
    }

    /// May the body go to a v2 upstream as it is?
    pub(super) fn is_plain_v2(&self) -> bool {
        let texts_only = self.documents.iter().all(|document| document.object.is_none());
        self.version == Version::V2 && texts_only && !self.return_documents
    }

    pub(super) fn with_model(&self, model: &str) -> Bytes {
        if model == self.model {
            return self.body.clone();
        }
        json::replace(&self.body, &self.model_span, &Value::from(model).to_string())
    }

    pub(super) fn texts(&self) -> Vec<&str> {
        self.documents.iter().map(|document| document.text.as_str()).collect()
    }

    /// How many results are wanted, where the upstream has to be told.
    pub(super) fn wanted(&self) -> u64 {
        let all = u64::try_from(self.documents.len()).unwrap_or(u64::MAX);
        self.top_n.map_or(all, |top| top.min(all))
    }

    pub(super) fn lost(&self, dropped: &mut Vec<Dropped>) {
        dropped.extend(
            self.others.iter().map(|key| Dropped::new(key.as_str(), "no field of rerank that this upstream has")),
        );
    }
}

fn typed<T: serde::de::DeserializeOwned>(member: &Member<'_>, expected: &str) -> Result<T, WireError> {
    serde_json::from_str(member.value).map_err(|_| {
        WireError::invalid(member.key.as_ref(), format!("expected {expected}, got {}", json::kind(member.value)))
    })
}

fn documents(member: &Member<'_>, fields: &[String]) -> Result<Vec<Document>, WireError> {
    let items: Vec<Value> = typed(member, "an array of texts")?;
    if items.is_empty() {
        return Err(WireError::invalid("documents", "expected at least one, got none"));
    }
    if items.len() > MAX_DOCUMENTS {
        let message = format!("expected at most {MAX_DOCUMENTS}, got {}", items.len());
        return Err(WireError::invalid("documents", message));
    }
    items.into_iter().enumerate().map(|(at, item)| document(at, item, fields)).collect()
}

/// An object is ranked by its `text`, or by the fields that the client names: as YAML, which is how Cohere reads structured documents.
fn document(at: usize, item: Value, fields: &[String]) -> Result<Document, WireError> {
    let path = || format!("documents[{at}]");
    let object = match item {
        Value::String(text) => return Ok(Document { text, object: None }),
        Value::Object(object) => object,
        other => {
            let message = format!("expected a text or an object, got {}", json::kind_of(&other));
            return Err(WireError::invalid(path(), message));
        }
    };
    let text = if fields.is_empty() {
        let text = object.get("text").and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| {
            WireError::invalid(format!("{}.text", path()), "required: the text to rank (or name fields in rank_fields)")
        })?
    } else {
        let lines = fields.iter().filter_map(|field| Some((field, object.get(field)?)));
        let lines: Vec<String> = lines
            .map(|(field, value)| match value {
                Value::String(text) => format!("{field}: {text}"),
                other => format!("{field}: {other}"),
            })
            .collect();
        if lines.is_empty() {
            return Err(WireError::invalid(path(), "it has none of the fields that rank_fields names"));
        }
        lines.join("\n")
    };
    Ok(Document { text, object: Some(Value::Object(object)) })
}
