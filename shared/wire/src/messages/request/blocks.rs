//! A client's content blocks to the IR.
//!
//! | block | here |
//! |---|---|
//! | `text`, `image`, `tool_use`, `tool_result`, `thinking`, `redacted_thinking` | its block |
//! | `document` | a document; of source `content`, its parts |
//! | `search_result` | text, reported |
//! | `server_tool_use`, `*_tool_result`, another unknown one that a model said | left out, reported: the answer that followed is still there |
//! | `tool_reference`, `compaction` | text: the tool's name, the summary; reported |
//! | `container_upload`, another unknown one that a user said | an error: the model would answer without knowing it |

use serde_json::Value;

use super::object::{Object, expected};
use crate::error::WireError;
use crate::ir::{Block, CacheTtl, Dropped, Role, Source};

/// A message's content: a string, or blocks.
pub(super) fn decode_content(
    content: Value,
    path: &str,
    role: Role,
    unmapped: &mut Vec<Dropped>,
) -> Result<Vec<Block>, WireError> {
    each(content, path, |mut fields, out| {
        let kind = fields.kind()?;
        decode_block(&kind, &mut fields, role, out, unmapped)?;
        mark_and_finish(fields, out, unmapped)
    })
}

/// Content that is only text: `system`, and parts of other blocks.
pub(super) fn decode_texts(content: Value, path: &str, unmapped: &mut Vec<Dropped>) -> Result<Vec<Block>, WireError> {
    each(content, path, |mut fields, out| {
        let kind = fields.kind()?;
        if kind != "text" {
            return Err(fields.unknown("type", &kind, "`text`"));
        }
        decode_text(&mut fields, out)?;
        mark_and_finish(fields, out, unmapped)
    })
}

fn each(
    content: Value,
    path: &str,
    mut decode: impl FnMut(Object, &mut Vec<Block>) -> Result<(), WireError>,
) -> Result<Vec<Block>, WireError> {
    let mut out = Vec::new();
    match content {
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => out.push(Block::Text(text)),
        Value::Array(blocks) => {
            for (index, block) in blocks.into_iter().enumerate() {
                decode(Object::new(block, format!("{path}[{index}]"))?, &mut out)?;
            }
        }
        other => return Err(expected(path, "a string or an array of blocks", &other)),
    }
    Ok(out)
}

fn mark_and_finish(mut fields: Object, out: &mut Vec<Block>, unmapped: &mut Vec<Dropped>) -> Result<(), WireError> {
    match cache_mark(&mut fields)? {
        Some(ttl) if !out.is_empty() => out.push(Block::CacheMark(ttl)),
        Some(_) => unmapped.push(Dropped::new(fields.at("cache_control"), "there is nothing before it to cache")),
        None => {}
    }
    fields.finish(unmapped);
    Ok(())
}

/// Its `cache_control`.
pub(super) fn cache_mark(fields: &mut Object) -> Result<Option<CacheTtl>, WireError> {
    let Some(mut mark) = fields.object("cache_control")? else { return Ok(None) };
    let kind = mark.kind()?;
    if kind != "ephemeral" {
        return Err(mark.unknown("type", &kind, "`ephemeral`"));
    }
    match mark.string("ttl")?.as_deref() {
        None | Some("5m") => Ok(Some(CacheTtl::FiveMinutes)),
        Some("1h") => Ok(Some(CacheTtl::OneHour)),
        Some(other) => Err(mark.unknown("ttl", other, "`5m` or `1h`")),
    }
}

fn decode_block(
    kind: &str,
    fields: &mut Object,
    role: Role,
    out: &mut Vec<Block>,
    unmapped: &mut Vec<Dropped>,
) -> Result<(), WireError> {
    match kind {
        "text" => decode_text(fields, out)?,
        "image" => out.push(Block::Image(decode_image(fields)?)),
        "document" => decode_document(fields, out, unmapped)?,
        "search_result" => decode_search_result(fields, out, unmapped)?,
        "tool_use" => out.push(decode_tool_use(fields)?),
        "tool_result" => out.push(decode_tool_result(fields, unmapped)?),
        "thinking" => {
            let signature = fields.string("signature")?.filter(|signature| !signature.is_empty());
            out.push(Block::Thinking { text: fields.required_string("thinking")?, signature });
        }
        "redacted_thinking" => out.push(Block::RedactedThinking(fields.required_string("data")?)),
        // What a client's own search of tools found: all tools are told to others from the beginning.
        "tool_reference" => as_text(fields.required_string("tool_name")?, fields, out, unmapped),
        // The turns that it sums up stand before it.
        "compaction" => as_text(fields.string("content")?.unwrap_or_default(), fields, out, unmapped),
        _ if role == Role::Assistant && kind != "container_upload" => {
            fields.clear();
            let reason = format!("`{kind}` is Anthropic's own block, which this upstream does not have; left out");
            unmapped.push(Dropped::new(fields.path(), reason));
        }
        _ => {
            let message = format!("this upstream cannot be given a `{kind}` block; send its content as text");
            return Err(WireError::unsupported(fields.path(), message));
        }
    }
    Ok(())
}

fn as_text(text: String, fields: &Object, out: &mut Vec<Block>, unmapped: &mut Vec<Dropped>) {
    unmapped.push(Dropped::new(fields.path(), "only Anthropic's models know it as such; sent as text"));
    if !text.is_empty() {
        out.push(Block::Text(text));
    }
}

fn decode_text(fields: &mut Object, out: &mut Vec<Block>) -> Result<(), WireError> {
    let text = fields.required_string("text")?;
    if fields.array("citations")?.is_some_and(|citations| !citations.is_empty()) {
        fields.put_back("citations", Value::Bool(true));
    }
    if !text.is_empty() {
        out.push(Block::Text(text));
    }
    Ok(())
}

fn source(fields: &mut Object) -> Result<(Object, String), WireError> {
    let mut source = fields.object("source")?.ok_or_else(|| fields.missing("source"))?;
    let kind = source.kind()?;
    Ok((source, kind))
}

fn decode_image(fields: &mut Object) -> Result<Source, WireError> {
    let (mut source, kind) = source(fields)?;
    Ok(match kind.as_str() {
        "base64" => base64(&mut source)?,
        "url" => Source::Url(source.required_string("url")?),
        "file" => Source::File(source.required_string("file_id")?),
        other => return Err(source.unknown("type", other, "`base64`, `url` or `file`")),
    })
}

fn base64(source: &mut Object) -> Result<Source, WireError> {
    Ok(Source::Base64 { media_type: source.required_string("media_type")?, data: source.required_string("data")? })
}

fn decode_document(fields: &mut Object, out: &mut Vec<Block>, unmapped: &mut Vec<Dropped>) -> Result<(), WireError> {
    let name = fields.string("title")?;
    drop_citations(fields, unmapped)?;
    let (mut source, kind) = source(fields)?;
    let document = match kind.as_str() {
        "base64" => base64(&mut source)?,
        "text" => Source::Text(source.required_string("data")?),
        "url" => Source::Url(source.required_string("url")?),
        "file" => Source::File(source.required_string("file_id")?),
        "content" => {
            let content = source.take("content").ok_or_else(|| source.missing("content"))?;
            out.extend(name.map(Block::Text));
            out.extend(decode_content(content, &source.at("content"), Role::User, unmapped)?);
            return Ok(());
        }
        other => return Err(source.unknown("type", other, "`base64`, `text`, `url`, `file` or `content`")),
    };
    out.push(Block::Document { source: document, name });
    Ok(())
}

/// Citations that are asked for cannot be had elsewhere.
fn drop_citations(fields: &mut Object, unmapped: &mut Vec<Dropped>) -> Result<(), WireError> {
    if let Some(mut citations) = fields.object("citations")?
        && citations.bool("enabled")? == Some(true)
    {
        unmapped.push(Dropped::new(citations.path(), "only Anthropic's models cite their sources in this form"));
    }
    Ok(())
}

fn decode_search_result(
    fields: &mut Object,
    out: &mut Vec<Block>,
    unmapped: &mut Vec<Dropped>,
) -> Result<(), WireError> {
    let mut text = format!("{}\n{}\n", fields.required_string("title")?, fields.required_string("source")?);
    drop_citations(fields, unmapped)?;
    let content = fields.take("content").ok_or_else(|| fields.missing("content"))?;
    for block in decode_texts(content, &fields.at("content"), unmapped)? {
        if let Block::Text(part) = block {
            text.push('\n');
            text.push_str(&part);
        }
    }
    unmapped.push(Dropped::new(fields.path(), "only Anthropic's models know search results as such; sent as text"));
    out.push(Block::Text(text));
    Ok(())
}

fn decode_tool_use(fields: &mut Object) -> Result<Block, WireError> {
    let input = match fields.take("input") {
        Some(input @ Value::Object(_)) => input,
        Some(other) => return Err(expected(fields.at("input"), "an object", &other)),
        None => return Err(fields.missing("input")),
    };
    let id = fields.required_string("id")?;
    let name = fields.required_string("name")?;
    // Called by the model itself, as every call is elsewhere.
    if let Some(caller) = fields.take("caller")
        && caller.get("type").and_then(Value::as_str) != Some("direct")
    {
        fields.put_back("caller", caller);
    }
    Ok(Block::ToolUse { id, name, input })
}

fn decode_tool_result(fields: &mut Object, unmapped: &mut Vec<Dropped>) -> Result<Block, WireError> {
    let id = fields.required_string("tool_use_id")?;
    let is_error = fields.bool("is_error")?.unwrap_or(false);
    let content = match fields.take("content") {
        Some(content) => decode_content(content, &fields.at("content"), Role::User, unmapped)?,
        None => Vec::new(),
    };
    Ok(Block::ToolResult { id, content, is_error })
}
