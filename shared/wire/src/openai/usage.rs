//! What an answer says that it used: `prompt_tokens` in chat completions is `input_tokens` in Responses.
//!
//! <https://platform.openai.com/docs/api-reference/chat/object>, <https://platform.openai.com/docs/api-reference/responses/object>

use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::read::nullable;
use crate::ir::{Tier, Usage};
use crate::json;
use crate::scalar::count;

/// Read without a tree: every answer has it. A count of another type counts as not reported.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reported {
    #[serde(deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    completion_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    output_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    total_tokens: Option<u64>,
    /// DeepSeek's older name.
    #[serde(deserialize_with = "count")]
    prompt_cache_hit_tokens: Option<u64>,
    #[serde(deserialize_with = "nullable")]
    prompt_tokens_details: Details,
    /// Transcriptions have the second name.
    #[serde(alias = "input_token_details", deserialize_with = "nullable")]
    input_tokens_details: Details,
    #[serde(deserialize_with = "nullable")]
    completion_tokens_details: Details,
    #[serde(deserialize_with = "nullable")]
    output_tokens_details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    #[serde(deserialize_with = "count")]
    cached_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_write_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    reasoning_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    audio_tokens: Option<u64>,
}

/// Searches of the web in a response of the Responses API, or in the event that has it: the tool also opens pages, which costs nothing beside the tokens.
/// <https://platform.openai.com/docs/guides/tools-web-search>
pub(crate) fn web_searches(answer: &[u8]) -> Option<u64> {
    memmem::find(answer, b"\"web_search_call\"")?;
    let items: Vec<&RawValue> = json::read(within(within(answer, "response").unwrap_or(answer), "output")?).ok()?;
    let is = |object: &[u8], kind: &[u8]| within(object, "type").is_some_and(|found| found == kind);
    let searches = items.into_iter().map(|item| item.get().as_bytes()).filter(|item| {
        let other = within(item, "action").is_some_and(|action| action != b"null" && !is(action, b"\"search\""));
        is(item, b"\"web_search_call\"") && !other
    });
    u64::try_from(searches.count()).ok()
}

/// A member's value as it stands in its object.
fn within<'a>(object: &'a [u8], key: &str) -> Option<&'a [u8]> {
    object.get(json::member(object, key)?)
}

/// Usage with the tier, which stands beside it.
pub(crate) fn usage_and_tier(usage: &Value, tier: Option<&str>) -> Usage {
    Usage { tier: tier.and_then(Tier::named), ..usage_of(usage) }
}

/// Of an answer that is a tree.
pub(crate) fn usage_of(usage: &Value) -> Usage {
    // Of a stream, most chunks have none.
    if usage.is_null() {
        return Usage::default();
    }
    Reported::deserialize(usage).map(|reported| reported.to_ir()).unwrap_or_default()
}

/// Takes over the `usage` of an answer, a chunk or an event, as it stands in its JSON.
pub(crate) fn merge_usage(json: &str, usage: &mut Usage) {
    if let Ok(reported) = serde_json::from_str::<Reported>(json) {
        usage.update(&reported.to_ir());
    }
}

impl Details {
    fn or(&self, other: &Self) -> Self {
        Self {
            cached_tokens: self.cached_tokens.or(other.cached_tokens),
            cache_write_tokens: self.cache_write_tokens.or(other.cache_write_tokens),
            reasoning_tokens: self.reasoning_tokens.or(other.reasoning_tokens),
            audio_tokens: self.audio_tokens.or(other.audio_tokens),
        }
    }
}

impl Reported {
    /// What was read includes what was read from and written to the cache; here the three are apart.
    fn to_ir(&self) -> Usage {
        let read = self.prompt_tokens.or(self.input_tokens);
        let written = self.completion_tokens.or(self.output_tokens);
        let of_input = self.prompt_tokens_details.or(&self.input_tokens_details);
        let of_output = self.completion_tokens_details.or(&self.output_tokens_details);
        let cache_read = of_input.cached_tokens.or(self.prompt_cache_hit_tokens);
        let cache_write = of_input.cache_write_tokens;
        let cached = cache_read.unwrap_or_default().saturating_add(cache_write.unwrap_or_default());
        let reasoning = of_output.reasoning_tokens;
        Usage {
            input: read.map(|all| all.saturating_sub(cached)),
            cache_read,
            cache_write,
            output: output_of(read, written, reasoning, self.total_tokens),
            reasoning,
            audio_input: of_input.audio_tokens,
            audio_output: of_output.audio_tokens,
            ..Usage::default()
        }
    }
}

/// What was written includes the reasoning, except where the total shows that it does not (xAI's).
fn output_of(read: Option<u64>, written: Option<u64>, reasoning: Option<u64>, total: Option<u64>) -> Option<u64> {
    let (Some(read), Some(written), Some(reasoning), Some(total)) = (read, written, reasoning, total) else {
        return written;
    };
    let apart = written.saturating_add(reasoning);
    Some(if reasoning > 0 && total == read.saturating_add(apart) { apart } else { written })
}
