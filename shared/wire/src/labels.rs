//! Labels of a call (`metadata`), for providers who keep labels of calls.

use serde_json::{Map, Value};

use crate::ir::{Dropped, Request};

/// The labels that fit; what was reported of them all is taken back, and each that does not fit is reported for itself.
pub(crate) fn labels(
    request: &Request,
    most: usize,
    fits: fn(&str, &str) -> bool,
    dropped: &mut Vec<Dropped>,
) -> Map<String, Value> {
    let mut out = Map::new();
    if request.metadata.is_empty() {
        return out;
    }
    let before = dropped.len();
    dropped.retain(|dropped| !matches!(dropped.path.as_str(), "metadata" | "labels"));
    let counted = dropped.len() < before;
    for (key, value) in &request.metadata {
        if out.len() < most && fits(key, value) {
            out.insert(key.clone(), value.as_str().into());
        } else if counted {
            dropped.push(Dropped::new(format!("metadata.{key}"), "this provider takes no label like this"));
        }
    }
    out
}

/// A label of Bedrock's invocation log, of which a call has up to 16:
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/cost-mgmt-request-metadata.html>.
pub(crate) fn for_bedrock(request: &Request, dropped: &mut Vec<Dropped>) -> Map<String, Value> {
    labels(request, 16, |key, value| !key.is_empty() && [key, value].iter().all(|text| is_bedrocks(text)), dropped)
}

fn is_bedrocks(text: &str) -> bool {
    text.len() <= 256 && text.chars().all(|c| c.is_ascii_alphanumeric() || " :_@$#=/+,-.".contains(c))
}

/// A label of Vertex AI's, which its bill is broken down by: lower-case letters, digits, `_` and `-`
/// (<https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/add-labels-to-api-calls>).
pub(crate) fn for_vertex(request: &Request, dropped: &mut Vec<Dropped>) -> Map<String, Value> {
    let fits = |key: &str, value: &str| {
        key.starts_with(|c: char| c.is_ascii_lowercase()) && [key, value].iter().all(|text| is_vertexs(text))
    };
    labels(request, 64, fits, dropped)
}

fn is_vertexs(text: &str) -> bool {
    text.len() <= 63 && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
}
