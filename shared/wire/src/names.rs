//! Tool names that an upstream forbids, mapped there and back (case 20).
//!
//! | dialect | allowed |
//! |---|---|
//! | OpenAI chat, Converse | `[a-zA-Z0-9_-]{1,64}` |
//! | Anthropic | `[a-zA-Z0-9_-]{1,128}` |
//! | Gemini | `[a-zA-Z_][a-zA-Z0-9_-]{0,63}` |

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The names of one request. An allowed name stays as it is; another becomes an allowed one that is the same in every request,
/// because the upstream's prompt cache and the model's memory of earlier turns depend on it.
#[derive(Debug, Clone, Default)]
pub struct ToolNames {
    max_len: usize,
    letter_first: bool,
    originals: BTreeMap<String, String>,
}

impl ToolNames {
    /// For a dialect that allows `[a-zA-Z0-9_-]` up to `max_len`.
    pub fn new(max_len: usize) -> Self {
        Self { max_len, letter_first: false, originals: BTreeMap::new() }
    }

    /// For a dialect that also wants a letter or `_` in front.
    pub fn letter_first(self) -> Self {
        Self { letter_first: true, ..self }
    }

    /// The name to send.
    pub fn encode(&mut self, name: &str) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let begins = |c: char| !self.letter_first || c.is_ascii_alphabetic() || c == '_';
        if name.starts_with(begins) && name.len() <= self.max_len && name.chars().all(allowed) {
            return name.to_owned();
        }
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let suffix = format!("_{:08x}", hasher.finish() & 0xffff_ffff);
        let mut sent: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
        if !sent.starts_with(begins) {
            sent.insert(0, '_');
        }
        sent.truncate(self.max_len.saturating_sub(suffix.len()));
        sent.push_str(&suffix);
        self.originals.insert(sent.clone(), name.to_owned());
        sent
    }

    /// The client's name of what the upstream called.
    pub fn decode<'a>(&'a self, name: &'a str) -> &'a str {
        self.originals.get(name).map_or(name, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowed_name_stays_as_it_is() {
        let mut names = ToolNames::new(64);
        assert_eq!(names.encode("get_weather-2"), "get_weather-2");
        assert_eq!(names.decode("get_weather-2"), "get_weather-2");
    }

    #[test]
    fn a_forbidden_name_is_mapped_and_mapped_back() {
        let mut names = ToolNames::new(64);
        let sent = names.encode("mcp/server.tool name");
        assert!(sent.len() <= 64 && sent.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'), "{sent}");
        assert_eq!(names.decode(&sent), "mcp/server.tool name");
    }

    #[test]
    fn a_name_may_have_to_begin_with_a_letter() {
        let mut names = ToolNames::new(64).letter_first();
        assert_eq!(names.encode("_a-1"), "_a-1");
        let sent = names.encode("1password");
        assert!(sent.starts_with("_1password_"), "{sent}");
        assert_eq!(names.decode(&sent), "1password");
    }

    #[test]
    fn names_that_differ_only_in_forbidden_characters_stay_distinct() {
        let mut names = ToolNames::new(64);
        assert_ne!(names.encode("a.b"), names.encode("a/b"));
    }

    #[test]
    fn a_long_name_keeps_within_the_limit_and_comes_back() {
        let mut names = ToolNames::new(64);
        let long = "x".repeat(200);
        let sent = names.encode(&long);
        assert_eq!(sent.len(), 64);
        assert_eq!(names.decode(&sent), long);
    }
}
