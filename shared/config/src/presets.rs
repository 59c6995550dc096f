//! Servers that many use, as data: what a `custom` provider with `preset` needs not say.

use serde::Deserialize;

/// A server that speaks a known dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it; the facts are in the table below")]
pub enum Preset {
    Cohere,
    DeepSeek,
    Fireworks,
    Groq,
    Mistral,
    Ollama,
    OpenRouter,
    Together,
    Vllm,
    Xai,
}

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresetFacts {
    /// Its name, as the file spells it.
    pub name: &'static str,
    /// Scheme, host and path before the paths below.
    pub base_url: &'static str,
    /// Where it speaks OpenAI Chat Completions.
    pub completions: &'static str,
    /// Where it speaks Anthropic Messages.
    pub messages: Option<&'static str>,
    /// The environment variable in which its users have its key; none: it asks for none unless it is told to.
    pub key: Option<&'static str>,
    /// Top-level fields of OpenAI's that it refuses.
    pub refuses: &'static [&'static str],
    /// Where it says so.
    pub source: &'static str,
}

const CHAT: &str = "/chat/completions";

impl Preset {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Cohere,
        Self::DeepSeek,
        Self::Fireworks,
        Self::Groq,
        Self::Mistral,
        Self::Ollama,
        Self::OpenRouter,
        Self::Together,
        Self::Vllm,
        Self::Xai,
    ];

    /// The table.
    #[must_use]
    pub fn facts(self) -> PresetFacts {
        let facts = |name, base_url, key, source| PresetFacts {
            name,
            base_url,
            completions: CHAT,
            messages: None,
            key: Some(key),
            refuses: &[],
            source,
        };
        match self {
            Self::Cohere => PresetFacts {
                // With `stream_options` a stream is refused: <https://strandsagents.com/docs/user-guide/concepts/model-providers/cohere/>.
                refuses: &["stream_options"],
                ..facts(
                    "cohere",
                    "https://api.cohere.ai/compatibility/v1",
                    "COHERE_API_KEY",
                    "https://docs.cohere.com/docs/compatibility-api",
                )
            },
            Self::DeepSeek => PresetFacts {
                messages: Some("/anthropic/v1/messages"),
                ..facts(
                    "deepseek",
                    "https://api.deepseek.com",
                    "DEEPSEEK_API_KEY",
                    "https://api-docs.deepseek.com/guides/anthropic_api",
                )
            },
            Self::Fireworks => facts(
                "fireworks",
                "https://api.fireworks.ai/inference/v1",
                "FIREWORKS_API_KEY",
                "https://docs.fireworks.ai/tools-sdks/openai-compatibility",
            ),
            Self::Groq => {
                facts("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "https://console.groq.com/docs/openai")
            }
            Self::Mistral => {
                facts("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "https://docs.mistral.ai/api")
            }
            Self::Ollama => PresetFacts {
                key: None,
                ..facts("ollama", "http://127.0.0.1:11434/v1", "", "https://docs.ollama.com/api/openai-compatibility")
            },
            Self::OpenRouter => facts(
                "openrouter",
                "https://openrouter.ai/api/v1",
                "OPENROUTER_API_KEY",
                "https://openrouter.ai/docs/api-reference/overview",
            ),
            Self::Together => facts(
                "together",
                "https://api.together.xyz/v1",
                "TOGETHER_API_KEY",
                "https://docs.together.ai/docs/openai-api-compatibility",
            ),
            Self::Vllm => PresetFacts {
                key: None,
                ..facts(
                    "vllm",
                    "http://127.0.0.1:8000/v1",
                    "",
                    "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
                )
            },
            Self::Xai => facts("xai", "https://api.x.ai/v1", "XAI_API_KEY", "https://docs.x.ai/docs/api-reference"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn every_preset_is_known_by_its_name_and_needs_nothing_else() {
        for preset in Preset::ALL {
            let facts = preset.facts();
            let yaml = format!(
                "ai: {{groups: [{{providers: [{{name: a, provider: {{custom: {{preset: {}}}}}}}]}}]}}",
                facts.name
            );
            let config = parse(&yaml, "").unwrap();
            let provider = &config.ai.groups[0].providers[0].provider;
            assert!(matches!(provider, crate::Provider::Custom(custom) if custom.preset == Some(preset)), "{yaml}");
            assert_eq!(provider.kind(), facts.name);
            assert!(facts.base_url.starts_with("https://") || facts.key.is_none(), "{facts:?}");
            assert!(facts.source.starts_with("https://"), "{facts:?}");
        }
    }
}
