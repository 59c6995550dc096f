//! A client's body to the IR: the settings that both dialects have by the same name.
//!
//! 1. The body is parsed once; values are taken out of the tree, not copied. `null` is the same as absent.
//! 2. Each field is looked at once: one that the IR holds is moved there, a default is skipped, everything else is reported in
//!    [`ir::Request::unmapped`] with its path.
//! 3. A wrong type is [`WireError::Invalid`] with the path and what was expected. Ranges are the upstream's business.

use serde_json::{Map, Value};

use super::fields::{Path, array, boolean, number, object, string};
use crate::error::WireError;
use crate::ir::{self, Dropped, OpenAiSetting, OutputFormat, WebSearch};
use crate::json;

/// A body's fields.
pub(crate) fn fields_of(body: &[u8]) -> Result<Map<String, Value>, WireError> {
    let value: Value = json::read(body).map_err(|error| {
        let text = error.to_string();
        let message = if text.starts_with("recursion limit") { format!("nested too deeply: {text}") } else { text };
        WireError::NotJson { message }
    })?;
    object(value, &Path::ROOT)
}

/// Settings that both dialects have and nobody else, by chat completions' names, and why other upstreams do not get them (`None`: they do, in
/// another form). Which models of OpenAI's get them: `encode::settings`.
const SHARED: [(&str, Option<&str>); 9] = [
    ("moderation", Some("only OpenAI judges what it is asked and answers on the way")),
    ("metadata", Some("it is a label of what OpenAI keeps, and nothing is kept here")),
    ("prompt_cache_key", CACHES),
    ("prompt_cache_options", CACHES),
    ("prompt_cache_retention", CACHES),
    ("safety_identifier", None),
    ("store", Some("only OpenAI keeps answers")),
    ("user", Some("safety_identifier is sent in its place")),
    ("verbosity", Some("only OpenAI's models have levels of verbosity")),
];
const CACHES: Option<&str> = Some("only OpenAI caches by a key; other providers do by marks or by themselves");

/// The request so far, and what a field needs to know of its neighbours, which is kept here until [`Settings::finish`].
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) request: ir::Request,
    /// The tools of `tool_choice`'s `allowed_tools`. `None`: all.
    pub(crate) allowed_tools: Option<Vec<String>>,
    has_model: bool,
    user: Option<String>,
}

impl Settings {
    /// Takes a field that both dialects have. Any other is given back.
    pub(crate) fn field(&mut self, key: &str, value: Value, path: &Path<'_>) -> Result<Option<Value>, WireError> {
        let request = &mut self.request;
        match key {
            "model" => {
                request.model = string(value, path)?;
                self.has_model = true;
            }
            "parallel_tool_calls" => request.parallel_tool_calls = Some(boolean(&value, path)?),
            "temperature" => request.temperature = Some(number(&value, path)?),
            "top_p" => request.top_p = Some(number(&value, path)?),
            "stream" => request.stream = boolean(&value, path)?,
            "stream_options" => request.include_usage = include_usage(value, path, &mut request.unmapped)?,
            "safety_identifier" => {
                request.user = Some(string(value.clone(), path)?);
                self.shared("safety_identifier", value, path);
            }
            "service_tier" => {
                request.tier = ir::Tier::wanted(&string(value, path)?, path.to_string(), &mut request.unmapped);
            }
            "moderation" | "prompt_cache_key" | "prompt_cache_options" | "prompt_cache_retention" => {
                self.shared(key, value, path);
            }
            "user" => self.user = Some(string(value, path)?),
            _ => return Ok(Some(value)),
        }
        Ok(None)
    }

    /// Keeps a setting that only OpenAI has. One that says what is done anyway is no setting.
    pub(crate) fn shared(&mut self, key: &str, value: Value, path: &Path<'_>) {
        let silent = match key {
            "verbosity" => value == "medium",
            "store" => value == false,
            "metadata" => value.as_object().is_some_and(Map::is_empty),
            _ => false,
        };
        let Some(&(name, reason)) = SHARED.iter().find(|(name, _)| *name == key).filter(|_| !silent) else { return };
        let path = path.to_string();
        if let Some(reason) = reason {
            self.request.unmapped.push(Dropped::new(path.clone(), reason));
        }
        self.request.openai.push(OpenAiSetting { name, value, path });
    }

    /// The whole request, when every field has been looked at. `conversation`: the field that has it, and whether it was there.
    pub(crate) fn finish(mut self, conversation: (&str, bool)) -> Result<ir::Request, WireError> {
        for (key, is_there) in [("model", self.has_model), conversation] {
            if !is_there {
                return Err(Path::ROOT.missing(key));
            }
        }
        match (&self.request.user, self.user.take()) {
            (None, user) => self.request.user = user,
            (Some(identifier), Some(user)) if *identifier != user => {
                self.shared("user", user.into(), &Path::ROOT.key("user"));
            }
            (Some(_), _) => {}
        }
        let mut request = self.request;
        if let Some(allowed) = self.allowed_tools {
            request.allow(&allowed);
        }
        if request.tools.is_empty() && request.tool_choice == Some(ir::ToolChoice::Auto) {
            request.tool_choice = None;
        }
        Ok(request)
    }
}

fn include_usage(value: Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<bool, WireError> {
    let mut include = false;
    for (key, value) in object(value, path)? {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "include_usage" => include = boolean(&value, &path)?,
            // Padding against traffic analysis. We never write it, so `false` is what the client gets.
            "include_obfuscation" => {
                if boolean(&value, &path)? {
                    unmapped.push(Dropped::new(path.to_string(), "a translated stream has no obfuscation"));
                }
            }
            _ => unmapped.push(unknown(&path)),
        }
    }
    Ok(include)
}

/// Structured output. `nested`: where the schema's fields stand in chat completions; Responses has them beside the type.
pub(crate) fn output_format(
    mut fields: Map<String, Value>,
    nested: Option<&str>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Option<OutputFormat>, WireError> {
    let kind = fields.shift_remove("type").ok_or_else(|| path.missing("type"))?;
    let format = match string(kind, &path.key("type"))?.as_str() {
        "text" => None,
        "json_object" => Some(OutputFormat::JsonObject),
        "json_schema" => {
            let Some(key) = nested else { return schema_format(fields, path, unmapped).map(Some) };
            let inner = fields.shift_remove(key).filter(|value| !value.is_null()).ok_or_else(|| path.missing(key))?;
            let path = path.key(key);
            Some(schema_format(object(inner, &path)?, &path, unmapped)?)
        }
        other => {
            let message = format!("expected \"text\", \"json_object\" or \"json_schema\", got {other:?}");
            return Err(path.key("type").invalid(message));
        }
    };
    report_unknown(&fields, path, unmapped);
    Ok(format)
}

fn schema_format(
    fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<OutputFormat, WireError> {
    let (mut name, mut description, mut schema, mut strict) = (None, None, None, None);
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "name" => name = Some(string(value, &path)?),
            "description" => description = Some(string(value, &path)?),
            "schema" => schema = Some(Value::Object(object(value, &path)?)),
            "strict" => strict = Some(boolean(&value, &path)?),
            _ => unmapped.push(unknown(&path)),
        }
    }
    let schema = schema.ok_or_else(|| path.missing("schema"))?;
    Ok(OutputFormat::JsonSchema { name, description, schema, strict })
}

/// The labels of `metadata`. OpenAI refuses a value that is no text.
pub(crate) fn labels(value: &Value) -> Vec<(String, String)> {
    let fields = value.as_object().into_iter().flatten();
    fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// A search of the web: `web_search_options` of chat completions, or the tool of Responses, which differ in how deep a place stands.
pub(crate) fn web_search(
    fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<WebSearch, WireError> {
    let mut search = WebSearch { path: path.to_string(), ..WebSearch::default() };
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "user_location" => {
                let mut place = object(value, &path)?;
                place.shift_remove("type");
                search.location = match place.shift_remove("approximate") {
                    Some(inner) => object(inner, &path.key("approximate"))?,
                    None => place,
                };
                search.location.retain(|_, value| !value.is_null());
            }
            // May it leave what is cached? It may.
            "external_web_access" if value == true => {}
            "search_context_size" => search.context = Some(string(value, &path)?),
            "filters" => {
                for (key, value) in object(value, &path)? {
                    let path = path.key(&key);
                    match key.as_str() {
                        _ if value.is_null() => {}
                        "allowed_domains" => search.allowed = strings(value, &path)?,
                        "blocked_domains" => search.blocked = strings(value, &path)?,
                        _ => unmapped.push(unknown(&path)),
                    }
                }
            }
            _ => unmapped.push(unknown(&path)),
        }
    }
    Ok(search)
}

fn strings(value: Value, path: &Path<'_>) -> Result<Vec<String>, WireError> {
    let items = array(value, path)?.into_iter().enumerate();
    items.map(|(index, item)| string(item, &path.index(index))).collect()
}

/// A field that no other dialect knows.
pub(crate) fn unknown(path: &Path<'_>) -> Dropped {
    Dropped::new(path.to_string(), "unknown field")
}

/// Reports what is left of an object.
pub(crate) fn report_unknown(fields: &Map<String, Value>, path: &Path<'_>, unmapped: &mut Vec<Dropped>) {
    for (key, value) in fields {
        if !value.is_null() {
            unmapped.push(unknown(&path.key(key)));
        }
    }
}
