//! The IR to an upstream's body.
//!
//! 1. Instructions and turns become flat messages (`turns.rs`).
//! 2. What the model refuses by its name (`model.rs`) is left out and reported.
//! 3. A stream always asks for its usage: the gateway meters it, whether or not the client sees it (case 15).
//!
//! Cache marks are not reported where they have no place: OpenAI and the servers that copy it cache prefixes by themselves, so a mark changes
//! the price and not the answer. Models that know breakpoints get them.

use serde_json::{Map, Value};

use super::turns;
use crate::chat::stream;
use crate::chat::types::{FormatOut, RequestOut, SchemaOut, StreamOptionsOut};
use crate::codec::{Encoded, Target};
use crate::error::WireError;
use crate::ir::{Dropped, OutputFormat, Request};
use crate::names::ToolNames;
use crate::openai::encode::{
    effort, logprobs, losses, names, sampled, schema_name, settings, user, wanted_effort, web_search,
};
use crate::openai::model::Family;
use crate::openai::offered::Offered;

/// "Up to 4 sequences": <https://platform.openai.com/docs/api-reference/chat/create>.
const MAX_STOPS: usize = 4;

/// Writes a request for an upstream.
pub fn encode_request(request: &Request, target: &Target<'_>) -> Result<Encoded, WireError> {
    let mut encoder = Encoder {
        request,
        offered: Offered::to(request, target.model, true),
        family: Family::of(target.model),
        model: target.model,
        names: names(),
        more: Map::new(),
        dropped: losses(request, target.model),
    };
    let mut out = RequestOut { model: target.model, ..RequestOut::default() };
    out.tools = encoder.offered.tools(&mut encoder.names);
    let model = turns::Takes {
        breakpoints: encoder.family.has_breakpoints(target.model),
        signed_calls: encoder.family.signs_calls(target.model),
    };
    out.messages = turns::encode(encoder.offered, request, model, &mut encoder.names, &mut encoder.dropped)?;
    encoder.tool_options(&mut out);
    encoder.effort(&mut out);
    encoder.sampling(&mut out);
    encoder.format(&mut out);
    encoder.rest(&mut out);
    let body = serde_json::to_vec(&out).map_err(|error| WireError::invalid("body", error.to_string()))?;
    Ok(Encoded {
        body: body.into(),
        dropped: encoder.dropped,
        headers: Vec::new(),
        reader: stream::reader(encoder.names),
    })
}

struct Encoder<'a> {
    request: &'a Request,
    offered: Offered<'a>,
    family: Family,
    model: &'a str,
    names: ToolNames,
    /// What has no field of its own in the body's shape.
    more: Map<String, Value>,
    dropped: Vec<Dropped>,
}

impl<'a> Encoder<'a> {
    fn drop(&mut self, path: &str, reason: impl Into<String>) {
        self.dropped.push(Dropped::new(path, reason));
    }

    fn tool_options(&mut self, out: &mut RequestOut<'a>) {
        out.tool_choice = self.offered.choice(&mut self.names, &mut self.dropped);
        match self.request.parallel_tool_calls.filter(|_| !self.request.tools.is_empty()) {
            Some(parallel) if self.family == Family::OSeries => {
                if !parallel {
                    self.drop("parallel_tool_calls", "this model has no such switch");
                }
            }
            parallel => out.parallel_tool_calls = parallel,
        }
    }

    fn effort(&mut self, out: &mut RequestOut<'a>) {
        if self.request.tools.is_empty() || !self.family.tools_exclude_effort(self.model) {
            out.reasoning_effort = effort(self.family, self.request, &mut self.dropped);
            return;
        }
        out.reasoning_effort = Some("none");
        if let Some((path, wanted)) = wanted_effort(self.request)
            && wanted != "none"
        {
            self.drop(path, "this model takes function tools in chat completions only with reasoning_effort none");
        }
    }

    fn sampling(&mut self, out: &mut RequestOut<'a>) {
        let samples = self.family.samples(out.reasoning_effort);
        let mut keep = |said, range| sampled(said, range, samples, &mut self.dropped);
        out.temperature = keep(("temperature", self.request.temperature), (1.0, 0.0, 2.0));
        out.top_p = keep(("top_p", self.request.top_p), (1.0, 0.0, 1.0));
        out.frequency_penalty = keep(("frequency_penalty", self.request.frequency_penalty), (0.0, -2.0, 2.0));
        out.presence_penalty = keep(("presence_penalty", self.request.presence_penalty), (0.0, -2.0, 2.0));
        if self.request.top_k.is_some() {
            self.drop("top_k", "chat completions has no such field");
        }
        out.seed = self.request.seed;
        if let Some(others) = logprobs(self.request, samples, &mut self.dropped) {
            self.more.insert("logprobs".to_owned(), true.into());
            if others > 0 {
                self.more.insert("top_logprobs".to_owned(), others.into());
            }
        }
    }

    fn format(&mut self, out: &mut RequestOut<'a>) {
        out.response_format = self.request.output_format.as_ref().map(|format| match format {
            OutputFormat::JsonObject => FormatOut::JsonObject,
            OutputFormat::JsonSchema { name, description, schema, strict } => {
                let (name, description, strict) = (schema_name(name.as_deref()), description.as_deref(), *strict);
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
        out.user = user(self.request, &mut self.dropped);
        out.openai = settings(self.request, self.model, self.family, &mut self.dropped);
        out.openai.append(&mut self.more);
        if out.openai.contains_key("safety_identifier") {
            // The newer name of the same.
            if out.user.take().is_none() {
                out.openai.shift_remove("safety_identifier");
            }
        }
        if let Some(search) = &self.request.web_search {
            if self.model.contains("search") {
                out.openai.insert("web_search_options".to_owned(), web_search(search, true).into());
            } else {
                self.drop(&search.path, "this model does not search the web in chat completions");
            }
        }
        if self.request.stream {
            out.stream = Some(true);
            out.stream_options = Some(StreamOptionsOut { include_usage: true });
        }
    }
}
