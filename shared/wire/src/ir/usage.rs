//! What a call used.

use super::Tier;

/// Tokens of one call. `None`: not reported, which is not zero.
///
/// The dialects count differently; this is the one convention, and the readers convert:
///
/// Responses has the names of chat completions with `input` and `output` for `prompt` and `completion`: `input_tokens`,
/// `input_tokens_details.cached_tokens`, `output_tokens`, `output_tokens_details.reasoning_tokens`; and no counts of sound.
///
/// | here | OpenAI chat, Responses | Anthropic | Converse | Gemini |
/// |---|---|---|---|---|
/// | `input` (neither cache read nor written) | `prompt_tokens` - `cached_tokens` - `cache_write_tokens` | `input_tokens` | `inputTokens` | `promptTokenCount` + `toolUsePromptTokenCount` - `cachedContentTokenCount` |
/// | `cache_read` | `prompt_tokens_details.cached_tokens` | `cache_read_input_tokens` | `cacheReadInputTokens` | `cachedContentTokenCount` |
/// | `cache_write` (all) | `prompt_tokens_details.cache_write_tokens` | `cache_creation_input_tokens` | `cacheWriteInputTokens` | - |
/// | `cache_write_1h` (part of `cache_write`) | - | `cache_creation.ephemeral_1h_input_tokens` | `cacheDetails[ttl=1h].inputTokens` | - |
/// | `output` (reasoning included) | `completion_tokens` | `output_tokens` | `outputTokens` | `candidatesTokenCount` + `thoughtsTokenCount` |
/// | `reasoning` (part of `output`) | `completion_tokens_details.reasoning_tokens` | `output_tokens_details.thinking_tokens` | - | `thoughtsTokenCount` |
/// | `audio_input` (part of `input`) | `prompt_tokens_details.audio_tokens` | - | - | `promptTokensDetails[AUDIO]` |
/// | `audio_output` (part of `output`) | `completion_tokens_details.audio_tokens` | - | - | `candidatesTokensDetails[AUDIO]` |
///
/// `searches`: the search units of a rerank (`meta.billed_units.search_units`), which no conversation has. `seconds`: of sound that was transcribed by a model that is
/// paid by its length (`usage.type: duration`), a part of a second counted as one. `web_searches`: what the provider itself has looked up on the web, which costs
/// beside the tokens (Anthropic's `server_tool_use.web_search_requests`; OpenAI's items `web_search_call`; Gemini's `groundingMetadata.webSearchQueries`). `tier`, `fast`
/// and `in_region` (Anthropic's `speed` and `inference_geo`): how the call was served, which decides the price of all of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table above says it")]
pub struct Usage {
    pub input: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_write: Option<u64>,
    pub cache_write_1h: Option<u64>,
    pub output: Option<u64>,
    pub reasoning: Option<u64>,
    pub audio_input: Option<u64>,
    pub audio_output: Option<u64>,
    pub searches: Option<u64>,
    pub seconds: Option<u64>,
    pub web_searches: Option<u64>,
    pub tier: Option<Tier>,
    pub fast: Option<bool>,
    pub in_region: Option<bool>,
}

impl Usage {
    /// Takes over what a later report of the same call says. Reports are cumulative: later figures replace earlier ones and are
    /// never added (case 26: the usage of `message_start` stands again in `message_delta`).
    pub fn update(&mut self, later: &Usage) {
        let pairs = [
            (&mut self.input, later.input),
            (&mut self.cache_read, later.cache_read),
            (&mut self.cache_write, later.cache_write),
            (&mut self.cache_write_1h, later.cache_write_1h),
            (&mut self.output, later.output),
            (&mut self.reasoning, later.reasoning),
            (&mut self.audio_input, later.audio_input),
            (&mut self.audio_output, later.audio_output),
            (&mut self.searches, later.searches),
            (&mut self.seconds, later.seconds),
            (&mut self.web_searches, later.web_searches),
        ];
        for (ours, theirs) in pairs {
            if theirs.is_some() {
                *ours = theirs;
            }
        }
        self.served_as(later);
    }

    /// Takes over how a later report says that the call was served.
    pub(crate) fn served_as(&mut self, later: &Usage) {
        self.tier = later.tier.or(self.tier);
        self.fast = later.fast.or(self.fast);
        self.in_region = later.in_region.or(self.in_region);
    }

    /// Of sound of this length, as a provider reports it.
    pub(crate) fn of_seconds(seconds: f64) -> Self {
        // Out of range it is the largest there is, and nothing is none.
        let seconds = (seconds > 0.0).then(|| seconds.ceil() as u64);
        Self { seconds, ..Self::default() }
    }

    /// Everything that was read: uncached input, cache reads and cache writes.
    pub fn total_input(&self) -> u64 {
        [self.input, self.cache_read, self.cache_write].iter().flatten().fold(0, |sum, part| sum.saturating_add(*part))
    }

    /// Has the upstream reported anything?
    pub fn is_reported(&self) -> bool {
        *self != Usage { tier: self.tier, fast: self.fast, in_region: self.in_region, ..Usage::default() }
    }
}
