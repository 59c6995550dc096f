//! What Bedrock's InvokeModel wants differently from Anthropic's own API.
//!
//! - The body: no `model` and `stream` (they are in the URL), `anthropic_version`, beta flags in `anthropic_beta`
//!   (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html>).
//!   A field that it does not know is refused: `Extra inputs are not permitted`.
//! - Beta flags are checked against the model; one that it does not know is refused: `invalid beta flag` (case 14).
//! - Blank text is refused: `text content blocks must contain non-whitespace text` (case 13).
//! - Errors are AWS exceptions, named by a header.
//! - What a guardrail did is said beside Claude's own answer, whose `stop_reason` stays `end_turn` (case 18): `intervened`.

use serde::Deserialize;
use serde_json::Value;

use super::models::{Family, Generation, Model};
use crate::ir::Dropped;
use crate::json;

/// `anthropic_version` of an InvokeModel body. (Models from 4.7 on know newer ones, too; all know this one.)
pub const ANTHROPIC_VERSION: &str = "bedrock-2023-05-31";

/// Top-level fields that an InvokeModel body may have. `context_management` is among them only with its beta flag: see
/// [`gated_fields`]. Anthropic's others (`container`, `mcp_servers`, `service_tier`, `speed`, top-level `cache_control`, ...) are refused.
const FIELDS: [&str; 16] = [
    "anthropic_beta",
    "anthropic_version",
    "context_management",
    "max_tokens",
    "messages",
    "metadata",
    "output_config",
    "safeguards",
    "stop_sequences",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// May an InvokeModel body have this top-level field?
pub fn accepts_field(name: &str) -> bool {
    FIELDS.contains(&name)
}

/// The flags that a model takes. Sources: the AWS table of beta headers (up to 4.6), and for later models what gateways
/// in the field found (claude-code 49370, 49648, 56595; litellm's `anthropic_beta_headers_config.json`). From 4.6 on thinking between tool
/// calls and `output_config.effort` need no flag, and 4.7 refuses theirs.
fn flags(model: Model) -> &'static [&'static str] {
    const COMPUTER_2025_01: &str = "computer-use-2025-01-24";
    const COMPUTER_2025_11: &str = "computer-use-2025-11-24";
    const TOKEN_EFFICIENT: &str = "token-efficient-tools-2025-02-19";
    const FINE_GRAINED: &str = "fine-grained-tool-streaming-2025-05-14";
    const INTERLEAVED: &str = "interleaved-thinking-2025-05-14";
    const FULL_THINKING: &str = "dev-full-thinking-2025-05-14";
    const CONTEXT_1M: &str = "context-1m-2025-08-07";
    const CONTEXT_MANAGEMENT: &str = "context-management-2025-06-27";
    const EFFORT: &str = "effort-2025-11-24";
    const TOOL_SEARCH: &str = "tool-search-tool-2025-10-19";
    const TOOL_EXAMPLES: &str = "tool-examples-2025-10-29";
    const COMPACT: &str = "compact-2026-01-12";
    match model.generation {
        Generation::V3 | Generation::V3_5 => &["computer-use-2024-10-22"],
        Generation::V3_7 => &[COMPUTER_2025_01, TOKEN_EFFICIENT, "output-128k-2025-02-19"],
        Generation::V4 | Generation::V4_1 => &[
            COMPUTER_2025_01,
            TOKEN_EFFICIENT,
            FINE_GRAINED,
            INTERLEAVED,
            FULL_THINKING,
            CONTEXT_1M,
            CONTEXT_MANAGEMENT,
        ],
        Generation::V4_5 => match model.family {
            Family::Opus => &[
                COMPUTER_2025_01,
                COMPUTER_2025_11,
                TOKEN_EFFICIENT,
                FINE_GRAINED,
                INTERLEAVED,
                FULL_THINKING,
                CONTEXT_MANAGEMENT,
                EFFORT,
                TOOL_SEARCH,
                TOOL_EXAMPLES,
            ],
            Family::Sonnet => &[
                COMPUTER_2025_01,
                TOKEN_EFFICIENT,
                FINE_GRAINED,
                INTERLEAVED,
                FULL_THINKING,
                CONTEXT_MANAGEMENT,
                TOOL_SEARCH,
            ],
            _ => &[COMPUTER_2025_01, TOKEN_EFFICIENT, FINE_GRAINED, INTERLEAVED, FULL_THINKING, CONTEXT_MANAGEMENT],
        },
        Generation::V4_6 => {
            &[COMPUTER_2025_11, FINE_GRAINED, CONTEXT_1M, CONTEXT_MANAGEMENT, TOOL_SEARCH, TOOL_EXAMPLES, COMPACT]
        }
        Generation::V4_7 | Generation::V4_8 | Generation::V5 | Generation::V5_5 | Generation::Unknown => &[
            COMPUTER_2025_11,
            FINE_GRAINED,
            CONTEXT_MANAGEMENT,
            TOOL_SEARCH,
            COMPACT,
            "dangerous-tool-use-2026-09-03",
            "mid-conversation-output-config-2026-07-01",
            "mid-conversation-tool-changes-2026-07-01",
            "thinking-binding-controls-2026-08-01",
            "thinking-display-updates-2026-08-18",
        ],
    }
}

/// The flag to put into `anthropic_beta` for this one; `None`: this model on Bedrock refuses it. Tool search has another name there than
/// at Anthropic: <https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool>.
pub fn accepted_beta<'a>(flag: &'a str, model: &str) -> Option<&'a str> {
    let name = match flag {
        "advanced-tool-use-2025-11-20" => "tool-search-tool-2025-10-19",
        other => other,
    };
    flags(Model::named(model)).contains(&name).then_some(name)
}

/// Does this model on Bedrock accept the flag (perhaps under another name: [`accepted_beta`])?
pub fn accepts_beta(flag: &str, model: &str) -> bool {
    accepted_beta(flag, model).is_some()
}

/// Top-level fields that are refused without this flag. One flag of several is enough (`context_management`): take a field out only if no
/// flag that stays gates it.
pub fn gated_fields(flag: &str) -> &'static [&'static str] {
    const GATES: [(&str, &[&str]); 15] = [
        ("advisor-tool-", &[]),
        ("cache-diagnosis-", &["diagnostics"]),
        ("code-execution-", &["container"]),
        ("compact-2026-01-12", &["context_management"]),
        ("compact-", &["compaction"]),
        ("context-management-", &["context_management"]),
        ("dangerous-tool-use-", &["safeguards"]),
        ("fallback-credit-", &["fallback_credit_token"]),
        ("fast-mode-", &["speed"]),
        ("mcp-client-", &["mcp_servers"]),
        ("mcp-servers-", &["mcp_servers"]),
        ("server-side-fallback-", &["fallbacks"]),
        ("skills-", &["container"]),
        ("structured-outputs-", &["output_format"]),
        ("user-profiles-", &["user_profile_id"]),
    ];
    GATES.iter().find(|(prefix, _)| flag.starts_with(prefix)).map_or(&[], |(_, fields)| fields)
}

/// Did a guardrail of Bedrock's block or mask this answer? A whole one says it at its top (`"amazon-bedrock-guardrailAction": "INTERVENED"`:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html>). Of streams AWS documents no place: it was seen on `message_stop`, other
/// gateways look for it in `message_start`, so it counts on any event and in its `message`. An account may enforce a guardrail that nobody configured here.
pub(crate) fn intervened(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Guarded {
        #[serde(rename = "amazon-bedrock-guardrailAction")]
        action: Option<String>,
        message: Option<Inner>,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(rename = "amazon-bedrock-guardrailAction")]
        action: Option<String>,
    }
    // Most answers do not say it, and are not parsed for it.
    if memchr::memmem::find(json, b"\"amazon-bedrock-guardrailAction\"").is_none() {
        return false;
    }
    let Ok(Guarded { action, message }) = json::read(json) else { return false };
    [action, message.and_then(|message| message.action)].iter().flatten().any(|action| action == "INTERVENED")
}

/// Might a text of this body be empty or only whitespace? A quick scan of the bytes: it may say yes wrongly, never no.
pub fn has_blank_text(body: &[u8]) -> bool {
    [&b"\"text\""[..], b"\"content\"", b"\"system\""].iter().any(|key| {
        memchr::memmem::find_iter(body, key)
            .filter_map(|at| body.get(at + key.len()..))
            .any(|rest| string_after_colon(rest).is_some_and(is_blank_string))
    })
}

/// The bytes after the opening quote, if this is `: "...`.
fn string_after_colon(rest: &[u8]) -> Option<&[u8]> {
    rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")
}

/// Is everything up to the closing quote whitespace, escaped or not?
fn is_blank_string(mut rest: &[u8]) -> bool {
    loop {
        let (char, len) = match rest {
            [b'"', ..] => return true,
            [b'\\', b'u', hex @ ..] => {
                let code = hex.get(..4).and_then(|hex| std::str::from_utf8(hex).ok());
                (code.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32), 6)
            }
            [b'\\', b'n' | b'r' | b't' | b'f', ..] => (Some(' '), 2),
            [lead, ..] => {
                let len = match lead {
                    0xc0..=0xdf => 2,
                    0xe0..=0xef => 3,
                    _ => 1,
                };
                (rest.get(..len).and_then(|c| std::str::from_utf8(c).ok()).and_then(|c| c.chars().next()), len)
            }
            [] => return false,
        };
        if !char.is_some_and(char::is_whitespace) {
            return false;
        }
        rest = rest.get(len..).unwrap_or_default();
    }
}

/// Takes blank texts out of a Messages body (case 13). A mark on one moves to the block before it; a message left empty goes, too.
pub fn without_blank_text(body: &mut Value, dropped: &mut Vec<Dropped>) {
    let Some(body) = body.as_object_mut() else { return };
    if let Some(system) = body.get_mut("system") {
        remove_blank("system", system, dropped);
        if is_empty(system) {
            body.shift_remove("system");
        }
    }
    let Some(Value::Array(messages)) = body.get_mut("messages") else { return };
    for (index, message) in messages.iter_mut().enumerate() {
        if let Some(content) = message.get_mut("content") {
            remove_blank(&format!("messages[{index}].content"), content, dropped);
        }
    }
    // Without any message the body would be refused for another reason than the client's.
    if messages.iter().any(|message| !message.get("content").is_some_and(is_empty)) {
        messages.retain(|message| !message.get("content").is_some_and(is_empty));
    }
}

fn remove_blank(path: &str, content: &mut Value, dropped: &mut Vec<Dropped>) {
    match content {
        Value::String(text) if !text.is_empty() && is_blank(text) => {
            text.clear();
            dropped.push(blank(path));
        }
        Value::Array(blocks) => {
            let mut kept: Vec<Value> = Vec::with_capacity(blocks.len());
            for (index, mut block) in std::mem::take(blocks).into_iter().enumerate() {
                let path = format!("{path}[{index}]");
                if is_blank_text(&block) {
                    dropped.push(blank(&path));
                    if let (Some(mark), Some(Value::Object(before))) = (block.get("cache_control"), kept.last_mut()) {
                        before.insert("cache_control".to_owned(), mark.clone());
                    }
                    continue;
                }
                if let Some(fields) = block.as_object_mut()
                    && fields.get("type").and_then(Value::as_str) == Some("tool_result")
                    && let Some(inner) = fields.get_mut("content")
                {
                    remove_blank(&format!("{path}.content"), inner, dropped);
                    if is_empty(inner) {
                        fields.shift_remove("content");
                    }
                }
                kept.push(block);
            }
            *blocks = kept;
        }
        _ => {}
    }
}

fn blank(path: &str) -> Dropped {
    Dropped::new(path, "blank text is refused upstream: left out")
}

fn is_empty(content: &Value) -> bool {
    match content {
        Value::String(text) => text.is_empty(),
        Value::Array(blocks) => blocks.is_empty(),
        _ => false,
    }
}

fn is_blank_text(block: &Value) -> bool {
    block.get("type").and_then(Value::as_str) == Some("text")
        && block.get("text").and_then(Value::as_str).is_some_and(is_blank)
}

/// Empty or only whitespace.
pub(crate) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_flag_is_accepted_by_the_models_that_know_it() {
        assert!(accepts_beta("interleaved-thinking-2025-05-14", "us.anthropic.claude-sonnet-4-20250514-v1:0"));
        assert!(!accepts_beta("interleaved-thinking-2025-05-14", "eu.anthropic.claude-opus-4-7"));
        assert!(!accepts_beta("effort-2025-11-24", "eu.anthropic.claude-opus-4-7"));
        assert!(!accepts_beta("claude-code-20250219", "eu.anthropic.claude-opus-4-7"));
        assert!(!accepts_beta("mcp-client-2025-11-20", "anthropic.claude-opus-5"));
        assert!(accepts_beta("effort-2025-11-24", "anthropic.claude-opus-4-5-20251101-v1:0"));
        assert!(!accepts_beta("effort-2025-11-24", "anthropic.claude-haiku-4-5-20251001-v1:0"));
    }

    #[test]
    fn tool_search_has_another_name_on_bedrock() {
        let opus = "anthropic.claude-opus-4-5-20251101-v1:0";
        assert_eq!(accepted_beta("advanced-tool-use-2025-11-20", opus), Some("tool-search-tool-2025-10-19"));
    }

    #[test]
    fn a_removed_flag_names_the_fields_that_go_with_it() {
        assert_eq!(gated_fields("mcp-client-2025-11-20"), ["mcp_servers"]);
        assert_eq!(gated_fields("context-management-2025-06-27"), ["context_management"]);
        assert_eq!(gated_fields("compact-2026-01-12"), ["context_management"]);
        assert_eq!(gated_fields("structured-outputs-2025-11-13"), ["output_format"]);
        assert!(gated_fields("interleaved-thinking-2025-05-14").is_empty());
    }

    #[test]
    fn blank_text_is_found_however_it_is_written() {
        for blank in [r#""""#, r#""  ""#, r#""\n\t ""#, r#""\u00a0\u2003""#, "\"\u{a0}\u{3000}\""] {
            assert!(has_blank_text(format!("{{\"text\" : {blank}}}").as_bytes()), "{blank}");
            assert!(has_blank_text(format!("{{\"content\":{blank}}}").as_bytes()), "{blank}");
        }
        for full in [r#""a""#, r#"" \u0061""#, r#""\\n""#, "\"你好\"", r#""\"""#, "1", "\" "] {
            assert!(!has_blank_text(format!("{{\"text\":{full}}}").as_bytes()), "{full}");
        }
    }

    #[test]
    fn blank_text_blocks_are_removed_before_bedrock() {
        let mut body = json!({
            "system": [{"type": "text", "text": "Be kind."}, {"type": "text", "text": "\n", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": [{"type": "text", "text": " "}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": ""}]},
                    {"type": "text", "text": ""},
                    {"type": "text", "text": "Go on"}
                ]}
            ]
        });
        let mut dropped = Vec::new();
        without_blank_text(&mut body, &mut dropped);
        assert_eq!(
            body,
            json!({
                "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "a"},
                        {"type": "text", "text": "Go on"}
                    ]}
                ]
            })
        );
        let paths: Vec<&str> = dropped.iter().map(|d| d.path.as_str()).collect();
        let content = "messages[2].content";
        assert_eq!(
            paths,
            ["system[1]", "messages[1].content[0]", &format!("{content}[0].content[0]"), &format!("{content}[1]")]
        );
    }
}
