//! A client's request to the IR.

use serde_json::{Value, json};

use super::super::error::no_compaction;
use super::blocks::{cache_mark, decode_content, decode_texts};
use super::object::{Object, expected};
use super::own;
use crate::error::WireError;
use crate::ir::{self, Block, Dropped, Message, OutputFormat, Role, ThinkingMode, Tool, ToolChoice, WebSearch};
use crate::json;

/// Reads a client's request: <https://platform.claude.com/docs/en/api/messages>. What the IR cannot hold is in `unmapped`; what must not be left out
/// is an error.
pub fn decode_request(body: &[u8]) -> Result<ir::Request, WireError> {
    let value: Value = json::read(body).map_err(|error| WireError::NotJson { message: error.to_string() })?;
    let mut body = Object::new(value, "")?;
    let mut unmapped = Vec::new();
    let mut request = ir::Request {
        model: body.required_string("model")?,
        max_output_tokens: Some(max_tokens(&mut body)?),
        temperature: body.f64("temperature")?,
        top_p: body.f64("top_p")?,
        top_k: body.u64("top_k")?,
        stream: body.bool("stream")?.unwrap_or(false),
        include_usage: true,
        stop: strings(&mut body, "stop_sequences")?,
        ..ir::Request::default()
    };
    if let Some(system) = body.take("system") {
        request.system = decode_texts(system, "system", &mut unmapped)?;
    }
    let messages = body.array("messages")?.ok_or_else(|| body.missing("messages"))?;
    for (index, message) in messages.into_iter().enumerate() {
        request.messages.extend(decode_message(message, &format!("messages[{index}]"), &mut unmapped)?);
    }
    decode_tools(&mut body, &mut request, &mut unmapped)?;
    decode_thinking(&mut body, &mut request, &mut unmapped)?;
    decode_output(&mut body, &mut request, &mut unmapped)?;
    if let Some(mut metadata) = body.object("metadata")? {
        request.user = metadata.string("user_id")?;
        metadata.finish(&mut unmapped);
    }
    if let (Some(ttl), Some(last)) = (cache_mark(&mut body)?, request.messages.last_mut())
        && !matches!(last.blocks.last(), Some(Block::CacheMark(_)))
    {
        last.blocks.push(Block::CacheMark(ttl));
    }
    if body.take("compaction").is_some() {
        return Err(no_compaction());
    }
    if let Some(word) = body.string("service_tier")? {
        request.tier = ir::Tier::wanted(&word, "service_tier".to_owned(), &mut unmapped);
    }
    match body.string("speed")?.as_deref() {
        // Anthropic's word for what the others have as a tier.
        Some("fast") if request.tier.is_none() => request.tier = Some(ir::Tier::Priority),
        Some(speed) if speed != "standard" => body.put_back("speed", speed.into()),
        _ => {}
    }
    ignore_defaults(&mut body);
    body.finish(&mut unmapped);
    request.unmapped = unmapped;
    Ok(request)
}

fn max_tokens(body: &mut Object) -> Result<u64, WireError> {
    match body.u64("max_tokens")? {
        None => Err(body.missing("max_tokens")),
        Some(0) => Err(WireError::unsupported(
            "max_tokens",
            "0 fills Anthropic's prompt cache and writes nothing, which this upstream cannot do; ask for at least 1",
        )),
        Some(tokens) => Ok(tokens),
    }
}

/// A field whose default says nothing.
fn ignore_defaults(body: &mut Object) {
    if let Some(value) = body.take("mcp_servers").filter(|value| *value != json!([])) {
        body.put_back("mcp_servers", value);
    }
}

fn strings(body: &mut Object, name: &str) -> Result<Vec<String>, WireError> {
    let path = body.at(name);
    let texts = body.array(name)?.unwrap_or_default().into_iter().enumerate().map(|(index, value)| match value {
        Value::String(text) => Ok(text),
        other => Err(expected(format!("{path}[{index}]"), "a string", &other)),
    });
    texts.collect()
}

/// A message; `None` if there is nothing in it.
fn decode_message(value: Value, path: &str, unmapped: &mut Vec<Dropped>) -> Result<Option<Message>, WireError> {
    let mut fields = Object::new(value, path)?;
    let role = fields.required_string("role")?;
    let role = match role.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        other => return Err(fields.unknown("role", other, "`user`, `assistant` or `system`")),
    };
    let content = fields.take("content").ok_or_else(|| fields.missing("content"))?;
    let blocks = decode_content(content, &fields.at("content"), role, unmapped)?;
    fields.finish(unmapped);
    Ok((!blocks.is_empty()).then_some(Message { role, blocks }))
}

fn decode_tools(body: &mut Object, request: &mut ir::Request, unmapped: &mut Vec<Dropped>) -> Result<(), WireError> {
    for (index, tool) in body.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        let tool = decode_tool(Object::new(tool, format!("tools[{index}]"))?, &mut request.web_search, unmapped)?;
        request.tools.extend(tool);
    }
    let Some(mut choice) = body.object("tool_choice")? else { return Ok(()) };
    request.parallel_tool_calls = choice.bool("disable_parallel_tool_use")?.map(|disabled| !disabled);
    let kind = choice.kind()?;
    let decoded = match kind.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Any,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Tool(choice.required_string("name")?),
        other => return Err(choice.unknown("type", other, "`auto`, `any`, `tool` or `none`")),
    };
    let possible = match &decoded {
        ToolChoice::Tool(name) => request.tools.iter().any(|tool| tool.name == *name),
        ToolChoice::Any => !request.tools.is_empty(),
        ToolChoice::Auto | ToolChoice::None => true,
    };
    if possible {
        request.tool_choice = Some(decoded);
    } else {
        unmapped.push(Dropped::new("tool_choice", "asks for a tool that is not among those that this upstream gets"));
    }
    choice.finish(unmapped);
    Ok(())
}

/// A tool; `None` for one that only Anthropic's models know.
fn decode_tool(
    mut fields: Object,
    search: &mut Option<WebSearch>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Option<Tool>, WireError> {
    if let Some(kind) = fields.string("type")?
        && kind != "custom"
    {
        if kind.starts_with("web_search_") && search.is_none() {
            *search = Some(decode_search(fields, unmapped)?);
            return Ok(None);
        }
        let name = fields.string("name")?.unwrap_or_default();
        if let Some((description, schema)) = own::function(&kind, &name) {
            let description = Some(description.to_owned());
            return Ok(Some(Tool {
                name,
                description,
                schema,
                strict: None,
                cache: cache_mark(&mut fields)?,
                custom: None,
            }));
        }
        let reason = format!("`{kind}` is Anthropic's own tool, which this upstream does not have; left out");
        unmapped.push(Dropped::new(fields.path(), reason));
        return Ok(None);
    }
    let schema = match fields.take("input_schema") {
        Some(schema @ Value::Object(_)) => schema,
        Some(other) => return Err(expected(fields.at("input_schema"), "an object", &other)),
        None => return Err(fields.missing("input_schema")),
    };
    let tool = Tool {
        name: fields.required_string("name")?,
        description: fields.string("description")?,
        schema,
        strict: fields.bool("strict")?,
        cache: cache_mark(&mut fields)?,
        custom: None,
    };
    // How arguments are streamed is the upstream's matter; being called by the model itself is what every upstream does.
    fields.take("eager_input_streaming");
    for (name, default) in [("defer_loading", json!(false)), ("allowed_callers", json!(["direct"]))] {
        match fields.take(name) {
            Some(value) if value != default => fields.put_back(name, value),
            _ => {}
        }
    }
    fields.finish(unmapped);
    Ok(Some(tool))
}

/// The search that Anthropic does itself.
fn decode_search(mut fields: Object, unmapped: &mut Vec<Dropped>) -> Result<WebSearch, WireError> {
    let mut search = WebSearch {
        path: fields.path().to_owned(),
        allowed: strings(&mut fields, "allowed_domains")?,
        blocked: strings(&mut fields, "blocked_domains")?,
        max_uses: fields.u64("max_uses")?,
        ..WebSearch::default()
    };
    if let Some(Value::Object(mut place)) = fields.take("user_location") {
        place.retain(|key, value| key != "type" && !value.is_null());
        search.location = place;
    }
    // Its name is always the same; a mark on it changes the cost.
    fields.take("name");
    cache_mark(&mut fields)?;
    fields.finish(unmapped);
    Ok(search)
}

fn decode_thinking(body: &mut Object, request: &mut ir::Request, unmapped: &mut Vec<Dropped>) -> Result<(), WireError> {
    let Some(mut thinking) = body.object("thinking")? else { return Ok(()) };
    let kind = thinking.kind()?;
    request.thinking = Some(match kind.as_str() {
        "adaptive" => ThinkingMode::Adaptive,
        "disabled" => ThinkingMode::Disabled,
        "enabled" => {
            let budget = thinking.u64("budget_tokens")?;
            ThinkingMode::Budget(budget.ok_or_else(|| thinking.missing("budget_tokens"))?)
        }
        "between_tools" => {
            unmapped
                .push(Dropped::new("thinking.type", "only Claude Sonnet 5.5 knows `between_tools`; thinking is off"));
            ThinkingMode::Disabled
        }
        other => return Err(thinking.unknown("type", other, "`adaptive`, `enabled`, `disabled` or `between_tools`")),
    });
    match thinking.string("display")? {
        Some(display) if display != "summarized" => {
            unmapped.push(Dropped::new("thinking.display", "this upstream decides what it shows of its thinking"));
        }
        _ => {}
    }
    thinking.finish(unmapped);
    Ok(())
}

fn decode_output(body: &mut Object, request: &mut ir::Request, unmapped: &mut Vec<Dropped>) -> Result<(), WireError> {
    // The field of the beta, before it moved.
    let mut format = body.object("output_format")?;
    if let Some(mut config) = body.object("output_config")? {
        request.effort = config.string("effort")?;
        format = config.object("format")?.or(format);
        config.finish(unmapped);
    }
    let Some(mut format) = format else { return Ok(()) };
    let kind = format.kind()?;
    if kind != "json_schema" {
        return Err(format.unknown("type", &kind, "`json_schema`"));
    }
    let schema = format.take("schema").ok_or_else(|| format.missing("schema"))?;
    // Anthropic's output follows any schema that it takes. Others enforce only closed ones whose members are all required, and refuse the rest.
    let strict = is_complete(&schema).then_some(true);
    request.output_format = Some(OutputFormat::JsonSchema { name: None, description: None, schema, strict });
    format.finish(unmapped);
    Ok(())
}

/// Is every object of this schema closed, and each of its members required?
fn is_complete(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let complete = match fields.get("properties").and_then(Value::as_object) {
                Some(members) => {
                    let required = fields.get("required").and_then(Value::as_array);
                    let names = |name: &String| required.is_some_and(|required| required.iter().any(|r| r == name));
                    fields.get("additionalProperties") == Some(&Value::Bool(false)) && members.keys().all(names)
                }
                None => fields.get("type") != Some(&json!("object")),
            };
            complete && fields.values().all(is_complete)
        }
        Value::Array(items) => items.iter().all(is_complete),
        _ => true,
    }
}
