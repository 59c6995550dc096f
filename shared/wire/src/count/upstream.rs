//! What an upstream counts, made of the body that it would answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::request::with_max_tokens;
use crate::codec::{Carrier, Dialect};
use crate::error::WireError;
use crate::json;
use crate::messages::vertex;
use crate::unary::{Service, Way};

/// All that Anthropic's count takes; another field is refused.
pub(super) const MESSAGES: [&str; 8] =
    ["cache_control", "messages", "model", "output_config", "system", "thinking", "tool_choice", "tools"];
/// All that OpenAI's count takes that a translation writes: <https://platform.openai.com/docs/api-reference/responses/input-tokens>.
const RESPONSES: [&str; 8] =
    ["input", "instructions", "model", "parallel_tool_calls", "reasoning", "text", "tool_choice", "tools"];
/// All that CountTokens takes of a Converse body:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseTokensRequest.html>.
const CONVERSE: [&str; 4] = ["additionalModelRequestFields", "messages", "system", "toolConfig"];
/// All that Vertex's count takes of a body of Gemini's, in both spellings:
/// <https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.publishers.models/countTokens>.
const VERTEX: [&str; 6] =
    ["contents", "generationConfig", "generation_config", "systemInstruction", "system_instruction", "tools"];

/// `body`: what would be sent for an answer. `own`: the client speaks the upstream's dialect, and has written a count request itself.
pub(super) fn body(service: &Service<'_>, body: Bytes, own: bool) -> Result<Bytes, WireError> {
    let target = &service.target;
    match (target.dialect, target.carrier) {
        (Dialect::Messages | Dialect::Responses, Carrier::Direct) if own => Ok(body),
        (Dialect::Responses, Carrier::Direct) => json::kept(&body, "", &|key| RESPONSES.contains(&key)),
        (Dialect::Messages, Carrier::Direct) => json::kept(&body, "", &|key| MESSAGES.contains(&key)),
        (Dialect::Messages, Carrier::Vertex) => {
            // One endpoint for all models: here the name stands in the body
            // (<https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/count-tokens>).
            let name = format!(r#""model":{}"#, Value::from(vertex::counted_name(target.model)));
            json::kept(&body, &name, &|key| own || MESSAGES.contains(&key))
        }
        (Dialect::Messages, Carrier::Bedrock) => {
            // InvokeModel wants an output cap, which a count has neither use nor field for.
            let body = with_max_tokens(&body)?;
            Ok(json!({"input": {"invokeModel": {"body": STANDARD.encode(body)}}}).to_string().into())
        }
        (Dialect::Converse, _) => {
            let fields = json::kept(&body, "", &|key| CONVERSE.contains(&key))?;
            Ok([br#"{"input":{"converse":"#.as_slice(), &fields, b"}}"].concat().into())
        }
        (Dialect::GenerateContent, _) if service.way == Way::VertexCount => {
            json::kept(&body, "", &|key| VERTEX.contains(&key))
        }
        (Dialect::GenerateContent, _) => gemini(target.model, body),
        _ => Err(WireError::unsupported("", "this upstream counts no tokens")),
    }
}

/// `contents` alone are counted as they are. Whatever else a prompt has is counted in a whole request, which repeats the path's model:
/// <https://ai.google.dev/api/tokens>.
fn gemini(model: &str, body: Bytes) -> Result<Bytes, WireError> {
    if json::members(&body)?.iter().all(|member| member.key == "contents") {
        return Ok(body);
    }
    let name = format!("models/{}", model.rsplit('/').next().unwrap_or(model));
    let whole = json::kept(&body, &format!(r#""model":{}"#, Value::from(name)), &|key| key != "model")?;
    Ok([br#"{"generateContentRequest":"#.as_slice(), &whole, b"}"].concat().into())
}
