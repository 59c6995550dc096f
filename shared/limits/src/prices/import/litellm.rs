//! LiteLLM's list: an object of models, prices in dollars per token.

use serde_json::{Map, Value};
use tollgate_config::{PriceAbove, PriceEntry, Times, UsdPerMillion};

use super::{Fields, ImportError, Read, Reading, refuse};

/// Entries that are not models.
const NOT_MODELS: [&str; 2] = ["sample_spec", "fallback_generalizations"];

/// Some entry says who provides it.
pub(super) fn looks_like(list: &Map<String, Value>) -> bool {
    list.values().any(|entry| entry.get("litellm_provider").is_some())
}

pub(super) fn read(list: &Map<String, Value>, reading: &mut Reading) -> Result<(), ImportError> {
    for (name, value) in list.iter().filter(|(name, _)| !NOT_MODELS.contains(&name.as_str())) {
        let priced = entry(name, value)?;
        reading.take(name.clone(), priced);
    }
    Ok(())
}

fn entry(name: &str, value: &Value) -> Read {
    let fields = Fields::of(name, value, 12)?;
    if fields.fields.get("mode").and_then(Value::as_str) == Some("rerank") {
        return rerank(name, &fields);
    }
    if let Some(second) = by_second(&fields)? {
        let Some(key) = key(provider(name, &fields)?, name) else { return Ok(None) };
        return Ok(Some((key, PriceEntry { second: Some(second), ..PriceEntry::default() })));
    }
    let Some(input) = fields.price("input_cost_per_token")? else { return Ok(None) };
    let Some(output) = output(&fields)? else { return Ok(None) };
    // Prices per page, query or second stand beside zeros for tokens: an overlay with them would make the model free.
    if (input.0, output.0) == (0, 0) {
        return Ok(None);
    }
    let Some(key) = key(provider(name, &fields)?, name) else { return Ok(None) };
    let price = PriceEntry {
        input,
        output,
        cache_read: fields.price("cache_read_input_token_cost")?,
        cache_write: fields.price("cache_creation_input_token_cost")?,
        cache_write_1h: fields.price("cache_creation_input_token_cost_above_1hr")?,
        // The same as the output's: left out, so that it follows the output into the tiers.
        reasoning: fields.price("output_cost_per_reasoning_token")?.filter(|price| *price != output),
        audio_input: fields.price("input_cost_per_audio_token")?.filter(|price| *price != input),
        audio_output: fields.price("output_cost_per_audio_token")?.filter(|price| *price != output),
        image_input: fields.price("input_cost_per_image_token")?.filter(|price| *price != input),
        image_output: fields.price("output_cost_per_image_token")?.filter(|price| *price != output),
        search: None,
        second: None,
        web_search: web_search(&fields)?,
        priority: times(&fields, "priority", input, output)?,
        flex: times(&fields, "flex", input, output)?,
        fast: fast(&fields),
        max_input_tokens: fields.tokens("max_input_tokens")?,
        max_output_tokens: fields.tokens("max_output_tokens")?,
        above: tiers(&fields, input, output)?,
    };
    Ok(Some((key, price)))
}

/// How many times the price a service tier costs (`input_cost_per_token_priority`): the dearer of input and output.
fn times(
    fields: &Fields<'_>,
    tier: &str,
    input: UsdPerMillion,
    output: UsdPerMillion,
) -> Result<Option<Times>, ImportError> {
    let of = |key: &str, base: UsdPerMillion| {
        let price = fields.price(&format!("{key}_{tier}"))?.filter(|_| base.0 > 0);
        Ok(price.map(|price| Times(price.0.saturating_mul(1_000_000).div_ceil(base.0))))
    };
    Ok(of("input_cost_per_token", input)?.max(of("output_cost_per_token", output)?))
}

/// A search of the web, at the dearest of its sizes.
fn web_search(fields: &Fields<'_>) -> Result<Option<UsdPerMillion>, ImportError> {
    let Some(sizes) = fields.inner("search_context_cost_per_query")? else { return Ok(None) };
    let sizes = ["low", "medium", "high"].map(|size| sizes.query(&format!("search_context_size_{size}")));
    Ok(sizes.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().max())
}

/// How many times the price Anthropic's fast mode costs: a whole number in these lists.
fn fast(fields: &Fields<'_>) -> Option<Times> {
    let times = fields.fields.get("provider_specific_entry")?.get("fast")?.as_f64()?;
    (1.0..=100.0).contains(&times).then_some(Times((times * 1e6) as u64))
}

/// A transcription that is priced by the length of the sound, and by nothing else.
fn by_second(fields: &Fields<'_>) -> Result<Option<UsdPerMillion>, ImportError> {
    if fields.fields.get("mode").and_then(Value::as_str) != Some("audio_transcription") {
        return Ok(None);
    }
    let by_token = fields.price("input_cost_per_token")?.is_some_and(|price| price.0 > 0);
    Ok(fields.price("input_cost_per_second")?.filter(|price| price.0 > 0 && !by_token))
}

/// A rerank is priced by query, by token, or by both. One without either is not priced.
fn rerank(name: &str, fields: &Fields<'_>) -> Read {
    let input = fields.price("input_cost_per_token")?.unwrap_or(UsdPerMillion(0));
    let search = fields.price("input_cost_per_query")?.filter(|price| price.0 > 0);
    if search.is_none() && input.0 == 0 {
        return Ok(None);
    }
    let Some(key) = key(provider(name, fields)?, name) else { return Ok(None) };
    Ok(Some((key, PriceEntry { input, search, ..PriceEntry::default() })))
}

fn provider<'a>(name: &str, fields: &Fields<'a>) -> Result<&'a str, ImportError> {
    match fields.fields.get("litellm_provider") {
        Some(Value::String(provider)) => Ok(provider),
        _ => Err(refuse(name, "litellm_provider: expected a text")),
    }
}

/// The price of output. Embeddings have none; models that answer in images or sound alone have only that.
fn output(fields: &Fields<'_>) -> Result<Option<UsdPerMillion>, ImportError> {
    let mode = fields.fields.get("mode").and_then(Value::as_str);
    for key in ["output_cost_per_token", "output_cost_per_image_token", "output_cost_per_audio_token"] {
        if let Some(price) = fields.price(key)? {
            return Ok(Some(price));
        }
    }
    Ok((mode == Some("embedding")).then_some(UsdPerMillion(0)))
}

/// `input_cost_per_token_above_272k_tokens` and what goes with it. A tier that leaves a price of text out keeps the base price.
fn tiers(fields: &Fields<'_>, input: UsdPerMillion, output: UsdPerMillion) -> Result<Vec<PriceAbove>, ImportError> {
    let mut sizes: Vec<u64> = fields.fields.keys().filter_map(|key| tier_size(key)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let tier = |thousands: u64| {
        let price = |key: &str| fields.price(&format!("{key}_above_{thousands}k_tokens"));
        Ok(PriceAbove {
            tokens: thousands * 1_000,
            input: price("input_cost_per_token")?.unwrap_or(input),
            output: price("output_cost_per_token")?.unwrap_or(output),
            cache_read: price("cache_read_input_token_cost")?,
            cache_write: price("cache_creation_input_token_cost")?,
            cache_write_1h: price("cache_creation_input_token_cost_above_1hr")?,
        })
    };
    sizes.into_iter().map(tier).collect()
}

/// 272 for `output_cost_per_token_above_272k_tokens`. What has more behind it is the price of another service tier.
fn tier_size(key: &str) -> Option<u64> {
    let rest = key.strip_prefix("input_").or_else(|| key.strip_prefix("output_"))?;
    let thousands = rest.strip_prefix("cost_per_token_above_")?.strip_suffix("k_tokens")?;
    thousands.parse().ok().filter(|thousands| *thousands < 1_000_000)
}

/// `kind/model`. None: a price of one region or one commitment, which no model name asks for.
fn key(provider: &str, name: &str) -> Option<String> {
    let kind = match provider {
        "openai" | "text-completion-openai" => "openAI",
        "bedrock" | "bedrock_converse" => "bedrock",
        "azure" | "azure_ai" => "azure",
        "gemini" => "gemini",
        _ if provider.starts_with("vertex_ai") => "vertex",
        other => other,
    };
    let prefix = if kind == "vertex" { "vertex_ai" } else { provider };
    let prefixes = [prefix, kind, "bedrock"];
    let own = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)?.strip_prefix('/'));
    let model = own.unwrap_or(name);
    (kind != "bedrock" || !model.contains('/')).then(|| format!("{kind}/{model}"))
}
