//! models.dev's list: an object of providers with models, prices in dollars per million tokens.

use serde_json::{Map, Value};
use tollgate_config::{PriceAbove, PriceEntry};

use super::{Fields, ImportError, Read, Reading, refuse};

/// Some entry has models, as an object.
pub(super) fn looks_like(list: &Map<String, Value>) -> bool {
    list.values().any(|provider| provider.get("models").is_some_and(Value::is_object))
}

pub(super) fn read(list: &Map<String, Value>, reading: &mut Reading) -> Result<(), ImportError> {
    for (provider, value) in list {
        let Some(Value::Object(models)) = value.get("models") else {
            return Err(refuse(provider, "models: expected an object"));
        };
        for (model, value) in models {
            let name = format!("{provider}/{model}");
            let priced = entry(provider, model, &name, value)?;
            reading.take(name, priced);
        }
    }
    Ok(())
}

fn entry(provider: &str, model: &str, name: &str, value: &Value) -> Read {
    let fields = Fields::of(name, value, 6)?;
    let Some(cost) = fields.inner("cost")? else { return Ok(None) };
    let (Some(input), Some(output)) = (cost.price("input")?, cost.price("output")?) else { return Ok(None) };
    // Zero for both is a plan or a free trial, or no one knows: an overlay with it would make the model free.
    if (input.0, output.0) == (0, 0) {
        return Ok(None);
    }
    let limit = fields.inner("limit")?;
    let limit = |key: &str| limit.as_ref().map_or(Ok(None), |limit| limit.tokens(key));
    let price = PriceEntry {
        input,
        output,
        cache_read: cost.price("cache_read")?,
        cache_write: cost.price("cache_write")?,
        reasoning: cost.price("reasoning")?.filter(|price| *price != output),
        audio_input: cost.price("input_audio")?.filter(|price| *price != input),
        audio_output: cost.price("output_audio")?.filter(|price| *price != output),
        max_input_tokens: limit("context")?,
        max_output_tokens: limit("output")?,
        above: tiers(&cost)?,
        ..PriceEntry::default()
    };
    Ok(Some((format!("{}/{model}", kind(provider)), price)))
}

/// `tiers`, or in older lists `context_over_200k`. With both, the tiers say the sizes.
fn tiers(cost: &Fields<'_>) -> Result<Vec<PriceAbove>, ImportError> {
    let mut above = Vec::new();
    match cost.fields.get("tiers") {
        None | Some(Value::Null) => {
            if let Some(over) = cost.inner("context_over_200k")? {
                above.push(tier(&over, 200_000)?);
            }
        }
        Some(Value::Array(tiers)) => {
            for value in tiers {
                let fields = Fields::of(cost.entry, value, cost.scale)?;
                let size = match fields.inner("tier")? {
                    Some(tier) => tier.tokens("size")?,
                    None => None,
                };
                let size = size.ok_or_else(|| fields.refuse("tiers", "expected `tier: {size}` in each"))?;
                above.push(tier(&fields, size)?);
            }
            above.sort_by_key(|tier| tier.tokens);
        }
        Some(_) => return Err(cost.refuse("tiers", "expected a list")),
    }
    Ok(above)
}

fn tier(fields: &Fields<'_>, tokens: u64) -> Result<PriceAbove, ImportError> {
    let price = |key: &str| fields.price(key)?.ok_or_else(|| fields.refuse(key, "missing in a tier"));
    Ok(PriceAbove {
        tokens,
        input: price("input")?,
        output: price("output")?,
        cache_read: fields.price("cache_read")?,
        cache_write: fields.price("cache_write")?,
        cache_write_1h: None,
    })
}

/// Our name of a provider, or its own.
fn kind(provider: &str) -> &str {
    match provider {
        "openai" => "openAI",
        "amazon-bedrock" => "bedrock",
        "google" => "gemini",
        "google-vertex" | "google-vertex-anthropic" => "vertex",
        "azure-cognitive-services" => "azure",
        other => other,
    }
}
