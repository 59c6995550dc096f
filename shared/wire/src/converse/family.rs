//! Which model family stands behind a Bedrock model id, and what it takes through Converse.
//!
//! | | Nova | Nova 2 | GPT | gpt-oss, Kimi | Mistral | Llama, DeepSeek | others |
//! |---|---|---|---|---|---|---|---|
//! | `cachePoint` in `system`, `messages` | yes | yes | no | no | no | no | no |
//! | `toolChoice` besides `auto` | both | both | both | both | `any` | none | both |
//! | `toolResult.status` | yes | yes | no | no | no | no | no |
//! | `outputConfig.textFormat`, `strict` tools | no | no | yes | yes | yes | DeepSeek | yes |
//! | signed `reasoningContent` in the history | no | no | yes | no | no | no | yes |
//! | top-k in `additionalModelRequestFields` | `inferenceConfig.topK` | `inferenceConfig.topK` | no | no | `top_k` | no | no |
//! | effort in `additionalModelRequestFields` | no | `reasoningConfig` | `reasoning.effort` | `reasoning_effort` | no | no | no |
//!
//! Claude is not asked by Converse but by InvokeModel, in its own dialect. Sources: <https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolResultBlock.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html>,
//! <https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html>, and what Bedrock was seen to accept:
//! langchain-aws 1188, 1266 and 1273, opencode 48195, litellm 34347 and 36536.

/// A model family, as far as requests to it differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Amazon's first generation.
    Nova,
    /// Amazon's second generation and later.
    Nova2,
    /// OpenAI's closed models.
    Gpt,
    /// OpenAI's open models.
    GptOss,
    /// Moonshot's.
    Kimi,
    /// Mistral's.
    Mistral,
    /// Meta's.
    Llama,
    /// DeepSeek's.
    DeepSeek,
    /// Any other, and an inference profile whose ARN does not name its model.
    Other,
}

/// How far a family lets the client force a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forcing {
    /// Not at all.
    Never,
    /// Some tool.
    Any,
    /// Some tool, or this tool.
    Named,
}

/// Where a family takes top-k.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopK {
    /// `top_k`
    Plain,
    /// `inferenceConfig.topK`
    InferenceConfig,
    /// Nowhere.
    Nowhere,
}

impl Family {
    /// The family of a model id, an inference profile's id (`us.amazon.nova-pro-v1:0`) or an ARN.
    pub(super) fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        let has = |part: &str| model.contains(part);
        if let Some((_, name)) = model.split_once("amazon.nova-") {
            return if name.starts_with(|c: char| c.is_ascii_digit()) { Self::Nova2 } else { Self::Nova };
        }
        match () {
            () if has("gpt-oss") => Self::GptOss,
            () if has("openai.") => Self::Gpt,
            () if has("moonshot") => Self::Kimi,
            () if has("mistral.") => Self::Mistral,
            () if has("meta.") => Self::Llama,
            () if has("deepseek.") => Self::DeepSeek,
            () => Self::Other,
        }
    }

    pub(super) fn caches(self) -> bool {
        matches!(self, Self::Nova | Self::Nova2)
    }

    pub(super) fn takes_tool_status(self) -> bool {
        matches!(self, Self::Nova | Self::Nova2)
    }

    pub(super) fn forcing(self) -> Forcing {
        match self {
            Self::Llama | Self::DeepSeek => Forcing::Never,
            Self::Mistral => Forcing::Any,
            _ => Forcing::Named,
        }
    }

    pub(super) fn follows_schemas(self) -> bool {
        !matches!(self, Self::Nova | Self::Nova2 | Self::Llama)
    }

    /// Not the families that sign nothing: what is signed came from another model.
    pub(super) fn replays_reasoning(self) -> bool {
        matches!(self, Self::Gpt | Self::Other)
    }

    pub(super) fn top_k(self) -> TopK {
        match self {
            Self::Mistral => TopK::Plain,
            Self::Nova | Self::Nova2 => TopK::InferenceConfig,
            _ => TopK::Nowhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_or_an_arn_is_of_its_models_family() {
        let arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0";
        assert_eq!(Family::of(arn), Family::Nova);
        assert_eq!(Family::of("us.amazon.nova-2-lite-v1:0"), Family::Nova2);
        assert_eq!(Family::of("openai.gpt-oss-120b-1:0"), Family::GptOss);
        assert_eq!(Family::of("us.openai.gpt-5.6-sol"), Family::Gpt);
        assert_eq!(Family::of("us.meta.llama3-3-70b-instruct-v1:0"), Family::Llama);
        assert_eq!(Family::of("us.deepseek.r1-v1:0"), Family::DeepSeek);
        assert_eq!(Family::of("mistral.mistral-large-2407-v1:0"), Family::Mistral);
        assert_eq!(Family::of("moonshot.kimi-k2-thinking"), Family::Kimi);
        assert_eq!(
            Family::of("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"),
            Family::Other
        );
    }
}
