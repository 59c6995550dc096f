//! What a model takes of a request's settings. Paths in reports are those of chat clients: only they come here.
//!
//! | effort | budget in tokens (3.7 to 4.5) | `output_config.effort` (4.6 and later) |
//! |---|---|---|
//! | `minimal` | 1,024 | `low` |
//! | `low` | 1,024 | `low` |
//! | `medium` | 2,048 | `medium` |
//! | `high` | 4,096 | `high` |
//! | `xhigh` | 8,192 | `xhigh`, on 4.6 `high` |
//! | `max` | 16,384 | `max` |
//!
//! The budgets are those of other gateways (litellm's `DEFAULT_REASONING_EFFORT_*`), so that a model behaves the same behind this one.

use serde_json::{Value, json};

use super::turns::lost_thinking_in_tool_loop;
use crate::codec::Carrier;
use crate::ir::{self, Dropped, ThinkingMode, ToolChoice};
use crate::messages::models::{Model, Off, Sampling, Thinks};

/// The output cap where the client gives none, which the API requires, of a model whose ceiling nobody knows, and on Bedrock. Thinking that the client asks for
/// comes on top. Elsewhere it is the ceiling: who names no cap expects a whole answer, as OpenAI gives it, and Anthropic's rate limits do not count it
/// (<https://platform.claude.com/docs/en/api/rate-limits>). Bedrock takes it from the quota of tokens when a call begins
/// (<https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html>), so that some calls with the ceiling would use up a minute; its own
/// Converse writes 4,096 tokens to who names no cap (litellm 41529).
const DEFAULT_MAX_TOKENS: u64 = 4_096;

/// The least budget of thinking that the API takes.
const MIN_BUDGET: u64 = 1_024;

const EFFORTS: [(&str, u64); 5] =
    [("low", 1_024), ("medium", 2_048), ("high", 4_096), ("xhigh", 8_192), ("max", 16_384)];

/// Thinking, as the body says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Not said: the model's default.
    Unset,
    /// Off.
    Off(Off),
    /// On, with a budget.
    Budget(u64),
    /// On, as the model sees fit.
    Adaptive,
}

/// The settings to send.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) thinking: Thinking,
    pub(super) effort: Option<&'static str>,
    pub(super) max_tokens: u64,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) top_k: Option<u64>,
    pub(super) tool_choice: Option<ToolChoice>,
}

impl Plan {
    /// Decides all of them; what cannot be sent is reported.
    pub(super) fn new(request: &ir::Request, model: Model, carrier: Carrier, dropped: &mut Vec<Dropped>) -> Self {
        let tool_choice = tool_choice(request, model, dropped);
        let (thinking, effort) = thinking(request, model, dropped);
        let mut plan =
            Self { thinking, effort, max_tokens: 0, temperature: None, top_p: None, top_k: request.top_k, tool_choice };
        plan.give_up_thinking(request, dropped);
        plan.cap(request, model, carrier, dropped);
        plan.sample(request, model, dropped);
        plan
    }

    /// Is thinking on for sure?
    pub(super) fn thinks(&self) -> bool {
        matches!(self.thinking, Thinking::Budget(_) | Thinking::Adaptive)
    }

    /// The body's `thinking`.
    pub(super) fn thinking_value(&self, model: Model) -> Option<Value> {
        Some(match self.thinking {
            Thinking::Unset | Thinking::Off(Off::Never) => return None,
            Thinking::Off(Off::Disabled) => json!({ "type": "disabled" }),
            Thinking::Off(Off::BetweenTools) => json!({ "type": "between_tools" }),
            Thinking::Budget(tokens) => json!({ "type": "enabled", "budget_tokens": tokens }),
            Thinking::Adaptive if model.takes_display() => json!({ "type": "adaptive", "display": "summarized" }),
            Thinking::Adaptive => json!({ "type": "adaptive" }),
        })
    }

    /// With a budget, the API refuses forced tools and a tool loop without its thinking blocks (case 12):
    /// <https://platform.claude.com/docs/en/build-with-claude/thinking-tool-workflows>.
    fn give_up_thinking(&mut self, request: &ir::Request, dropped: &mut Vec<Dropped>) {
        if !matches!(self.thinking, Thinking::Budget(_)) {
            return;
        }
        let reason = if is_forced(self.tool_choice.as_ref()) {
            "this model cannot think when a tool is forced; thinking is off for this call"
        } else if lost_thinking_in_tool_loop(&request.messages) {
            "the tool loop came back without its thinking blocks; thinking is off for this call"
        } else {
            return;
        };
        self.thinking = Thinking::Off(Off::Disabled);
        dropped.push(Dropped::new(path_of_thinking(request), reason));
    }

    /// The output cap, and a budget that fits below it.
    fn cap(&mut self, request: &ir::Request, model: Model, carrier: Carrier, dropped: &mut Vec<Dropped>) {
        let known = model.max_output_tokens();
        let ceiling = known.unwrap_or(u64::MAX);
        let allowance = match self.thinking {
            Thinking::Budget(tokens) => tokens,
            Thinking::Adaptive => budget_of(self.effort.unwrap_or("high")),
            Thinking::Unset | Thinking::Off(_) => 0,
        };
        let default = match known {
            Some(ceiling) if carrier != Carrier::Bedrock => ceiling,
            _ => DEFAULT_MAX_TOKENS.saturating_add(allowance),
        };
        let asked = request.max_output_tokens.unwrap_or(default);
        self.max_tokens = asked.min(ceiling);
        if request.max_output_tokens.is_some() && asked > ceiling {
            dropped.push(Dropped::new("max_tokens", format!("this model writes at most {ceiling}; lowered to it")));
        }
        let Thinking::Budget(budget) = self.thinking else { return };
        let path = path_of_thinking(request);
        if self.max_tokens <= MIN_BUDGET {
            self.thinking = Thinking::Off(Off::Disabled);
            let reason = format!("{} tokens leave no room to think; thinking is off for this call", self.max_tokens);
            dropped.push(Dropped::new(path, reason));
            return;
        }
        let room = if budget < self.max_tokens { budget } else { self.max_tokens / 2 };
        let fitted = room.max(MIN_BUDGET);
        self.thinking = Thinking::Budget(fitted);
        if fitted != budget && matches!(request.thinking, Some(ThinkingMode::Budget(_))) {
            let reason = format!("the budget must be at least {MIN_BUDGET} and below max_tokens; set to {fitted}");
            dropped.push(Dropped::new(path, reason));
        }
    }

    fn sample(&mut self, request: &ir::Request, model: Model, dropped: &mut Vec<Dropped>) {
        let mut refuse = |name: &str, reason: &str| dropped.push(Dropped::new(name, reason));
        // 1 is the default of both: it need not be said, and leaving it out loses nothing.
        let mut temperature = request.temperature.filter(|value| (*value - 1.0).abs() > f64::EPSILON);
        let mut top_p = request.top_p.filter(|value| (*value - 1.0).abs() > f64::EPSILON);
        if model.sampling() == Sampling::None || self.thinks() {
            let reason =
                if self.thinks() { "not taken while thinking" } else { "this model takes no sampling parameters" };
            if temperature.take().is_some() {
                refuse("temperature", reason);
            }
            // While thinking, from 0.95 to 1 is allowed.
            let allowed = model.sampling() != Sampling::None && top_p.is_some_and(|value| value >= 0.95);
            if !allowed && top_p.take().is_some() {
                refuse("top_p", reason);
            }
            if self.top_k.take().is_some() {
                refuse("top_k", reason);
            }
        }
        if model.sampling() == Sampling::OneOf && temperature.is_some() && top_p.take().is_some() {
            refuse("top_p", "this model takes temperature or top_p, not both; temperature was kept");
        }
        if let Some(value) = temperature.filter(|value| *value > 1.0) {
            refuse("temperature", &format!("Anthropic's range is 0 to 1; {value} was lowered to 1"));
            temperature = None;
        }
        (self.temperature, self.top_p) = (temperature, top_p);
    }
}

/// Is a tool forced?
fn is_forced(choice: Option<&ToolChoice>) -> bool {
    matches!(choice, Some(ToolChoice::Any | ToolChoice::Tool(_)))
}

fn tool_choice(request: &ir::Request, model: Model, dropped: &mut Vec<Dropped>) -> Option<ToolChoice> {
    let choice = request.tool_choice.as_ref()?;
    if is_forced(Some(choice)) && !model.takes_forced_tool() {
        dropped.push(Dropped::new("tool_choice", "this model cannot be forced to call a tool; it decides itself"));
        return Some(ToolChoice::Auto);
    }
    Some(choice.clone())
}

fn path_of_thinking(request: &ir::Request) -> &'static str {
    if request.thinking.is_some() { "thinking" } else { "reasoning_effort" }
}

/// How the model is to think, and how hard.
fn thinking(request: &ir::Request, model: Model, dropped: &mut Vec<Dropped>) -> (Thinking, Option<&'static str>) {
    let effort = request.effort.as_deref();
    let off = match request.thinking {
        Some(mode) => mode == ThinkingMode::Disabled,
        None => effort == Some("none"),
    };
    if off {
        return switched_off(request, model, dropped);
    }
    if request.thinking.is_none() && effort.is_none() {
        return (Thinking::Unset, None);
    }
    let asked = effort.filter(|effort| *effort != "none");
    let known = asked.and_then(|asked| known_effort(asked, model, dropped));
    let budget = match request.thinking {
        Some(ThinkingMode::Budget(tokens)) => Some(tokens),
        _ => None,
    };
    match model.thinks() {
        Thinks::Never => {
            dropped.push(Dropped::new(path_of_thinking(request), "this model cannot think"));
            (Thinking::Unset, None)
        }
        Thinks::Budget => (Thinking::Budget(budget.unwrap_or_else(|| budget_of(known.unwrap_or("medium")))), None),
        Thinks::Both => (budget.map_or(Thinking::Adaptive, Thinking::Budget), known),
        Thinks::Adaptive => {
            let effort = known.or_else(|| budget.map(effort_of));
            if let Some(tokens) = budget {
                let reason =
                    format!("this model takes no budget; {tokens} was sent as effort {}", effort.unwrap_or("high"));
                dropped.push(Dropped::new("thinking.budget_tokens", reason));
            }
            (Thinking::Adaptive, effort)
        }
    }
}

fn switched_off(request: &ir::Request, model: Model, dropped: &mut Vec<Dropped>) -> (Thinking, Option<&'static str>) {
    if model.thinks() == Thinks::Never {
        return (Thinking::Unset, None);
    }
    match model.off() {
        Off::Never => {
            dropped
                .push(Dropped::new(path_of_thinking(request), "this model always thinks; it does so with low effort"));
            (Thinking::Unset, Some("low"))
        }
        Off::BetweenTools => {
            let reason = "this model can leave out the thinking before its answer, not that between tool calls";
            dropped.push(Dropped::new(path_of_thinking(request), reason));
            (Thinking::Off(Off::BetweenTools), None)
        }
        Off::Disabled => (Thinking::Off(Off::Disabled), None),
    }
}

/// The nearest effort that the model knows.
fn known_effort(asked: &str, model: Model, dropped: &mut Vec<Dropped>) -> Option<&'static str> {
    let name = if asked == "minimal" { "low" } else { asked };
    let Some(at) = EFFORTS.iter().position(|(known, _)| *known == name) else {
        let known = "`none`, `minimal`, `low`, `medium`, `high`, `xhigh` and `max`";
        let reason = format!("`{asked}` is not known ({known} are); the model's default was taken");
        dropped.push(Dropped::new("reasoning_effort", reason));
        return None;
    };
    let taken = if model.thinks() == Thinks::Budget { None } else { Some(model.efforts()) };
    let mut upto = EFFORTS.iter().take(at + 1).rev().map(|(known, _)| *known);
    let nearest = upto.find(|effort| taken.is_none_or(|taken| taken.contains(effort)))?;
    if nearest != asked {
        dropped.push(Dropped::new(
            "reasoning_effort",
            format!("`{asked}` is not known to this model; sent as `{nearest}`"),
        ));
    }
    Some(nearest)
}

fn budget_of(effort: &str) -> u64 {
    EFFORTS.iter().find(|(name, _)| *name == effort).map_or(MIN_BUDGET, |(_, tokens)| *tokens)
}

fn effort_of(budget: u64) -> &'static str {
    EFFORTS.iter().rev().find(|(_, tokens)| budget >= *tokens).map_or("low", |(name, _)| name)
}
