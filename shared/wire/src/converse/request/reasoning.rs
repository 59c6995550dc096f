//! How a model is told to think. Converse has no field for it: each family has its own words in `additionalModelRequestFields`.
//!
//! | family | words |
//! |---|---|
//! | Claude that thinks within a budget | `thinking: {type: enabled, budget_tokens}`, at least 1024 and less than `maxTokens` |
//! | Claude that thinks adaptively | `thinking: {type: adaptive}` and `output_config: {effort}` |
//! | Nova 2 | `reasoningConfig: {type: enabled, maxReasoningEffort}`: low, medium, high; high only without `maxTokens`, `temperature`, `topP` |
//! | GPT | `reasoning: {effort}` |
//! | gpt-oss, Kimi | `reasoning_effort`: low, medium, high |
//! | others | none: dropped and reported |
//!
//! Sources: <https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html>, and those of `family.rs`.
//!
//! Which Claude does which is in [`crate::messages::models`]. With a budget Claude refuses to think when a tool is forced, and after a call
//! whose turn does not begin with signed thinking; then thinking is off for this call and reported, because a call without thinking is
//! better than a 400 (case 12).

use serde_json::{Map, Value, json};

use super::super::family::Family;
use super::Encoder;
use crate::identity::is_not_claudes;
use crate::ir::{Block, Role, ThinkingMode};
use crate::messages::models::{Model, Off, Thinks};

/// Claude's smallest budget.
const MIN_BUDGET: u64 = 1024;

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
    /// Claude that thinks: no temperature but 1, `top_p` from 0.95, no `top_k`.
    ClaudeThinks,
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
    /// `forced`: the model must call a tool.
    pub(super) fn reasoning(&mut self, forced: bool) -> Plan {
        let request = self.request;
        let effort = request.effort.as_deref();
        let wish = match (request.thinking, effort) {
            (None, None) => return Plan::default(),
            (Some(ThinkingMode::Disabled), _) | (None, Some("none")) => Wish::Off,
            (Some(ThinkingMode::Budget(tokens)), _) => Wish::Budget(tokens),
            (Some(ThinkingMode::Adaptive), _) | (None, Some(_)) => Wish::Effort,
        };
        match self.family {
            Family::Claude(model) => self.claude(&wish, model, forced),
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

    fn claude(&mut self, wish: &Wish, model: Model, forced: bool) -> Plan {
        let thinks = model.thinks();
        let thinking = match (wish, thinks) {
            (Wish::Off, Thinks::Never | Thinks::Budget) => None,
            (Wish::Off, _) => self.claude_off(model),
            (_, Thinks::Never) => {
                self.report(self.wish_path(), "this Claude does not think: left out");
                None
            }
            (Wish::Budget(tokens), Thinks::Budget | Thinks::Both) => self.claude_budget(*tokens, forced),
            (Wish::Budget(_), Thinks::Adaptive) => {
                self.report("thinking.budget_tokens", "this model sets its budget itself: adaptive thinking instead");
                Some(json!({ "type": "adaptive" }))
            }
            (Wish::Effort, Thinks::Budget) => {
                let tokens = budget_of(self.request.effort.as_deref().unwrap_or("medium"));
                let thinking = self.claude_budget(tokens, forced);
                if thinking.is_some() {
                    self.report(self.wish_path(), "this model thinks within a budget of tokens and not by effort");
                }
                thinking
            }
            (Wish::Effort, Thinks::Both | Thinks::Adaptive) => Some(json!({ "type": "adaptive" })),
        };
        let off = matches!(wish, Wish::Off) || thinking.is_none();
        let mut fields = Map::new();
        if matches!(thinks, Thinks::Both | Thinks::Adaptive)
            && let Some(effort) = self.claude_effort(model, off)
        {
            fields.insert("output_config".to_owned(), json!({ "effort": effort }));
        }
        fields.extend(thinking.map(|thinking| ("thinking".to_owned(), thinking)));
        Plan { fields, limits: if off { Limits::None } else { Limits::ClaudeThinks } }
    }

    fn claude_off(&mut self, model: Model) -> Option<Value> {
        match model.off() {
            Off::Disabled => Some(json!({ "type": "disabled" })),
            Off::BetweenTools => {
                self.report(self.wish_path(), "this model thinks between tool calls, and only there");
                Some(json!({ "type": "between_tools" }))
            }
            Off::Never => {
                self.report(self.wish_path(), "this model always thinks");
                None
            }
        }
    }

    fn claude_budget(&mut self, wanted: u64, forced: bool) -> Option<Value> {
        if forced {
            let reason = "Claude does not think within a budget when a tool is forced: off for this call";
            self.report(self.wish_path(), reason);
            return None;
        }
        if self.last_call_lacks_thinking() {
            let reason = "Claude refuses it after a tool call that came without its signed thinking: off for this call";
            self.report(self.wish_path(), reason);
            return None;
        }
        let most = self.request.max_output_tokens.map_or(u64::MAX, |tokens| tokens.saturating_sub(1));
        if most < MIN_BUDGET {
            let reason =
                "Claude thinks with at least 1024 tokens, which the output cap does not allow: off for this call";
            self.report(self.wish_path(), reason);
            return None;
        }
        let budget = wanted.clamp(MIN_BUDGET, most);
        if budget != wanted && matches!(self.request.thinking, Some(ThinkingMode::Budget(_))) {
            let reason = format!("at least 1024 and less than the output cap: {budget} instead of {wanted}");
            self.report("thinking.budget_tokens", reason);
        }
        Some(json!({ "type": "enabled", "budget_tokens": budget }))
    }

    /// The effort asked for, or the nearest below that the model knows. Without thinking `high` is the most
    /// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_OutputConfig.html>).
    fn claude_effort(&mut self, model: Model, off: bool) -> Option<&'static str> {
        const ORDER: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
        let wanted = self.request.effort.as_deref().filter(|effort| *effort != "none")?;
        let place = |effort: &str| ORDER.iter().position(|known| *known == effort);
        let most = if off { place("high") } else { place("max") };
        let limit = place(wanted).or(place("medium")).min(most);
        let known = model.efforts();
        let sent = known.iter().rev().find(|effort| place(effort) <= limit).or(known.first())?;
        self.report_effort(wanted, sent, wanted == *sent);
        Some(sent)
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

    /// The client answers a tool call, and the turn that made the call does not begin with thinking that Claude can check.
    fn last_call_lacks_thinking(&self) -> bool {
        let messages = &self.request.messages;
        let answers = messages
            .iter()
            .rev()
            .take_while(|message| message.role != Role::Assistant)
            .any(|message| message.blocks.iter().any(|block| matches!(block, Block::ToolResult { .. })));
        let Some(last) = messages.iter().rposition(|message| message.role == Role::Assistant) else { return false };
        // Messages of one role in a row become one turn.
        let start = messages
            .get(..last)
            .and_then(|before| before.iter().rposition(|message| message.role != Role::Assistant))
            .map_or(0, |index| index + 1);
        let turn = messages.get(start..=last).unwrap_or_default();
        let begins_with_thinking = turn
            .iter()
            .flat_map(|message| &message.blocks)
            .find(|block| !matches!(block, Block::CacheMark(_)))
            .is_some_and(|block| match block {
                Block::Thinking { signature: Some(signature), .. } => {
                    !signature.is_empty() && !is_not_claudes(signature)
                }
                Block::RedactedThinking(_) => true,
                _ => false,
            });
        answers && !begins_with_thinking
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

fn budget_of(effort: &str) -> u64 {
    match effort {
        "minimal" | "low" => MIN_BUDGET,
        "high" => 16_384,
        "xhigh" | "max" => 32_768,
        _ => 4096,
    }
}
