//! A client's body to the IR, part 4: content, as a string or in parts.

use serde_json::{Map, Value};

use crate::error::WireError;
use crate::ir::{Block, Dropped};
use crate::openai::fields::{Path, array, object, string};
use crate::openai::parts::{self, Said, audio, file, list, other_field, source};
use crate::openai::settings::{report_unknown, unknown};

pub(super) fn decode(
    content: Value,
    path: &Path<'_>,
    said: Said,
    unmapped: &mut Vec<Dropped>,
) -> Result<Vec<Block>, WireError> {
    parts::decode(content, path, unmapped, &|kind, fields, path, unmapped| part(kind, fields, path, said, unmapped))
}

fn part(
    kind: &str,
    mut fields: Map<String, Value>,
    path: &Path<'_>,
    said: Said,
    unmapped: &mut Vec<Dropped>,
) -> Result<Block, WireError> {
    let expected = match said {
        Said::Text => &["text"][..],
        Said::Media => &["text", "image_url", "input_audio", "file"],
        Said::Assistant if kind.ends_with("thinking") => return thinking_block(kind, fields, path, unmapped),
        Said::Assistant => &["text", "refusal"],
    };
    if !expected.contains(&kind) {
        return Err(path.key("type").invalid(format!("expected {}, got {kind:?}", expected.join(", "))));
    }
    // The payload of a part stands under its type's name.
    let value = fields.shift_remove(kind).filter(|value| !value.is_null());
    let value = value.ok_or_else(|| path.missing(kind))?;
    report_unknown(&fields, path, unmapped);
    let path = path.key(kind);
    Ok(match kind {
        "text" => Block::Text(string(value, &path)?),
        "refusal" => Block::Refusal(string(value, &path)?),
        "image_url" => image(value, &path, unmapped)?,
        "input_audio" => audio(value, &path, unmapped)?,
        _ => file(object(value, &path)?, &path, unmapped)?,
    })
}

fn image(value: Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<Block, WireError> {
    let mut fields = match value {
        // Not OpenAI's form, but a common one.
        Value::String(url) => return Ok(Block::Image(source(url, path)?)),
        other => object(other, path)?,
    };
    let url = fields.shift_remove("url").ok_or_else(|| path.missing("url"))?;
    for (key, value) in &fields {
        other_field(key, value, &path.key(key), unmapped);
    }
    let path = path.key("url");
    Ok(Block::Image(source(string(url, &path)?, &path)?))
}

/// An assistant message's `thinking_blocks`.
pub(super) fn thinking_blocks(
    value: Value,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Vec<Block>, WireError> {
    list(array(value, path)?, path, unmapped, &thinking_block)
}

fn thinking_block(
    kind: &str,
    fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Block, WireError> {
    let (mut text, mut signature, mut data) = (None, None, None);
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "thinking" => text = Some(string(value, &path)?),
            "signature" => signature = Some(string(value, &path)?).filter(|text| !text.is_empty()),
            "data" => data = Some(string(value, &path)?),
            _ => unmapped.push(unknown(&path)),
        }
    }
    match kind {
        "thinking" => Ok(Block::Thinking { text: text.unwrap_or_default(), signature }),
        "redacted_thinking" => Ok(Block::RedactedThinking(data.ok_or_else(|| path.missing("data"))?)),
        other => {
            let message = format!("expected \"thinking\" or \"redacted_thinking\", got {other:?}");
            Err(path.key("type").invalid(message))
        }
    }
}
