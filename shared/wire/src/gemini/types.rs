//! The wire shapes of answers: <https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse>.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::gemini::set;
use crate::ir::{StopReason, Tier, Usage};
use crate::scalar::{borrowed, count};

/// An answer, or a chunk of a streamed one. Zeros and empty lists are left out on the wire.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) candidates: Option<Vec<Candidate>>,
    pub(super) prompt_feedback: Option<PromptFeedback>,
    pub(super) usage_metadata: Option<UsageMetadata>,
    pub(super) model_version: Option<String>,
    pub(super) response_id: Option<String>,
    pub(super) error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Candidate {
    pub(super) content: Option<Content>,
    pub(super) finish_reason: Option<String>,
    pub(super) index: Option<u64>,
    pub(super) logprobs_result: Value,
    pub(super) grounding_metadata: Value,
    pub(super) citation_metadata: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Content {
    pub(super) parts: Option<Vec<Part>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Part {
    pub(super) text: Option<String>,
    pub(super) thought: Option<bool>,
    pub(super) thought_signature: Option<String>,
    pub(super) function_call: Option<FunctionCall>,
    pub(super) inline_data: Option<Blob>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionCall {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) args: Option<Value>,
}

/// A picture or sound that the model made: only its type is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Blob {
    pub(super) mime_type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PromptFeedback {
    pub(super) block_reason: Option<String>,
}

/// Gemini's counts, all of them cumulative in a stream.
///
/// | here | Gemini |
/// |---|---|
/// | `input` | `promptTokenCount` + `toolUsePromptTokenCount` - `cachedContentTokenCount` |
/// | `cache_read` | `cachedContentTokenCount`: a part of `promptTokenCount` |
/// | `output` | `candidatesTokenCount` + `thoughtsTokenCount`: the first leaves the second out |
/// | `reasoning` | `thoughtsTokenCount` |
/// | `audio_input`, `audio_output` | the `AUDIO` of `promptTokensDetails` - `cacheTokensDetails`, of `candidatesTokensDetails` |
///
/// <https://ai.google.dev/api/generate-content#UsageMetadata>
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct UsageMetadata {
    #[serde(deserialize_with = "count")]
    prompt_token_count: Option<u64>,
    #[serde(deserialize_with = "count")]
    cached_content_token_count: Option<u64>,
    #[serde(deserialize_with = "count")]
    candidates_token_count: Option<u64>,
    #[serde(deserialize_with = "count")]
    thoughts_token_count: Option<u64>,
    #[serde(deserialize_with = "count")]
    tool_use_prompt_token_count: Option<u64>,
    #[serde(deserialize_with = "count")]
    total_token_count: Option<u64>,
    prompt_tokens_details: Option<Vec<ModalityCount>>,
    cache_tokens_details: Option<Vec<ModalityCount>>,
    candidates_tokens_details: Option<Vec<ModalityCount>>,
    /// Of Google's own API; Vertex AI does not say it.
    service_tier: Option<String>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ModalityCount {
    #[serde(rename = "modality", deserialize_with = "is_audio")]
    is_audio: bool,
    #[serde(deserialize_with = "count")]
    token_count: Option<u64>,
}

fn is_audio<'de, D: Deserializer<'de>>(modality: D) -> Result<bool, D::Error> {
    Ok(borrowed(modality)?.as_deref() == Some("AUDIO"))
}

impl UsageMetadata {
    pub(crate) fn to_ir(&self) -> Usage {
        let Some(prompt) = self.prompt_token_count.or(self.total_token_count.map(|_| 0)) else {
            return Usage::default();
        };
        let tools = self.tool_use_prompt_token_count.unwrap_or_default();
        let cached = self.cached_content_token_count;
        let input = prompt.saturating_add(tools);
        let cached_audio = audio(self.cache_tokens_details.as_deref()).unwrap_or_default();
        Usage {
            input: Some(input.saturating_sub(cached.unwrap_or_default())),
            cache_read: cached,
            output: Some(self.output(input)),
            reasoning: self.thoughts_token_count,
            audio_input: audio(self.prompt_tokens_details.as_deref()).map(|all| all.saturating_sub(cached_audio)),
            audio_output: audio(self.candidates_tokens_details.as_deref()),
            tier: self.service_tier.as_deref().and_then(Tier::named),
            ..Usage::default()
        }
    }

    /// A zero is left out on the wire. Servers that copy the format count the thoughts among the candidates; the total tells.
    fn output(&self, input: u64) -> u64 {
        let candidates = self.candidates_token_count.unwrap_or_default();
        let thoughts = self.thoughts_token_count.unwrap_or_default();
        let within = thoughts <= candidates && self.total_token_count == Some(input.saturating_add(candidates));
        if within { candidates } else { candidates.saturating_add(thoughts) }
    }
}

/// Searches that an answer rests on. Models before Gemini 3 are paid by the prompt that is grounded, and not by its queries:
/// <https://ai.google.dev/gemini-api/docs/google-search#pricing>
pub(super) fn searches_of(grounding: &Value, model: Option<&str>) -> Option<u64> {
    let queries = grounding.get("webSearchQueries")?.as_array()?.len() as u64;
    let by_prompt = model.is_some_and(|model| ["gemini-1", "gemini-2"].iter().any(|older| model.starts_with(older)));
    Some(if by_prompt { queries.min(1) } else { queries })
}

fn audio(details: Option<&[ModalityCount]>) -> Option<u64> {
    let sounds = details?.iter().filter(|detail| detail.is_audio);
    sounds.filter_map(|detail| detail.token_count).reduce(u64::saturating_add)
}

/// Why a candidate ended. `calls`: it has called a function, for which Gemini has no reason of its own.
///
/// | `finishReason` | here |
/// |---|---|
/// | `STOP`, `OTHER`, `LANGUAGE`, `NO_IMAGE`, `IMAGE_OTHER`, unknown ones | `ToolUse` after calls, else `EndTurn` |
/// | `MAX_TOKENS`, `CONTINUATION` | `MaxTokens` |
/// | `SAFETY`, `RECITATION`, `BLOCKLIST`, `PROHIBITED_CONTENT`, `SPII`, `IMAGE_SAFETY`, `IMAGE_PROHIBITED_CONTENT`, `IMAGE_RECITATION`, `MODEL_ARMOR`, `ESCALATION`, `PUP_LIMITED_DISABLED` | `ContentFilter` |
/// | `MALFORMED_FUNCTION_CALL`, `UNEXPECTED_TOOL_CALL`, `TOO_MANY_TOOL_CALLS`, `MISSING_THOUGHT_SIGNATURE`, `MALFORMED_RESPONSE` | `Malformed` |
///
/// <https://ai.google.dev/api/generate-content#FinishReason>
pub(super) fn stop_of(finish: &str, calls: bool) -> StopReason {
    match finish {
        "MAX_TOKENS" | "CONTINUATION" => StopReason::MaxTokens,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR"
        | "ESCALATION"
        | "PUP_LIMITED_DISABLED" => StopReason::ContentFilter,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => StopReason::Malformed,
        _ if calls => StopReason::ToolUse,
        _ => StopReason::EndTurn,
    }
}

/// The other way round.
pub(super) fn finish_of(reason: StopReason) -> &'static str {
    match reason {
        StopReason::EndTurn | StopReason::StopSequence | StopReason::ToolUse | StopReason::Pause => "STOP",
        StopReason::MaxTokens | StopReason::ContextWindow => "MAX_TOKENS",
        StopReason::Refusal | StopReason::ContentFilter => "SAFETY",
        StopReason::Malformed => "MALFORMED_RESPONSE",
    }
}

/// The counts for a client.
pub(super) fn usage_value(usage: &Usage) -> Value {
    let input = usage.total_input();
    let output = usage.output.unwrap_or_default();
    let thoughts = usage.reasoning.unwrap_or_default().min(output);
    let mut counts = serde_json::json!({
        "promptTokenCount": input,
        "candidatesTokenCount": output - thoughts,
        "totalTokenCount": input.saturating_add(output),
    });
    let more =
        [("thoughtsTokenCount", usage.reasoning.map(|_| thoughts)), ("cachedContentTokenCount", usage.cache_read)];
    for (name, count) in more {
        if let Some(count) = count {
            set(&mut counts, name, count);
        }
    }
    if let Some(tier) = usage.tier.and_then(Tier::gemini) {
        set(&mut counts, "serviceTier", tier);
    }
    for (name, sounds) in [("promptTokensDetails", usage.audio_input), ("candidatesTokensDetails", usage.audio_output)]
    {
        if let Some(count) = sounds.filter(|count| *count > 0) {
            set(&mut counts, name, serde_json::json!([{ "modality": "AUDIO", "tokenCount": count }]));
        }
    }
    counts
}

/// What is looked at in an answer that goes through as it came.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Sniffed<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<SniffedCandidate<'a>>>,
    #[serde(borrow)]
    prompt_feedback: Option<&'a RawValue>,
    pub(crate) usage_metadata: Option<UsageMetadata>,
    pub(crate) model_version: Option<String>,
    #[serde(borrow)]
    pub(crate) error: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SniffedCandidate<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    finish_reason: Option<String>,
    grounding_metadata: Value,
}

impl Sniffed<'_> {
    /// Is it an answer at all?
    pub(crate) fn is_answer(&self) -> bool {
        self.candidates.is_some() || self.prompt_feedback.is_some()
    }

    /// Does it hold any content?
    pub(crate) fn has_content(&self) -> bool {
        let parts = |candidate: &SniffedCandidate<'_>| candidate.content.is_some_and(|c| c.get().contains("\"parts\""));
        self.candidates.iter().flatten().any(parts)
    }

    /// How many candidates end here. A blocked prompt ends them all.
    pub(crate) fn finished(&self) -> u64 {
        let ended = |candidate: &&SniffedCandidate<'_>| candidate.finish_reason.as_ref().is_some_and(|r| !r.is_empty());
        let count = self.candidates.iter().flatten().filter(ended).count() as u64;
        if count == 0 && self.is_blocked() { u64::MAX } else { count }
    }

    /// The searches of all candidates.
    pub(crate) fn web_searches(&self) -> Option<u64> {
        let model = self.model_version.as_deref();
        self.candidates
            .iter()
            .flatten()
            .filter_map(|one| searches_of(&one.grounding_metadata, model))
            .reduce(u64::saturating_add)
    }

    fn is_blocked(&self) -> bool {
        self.prompt_feedback.is_some_and(|feedback| feedback.get().contains("\"blockReason\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Usage {
        serde_json::from_str::<UsageMetadata>(json).unwrap().to_ir()
    }

    #[test]
    fn thoughts_are_output_and_cached_tokens_are_not_input() {
        let counts = r#"{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":12,"thoughtsTokenCount":5,
            "toolUsePromptTokenCount":7,"totalTokenCount":124}"#;
        let usage = usage(counts);
        assert_eq!((usage.input, usage.cache_read), (Some(47), Some(60)));
        assert_eq!((usage.output, usage.reasoning), (Some(17), Some(5)));
    }

    #[test]
    fn thoughts_that_the_total_shows_to_be_counted_already_are_not_added() {
        let counts = r#"{"promptTokenCount":10,"candidatesTokenCount":12,"thoughtsTokenCount":5,"totalTokenCount":22}"#;
        assert_eq!(usage(counts).output, Some(12));
    }

    #[test]
    fn a_zero_that_the_wire_leaves_out_is_a_zero() {
        assert_eq!(usage(r#"{"promptTokenCount":10,"totalTokenCount":10}"#).output, Some(0));
        assert_eq!(usage("{}"), Usage::default());
    }

    #[test]
    fn sound_is_counted_apart() {
        let counts = r#"{"promptTokenCount":100,"promptTokensDetails":[{"modality":"TEXT","tokenCount":"60"},{"modality":"AUDIO","tokenCount":40}],
            "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":10}],"candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":3}]}"#;
        let usage = usage(counts);
        assert_eq!((usage.audio_input, usage.audio_output), (Some(30), Some(3)));
    }

    #[test]
    fn a_client_gets_the_counts_that_were_read() {
        let counts = r#"{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":12,"thoughtsTokenCount":5,"totalTokenCount":117}"#;
        let value: Value = serde_json::from_str(counts).unwrap();
        assert_eq!(usage_value(&usage(counts)), value);
    }
}
