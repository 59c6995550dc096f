//! The IR to an upstream's body.
//!
//! 1. Instructions and turns become flat messages (`turns.rs`).
//! 2. What the model refuses by its name (`model.rs`) is left out and reported.
//! 3. A stream always asks for its usage: the gateway meters it, whether or not the client sees it (case 15).
//!
//! Cache marks are not reported where they have no place: OpenAI and the servers that copy it cache prefixes by themselves, so a mark changes
//! the price and not the answer. Models that know breakpoints get them.

use serde_json::{Value, json};

use super::model::{Family, effort_of_budget};
use super::turns;
use crate::chat::stream::Reader;
use crate::chat::types::{FormatOut, FunctionOut, RequestOut, SchemaOut, StreamOptionsOut, ToolOut};
use crate::codec::{Encoded, Target};
use crate::error::WireError;
use crate::ir::{Dropped, OutputFormat, Request, ThinkingMode, ToolChoice};
use crate::names::ToolNames;

/// `[a-zA-Z0-9_-]{1,64}`: <https://platform.openai.com/docs/api-reference/chat/create>.
const MAX_NAME_LEN: usize = 64;
/// "Up to 4 sequences", same page.
const MAX_STOPS: usize = 4;
/// OpenAI refuses a longer `user`.
const MAX_USER_LEN: usize = 64;

/// Writes a request for an upstream.
pub fn encode_request(request: &Request, target: &Target<'_>) -> Result<Encoded, WireError> {
    let mut encoder = Encoder {
        request,
        family: Family::of(target.model),
        model: target.model,
        names: ToolNames::new(MAX_NAME_LEN),
        dropped: request.unmapped.clone(),
    };
    let mut out = RequestOut { model: target.model, ..RequestOut::default() };
    out.tools = encoder.tools();
    let model = turns::Takes {
        breakpoints: encoder.family.has_breakpoints(target.model),
        signed_calls: encoder.family.signs_calls(target.model),
    };
    out.messages = turns::encode(request, model, &mut encoder.names, &mut encoder.dropped)?;
    encoder.tool_options(&mut out);
    encoder.effort(&mut out);
    encoder.sampling(&mut out);
    encoder.format(&mut out);
    encoder.rest(&mut out);
    let body = serde_json::to_vec(&out).map_err(|error| WireError::invalid("body", error.to_string()))?;
    Ok(Encoded { body: body.into(), dropped: encoder.dropped, reader: Box::new(Reader::new(encoder.names)) })
}

struct Encoder<'a> {
    request: &'a Request,
    family: Family,
    model: &'a str,
    names: ToolNames,
    dropped: Vec<Dropped>,
}

impl<'a> Encoder<'a> {
    fn drop(&mut self, path: &str, reason: impl Into<String>) {
        self.dropped.push(Dropped::new(path, reason));
    }

    fn tools(&mut self) -> Vec<ToolOut<'a>> {
        let names = &mut self.names;
        let tools = self.request.tools.iter().map(|tool| ToolOut {
            kind: "function",
            function: FunctionOut {
                name: names.encode(&tool.name),
                description: tool.description.as_deref(),
                parameters: &tool.schema,
                strict: tool.strict,
            },
        });
        tools.collect()
    }

    fn tool_options(&mut self, out: &mut RequestOut<'a>) {
        let choice = self.request.tool_choice.as_ref();
        if self.request.tools.is_empty() {
            // OpenAI refuses both fields without `tools`.
            if matches!(choice, Some(ToolChoice::Any | ToolChoice::Tool(_))) {
                self.drop("tool_choice", "there are no tools to choose from");
            }
            return;
        }
        out.tool_choice = choice.map(|choice| match choice {
            ToolChoice::Auto => Value::from("auto"),
            ToolChoice::None => Value::from("none"),
            ToolChoice::Any => Value::from("required"),
            ToolChoice::Tool(name) => json!({"type": "function", "function": {"name": self.names.encode(name)}}),
        });
        match self.request.parallel_tool_calls {
            Some(parallel) if self.family == Family::OSeries => {
                if !parallel {
                    self.drop("parallel_tool_calls", "this model has no such switch");
                }
            }
            parallel => out.parallel_tool_calls = parallel,
        }
    }

    /// Effort, from what the client said of effort or thinking.
    fn effort(&mut self, out: &mut RequestOut<'a>) {
        let (path, wanted) = match (&self.request.effort, self.request.thinking) {
            (_, Some(ThinkingMode::Disabled)) => ("thinking", "none"),
            (Some(effort), _) => ("effort", effort.as_str()),
            (None, Some(ThinkingMode::Budget(tokens))) => ("thinking", effort_of_budget(tokens)),
            (None, Some(ThinkingMode::Adaptive)) => ("thinking", "medium"),
            (None, None) => ("", ""),
        };
        if !self.request.tools.is_empty() && self.family.tools_exclude_effort(self.model) {
            out.reasoning_effort = Some("none");
            if !wanted.is_empty() && wanted != "none" {
                self.drop(path, "this model takes function tools in chat completions only with reasoning_effort none");
            }
            return;
        }
        if wanted.is_empty() {
            return;
        }
        out.reasoning_effort = self.family.effort(wanted);
        match out.reasoning_effort {
            Some(sent) if sent == wanted => {}
            Some(sent) => self.drop(path, format!("this model has no effort {wanted:?}; {sent:?} is sent")),
            // Off is what a model without reasoning is.
            None if wanted == "none" => {}
            None => self.drop(path, "this model is not known to take reasoning_effort"),
        }
    }

    fn sampling(&mut self, out: &mut RequestOut<'a>) {
        let samples = self.family.samples(out.reasoning_effort);
        let refused = "this model refuses it while it reasons";
        // A model that refuses a field refuses everything but its default, which is what it does anyway.
        let mut keep = |path: &str, value: Option<f64>, default: f64| match value {
            Some(value) if !samples => {
                if value != default {
                    self.dropped.push(Dropped::new(path, refused));
                }
                None
            }
            other => other,
        };
        out.temperature = keep("temperature", self.request.temperature, 1.0);
        out.top_p = keep("top_p", self.request.top_p, 1.0);
        out.frequency_penalty = keep("frequency_penalty", self.request.frequency_penalty, 0.0);
        out.presence_penalty = keep("presence_penalty", self.request.presence_penalty, 0.0);
        if let Some(temperature) = out.temperature
            && !(0.0..=2.0).contains(&temperature)
        {
            out.temperature = Some(temperature.clamp(0.0, 2.0));
            self.drop("temperature", "clamped to 0 to 2");
        }
        if self.request.top_k.is_some() {
            self.drop("top_k", "chat completions has no such field");
        }
        out.seed = self.request.seed;
    }

    fn format(&mut self, out: &mut RequestOut<'a>) {
        out.response_format = self.request.output_format.as_ref().map(|format| match format {
            OutputFormat::JsonObject => FormatOut::JsonObject,
            OutputFormat::JsonSchema { name, description, schema, strict } => {
                // The name must look like a tool's, and it is required.
                let name = ToolNames::new(MAX_NAME_LEN).encode(name.as_deref().unwrap_or("response"));
                let (description, strict) = (description.as_deref(), *strict);
                FormatOut::JsonSchema { json_schema: SchemaOut { name, description, schema, strict } }
            }
        });
    }

    fn rest(&mut self, out: &mut RequestOut<'a>) {
        let cap = self.request.max_output_tokens;
        if self.family.caps_completion() {
            out.max_completion_tokens = cap;
        } else {
            out.max_tokens = cap;
        }
        if self.family.reasons() && !self.request.stop.is_empty() {
            self.drop("stop", "this model refuses stop sequences");
        } else {
            let (sent, over) = self.request.stop.split_at(self.request.stop.len().min(MAX_STOPS));
            out.stop = sent;
            if !over.is_empty() {
                self.drop("stop", format!("at most {MAX_STOPS} stop sequences; the last {} are left out", over.len()));
            }
        }
        match self.request.user.as_deref() {
            Some(user) if user.chars().count() > MAX_USER_LEN => {
                self.drop("user", format!("longer than {MAX_USER_LEN} characters"));
            }
            user => out.user = user,
        }
        if self.request.stream {
            out.stream = Some(true);
            out.stream_options = Some(StreamOptionsOut { include_usage: true });
        }
    }
}
