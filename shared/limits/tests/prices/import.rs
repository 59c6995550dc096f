//! Price lists of others, in both their shapes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate_config::PriceEntry;
use tollgate_limits::prices::import::{ImportError, Imported, from_json, import, to_json};
use tollgate_limits::prices::{PriceBook, Service};

/// As LiteLLM writes it: prices in dollars per token, with exponents, and much that is not a price of tokens.
const LITELLM: &str = r#"{
    "sample_spec": {"input_cost_per_token": 0.0, "litellm_provider": "one of ...", "max_output_tokens": "max output tokens, if specified"},
    "fallback_generalizations": {"rules": []},
    "gpt-x": {
        "input_cost_per_token": 3e-07, "output_cost_per_token": 1.5e-6, "cache_read_input_token_cost": 1.5e-7,
        "input_cost_per_token_above_272k_tokens": 6e-07, "output_cost_per_token_above_272k_tokens": 2.25e-06,
        "cache_read_input_token_cost_above_272k_tokens": 3e-07, "input_cost_per_token_above_272k_tokens_priority": 1.2e-06,
        "input_cost_per_token_batches": 1.5e-07, "output_cost_per_reasoning_token": 1.5e-06,
        "litellm_provider": "openai", "max_input_tokens": 922000, "max_output_tokens": 128000, "mode": "chat",
        "search_context_cost_per_query": {"search_context_size_high": 0.01}, "supports_vision": true
    },
    "us.anthropic.claude-x-v1:0": {
        "input_cost_per_token": 3.3e-06, "output_cost_per_token": 1.65e-05, "cache_read_input_token_cost": 3.3e-07,
        "cache_creation_input_token_cost": 4.125e-06, "cache_creation_input_token_cost_above_1hr": 6.6e-06,
        "input_cost_per_token_above_200k_tokens": 6.6e-06, "output_cost_per_token_above_200k_tokens": 2.475e-05,
        "cache_creation_input_token_cost_above_200k_tokens": 8.25e-06,
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.32e-05,
        "litellm_provider": "bedrock_converse", "max_output_tokens": 64000.0, "mode": "chat", "provider_specific_entry": {"us": 1.1, "fast": 2}
    },
    "bedrock/eu-west-1/meta.llama-x-v1:0": {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06, "litellm_provider": "bedrock"},
    "gemini/gemini-x": {
        "input_cost_per_token": 1e-07, "output_cost_per_token": 4.0000000000000003e-07, "output_cost_per_reasoning_token": 3.5e-06,
        "input_cost_per_audio_token": 7e-07, "output_cost_per_image_token": 3e-05, "input_cost_per_image": 0.0011,
        "litellm_provider": "gemini", "mode": "chat"
    },
    "vertex_ai/claude-x@20250514": {"input_cost_per_token": 1e-06, "output_cost_per_token": 5e-06, "litellm_provider": "vertex_ai-anthropic_models"},
    "azure/gpt-x": {"input_cost_per_token": 3e-07, "output_cost_per_token": 1.5e-06, "litellm_provider": "azure"},
    "groq/llama-x": {"input_cost_per_token": 5.9e-07, "output_cost_per_token": 7.9e-07, "litellm_provider": "groq"},
    "text-embedding-x": {"input_cost_per_token": 1.3e-07, "output_cost_per_token": 0.0, "litellm_provider": "openai", "mode": "embedding"},
    "embed-y": {"input_cost_per_token": 1e-07, "litellm_provider": "cohere", "mode": "embedding"},
    "gpt-image-x": {"input_cost_per_token": 5e-06, "output_cost_per_image_token": 3e-05, "litellm_provider": "openai", "mode": "image_generation"},
    "256-x-256/dall-e": {"input_cost_per_pixel": 2.4414e-07, "litellm_provider": "openai", "mode": "image_generation"},
    "rerank-x": {"input_cost_per_query": 0.002, "input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "litellm_provider": "cohere"}
}"#;

/// As models.dev writes it: providers with models, prices in dollars per million tokens.
const MODELS_DEV: &str = r#"{
    "openai": {"id": "openai", "name": "OpenAI", "env": ["OPENAI_API_KEY"], "models": {
        "gpt-x": {"id": "gpt-x", "reasoning": true, "limit": {"context": 1050000, "output": 128000}, "cost": {
            "input": 0.3, "output": 1.5, "cache_read": 0.075,
            "tiers": [{"input": 0.6, "output": 2.25, "cache_read": 0.15, "tier": {"type": "context", "size": 272000}}],
            "context_over_200k": {"input": 0.6, "output": 2.25, "cache_read": 0.15}
        }},
        "no-price": {"id": "no-price", "limit": {"context": 1, "output": 1}}
    }},
    "amazon-bedrock": {"id": "amazon-bedrock", "models": {
        "anthropic.claude-x-v1:0": {"cost": {"input": 3, "output": 15, "cache_read": 3e-1, "cache_write": 3.75,
            "context_over_200k": {"input": 6, "output": 22.5}}}
    }},
    "google-vertex-anthropic": {"models": {"claude-x@20250514": {"cost": {"input": 1, "output": 5, "reasoning": 6, "input_audio": 7}}}},
    "google": {"models": {"gemini-free": {"cost": {"input": 0, "output": 0}}}},
    "groq": {"models": {"llama-x": {"cost": {"input": 0.59, "output": 0.79}}}}
}"#;

fn entry(imported: &Imported, key: &str) -> Value {
    serde_json::to_value(&imported.prices[key]).unwrap()
}

#[test]
fn litellms_list_is_read_exactly() {
    let imported = import(LITELLM).unwrap();
    assert_eq!(
        entry(&imported, "openAI/gpt-x"),
        json!({"input": "0.3", "output": "1.5", "cacheRead": "0.15", "webSearch": "10000", "maxInputTokens": 922_000, "maxOutputTokens": 128_000, "above": [
            {"tokens": 272_000, "input": "0.6", "output": "2.25", "cacheRead": "0.3"},
        ]})
    );
    assert_eq!(
        entry(&imported, "bedrock/us.anthropic.claude-x-v1:0"),
        json!({"input": "3.3", "output": "16.5", "cacheRead": "0.33", "cacheWrite": "4.125", "cacheWrite1h": "6.6",
        "fast": "2", "maxOutputTokens": 64_000, "above": [
            {"tokens": 200_000, "input": "6.6", "output": "24.75", "cacheWrite": "8.25", "cacheWrite1h": "13.2"},
        ]})
    );
    assert_eq!(
        entry(&imported, "gemini/gemini-x"),
        json!({"input": "0.1", "output": "0.4", "reasoning": "3.5", "audioInput": "0.7", "imageOutput": "30"})
    );
    assert_eq!(entry(&imported, "openAI/text-embedding-x"), json!({"input": "0.13", "output": "0"}));
    assert_eq!(entry(&imported, "cohere/embed-y"), json!({"input": "0.1", "output": "0"}));
    assert_eq!(entry(&imported, "openAI/gpt-image-x"), json!({"input": "5", "output": "30"}));
}

#[test]
fn litellms_providers_become_kinds() {
    let keys: Vec<String> = import(LITELLM).unwrap().prices.into_keys().collect();
    let expected = [
        "azure/gpt-x",
        "bedrock/us.anthropic.claude-x-v1:0",
        "cohere/embed-y",
        "gemini/gemini-x",
        "groq/llama-x",
        "openAI/gpt-image-x",
        "openAI/gpt-x",
        "openAI/text-embedding-x",
        "vertex/claude-x@20250514",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn what_has_no_price_of_tokens_is_skipped_and_never_free() {
    let skipped = import(LITELLM).unwrap().skipped;
    assert_eq!(skipped, ["256-x-256/dall-e", "bedrock/eu-west-1/meta.llama-x-v1:0", "rerank-x"]);
    assert_eq!(import(MODELS_DEV).unwrap().skipped, ["google/gemini-free", "openai/no-price"]);
}

#[test]
fn models_devs_list_is_read_exactly() {
    let imported = import(MODELS_DEV).unwrap();
    assert_eq!(
        entry(&imported, "openAI/gpt-x"),
        json!({"input": "0.3", "output": "1.5", "cacheRead": "0.075", "maxInputTokens": 1_050_000, "maxOutputTokens": 128_000, "above": [
            {"tokens": 272_000, "input": "0.6", "output": "2.25", "cacheRead": "0.15"},
        ]})
    );
    assert_eq!(
        entry(&imported, "bedrock/anthropic.claude-x-v1:0"),
        json!({"input": "3", "output": "15", "cacheRead": "0.3", "cacheWrite": "3.75", "above": [
            {"tokens": 200_000, "input": "6", "output": "22.5"},
        ]})
    );
    assert_eq!(
        entry(&imported, "vertex/claude-x@20250514"),
        json!({"input": "1", "output": "5", "reasoning": "6", "audioInput": "7"})
    );
    assert!(imported.prices.contains_key("groq/llama-x"));
}

#[test]
fn what_is_no_price_list_is_refused_as_a_whole() {
    let provided = |fields: &str| {
        format!(
            r#"{{"good": {{"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6, "litellm_provider": "openai"}},
        "bad": {{"litellm_provider": "openai", "output_cost_per_token": 1e-6, {fields}}}}}"#
        )
    };
    let sold = |cost: &str| {
        format!(
            r#"{{"openai": {{"models": {{"good": {{"cost": {{"input": 1, "output": 1}}}}, "bad": {{"cost": {cost}}}}}}}}}"#
        )
    };
    for (text, message) in [
        (String::new(), "not JSON"),
        ("<html>rate limited</html>".to_owned(), "not JSON"),
        (LITELLM.get(..LITELLM.len() / 2).unwrap().to_owned(), "not JSON"),
        (provided(r#""input_cost_per_token": NaN"#), "not JSON"),
        ("{}".to_owned(), "empty"),
        ("[]".to_owned(), "neither"),
        (r#"{"gpt-4o": {"input": 1, "output": 2}}"#.to_owned(), "neither"),
        (r#"{"a": {"litellm_provider": "openai", "input_cost_per_pixel": 1e-7}}"#.to_owned(), "no entry has a price"),
        (r#"{"openai": {"models": {}}}"#.to_owned(), "no entry has a price"),
        (provided(r#""input_cost_per_token": -1e-6"#), "`bad`: input_cost_per_token: -1e-6 is no price"),
        (
            provided(r#""input_cost_per_token": 0.0100001"#),
            "`bad`: input_cost_per_token: 0.0100001 is more than $10,000",
        ),
        (provided(r#""input_cost_per_token": 3"#), "`bad`: input_cost_per_token: 3 is more than"),
        (provided(r#""input_cost_per_token": "1e-6""#), "`bad`: input_cost_per_token: expected a number, got \"1e-6\""),
        (
            provided(r#""input_cost_per_token": 1e-6, "cache_read_input_token_cost": -1"#),
            "`bad`: cache_read_input_token_cost",
        ),
        (
            provided(r#""input_cost_per_token": 1e-6, "input_cost_per_token_above_200k_tokens": true"#),
            "above_200k_tokens: expected a number",
        ),
        (provided(r#""input_cost_per_token": 1e-6, "max_output_tokens": "many""#), "`bad`: max_output_tokens"),
        (r#"{"a": {"litellm_provider": "openai"}, "bad": 3}"#.to_owned(), "`bad`: expected an object, got 3"),
        (sold(r#"{"input": -1, "output": 1}"#), "`openai/bad`: input: -1 is no price"),
        (sold(r#"{"input": 1, "output": 10000.5}"#), "`openai/bad`: output: 10000.5 is more than"),
        (sold(r#"{"input": "1", "output": 1}"#), "`openai/bad`: input: expected a number"),
        (sold(r#"{"input": 1, "output": 1, "tiers": [{"input": 1, "output": 1}]}"#), "`openai/bad`: tiers"),
        (
            sold(r#"{"input": 1, "output": 1, "context_over_200k": {"input": 1}}"#),
            "`openai/bad`: output: missing in a tier",
        ),
        (sold("7"), "`openai/bad`: expected an object"),
        (r#"{"openai": {"models": {}}, "b": {}}"#.to_owned(), "`b`: models"),
    ] {
        let refused = import(&text).unwrap_err().to_string();
        assert!(refused.contains(message), "expected `{message}`, got `{refused}`\n{text}");
    }
    assert_eq!(import("{}"), Err(ImportError::Empty));
}

#[test]
fn an_import_is_written_in_the_configurations_form_and_read_back() {
    for list in [LITELLM, MODELS_DEV] {
        let prices = import(list).unwrap().prices;
        assert_eq!(from_json(&to_json(&prices)), Ok(prices));
    }
    assert!(from_json(r#"{"a/b": {"input": 1, "output": 1, "cachedRead": 1}}"#).unwrap_err().contains("cachedRead"));
}

#[test]
fn an_import_wins_over_the_table() {
    let prices: BTreeMap<String, PriceEntry> = import(LITELLM).unwrap().prices;
    let book = PriceBook::with(&PriceBook::builtin(), &prices);
    assert_eq!(
        book.find("openAI", "gpt-x").unwrap().bound_nano_usd(
            Service { kind: "custom", ..Service::default() },
            1_000,
            0
        ),
        300_000
    );
    assert!(book.find("openAI", "gpt-4o").is_some());
}
