//! The intermediate representation: what a request, an answer and a stream mean, in no dialect.
//!
//! A message is a list of ordered blocks, as Anthropic, Converse and Gemini have it; OpenAI's flat messages embed into that. Equal
//! dialects never come here (see `exchange`), so the IR holds what at least two dialects can say. What a decoder finds and the IR
//! cannot hold is listed in [`Request::unmapped`]: every encoder reports it.

mod echo;
mod fault;
mod openai;
mod search;
mod tier;
mod usage;

use std::sync::Arc;

use serde_json::Value;

pub use echo::{Echo, ToolForm};
pub use fault::{Fault, FaultKind};
pub use openai::{CustomTool, GRAMMAR_IS_ONLY_TOLD, NO_DETAIL, OpenAiSetting};
pub use search::{Citation, WebSearch};
pub use tier::Tier;
pub use usage::Usage;

/// A request for one answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// As the client named it.
    pub model: String,
    /// Instructions before the conversation: [`Block::Text`] and [`Block::CacheMark`] only.
    pub system: Vec<Block>,
    /// The conversation in order. Roles need not alternate here; encoders merge where their dialect wants it.
    pub messages: Vec<Message>,
    /// Functions that the model may call.
    pub tools: Vec<Tool>,
    /// Tools that it knows and may not call this time, by their place in the client's list. Where a list of the allowed ones can be sent, they go on, so that what
    /// is cached of the conversation stays good.
    pub set_aside: Vec<(usize, Tool)>,
    /// Which of them.
    pub tool_choice: Option<ToolChoice>,
    /// May it call several at once? `None`: the upstream's default.
    pub parallel_tool_calls: Option<bool>,
    /// The output cap in tokens, thinking included.
    pub max_output_tokens: Option<u64>,
    /// 0 to 2 (OpenAI) or 0 to 1 (Anthropic, Converse): encoders clamp and report.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Top-k sampling.
    pub top_k: Option<u64>,
    /// OpenAI's `frequency_penalty`.
    pub frequency_penalty: Option<f64>,
    /// OpenAI's `presence_penalty`.
    pub presence_penalty: Option<f64>,
    /// Sampling seed.
    pub seed: Option<i64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Structured output.
    pub output_format: Option<OutputFormat>,
    /// Extended thinking.
    pub thinking: Option<ThinkingMode>,
    /// How hard to think: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`. Independent of `thinking`; a client sets one or both.
    pub effort: Option<String>,
    /// Streamed answer?
    pub stream: bool,
    /// The client wants usage in the stream (OpenAI's `stream_options.include_usage`; always true for Anthropic's).
    pub include_usage: bool,
    /// An opaque id of the end user, for the provider's abuse detection.
    pub user: Option<String>,
    /// How it is to be served. `None`: as the account is set up.
    pub tier: Option<Tier>,
    /// Labels of the call, for whoever reads the provider's log of it.
    pub metadata: Vec<(String, String)>,
    /// The client wants the log probabilities of the answer's tokens, and of so many others in each one's place.
    pub logprobs: Option<u64>,
    /// The provider is to search the web.
    pub web_search: Option<WebSearch>,
    /// What only OpenAI's two dialects have. Empty for clients of the others.
    pub openai: Vec<OpenAiSetting>,
    /// What the client said and the IR cannot hold, by its path in the client's body.
    pub unmapped: Vec<Dropped>,
    /// What the answer has to know of the request.
    pub echo: Arc<Echo>,
}

impl Request {
    /// Sets the other tools aside.
    pub(crate) fn allow(&mut self, names: &[String]) {
        let tools = std::mem::take(&mut self.tools);
        for (at, tool) in tools.into_iter().enumerate() {
            if names.contains(&tool.name) {
                self.tools.push(tool);
            } else {
                self.set_aside.push((at, tool));
            }
        }
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The end user; tool results are here, too.
    User,
    /// The model.
    Assistant,
    /// Instructions in the middle of the conversation.
    System,
}

/// One turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What, in order.
    pub blocks: Vec<Block>,
}

/// A piece of content.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// Plain text.
    Text(String),
    /// A picture.
    Image(Source),
    /// A document: PDF, text, spreadsheet.
    Document {
        /// Its bytes or place.
        source: Source,
        /// File name or title.
        name: Option<String>,
    },
    /// Sound.
    Audio {
        /// Base64.
        data: String,
        /// `wav`, `mp3`, ...
        format: String,
    },
    /// The model calls a function.
    ToolUse {
        /// Links it to its result.
        id: String,
        /// The client's name of the function.
        name: String,
        /// Arguments: always a JSON object.
        input: Value,
    },
    /// What the function answered.
    ToolResult {
        /// The call's id.
        id: String,
        /// Text, images, documents.
        content: Vec<Block>,
        /// The function failed.
        is_error: bool,
    },
    /// The model's reasoning.
    Thinking {
        /// May be empty while the signature is not.
        text: String,
        /// The provider's proof, needed to replay the block. `None`: unsigned.
        signature: Option<String>,
    },
    /// Encrypted reasoning.
    RedactedThinking(String),
    /// The model declined (OpenAI's `refusal`).
    Refusal(String),
    /// Everything up to here may be cached. Stands after the block that carries the mark.
    CacheMark(CacheTtl),
    /// How closely OpenAI's models look at a picture. Behind all other content, so that nobody else's paths change.
    Detail {
        /// The picture's place among these blocks.
        of: usize,
        /// `low`, `high`, `original`.
        level: String,
    },
    /// The sources of the text before it. Only in answers.
    Citations(Vec<Citation>),
}

/// How long a cached prefix lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CacheTtl {
    /// The default.
    #[default]
    FiveMinutes,
    /// Costs more to write.
    OneHour,
}

/// Where an image's or a document's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Inline.
    Base64 {
        /// `image/png`, `application/pdf`, ...
        media_type: String,
        /// Base64, standard alphabet.
        data: String,
    },
    /// Somewhere else.
    Url(String),
    /// Inline text of a document.
    Text(String),
    /// A provider's uploaded file.
    File(String),
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// The client's name of it.
    pub name: String,
    /// For the model.
    pub description: Option<String>,
    /// JSON Schema of the arguments; member order kept. `{"type":"object","properties":{}}` when the client gave none.
    pub schema: Value,
    /// Arguments must follow the schema exactly.
    pub strict: Option<bool>,
    /// A cache mark after this tool.
    pub cache: Option<CacheTtl>,
    /// For the client its input is a text. OpenAI's models get it as that, all others as the function that the rest of this says.
    pub custom: Option<CustomTool>,
}

/// Which tool to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// None.
    None,
    /// At least one.
    Any,
    /// This one.
    Tool(String),
}

/// Structured output.
#[derive(Debug, Clone, PartialEq)]
pub enum OutputFormat {
    /// Any JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// OpenAI wants a name.
        name: Option<String>,
        /// For the model.
        description: Option<String>,
        /// JSON Schema.
        schema: Value,
        /// Follow it exactly.
        strict: Option<bool>,
    },
}

/// Extended thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThinkingMode {
    /// Off.
    Disabled,
    /// At most so many tokens.
    Budget(u64),
    /// The model decides.
    Adaptive,
}

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Response {
    /// The upstream's id of it.
    pub id: Option<String>,
    /// The model that answered, as the upstream names it.
    pub model: Option<String>,
    /// Content in order.
    pub blocks: Vec<Block>,
    /// Why it ended.
    pub stop: Stop,
    /// What it used.
    pub usage: Usage,
    /// The log probabilities of its text's tokens, as OpenAI has them: `token`, `logprob`, `bytes`, `top_logprobs`.
    pub logprobs: Vec<Value>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stop {
    /// The reason.
    pub reason: StopReason,
    /// The stop sequence that was met.
    pub sequence: Option<String>,
}

/// Stop reasons. One row per reason, so that every codec maps the same:
///
/// | here | OpenAI chat | OpenAI Responses: `status` | Anthropic | Converse | Gemini |
/// |---|---|---|---|---|---|
/// | `EndTurn` | `stop` | `completed` | `end_turn` | `end_turn` | `STOP`, `OTHER` |
/// | `StopSequence` | `stop` | `completed` | `stop_sequence` | `stop_sequence` | `STOP` |
/// | `MaxTokens` | `length` | `incomplete`, `max_output_tokens` | `max_tokens` | `max_tokens` | `MAX_TOKENS` |
/// | `ContextWindow` | `length` | `incomplete`, `max_output_tokens` | `model_context_window_exceeded` | `model_context_window_exceeded` | `MAX_TOKENS` |
/// | `ToolUse` | `tool_calls` (`function_call`) | `completed`, with a call | `tool_use` | `tool_use` | `STOP` |
/// | `Refusal` | `content_filter` | `completed`, with a refusal; without one `incomplete`, `content_filter` | `refusal` | - | `SAFETY` |
/// | `ContentFilter` | `content_filter` | `incomplete`, `content_filter` | `refusal` | `guardrail_intervened`, `content_filtered` | `SAFETY`, `RECITATION`, `PROHIBITED_CONTENT`, ... |
/// | `Pause` | `stop` | `completed` | `pause_turn` | - | `STOP` |
/// | `Malformed` | `stop` | `completed` | `end_turn` | `malformed_model_output`, `malformed_tool_use` | `MALFORMED_FUNCTION_CALL`, `MALFORMED_RESPONSE`, ... |
///
/// In Responses, `incomplete` has its reason in `incomplete_details.reason`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table above says it")]
pub enum StopReason {
    #[default]
    EndTurn,
    StopSequence,
    MaxTokens,
    ContextWindow,
    ToolUse,
    Refusal,
    ContentFilter,
    Pause,
    Malformed,
}

/// One step of a streamed answer. A reader emits: `Start`, then for each block `BlockStart`, `Delta`s, `BlockStop`, then `Stop`;
/// `Usage` at any place. Every `BlockStart` has its `BlockStop` before `Stop`; block indexes count up from 0 without gaps. A `Delta` for a tool
/// block that is already stopped is legal (an upstream interleaves parallel calls): writers send it under that block's index.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The answer begins.
    Start {
        /// The upstream's id.
        id: Option<String>,
        /// The model that answers.
        model: Option<String>,
    },
    /// A block begins.
    BlockStart {
        /// Its index.
        index: usize,
        /// What it is.
        kind: BlockKind,
    },
    /// More of a block.
    Delta {
        /// Which block.
        index: usize,
        /// What.
        delta: Delta,
    },
    /// A block ends.
    BlockStop {
        /// Which block.
        index: usize,
    },
    /// Usage so far, cumulative.
    Usage(Usage),
    /// The answer ends.
    Stop(Stop),
    /// The upstream reports a fault inside a 200 stream. Nothing follows.
    Fault(Fault),
}

/// What kind of block begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockKind {
    /// Text.
    Text,
    /// Reasoning.
    Thinking,
    /// Encrypted reasoning, whole.
    RedactedThinking(String),
    /// A call.
    ToolUse {
        /// Its id; never empty.
        id: String,
        /// The client's name of the function.
        name: String,
    },
    /// A refusal (OpenAI).
    Refusal,
}

/// More of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Of a text or refusal block.
    Text(String),
    /// Of a thinking block.
    Thinking(String),
    /// The signature of a thinking block (or a part of it).
    Signature(String),
    /// A part of the JSON text of a call's arguments.
    ToolInput(String),
    /// The log probabilities of the text that comes next ([`Response::logprobs`]).
    Logprobs(Vec<Value>),
    /// A source of a piece of this block's text, which is already there.
    Citation(Citation),
}

/// Something that did not reach the upstream as the client said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its path in the client's body: `messages[3].content[0].citations`, `logit_bias`.
    pub path: String,
    /// Why, and what was done instead: `Converse has no such field`.
    pub reason: String,
}

impl Dropped {
    /// A path and a reason.
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into() }
    }
}
