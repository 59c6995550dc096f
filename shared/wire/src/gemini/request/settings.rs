//! Sampling, thinking and structured output: <https://ai.google.dev/api/generate-content#v1beta.GenerationConfig>.
//!
//! | client | model that thinks within a budget | model that thinks by level |
//! |---|---|---|
//! | off, effort `none` | 0, or the least | the lowest level |
//! | budget | the same, within the model's bounds | by its size: low to 2,048, medium to 12,288, high |
//! | effort | minimal and low 1,024, medium 8,192, high 24,576, more: the most | the same word, or the nearest below |
//! | as the model sees fit | -1 | nothing: that is what it does |
//!
//! The budgets of the efforts are Google's own (<https://ai.google.dev/gemini-api/docs/openai>). Whoever asks for thinking gets to see it.

use serde_json::{Map, Number, Value, json};

use super::encode::Encoder;
use crate::gemini::family::Family;
use crate::ir::{Block, NO_DETAIL, OutputFormat, ThinkingMode};

/// "The API will stop at the first of up to 5 sequences": the page above.
const MAX_STOPS: usize = 5;
/// Of so many others in a token's place it tells the log probabilities.
const MAX_LOGPROBS: u64 = 20;
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

impl Encoder<'_> {
    pub(super) fn generation_config(&mut self, system: &mut Vec<Value>) -> Map<String, Value> {
        let mut config = Map::new();
        self.sampling(&mut config);
        if let Some(level) = self.detail() {
            config.insert("mediaResolution".to_owned(), format!("MEDIA_RESOLUTION_{level}").into());
        }
        self.output_format(&mut config, system);
        if let Some(thinking) = self.thinking() {
            config.insert("thinkingConfig".to_owned(), thinking);
        }
        config
    }

    fn sampling(&mut self, config: &mut Map<String, Value>) {
        let request = self.request;
        let temperature = request.temperature.map(|wanted| wanted.clamp(0.0, 2.0));
        if temperature != request.temperature {
            self.report("temperature", "Gemini takes 0 to 2: the nearest was sent");
        }
        let seed = request.seed.filter(|seed| i32::try_from(*seed).is_ok());
        if seed != request.seed {
            self.report("seed", "Gemini's seed is a number of 32 bits: left out");
        }
        let stops = request.stop.get(..MAX_STOPS).unwrap_or(&request.stop);
        if stops.len() < request.stop.len() {
            self.report("stop", format!("Gemini takes {MAX_STOPS} stop sequences: the others were left out"));
        }
        let float = |value: Option<f64>| value.and_then(Number::from_f64).map(Value::Number);
        let settings = [
            ("maxOutputTokens", request.max_output_tokens.map(|cap| cap.min(i32::MAX as u64).into())),
            ("temperature", float(temperature)),
            ("topP", float(request.top_p)),
            ("topK", request.top_k.map(Value::from)),
            ("frequencyPenalty", float(request.frequency_penalty)),
            ("presencePenalty", float(request.presence_penalty)),
            ("seed", seed.map(Value::from)),
            ("responseLogprobs", request.logprobs.map(|_| true.into())),
            ("logprobs", request.logprobs.filter(|others| *others > 0).map(|others| others.min(MAX_LOGPROBS).into())),
            ("stopSequences", (!stops.is_empty()).then(|| json!(stops))),
        ];
        config.extend(settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }

    /// How closely pictures are looked at. Gemini has one level for all media, so it gets one where every picture wants the same, and there is nothing else to look
    /// at: <https://ai.google.dev/gemini-api/docs/media-resolution>.
    fn detail(&mut self) -> Option<&'static str> {
        let blocks = || self.request.messages.iter().flat_map(|message| &message.blocks);
        let count = |is: &dyn Fn(&Block) -> bool| blocks().filter(|block| is(block)).count();
        let wants = |word: &'static str| count(&|block| matches!(block, Block::Detail { level, .. } if level == word));
        let media = count(&|block| matches!(block, Block::Image(_) | Block::Document { .. } | Block::Audio { .. }));
        let (_, level) =
            [("low", "LOW"), ("high", "HIGH")].into_iter().find(|(word, _)| media > 0 && wants(word) == media)?;
        self.dropped.retain(|dropped| dropped.reason != NO_DETAIL);
        Some(level)
    }

    /// Before the third generation a model that has functions refuses to answer in JSON: it is told to instead.
    fn output_format(&mut self, config: &mut Map<String, Value>, system: &mut Vec<Value>) {
        let Some(format) = &self.request.output_format else { return };
        let told = !self.request.tools.is_empty() && !self.family.is_new();
        if told {
            self.report("output_format", "this model does not enforce it beside tools: it is told to follow it");
            let text = match format {
                OutputFormat::JsonObject => "Answer with one JSON object and nothing else.".to_owned(),
                OutputFormat::JsonSchema { schema, .. } => {
                    format!("Answer with one JSON value that follows this JSON Schema, and nothing else:\n{schema}")
                }
            };
            system.push(json!({ "text": text }));
            return;
        }
        config.insert("responseMimeType".to_owned(), "application/json".into());
        if let OutputFormat::JsonSchema { description, schema, .. } = format {
            let mut schema = schema.clone();
            if let (Some(description), Some(members)) = (description, schema.as_object_mut()) {
                members.entry("description").or_insert_with(|| description.as_str().into());
            }
            config.insert("responseJsonSchema".to_owned(), schema);
        }
    }

    fn thinking(&mut self) -> Option<Value> {
        let (mode, effort) = (self.request.thinking, self.request.effort.as_deref());
        if mode.is_none() && effort.is_none() {
            return None;
        }
        let off = mode == Some(ThinkingMode::Disabled) || (mode.is_none() && effort == Some("none"));
        let setting = match self.family {
            Family::Plain => {
                if !off {
                    self.report(self.wish(), "this model does not think: left out");
                }
                return None;
            }
            Family::Budget { least, most, off: can_stop } => {
                if off && !can_stop {
                    self.report(self.wish(), format!("this model always thinks: within {least} tokens"));
                }
                Some((
                    "thinkingBudget",
                    if off { json!(if can_stop { 0 } else { least }) } else { self.budget(least, most) },
                ))
            }
            Family::Level { minimal, medium } => {
                self.level(off, minimal, medium).map(|level| ("thinkingLevel", json!(level.to_ascii_uppercase())))
            }
        };
        let mut thinking = Map::new();
        thinking.extend(setting.map(|(name, value)| (name.to_owned(), value)));
        if !off {
            thinking.insert("includeThoughts".to_owned(), true.into());
        }
        Some(Value::Object(thinking))
    }

    fn wish(&self) -> &'static str {
        if self.request.thinking.is_some() { "thinking" } else { "effort" }
    }

    fn budget(&mut self, least: u64, most: u64) -> Value {
        let wanted = match (self.request.thinking, self.request.effort.as_deref()) {
            (Some(ThinkingMode::Budget(tokens)), _) => {
                let sent = tokens.clamp(least, most);
                if sent != tokens {
                    let reason = format!("this model takes {least} to {most} tokens: {sent} instead of {tokens}");
                    self.report("thinking.budget_tokens", reason);
                }
                return json!(sent);
            }
            (_, None) => return json!(-1),
            (_, Some("minimal" | "low")) => 1_024,
            (_, Some("medium")) => 8_192,
            (_, Some("high")) => 24_576,
            (_, Some("xhigh" | "max")) => most,
            (_, Some(effort)) => {
                self.report(
                    "effort",
                    format!("this model has no effort `{}`: it decides itself", effort.escape_debug()),
                );
                return json!(-1);
            }
        };
        json!(wanted.clamp(least, most))
    }

    /// `None`: the model's own, which is the highest that it has.
    fn level(&mut self, off: bool, minimal: bool, medium: bool) -> Option<&'static str> {
        let lowest = if minimal { "minimal" } else { "low" };
        if off {
            self.report(self.wish(), format!("this model always thinks: {lowest} instead"));
            return Some(lowest);
        }
        let wanted = match (self.request.thinking, self.request.effort.as_deref()) {
            (Some(ThinkingMode::Budget(tokens)), _) => {
                let level = match tokens {
                    0..=2_048 => "low",
                    2_049..=12_288 => "medium",
                    _ => "high",
                };
                let reason = format!("this model thinks by level and not within a budget: {level}");
                self.report("thinking.budget_tokens", reason);
                level
            }
            (_, Some(effort)) => effort,
            (_, None) => return None,
        };
        let sent = match EFFORTS.iter().position(|known| *known == wanted) {
            None => {
                self.report(
                    "effort",
                    format!("this model has no effort `{}`: it decides itself", wanted.escape_debug()),
                );
                return None;
            }
            Some(place) => match EFFORTS.get(place.min(4)).copied() {
                Some("none" | "minimal") => lowest,
                Some("medium") if !medium => "low",
                Some(level) => level,
                None => "high",
            },
        };
        if sent != wanted && self.request.effort.as_deref() == Some(wanted) {
            self.report("effort", format!("this model has no effort `{wanted}`: {sent}"));
        }
        Some(sent)
    }
}
