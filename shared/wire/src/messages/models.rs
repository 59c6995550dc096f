//! Facts per Claude generation, from the model's name.
//!
//! Names look like `claude-3-7-sonnet-20250219`, `claude-sonnet-4-5`, `us.anthropic.claude-opus-4-20250514-v1:0`, `claude-opus-4@20250514`,
//! or the ARN of an inference profile that ends in one. A Claude newer than this table is treated as the newest that is in it; a name that is
//! no Claude's (an alias, an application inference profile, another vendor's model behind this API) is [`Generation::Unknown`]: it gets what
//! the client said, and has no known ceiling.
//!
//! | | thinking | off by | temperature, top_p, top_k | forced tool | JSON Schema output | `system` turns |
//! |---|---|---|---|---|---|---|
//! | 3, 3.5 | no | - | all | yes | no | no |
//! | 3.7, 4 | budget | `disabled` | all | not while thinking | no | no |
//! | 4.1 | budget | `disabled` | temperature or top_p | not while thinking | no | no |
//! | 4.5 | budget | `disabled` | temperature or top_p | not while thinking | yes | no |
//! | 4.6 | both | `disabled` | temperature or top_p | not with a budget | yes | no |
//! | 4.7 | adaptive | `disabled` | none | yes | yes, not on Bedrock | no |
//! | 4.8, 5 | adaptive | `disabled`; Fable and Mythos: never | none | yes | yes; on Bedrock 4.8 and Sonnet | yes |
//! | 5.5, Fable and Mythos 5.1 | adaptive | Haiku `disabled`, Sonnet `between_tools`, others never | none | Haiku only | yes; on Bedrock Sonnet and Haiku | yes |
//!
//! Sources: <https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting> (thinking per model),
//! <https://platform.claude.com/docs/en/build-with-claude/thinking-tool-workflows> (forced tools),
//! <https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages>, the `whats-new` page of each model,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html>, and the model table of litellm 1.109 where those are silent.

use crate::codec::Carrier;

/// A generation of Claude: models that take the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// Claude 3 and before.
    V3,
    /// Claude 3.5.
    V3_5,
    /// Claude 3.7: the first that thinks.
    V3_7,
    /// Claude 4.
    V4,
    /// Opus 4.1.
    V4_1,
    /// Claude 4.5.
    V4_5,
    /// Claude 4.6: adaptive thinking.
    V4_6,
    /// Opus 4.7: no thinking budget and no sampling parameters any more.
    V4_7,
    /// Opus 4.8.
    V4_8,
    /// Opus 5, Sonnet 5, Fable 5, Mythos 5 and its preview.
    V5,
    /// Opus, Sonnet, Haiku 5.5; Fable and Mythos 5.1 and 5.2; what came later.
    V5_5,
    /// Not the name of a Claude.
    Unknown,
}

/// The size of a Claude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Opus.
    Opus,
    /// Sonnet.
    Sonnet,
    /// Haiku.
    Haiku,
    /// Fable and Mythos, and what the name does not say.
    Other,
}

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinks {
    /// It cannot.
    Never,
    /// `enabled` with `budget_tokens`.
    Budget,
    /// `enabled` or `adaptive`.
    Both,
    /// `adaptive` with `output_config.effort`.
    Adaptive,
}

/// How a model is told not to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// `{"type": "disabled"}`.
    Disabled,
    /// `{"type": "between_tools"}`: nothing before the first tool call.
    BetweenTools,
    /// It always thinks.
    Never,
}

/// Which of temperature, top_p and top_k a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// All, also together.
    All,
    /// Temperature or top_p, not both (case 19).
    OneOf,
    /// None.
    None,
}

/// What a model's name says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Its generation.
    pub generation: Generation,
    /// Its size.
    pub family: Family,
    preview: bool,
}

impl Model {
    /// Reads a model's name.
    pub fn named(model: &str) -> Self {
        let name = model.to_ascii_lowercase();
        let Some(at) = name.rfind("claude") else {
            return Self { generation: Generation::Unknown, family: Family::Other, preview: false };
        };
        let name = name.get(at..).unwrap_or_default();
        let family = match name {
            _ if name.contains("opus") => Family::Opus,
            _ if name.contains("sonnet") => Family::Sonnet,
            _ if name.contains("haiku") => Family::Haiku,
            _ => Family::Other,
        };
        let preview = name.contains("mythos-preview");
        let generation = if preview { Generation::V5 } else { version(name) };
        Self { generation, family, preview }
    }

    /// The most that it writes in one answer: <https://platform.claude.com/docs/en/about-claude/models/overview>.
    pub fn max_output_tokens(self) -> Option<u64> {
        match self.generation {
            Generation::V3 => Some(4_096),
            Generation::V3_5 => Some(8_192),
            Generation::V3_7 => Some(64_000),
            Generation::V4 | Generation::V4_1 if self.family == Family::Opus => Some(32_000),
            Generation::V4 | Generation::V4_1 | Generation::V4_5 => Some(64_000),
            Generation::V4_6 | Generation::V4_7 | Generation::V4_8 | Generation::V5 | Generation::V5_5 => Some(128_000),
            Generation::Unknown => None,
        }
    }

    /// How to make it think.
    pub fn thinks(self) -> Thinks {
        match self.generation {
            Generation::V3 | Generation::V3_5 => Thinks::Never,
            Generation::V3_7 | Generation::V4 | Generation::V4_1 | Generation::V4_5 => Thinks::Budget,
            Generation::V4_6 | Generation::Unknown => Thinks::Both,
            _ if self.preview => Thinks::Both,
            _ => Thinks::Adaptive,
        }
    }

    /// How to make it not think.
    pub fn off(self) -> Off {
        match (self.generation, self.family) {
            (Generation::V5, Family::Other) => Off::Never,
            (Generation::V5_5, Family::Sonnet) => Off::BetweenTools,
            (Generation::V5_5, Family::Opus | Family::Other) => Off::Never,
            _ => Off::Disabled,
        }
    }

    /// Does it know `display` of adaptive thinking? From 4.7 on the text of thinking is left out unless one asks for it.
    pub fn takes_display(self) -> bool {
        (Generation::V4_7..=Generation::V5_5).contains(&self.generation)
    }

    /// The efforts it knows, from low to high: <https://platform.claude.com/docs/en/build-with-claude/effort>.
    pub fn efforts(self) -> &'static [&'static str] {
        match self.generation {
            Generation::V4_6 => &["low", "medium", "high", "max"],
            _ => &["low", "medium", "high", "xhigh", "max"],
        }
    }

    /// Which sampling parameters it takes.
    pub fn sampling(self) -> Sampling {
        match self.generation {
            Generation::V3 | Generation::V3_5 | Generation::V3_7 | Generation::V4 => Sampling::All,
            Generation::V4_1 | Generation::V4_5 | Generation::V4_6 | Generation::Unknown => Sampling::OneOf,
            _ => Sampling::None,
        }
    }

    /// Does it take `tool_choice` `any` and `tool`?
    pub fn takes_forced_tool(self) -> bool {
        self.generation != Generation::V5_5 || self.family == Family::Haiku
    }

    /// Does it continue an answer that the conversation ends with?
    pub fn takes_prefill(self) -> bool {
        self.generation < Generation::V4_6 || self.generation == Generation::Unknown
    }

    /// Does it take `role: "system"` in the middle of a conversation?
    pub fn takes_system_turns(self) -> bool {
        (Generation::V4_8..=Generation::V5_5).contains(&self.generation)
    }

    /// Does it take `output_config.format` and strict tools?
    pub fn takes_schemas(self, carrier: Carrier) -> bool {
        match (carrier, self.generation) {
            (_, Generation::Unknown) => false,
            (_, Generation::V4_5 | Generation::V4_6 | Generation::V4_8) => true,
            (Carrier::Direct | Carrier::Vertex, generation) => generation >= Generation::V4_5,
            (Carrier::Bedrock, Generation::V5 | Generation::V5_5) => {
                matches!(self.family, Family::Sonnet | Family::Haiku)
            }
            (Carrier::Bedrock, _) => false,
        }
    }
}

/// The version in `claude-...`. Its numbers have one or two digits; dates have eight, and `v1` and `1m` have letters.
fn version(name: &str) -> Generation {
    let mut numbers = name
        .split(['-', '.', '@', ':', '/', '_', '['])
        .skip(1)
        .map(|part| part.strip_prefix('v').unwrap_or(part))
        .skip_while(|part| part.parse::<u8>().is_err())
        .map_while(|part| part.parse::<u8>().ok());
    let major = numbers.next();
    let minor = numbers.next().unwrap_or(0);
    match (major, minor) {
        (Some(0..=2), _) | (Some(3), 0..=4) => Generation::V3,
        (Some(3), 5..=6) => Generation::V3_5,
        (Some(3), _) => Generation::V3_7,
        (Some(4), 0) => Generation::V4,
        (Some(4), 1..=4) => Generation::V4_1,
        (Some(4), 5) => Generation::V4_5,
        (Some(4), 6) => Generation::V4_6,
        (Some(4), 7) => Generation::V4_7,
        (Some(4), _) => Generation::V4_8,
        (Some(5), 0) => Generation::V5,
        _ if name.contains("instant") => Generation::V3,
        _ => Generation::V5_5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_is_read_from_every_spelling_of_a_name() {
        for (name, expected) in [
            ("claude-3-haiku-20240307", Generation::V3),
            ("anthropic.claude-v2:1", Generation::V3),
            ("anthropic.claude-instant-v1", Generation::V3),
            ("anthropic.claude-3-5-sonnet-20241022-v2:0", Generation::V3_5),
            ("claude-3.7-sonnet", Generation::V3_7),
            ("us.anthropic.claude-opus-4-20250514-v1:0", Generation::V4),
            ("claude-sonnet-4@20250514", Generation::V4),
            ("claude-opus-4-1-20250805", Generation::V4_1),
            ("claude-haiku-4-5", Generation::V4_5),
            ("anthropic.claude-opus-4-6-v1", Generation::V4_6),
            ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-4-7", Generation::V4_7),
            ("claude-opus-4-8[1m]", Generation::V4_8),
            ("claude-fable-5", Generation::V5),
            ("claude-mythos-preview", Generation::V5),
            ("claude-fable-5-2", Generation::V5_5),
            ("claude-haiku-5-5", Generation::V5_5),
            ("claude-opus-6", Generation::V5_5),
            ("claude-latest", Generation::V5_5),
            ("arn:aws:bedrock:eu-west-1:1:application-inference-profile/x1y2", Generation::Unknown),
            ("my-model", Generation::Unknown),
        ] {
            assert_eq!(Model::named(name).generation, expected, "{name}");
        }
    }

    #[test]
    fn a_new_claude_is_treated_as_the_newest_known() {
        let new = Model::named("claude-sonnet-9");
        assert_eq!(new, Model::named("claude-sonnet-5-5"));
        assert_eq!(new.off(), Off::BetweenTools);
    }

    #[test]
    fn bedrock_has_schemas_for_fewer_models() {
        assert!(Model::named("claude-opus-5").takes_schemas(Carrier::Direct));
        assert!(!Model::named("anthropic.claude-opus-5").takes_schemas(Carrier::Bedrock));
        assert!(Model::named("anthropic.claude-sonnet-5").takes_schemas(Carrier::Bedrock));
        assert!(Model::named("anthropic.claude-haiku-4-5-20251001-v1:0").takes_schemas(Carrier::Bedrock));
        assert!(!Model::named("anthropic.claude-opus-4-1-20250805-v1:0").takes_schemas(Carrier::Direct));
    }
}
