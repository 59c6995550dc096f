//! The dialects, and the one place that chooses between them.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::error::WireError;
use crate::ir;
use crate::{chat, converse, gemini, messages, rerank, responses};

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions: <https://platform.openai.com/docs/api-reference/chat>.
    Chat,
    /// OpenAI Responses: <https://platform.openai.com/docs/api-reference/responses>.
    Responses,
    /// Anthropic Messages: <https://docs.anthropic.com/en/api/messages>.
    Messages,
    /// Gemini GenerateContent: <https://ai.google.dev/api/generate-content>.
    GenerateContent,
    /// Bedrock Converse: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>. Upstreams only.
    Converse,
    /// Cohere's rerank: <https://docs.cohere.com/reference/rerank>. No conversation is said in it, only errors: see `rerank`.
    Rerank,
}

/// Who carries a dialect's body: some hosts want it slightly changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// The dialect's own provider, or a server that copies it.
    Direct,
    /// Bedrock's InvokeModel: no `model` and `stream` in the body, `anthropic_version` and `anthropic_beta` in it.
    Bedrock,
    /// Vertex AI's `rawPredict`: no `model` in the body, `anthropic_version` in it.
    Vertex,
}

/// What an attempt is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// What it speaks.
    pub dialect: Dialect,
    /// Who carries it.
    pub carrier: Carrier,
    /// The model to ask for.
    pub model: &'a str,
}

/// What an answer needs and no upstream gives: the crate has no clock and no randomness of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// For `created`: Unix seconds.
    pub created_unix_s: u64,
    /// For an answer's id where the upstream gives none: letters, digits, `-`.
    pub request_id: String,
}

/// An encoded request.
#[derive(Debug)]
pub struct Encoded {
    /// The body to send.
    pub body: Bytes,
    /// What it could not carry.
    pub dropped: Vec<ir::Dropped>,
    /// Headers that say what has no place in the body.
    pub headers: Vec<(&'static str, String)>,
    /// Reads the answer.
    pub reader: Box<dyn ResponseReader>,
}

/// Reads one upstream answer, however its bytes were split. One per attempt: it owns the attempt's state.
pub trait ResponseReader: Send + std::fmt::Debug {
    /// A whole (not streamed) 2xx body.
    fn response(&mut self, body: &[u8]) -> Result<ir::Response, WireError>;
    /// More bytes of a stream. Any split of the bytes gives the same events.
    fn chunk(&mut self, bytes: &[u8], out: &mut Vec<ir::Event>) -> Result<(), WireError>;
    /// The stream's bytes have ended. [`WireError::Incomplete`] if the final event is missing; a reader that has already emitted
    /// `Stop` or `Fault` answers `Ok`.
    fn finish(&mut self, out: &mut Vec<ir::Event>) -> Result<(), WireError>;
}

/// Writes one streamed answer to a client. One per request: it owns the stream's state.
pub trait StreamWriter: Send + std::fmt::Debug {
    /// Appends the bytes that this event means in the client's dialect (possibly none). Faults have their own method, which knows the request's
    /// id.
    fn event(&mut self, event: &ir::Event, out: &mut Vec<u8>) {
        match event {
            ir::Event::Start { id, model } => self.start(id.as_deref(), model.as_deref(), out),
            ir::Event::BlockStart { index, kind } => self.block_start(*index, kind, out),
            ir::Event::Delta { index, delta } => self.block_delta(*index, delta, out),
            ir::Event::BlockStop { index } => self.block_stop(*index, out),
            ir::Event::Usage(usage) => self.usage().update(usage),
            ir::Event::Stop(stop) => self.stop(stop, out),
            ir::Event::Fault(_) => {}
        }
    }
    /// The answer begins. Not every upstream says so.
    fn start(&mut self, id: Option<&str>, model: Option<&str>, out: &mut Vec<u8>);
    /// A block begins.
    fn block_start(&mut self, index: usize, kind: &ir::BlockKind, out: &mut Vec<u8>);
    /// More of a block.
    fn block_delta(&mut self, index: usize, delta: &ir::Delta, out: &mut Vec<u8>);
    /// A block ends.
    fn block_stop(&mut self, index: usize, out: &mut Vec<u8>);
    /// Usage so far.
    fn usage(&mut self) -> &mut ir::Usage;
    /// The answer ends; usage may follow.
    fn stop(&mut self, stop: &ir::Stop, out: &mut Vec<u8>);
    /// Appends what ends a complete stream (`[DONE]`, `message_stop`). Called once, after `Stop` and the last `Usage`.
    fn finish(&mut self, out: &mut Vec<u8>);
    /// Appends an error event, which ends the stream. Nothing is written after it.
    fn fault(&mut self, fault: &ir::Fault, request_id: &str, out: &mut Vec<u8>);
}

/// Reads a client's request into the IR.
pub fn decode_request(dialect: Dialect, body: &[u8]) -> Result<ir::Request, WireError> {
    match dialect {
        Dialect::Chat => chat::decode_request(body),
        Dialect::Responses => responses::decode_request(body),
        Dialect::Messages => messages::decode_request(body),
        Dialect::GenerateContent => gemini::decode_request(body),
        Dialect::Converse | Dialect::Rerank => Err(WireError::invalid("", "no client speaks this dialect here")),
    }
}

/// Writes the IR for an upstream.
pub fn encode_request(request: &ir::Request, target: &Target<'_>) -> Result<Encoded, WireError> {
    match target.dialect {
        Dialect::Chat => chat::encode_request(request, target),
        Dialect::Messages => messages::encode_request(request, target),
        Dialect::Converse => converse::encode_request(request, target),
        Dialect::GenerateContent => gemini::encode_request(request, target),
        Dialect::Responses => responses::encode_request(request, target),
        Dialect::Rerank => Err(WireError::invalid("", "no upstream speaks this dialect here")),
    }
}

/// Writes a whole answer for a client. `echo`: of its request.
pub fn encode_response(dialect: Dialect, response: &ir::Response, seed: &Seed, echo: &ir::Echo) -> Bytes {
    match dialect {
        Dialect::Chat | Dialect::Converse | Dialect::Rerank => chat::encode_response(response, seed, echo),
        Dialect::Responses => responses::encode_response(response, seed, echo),
        Dialect::GenerateContent => gemini::encode_response(response, seed),
        Dialect::Messages => messages::encode_response(response, seed),
    }
}

/// Writes an error body for a client.
pub fn encode_error(dialect: Dialect, fault: &ir::Fault, request_id: &str) -> Bytes {
    match dialect {
        Dialect::Chat | Dialect::Responses | Dialect::Converse => chat::encode_error(fault),
        Dialect::GenerateContent => gemini::encode_error(fault, request_id),
        Dialect::Messages => messages::encode_error(fault, request_id),
        Dialect::Rerank => rerank::encode_error(fault, request_id),
    }
}

/// A writer for a client's stream. `include_usage`: the client asked for usage (chat completions only; other streams always have it). `echo`: of the
/// request.
pub fn stream_writer(
    dialect: Dialect,
    seed: &Seed,
    include_usage: bool,
    echo: &Arc<ir::Echo>,
) -> Box<dyn StreamWriter> {
    match dialect {
        Dialect::Chat | Dialect::Converse | Dialect::Rerank => {
            Box::new(chat::Writer::new(seed.clone(), include_usage, Arc::clone(echo)))
        }
        Dialect::Responses => Box::new(responses::Writer::new(seed.clone(), Arc::clone(echo))),
        Dialect::GenerateContent => Box::new(gemini::Writer::new(seed.clone())),
        Dialect::Messages => Box::new(messages::Writer::new(seed.clone())),
    }
}

/// Reads an upstream's non-2xx answer.
pub fn decode_fault(dialect: Dialect, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ir::Fault {
    match dialect {
        Dialect::Chat | Dialect::Responses => chat::decode_fault(status, headers, body),
        Dialect::GenerateContent => gemini::decode_fault(status, headers, body),
        Dialect::Messages => messages::decode_fault(status, headers, body),
        Dialect::Converse => converse::decode_fault(status, headers, body),
        Dialect::Rerank => rerank::decode_fault(status, headers, body),
    }
}
