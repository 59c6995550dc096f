//! The IR to a body for Anthropic, or for Claude on Bedrock's InvokeModel.

use serde_json::{Map, Value, json};

use super::plan::Plan;
use super::turns::{Encoder, cache_control};
use super::{JSON_TOOL, ReadBack, schema};
use crate::codec::{Carrier, Encoded, Target};
use crate::error::WireError;
use crate::ir::{self, Block, Dropped, OutputFormat, Role, Tier, Tool, ToolChoice};
use crate::json::{self, object};
use crate::labels;
use crate::messages::bedrock::{ANTHROPIC_VERSION, is_blank};
use crate::messages::models::Model;
use crate::messages::stream::Reader;
use crate::messages::vertex;
use crate::names::ToolNames;
use crate::reading::SseReader;

/// A body has at most so many cache marks: <https://platform.claude.com/docs/en/build-with-claude/prompt-caching>.
const MAX_CACHE_MARKS: usize = 4;

/// Tool names match `^[a-zA-Z0-9_-]{1,128}$`, on Bedrock up to 64.
fn name_limit(carrier: Carrier) -> usize {
    match carrier {
        Carrier::Direct | Carrier::Vertex => 128,
        Carrier::Bedrock => 64,
    }
}

/// Writes a request for an upstream.
pub fn encode_request(request: &ir::Request, target: &Target<'_>) -> Result<Encoded, WireError> {
    let model = Model::named(target.model);
    let mut dropped = request.unmapped.clone();
    let plan = Plan::new(request, model, target.carrier, &mut dropped);
    let format = Format::of(request, model, target.carrier, &plan, &mut dropped);
    let mut names = ToolNames::new(name_limit(target.carrier));
    let mut tools = tools(request, model, target.carrier, &format, &mut names, &mut dropped);
    let choice = choice(request, &plan, &format, &tools, &mut names);
    tools.extend(web_search(request, target.carrier, &tools, &mut dropped));
    let mut encoder = Encoder {
        model,
        carrier: target.carrier,
        plan: &plan,
        names: &mut names,
        ids: ToolNames::new(256),
        dropped: &mut dropped,
    };
    let turns = encoder.turns(&request.messages)?;
    if turns.is_empty() {
        return Err(WireError::invalid("messages", "expected at least one message with content"));
    }
    let messages: Vec<Value> =
        turns.into_iter().map(|turn| object! { "role": role(turn.role), "content": turn.blocks }).collect();
    let system = system(request, &format, &mut dropped);

    let mut body = head(target, request.stream);
    let mut put = |name: &str, value: Option<Value>| value.map(|value| body.insert(name.to_owned(), value));
    put("max_tokens", Some(json!(plan.max_tokens)));
    put("tools", (!tools.is_empty()).then_some(Value::Array(tools)));
    put("tool_choice", choice);
    put("system", (!system.is_empty()).then_some(Value::Array(system)));
    put("messages", Some(Value::Array(messages)));
    put("temperature", plan.temperature.map(Value::from));
    put("top_p", plan.top_p.map(Value::from));
    put("top_k", plan.top_k.map(Value::from));
    put("stop_sequences", stop_sequences(request, &mut dropped));
    put("thinking", plan.thinking_value(model));
    put("output_config", output_config(&plan, &format));
    put("metadata", user(request, &mut dropped));
    put("service_tier", service_tier(request, target.carrier, &mut dropped));
    limit_marks(&mut body, &mut dropped);
    report_foreign(request, &mut dropped);

    let reader = SseReader::boxed(Reader::new(ReadBack {
        names,
        json_tool: matches!(format, Format::Tool(_)),
        on_bedrock: target.carrier == Carrier::Bedrock,
    }));
    let headers = if target.carrier == Carrier::Bedrock { bedrock_headers(request, &mut dropped) } else { Vec::new() };
    Ok(Encoded { body: json::bytes(&Value::Object(body)), dropped, headers, reader })
}

/// What InvokeModel takes in headers:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html>.
fn bedrock_headers(request: &ir::Request, dropped: &mut Vec<Dropped>) -> Vec<(&'static str, String)> {
    let tier = request.tier.and_then(Tier::bedrock).map(|tier| ("x-amzn-bedrock-service-tier", tier.to_owned()));
    let labels = labels::for_bedrock(request, dropped);
    let labels = (!labels.is_empty()).then(|| ("x-amzn-bedrock-request-metadata", Value::Object(labels).to_string()));
    tier.into_iter().chain(labels).collect()
}

/// <https://platform.claude.com/docs/en/api/service-tiers>
fn service_tier(request: &ir::Request, carrier: Carrier, dropped: &mut Vec<Dropped>) -> Option<Value> {
    let tier = request.tier?;
    let mut report = |reason: &str| dropped.push(Dropped::new("service_tier", reason));
    match (tier, carrier) {
        (_, Carrier::Bedrock) => return None,
        (Tier::Standard, Carrier::Direct) => return Some(json!("standard_only")),
        (Tier::Priority, Carrier::Direct) => {
            report("Anthropic sells priority ahead of time: it is used where the account has it");
            return Some(json!("auto"));
        }
        (Tier::Standard, Carrier::Vertex) => {}
        (_, Carrier::Vertex) => report("Claude on Vertex AI has no service tiers"),
        (_, Carrier::Direct) => report("Anthropic has no such tier"),
    }
    None
}

/// The search that Anthropic does itself; Bedrock has none:
/// <https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool>.
fn web_search(request: &ir::Request, carrier: Carrier, tools: &[Value], dropped: &mut Vec<Dropped>) -> Option<Value> {
    const NAME: &str = "web_search";
    let search = request.web_search.as_ref()?;
    let mut report = |path: String, reason: &str| dropped.push(Dropped::new(path, reason));
    if carrier == Carrier::Bedrock {
        report(search.path.clone(), "Claude on Bedrock has no search of the web");
        return None;
    }
    // Tools that the request does not have are there not to be called, or for structured output.
    let ours = request.tools.is_empty() && !tools.is_empty() || tools.iter().any(|tool| tool["name"] == JSON_TOOL);
    if ours || tools.iter().any(|tool| tool["name"] == NAME) {
        report(search.path.clone(), "beside the other tools of this request Claude cannot search the web");
        return None;
    }
    if search.context.is_some() {
        report(format!("{}.search_context_size", search.path), "only OpenAI has it");
    }
    let mut tool = json!({ "type": "web_search_20250305", "name": NAME });
    let fields = tool.as_object_mut()?;
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    if let Some(most) = search.max_uses {
        put("max_uses", most.into());
    }
    // One list or the other.
    if !search.allowed.is_empty() {
        put("allowed_domains", json!(search.allowed));
    } else if !search.blocked.is_empty() {
        put("blocked_domains", json!(search.blocked));
    }
    if !search.location.is_empty() {
        let mut place = Map::from_iter([("type".to_owned(), json!("approximate"))]);
        place.extend(search.location.clone());
        put("user_location", place.into());
    }
    Some(tool)
}

fn head(target: &Target<'_>, stream: bool) -> Map<String, Value> {
    let mut body = Map::new();
    match target.carrier {
        Carrier::Direct => {
            body.insert("model".to_owned(), json!(target.model));
            if stream {
                body.insert("stream".to_owned(), json!(true));
            }
        }
        Carrier::Bedrock => {
            body.insert("anthropic_version".to_owned(), json!(ANTHROPIC_VERSION));
        }
        Carrier::Vertex => {
            body.insert("anthropic_version".to_owned(), json!(vertex::ANTHROPIC_VERSION));
            if stream {
                body.insert("stream".to_owned(), json!(true));
            }
        }
    }
    body
}

fn role(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::System => "system",
    }
}

/// How structured output is asked for.
enum Format {
    /// Not at all.
    Text,
    /// `output_config.format` with this schema.
    Native(Value),
    /// A call of a tool with these arguments, read back as text.
    Tool(Value),
    /// Words at the end of the system prompt.
    Words(String),
}

impl Format {
    fn of(request: &ir::Request, model: Model, carrier: Carrier, plan: &Plan, dropped: &mut Vec<Dropped>) -> Self {
        let schema = match &request.output_format {
            None => return Self::Text,
            Some(OutputFormat::JsonObject) => {
                dropped.push(Dropped::new(
                    "response_format",
                    "Anthropic has no JSON mode; asked for in the system prompt",
                ));
                return Self::Words("Answer with a single JSON object and with nothing else.".to_owned());
            }
            Some(OutputFormat::JsonSchema { schema, .. }) => schema,
        };
        if model.takes_schemas(carrier)
            && let Some((schema, lost)) = schema::fit(schema)
        {
            report_constraints("response_format.json_schema.schema", &lost, dropped);
            return Self::Native(schema);
        }
        let is_object = schema.get("type").and_then(Value::as_str) == Some("object");
        if is_object && request.tools.is_empty() && !plan.thinks() && model.takes_forced_tool() {
            let reason = "this model has no structured output; asked for by a tool, which does not enforce the schema";
            dropped.push(Dropped::new("response_format", reason));
            return Self::Tool(schema.clone());
        }
        let reason = "this model has no structured output for this request; asked for in the system prompt";
        dropped.push(Dropped::new("response_format", reason));
        Self::Words(format!(
            "Answer with a single JSON value that follows this JSON Schema, and with nothing else:\n{schema}"
        ))
    }
}

fn report_constraints(path: &str, lost: &[String], dropped: &mut Vec<Dropped>) {
    for constraint in lost {
        dropped.push(Dropped::new(format!("{path}.{constraint}"), "not enforced here; it is in the description"));
    }
}

fn tools(
    request: &ir::Request,
    model: Model,
    carrier: Carrier,
    format: &Format,
    names: &mut ToolNames,
    dropped: &mut Vec<Dropped>,
) -> Vec<Value> {
    if let Format::Tool(schema) = format {
        let description = "Give the answer to the user by calling this tool.";
        return vec![json!({ "name": JSON_TOOL, "description": description, "input_schema": schema })];
    }
    if request.tools.is_empty() {
        return called_tools(request, names);
    }
    let takes_strict = model.takes_schemas(carrier);
    let encode = |(index, tool): (usize, &Tool)| encode_tool(tool, index, takes_strict, names, dropped);
    request.tools.iter().enumerate().map(encode).collect()
}

fn encode_tool(
    tool: &Tool,
    index: usize,
    takes_strict: bool,
    names: &mut ToolNames,
    dropped: &mut Vec<Dropped>,
) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), json!(names.encode(&tool.name)));
    if let Some(description) = tool.description.as_deref().filter(|description| !description.is_empty()) {
        out.insert("description".to_owned(), json!(description));
    }
    let mut input = tool.schema.clone();
    if tool.strict == Some(true) {
        match schema::fit(&tool.schema).filter(|_| takes_strict) {
            Some((fitted, lost)) => {
                report_constraints(&format!("tools[{index}].function.parameters"), &lost, dropped);
                input = fitted;
                out.insert("strict".to_owned(), json!(true));
            }
            None => dropped.push(Dropped::new(
                format!("tools[{index}].function.strict"),
                "this model does not enforce this schema; sent as a tool that is not strict",
            )),
        }
    }
    if let Value::Object(fields) = &mut input
        && !fields.contains_key("type")
    {
        fields.insert("type".to_owned(), json!("object"));
    }
    out.insert("input_schema".to_owned(), input);
    if let Some(ttl) = tool.cache {
        out.insert("cache_control".to_owned(), cache_control(ttl));
    }
    Value::Object(out)
}

/// The tools of a history that has calls while the request has none: without them it is refused (`Requests which include tool_use or
/// tool_result blocks must define tools`). They are not to be called again: see [`choice`].
fn called_tools(request: &ir::Request, names: &mut ToolNames) -> Vec<Value> {
    let mut called: Vec<&str> = Vec::new();
    let mut results = false;
    for block in request.messages.iter().flat_map(|message| &message.blocks) {
        match block {
            Block::ToolUse { name, .. } if !called.contains(&name.as_str()) => called.push(name),
            Block::ToolResult { .. } => results = true,
            _ => {}
        }
    }
    if called.is_empty() && results {
        called.push("tool");
    }
    let schema = json!({ "type": "object", "properties": {} });
    called.into_iter().map(|name| json!({ "name": names.encode(name), "input_schema": schema })).collect()
}

fn choice(
    request: &ir::Request,
    plan: &Plan,
    format: &Format,
    tools: &[Value],
    names: &mut ToolNames,
) -> Option<Value> {
    if matches!(format, Format::Tool(_)) {
        return Some(json!({ "type": "tool", "name": JSON_TOOL }));
    }
    if tools.is_empty() {
        return None;
    }
    if request.tools.is_empty() {
        // Of a history: not to be called again.
        return Some(json!({ "type": "none" }));
    }
    let one_at_a_time = request.parallel_tool_calls == Some(false);
    let mut choice = match &plan.tool_choice {
        None if one_at_a_time => json!({ "type": "auto" }),
        None => return None,
        Some(ToolChoice::None) => return Some(json!({ "type": "none" })),
        Some(ToolChoice::Auto) => json!({ "type": "auto" }),
        Some(ToolChoice::Any) => json!({ "type": "any" }),
        Some(ToolChoice::Tool(name)) => json!({ "type": "tool", "name": names.encode(name) }),
    };
    if let (true, Value::Object(fields)) = (one_at_a_time, &mut choice) {
        fields.insert("disable_parallel_tool_use".to_owned(), json!(true));
    }
    Some(choice)
}

fn system(request: &ir::Request, format: &Format, dropped: &mut Vec<Dropped>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for (index, block) in request.system.iter().enumerate() {
        match block {
            Block::Text(text) if !is_blank(text) => out.push(json!({ "type": "text", "text": text })),
            Block::CacheMark(ttl) => match out.last_mut().and_then(Value::as_object_mut) {
                Some(before) => {
                    before.insert("cache_control".to_owned(), cache_control(*ttl));
                }
                None => dropped.push(Dropped::new(format!("system[{index}]"), "there is nothing before it to cache")),
            },
            _ => {}
        }
    }
    if let Format::Words(words) = format {
        out.push(json!({ "type": "text", "text": words }));
    }
    out
}

/// Anthropic refuses stop sequences of whitespace only.
fn stop_sequences(request: &ir::Request, dropped: &mut Vec<Dropped>) -> Option<Value> {
    let mut kept = Vec::new();
    for (index, stop) in request.stop.iter().enumerate() {
        if is_blank(stop) {
            dropped.push(Dropped::new(format!("stop[{index}]"), "Anthropic takes no blank stop sequence"));
        } else {
            kept.push(json!(stop));
        }
    }
    (!kept.is_empty()).then_some(Value::Array(kept))
}

fn output_config(plan: &Plan, format: &Format) -> Option<Value> {
    let mut config = Map::new();
    if let Some(effort) = plan.effort {
        config.insert("effort".to_owned(), json!(effort));
    }
    if let Format::Native(schema) = format {
        config.insert("format".to_owned(), json!({ "type": "json_schema", "schema": schema }));
    }
    (!config.is_empty()).then_some(Value::Object(config))
}

/// The end user's id. Anthropic refuses what looks like an email address or a phone number.
fn user(request: &ir::Request, dropped: &mut Vec<Dropped>) -> Option<Value> {
    let user = request.user.as_deref()?;
    let digits = user.chars().filter(char::is_ascii_digit).count();
    let is_phone = digits >= 7 && user.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
    if user.contains('@') || is_phone {
        dropped.push(Dropped::new("user", "Anthropic takes no email address or phone number; send an opaque id"));
        return None;
    }
    Some(json!({ "user_id": user }))
}

/// The last marks are worth the most: what they cache includes what the earlier ones do.
fn limit_marks(body: &mut Map<String, Value>, dropped: &mut Vec<Dropped>) {
    let total: usize = body.values().map(count_marks).sum();
    let mut excess = total.saturating_sub(MAX_CACHE_MARKS);
    if excess > 0 {
        let reason =
            format!("at most {MAX_CACHE_MARKS} cache marks are taken; the first {excess} of {total} were left out");
        dropped.push(Dropped::new("cache_control", reason));
    }
    // In the order in which the API puts them together.
    for name in ["tools", "system", "messages"] {
        if let Some(value) = body.get_mut(name) {
            remove_marks(value, &mut excess);
        }
    }
}

/// The lists in which blocks are: a tool's schema may have a member of that name.
const LISTS: [&str; 1] = ["content"];

fn count_marks(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count_marks).sum(),
        Value::Object(fields) => {
            let inner: usize = LISTS.iter().filter_map(|name| fields.get(*name)).map(count_marks).sum();
            inner + usize::from(fields.contains_key("cache_control"))
        }
        _ => 0,
    }
}

fn remove_marks(value: &mut Value, excess: &mut usize) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| remove_marks(item, excess)),
        Value::Object(fields) => {
            for name in LISTS {
                if let Some(inner) = fields.get_mut(name) {
                    remove_marks(inner, excess);
                }
            }
            if *excess > 0 && fields.shift_remove("cache_control").is_some() {
                *excess -= 1;
            }
        }
        _ => {}
    }
}

fn report_foreign(request: &ir::Request, dropped: &mut Vec<Dropped>) {
    // Their default says nothing.
    let penalties = [("frequency_penalty", request.frequency_penalty), ("presence_penalty", request.presence_penalty)];
    for (name, value) in penalties {
        if value.is_some_and(|value| value != 0.0) {
            dropped.push(Dropped::new(name, "Anthropic has no such parameter"));
        }
    }
    if request.seed.is_some() {
        dropped.push(Dropped::new("seed", "Anthropic has no such parameter"));
    }
    if request.logprobs.is_some() {
        dropped.push(Dropped::new("logprobs", "Anthropic tells no log probabilities"));
    }
}
