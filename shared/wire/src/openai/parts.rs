//! A client's body to the IR: content, as a string or in parts.

use serde_json::{Map, Value};

use super::cited::are_pages;
use super::fields::{Path, object, string};
use super::settings::unknown;
use crate::error::WireError;
use crate::ir::{Block, CacheTtl, Dropped, Message, NO_DETAIL, Request, Role, Source};

/// Who says it, and so what it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// Instructions: text only.
    Text,
    /// Users and tools. (OpenAI's own tools answer with text in chat completions, but clients of other models send pictures, too.)
    Media,
    /// The model.
    Assistant,
}

/// Reads one part. Its type and its cache mark are already taken out.
pub(crate) type ReadPart<'r> =
    &'r dyn Fn(&str, Map<String, Value>, &Path<'_>, &mut Vec<Dropped>) -> Result<Block, WireError>;

/// Content: a string, or parts that `read` knows.
pub(crate) fn decode(
    content: Value,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
    read: ReadPart<'_>,
) -> Result<Vec<Block>, WireError> {
    let items = match content {
        Value::String(text) => return Ok(vec![Block::Text(text)]),
        Value::Array(items) => items,
        other => return Err(path.expected("a string or an array of parts", &other)),
    };
    list(items, path, unmapped, read)
}

/// A list of parts.
pub(crate) fn list(
    items: Vec<Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
    read: ReadPart<'_>,
) -> Result<Vec<Block>, WireError> {
    let mut blocks = Vec::with_capacity(items.len());
    let mut details = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let path = path.index(index);
        let mut fields = object(item, &path)?;
        let kind = fields.shift_remove("type").ok_or_else(|| path.missing("type"))?;
        let kind = string(kind, &path.key("type"))?;
        let mark = mark(&mut fields, &path, unmapped)?;
        let level = detail(&kind, &mut fields, &path, unmapped);
        details.extend(level.map(|level| Block::Detail { of: blocks.len(), level }));
        blocks.push(read(&kind, fields, &path, unmapped)?);
        blocks.extend(mark.map(Block::CacheMark));
    }
    blocks.extend(details);
    Ok(blocks)
}

/// A picture's level of detail: in chat completions it stands beside the URL, in Responses in the part.
fn detail(kind: &str, fields: &mut Map<String, Value>, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Option<String> {
    let inner = path.key("image_url");
    let (fields, path) = match kind {
        "image_url" => (fields.get_mut(kind)?.as_object_mut()?, &inner),
        "input_image" => (fields, path),
        _ => return None,
    };
    let Some(Value::String(level)) = fields.get("detail") else { return None };
    let level = level.clone();
    fields.shift_remove("detail");
    if level == "auto" {
        return None;
    }
    unmapped.push(Dropped::new(path.key("detail").to_string(), NO_DETAIL));
    Some(level)
}

/// `cache_control`, or OpenAI's own `prompt_cache_breakpoint`
/// (<https://platform.openai.com/docs/guides/prompt-caching>), whose lifetimes are 30 minutes and 12 hours.
fn mark(
    fields: &mut Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Option<CacheTtl>, WireError> {
    if let Some(value) = fields.shift_remove("cache_control").filter(|value| !value.is_null()) {
        return cache_control(value, &path.key("cache_control"), unmapped).map(Some);
    }
    let Some(value) = fields.shift_remove("prompt_cache_breakpoint").filter(|value| !value.is_null()) else {
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

/// `{"type": "ephemeral", "ttl": "5m" | "1h"}`, as LiteLLM and OpenRouter pass it on to Anthropic.
pub(crate) fn cache_control(value: Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<CacheTtl, WireError> {
    let mut ttl = CacheTtl::default();
    for (key, value) in object(value, path)? {
        let path = path.key(&key);
        match (key.as_str(), value.as_str()) {
            _ if value.is_null() => {}
            ("type", Some("ephemeral")) | ("ttl", Some("5m")) => {}
            ("ttl", Some("1h")) => ttl = CacheTtl::OneHour,
            ("type", _) => return Err(path.invalid("expected \"ephemeral\"")),
            ("ttl", _) => return Err(path.invalid("expected \"5m\" or \"1h\"")),
            _ => unmapped.push(unknown(&path)),
        }
    }
    Ok(ttl)
}

/// OpenAI answers instructions alone; others want a turn of the user's.
pub(crate) fn instructions_alone(request: &mut Request, path: &Path<'_>) {
    if request.messages.is_empty() && !request.system.is_empty() {
        let reason = "instructions without a conversation: sent as the user's text";
        request.unmapped.push(Dropped::new(path.index(0).key("role").to_string(), reason));
        request.messages.push(Message { role: Role::User, blocks: std::mem::take(&mut request.system) });
    }
}

/// Sound.
pub(crate) fn audio(value: Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<Block, WireError> {
    let (mut data, mut format) = (None, None);
    for (key, value) in object(value, path)? {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "data" => data = Some(in_one_line(string(value, &path)?)),
            "format" => format = Some(string(value, &path)?),
            _ => unmapped.push(unknown(&path)),
        }
    }
    let data = data.ok_or_else(|| path.missing("data"))?;
    Ok(Block::Audio { data, format: format.ok_or_else(|| path.missing("format"))? })
}

/// A file's fields: what chat completions has under `file`, and Responses beside the type.
pub(crate) fn file(
    fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Block, WireError> {
    let (mut data, mut id, mut url, mut name) = (None, None, None, None);
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "file_data" => data = Some(string(value, &path)?),
            "file_id" => id = Some(string(value, &path)?),
            "file_url" => url = Some(string(value, &path)?),
            "filename" => name = Some(string(value, &path)?),
            _ => other_field(&key, &value, &path, unmapped),
        }
    }
    let source = match (data, id, url) {
        (Some(data), None, None) if is_data_url(&data) => source(data, &path.key("file_data"))?,
        // Bare base64. OpenAI reads PDF there, whatever the name says.
        (Some(data), None, None) => {
            Source::Base64 { media_type: "application/pdf".to_owned(), data: in_one_line(data) }
        }
        // LiteLLM's clients put a document's URL here.
        (None, Some(id), None) if is_url(&id) => Source::Url(id),
        (None, Some(id), None) => Source::File(id),
        (None, None, Some(url)) => source(url, &path.key("file_url"))?,
        _ => return Err(path.invalid("expected exactly one of file_data, file_id and file_url")),
    };
    Ok(Block::Document { source, name })
}

/// A field of a part that the IR does not hold.
pub(crate) fn other_field(key: &str, value: &Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) {
    let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let reason = match key {
        _ if empty => return,
        "logprobs" => return,
        "annotations" if are_pages(value) => return,
        "annotations" => "other dialects have no place for citations of an earlier answer",
        _ => return unmapped.push(unknown(path)),
    };
    unmapped.push(Dropped::new(path.to_string(), reason));
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_data_url(text: &str) -> bool {
    starts_with(text, "data:")
}

fn is_url(text: &str) -> bool {
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
    let media_type = match media_type.trim().to_ascii_lowercase() {
        // No type that is registered, and a common one: Anthropic, Google and Converse know the other.
        jpeg if jpeg == "image/jpg" => "image/jpeg".to_owned(),
        other => other,
    };
    Ok(Source::Base64 { media_type, data: in_one_line(data) })
}

/// Base64 as MIME writes it has line breaks, which OpenAI reads over and others do not.
fn in_one_line(mut data: String) -> String {
    if data.contains('\n') {
        data.retain(|c| !c.is_ascii_whitespace());
    }
    data
}
