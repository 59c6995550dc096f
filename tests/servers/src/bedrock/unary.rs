//! Rerank by InvokeModel, and CountTokens.
//!
//! <https://docs.cohere.com/docs/cohere-on-aws/amazon-bedrock>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-rerank.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Said;
use super::embeddings::tokens;
use super::{converse, invoke};
use crate::anthropic;

/// Reads the body of a rerank model. Nothing: `model` is none. The score is the part of the query's words that a document has.
pub(super) fn rerank(model: &str, body: &Value) -> Option<Result<Said, String>> {
    let known: &[&str] = if model.contains("cohere.rerank") {
        &["query", "documents", "top_n", "api_version", "max_tokens_per_doc"]
    } else if model.contains("amazon.rerank") {
        &["query", "documents", "top_n"]
    } else {
        return None;
    };
    Some(ranked(body, known))
}

fn ranked(body: &Value, known: &[&str]) -> Result<Said, String> {
    super::only(body, known)?;
    if known.contains(&"api_version") && body["api_version"] != 2 {
        return Err("api_version: Field required, and only 2 is served".to_owned());
    }
    let query = body["query"].as_str().filter(|query| !query.is_empty()).ok_or("query: Field required")?;
    let documents = body["documents"].as_array().filter(|documents| !documents.is_empty());
    let documents = documents.ok_or("documents: at least one is needed")?;
    if documents.len() > 1_000 {
        return Err("documents: at most 1000".to_owned());
    }
    let wanted: Vec<&str> = query.split_whitespace().collect();
    let mut scores = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let text = document.as_str().ok_or("documents: Input should be a valid string")?;
        let found = wanted.iter().filter(|word| text.contains(**word)).count();
        scores.push((index, found as f64 / wanted.len() as f64));
    }
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    let top = body["top_n"].as_u64().and_then(|top| usize::try_from(top).ok()).unwrap_or(scores.len());
    if top == 0 || top > documents.len() {
        return Err(format!("top_n: between 1 and the number of documents, got {top}"));
    }
    let results: Value =
        scores.into_iter().take(top).map(|(index, score)| json!({"index": index, "relevance_score": score})).collect();
    Ok(Said { body: json!({ "results": results }), input_tokens: 0 })
}

/// CountTokens: the words of the last turn and of the instructions, and 7 more.
pub(super) fn count(model: &str, body: &Value) -> Result<Value, String> {
    let counts = model.starts_with("anthropic.claude");
    if !counts {
        return Err("The provided model doesn't support counting tokens.".to_owned());
    }
    super::only(body, &["input"])?;
    super::only(&body["input"], &["converse", "invokeModel"])?;
    let asked = match (&body["input"]["converse"], &body["input"]["invokeModel"]["body"]) {
        (converse @ Value::Object(_), Value::Null) => {
            super::only(converse, &["messages", "system", "toolConfig", "additionalModelRequestFields"])?;
            converse::fault(converse).map_or_else(|| Ok(converse::asked(converse)), Err)?
        }
        (Value::Null, Value::String(body)) => {
            let bytes = STANDARD.decode(body).map_err(|error| format!("body is no base64: {error}"))?;
            let body = serde_json::from_slice(&bytes).map_err(|error| format!("body is no JSON: {error}"))?;
            invoke::fault(&body).map_or_else(|| Ok(anthropic::asked(&body)), Err)?
        }
        _ => return Err("input: exactly one of converse and invokeModel".to_owned()),
    };
    Ok(json!({"inputTokens": tokens(&asked.text) + tokens(&asked.system) + 7}))
}
