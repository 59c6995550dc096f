//! How a model is told to think. Converse has no field for it: each family has its own words in `additionalModelRequestFields`.
//!
//! | family | words |
//! |---|---|
//! | Nova 2 | `reasoningConfig: {type: enabled, maxReasoningEffort}`: low, medium, high; high only without `maxTokens`, `temperature`, `topP` |
//! | GPT | `reasoning: {effort}` |
//! | gpt-oss, Kimi | `reasoning_effort`: low, medium, high |
//! | others | none: dropped and reported |
//!
//! Sources: those of `family.rs`.

use serde_json::{Map, Value, json};

use super::super::family::Family;
use super::Encoder;
use crate::ir::ThinkingMode;

/// What the request says beside plain Converse, and what follows for its sampling parameters.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) fields: Map<String, Value>,
    pub(super) limits: Limits,
}

/// What thinking forbids.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limits {
    /// Nothing.
    #[default]
    None,
    /// Nova 2 with high effort: no sampling parameters.
    NovaThinksHard,
}

/// What the client wants, in one word.
enum Wish {
    Off,
    Budget(u64),
    Effort,
}

impl Encoder<'_> {
    pub(super) fn reasoning(&mut self) -> Plan {
        let request = self.request;
        let effort = request.effort.as_deref();
        let wish = match (request.thinking, effort) {
            (None, None) => return Plan::default(),
            (Some(ThinkingMode::Disabled), _) | (None, Some("none")) => Wish::Off,
            (Some(ThinkingMode::Budget(tokens)), _) => Wish::Budget(tokens),
            (Some(ThinkingMode::Adaptive), _) | (None, Some(_)) => Wish::Effort,
        };
        match self.family {
            Family::Nova2 => self.nova(&wish),
            Family::Gpt => self.gpt(&wish),
            Family::GptOss | Family::Kimi => self.open_model(&wish),
            _ => {
                if !matches!(wish, Wish::Off) {
                    self.report(self.wish_path(), "this model has no thinking to set on Bedrock: left out");
                }
                Plan::default()
            }
        }
    }

    fn wish_path(&self) -> &'static str {
        if self.request.thinking.is_some() { "thinking" } else { "effort" }
    }

    fn nova(&mut self, wish: &Wish) -> Plan {
        let (sent, exact) = match wish {
            Wish::Off => return Plan::default(),
            Wish::Budget(tokens) => {
                let effort = effort_of(*tokens);
                self.report(
                    "thinking.budget_tokens",
                    format!("Nova thinks by effort and not within a budget: {effort}"),
                );
                (effort, true)
            }
            Wish::Effort => three_efforts(self.request.effort.as_deref().unwrap_or("medium")),
        };
        let (sent, exact) = if sent == "high" && self.request.max_output_tokens.is_some() {
            // The cap is money that the client limits; the effort is only a wish.
            self.report(self.wish_path(), "Nova takes high effort only without an output cap: medium instead");
            ("medium", true)
        } else {
            (sent, exact)
        };
        if let (Wish::Effort, Some(effort)) = (wish, self.request.effort.as_deref()) {
            self.report_effort(effort, sent, exact);
        }
        let mut fields = Map::new();
        fields.insert("reasoningConfig".to_owned(), json!({ "type": "enabled", "maxReasoningEffort": sent }));
        Plan { fields, limits: if sent == "high" { Limits::NovaThinksHard } else { Limits::None } }
    }

    fn gpt(&mut self, wish: &Wish) -> Plan {
        let (sent, exact) = match (wish, self.request.effort.as_deref()) {
            (Wish::Off, _) => ("none", true),
            (_, Some("low")) => ("low", true),
            (_, Some("medium")) => ("medium", true),
            (_, Some("high")) => ("high", true),
            (_, Some("xhigh")) => ("xhigh", true),
            (_, Some("max")) => ("max", true),
            (_, Some("minimal")) => ("low", false),
            (Wish::Budget(tokens), None) => (self.effort_for(*tokens), true),
            (_, Some(_)) => ("medium", false),
            (Wish::Effort, None) => ("medium", true),
        };
        if let Some(effort) = self.request.effort.as_deref() {
            self.report_effort(effort, sent, exact);
        }
        let mut fields = Map::new();
        fields.insert("reasoning".to_owned(), json!({ "effort": sent }));
        Plan { fields, limits: Limits::None }
    }

    /// gpt-oss and Kimi always think.
    fn open_model(&mut self, wish: &Wish) -> Plan {
        let (sent, exact) = match (wish, self.request.effort.as_deref()) {
            (Wish::Off, _) => {
                self.report(self.wish_path(), "this model always thinks: low effort instead of none");
                ("low", true)
            }
            (_, Some(effort)) => three_efforts(effort),
            (Wish::Budget(tokens), None) => (self.effort_for(*tokens), true),
            (Wish::Effort, None) => ("medium", true),
        };
        if let Some(effort) = self.request.effort.as_deref() {
            self.report_effort(effort, sent, exact);
        }
        let mut fields = Map::new();
        fields.insert("reasoning_effort".to_owned(), json!(sent));
        Plan { fields, limits: Limits::None }
    }

    fn effort_for(&mut self, budget: u64) -> &'static str {
        let effort = effort_of(budget);
        self.report("thinking.budget_tokens", format!("this model thinks by effort and not within a budget: {effort}"));
        effort
    }

    fn report_effort(&mut self, wanted: &str, sent: &str, exact: bool) {
        if !exact {
            self.report("effort", format!("this model has no effort `{}`: {sent}", wanted.escape_debug()));
        }
    }
}

fn three_efforts(effort: &str) -> (&'static str, bool) {
    match effort {
        "low" => ("low", true),
        "medium" => ("medium", true),
        "high" => ("high", true),
        "none" | "minimal" => ("low", false),
        "xhigh" | "max" => ("high", false),
        _ => ("medium", false),
    }
}

fn effort_of(budget: u64) -> &'static str {
    match budget {
        0..=4096 => "low",
        4097..=16384 => "medium",
        _ => "high",
    }
}
