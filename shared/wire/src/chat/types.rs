//! Wire shapes: what is written to upstreams and clients, and what is read from upstreams. Clients' requests are read from a tree
//! (`request/decode.rs`), because every refusal names its path.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::gemini;
use crate::ir::{Echo, Usage};
use crate::openai::custom::custom_input;
use crate::openai::read::{arguments, lenient, nullable};
use crate::scalar::{borrowed, text};

// ---- A request to an upstream ----

#[derive(Debug, Default, Serialize)]
pub(super) struct RequestOut<'a> {
    pub(super) model: &'a str,
    pub(super) messages: Vec<MessageOut<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<i64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_format: Option<FormatOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream_options: Option<StreamOptionsOut>,
    /// What only OpenAI's own models take.
    #[serde(flatten)]
    pub(super) openai: Map<String, Value>,
}

#[derive(Debug, Serialize)]
pub(super) struct StreamOptionsOut {
    pub(super) include_usage: bool,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct MessageOut<'a> {
    pub(super) role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_call_id: Option<Cow<'a, str>>,
    /// Written as `null` where there is none: an assistant message with calls only.
    pub(super) content: Option<ContentOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<CallOut<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum ContentOut<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<PartOut<'a>>),
}

#[derive(Debug, Serialize)]
pub(super) struct PartOut<'a> {
    #[serde(flatten)]
    pub(super) kind: PartKind<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_cache_breakpoint: Option<BreakpointOut>,
}

#[derive(Debug, Serialize)]
pub(super) struct BreakpointOut {
    pub(super) mode: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum PartKind<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: UrlOut<'a> },
    InputAudio { input_audio: AudioOut<'a> },
    File { file: FileOut<'a> },
}

#[derive(Debug, Serialize)]
pub(super) struct UrlOut<'a> {
    pub(super) url: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(super) struct AudioOut<'a> {
    pub(super) data: &'a str,
    pub(super) format: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct FileOut<'a> {
    pub(super) filename: &'a str,
    pub(super) file_data: String,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FormatOut<'a> {
    JsonObject,
    JsonSchema { json_schema: SchemaOut<'a> },
}

#[derive(Debug, Serialize)]
pub(super) struct SchemaOut<'a> {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
    pub(super) schema: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strict: Option<bool>,
}

/// A call, in a request's history or in an answer.
#[derive(Debug, Default, Serialize)]
pub(super) struct CallOut<'a> {
    /// In a stream only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function: Option<CallFunctionOut<'a>>,
    /// The call of a tool whose input is a text.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(super) custom: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extra_content: Option<ExtraContent>,
}

impl<'a> CallOut<'a> {
    /// A function's.
    pub(super) fn function(self, name: Cow<'a, str>, arguments: String) -> Self {
        let function = CallFunctionOut { name: Some(name), arguments: Cow::Owned(arguments) };
        Self { kind: Some("function"), function: Some(function), ..self }
    }

    /// Of a tool whose input is a text.
    pub(super) fn custom(self, name: &str, input: String) -> Self {
        Self { kind: Some("custom"), custom: json!({ "name": name, "input": input }), ..self }
    }

    /// As what its tool is for the client.
    pub(super) fn whole(self, name: &'a str, arguments: String, echo: &Echo) -> Self {
        if echo.tools.contains_key(name) {
            return self.custom(name, custom_input(&arguments));
        }
        self.function(Cow::Borrowed(name), arguments)
    }
}

/// Where Google's own OpenAI layer has the signature of a call: <https://ai.google.dev/gemini-api/docs/openai>.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ExtraContent {
    google: Google,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Google {
    thought_signature: Option<String>,
}

impl ExtraContent {
    /// Of a signature of the IR, if it is a call's.
    pub(super) fn of(signature: Option<&str>) -> Option<Self> {
        let thought_signature = Some(gemini::of_call(signature?)?.to_owned());
        Some(Self { google: Google { thought_signature } })
    }

    /// The signature for the IR.
    pub(super) fn signature(&self) -> Option<String> {
        let signature = self.google.thought_signature.as_deref().filter(|signature| !signature.is_empty())?;
        Some(gemini::mark_call(signature))
    }
}

#[derive(Debug, Serialize)]
pub(super) struct CallFunctionOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) arguments: Cow<'a, str>,
}

// ---- An answer to a client, whole or as a chunk ----

#[derive(Debug, Serialize)]
pub(super) struct AnswerOut<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) choices: &'a [ChoiceOut<'a>],
    /// Outer `None`: no such field. Inner `None`: `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Option<UsageOut>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(super) struct ChoiceOut<'a> {
    pub(super) index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<AnswerMessageOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delta: Option<DeltaOut<'a>>,
    pub(super) logprobs: Option<Value>,
    pub(super) finish_reason: Option<&'static str>,
    /// vLLM's extension: the stop sequence that was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop_reason: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(super) struct AnswerMessageOut<'a> {
    pub(super) role: &'static str,
    pub(super) content: Option<String>,
    pub(super) refusal: Option<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(super) annotations: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<CallOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) thinking_blocks: Vec<ThinkingOut<'a>>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct DeltaOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking_blocks: Option<[ThinkingOut<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_calls: Option<[CallOut<'a>; 1]>,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(super) annotations: Value,
}

/// LiteLLM's form, which is what clients replay: <https://docs.litellm.ai/docs/reasoning_content>.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ThinkingOut<'a> {
    Thinking {
        thinking: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        signature: Option<&'a str>,
    },
    RedactedThinking {
        data: &'a str,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct UsageOut {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetailsOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionDetailsOut>,
}

#[derive(Debug, Serialize)]
struct PromptDetailsOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
}

#[derive(Debug, Serialize)]
struct CompletionDetailsOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
}

impl UsageOut {
    /// `None` where nothing was reported: that is not zero.
    pub(super) fn of(usage: &Usage) -> Option<Self> {
        if !usage.is_reported() {
            return None;
        }
        let prompt_tokens = usage.total_input();
        let completion_tokens = usage.output.unwrap_or_default();
        let (cached_tokens, cache_write_tokens) = (usage.cache_read, usage.cache_write);
        let (audio_tokens, reasoning_tokens) = (usage.audio_input, usage.reasoning);
        let prompt = PromptDetailsOut { cached_tokens, cache_write_tokens, audio_tokens };
        let completion = CompletionDetailsOut { reasoning_tokens, audio_tokens: usage.audio_output };
        Some(Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            prompt_tokens_details: cached_tokens.or(cache_write_tokens).or(audio_tokens).map(|_| prompt),
            completion_tokens_details: reasoning_tokens.or(usage.audio_output).map(|_| completion),
        })
    }
}

// ---- An answer of an upstream, whole or as a chunk ----

/// Everything is optional: servers that copy OpenAI leave out what they like. A field of an unexpected type is taken as absent where an
/// answer without it is still an answer.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AnswerIn<'a> {
    #[serde(borrow, default, deserialize_with = "borrowed")]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "borrowed")]
    pub(super) model: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "borrowed")]
    pub(super) object: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) choices: Vec<ChoiceIn>,
    #[serde(default)]
    pub(super) usage: Value,
    #[serde(borrow, default, deserialize_with = "borrowed")]
    pub(super) service_tier: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) error: Value,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ChoiceIn {
    #[serde(default)]
    pub(super) index: Option<u64>,
    /// Of a whole answer. (Perplexity's chunks have both.)
    #[serde(default)]
    pub(super) message: Option<Box<MessageIn>>,
    /// Of a chunk.
    #[serde(default)]
    pub(super) delta: Option<Box<MessageIn>>,
    #[serde(default)]
    pub(super) logprobs: Value,
    #[serde(default, deserialize_with = "text")]
    pub(super) finish_reason: Option<String>,
    /// vLLM: the stop sequence that was met, or the number of a stop token.
    #[serde(default, deserialize_with = "text")]
    pub(super) stop_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct MessageIn {
    /// Text, or (Mistral's reasoning models) an array of text and thinking parts.
    #[serde(default)]
    pub(super) content: Value,
    #[serde(default, deserialize_with = "text")]
    pub(super) refusal: Option<String>,
    /// DeepSeek's name of the reasoning.
    #[serde(default, deserialize_with = "text")]
    pub(super) reasoning_content: Option<String>,
    /// vLLM's, Groq's and Ollama's name of it.
    #[serde(default, deserialize_with = "text")]
    pub(super) reasoning: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) thinking_blocks: Vec<ThinkingIn>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) tool_calls: Vec<CallIn>,
    #[serde(default)]
    pub(super) function_call: Option<CallFunctionIn>,
    #[serde(default)]
    pub(super) annotations: Value,
}

impl MessageIn {
    pub(super) fn take_reasoning(&mut self) -> Option<String> {
        let full = |text: &String| !text.is_empty();
        self.reasoning_content.take().filter(full).or_else(|| self.reasoning.take().filter(full))
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ThinkingIn {
    #[serde(default, deserialize_with = "text")]
    pub(super) thinking: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) signature: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) data: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct CallIn {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) function: CallFunctionIn,
    /// The call of a tool whose input is a text.
    #[serde(default, deserialize_with = "nullable")]
    pub(super) custom: CallFunctionIn,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) extra_content: ExtraContent,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct CallFunctionIn {
    #[serde(default, deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "arguments")]
    pub(super) arguments: String,
    /// Of a tool whose input is a text.
    #[serde(default, deserialize_with = "arguments")]
    pub(super) input: String,
}
