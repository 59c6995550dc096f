//! Attributes of an access log record, as usage. Names of tokens and models are OpenTelemetry's
//! (<https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/>), as agentgateway writes them; the others are configured.

use serde_json::{Map, Value};
use tollgate_config::UsageNames;
use tollgate_hooks::App;
use tollgate_hooks::caller::Named;
use tollgate_wire::ir::Usage;

use crate::report::Report;
use crate::settle::{checked, whose};

/// Attributes by name.
pub type Attributes = Map<String, Value>;

/// The report in a record. `None`: it says nothing of usage. `fallback_id`: what identifies the record itself; such a report is booked once, and
/// finds no reservation.
pub fn report(app: &App, attributes: &Attributes, fallback_id: Option<String>) -> Option<Result<Report, String>> {
    let names = &app.config.webhooks.usage;
    let usage = usage(attributes, names)?;
    let text = |name: &str| text(attributes, name);
    let request_id = text(&names.request_id).or(fallback_id);
    let report = || {
        let named = Named { team: text(&names.team), tier: text(&names.tier), user: text(&names.user) };
        let served_model = text("gen_ai.response.model");
        let model = text("gen_ai.request.model").or_else(|| served_model.clone());
        checked(Report {
            who: whose(app, named, text(&names.client_id).as_deref())?,
            request_id: request_id.ok_or_else(|| format!("there is no `{}`", names.request_id))?,
            provider: text("gen_ai.provider.name").or_else(|| text("gen_ai.system")),
            model: model.ok_or("there is no `gen_ai.request.model`")?,
            served_model,
            usage,
        })
    };
    Some(report())
}

fn usage(attributes: &Attributes, names: &UsageNames) -> Option<Usage> {
    let tokens = |name: &str| number(attributes.get(&format!("gen_ai.usage.{name}"))?);
    let (input, output) = (tokens("input_tokens"), tokens("output_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let cache_read = tokens("cache_read.input_tokens");
    let cache_write = tokens("cache_creation.input_tokens").or_else(|| tokens("cache_write.input_tokens"));
    let cached = cache_read.unwrap_or(0).saturating_add(cache_write.unwrap_or(0));
    // An input that is smaller than its cached part cannot have it in it, whatever was configured.
    let uncached =
        |input: u64| if names.input_includes_cache { input.checked_sub(cached).unwrap_or(input) } else { input };
    Some(Usage {
        input: input.map(uncached),
        cache_read,
        cache_write,
        output,
        reasoning: tokens("reasoning_tokens").or_else(|| tokens("reasoning.output_tokens")),
        audio_input: tokens("input_audio_tokens"),
        audio_output: tokens("output_audio_tokens"),
        ..Usage::default()
    })
}

fn text(attributes: &Attributes, name: &str) -> Option<String> {
    match attributes.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole, positive and small, as just checked"
)]
fn whole(number: f64) -> Option<u64> {
    ((0.0..=9e15).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: Value, includes: bool) -> Option<Usage> {
        let names = UsageNames { input_includes_cache: includes, ..UsageNames::default() };
        usage(value.as_object().unwrap(), &names)
    }

    #[test]
    fn cached_tokens_are_counted_once() {
        let value = json!({
            "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": "20", "gen_ai.usage.cache_read.input_tokens": 700.0,
            "gen_ai.usage.cache_creation.input_tokens": 100, "gen_ai.usage.reasoning_tokens": 5,
        });
        let usage = of(value.clone(), true).unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.cache_write), (Some(200), Some(700), Some(100)));
        assert_eq!((usage.output, usage.reasoning), (Some(20), Some(5)));
        assert_eq!(of(value, false).unwrap().input, Some(1000));
        let small = json!({"gen_ai.usage.input_tokens": 3, "gen_ai.usage.cache_read.input_tokens": 700});
        assert_eq!(of(small, true).unwrap().input, Some(3));
    }

    #[test]
    fn a_record_without_tokens_is_none() {
        for value in [
            json!({}),
            json!({"http.status": 200, "gen_ai.request.model": "m"}),
            json!({"gen_ai.usage.input_tokens": -1}),
            json!({"gen_ai.usage.output_tokens": "many"}),
        ] {
            assert_eq!(of(value.clone(), true), None, "{value}");
        }
    }
}
