//! What OpenAI's own models refuse. Known by name only: nothing else tells them apart, and a server that copies OpenAI knows its own models.
//!
//! | models | cap | effort | temperature, top_p, penalties | stop | function tools |
//! |---|---|---|---|---|---|
//! | `o1`, `o3`, `o4-mini` | `max_completion_tokens` | low, medium, high | no | no | yes; never `parallel_tool_calls` |
//! | `gpt-5` | `max_completion_tokens` | minimal, low, medium, high | no | no | yes |
//! | `gpt-5.1` | `max_completion_tokens` | none (default), low, medium, high | with effort none | no | yes |
//! | `gpt-5.2` to `5.3` | `max_completion_tokens` | none (default) to xhigh | with effort none | no | yes |
//! | `gpt-5.4`, `gpt-5.5` | `max_completion_tokens` | none to xhigh | with effort none | no | only with effort none |
//! | `gpt-5.6` and later | `max_completion_tokens` | none to max | no | no | only with effort none, and it must be said |
//! | `gpt-5-chat-latest`, ... | `max_completion_tokens` | - | yes | yes | yes |
//! | `gpt-oss-*` (any server) | `max_tokens` | low, medium, high | yes | yes | yes |
//! | all others (`gpt-4o`, and every compatible server) | `max_tokens` | - | yes | yes | yes |
//!
//! Sources: the reference of `reasoning_effort` and `max_tokens` (<https://platform.openai.com/docs/api-reference/chat/create>), the reasoning guide
//! (<https://platform.openai.com/docs/guides/reasoning>), and for tools beside effort <https://github.com/openai/openai-openapi/issues/541> and
//! <https://github.com/BerriAI/litellm/pull/34569>.

/// Efforts, least first.
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// What is known of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// `o1`, `o3`, `o4-mini`.
    OSeries,
    /// `gpt-5` and later, major and minor.
    Gpt(u32, u32),
    /// A model of those generations that does not reason.
    Chat,
    /// OpenAI's open weights, wherever they run.
    GptOss,
    /// Everything else.
    Other,
}

impl Family {
    /// By name; a router's prefix (`openai/gpt-5`) is left out.
    pub(crate) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        if let Some(rest) = name.strip_prefix('o') {
            let number = rest.split('-').next().unwrap_or_default();
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            return if digits { Self::OSeries } else { Self::Other };
        }
        let Some(rest) = name.strip_prefix("gpt-") else { return Self::Other };
        if rest.starts_with("oss") {
            return Self::GptOss;
        }
        let version = rest.split('-').next().unwrap_or_default();
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        match (major.parse(), minor.parse()) {
            (Ok(5..), Ok(_)) if rest.contains("-chat") => Self::Chat,
            (Ok(major @ 5..), Ok(minor)) => Self::Gpt(major, minor),
            _ => Self::Other,
        }
    }

    /// Reasons, and refuses what disturbs that.
    pub(crate) fn reasons(self) -> bool {
        matches!(self, Self::OSeries | Self::Gpt(..))
    }

    /// Knows the cap by its new name only.
    pub(crate) fn caps_completion(self) -> bool {
        self.reasons() || self == Self::Chat
    }

    /// Takes function tools only where it does not reason. A router (`openai/gpt-5.6`) may take another endpoint for it.
    pub(crate) fn tools_exclude_effort(self, model: &str) -> bool {
        !model.contains('/') && matches!(self, Self::Gpt(major, minor) if (major, minor) >= (5, 4))
    }

    /// Takes custom tools and a list of the allowed ones: <https://platform.openai.com/docs/guides/function-calling#custom-tools>. What a router knows is not
    /// known here.
    pub(crate) fn has_custom_tools(self, model: &str) -> bool {
        !model.contains('/') && matches!(self, Self::Gpt(..))
    }

    /// Honours `prompt_cache_breakpoint`.
    pub(crate) fn has_breakpoints(self, model: &str) -> bool {
        !model.contains('/') && matches!(self, Self::Gpt(major, minor) if (major, minor) >= (5, 6))
    }

    /// Takes Gemini's signatures of calls back: it is Google's own OpenAI layer, by whichever name.
    pub(crate) fn signs_calls(self, model: &str) -> bool {
        self == Self::Other && model.contains("gemini")
    }

    /// Takes temperature and the like with this effort (`None`: nothing is said, the model's default).
    pub(crate) fn samples(self, effort: Option<&str>) -> bool {
        match (self, effort) {
            (Self::OSeries, _) => false,
            (Self::Gpt(5, minor), None) => (1..=4).contains(&minor),
            (Self::Gpt(5, minor), Some("none")) => (1..=5).contains(&minor),
            (Self::Gpt(..), _) => false,
            (Self::Chat | Self::GptOss | Self::Other, _) => true,
        }
    }

    fn efforts(self) -> &'static [&'static str] {
        match self {
            Self::OSeries | Self::GptOss => &["low", "medium", "high"],
            Self::Gpt(5, 0) => &["minimal", "low", "medium", "high"],
            Self::Gpt(5, 1) => &["none", "low", "medium", "high"],
            Self::Gpt(5, 2..=5) => &["none", "low", "medium", "high", "xhigh"],
            Self::Gpt(..) => &["none", "low", "medium", "high", "xhigh", "max"],
            Self::Chat | Self::Other => &[],
        }
    }

    /// The effort to ask for: the wanted one if the model has it, else the next one below, else the least. `None`: the model has none,
    /// or nobody knows what is wanted.
    pub(crate) fn effort(self, wanted: &str) -> Option<&'static str> {
        let rank = |effort: &str| EFFORTS.iter().position(|known| *known == effort);
        let wanted = rank(wanted)?;
        let below = self.efforts().iter().rev().find(|effort| rank(effort).is_some_and(|rank| rank <= wanted));
        below.or_else(|| self.efforts().first()).copied()
    }
}

/// One of OpenAI's own models, by its name; fine-tuned ones (`ft:gpt-4o:...`) and those behind a router's prefix, too. Their open weights are not: any
/// server runs them.
pub(crate) fn is_openais(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.strip_prefix("ft:").unwrap_or(name);
    match Family::of(name) {
        Family::OSeries | Family::Gpt(..) | Family::Chat => true,
        Family::GptOss => false,
        Family::Other => ["gpt-", "chatgpt-", "codex-"].iter().any(|prefix| name.starts_with(prefix)),
    }
}

/// A thinking budget as an effort: up to 4,096 tokens `low`, up to 16,384 `medium`, above it `high`.
pub(crate) fn effort_of_budget(tokens: u64) -> &'static str {
    match tokens {
        0..=4_096 => "low",
        4_097..=16_384 => "medium",
        _ => "high",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_known_by_its_name() {
        for (model, family) in [
            ("o1", Family::OSeries),
            ("o3-mini-2025-01-31", Family::OSeries),
            ("o4-mini", Family::OSeries),
            ("gpt-5", Family::Gpt(5, 0)),
            ("gpt-5-mini", Family::Gpt(5, 0)),
            ("gpt-5.1-2025-11-13", Family::Gpt(5, 1)),
            ("openai/gpt-5.6", Family::Gpt(5, 6)),
            ("gpt-6-astra", Family::Gpt(6, 0)),
            ("gpt-5.2-chat-latest", Family::Chat),
            ("openai/gpt-oss-120b", Family::GptOss),
            ("gpt-4o", Family::Other),
            ("gpt-4.1-mini", Family::Other),
            ("gpt-3.5-turbo", Family::Other),
            ("ollama", Family::Other),
            ("olmo-2", Family::Other),
            ("deepseek-reasoner", Family::Other),
            ("", Family::Other),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }

    #[test]
    fn openais_own_models_are_known_by_their_names() {
        for model in
            ["gpt-4o", "gpt-5.1", "o3", "openai/gpt-4.1", "ft:gpt-4o:acme::7", "chatgpt-4o-latest", "codex-mini-latest"]
        {
            assert!(is_openais(model), "{model}");
        }
        for model in ["openai/gpt-oss-120b", "llama-3.3-70b", "claude-sonnet-4-5", "mistral-large", ""] {
            assert!(!is_openais(model), "{model}");
        }
    }

    #[test]
    fn an_effort_that_a_model_lacks_becomes_the_next_one_below() {
        assert_eq!(Family::Gpt(5, 1).effort("max"), Some("high"));
        assert_eq!(Family::Gpt(5, 1).effort("minimal"), Some("none"));
        assert_eq!(Family::Gpt(5, 0).effort("none"), Some("minimal"));
        assert_eq!(Family::OSeries.effort("none"), Some("low"));
        assert_eq!(Family::Gpt(6, 0).effort("max"), Some("max"));
        assert_eq!(Family::Other.effort("high"), None);
        assert_eq!(Family::OSeries.effort("enormous"), None);
    }

    #[test]
    fn sampling_is_for_models_that_do_not_reason_at_that_moment() {
        assert!(Family::Other.samples(None));
        assert!(Family::Gpt(5, 2).samples(None));
        assert!(Family::Gpt(5, 5).samples(Some("none")));
        assert!(!Family::Gpt(5, 5).samples(None));
        assert!(!Family::Gpt(5, 2).samples(Some("low")));
        assert!(!Family::Gpt(5, 6).samples(Some("none")));
        assert!(!Family::OSeries.samples(None));
    }
}
