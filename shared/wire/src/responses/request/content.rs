//! A client's body to the IR, part 3: content, as a string or in parts.

use serde_json::{Map, Value};

use crate::chat::request::decode::unknown;
use crate::chat::request::fields::{Path, object, string};
use crate::chat::request::parts::{audio, is_data_url, mark, source};
use crate::error::WireError;
use crate::ir::{Block, Dropped, Source};

/// Who says it, and so what it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Instructions: text only.
    Text,
    /// Users and tools.
    Media,
    /// The model.
    Assistant,
}

pub(super) fn decode(
    content: Value,
    path: &Path<'_>,
    said: Said,
    unmapped: &mut Vec<Dropped>,
) -> Result<Vec<Block>, WireError> {
    let items = match content {
        Value::String(text) => return Ok(vec![Block::Text(text)]),
        Value::Array(items) => items,
        other => return Err(path.expected("a string or an array of parts", &other)),
    };
    let mut blocks = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let path = path.index(index);
        let mut fields = object(item, &path)?;
        let mark = mark(&mut fields, &path, unmapped)?;
        blocks.push(part(fields, &path, said, unmapped)?);
        blocks.extend(mark.map(Block::CacheMark));
    }
    Ok(blocks)
}

fn part(
    mut fields: Map<String, Value>,
    path: &Path<'_>,
    said: Said,
    unmapped: &mut Vec<Dropped>,
) -> Result<Block, WireError> {
    let kind = fields.shift_remove("type").ok_or_else(|| path.missing("type"))?;
    let kind = string(kind, &path.key("type"))?;
    let mut text = |key: &str| {
        let value = fields.shift_remove(key).filter(|value| !value.is_null());
        value.map(|value| string(value, &path.key(key))).transpose()
    };
    let required = |found: Option<String>, key: &str| found.ok_or_else(|| path.missing(key));
    let block = match (kind.as_str(), said) {
        // Clients replay what a model said as input, and the other way round.
        ("input_text" | "output_text" | "text", _) => Block::Text(required(text("text")?, "text")?),
        ("refusal", Said::Assistant) => Block::Refusal(required(text("refusal")?, "refusal")?),
        ("input_image", Said::Media) => match (text("image_url")?, text("file_id")?) {
            (Some(url), None) => Block::Image(source(url, &path.key("image_url"))?),
            (None, Some(id)) => Block::Image(Source::File(id)),
            _ => return Err(path.invalid("expected exactly one of image_url and file_id")),
        },
        ("input_file", Said::Media) => {
            let (data, id, url) = (text("file_data")?, text("file_id")?, text("file_url")?);
            Block::Document { source: file(data, id, url, path)?, name: text("filename")? }
        }
        ("input_audio", Said::Media) => {
            let inner = fields.shift_remove("input_audio").ok_or_else(|| path.missing("input_audio"))?;
            let path = path.key("input_audio");
            audio(object(inner, &path)?, &path, unmapped)?
        }
        (other, said) => {
            let expected = match said {
                Said::Text => "input_text",
                Said::Media => "input_text, input_image, input_file or input_audio",
                Said::Assistant => "output_text or refusal",
            };
            return Err(path.key("type").invalid(format!("expected {expected}, got {other:?}")));
        }
    };
    rest(fields, path, unmapped);
    Ok(block)
}

fn file(data: Option<String>, id: Option<String>, url: Option<String>, path: &Path<'_>) -> Result<Source, WireError> {
    match (data, id, url) {
        (Some(data), None, None) if is_data_url(&data) => source(data, &path.key("file_data")),
        // Bare base64 is read as PDF, whatever the name says.
        (Some(data), None, None) => Ok(Source::Base64 { media_type: "application/pdf".to_owned(), data }),
        (None, Some(id), None) => Ok(Source::File(id)),
        (None, None, Some(url)) => source(url, &path.key("file_url")),
        _ => Err(path.invalid("expected exactly one of file_data, file_id and file_url")),
    }
}

fn rest(fields: Map<String, Value>, path: &Path<'_>, unmapped: &mut Vec<Dropped>) {
    for (key, value) in fields {
        let path = path.key(&key);
        let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        match key.as_str() {
            _ if empty => {}
            "detail" if value == "auto" => {}
            "detail" => unmapped.push(Dropped::new(path.to_string(), "only OpenAI has levels of detail")),
            "annotations" => {
                let reason = "other dialects have no place for citations of an earlier answer";
                unmapped.push(Dropped::new(path.to_string(), reason));
            }
            "logprobs" => {}
            _ => unmapped.push(unknown(&path)),
        }
    }
}
