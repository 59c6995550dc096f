//! The client's request: <https://platform.openai.com/docs/api-reference/embeddings/create>.

use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;

use super::MAX_INPUTS;
use crate::envelope::{model_name, unsigned};
use crate::error::WireError;
use crate::ir::Dropped;
use crate::json::{self, Member};

/// A request for vectors.
#[derive(Debug)]
pub struct Request {
    body: Bytes,
    model: String,
    model_span: Range<usize>,
    input: Input,
    /// The size of the vectors.
    pub(super) dimensions: Option<u64>,
    /// Vectors are wanted as base64 of little-endian 32-bit floats.
    pub(super) base64: bool,
    input_type: Option<String>,
    truncate: Option<String>,
    /// Fields that only OpenAI's shape has.
    others: Vec<String>,
}

/// What is to be embedded.
#[derive(Debug)]
enum Input {
    Texts {
        texts: Vec<String>,
        in_array: bool,
    },
    /// Texts that the client has taken apart already, by the tokenizer of an OpenAI model.
    Tokens,
    /// What OpenAI does not have, but a server that copies it might: images.
    Other(&'static str),
}

/// What the vectors are for. A query and the documents that it is to find are embedded differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Document,
    Query,
    Classification,
    Clustering,
}

/// What becomes of a text that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truncate {
    /// It is an error.
    None,
    /// Its beginning goes.
    Start,
    /// Its end goes.
    End,
}

impl Request {
    /// Reads a body. What an upstream of the same shape would judge itself is left to it.
    pub fn decode(body: Bytes) -> Result<Self, WireError> {
        let members = json::members(&body)?;
        let find = |key: &str| members.iter().find(|member| member.key == key && member.value != "null");
        let model = find("model").ok_or_else(|| WireError::invalid("model", "required: name a model"))?;
        let input = find("input")
            .ok_or_else(|| WireError::invalid("input", "required: a text, an array of texts, or token arrays"))?;
        let dimensions = find("dimensions").map(unsigned).transpose()?;
        if dimensions == Some(0) {
            return Err(WireError::invalid("dimensions", "expected at least 1, got 0"));
        }
        let text = |key: &str| find(key).map(text).transpose();
        let base64 = match text("encoding_format")?.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(other) => {
                let message = format!("expected \"float\" or \"base64\", got \"{other:.32}\"");
                return Err(WireError::invalid("encoding_format", message));
            }
        };
        let known = |member: &&Member<'_>| {
            matches!(
                member.key.as_ref(),
                "model" | "input" | "dimensions" | "encoding_format" | "input_type" | "truncate"
            )
        };
        let others = members.iter().filter(|member| !known(member) && member.value != "null");
        Ok(Self {
            model: model_name(model)?,
            model_span: model.value_span.clone(),
            input: Input::decode(input)?,
            dimensions,
            base64,
            input_type: text("input_type")?,
            truncate: text("truncate")?,
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

    /// The body with another model.
    pub(super) fn with_model(&self, model: &str) -> Bytes {
        if model == self.model {
            return self.body.clone();
        }
        json::replace(&self.body, &self.model_span, &Value::from(model).to_string())
    }

    /// The texts, for an upstream that takes nothing else.
    pub(super) fn texts(&self) -> Result<Vec<&str>, WireError> {
        match &self.input {
            Input::Texts { texts, .. } if texts.len() > MAX_INPUTS => {
                let message = format!("expected at most {MAX_INPUTS} texts, got {}", texts.len());
                Err(WireError::invalid("input", message))
            }
            Input::Texts { texts, in_array } => match texts.iter().position(|text| text.trim().is_empty()) {
                Some(at) => {
                    let path = if *in_array { format!("input[{at}]") } else { "input".to_owned() };
                    Err(WireError::invalid(path, "expected a text that is not blank"))
                }
                None => Ok(texts.iter().map(String::as_str).collect()),
            },
            Input::Tokens => Err(WireError::unsupported(
                "input",
                "token arrays belong to the tokenizer of an OpenAI model, which this model does not share: send texts (with LangChain's OpenAIEmbeddings: \
                 check_embedding_ctx_length=False)",
            )),
            Input::Other(kind) => {
                Err(WireError::unsupported("input", format!("this model takes texts; {kind} is none")))
            }
        }
    }

    /// What no other upstream has.
    pub(super) fn lost(&self) -> Vec<Dropped> {
        let reason = |key: &str| match key {
            "user" => "this upstream takes no user for embeddings",
            _ => "no field of embeddings that this upstream has",
        };
        self.others.iter().map(|key| Dropped::new(key.as_str(), reason(key))).collect()
    }

    pub(super) fn purpose(&self) -> Result<Option<Purpose>, WireError> {
        let Some(word) = &self.input_type else { return Ok(None) };
        Ok(Some(match word.as_str() {
            "search_document" | "document" | "passage" => Purpose::Document,
            "search_query" | "query" => Purpose::Query,
            "classification" => Purpose::Classification,
            "clustering" => Purpose::Clustering,
            other => {
                let message = format!(
                    "expected search_document, search_query, classification or clustering, got \"{other:.32}\""
                );
                return Err(WireError::invalid("input_type", message));
            }
        }))
    }

    pub(super) fn truncation(&self) -> Result<Option<Truncate>, WireError> {
        let Some(word) = &self.truncate else { return Ok(None) };
        Ok(Some(match word.to_ascii_uppercase().as_str() {
            "NONE" => Truncate::None,
            "START" | "LEFT" => Truncate::Start,
            "END" | "RIGHT" => Truncate::End,
            _ => {
                return Err(WireError::invalid("truncate", format!("expected NONE, START or END, got \"{word:.32}\"")));
            }
        }))
    }

    /// About so many tokens, for an upstream that counts none.
    pub(super) fn estimated_tokens(&self) -> u64 {
        match &self.input {
            Input::Texts { texts, .. } => texts.iter().map(|text| crate::count::text_tokens(text)).sum(),
            Input::Tokens | Input::Other(_) => 0,
        }
    }
}

impl Input {
    fn decode(member: &Member<'_>) -> Result<Self, WireError> {
        let wrong = |message: String| WireError::invalid("input", message);
        let value: Value =
            serde_json::from_str(member.value).map_err(|error| WireError::NotJson { message: error.to_string() })?;
        let items = match value {
            Value::String(text) => return Ok(Self::Texts { texts: vec![text], in_array: false }),
            Value::Array(items) => items,
            Value::Object(_) => return Ok(Self::Other("an object")),
            other => return Err(wrong(format!("expected a text or an array, got {}", json::kind_of(&other)))),
        };
        let first = items.first().ok_or_else(|| wrong("expected at least one text, got none".to_owned()))?;
        match first {
            Value::Number(_) | Value::Array(_) => Ok(Self::Tokens),
            Value::String(_) => {
                let texts = items.into_iter().enumerate().map(|(at, item)| match item {
                    Value::String(text) => Ok(text),
                    other => {
                        let message = format!("expected a text as the others are, got {}", json::kind_of(&other));
                        Err(WireError::invalid(format!("input[{at}]"), message))
                    }
                });
                texts.collect::<Result<_, _>>().map(|texts| Self::Texts { texts, in_array: true })
            }
            other => Ok(Self::Other(json::kind_of(other))),
        }
    }
}

fn text(member: &Member<'_>) -> Result<String, WireError> {
    serde_json::from_str(member.value).map_err(|_| {
        WireError::invalid(member.key.as_ref(), format!("expected a string, got {}", json::kind(member.value)))
    })
}
