//! A client's body to the IR, part 1: everything but input and tools.
//!
//! What both of OpenAI's dialects have, and how fields are read at all, stands in `openai::settings`. What only keeps the answer's form is put into
//! [`ir::Echo`]. What would change the meaning if it were left out (state that another server keeps) is refused.
//!
//! Fields: <https://platform.openai.com/docs/api-reference/responses/create>.

use std::sync::Arc;

use serde_json::Value;

use super::{items, tools};
use crate::error::WireError;
use crate::ir::{self, Dropped, Echo};
use crate::openai::fields::{Path, array, object, string, unsigned};
use crate::openai::settings::{Settings, fields_of, labels, output_format, unknown};
use crate::openai::tools::{Tools, decode_choice};

/// What an answer repeats as the client said it: <https://platform.openai.com/docs/api-reference/responses/object>.
const REPEATED: [&str; 16] = [
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Reads a client's request.
pub fn decode_request(body: &[u8]) -> Result<ir::Request, WireError> {
    let mut decoder = Decoder::default();
    for (key, value) in fields_of(body)? {
        if value.is_null() {
            continue;
        }
        if REPEATED.contains(&key.as_str()) {
            decoder.echo.fields.insert(key.clone(), value.clone());
        }
        decoder.field(&key, value)?;
    }
    decoder.finish()
}

/// What a field needs to know of its neighbours is kept here until [`Decoder::finish`].
#[derive(Default)]
struct Decoder {
    settings: Settings,
    echo: Echo,
    input: Option<Value>,
}

impl Decoder {
    fn field(&mut self, key: &str, value: Value) -> Result<(), WireError> {
        let path = Path::ROOT.key(key);
        let Some(value) = self.settings.field(key, value, &path)? else { return Ok(()) };
        let request = &mut self.settings.request;
        match key {
            "input" => self.input = Some(value),
            "instructions" => request.system.insert(0, ir::Block::Text(string(value, &path)?)),
            "tools" => {
                let mut tools = Tools { forms: &mut self.echo.tools, unmapped: &mut request.unmapped };
                request.tools = tools.decode(array(value, &path)?, &path, &mut request.web_search)?;
            }
            "tool_choice" => {
                let (choice, allowed) = decode_choice(value, &path, &tools::name)?;
                request.tool_choice = Some(choice);
                self.settings.allowed_tools = allowed;
            }
            "max_output_tokens" => request.max_output_tokens = Some(unsigned(&value, &path)?),
            "text" => self.text(value, &path)?,
            "reasoning" => self.reasoning(value, &path)?,
            "include" => include(value, &path, request)?,
            "top_logprobs" => {
                let count = unsigned(&value, &path)?;
                request.logprobs = (count > 0).then_some(count).or(request.logprobs);
            }
            // The answer repeats it.
            "metadata" => request.metadata = labels(&value),
            _ => rest(key, &value, &path, &mut request.unmapped)?,
        }
        Ok(())
    }

    /// The format of the answer's text, and its verbosity.
    fn text(&mut self, value: Value, path: &Path<'_>) -> Result<(), WireError> {
        for (key, value) in object(value, path)? {
            let path = path.key(&key);
            let request = &mut self.settings.request;
            match key.as_str() {
                _ if value.is_null() => {}
                "format" => {
                    request.output_format = output_format(object(value, &path)?, None, &path, &mut request.unmapped)?;
                }
                "verbosity" => self.settings.shared(&key, value, &path),
                _ => request.unmapped.push(unknown(&path)),
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, value: Value, path: &Path<'_>) -> Result<(), WireError> {
        let request = &mut self.settings.request;
        for (key, value) in object(value, path)? {
            let path = path.key(&key);
            match key.as_str() {
                _ if value.is_null() => {}
                "effort" => request.effort = Some(string(value, &path)?),
                "summary" | "generate_summary" => {
                    string(value, &path)?;
                    self.echo.summaries = true;
                }
                "context" | "mode" if value == "auto" || value == "standard" => {}
                "context" | "mode" => {
                    request.unmapped.push(Dropped::new(path.to_string(), "only OpenAI has it"));
                }
                _ => request.unmapped.push(unknown(&path)),
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<ir::Request, WireError> {
        let has_input = self.input.is_some();
        if let Some(input) = self.input {
            items::decode(input, &Path::ROOT.key("input"), &mut self.settings.request)?;
        }
        let mut request = self.settings.finish(("input", has_input))?;
        // A stream of this dialect always ends with its usage.
        request.include_usage = true;
        request.echo = Arc::new(self.echo);
        Ok(request)
    }
}

/// More of the answer than is there by itself. Reasoning always comes with what the next turn needs.
fn include(value: Value, path: &Path<'_>, request: &mut ir::Request) -> Result<(), WireError> {
    for (index, item) in array(value, path)?.into_iter().enumerate() {
        let path = path.index(index);
        let wanted = string(item, &path)?;
        match wanted.as_str() {
            "reasoning.encrypted_content" => {}
            "message.output_text.logprobs" => {
                request.logprobs.get_or_insert(0);
            }
            _ => {
                let reason = format!("an answer of this model has no {wanted}");
                request.unmapped.push(Dropped::new(path.to_string(), reason));
            }
        }
    }
    Ok(())
}

/// Top-level fields that the IR does not hold: refused, harmless, or reported.
fn rest(key: &str, value: &Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<(), WireError> {
    let reason = match key {
        "previous_response_id" | "conversation" => {
            let message = "the provider of this model keeps no conversations; send the whole conversation as input";
            return Err(WireError::unsupported(path.to_string(), message));
        }
        "prompt" => {
            let message = "prompt templates exist only at OpenAI; send the text as instructions or input";
            return Err(WireError::unsupported(path.to_string(), message));
        }
        "background" if value == false => return Ok(()),
        "background" => {
            let message = "this model answers while the client waits; leave background out";
            return Err(WireError::unsupported(path.to_string(), message));
        }
        "store" if value == false => return Ok(()),
        "store" => "the provider of this model keeps no responses",
        "truncation" if value == "disabled" => return Ok(()),
        "truncation" => "only OpenAI's Responses API shortens conversations; one that is too long is refused",
        "max_tool_calls" => "it counts calls of hosted tools, which this model does not have",
        "context_management" => "only OpenAI's Responses API has it",
        "client_metadata" => "it is for OpenAI's own statistics",
        _ => "unknown field",
    };
    unmapped.push(Dropped::new(path.to_string(), reason));
    Ok(())
}
