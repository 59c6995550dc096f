//! What differs between Gemini's models. A model that the table does not know is treated as a new one (case 43).
//!
//! | models | thinking | results with media | tools together with JSON |
//! |---|---|---|---|
//! | before 2.5, Gemma, 2.5 for images and speech | none | - | - |
//! | 2.5 Pro | budget of 128 to 32,768 tokens | - | - |
//! | 2.5 Flash | budget of 0 to 24,576 tokens | - | - |
//! | 2.5 Flash-Lite | no thinking, or a budget of 512 to 24,576 tokens | - | - |
//! | 3 Pro | level: low, high | yes | yes |
//! | 3 Flash and later Flash | level: minimal, low, medium, high | yes | yes |
//! | the rest | level: low, medium, high | yes | yes |
//!
//! Sources: <https://ai.google.dev/gemini-api/docs/thinking>, <https://ai.google.dev/gemini-api/docs/gemini-3>,
//! <https://ai.google.dev/gemini-api/docs/function-calling>, <https://ai.google.dev/gemini-api/docs/structured-output>.

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// It does not think.
    Plain,
    /// It thinks within a budget of tokens.
    Budget { least: u64, most: u64, off: bool },
    /// It thinks by level. It also refuses a call of the current turn that has no signature.
    Level { minimal: bool, medium: bool },
}

impl Family {
    /// By the model's name: `gemini-2.5-flash`, `publishers/google/models/gemini-3-pro-preview`.
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
        let has = |text: &str| name.contains(text);
        let Some(version) = name.strip_prefix("gemini-").map(version) else {
            return if name.starts_with("gemma") { Self::Plain } else { Self::Level { minimal: false, medium: true } };
        };
        match version {
            Some((0..=1, _) | (2, 0..=4)) => Self::Plain,
            Some((2, _)) if has("-image") || has("-tts") => Self::Plain,
            Some((2, _)) if has("flash-lite") => Self::Budget { least: 512, most: 24_576, off: true },
            Some((2, _)) if has("flash") => Self::Budget { least: 1, most: 24_576, off: true },
            Some((2, _)) => Self::Budget { least: 128, most: 32_768, off: false },
            // `gemini-flash-latest` has no version: it is what is newest.
            _ => Self::Level { minimal: has("flash"), medium: version != Some((3, 0)) || !has("pro") },
        }
    }

    /// Is it of the third generation or later?
    pub(super) fn is_new(self) -> bool {
        matches!(self, Self::Level { .. })
    }
}

/// `2.5-flash` -> 2, 5; `3-pro` -> 3, 0.
fn version(rest: &str) -> Option<(u32, u32)> {
    let number = rest.split(['-', '@']).next()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_found_by_name() {
        for (model, family) in [
            ("gemini-2.0-flash", Family::Plain),
            ("gemini-1.5-pro-002", Family::Plain),
            ("gemma-3-27b-it", Family::Plain),
            ("gemini-2.5-flash-image", Family::Plain),
            ("gemini-2.5-pro", Family::Budget { least: 128, most: 32_768, off: false }),
            ("publishers/google/models/gemini-2.5-flash", Family::Budget { least: 1, most: 24_576, off: true }),
            ("gemini-2.5-flash-lite", Family::Budget { least: 512, most: 24_576, off: true }),
            ("gemini-3-pro-preview", Family::Level { minimal: false, medium: false }),
            ("gemini-3.1-pro-preview", Family::Level { minimal: false, medium: true }),
            ("gemini-3-flash-preview", Family::Level { minimal: true, medium: true }),
            ("gemini-flash-latest", Family::Level { minimal: true, medium: true }),
            ("gemini-9-argon", Family::Level { minimal: false, medium: true }),
            ("my-tuned-model", Family::Level { minimal: false, medium: true }),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }
}
