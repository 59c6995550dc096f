//! The same shape upstream: OpenAI, Azure, and servers that copy them. Bytes go through.
//!
//! One thing is put right in the answer: several servers know no `encoding_format` and write numbers where base64 was asked for.

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Request, answer};
use crate::error::WireError;
use crate::ir::Usage;
use crate::unary::{Finished, PartsReader, Plan, state, usage};

/// The client's bytes with the model that is asked for.
pub(super) fn plan(request: &Request, model: &str) -> Plan {
    let reader = Reader { base64: request.base64, answer: Bytes::new(), model: None, input: None };
    Plan { calls: vec![request.with_model(model)], betas: Vec::new(), dropped: Vec::new(), reader: Box::new(reader) }
}

#[derive(Debug)]
struct Reader {
    base64: bool,
    answer: Bytes,
    model: Option<String>,
    input: Option<u64>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Vec<Item<'a>>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<AnswerUsage>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    embedding: &'a RawValue,
}

#[derive(Deserialize)]
struct AnswerUsage {
    prompt_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

impl PartsReader for Reader {
    fn part(&mut self, _index: usize, _headers: &HeaderMap, body: Bytes) -> Result<Usage, WireError> {
        let bad = |error: serde_json::Error| WireError::BadAnswer(error.to_string());
        let text = std::str::from_utf8(&body).map_err(|error| WireError::BadAnswer(error.to_string()))?;
        let answer: Answer<'_> = serde_json::from_str(text).map_err(bad)?;
        self.input = answer.usage.and_then(|usage| usage.prompt_tokens.or(usage.total_tokens));
        self.model = answer.model;
        self.answer = if self.base64 {
            in_base64(text, &answer.data)?.map_or_else(|| body.clone(), Bytes::from)
        } else {
            body.clone()
        };
        Ok(usage(self.input))
    }

    fn finish(self: Box<Self>) -> Result<Finished, WireError> {
        Ok(Finished { body: self.answer, state: state(usage(self.input), self.model), estimate: false })
    }
}

/// The text with its arrays of numbers as base64; `None`: it has none.
fn in_base64(text: &str, items: &[Item<'_>]) -> Result<Option<Vec<u8>>, WireError> {
    let mut out: Vec<u8> = Vec::new();
    let mut at = 0;
    for array in items.iter().map(|item| item.embedding.get()).filter(|value| value.starts_with('[')) {
        let start = array.as_ptr().addr() - text.as_ptr().addr();
        out.extend_from_slice(text.get(at..start).unwrap_or_default().as_bytes());
        out.push(b'"');
        out.extend_from_slice(answer::base64(array)?.as_bytes());
        out.push(b'"');
        at = start + array.len();
    }
    if at == 0 {
        return Ok(None);
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default().as_bytes());
    Ok(Some(out))
}
