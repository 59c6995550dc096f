//! InvokeModel with an Anthropic body: what Bedrock checks beside what Anthropic checks.

use serde_json::Value;

use crate::anthropic;

/// The documented one, and the one that the official SDK sends since its release 2.
const VERSIONS: [&str; 2] = ["bedrock-2023-05-31", "2026-10-21"];

const KNOWN: [&str; 16] = [
    "anthropic_version",
    "anthropic_beta",
    "max_tokens",
    "messages",
    "system",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "tools",
    "tool_choice",
    "thinking",
    "metadata",
    "output_config",
    "output_format",
    "context_management",
];

const BETAS: [&str; 14] = [
    "computer-use-2024-10-22",
    "computer-use-2025-01-24",
    "computer-use-2025-11-24",
    "token-efficient-tools-2025-02-19",
    "interleaved-thinking-2025-05-14",
    "output-128k-2025-02-19",
    "dev-full-thinking-2025-05-14",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
    "effort-2025-11-24",
    "tool-search-tool-2025-10-19",
    "tool-examples-2025-10-29",
    "fine-grained-tool-streaming-2025-05-14",
    "structured-outputs-2025-11-13",
];

/// What is wrong with a body, in the words of the service.
pub(crate) fn fault(body: &Value) -> Option<String> {
    let Some(members) = body.as_object() else {
        return Some("Malformed input request, please reformat your input.".to_owned());
    };
    if !VERSIONS.iter().any(|version| body["anthropic_version"] == **version) {
        return Some("anthropic_version: Field required, and only known versions are accepted".to_owned());
    }
    if let Some(stranger) = members.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Some(format!("{stranger}: Extra inputs are not permitted"));
    }
    match &body["anthropic_beta"] {
        Value::Null => {}
        Value::Array(flags) => {
            if flags.iter().any(|flag| flag.as_str().is_none_or(|flag| !BETAS.contains(&flag))) {
                return Some("invalid beta flag".to_owned());
            }
        }
        _ => return Some("anthropic_beta: Input should be a valid list".to_owned()),
    }
    anthropic::fault(body)
}
