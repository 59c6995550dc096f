//! Wire shapes: an answer's items as they are written to clients, and what is read from upstreams.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::ir::{ToolForm, Usage};
use crate::json::object;
use crate::openai::custom::custom_input;
use crate::openai::read::{arguments, nullable};
use crate::scalar::text;

// ---- An answer to a client ----

/// One item of an answer's output, as far as it has come.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) kind: ItemKind,
    /// Of a text: where it comes from.
    pub(super) annotations: Vec<Value>,
    /// Of a text's tokens.
    pub(super) logprobs: Vec<Value>,
}

/// What an item is.
#[derive(Debug)]
pub(super) enum ItemKind {
    /// A message with one text.
    Text(String),
    /// A message with one refusal.
    Refusal(String),
    /// Reasoning: as a summary, or as the text itself.
    Reasoning { text: String, summary: bool, encrypted: Option<String> },
    /// A call; `form`: it is no function for the client; `told`: how much of the arguments of a custom tool's is written.
    Call { call_id: String, name: String, form: Option<ToolForm>, arguments: String, told: usize },
}

/// OpenAI refuses an item whose id is longer than 64 characters.
const MAX_ID_TAIL: usize = 40;

impl Item {
    /// The `number`th item of an answer.
    pub(super) fn new(answer_id: &str, number: usize, kind: ItemKind) -> Self {
        let prefix = match &kind {
            ItemKind::Text(_) | ItemKind::Refusal(_) => "msg",
            ItemKind::Reasoning { .. } => "rs",
            ItemKind::Call { form: None | Some(ToolForm::Member { .. }), .. } => "fc",
            ItemKind::Call { form: Some(ToolForm::Custom), .. } => "ctc",
            ItemKind::Call { form: Some(ToolForm::LocalShell), .. } => "lsh",
            ItemKind::Call { form: Some(ToolForm::Shell), .. } => "sh",
            ItemKind::Call { form: Some(ToolForm::ApplyPatch), .. } => "apc",
        };
        let letters: Vec<char> = answer_id.chars().filter(char::is_ascii_alphanumeric).collect();
        let tail: String = letters.iter().skip(letters.len().saturating_sub(MAX_ID_TAIL)).collect();
        Self { id: format!("{prefix}_{tail}_{number}"), kind, annotations: Vec::new(), logprobs: Vec::new() }
    }

    /// Its content part, if it has one: the text of it so far.
    pub(super) fn part(&self) -> Option<Value> {
        match &self.kind {
            ItemKind::Text(text) => {
                let (annotations, logprobs) = (&self.annotations, &self.logprobs);
                Some(json!({"type": "output_text", "annotations": annotations, "logprobs": logprobs, "text": text}))
            }
            ItemKind::Refusal(refusal) => Some(json!({"type": "refusal", "refusal": refusal})),
            ItemKind::Reasoning { text, .. } if text.is_empty() => None,
            ItemKind::Reasoning { text, summary: true, .. } => Some(json!({"type": "summary_text", "text": text})),
            ItemKind::Reasoning { text, .. } => Some(json!({"type": "reasoning_text", "text": text})),
            ItemKind::Call { .. } => None,
        }
    }

    /// As it stands in an answer. `status`: `in_progress` (without content), `completed`, `incomplete`.
    pub(super) fn json(&self, status: &str) -> Value {
        let begun = status == "in_progress";
        let parts: Vec<Value> = self.part().into_iter().filter(|_| !begun).collect();
        let id = &self.id;
        match &self.kind {
            ItemKind::Text(_) | ItemKind::Refusal(_) => {
                object! {"id": id.as_str(), "type": "message", "status": status, "role": "assistant", "content": parts}
            }
            ItemKind::Reasoning { summary, encrypted, .. } => {
                let (summaries, content) = if *summary { (parts, Vec::new()) } else { (Vec::new(), parts) };
                let mut item = Map::new();
                let mut set = |key: &str, value: Value| item.insert(key.to_owned(), value);
                set("id", id.as_str().into());
                set("type", "reasoning".into());
                set("status", status.into());
                set("summary", summaries.into());
                if !content.is_empty() {
                    set("content", content.into());
                }
                set("encrypted_content", encrypted.as_deref().into());
                Value::Object(item)
            }
            ItemKind::Call { call_id, name, form, arguments, .. } => match form {
                Some(ToolForm::Custom) => {
                    let input = if begun { String::new() } else { custom_input(arguments) };
                    json!({"id": id, "type": "custom_tool_call", "status": status, "call_id": call_id, "name": name, "input": input})
                }
                Some(ToolForm::LocalShell) => {
                    let action = filled(json!({"type": "exec", "command": [], "env": {}}), arguments);
                    json!({"id": id, "type": "local_shell_call", "status": status, "call_id": call_id, "action": action})
                }
                Some(ToolForm::Shell) => {
                    let action =
                        filled(json!({"commands": [], "timeout_ms": null, "max_output_length": null}), arguments);
                    json!({"id": id, "type": "shell_call", "status": status, "call_id": call_id, "action": action})
                }
                Some(ToolForm::ApplyPatch) => {
                    let operation = filled(json!({"type": "update_file", "path": "", "diff": ""}), arguments);
                    // Cut off, it has no other state.
                    let status = if status == "incomplete" { "in_progress" } else { status };
                    json!({"id": id, "type": "apply_patch_call", "status": status, "call_id": call_id, "operation": operation})
                }
                Some(ToolForm::Member { namespace, name }) => json!({
                    "id": id, "type": "function_call", "status": status, "arguments": arguments, "call_id": call_id, "name": name,
                    "namespace": namespace,
                }),
                None => json!({
                    "id": id, "type": "function_call", "status": status, "arguments": arguments, "call_id": call_id, "name": name,
                }),
            },
        }
    }
}

/// What a call says, over what its type requires.
fn filled(mut required: Value, arguments: &str) -> Value {
    if let (Value::Object(out), Ok(Value::Object(said))) = (&mut required, serde_json::from_str(arguments)) {
        out.extend(said);
    }
    required
}

/// Usage as a client gets it; `null` where nothing was reported.
pub(super) fn usage_json(usage: &Usage) -> Value {
    if !usage.is_reported() {
        return Value::Null;
    }
    let (input, output) = (usage.total_input(), usage.output.unwrap_or_default());
    json!({
        "input_tokens": input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read.unwrap_or_default(),
            "cache_write_tokens": usage.cache_write.unwrap_or_default(),
        },
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning.unwrap_or_default()},
        "total_tokens": input.saturating_add(output),
    })
}

// ---- An answer of an upstream, whole or in an event ----

/// Everything is optional: servers that copy OpenAI leave out what they like.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AnswerIn {
    #[serde(deserialize_with = "text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) model: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) status: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) output: Option<Vec<ItemIn>>,
    pub(super) usage: Value,
    #[serde(deserialize_with = "text")]
    pub(super) service_tier: Option<String>,
    pub(super) error: Value,
    #[serde(deserialize_with = "nullable")]
    pub(super) incomplete_details: IncompleteIn,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IncompleteIn {
    #[serde(deserialize_with = "text")]
    pub(super) reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemIn {
    #[serde(rename = "type", deserialize_with = "text")]
    pub(super) kind: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "parts")]
    pub(super) content: Vec<PartIn>,
    #[serde(deserialize_with = "parts")]
    pub(super) summary: Vec<PartIn>,
    #[serde(deserialize_with = "text")]
    pub(super) encrypted_content: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) call_id: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "arguments")]
    pub(super) arguments: String,
    /// Of a custom tool's call.
    #[serde(deserialize_with = "arguments")]
    pub(super) input: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PartIn {
    #[serde(rename = "type", deserialize_with = "text")]
    pub(super) kind: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) text: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) refusal: Option<String>,
    pub(super) annotations: Value,
    pub(super) logprobs: Value,
}

/// A list of parts; of an item that means something else by this name, nothing.
fn parts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PartIn>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
}

/// An event of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EventIn {
    #[serde(rename = "type", deserialize_with = "text")]
    pub(super) kind: Option<String>,
    pub(super) output_index: u64,
    pub(super) content_index: u64,
    pub(super) summary_index: u64,
    #[serde(deserialize_with = "text")]
    pub(super) delta: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) text: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) refusal: Option<String>,
    #[serde(deserialize_with = "arguments")]
    pub(super) arguments: String,
    /// Of a custom tool's call.
    #[serde(deserialize_with = "arguments")]
    pub(super) input: String,
    pub(super) logprobs: Value,
    pub(super) annotation: Value,
    pub(super) item: Option<ItemIn>,
    pub(super) response: Option<AnswerIn>,
}
