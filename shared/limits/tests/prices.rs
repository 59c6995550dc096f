//! Prices: what a call costs, what it can cost at most, which price a model has, and the table itself.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_config::PriceEntry;
use tollgate_limits::prices::{Origin, Price, PriceBook, Service};
use tollgate_wire::ir::{Tier, Usage};

#[path = "prices/import.rs"]
mod import;
#[path = "prices/served.rs"]
mod served;
#[path = "prices/table.rs"]
mod table;

const DOLLAR: u64 = 1_000_000_000;

fn price(value: Value) -> Price {
    Price::from(&serde_json::from_value::<PriceEntry>(value).unwrap())
}

fn book(overlay: Value) -> Arc<PriceBook> {
    PriceBook::with(&PriceBook::builtin(), &entries(overlay))
}

fn entries(overlay: Value) -> BTreeMap<String, PriceEntry> {
    serde_json::from_value(overlay).unwrap()
}

/// Which row prices a model: `kind/model` of the built-in table, or the key of an overlay.
fn row(book: &PriceBook, kind: &str, model: &str) -> Option<String> {
    Some(match book.lookup(kind, model)?.origin {
        Origin::Overlay(key) => key.to_owned(),
        Origin::Builtin { kind, model, .. } => format!("{kind}/{model}"),
    })
}

fn builtin(kind: &str, model: &str) -> Option<String> {
    row(&PriceBook::builtin(), kind, model)
}

mod cost {
    use super::*;

    #[test]
    fn each_part_is_priced_once_at_its_own_rate() {
        let price = price(json!({"input": 3, "output": 15, "cacheRead": 0.3, "cacheWrite": 3.75, "cacheWrite1h": 6}));
        // Case 16: 3 uncached, 17 written, 32,651 read.
        let usage = Usage { input: Some(3), cache_write: Some(17), cache_read: Some(32_651), ..Usage::default() };
        assert_eq!(price.cost_nano_usd("custom", &usage), 9_000 + 63_750 + 9_795_300);
    }

    #[test]
    fn cache_writes_for_an_hour_cost_more_than_those_for_five_minutes() {
        let price = price(json!({"input": 3, "output": 15, "cacheRead": 0.3, "cacheWrite": 3.75, "cacheWrite1h": 6}));
        let written = |all, hour| {
            price.cost_nano_usd("custom", &Usage { cache_write: Some(all), cache_write_1h: hour, ..Usage::default() })
        };
        assert_eq!(written(1_000_000, None), 3_750_000_000);
        assert_eq!(written(1_000_000, Some(1_000_000)), 6 * DOLLAR);
        // The hour's are a part of all writes.
        assert_eq!(written(1_000_000, Some(400_000)), 2_250_000_000 + 2_400_000_000);
    }

    #[test]
    fn what_has_no_rate_of_its_own_costs_what_its_kind_costs() {
        let price = price(json!({"input": 1, "output": 4}));
        let million = Some(1_000_000);
        for usage in [
            Usage { input: million, audio_input: Some(500_000), ..Usage::default() },
            Usage { cache_read: million, ..Usage::default() },
            Usage { cache_write: million, cache_write_1h: Some(500_000), ..Usage::default() },
        ] {
            assert_eq!(price.cost_nano_usd("custom", &usage), DOLLAR, "{usage:?}");
        }
        let usage =
            Usage { output: million, reasoning: Some(300_000), audio_output: Some(300_000), ..Usage::default() };
        assert_eq!(price.cost_nano_usd("custom", &usage), 4 * DOLLAR);
    }

    #[test]
    fn reasoning_and_audio_have_rates_of_their_own() {
        let price = price(json!({"input": 1, "output": 4, "reasoning": 2, "audioInput": 10, "audioOutput": 20}));
        let usage = Usage {
            input: Some(1_000_000),
            audio_input: Some(250_000),
            output: Some(1_000_000),
            reasoning: Some(500_000),
            audio_output: Some(250_000),
            ..Usage::default()
        };
        assert_eq!(price.cost_nano_usd("custom", &usage), 750_000_000 + 2_500_000_000 + DOLLAR + DOLLAR + 5 * DOLLAR);
    }

    #[test]
    fn a_rerank_is_priced_by_search_unit() {
        let price = price(json!({"input": 0, "output": 0, "search": 2000}));
        let usage = Usage { searches: Some(3), ..Usage::default() };
        assert_eq!(price.cost_nano_usd("custom", &usage), 6_000_000, "two dollars for a thousand");
        assert_eq!(price.beside_tokens_nano_usd(3, 7), 6_000_000);
    }

    #[test]
    fn sound_is_priced_by_the_second_where_the_price_has_one_and_is_not_free_elsewhere() {
        let usage = Usage { seconds: Some(60), ..Usage::default() };
        let book = PriceBook::builtin();
        let whisper = book.find("openAI", "whisper-1").unwrap();
        assert_eq!(whisper.cost_nano_usd("custom", &usage), 6_000_000, "0.6 cents a minute");
        assert_eq!(whisper.beside_tokens_nano_usd(3, 60), 6_000_000);
        let live = book.find("azure", "gpt-live-transcribe").unwrap();
        assert_eq!(live.cost_nano_usd("custom", &usage), 17_000_001, "1.7 cents a minute, rounded up");
        assert!(whisper.covers(&usage) && !price(json!({"input": 1, "output": 1})).covers(&usage));
    }

    #[test]
    fn tokens_of_a_model_that_draws_are_priced_as_images_unless_they_are_reasoning() {
        let price = price(json!({"input": 2, "output": 12, "reasoning": 12, "imageOutput": 120}));
        let usage = Usage { output: Some(1_000_000), reasoning: Some(500_000), ..Usage::default() };
        assert_eq!(price.cost_nano_usd("custom", &usage), 66 * DOLLAR);
    }

    #[test]
    fn usage_reported_as_zero_costs_zero() {
        let price = price(json!({"input": 3, "output": 15}));
        let zero = Usage { input: Some(0), output: Some(0), ..Usage::default() };
        assert_eq!(price.cost_nano_usd("custom", &zero), 0);
        assert_eq!(price.cost_nano_usd("custom", &Usage::default()), 0);
    }

    #[test]
    fn a_fraction_of_a_nano_dollar_is_rounded_up() {
        let price = price(json!({"input": 0.0375, "output": 0.15}));
        let usage = |input| Usage { input: Some(input), ..Usage::default() };
        assert_eq!(price.cost_nano_usd("custom", &usage(1)), 38);
        assert_eq!(price.cost_nano_usd("custom", &usage(2)), 75);
    }

    #[test]
    fn a_price_is_written_out_in_full_and_read_back_as_itself() {
        let price =
            price(json!({"input": 1, "output": 4, "cacheWrite": 2, "above": [{"tokens": 5, "input": 2, "output": 8}]}));
        let entry = PriceEntry::from(&price);
        assert_eq!(entry.cache_write_1h.unwrap().to_string(), "2");
        assert_eq!(Price::from(&entry), price);
    }

    #[test]
    fn absurd_usage_saturates() {
        let price = price(json!({"input": 10000, "output": 10000}));
        let usage = Usage { input: Some(u64::MAX), output: Some(u64::MAX), ..Usage::default() };
        assert_eq!(price.cost_nano_usd("custom", &usage), u64::MAX);
        assert_eq!(
            price.bound_nano_usd(Service { kind: "custom", ..Service::default() }, u64::MAX, u64::MAX),
            u64::MAX
        );
    }
}

mod tiers {
    use super::*;

    fn tiered() -> Price {
        price(json!({"input": 2, "output": 10, "cacheRead": 0.2, "above": [
            {"tokens": 500_000, "input": 8, "output": 30},
            {"tokens": 200_000, "input": 4, "output": 15, "cacheRead": 0.4},
        ]}))
    }

    #[test]
    fn the_whole_request_has_the_price_of_the_size_that_its_input_reaches() {
        let usage = |input| Usage { input: Some(input), output: Some(1_000_000), ..Usage::default() };
        let cost = |input| tiered().cost_nano_usd("custom", &usage(input));
        assert_eq!(cost(200_000), 400_000_000 + 10 * DOLLAR);
        assert_eq!(cost(200_001), 800_004_000 + 15 * DOLLAR);
        assert_eq!(cost(500_001), 4_000_008_000 + 30 * DOLLAR);
    }

    #[test]
    fn cached_input_counts_for_the_size() {
        let usage = Usage { input: Some(1), cache_read: Some(150_000), cache_write: Some(50_000), ..Usage::default() };
        assert_eq!(tiered().cost_nano_usd("custom", &usage), 4_000 + 60_000_000 + 200_000_000);
    }

    #[test]
    fn output_does_not_count_for_the_size() {
        let usage = Usage { input: Some(1), output: Some(900_000), ..Usage::default() };
        assert_eq!(tiered().cost_nano_usd("custom", &usage), 2_000 + 9 * DOLLAR);
    }

    #[test]
    fn a_bound_takes_the_dearest_tier_that_the_prompt_can_reach() {
        assert_eq!(
            tiered().bound_nano_usd(Service { kind: "custom", ..Service::default() }, 200_000, 1_000_000),
            400_000_000 + 10 * DOLLAR
        );
        assert_eq!(
            tiered().bound_nano_usd(Service { kind: "custom", ..Service::default() }, 200_001, 1_000_000),
            800_004_000 + 15 * DOLLAR
        );
        // A tier may be cheaper than the one below it.
        let falling = price(json!({"input": 9, "output": 9, "above": [{"tokens": 100, "input": 1, "output": 1}]}));
        assert_eq!(falling.bound_nano_usd(Service { kind: "custom", ..Service::default() }, 200, 1), 201 * 9_000);
    }

    #[test]
    fn a_bound_expects_the_dearest_kind_of_input() {
        let price = price(json!({"input": 3, "output": 15, "cacheRead": 0.3, "cacheWrite": 3.75, "cacheWrite1h": 6}));
        assert_eq!(price.bound_nano_usd(Service { kind: "custom", ..Service::default() }, 1_000_000, 0), 6 * DOLLAR);
    }
}

mod matching {
    use super::*;

    #[test]
    fn an_unknown_model_has_no_price() {
        for (kind, model) in [
            ("openAI", "gpt-99"),
            ("openAI", ""),
            ("anthropic", "gpt-4o"),
            ("bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"),
            ("bedrock", "arn:aws:bedrock:us-east-1:1:provisioned-model/abc"),
            ("custom", "gpt-4o"),
            ("groq", "gpt-4o"),
        ] {
            assert_eq!(builtin(kind, model), None, "{kind} {model}");
        }
    }

    #[test]
    fn a_name_that_begins_like_another_is_not_that_other() {
        for (kind, model) in [
            ("openAI", "gpt-4o-mini-2024-07-18"),
            ("openAI", "gpt-5.1-codex-mini"),
            ("openAI", "gpt-5.4-nano"),
            ("anthropic", "claude-opus-4-1-20250805"),
            ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ] {
            let found = builtin(kind, model).unwrap();
            let (_, name) = found.split_once('/').unwrap();
            assert!(model.contains(name.trim_end_matches("-20250929-v1:0")), "{model} is priced as {found}");
        }
        assert_eq!(builtin("openAI", "gpt-4o-mini-2024-07-18").as_deref(), Some("openAI/gpt-4o-mini"));
        assert_eq!(builtin("openAI", "gpt-5.1-codex-mini").as_deref(), Some("openAI/gpt-5.1-codex-mini"));
        for model in ["gpt-4o-x", "gpt-5.1-codex-mini-x", "gpt-4o-2024", "gpt-4o-20240806x", "gpt", "gpt-4o-mini-"] {
            assert_eq!(builtin("openAI", model), None, "{model}");
        }
        assert_eq!(builtin("anthropic", "claude-sonnet-4-7"), None);
        assert_eq!(builtin("anthropic", "claude-opus"), None);
    }

    #[test]
    fn dates_versions_and_aliases_do_not_change_a_price() {
        for (kind, model, expected) in [
            ("openAI", "gpt-4o-2024-08-06", "openAI/gpt-4o"),
            ("openAI", "gpt-4o-2024-05-13", "openAI/gpt-4o-2024-05-13"),
            ("openai", "GPT-4o:latest", "openAI/gpt-4o"),
            ("anthropic", "claude-sonnet-4-20250514", "anthropic/claude-sonnet-4"),
            ("anthropic", "claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"),
            ("gemini", "models/gemini-2.5-flash", "gemini/gemini-2.5-flash"),
            ("azure", "gpt-4.1-mini", "openAI/gpt-4.1-mini"),
            ("azure", "gpt-35-turbo", "azure/gpt-35-turbo"),
            ("vertex", "publishers/anthropic/models/claude-opus-5@default", "anthropic/claude-opus-5"),
            ("vertex", "claude-sonnet-4-5@20250929", "vertex/claude-sonnet-4-5"),
            ("vertex", "google/gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        ] {
            assert_eq!(builtin(kind, model).as_deref(), Some(expected), "{kind} {model}");
        }
    }

    #[test]
    fn bedrock_names_say_the_region_and_the_version() {
        for (model, expected) in [
            ("anthropic.claude-sonnet-4-20250514-v1:0", "anthropic.claude-sonnet-4-20250514-v1:0"),
            ("us.anthropic.claude-sonnet-4-20250514-v1:0", "anthropic.claude-sonnet-4-20250514-v1:0"),
            ("apac.anthropic.claude-sonnet-4", "anthropic.claude-sonnet-4-20250514-v1:0"),
            (
                "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-4-6-v1",
                "anthropic.claude-opus-4-6-v1",
            ),
            ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
            ("eu.amazon.nova-lite-v1:0", "eu.amazon.nova-lite-v1:0"),
            ("us.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
            ("openai.gpt-oss-120b", "openai.gpt-oss-120b-1:0"),
            ("global.anthropic.claude-opus-4-5", "global.anthropic.claude-opus-4-5-20251101-v1:0"),
            ("jp.anthropic.claude-opus-4-5", "anthropic.claude-opus-4-5-20251101-v1:0"),
        ] {
            assert_eq!(builtin("bedrock", model), Some(format!("bedrock/{expected}")), "{model}");
        }
        // Two versions with two prices: without a version no one knows which.
        assert_eq!(builtin("bedrock", "amazon.titan-embed-text"), None);
    }

    #[test]
    fn claude_in_one_region_costs_a_tenth_more_than_anywhere() {
        let book = PriceBook::builtin();
        let cost = |model: &str| {
            book.find("bedrock", model).unwrap().bound_nano_usd(
                Service { kind: "custom", ..Service::default() },
                0,
                1_000_000,
            )
        };
        for model in ["anthropic.claude-opus-5-5", "anthropic.claude-haiku-4-5", "anthropic.claude-sonnet-5"] {
            let everywhere = cost(&format!("global.{model}"));
            for prefix in ["", "us.", "eu.", "jp.", "au.", "apac."] {
                assert_eq!(cost(&format!("{prefix}{model}")), everywhere / 10 * 11, "{prefix}{model}");
            }
        }
    }
}

mod overlays {
    use super::*;

    #[test]
    fn an_overlay_wins_over_the_table_and_a_later_one_over_an_earlier_one() {
        let first = book(json!({"gpt-4o": {"input": 1, "output": 1}, "gpt-4o-mini": {"input": 1, "output": 1}}));
        let second = PriceBook::with(&first, &entries(json!({"gpt-*": {"input": 7, "output": 7}})));
        let input = |book: &PriceBook, model: &str| {
            book.find("openAI", model).unwrap().bound_nano_usd(Service { kind: "custom", ..Service::default() }, 1, 0)
        };
        assert_eq!(input(&PriceBook::builtin(), "gpt-4o"), 2_500);
        assert_eq!(input(&first, "gpt-4o"), 1_000);
        assert_eq!(input(&second, "gpt-4o"), 7_000);
        assert_eq!(input(&second, "o3"), 2_000);
        assert!(Arc::ptr_eq(&PriceBook::with(&first, &BTreeMap::new()), &first));
    }

    #[test]
    fn the_exact_key_wins_then_the_longest_pattern() {
        let rate = json!({"input": 1, "output": 1});
        let keys = [
            "openAI/gpt-4o",
            "gpt-4o",
            "o3",
            "gpt-*",
            "*",
            "openAI/gpt-4*",
            "groq/*",
            "gpt-4o-very-long-pattern-*",
            "Meta/Llama-*",
        ];
        let book =
            book(keys.iter().map(|key| ((*key).to_owned(), rate.clone())).collect::<serde_json::Map<_, _>>().into());
        for (kind, model, expected) in [
            ("openAI", "gpt-4o", "openAI/gpt-4o"),
            ("azure", "gpt-4o", "gpt-4o"),
            ("OpenAI", "GPT-4O", "openAI/gpt-4o"),
            ("openAI", "o3", "o3"),
            ("openAI", "gpt-4.1", "openAI/gpt-4*"),
            ("azure", "gpt-4.1", "gpt-*"),
            ("groq", "llama", "groq/*"),
            ("custom", "meta/llama-4", "Meta/Llama-*"),
            ("custom", "anything", "*"),
        ] {
            assert_eq!(row(&book, kind, model).as_deref(), Some(expected), "{kind} {model}");
        }
    }

    #[test]
    fn a_price_of_zero_is_a_price() {
        let book = book(json!({"custom/*": {"input": 0, "output": 0}}));
        assert_eq!(
            book.find("custom", "my-llama").unwrap().bound_nano_usd(
                Service { kind: "custom", ..Service::default() },
                1_000,
                1_000
            ),
            0
        );
    }
}

mod bounds {
    use super::*;

    fn rate() -> impl Strategy<Value = u64> {
        0..100_000_000u64
    }

    prop_compose! {
        fn any_price()(
            base in (rate(), rate()),
            parts in proptest::collection::vec(proptest::option::of(rate()), 10),
            tiers in proptest::collection::vec((0..1_000u64, rate(), rate(), proptest::option::of(rate())), 0..3),
        ) -> Price {
            let dollars = |pico: u64| format!("{}.{:06}", pico / 1_000_000, pico % 1_000_000);
            let part = |at: usize| parts[at].map(dollars);
            let above: Vec<Value> = tiers.iter().map(|(tokens, input, output, cache)| json!({
                "tokens": tokens, "input": dollars(*input), "output": dollars(*output), "cacheWrite1h": cache.map(dollars),
            })).collect();
            price(json!({
                "input": dollars(base.0), "output": dollars(base.1), "cacheRead": part(0), "cacheWrite": part(1),
                "cacheWrite1h": part(2), "reasoning": part(3), "audioInput": part(4), "audioOutput": part(5),
                "imageInput": part(6), "imageOutput": part(7), "search": part(8), "second": part(9), "webSearch": part(9), "above": above,
            }))
        }
    }

    prop_compose! {
        fn any_usage()(parts in proptest::collection::vec(proptest::option::of(0..1_000u64), 11)) -> Usage {
            Usage {
                tier: None,
                input: parts[0],
                cache_read: parts[1],
                cache_write: parts[2],
                cache_write_1h: parts[3],
                output: parts[4],
                reasoning: parts[5],
                audio_input: parts[6],
                audio_output: parts[7],
                searches: parts[8],
                seconds: parts[9],
                web_searches: parts[10].map(|number| number % 4),
                fast: parts[10].map(|number| number % 2 == 0),
                in_region: parts[9].map(|number| number % 2 == 0),
            }
        }
    }

    proptest! {
        #[test]
        fn no_call_costs_more_than_its_bound(price in any_price(), usage in any_usage(), more in (0..500u64, 0..500u64)) {
            let prompt = usage.total_input() + more.0;
            let output = usage.output.unwrap_or(0) + more.1;
            let beside = price.beside_tokens_nano_usd(usage.searches.unwrap_or(0), usage.seconds.unwrap_or(0));
            let service = Service { kind: "custom", fast: true, in_region: true, ..Service::default() };
            let bound = price.bound_nano_usd(service, prompt, output) + beside + price.web_searches_nano_usd("custom", 3);
            prop_assert!(price.cost_nano_usd("custom", &usage) <= bound);
        }

        #[test]
        fn names_of_any_kind_are_looked_up_without_harm(kind in ".{0,12}", model in "(arn:)?[-a-z0-9:/@.é]{0,40}") {
            let _ = PriceBook::builtin().find(&kind, &model);
            let _ = PriceBook::builtin().find("bedrock", &model);
        }
    }
}
