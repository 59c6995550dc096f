//! What a fake provider says. The last user turn chooses, by markers in its text; so does the model's name, by `--marker`
//! in it, for a provider that pins a fault.
//!
//! | marker | answer |
//! |---|---|
//! | none | `HELLO` in several pieces |
//! | `[system]` | the system prompt, repeated |
//! | `[tool]` | some text, then a call of the first tool |
//! | `[parallel]` | two calls of the first tool |
//! | `[call NAME {...}]` | a call of that tool with that JSON as input, if the request offers it: for agents with tools of their own |
//! | `[thinking]` | thinking with a signature, then text; only if thinking was asked for, where that is a request field |
//! | `[image]` | media type and size of the image in the last turn |
//! | `[cache]` | usage with cache reads and writes |
//! | `[max]`, `[stop]`, `[refusal]` | text that ends with that stop reason |
//! | `[big]` | 1.5 MB of text |
//! | `[held]` | `HELLO` 16 times; a stream of it stops after some pieces, until `PUT /release?contains=...` names its request |
//!
//! A forced tool is called; a JSON schema asked for is answered with JSON of that shape; a turn with tool results is
//! answered with a text that repeats them. Faults (`[throttle]` and so on) are the business of each server.

use serde_json::{Map, Value, json};

/// The plain answer: multi-byte characters, so that a split in the middle of one would show.
pub(crate) const HELLO: &str = "Hello from upstream: Grüße, 世界 👋.";
const THOUGHT: &str = "The user greets me; I greet back.";
const SIGNATURE: &str = "c2lnbmF0dXJlLW9mLXRoZS1mYWtl";

#[derive(Debug, Clone)]
pub(crate) enum Block {
    Text(String),
    Thinking { text: String, signature: String },
    Tool { id: String, name: String, input: Value },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    EndTurn,
    ToolUse,
    MaxTokens,
    Sequence,
    Refusal,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) blocks: Vec<Block>,
    pub(crate) stop: Stop,
    pub(crate) usage: Usage,
}

#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

/// A request, as far as the script reads it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) text: String,
    pub(crate) system: String,
    pub(crate) tools: Vec<Tool>,
    pub(crate) forced_tool: Option<String>,
    pub(crate) schema: Option<Value>,
    /// Media type and decoded size.
    pub(crate) image: Option<(String, usize)>,
    pub(crate) tool_results: Vec<String>,
    pub(crate) thinking: bool,
}

impl Asked {
    pub(crate) fn has(&self, marker: &str) -> bool {
        self.text.contains(&format!("[{marker}]"))
    }

    /// What `[call NAME {...}]` wants called; nothing where the request does not offer such a tool.
    fn call(&self) -> Option<(&str, Value)> {
        let (name, rest) = self.text.split_once("[call ")?.1.split_once(' ')?;
        let input = serde_json::Deserializer::from_str(rest).into_iter().next()?.ok()?;
        self.tools.iter().any(|tool| tool.name == name).then_some((name, input))
    }

    /// Adds the markers that the model's name holds.
    pub(crate) fn with_model(mut self, model: &str) -> Self {
        for part in model.split("--").skip(1) {
            let marker = part.split_once("-v1").map_or(part, |(marker, _)| marker);
            self.text.push_str(&format!(" [{marker}]"));
        }
        self
    }
}

/// The answer to a request. `id` makes the id of the n-th tool call.
pub(crate) fn answer(asked: &Asked, id: impl Fn(usize) -> String) -> Answer {
    let mut blocks = Vec::new();
    if asked.has("thinking") && asked.thinking {
        blocks.push(Block::Thinking { text: THOUGHT.to_owned(), signature: SIGNATURE.to_owned() });
    }
    let stop = say(asked, &mut blocks, &id);
    let usage = if asked.has("cache") {
        Usage { input: 3, output: 11, cache_read: 32_651, cache_write: 17 }
    } else {
        Usage { input: 12, output: 7, cache_read: 0, cache_write: 0 }
    };
    Answer { blocks, stop, usage }
}

fn say(asked: &Asked, blocks: &mut Vec<Block>, id: &impl Fn(usize) -> String) -> Stop {
    let call = |number: usize, name: &str, word: &str| {
        let schema = asked.tools.iter().find(|tool| tool.name == name).map_or(&Value::Null, |tool| &tool.schema);
        Block::Tool { id: id(number), name: name.to_owned(), input: sample(schema, word) }
    };
    let first_tool = asked.tools.first().map(|tool| tool.name.as_str());
    if !asked.tool_results.is_empty() {
        blocks.push(Block::Text(format!("The tools said: {}.", asked.tool_results.join("; "))));
        return Stop::EndTurn;
    }
    if let Some(name) = &asked.forced_tool {
        blocks.push(call(1, name, "Paris"));
        return Stop::ToolUse;
    }
    if let Some((name, input)) = asked.call() {
        blocks.push(Block::Text("Let me look that up.".to_owned()));
        blocks.push(Block::Tool { id: id(1), name: name.to_owned(), input });
        return Stop::ToolUse;
    }
    match first_tool {
        Some(name) if asked.has("parallel") => {
            blocks.extend([call(1, name, "Paris"), call(2, name, "Rome")]);
            return Stop::ToolUse;
        }
        Some(name) if asked.has("tool") => {
            blocks.extend([Block::Text("Let me look that up.".to_owned()), call(1, name, "Paris")]);
            return Stop::ToolUse;
        }
        _ => {}
    }
    blocks.push(Block::Text(text(asked)));
    match () {
        () if asked.has("max") => Stop::MaxTokens,
        () if asked.has("stop") => Stop::Sequence,
        () if asked.has("refusal") => Stop::Refusal,
        () => Stop::EndTurn,
    }
}

fn text(asked: &Asked) -> String {
    if let Some(schema) = &asked.schema {
        return sample(schema, "Paris").to_string();
    }
    if asked.has("system") {
        return format!("The system prompt says: {}", asked.system);
    }
    if asked.has("image") {
        return match &asked.image {
            Some((media_type, size)) => format!("I see {media_type} of {size} bytes."),
            None => "I see no image.".to_owned(),
        };
    }
    if asked.has("big") {
        return "All work and no play makes a long answer. ".repeat(35_000);
    }
    if asked.has("held") {
        return HELLO.repeat(16);
    }
    HELLO.to_owned()
}

/// A value that fits a JSON schema; `word` stands for every free string.
fn sample(schema: &Value, word: &str) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("string") => json!(word),
        Some("integer") => json!(21),
        Some("number") => json!(21.5),
        Some("boolean") => json!(true),
        Some("array") => json!([sample(&schema["items"], word)]),
        _ => {
            // As a model does: what may be left out is left out.
            let required = schema["required"].as_array().filter(|names| !names.is_empty());
            let wanted = |name: &str| required.is_none_or(|names| names.iter().any(|known| known == name));
            let properties = schema["properties"].as_object().into_iter().flatten();
            let properties = properties.filter(|(name, _)| wanted(name));
            Value::Object(properties.map(|(name, inner)| (name.clone(), sample(inner, word))).collect::<Map<_, _>>())
        }
    }
}

/// A member of a JSON document by its pointer; null when it is not there.
pub(crate) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// How many events or frames of a `[held]` stream come before it stops: some of its content is among them.
pub(crate) const BEFORE_THE_HOLD: usize = 16;

/// A text in pieces of some characters each, as a model streams it.
pub(crate) fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let size = if characters.len() > 100_000 { 4_000 } else { 9 };
    characters.chunks(size).map(|piece| piece.iter().collect()).collect()
}

/// Size of a base64 text once decoded; nothing if it is not base64.
pub(crate) fn decoded_size(text: &str) -> Option<usize> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok().map(|bytes| bytes.len())
}
