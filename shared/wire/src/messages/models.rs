//! Facts per Claude generation, from the model's name.
//!
//! Names look like `claude-3-7-sonnet-20250219`, `claude-sonnet-4-5`, `us.anthropic.claude-opus-4-20250514-v1:0`, `claude-opus-4@20250514`,
//! or the ARN of an inference profile that ends in one. A name that says nothing (an alias, an application inference profile) is
//! [`Generation::Unknown`]: treated as the newest, without a known output ceiling.

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
    /// Opus 5, Sonnet 5, Fable 5, Mythos (with its preview).
    V5,
    /// Opus, Sonnet, Haiku 5.5; Fable and Mythos 5.1 and 5.2.
    V5_5,
    /// The name does not say.
    Unknown,
}

/// The generation that a model's name says.
pub fn generation(model: &str) -> Generation {
    let name = model.to_ascii_lowercase();
    let Some(at) = name.rfind("claude") else { return Generation::Unknown };
    let name = name.get(at..).unwrap_or_default();
    if name.contains("mythos-preview") {
        return Generation::V5;
    }
    // Version numbers have one or two digits; dates have eight, `v1` and `1m` have letters.
    let mut numbers = name
        .split(['-', '.', '@', ':', '/', '_', '['])
        .skip(1)
        .filter(|part| part.len() <= 2 && !part.is_empty())
        .map_while(|part| part.parse::<u32>().ok());
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
        (Some(5), _) => Generation::V5_5,
        _ => Generation::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_is_read_from_every_spelling_of_a_name() {
        for (name, expected) in [
            ("claude-3-haiku-20240307", Generation::V3),
            ("anthropic.claude-v2:1", Generation::Unknown),
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
            ("arn:aws:bedrock:eu-west-1:1:application-inference-profile/x1y2", Generation::Unknown),
            ("my-model", Generation::Unknown),
        ] {
            assert_eq!(generation(name), expected, "{name}");
        }
    }
}
