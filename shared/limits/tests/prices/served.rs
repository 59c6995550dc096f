//! What a call costs by the way in which it is served, and beside its tokens.

use super::*;

#[test]
fn a_service_tier_costs_as_many_times() {
    let usual = price(json!({"input": 1, "output": 10, "cacheRead": 0.1}));
    let own = price(json!({"input": 1, "output": 10, "priority": 1.75, "flex": "0.25"}));
    let cost = |price: &Price, kind: &str, tier| {
        let million = Some(1_000_000);
        price.cost_nano_usd(kind, &Usage { input: million, output: million, tier, ..Usage::default() })
    };
    for (kind, tier, tenths) in [
        ("openAI", None, 110),
        ("openAI", Some(Tier::Standard), 110),
        ("openAI", Some(Tier::Priority), 275),
        ("azure", Some(Tier::Priority), 275),
        ("bedrock", Some(Tier::Priority), 220),
        ("gemini", Some(Tier::Priority), 220),
        ("anthropic", Some(Tier::Priority), 110),
        ("custom", Some(Tier::Priority), 110),
        ("openAI", Some(Tier::Flex), 55),
        ("bedrock", Some(Tier::Flex), 110),
        ("bedrock", Some(Tier::Reserved), 110),
    ] {
        assert_eq!(cost(&usual, kind, tier), tenths * DOLLAR / 10, "{kind} {tier:?}");
    }
    assert_eq!(cost(&own, "custom", Some(Tier::Priority)), 1_925 * DOLLAR / 100);
    assert_eq!(cost(&own, "custom", Some(Tier::Flex)), 275 * DOLLAR / 100);
    // What is asked for as cheap may be served as usual.
    let bound = |tier| own.bound_nano_usd(Service { kind: "custom", tier, ..Service::default() }, 1_000_000, 1_000_000);
    assert_eq!(bound(Some(Tier::Flex)), bound(None));
    assert_eq!(bound(Some(Tier::Priority)), 1_925 * DOLLAR / 100);
    let cheaper = price(json!({"input": 1, "output": 10, "priority": 0.5, "fast": 0.5}));
    let asked = Service { kind: "anthropic", tier: Some(Tier::Priority), fast: true, ..Service::default() };
    assert_eq!(
        cheaper.bound_nano_usd(asked, 1_000_000, 1_000_000),
        11 * DOLLAR,
        "nor need it be the tier or the speed"
    );
}

#[test]
fn searches_of_the_web_cost_beside_the_tokens_whatever_the_tier() {
    let book = PriceBook::builtin();
    let searches = |kind: &str, model: &str, tier| {
        let usage = Usage { web_searches: Some(1_000), tier, ..Usage::default() };
        book.find(kind, model).unwrap().cost_nano_usd(kind, &usage)
    };
    for (kind, model, dollars) in [
        ("anthropic", "claude-opus-5", 10),
        ("vertex", "claude-sonnet-4-5", 10),
        ("openAI", "gpt-5", 10),
        ("openAI", "gpt-4.1", 25),
        ("gemini", "gemini-3-flash-preview", 14),
        ("gemini", "gemini-2.5-pro", 35),
    ] {
        assert_eq!(searches(kind, model, None), dollars * DOLLAR, "{kind}/{model}");
        assert_eq!(searches(kind, model, Some(Tier::Priority)), dollars * DOLLAR, "{kind}/{model}");
    }
    let own = price(json!({"input": 1, "output": 1, "webSearch": 5000}));
    assert_eq!(own.web_searches_nano_usd("custom", 1_000), 5 * DOLLAR);
    assert_eq!(price(json!({"input": 1, "output": 1})).web_searches_nano_usd("custom", 1_000), 0);
}

#[test]
fn fast_mode_and_a_region_cost_more_on_top_of_all_else() {
    let book = PriceBook::builtin();
    let cost = |model: &str, fast, in_region| {
        let usage = Usage { input: Some(1_000_000), fast: Some(fast), in_region: Some(in_region), ..Usage::default() };
        book.find("anthropic", model).unwrap().cost_nano_usd("anthropic", &usage)
    };
    assert_eq!(cost("claude-opus-5", false, false), 5 * DOLLAR);
    assert_eq!(cost("claude-opus-5", true, false), 10 * DOLLAR);
    assert_eq!(cost("claude-opus-5", true, true), 11 * DOLLAR);
    assert_eq!(cost("claude-opus-4-6", true, false), 30 * DOLLAR, "the dearest there was");
}
