//! The IR to an upstream's body.
//!
//! 1. Instructions become `instructions`, turns become items (`turns.rs`).
//! 2. What the model refuses by its name (`Family`) is left out and reported.
//! 3. The upstream keeps nothing (`store: false`), so a model that reasons is asked for its reasoning in a form that can come back.

use serde_json::{Map, Value, json};

use super::turns;
use crate::codec::{Encoded, Target};
use crate::error::WireError;
use crate::ir::{Block, Dropped, OutputFormat, Request, ThinkingMode};
use crate::names::ToolNames;
use crate::openai::encode::{effort, logprobs, losses, names, sampled, schema_name, settings, user, web_search};
use crate::openai::model::{Family, is_openais};
use crate::openai::offered::Offered;
use crate::responses::stream;

/// OpenAI refuses a smaller cap.
const MIN_OUTPUT_TOKENS: u64 = 16;

/// Writes a request for an upstream.
pub fn encode_request(request: &Request, target: &Target<'_>) -> Result<Encoded, WireError> {
    let mut encoder = Encoder {
        request,
        offered: Offered::to(request, target.model, false),
        family: Family::of(target.model),
        names: names(),
        dropped: losses(request, target.model),
        openai: Map::new(),
        include: Vec::new(),
        model: target.model,
        out: Map::new(),
    };
    encoder.openai = settings(request, target.model, encoder.family, &mut encoder.dropped);
    encoder.set("model", target.model);
    if let Some(text) = instructions(&request.system) {
        encoder.set("instructions", text);
    }
    let breakpoints = encoder.family.has_breakpoints(target.model);
    let input = turns::encode(encoder.offered, request, breakpoints, &mut encoder.names, &mut encoder.dropped)?;
    encoder.set("input", input);
    encoder.tools();
    encoder.reasoning();
    encoder.sampling();
    encoder.format();
    encoder.rest();
    let body = Value::Object(encoder.out).to_string();
    Ok(Encoded {
        body: body.into(),
        dropped: encoder.dropped,
        headers: Vec::new(),
        reader: stream::reader(encoder.names),
    })
}

/// Cache marks have no place in it: what stands before the first turn is cached by itself.
fn instructions(system: &[Block]) -> Option<String> {
    let texts = system.iter().filter_map(|block| match block {
        Block::Text(text) if !text.trim().is_empty() => Some(text.as_str()),
        _ => None,
    });
    let texts: Vec<&str> = texts.collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

struct Encoder<'a> {
    request: &'a Request,
    offered: Offered<'a>,
    family: Family,
    names: ToolNames,
    dropped: Vec<Dropped>,
    /// What only OpenAI's own models take, until it has its place.
    openai: Map<String, Value>,
    /// More of the answer than it has by itself.
    include: Vec<&'static str>,
    model: &'a str,
    out: Map<String, Value>,
}

impl Encoder<'_> {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.out.insert(key.to_owned(), value.into());
    }

    fn drop(&mut self, path: &str, reason: impl Into<String>) {
        self.dropped.push(Dropped::new(path, reason));
    }

    fn tools(&mut self) {
        let mut tools = self.offered.tools(&mut self.names);
        let mut choice = self.offered.choice(&mut self.names, &mut self.dropped);
        let search = self.web_search();
        // A client that lists what it allows has the search apart from its tools.
        let allowed = choice.as_mut().and_then(|choice| choice.get_mut("tools")).and_then(Value::as_array_mut);
        if let (Some(allowed), true) = (allowed, search.is_some()) {
            allowed.push(json!({"type": "web_search"}));
        }
        tools.extend(search);
        if tools.is_empty() {
            return;
        }
        self.set("tools", tools);
        if let Some(choice) = choice {
            self.set("tool_choice", choice);
        }
        if let Some(parallel) = self.request.parallel_tool_calls {
            self.set("parallel_tool_calls", parallel);
        }
    }

    fn web_search(&mut self) -> Option<Value> {
        let search = self.request.web_search.as_ref()?;
        if !is_openais(self.model) {
            self.drop(&search.path, "this model is not known to search the web");
            return None;
        }
        let mut tool = Map::from_iter([("type".to_owned(), Value::from("web_search"))]);
        tool.extend(web_search(search, false));
        if !search.allowed.is_empty() {
            tool.insert("filters".to_owned(), json!({ "allowed_domains": search.allowed }));
        }
        if !search.blocked.is_empty() {
            self.drop(&format!("{}.blocked_domains", search.path), "OpenAI has only a list of those that are allowed");
        }
        if let Some(most) = search.max_uses {
            self.set("max_tool_calls", most);
        }
        Some(tool.into())
    }

    /// A client that asked to think gets to see it, as a summary.
    fn reasoning(&mut self) {
        let shown = matches!(self.request.thinking, Some(ThinkingMode::Budget(_) | ThinkingMode::Adaptive));
        let mut reasoning = Map::new();
        if let Some(effort) = effort(self.family, self.request, &mut self.dropped) {
            reasoning.insert("effort".to_owned(), effort.into());
        }
        if self.family.reasons() {
            if shown {
                reasoning.insert("summary".to_owned(), "auto".into());
            }
            self.include.push("reasoning.encrypted_content");
        }
        if !reasoning.is_empty() {
            self.set("reasoning", reasoning);
        }
    }

    fn sampling(&mut self) {
        let effort = self.out.get("reasoning").and_then(|reasoning| reasoning.get("effort")).and_then(Value::as_str);
        let samples = self.family.samples(effort);
        for (key, value, most) in [("temperature", self.request.temperature, 2.0), ("top_p", self.request.top_p, 1.0)] {
            if let Some(sent) = sampled((key, value), (1.0, 0.0, most), samples, &mut self.dropped) {
                self.set(key, sent);
            }
        }
        let penalties = [
            ("frequency_penalty", self.request.frequency_penalty),
            ("presence_penalty", self.request.presence_penalty),
        ];
        if let Some(others) = logprobs(self.request, samples, &mut self.dropped) {
            self.include.push("message.output_text.logprobs");
            if others > 0 {
                self.set("top_logprobs", others);
            }
        }
        for (key, value) in penalties {
            if value.is_some_and(|value| value != 0.0) {
                self.drop(key, "the Responses API has no such field");
            }
        }
        let absent = [
            ("top_k", self.request.top_k.is_some()),
            ("seed", self.request.seed.is_some()),
            ("stop", !self.request.stop.is_empty()),
        ];
        for (key, _) in absent.into_iter().filter(|(_, said)| *said) {
            self.drop(key, "the Responses API has no such field");
        }
    }

    fn format(&mut self) {
        let mut text = Map::new();
        text.extend(self.openai.shift_remove_entry("verbosity"));
        let format = match &self.request.output_format {
            None => Value::Null,
            Some(OutputFormat::JsonObject) => json!({"type": "json_object"}),
            Some(OutputFormat::JsonSchema { name, description, schema, strict }) => {
                let mut format = Map::new();
                format.insert("type".to_owned(), "json_schema".into());
                format.insert("name".to_owned(), schema_name(name.as_deref()).into());
                if let Some(description) = description {
                    format.insert("description".to_owned(), description.as_str().into());
                }
                format.insert("schema".to_owned(), schema.clone());
                format.insert("strict".to_owned(), strict.unwrap_or(false).into());
                Value::Object(format)
            }
        };
        if !format.is_null() {
            text.insert("format".to_owned(), format);
        }
        if !text.is_empty() {
            self.set("text", text);
        }
    }

    fn rest(&mut self) {
        if let Some(cap) = self.request.max_output_tokens {
            if cap < MIN_OUTPUT_TOKENS {
                self.drop("max_tokens", format!("the smallest cap is {MIN_OUTPUT_TOKENS}, which is sent"));
            }
            self.set("max_output_tokens", cap.max(MIN_OUTPUT_TOKENS));
        }
        if let Some(user) = user(self.request, &mut self.dropped) {
            self.set("safety_identifier", user);
        }
        if self.request.stream {
            self.set("stream", true);
        }
        if !self.include.is_empty() {
            let include = std::mem::take(&mut self.include);
            self.set("include", include);
        }
        self.set("store", false);
        let mut openai = std::mem::take(&mut self.openai);
        // It stands there for every client's user.
        openai.shift_remove("safety_identifier");
        self.out.extend(openai);
    }
}
