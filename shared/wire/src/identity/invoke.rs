//! A request to Claude on Bedrock, in InvokeModel's form:
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html>.

use bytes::Bytes;
use serde_json::{Value, json};

use super::json_string;
use crate::error::WireError;
use crate::ir::Dropped;
use crate::json;
use crate::messages::{bedrock, no_compaction};

/// A Messages body in InvokeModel's form.
pub(super) fn edit(
    body: &Bytes,
    betas: &[String],
    model: &str,
    dropped: &mut Vec<Dropped>,
) -> Result<Bytes, WireError> {
    if bedrock::has_blank_text(body) {
        let mut tree: Value = json::read(body).map_err(|e| WireError::NotJson { message: e.to_string() })?;
        bedrock::without_blank_text(&mut tree, dropped);
        return write(tree.to_string().as_bytes(), betas, model, dropped);
    }
    write(body, betas, model, dropped)
}

fn write(body: &[u8], betas: &[String], model: &str, dropped: &mut Vec<Dropped>) -> Result<Bytes, WireError> {
    let members = json::members(body)?;
    if let Some(mark) = members.iter().find(|member| member.key == "cache_control" && member.value != "null") {
        let mut tree: Value = json::read(body).map_err(|e| WireError::NotJson { message: e.to_string() })?;
        mark_last(&mut tree, mark.value);
        return write(tree.to_string().as_bytes(), betas, model, dropped);
    }
    let in_body = members.iter().find(|m| m.key == "anthropic_beta").and_then(|m| serde_json::from_str(m.value).ok());
    let mut flags: Vec<String> = in_body.unwrap_or_default();
    flags.extend(betas.iter().filter(|flag| !flags.contains(flag)).cloned().collect::<Vec<_>>());
    let (accepted, refused): (Vec<String>, Vec<String>) =
        flags.into_iter().partition(|flag| bedrock::accepts_beta(flag, model));
    let mut out = Vec::with_capacity(body.len() + 128);
    out.extend_from_slice(format!(r#"{{"anthropic_version":"{}""#, bedrock::ANTHROPIC_VERSION).as_bytes());
    if !accepted.is_empty() {
        let list: Vec<String> =
            accepted.iter().filter_map(|flag| bedrock::accepted_beta(flag, model)).map(json_string).collect();
        out.extend_from_slice(format!(r#","anthropic_beta":[{}]"#, list.join(",")).as_bytes());
    }
    for member in &members {
        if matches!(member.key.as_ref(), "model" | "stream" | "anthropic_version" | "anthropic_beta") {
            continue;
        }
        if let Some(reason) = refusal(&member.key, &accepted, &refused) {
            if member.key == "compaction" && member.value != "null" {
                return Err(no_compaction());
            }
            // Whatever it says, it is what Bedrock does: nobody is served there by a tier of Anthropic's.
            if member.key == "service_tier" {
                continue;
            }
            dropped.push(Dropped::new(member.key.as_ref(), reason));
            continue;
        }
        out.push(b',');
        out.extend_from_slice(body.get(member.key_span.clone()).unwrap_or_default());
        out.push(b':');
        out.extend_from_slice(member.value.as_bytes());
    }
    out.push(b'}');
    dropped.extend(
        refused
            .iter()
            .map(|flag| Dropped::new(format!("anthropic-beta: {flag}"), "Bedrock does not accept this beta flag")),
    );
    Ok(out.into())
}

/// Anthropic puts a mark at the top of a body on the last block that can have one
/// (<https://platform.claude.com/docs/en/build-with-claude/prompt-caching#automatic-caching>); for Bedrock it is put there.
fn mark_last(body: &mut Value, mark: &str) {
    let Some(fields) = body.as_object_mut() else { return };
    fields.shift_remove("cache_control");
    let content = fields.get_mut("messages").and_then(Value::as_array_mut).and_then(|messages| messages.last_mut());
    let Some(content) = content.and_then(|message| message.get_mut("content")) else { return };
    if let Value::String(text) = content {
        *content = json!([{"type": "text", "text": text}]);
    }
    let can = |block: &&mut Value| !block.get("type").and_then(Value::as_str).unwrap_or_default().ends_with("thinking");
    let last = content.as_array_mut().into_iter().flatten().rfind(can).and_then(Value::as_object_mut);
    if let (Some(block), Ok(mark)) = (last, serde_json::from_str(mark)) {
        block.entry("cache_control").or_insert(mark);
    }
}

/// Why Bedrock would refuse a top-level field that Anthropic's own API takes. A field that neither knows yet is left to Bedrock's judgement.
fn refusal(field: &str, accepted: &[String], refused: &[String]) -> Option<String> {
    const ANTHROPIC_ONLY: [&str; 8] = [
        "cache_control",
        "container",
        "diagnostics",
        "fallbacks",
        "inference_geo",
        "mcp_servers",
        "service_tier",
        "speed",
    ];
    if ANTHROPIC_ONLY.contains(&field) {
        return Some("InvokeModel on Bedrock has no such field".to_owned());
    }
    let gates = |flag: &&String| bedrock::gated_fields(flag).contains(&field);
    let flag = refused.iter().find(gates).filter(|_| !accepted.iter().any(|flag| gates(&flag)))?;
    Some(format!("needs the beta flag {flag}, which Bedrock does not accept"))
}
