//! A client's body to the IR: everything but its contents.
//!
//! The request's model and whether it streams stand in the path; [`Inbound`](crate::exchange::Inbound) adds them. What Google alone has is reported;
//! what must not be left out (a cached prefix, a video) is an error.

use serde_json::Value;

use super::contents::{self, system_parts};
use super::fields::Object;
use super::schema::to_json_schema;
use crate::error::WireError;
use crate::ir::{self, Block, Dropped, NO_DETAIL, OutputFormat, ThinkingMode, Tool, ToolChoice, WebSearch};
use crate::json;

const ONLY_GEMINI: &str = "only Gemini has it";

/// Reads a client's request.
pub fn decode_request(body: &[u8]) -> Result<ir::Request, WireError> {
    let value: Value = json::read(body).map_err(|error| WireError::NotJson { message: error.to_string() })?;
    let mut body = Object::new(value, "")?;
    // The SDKs that call `:countTokens` and batches repeat the path's model here.
    drop(body.take("model"));
    if let Some((_, path)) = body.take("cachedContent") {
        let message = "a cached prefix exists only at Google: send it as contents, or route this model to Gemini";
        return Err(WireError::unsupported(path, message));
    }
    let mut request = ir::Request { include_usage: true, ..ir::Request::default() };
    if let Some(system) = body.object("systemInstruction")? {
        request.system = system_parts(system, &mut request.unmapped)?;
    }
    let items = body.array("contents")?;
    if items.is_empty() {
        return Err(body.missing("contents"));
    }
    request.messages = contents::decode(items, &mut request.unmapped)?;
    request.tools = tools(&mut body, &mut request.web_search, &mut request.unmapped)?;
    if let Some(config) = body.object("toolConfig")? {
        tool_config(config, &mut request)?;
    }
    if let Some(config) = body.object("generationConfig")? {
        generation_config(config, &mut request)?;
    }
    let path = body.at("serviceTier");
    if let Some(word) = body.string("serviceTier")? {
        request.tier = ir::Tier::wanted(&word, path, &mut request.unmapped);
    }
    if let Some((labels, path)) = body.take("labels") {
        request.metadata = crate::openai::settings::labels(&labels);
        request.unmapped.push(Dropped::new(path, "a label of Google's bill"));
    }
    body.finish(ONLY_GEMINI, &mut request.unmapped);
    if request.tools.is_empty() && request.tool_choice == Some(ToolChoice::Auto) {
        request.tool_choice = None;
    }
    Ok(request)
}

fn tools(
    body: &mut Object,
    search: &mut Option<WebSearch>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Vec<Tool>, WireError> {
    let mut tools = Vec::new();
    for (item, path) in body.array("tools")? {
        let mut item = Object::new(item, path)?;
        for (declaration, path) in item.array("functionDeclarations")? {
            tools.push(declaration_of(Object::new(declaration, path)?, unmapped)?);
        }
        if let Some(mut found) = item.object("googleSearch")? {
            let blocked = found.strings("excludeDomains")?;
            search.get_or_insert(WebSearch { blocked, path: found.path().to_owned(), ..WebSearch::default() });
            found.finish(ONLY_GEMINI, unmapped);
        }
        item.finish("Google runs this tool itself, and this upstream does not: left out", unmapped);
    }
    Ok(tools)
}

fn declaration_of(mut fields: Object, unmapped: &mut Vec<Dropped>) -> Result<Tool, WireError> {
    let name = fields.string("name")?.ok_or_else(|| fields.missing("name"))?;
    let description = fields.string("description")?;
    let json_schema = fields.take("parametersJsonSchema").map(|(schema, _)| schema);
    let schema = json_schema.or_else(|| fields.take("parameters").map(|(schema, _)| to_json_schema(schema)));
    let schema = schema.filter(|schema| schema.as_object().is_some_and(|members| !members.is_empty()));
    let schema = schema.unwrap_or_else(|| serde_json::json!({ "type": "object", "properties": {} }));
    fields.finish(ONLY_GEMINI, unmapped);
    Ok(Tool { name, description, schema, strict: None, cache: None, custom: None })
}

fn tool_config(mut config: Object, request: &mut ir::Request) -> Result<(), WireError> {
    if let Some(mut calling) = config.object("functionCallingConfig")? {
        let path = calling.at("mode");
        let mode = calling.string("mode")?.unwrap_or_default().to_ascii_uppercase();
        let allowed = calling.strings("allowedFunctionNames")?;
        let choice = match mode.as_str() {
            "" | "MODE_UNSPECIFIED" | "AUTO" => ToolChoice::Auto,
            "VALIDATED" => {
                let reason = "only Gemini checks calls against their schemas: the model decides";
                request.unmapped.push(Dropped::new(path, reason));
                ToolChoice::Auto
            }
            "NONE" => ToolChoice::None,
            "ANY" => match allowed.as_slice() {
                [name] => ToolChoice::Tool(name.clone()),
                _ => ToolChoice::Any,
            },
            other => {
                let message =
                    format!("expected AUTO, ANY, NONE or VALIDATED, got {:?}", other.escape_debug().to_string());
                return Err(WireError::invalid(path, message));
            }
        };
        if !allowed.is_empty() && !matches!(choice, ToolChoice::Tool(_)) {
            request.allow(&allowed);
        }
        request.tool_choice = Some(choice);
        calling.finish(ONLY_GEMINI, &mut request.unmapped);
    }
    config.finish(ONLY_GEMINI, &mut request.unmapped);
    Ok(())
}

fn generation_config(mut config: Object, request: &mut ir::Request) -> Result<(), WireError> {
    request.max_output_tokens = config.unsigned("maxOutputTokens")?;
    if request.max_output_tokens == Some(0) {
        return Err(WireError::invalid(config.at("maxOutputTokens"), "expected at least 1, got 0"));
    }
    request.temperature = config.number("temperature")?;
    request.top_p = config.number("topP")?;
    request.top_k = config.unsigned("topK")?;
    request.seed = config.integer("seed")?;
    request.frequency_penalty = config.number("frequencyPenalty")?;
    request.presence_penalty = config.number("presencePenalty")?;
    request.stop = config.strings("stopSequences")?;
    request.output_format = output_format(&mut config, &mut request.unmapped)?;
    let path = config.at("candidateCount");
    if config.unsigned("candidateCount")?.is_some_and(|count| count > 1) {
        let message = "the provider of this model gives one answer to a request; send the request several times";
        return Err(WireError::unsupported(path, message));
    }
    let path = config.at("responseModalities");
    if config.strings("responseModalities")?.iter().any(|modality| !modality.eq_ignore_ascii_case("text")) {
        request.unmapped.push(Dropped::new(path, "a translated answer has text only"));
    }
    if config.boolean("responseLogprobs")? == Some(true) {
        request.logprobs = Some(config.unsigned("logprobs")?.unwrap_or_default());
    }
    let path = config.at("mediaResolution");
    if let Some(word) = config.string("mediaResolution")? {
        media_resolution(&word, path, request);
    }
    if let Some(thinking) = config.object("thinkingConfig")? {
        thinking_config(thinking, request)?;
    }
    config.finish(ONLY_GEMINI, &mut request.unmapped);
    Ok(())
}

/// How closely pictures are looked at. What OpenAI has no word for is reported to everybody.
fn media_resolution(word: &str, path: String, request: &mut ir::Request) {
    let level = match word.to_ascii_uppercase().as_str() {
        "MEDIA_RESOLUTION_UNSPECIFIED" => return,
        "MEDIA_RESOLUTION_LOW" => "low",
        "MEDIA_RESOLUTION_HIGH" => "high",
        _ => return request.unmapped.push(Dropped::new(path, ONLY_GEMINI)),
    };
    for message in &mut request.messages {
        let pictures = message.blocks.iter().enumerate().filter(|(_, block)| matches!(block, Block::Image(_)));
        let details: Vec<Block> = pictures.map(|(of, _)| Block::Detail { of, level: level.to_owned() }).collect();
        message.blocks.extend(details);
    }
    request.unmapped.push(Dropped::new(path, NO_DETAIL));
}

fn output_format(config: &mut Object, unmapped: &mut Vec<Dropped>) -> Result<Option<OutputFormat>, WireError> {
    let path = config.at("responseMimeType");
    let kind = config.string("responseMimeType")?;
    let json_schema = config.take("responseJsonSchema").map(|(schema, _)| schema);
    let schema = json_schema.or_else(|| config.take("responseSchema").map(|(schema, _)| to_json_schema(schema)));
    match (kind.as_deref(), schema) {
        (None | Some("" | "application/json"), Some(schema)) => {
            Ok(Some(OutputFormat::JsonSchema { name: None, description: None, schema, strict: None }))
        }
        (Some("application/json"), None) => Ok(Some(OutputFormat::JsonObject)),
        (None | Some("" | "text/plain"), _) => Ok(None),
        (Some(kind), _) => {
            let shown: String = kind.escape_debug().take(100).collect();
            unmapped.push(Dropped::new(path, format!("only Gemini answers in {shown}: the answer is text")));
            Ok(None)
        }
    }
}

fn thinking_config(mut thinking: Object, request: &mut ir::Request) -> Result<(), WireError> {
    let shown = thinking.boolean("includeThoughts")? == Some(true);
    request.thinking = match thinking.integer("thinkingBudget")? {
        Some(0) => Some(ThinkingMode::Disabled),
        Some(tokens) => Some(u64::try_from(tokens).map_or(ThinkingMode::Adaptive, ThinkingMode::Budget)),
        None => None,
    };
    let level = thinking.string("thinkingLevel")?.map(|level| level.to_ascii_lowercase());
    request.effort = level.filter(|level| level != "thinking_level_unspecified");
    if shown && request.thinking.is_none() && request.effort.is_none() {
        request.thinking = Some(ThinkingMode::Adaptive);
    }
    thinking.finish(ONLY_GEMINI, &mut request.unmapped);
    Ok(())
}
