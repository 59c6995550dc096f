//! Patterns for model names: `*` stands for any text, also none, any number of times.

/// Whether the whole of `text` matches. Neither allocates nor backtracks further than the last `*`.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    // Most patterns begin with another letter: for those this is all.
    if pattern.as_bytes().first().is_some_and(|first| *first != b'*' && text.as_bytes().first() != Some(first)) {
        return false;
    }
    let Some(star) = pattern.bytes().position(|byte| byte == b'*') else { return pattern == text };
    let (head, mut pattern) = (pattern.get(..star).unwrap_or_default(), pattern.get(star + 1..).unwrap_or_default());
    let Some(mut rest) = text.strip_prefix(head) else { return false };
    // Each literal between two stars may take its first place: that leaves the most text to those behind it.
    while let Some((literal, behind)) = pattern.split_once('*') {
        let Some(at) = place_of(literal, rest) else { return false };
        rest = rest.get(at + literal.len()..).unwrap_or_default();
        pattern = behind;
    }
    rest.ends_with(pattern)
}

/// As `str::find`, which prepares itself for texts longer than names of models.
fn place_of(literal: &str, text: &str) -> Option<usize> {
    let last = text.len().checked_sub(literal.len())?;
    let Some(first) = literal.bytes().next() else { return Some(0) };
    let begins = text.bytes().take(last + 1).enumerate().filter(|(_, byte)| *byte == first);
    begins
        .map(|(at, _)| at)
        .find(|at| text.as_bytes().get(*at..).is_some_and(|rest| rest.starts_with(literal.as_bytes())))
}

/// The entry that says most about `text`: the one without `*` that equals it, else the longest pattern that matches.
#[must_use]
pub fn best<'a, T>(entries: impl Iterator<Item = (&'a str, T)>, text: &str) -> Option<T> {
    let mut found: Option<(usize, T)> = None;
    for (pattern, value) in entries {
        let rank = if pattern == text { usize::MAX } else { pattern.len() };
        let better = found.as_ref().is_none_or(|(best, _)| rank > *best);
        if better && matches(pattern, text) {
            found = Some((rank, value));
        }
    }
    found.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_match_any_text() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("**", "x", true),
            ("gpt-4", "gpt-4", true),
            ("gpt-4", "gpt-4o", false),
            ("gpt-4*", "gpt-4", true),
            ("gpt-4*", "gpt-4o-mini", true),
            ("gpt-4*", "my-gpt-4", false),
            ("*-mini", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o-mini-x", false),
            ("*sonnet*", "claude-sonnet-4", true),
            ("*sonnet*", "claude-opus-4", false),
            ("claude-*-4-*", "claude-sonnet-4-2025", true),
            ("claude-*-4-*", "claude-4-2025", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*aab", "aaab", true),
            ("a*bc*bc", "abcbc", true),
            ("a*bc*bc", "abc", false),
            ("gpt-*.5", "gpt-3.5", true),
            ("gpt-3.5", "gpt-345", false),
            ("[a-z]*", "abc", false),
            ("modèle-*", "modèle-é", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_exact_name_wins_then_the_longest_pattern() {
        let entries = [("*", 0), ("gpt-*", 1), ("gpt-4*", 2), ("gpt-4o", 3), ("*-4o-very-long-pattern*", 4)];
        let best = |text| super::best(entries.iter().copied(), text);
        assert_eq!(best("gpt-4o"), Some(3));
        assert_eq!(best("gpt-4o-mini"), Some(2));
        assert_eq!(best("gpt-3.5"), Some(1));
        assert_eq!(best("claude"), Some(0));
        assert_eq!(super::best([("a*", 1)].into_iter(), "b"), None);
    }

    /// The definition, slowly.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| reference(rest, &text[skip..])),
            Some((c, rest)) => text.first() == Some(c) && reference(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_the_definition(pattern in "[ab*]{0,7}", text in "[ab]{0,8}") {
            let slowly = reference(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(matches(&pattern, &text), slowly);
        }
    }
}
