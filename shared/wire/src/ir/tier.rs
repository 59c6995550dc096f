//! How a request is served: at the usual price, cheaper and later, or dearer and sooner.

use super::Dropped;

/// A service tier, in a request what is asked for and in an answer what it was.
///
/// | here | OpenAI | Anthropic: asked, told | Bedrock | Gemini |
/// |---|---|---|---|---|
/// | `Standard` | `default` | `standard_only`, `standard` | `default` | `standard` |
/// | `Flex` | `flex` | - | `flex` | `flex` |
/// | `Priority` | `priority` (`fast`) | `auto` where it is bought ahead, or `speed: fast`; `priority` | `priority` | `priority` |
/// | `Reserved` | `scale` | - | `reserved` | - |
/// | `Batch` | - | -, `batch` | - | - |
///
/// `auto` (the account's own setting) and Gemini's `unspecified` are no tier.
///
/// <https://platform.openai.com/docs/api-reference/chat/create>, <https://platform.claude.com/docs/en/api/service-tiers>,
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ServiceTier.html>, <https://ai.google.dev/gemini-api/docs/priority-inference>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table above says it")]
pub enum Tier {
    Standard,
    Flex,
    Priority,
    Reserved,
    Batch,
}

impl Tier {
    /// By any provider's word for it.
    pub fn named(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        Some(match word.strip_prefix("service_tier_").unwrap_or(&word) {
            "default" | "standard" | "standard_only" => Self::Standard,
            "flex" => Self::Flex,
            "priority" | "fast" => Self::Priority,
            "reserved" | "scale" => Self::Reserved,
            "batch" => Self::Batch,
            _ => return None,
        })
    }

    /// OpenAI's word, if it has one.
    pub(crate) fn openai(self) -> Option<&'static str> {
        match self {
            Self::Standard => Some("default"),
            Self::Flex => Some("flex"),
            Self::Priority => Some("priority"),
            Self::Reserved => Some("scale"),
            Self::Batch => None,
        }
    }

    /// What Anthropic's answers say.
    pub(crate) fn anthropic(self) -> Option<&'static str> {
        match self {
            Self::Standard => Some("standard"),
            Self::Priority => Some("priority"),
            Self::Batch => Some("batch"),
            Self::Flex | Self::Reserved => None,
        }
    }

    /// What Bedrock is asked for. `None`: what it does anyway.
    pub(crate) fn bedrock(self) -> Option<&'static str> {
        match self {
            Self::Flex => Some("flex"),
            Self::Priority => Some("priority"),
            Self::Reserved => Some("reserved"),
            Self::Standard | Self::Batch => None,
        }
    }

    /// Gemini's word, if it has one.
    pub(crate) fn gemini(self) -> Option<&'static str> {
        match self {
            Self::Standard => Some("standard"),
            Self::Flex => Some("flex"),
            Self::Priority => Some("priority"),
            Self::Reserved | Self::Batch => None,
        }
    }
}

impl Tier {
    /// What a client asks for; a word that nobody has is reported.
    pub(crate) fn wanted(word: &str, path: String, unmapped: &mut Vec<Dropped>) -> Option<Self> {
        const SILENT: [&str; 4] = ["", "auto", "unspecified", "service_tier_unspecified"];
        let tier = Self::named(word);
        if tier.is_none() && !SILENT.iter().any(|silent| word.eq_ignore_ascii_case(silent)) {
            unmapped.push(Dropped::new(path, "no provider of this gateway has a service tier of this name"));
        }
        tier
    }
}
