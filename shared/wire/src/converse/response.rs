//! Whole answers: Converse's JSON to the IR. Also what a whole answer and a stream read alike: usage, stop reasons, replayed reasoning.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::types::{AnswerBlock, AnswerMedia, AnswerReasoning, ConverseResponse, TokenUsage, ToolUseStart};
use crate::error::WireError;
use crate::ir::{Block, Response, Source, Stop, StopReason, Tier, Usage};
use crate::json;
use crate::names::ToolNames;

/// A Converse answer has no id and does not name its model.
pub(super) fn decode_response(body: &[u8], names: &ToolNames, stops: &[String]) -> Result<Response, WireError> {
    let answer: ConverseResponse = parse(body, "the answer")?;
    let Some(message) = answer.output.and_then(|output| output.message) else {
        return Err(WireError::BadAnswer("it has no output.message".to_owned()));
    };
    let mut blocks = Vec::with_capacity(message.content.len());
    for block in message.content {
        read_block(block, names, &mut blocks);
    }
    let stop = stop_of(answer.stop_reason.as_deref(), answer.additional_model_response_fields.as_ref(), stops);
    let usage = usage_of(answer.usage.as_ref(), &answer.service_tier);
    Ok(Response { id: None, model: None, blocks, stop, usage, logprobs: Vec::new() })
}

/// JSON of Bedrock's. The error says where it breaks and not what stands there.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, WireError> {
    json::read(bytes).map_err(|error| {
        let problem = if error.is_data() { "is not of the expected shape" } else { "is not valid JSON" };
        WireError::BadAnswer(format!("{what} {problem} (line {}, column {})", error.line(), error.column()))
    })
}

/// A kind of block that we do not know is skipped: a new model must not fail here (case 43).
fn read_block(block: AnswerBlock, names: &ToolNames, out: &mut Vec<Block>) {
    if let Some(text) = block.text.filter(|text| !text.is_empty()) {
        out.push(Block::Text(text));
    }
    if let Some(call) = block.tool_use.filter(is_the_clients) {
        let (id, name) = call_of(&call, names, out.len());
        let input = call.input.filter(Value::is_object).unwrap_or_else(|| Value::Object(Map::new()));
        out.push(Block::ToolUse { id, name, input });
    }
    if let Some(reasoning) = block.reasoning_content {
        out.extend(reasoning_of(reasoning));
    }
    if let Some(cited) = block.citations_content {
        let text: String = cited.content.into_iter().filter_map(|part| part.text).collect();
        out.extend((!text.is_empty()).then_some(Block::Text(text)));
    }
    if let Some((format, data)) = block.image.and_then(bytes_of) {
        out.push(Block::Image(Source::Base64 { media_type: format!("image/{format}"), data }));
    }
    if let Some((format, data)) = block.audio.and_then(bytes_of) {
        out.push(Block::Audio { data, format });
    }
}

fn reasoning_of(reasoning: AnswerReasoning) -> Option<Block> {
    if let Some(data) = reasoning.redacted_content {
        return Some(Block::RedactedThinking(data));
    }
    let thinking = reasoning.reasoning_text?;
    let signature = thinking.signature.filter(|signature| !signature.is_empty());
    (!thinking.text.is_empty() || signature.is_some()).then_some(Block::Thinking { text: thinking.text, signature })
}

fn bytes_of(media: AnswerMedia) -> Option<(String, String)> {
    Some((media.format?, media.source?.bytes?))
}

/// Not one that the provider runs itself (`type: server_tool_use`): the client cannot answer that.
pub(super) fn is_the_clients(call: &ToolUseStart) -> bool {
    call.r#type.is_none()
}

/// A call's id, which is never empty, and the client's name of its tool. `position`: of the block in the answer.
pub(super) fn call_of(call: &ToolUseStart, names: &ToolNames, position: usize) -> (String, String) {
    let id = if call.tool_use_id.is_empty() { format!("tooluse_{position}") } else { call.tool_use_id.clone() };
    (id, names.decode(&call.name).to_owned())
}

/// Converse counts like the IR: `inputTokens` is without cache reads and writes (case 16).
pub(super) fn usage_of(usage: Option<&TokenUsage>, service_tier: &Value) -> Usage {
    let tier = service_tier.get("type").and_then(Value::as_str).and_then(Tier::named);
    let Some(usage) = usage else { return Usage { tier, ..Usage::default() } };
    let count = |tokens: Option<i64>| tokens.and_then(|tokens| u64::try_from(tokens).ok());
    let long_writes = usage.cache_details.as_ref().filter(|details| !details.is_empty()).map(|details| {
        let hour = details.iter().filter(|detail| detail.ttl.as_deref() == Some("1h"));
        hour.filter_map(|detail| count(detail.input_tokens)).fold(0, u64::saturating_add)
    });
    Usage {
        input: count(usage.input_tokens),
        cache_read: count(usage.cache_read_input_tokens),
        cache_write: count(usage.cache_write_input_tokens),
        cache_write_1h: long_writes,
        output: count(usage.output_tokens),
        tier,
        ..Usage::default()
    }
}

/// Why the answer ended, by the table of [`StopReason`]. A reason that we do not know is [`StopReason::EndTurn`]: the answer is there.
///
/// Which sequence was met is known where the model says it, and where the request had a single one.
pub(super) fn stop_of(reason: Option<&str>, fields: Option<&Value>, stops: &[String]) -> Stop {
    let reason = match reason.unwrap_or_default() {
        "stop_sequence" => StopReason::StopSequence,
        "max_tokens" => StopReason::MaxTokens,
        "model_context_window_exceeded" => StopReason::ContextWindow,
        "tool_use" => StopReason::ToolUse,
        "guardrail_intervened" | "content_filtered" => StopReason::ContentFilter,
        "malformed_model_output" | "malformed_tool_use" => StopReason::Malformed,
        _ => StopReason::EndTurn,
    };
    let said = fields.and_then(|fields| fields.get("stop_sequence")).and_then(Value::as_str).map(str::to_owned);
    let only = match stops {
        [only] => Some(only.clone()),
        _ => None,
    };
    let sequence = if reason == StopReason::StopSequence { said.or(only) } else { None };
    Stop { reason, sequence }
}

/// Redacted reasoning may come in pieces, each base64 of its own.
pub(super) fn join_base64(pieces: &[String]) -> String {
    match pieces {
        [one] => one.clone(),
        _ => {
            let bytes: Option<Vec<Vec<u8>>> = pieces.iter().map(|piece| STANDARD.decode(piece).ok()).collect();
            bytes.map_or_else(|| pieces.concat(), |bytes| STANDARD.encode(bytes.concat()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &str) -> Response {
        decode_response(body.as_bytes(), &ToolNames::new(64), &[]).unwrap()
    }

    fn content(blocks: &str) -> Vec<Block> {
        decode(&format!(
            r#"{{"output":{{"message":{{"role":"assistant","content":{blocks}}}}},"stopReason":"end_turn"}}"#
        ))
        .blocks
    }

    #[test]
    fn every_stop_reason_has_its_row() {
        let rows = [
            ("end_turn", StopReason::EndTurn),
            ("tool_use", StopReason::ToolUse),
            ("max_tokens", StopReason::MaxTokens),
            ("stop_sequence", StopReason::StopSequence),
            ("guardrail_intervened", StopReason::ContentFilter),
            ("content_filtered", StopReason::ContentFilter),
            ("malformed_model_output", StopReason::Malformed),
            ("malformed_tool_use", StopReason::Malformed),
            ("model_context_window_exceeded", StopReason::ContextWindow),
            ("something_new", StopReason::EndTurn),
        ];
        for (wire, reason) in rows {
            assert_eq!(stop_of(Some(wire), None, &[]).reason, reason, "{wire}");
        }
    }

    #[test]
    fn the_stop_sequence_is_what_the_model_says_or_the_only_one() {
        let fields = serde_json::json!({ "stop_sequence": "END" });
        let two = ["END".to_owned(), "STOP".to_owned()];
        assert_eq!(stop_of(Some("stop_sequence"), Some(&fields), &two).sequence.as_deref(), Some("END"));
        assert_eq!(stop_of(Some("stop_sequence"), None, &two[1..]).sequence.as_deref(), Some("STOP"));
        assert_eq!(stop_of(Some("stop_sequence"), None, &two).sequence, None);
        assert_eq!(stop_of(Some("end_turn"), None, &two[1..]).sequence, None);
    }

    #[test]
    fn cache_reads_and_writes_stay_apart_from_the_input() {
        let usage = decode(
            r#"{"output":{"message":{"content":[]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":9,"totalTokens":32680,
            "cacheReadInputTokens":32651,"cacheReadInputTokenCount":32651,"cacheWriteInputTokens":17,
            "cacheDetails":[{"ttl":"1h","inputTokens":10},{"ttl":"5m","inputTokens":7}]}}"#,
        )
        .usage;
        let want = Usage {
            input: Some(3),
            cache_read: Some(32651),
            cache_write: Some(17),
            cache_write_1h: Some(10),
            output: Some(9),
            ..Usage::default()
        };
        assert_eq!(usage, want);
        assert_eq!(usage.total_input(), 32671);
    }

    #[test]
    fn usage_that_is_not_reported_is_none_and_not_zero() {
        assert!(
            !decode(r#"{"output":{"message":{"content":[{"text":"x"}]}},"stopReason":"end_turn"}"#).usage.is_reported()
        );
    }

    #[test]
    fn members_and_blocks_that_we_do_not_know_are_skipped() {
        let blocks = content(r#"[{"newBlock":{"a":1}},{"text":"x","newMember":2},{"searchResult":{"title":"t"}},{}]"#);
        assert_eq!(blocks, [Block::Text("x".to_owned())]);
    }

    #[test]
    fn a_call_without_input_has_an_empty_object() {
        let blocks = content(
            r#"[{"toolUse":{"toolUseId":"a","name":"now"}},{"toolUse":{"toolUseId":"","name":"now","input":""}}]"#,
        );
        let call =
            |id: &str| Block::ToolUse { id: id.to_owned(), name: "now".to_owned(), input: serde_json::json!({}) };
        assert_eq!(blocks, [call("a"), call("tooluse_1")]);
    }

    #[test]
    fn a_tool_that_the_provider_runs_is_no_call_of_the_clients() {
        assert!(
            content(r#"[{"toolUse":{"toolUseId":"a","name":"web","input":{},"type":"server_tool_use"}}]"#).is_empty()
        );
    }

    #[test]
    fn signed_thinking_with_empty_text_is_kept() {
        let blocks = content(
            r#"[{"reasoningContent":{"reasoningText":{"text":"","signature":"s"}}},{"reasoningContent":{"reasoningText":{"text":""}}}]"#,
        );
        assert_eq!(blocks, [Block::Thinking { text: String::new(), signature: Some("s".to_owned()) }]);
    }

    #[test]
    fn the_text_of_a_cited_answer_is_kept() {
        let blocks =
            content(r#"[{"citationsContent":{"content":[{"text":"a"},{"text":"b"}],"citations":[{"title":"t"}]}}]"#);
        assert_eq!(blocks, [Block::Text("ab".to_owned())]);
    }

    #[test]
    fn an_answer_that_is_none_is_a_bad_answer_and_its_content_is_not_repeated() {
        for body in ["", "<html>secret", "{}", r#"{"output":"secret"}"#, r#"{"output":{"message":null}}"#] {
            let error = decode_response(body.as_bytes(), &ToolNames::new(64), &[]).unwrap_err();
            assert!(matches!(&error, WireError::BadAnswer(text) if !text.contains("secret")), "{body}: {error}");
        }
    }
}
