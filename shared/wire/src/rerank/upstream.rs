//! The bodies for upstreams.
//!
//! InvokeModel's: <https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-supported.html>, the models' own fields at
//! <https://docs.cohere.com/docs/cohere-on-aws/amazon-bedrock>. Google's:
//! <https://cloud.google.com/generative-ai-app-builder/docs/reference/rest/v1/projects.locations.rankingConfigs/rank>.

use bytes::Bytes;
use serde::Serialize;

use super::Request;
use crate::error::WireError;
use crate::ir::Dropped;

/// The most records of one call to Google.
const VERTEX_RECORDS: usize = 200;

pub(super) fn cohere(request: &Request, model: &str, dropped: &mut Vec<Dropped>) -> Result<Bytes, WireError> {
    request.lost(dropped);
    written(&CohereBody {
        model: Some(model),
        api_version: None,
        query: &request.query,
        documents: request.texts(),
        top_n: request.top_n,
        max_tokens_per_doc: request.max_tokens_per_doc,
    })
}

pub(super) fn bedrock(request: &Request, model: &str, dropped: &mut Vec<Dropped>) -> Result<Bytes, WireError> {
    request.lost(dropped);
    drop_document_bound(request, dropped);
    let is_cohere = model.contains("cohere.rerank");
    if !is_cohere && !model.contains("amazon.rerank") {
        let message = format!(
            "{model:.128} is no rerank model of Bedrock that this gateway knows: cohere.rerank-* or amazon.rerank-*"
        );
        return Err(WireError::unsupported("model", message));
    }
    written(&CohereBody {
        model: None,
        // Without it Cohere's answer has another shape.
        api_version: is_cohere.then_some(2),
        query: &request.query,
        documents: request.texts(),
        top_n: Some(request.wanted()),
        max_tokens_per_doc: None,
    })
}

pub(super) fn vertex(request: &Request, model: &str, dropped: &mut Vec<Dropped>) -> Result<Bytes, WireError> {
    request.lost(dropped);
    drop_document_bound(request, dropped);
    // `semantic-ranker-default-004`, `semantic-ranker-512@latest`, ...
    let model = model.rsplit('/').next().unwrap_or(model);
    if !model.contains("ranker") {
        let message =
            format!("{model:.128} is no ranking model of Google's that this gateway knows: semantic-ranker-*");
        return Err(WireError::unsupported("model", message));
    }
    let count = request.documents.len();
    if count > VERTEX_RECORDS {
        let message = format!("this upstream ranks at most {VERTEX_RECORDS} at once, got {count}");
        return Err(WireError::unsupported("documents", message));
    }
    let records = request.texts().into_iter().enumerate();
    let records = records.map(|(at, content)| Record { id: at.to_string(), content });
    written(&VertexBody {
        model,
        query: &request.query,
        records: records.collect(),
        top_n: request.wanted(),
        ignore_record_details_in_response: true,
    })
}

#[derive(Serialize)]
struct CohereBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<u64>,
    query: &'a str,
    documents: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens_per_doc: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VertexBody<'a> {
    model: &'a str,
    query: &'a str,
    records: Vec<Record<'a>>,
    top_n: u64,
    ignore_record_details_in_response: bool,
}

#[derive(Serialize)]
struct Record<'a> {
    id: String,
    content: &'a str,
}

fn written(body: &impl Serialize) -> Result<Bytes, WireError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| WireError::invalid("", error.to_string()))
}

fn drop_document_bound(request: &Request, dropped: &mut Vec<Dropped>) {
    if request.max_tokens_per_doc.is_some() {
        dropped.push(Dropped::new("max_tokens_per_doc", "this upstream has its own bound"));
    }
}
