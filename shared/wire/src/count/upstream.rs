//! What an upstream counts, made of the body that it would answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::request::with_max_tokens;
use crate::codec::{Carrier, Dialect, Target};
use crate::error::WireError;

/// All that Anthropic's count takes; another field is refused.
const MESSAGES: [&str; 8] =
    ["cache_control", "messages", "model", "output_config", "system", "thinking", "tool_choice", "tools"];
/// All that CountTokens takes of a Converse body:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseTokensRequest.html>.
const CONVERSE: [&str; 4] = ["additionalModelRequestFields", "messages", "system", "toolConfig"];

/// `body`: what would be sent for an answer. `own`: the client speaks the upstream's dialect, and has written a count request itself.
pub(super) fn body(target: &Target<'_>, body: Bytes, own: bool) -> Result<Bytes, WireError> {
    match (target.dialect, target.carrier) {
        (Dialect::Messages, Carrier::Direct) if own => Ok(body),
        (Dialect::Messages, Carrier::Direct) => only(&body, &MESSAGES).map(|fields| written(fields.into())),
        (Dialect::Messages, Carrier::Bedrock) => {
            // InvokeModel wants an output cap, which a count has neither use nor field for.
            let body = with_max_tokens(&body)?;
            Ok(written(json!({"input": {"invokeModel": {"body": STANDARD.encode(body)}}})))
        }
        (Dialect::Converse, _) => {
            let fields = only(&body, &CONVERSE)?;
            Ok(written(json!({"input": {"converse": fields}})))
        }
        (Dialect::GenerateContent, _) => {
            let mut fields = object(&body)?;
            fields.insert("model".to_owned(), format!("models/{}", target.model.trim_start_matches("models/")).into());
            Ok(written(json!({"generateContentRequest": fields})))
        }
        _ => Err(WireError::unsupported("", "this upstream counts no tokens")),
    }
}

fn only(body: &[u8], fields: &[&str]) -> Result<Map<String, Value>, WireError> {
    let mut object = object(body)?;
    object.retain(|key, _| fields.contains(&key.as_str()));
    Ok(object)
}

fn object(body: &[u8]) -> Result<Map<String, Value>, WireError> {
    serde_json::from_slice(body).map_err(|error| WireError::NotJson { message: error.to_string() })
}

fn written(value: Value) -> Bytes {
    value.to_string().into()
}
