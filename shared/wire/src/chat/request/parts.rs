//! A client's body to the IR, part 4: content, as a string or in parts.

use serde_json::{Map, Value};

use super::decode::unknown;
use super::fields::{Path, array, object, string};
use super::messages::cache_control;
use crate::error::WireError;
use crate::ir::{Block, CacheTtl, Dropped, Source};

/// What a message may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// System and developer messages.
    Text,
    /// User messages, and tool messages: OpenAI takes text only there, but clients of other models send pictures, too.
    Media,
    /// Text, refusals, and thinking that a client replays.
    Assistant,
}

pub(super) fn decode(
    content: Value,
    path: &Path<'_>,
    allowed: Allowed,
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
        part(object(item, &path)?, &path, allowed, unmapped, &mut blocks)?;
    }
    Ok(blocks)
}

fn part(
    mut fields: Map<String, Value>,
    path: &Path<'_>,
    allowed: Allowed,
    unmapped: &mut Vec<Dropped>,
    blocks: &mut Vec<Block>,
) -> Result<(), WireError> {
    let kind = fields.swap_remove("type").ok_or_else(|| path.missing("type"))?;
    let kind = string(kind, &path.key("type"))?;
    let media = matches!(kind.as_str(), "image_url" | "file" | "input_audio");
    let known = match allowed {
        Allowed::Text => kind == "text",
        Allowed::Media => kind == "text" || media,
        Allowed::Assistant => matches!(kind.as_str(), "text" | "refusal" | "thinking" | "redacted_thinking"),
    };
    if !known {
        let expected = match allowed {
            Allowed::Text => "text",
            Allowed::Media => "text, image_url, input_audio or file",
            Allowed::Assistant => "text or refusal",
        };
        return Err(path.key("type").invalid(format!("expected {expected}, got {kind:?}")));
    }
    let mark = mark(&mut fields, path, unmapped)?;
    // The payload of a part stands under its type's name; of thinking, beside it.
    let block = match kind.as_str() {
        "thinking" | "redacted_thinking" => thinking_block(&kind, fields, path, unmapped)?,
        _ => {
            let value = fields.swap_remove(&kind).filter(|value| !value.is_null());
            let value = value.ok_or_else(|| path.missing(&kind))?;
            for (key, value) in &fields {
                if !value.is_null() {
                    unmapped.push(unknown(&path.key(key)));
                }
            }
            let path = path.key(&kind);
            match kind.as_str() {
                "text" => Block::Text(string(value, &path)?),
                "refusal" => Block::Refusal(string(value, &path)?),
                "image_url" => image(value, &path, unmapped)?,
                "input_audio" => audio(object(value, &path)?, &path, unmapped)?,
                _ => file(object(value, &path)?, &path, unmapped)?,
            }
        }
    };
    blocks.push(block);
    blocks.extend(mark.map(Block::CacheMark));
    Ok(())
}

/// `cache_control`, or OpenAI's own `prompt_cache_breakpoint`
/// (<https://platform.openai.com/docs/guides/prompt-caching>), whose lifetimes are 30 minutes and 12 hours.
pub(crate) fn mark(
    fields: &mut Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Option<CacheTtl>, WireError> {
    if let Some(value) = fields.swap_remove("cache_control").filter(|value| !value.is_null()) {
        return cache_control(value, &path.key("cache_control"), unmapped).map(Some);
    }
    let Some(value) = fields.swap_remove("prompt_cache_breakpoint").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let path = path.key("prompt_cache_breakpoint");
    let ttl = match object(value, &path)?.get("ttl").and_then(Value::as_str) {
        None => CacheTtl::FiveMinutes,
        Some("30m") => CacheTtl::OneHour,
        Some(_) => {
            unmapped.push(Dropped::new(path.key("ttl").to_string(), "cached for one hour, the longest there is"));
            CacheTtl::OneHour
        }
    };
    Ok(Some(ttl))
}

fn image(value: Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<Block, WireError> {
    let mut fields = match value {
        // Not OpenAI's form, but a common one.
        Value::String(url) => return Ok(Block::Image(source(url, path)?)),
        other => object(other, path)?,
    };
    let url = fields.swap_remove("url").ok_or_else(|| path.missing("url"))?;
    for (key, value) in &fields {
        let path = path.key(key);
        match key.as_str() {
            _ if value.is_null() => {}
            "detail" if value == "auto" => {}
            "detail" => unmapped.push(Dropped::new(path.to_string(), "only OpenAI has levels of detail")),
            _ => unmapped.push(unknown(&path)),
        }
    }
    let path = path.key("url");
    Ok(Block::Image(source(string(url, &path)?, &path)?))
}

pub(crate) fn audio(
    fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Block, WireError> {
    let (mut data, mut format) = (None, None);
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "data" => data = Some(string(value, &path)?),
            "format" => format = Some(string(value, &path)?),
            _ => unmapped.push(unknown(&path)),
        }
    }
    let data = data.ok_or_else(|| path.missing("data"))?;
    Ok(Block::Audio { data, format: format.ok_or_else(|| path.missing("format"))? })
}

fn file(fields: Map<String, Value>, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<Block, WireError> {
    let (mut data, mut id, mut name) = (None, None, None);
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "file_data" => data = Some(string(value, &path)?),
            "file_id" => id = Some(string(value, &path)?),
            "filename" => name = Some(string(value, &path)?),
            _ => unmapped.push(unknown(&path)),
        }
    }
    let source = match (data, id) {
        (Some(data), None) if is_data_url(&data) => source(data, &path.key("file_data"))?,
        // Bare base64. OpenAI reads PDF there, whatever the name says.
        (Some(data), None) => Source::Base64 { media_type: "application/pdf".to_owned(), data },
        // LiteLLM's clients put a document's URL here.
        (None, Some(id)) if is_url(&id) => Source::Url(id),
        (None, Some(id)) => Source::File(id),
        _ => return Err(path.invalid("expected exactly one of file_data and file_id")),
    };
    Ok(Block::Document { source, name })
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

pub(crate) fn is_data_url(text: &str) -> bool {
    starts_with(text, "data:")
}

pub(crate) fn is_url(text: &str) -> bool {
    starts_with(text, "https://") || starts_with(text, "http://")
}

/// `data:<media type>[;parameters];base64,<data>` or `http(s)://`.
pub(crate) fn source(mut url: String, path: &Path<'_>) -> Result<Source, WireError> {
    if is_url(&url) {
        return Ok(Source::Url(url));
    }
    if !is_data_url(&url) {
        return Err(path.invalid("expected an http(s) URL or a data URL"));
    }
    let comma = url.find(',').ok_or_else(|| path.invalid("the data URL has no comma"))?;
    let data = url.split_off(comma + 1);
    let head = url.get("data:".len()..comma).unwrap_or_default();
    let (media_type, parameters) = head.split_once(';').unwrap_or((head, ""));
    if !parameters.split(';').any(|parameter| parameter.trim().eq_ignore_ascii_case("base64")) {
        return Err(path.invalid("expected a data URL in base64"));
    }
    if !media_type.contains('/') {
        return Err(path.invalid("the data URL names no media type"));
    }
    Ok(Source::Base64 { media_type: media_type.trim().to_ascii_lowercase(), data })
}

/// An assistant message's `thinking_blocks`.
pub(super) fn thinking_blocks(
    value: Value,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Vec<Block>, WireError> {
    let mut blocks = Vec::new();
    for (index, item) in array(value, path)?.into_iter().enumerate() {
        let path = path.index(index);
        let mut fields = object(item, &path)?;
        let kind = fields.swap_remove("type").ok_or_else(|| path.missing("type"))?;
        let mark = mark(&mut fields, &path, unmapped)?;
        blocks.push(thinking_block(&string(kind, &path.key("type"))?, fields, &path, unmapped)?);
        blocks.extend(mark.map(Block::CacheMark));
    }
    Ok(blocks)
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
