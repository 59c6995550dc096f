//! One model's price, and what a call costs by it.

use tollgate_config::{PriceAbove, PriceEntry, Times, UsdPerMillion};
use tollgate_wire::ir::{self, Usage};

/// What a model's tokens cost. Rates are pico-dollars per token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    base: Rates,
    /// Other rates once the input is larger, the smallest size first.
    tiers: Vec<Tier>,
    reasoning: Option<u64>,
    audio_input: Option<u64>,
    audio_output: Option<u64>,
    image_input: Option<u64>,
    image_output: Option<u64>,
    /// Pico-dollars per search unit of a rerank.
    search: u64,
    /// Pico-dollars per second of sound; none: the model is not paid by them.
    second: Option<u64>,
    /// Pico-dollars per search of the web that the provider makes; none: what is usual at the kind of provider.
    web_search: Option<u64>,
    priority: Option<Times>,
    flex: Option<Times>,
    fast: Option<Times>,
    /// The most input tokens that the model takes, where that is known.
    pub max_input_tokens: Option<u64>,
    /// The most output tokens that the model gives, where that is known.
    pub max_output_tokens: Option<u64>,
}

/// How a call is, or may be, served: what its price depends on beside its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Service<'a> {
    /// The kind of its provider.
    pub kind: &'a str,
    /// The service tier.
    pub tier: Option<ir::Tier>,
    /// Anthropic's `speed: fast`.
    pub fast: bool,
    /// Held to a region (Anthropic's `inference_geo`).
    pub in_region: bool,
}

/// Pico-dollars per token. Every part has its rate: what was left out has taken that of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rates {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    cache_write_1h: u64,
}

/// Rates for requests with more input than `above` tokens, cached ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tier {
    above: u64,
    rates: Rates,
}

impl Price {
    /// What a call to this kind of provider cost, in nano-dollars, rounded up, in the tier that its usage names. What was not reported counts as nothing, and zero costs zero.
    ///
    /// The whole call is priced at the context tier that its input (uncached, cache reads and cache writes) has reached. Reasoning and audio
    /// have rates of their own where the price has them, in every tier. The usage does not tell images apart: a model with a rate for images
    /// takes the dearer of it and the text rate for what is neither reasoning nor audio.
    #[must_use]
    pub fn cost_nano_usd(&self, kind: &str, usage: &Usage) -> u64 {
        let rates = self.rates_at(usage.total_input());
        let tokens = |part: Option<u64>| part.unwrap_or(0);
        let (input, audio_input) = apart(tokens(usage.input), tokens(usage.audio_input));
        let (write, write_1h) = apart(tokens(usage.cache_write), tokens(usage.cache_write_1h));
        let (output, reasoning) = apart(tokens(usage.output), tokens(usage.reasoning));
        let (output, audio_output) = apart(output, tokens(usage.audio_output));
        let parts = [
            (input, rates.input.max(self.image_input.unwrap_or(0))),
            (audio_input, self.audio_input.unwrap_or(rates.input)),
            (tokens(usage.cache_read), rates.cache_read),
            (write, rates.cache_write),
            (write_1h, rates.cache_write_1h),
            (output, rates.output.max(self.image_output.unwrap_or(0))),
            (reasoning, self.reasoning.unwrap_or(rates.output)),
            (audio_output, self.audio_output.unwrap_or(rates.output)),
        ];
        let service = Service {
            kind,
            tier: usage.tier,
            fast: usage.fast == Some(true),
            in_region: usage.in_region == Some(true),
        };
        let beside = self.beside_tokens_nano_usd(tokens(usage.searches), tokens(usage.seconds));
        let beside = beside.saturating_add(self.web_searches_nano_usd(kind, tokens(usage.web_searches)));
        nano(parts, self.times(service)).saturating_add(beside)
    }

    /// What searches of the web cost, which no service tier makes cheaper or dearer, in nano-dollars. Where the price does not say, it is the dearest that the kind of provider is
    /// known for: <https://platform.claude.com/docs/en/about-claude/pricing>, <https://platform.openai.com/docs/pricing> ($25 for 1,000 before GPT-5),
    /// <https://ai.google.dev/gemini-api/docs/pricing> ($35 before Gemini 3).
    #[must_use]
    pub fn web_searches_nano_usd(&self, kind: &str, searches: u64) -> u64 {
        let usual = match kind.to_ascii_lowercase().as_str() {
            "anthropic" => 10_000_000_000,
            "openai" | "azure" => 25_000_000_000,
            "gemini" | "vertex" => 35_000_000_000,
            _ => 0,
        };
        nano([(searches, self.web_search.unwrap_or(usual))], ONCE)
    }

    /// How many times the price a call costs, as it is served. Where the price does not say, priority is taken for the dearest that the kind of provider is known for,
    /// and flex for half where that is published: <https://openai.com/api-priority-processing/> (1.75 to 2.5 times),
    /// <https://platform.openai.com/docs/guides/flex-processing>, <https://ai.google.dev/gemini-api/docs/optimization> (75 % to 100 % more, half),
    /// <https://aws.amazon.com/bedrock/service-tiers> (a premium and a discount without figures: twice, and nothing off). Anthropic's priority and everybody's
    /// reserved capacity are bought ahead, and their tokens cost nothing more. Its fast mode costs 2 to 6 times as much, and a region a tenth more, on top of all else:
    /// <https://platform.claude.com/docs/en/build-with-claude/fast-mode>, <https://platform.claude.com/docs/en/about-claude/pricing#data-residency-pricing>.
    fn times(&self, service: Service<'_>) -> Times {
        let is = |kinds: &[&str]| kinds.iter().any(|known| known.eq_ignore_ascii_case(service.kind));
        let tier = match service.tier {
            Some(ir::Tier::Priority) => self.priority.unwrap_or(if is(&["openAI", "azure"]) {
                Times(2_500_000)
            } else if is(&["bedrock", "gemini", "vertex"]) {
                Times(2_000_000)
            } else {
                ONCE
            }),
            Some(ir::Tier::Flex) => {
                self.flex.unwrap_or(if is(&["openAI", "gemini", "vertex"]) { Times(500_000) } else { ONCE })
            }
            _ => ONCE,
        };
        let fast = if service.fast { self.fast.unwrap_or(Times(6_000_000)) } else { ONCE };
        let region = if service.in_region { Times(1_100_000) } else { ONCE };
        product(product(tier, fast), region)
    }

    /// Is there a rate for all that was used? Without one for seconds, sound would be free.
    #[must_use]
    pub fn covers(&self, usage: &Usage) -> bool {
        usage.seconds.is_none() || self.second.is_some()
    }

    /// The most that a call with at most so many prompt tokens (cached ones included) and output tokens can cost, in nano-dollars, rounded up:
    /// all of them at the dearest rate, in the dearest context tier that such a prompt can reach. `service`: what it asks for; a cheaper tier may not be what it gets.
    #[must_use]
    pub fn bound_nano_usd(&self, service: Service<'_>, prompt_tokens: u64, output_tokens: u64) -> u64 {
        let reachable = || {
            let tiers = self.tiers.iter().filter(|tier| prompt_tokens > tier.above).map(|tier| tier.rates);
            std::iter::once(self.base).chain(tiers)
        };
        let parts = [self.audio_input, self.image_input].into_iter().flatten();
        let input = reachable().map(|rates| rates.dearest_input()).chain(parts).max().unwrap_or(0);
        let parts = [self.reasoning, self.audio_output, self.image_output].into_iter().flatten();
        let output = reachable().map(|rates| rates.output).chain(parts).max().unwrap_or(0);
        let tier = service.tier.filter(|tier| *tier != ir::Tier::Flex);
        // Whatever a price says of them: nobody promises that it is the tier or the speed that was asked for.
        let times = self.times(Service { tier, ..service }).0.max(ONCE.0);
        nano([(prompt_tokens, input), (output_tokens, output)], Times(times))
    }

    /// What so many search units and seconds of sound cost beside tokens, in nano-dollars, rounded up.
    #[must_use]
    pub fn beside_tokens_nano_usd(&self, searches: u64, seconds: u64) -> u64 {
        nano([(searches, self.search), (seconds, self.second.unwrap_or(0))], ONCE)
    }

    /// The rates of a call with so much input. Exactly at a size the smaller tier still holds.
    fn rates_at(&self, input: u64) -> Rates {
        let reached = self.tiers.iter().rev().find(|tier| input > tier.above);
        reached.map_or(self.base, |tier| tier.rates)
    }
}

impl Rates {
    fn dearest_input(self) -> u64 {
        self.input.max(self.cache_read).max(self.cache_write).max(self.cache_write_1h)
    }
}

/// `whole` without `part`, and `part`. A part that is larger than its whole is the whole.
fn apart(whole: u64, part: u64) -> (u64, u64) {
    let part = part.min(whole);
    (whole - part, part)
}

/// Not more and not less.
const ONCE: Times = Times(1_000_000);

fn product(one: Times, other: Times) -> Times {
    Times(one.0.saturating_mul(other.0).div_ceil(ONCE.0))
}

/// Tokens times pico-dollars per token, so many times, as nano-dollars, rounded up.
fn nano<const N: usize>(parts: [(u64, u64); N], times: Times) -> u64 {
    let pico =
        parts.into_iter().map(|(tokens, rate)| u128::from(tokens) * u128::from(rate)).fold(0u128, u128::saturating_add);
    u64::try_from(pico.saturating_mul(times.0.into()).div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}

impl From<&PriceEntry> for Price {
    fn from(entry: &PriceEntry) -> Self {
        let mut tiers: Vec<Tier> = entry.above.iter().map(Tier::from).collect();
        tiers.sort_by_key(|tier| tier.above);
        let cache_write = entry.cache_write.unwrap_or(entry.input);
        let base = Rates {
            input: entry.input.0,
            output: entry.output.0,
            cache_read: entry.cache_read.unwrap_or(entry.input).0,
            cache_write: cache_write.0,
            cache_write_1h: entry.cache_write_1h.unwrap_or(cache_write).0,
        };
        Self {
            base,
            tiers,
            reasoning: entry.reasoning.map(|rate| rate.0),
            audio_input: entry.audio_input.map(|rate| rate.0),
            audio_output: entry.audio_output.map(|rate| rate.0),
            image_input: entry.image_input.map(|rate| rate.0),
            image_output: entry.image_output.map(|rate| rate.0),
            search: entry.search.map_or(0, |rate| rate.0),
            second: entry.second.map(|rate| rate.0),
            web_search: entry.web_search.map(|rate| rate.0),
            priority: entry.priority,
            flex: entry.flex,
            fast: entry.fast,
            max_input_tokens: entry.max_input_tokens,
            max_output_tokens: entry.max_output_tokens,
        }
    }
}

impl From<&PriceAbove> for Tier {
    fn from(above: &PriceAbove) -> Self {
        let cache_write = above.cache_write.unwrap_or(above.input);
        let rates = Rates {
            input: above.input.0,
            output: above.output.0,
            cache_read: above.cache_read.unwrap_or(above.input).0,
            cache_write: cache_write.0,
            cache_write_1h: above.cache_write_1h.unwrap_or(cache_write).0,
        };
        Self { above: above.tokens, rates }
    }
}

/// With every rate spelled out.
impl From<&Price> for PriceEntry {
    fn from(price: &Price) -> Self {
        let base = price.base;
        Self {
            input: UsdPerMillion(base.input),
            output: UsdPerMillion(base.output),
            cache_read: Some(UsdPerMillion(base.cache_read)),
            cache_write: Some(UsdPerMillion(base.cache_write)),
            cache_write_1h: Some(UsdPerMillion(base.cache_write_1h)),
            reasoning: price.reasoning.map(UsdPerMillion),
            audio_input: price.audio_input.map(UsdPerMillion),
            audio_output: price.audio_output.map(UsdPerMillion),
            image_input: price.image_input.map(UsdPerMillion),
            image_output: price.image_output.map(UsdPerMillion),
            search: (price.search > 0).then_some(UsdPerMillion(price.search)),
            second: price.second.map(UsdPerMillion),
            web_search: price.web_search.map(UsdPerMillion),
            priority: price.priority,
            flex: price.flex,
            fast: price.fast,
            max_input_tokens: price.max_input_tokens,
            max_output_tokens: price.max_output_tokens,
            above: price.tiers.iter().map(PriceAbove::from).collect(),
        }
    }
}

impl From<&Tier> for PriceAbove {
    fn from(tier: &Tier) -> Self {
        Self {
            tokens: tier.above,
            input: UsdPerMillion(tier.rates.input),
            output: UsdPerMillion(tier.rates.output),
            cache_read: Some(UsdPerMillion(tier.rates.cache_read)),
            cache_write: Some(UsdPerMillion(tier.rates.cache_write)),
            cache_write_1h: Some(UsdPerMillion(tier.rates.cache_write_1h)),
        }
    }
}
