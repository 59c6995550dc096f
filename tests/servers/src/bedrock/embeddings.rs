//! InvokeModel with the body of an embedding model: what the service checks, and vectors that belong to their texts.
//!
//! Bodies and answers:
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v3.html>, `-v4.html`,
//! <https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html>.

use serde_json::{Value, json};

use super::Said;
use crate::script::at;

/// Reads the body of an embedding model. Nothing: `model` is none.
pub(super) fn answer(model: &str, body: &Value) -> Option<Result<Said, String>> {
    if model.contains("titan-embed-text-v1") {
        Some(titan(body, &["inputText"], &[1_536]))
    } else if model.contains("titan-embed-text-v2") {
        Some(titan(body, &["inputText", "dimensions", "normalize", "embeddingTypes"], &[1_024, 512, 256]))
    } else if model.contains("cohere.embed-v4") {
        const KNOWN: [&str; 8] = [
            "texts",
            "images",
            "inputs",
            "input_type",
            "truncate",
            "embedding_types",
            "output_dimension",
            "max_tokens",
        ];
        Some(cohere(body, &KNOWN, &["NONE", "LEFT", "RIGHT"], &[1_536, 1_024, 512, 256]))
    } else if model.contains("cohere.embed-") {
        const KNOWN: [&str; 5] = ["texts", "images", "input_type", "truncate", "embedding_types"];
        Some(cohere(body, &KNOWN, &["NONE", "START", "END"], &[1_024]))
    } else if model.contains("nova-2-multimodal-embeddings") {
        Some(nova(body))
    } else {
        None
    }
}

/// The texts of any of these bodies, for the markers in them.
pub(super) fn texts(body: &Value) -> Vec<&str> {
    let one = [at(body, "/inputText"), at(body, "/singleEmbeddingParams/text/value")];
    let many = body["texts"].as_array().into_iter().flatten();
    one.into_iter().chain(many).filter_map(Value::as_str).collect()
}

fn titan(body: &Value, known: &[&str], sizes: &[u64]) -> Result<Said, String> {
    super::only(body, known)?;
    let text = body["inputText"].as_str().filter(|text| !text.is_empty());
    let text = text.ok_or("Malformed input request: expected minLength: 1, actual: 0, please reformat your input.")?;
    let vector = vector(text, size(&body["dimensions"], sizes)?);
    let mut answer = json!({"embedding": vector, "inputTextTokenCount": tokens(text)});
    if sizes.len() > 1 {
        answer["embeddingsByType"] = json!({"float": vector});
    }
    Ok(Said { body: answer, input_tokens: tokens(text) })
}

fn cohere(body: &Value, known: &[&str], cuts: &[&str], sizes: &[u64]) -> Result<Said, String> {
    super::only(body, known)?;
    one_of(body, "input_type", &["search_document", "search_query", "classification", "clustering"])?;
    if !body["truncate"].is_null() {
        one_of(body, "truncate", cuts)?;
    }
    let texts = texts(body);
    if texts.is_empty() || texts.len() > 96 {
        return Err(format!("invalid request: texts: at most 96 per call and at least one, got {}", texts.len()));
    }
    let size = size(&body["output_dimension"], sizes)?;
    let vectors: Value = texts.iter().map(|text| vector(text, size)).collect();
    let answer = match body["embedding_types"].as_array() {
        Some(types) if types.iter().all(|kind| kind == "float") => {
            json!({"id": "fa4e", "texts": texts, "embeddings": {"float": vectors}, "response_type": "embeddings_by_type"})
        }
        Some(types) => return Err(format!("this fake knows the embedding type float alone, got {types:?}")),
        None => json!({"id": "fa4e", "texts": texts, "embeddings": vectors, "response_type": "embeddings_floats"}),
    };
    Ok(Said { body: answer, input_tokens: texts.iter().map(|text| tokens(text)).sum() })
}

fn nova(body: &Value) -> Result<Said, String> {
    super::only(body, &["schemaVersion", "taskType", "singleEmbeddingParams"])?;
    if body["taskType"] != "SINGLE_EMBEDDING" {
        return Err("Value at 'taskType' must be SINGLE_EMBEDDING".to_owned());
    }
    let params = &body["singleEmbeddingParams"];
    super::only(params, &["embeddingPurpose", "embeddingDimension", "text"])?;
    const PURPOSES: [&str; 9] = [
        "GENERIC_INDEX",
        "GENERIC_RETRIEVAL",
        "TEXT_RETRIEVAL",
        "IMAGE_RETRIEVAL",
        "VIDEO_RETRIEVAL",
        "DOCUMENT_RETRIEVAL",
        "AUDIO_RETRIEVAL",
        "CLASSIFICATION",
        "CLUSTERING",
    ];
    one_of(params, "embeddingPurpose", &PURPOSES)?;
    let text = &params["text"];
    super::only(text, &["truncationMode", "value", "source"])?;
    one_of(text, "truncationMode", &["START", "END", "NONE"])?;
    let value = text["value"].as_str().filter(|text| !text.is_empty()).ok_or("text: one of value and source")?;
    let size = size(&params["embeddingDimension"], &[3_072, 1_024, 384, 256])?;
    let one = json!({"embeddingType": "TEXT", "embedding": vector(value, size)});
    Ok(Said { body: json!({"embeddings": [one]}), input_tokens: tokens(value) })
}

fn one_of(body: &Value, key: &str, allowed: &[&str]) -> Result<(), String> {
    match body[key].as_str() {
        Some(value) if allowed.contains(&value) => Ok(()),
        _ => Err(format!("Value {} at '{key}' failed to satisfy enum value set: {allowed:?}", body[key])),
    }
}

/// The size that was asked for, or the first one.
fn size(asked: &Value, sizes: &[u64]) -> Result<u64, String> {
    let default = sizes.first().copied().unwrap_or_default();
    let size = if asked.is_null() { default } else { asked.as_u64().unwrap_or_default() };
    if sizes.contains(&size) { Ok(size) } else { Err(format!("{asked} is none of the dimensions {sizes:?}")) }
}

/// The words, as the count of tokens.
pub(super) fn tokens(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// A vector of this size that no other text has. The first number is the length of the text in characters, for tests to read.
fn vector(text: &str, size: u64) -> Value {
    let mut state = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let rest = (1..size).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // In sixteenths of thousandths, as an odd f32 would be.
        json!(((state >> 48) as f64 - 32_768.0) / 65_536.0)
    });
    std::iter::once(json!(text.chars().count())).chain(rest).collect()
}
