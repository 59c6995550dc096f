//! A search of the web that the provider does itself, and what an answer says of its sources.

use serde_json::{Map, Value};

/// The provider is to search the web for this answer.
///
/// | here | OpenAI: chat, Responses | Anthropic | Gemini |
/// |---|---|---|---|
/// | it | `web_search_options`, the tool `web_search` | the tool `web_search_20250305` | the tool `googleSearch` |
/// | `location` | `user_location.approximate`, `user_location` | `user_location` | - |
/// | `allowed`, `blocked` | -, `filters.allowed_domains` | `allowed_domains`, `blocked_domains` | -, `excludeDomains` (Vertex) |
/// | `max_uses` | - | `max_uses` | - |
/// | `context` | `search_context_size` | - | - |
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebSearch {
    /// Where the user is, about: `city`, `region`, `country`, `timezone`.
    pub location: Map<String, Value>,
    /// Only these domains.
    pub allowed: Vec<String>,
    /// None of these domains.
    pub blocked: Vec<String>,
    /// So many searches at most.
    pub max_uses: Option<u64>,
    /// How much of what is found the model reads: `low`, `medium`, `high`.
    pub context: Option<String>,
    /// Where the client said it.
    pub path: String,
}

/// A source on the web of a piece of an answer's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Citation {
    /// Its address.
    pub url: String,
    /// Its title.
    pub title: Option<String>,
    /// The piece, in characters of its block's text: from here ...
    pub start: usize,
    /// ... to before here.
    pub end: usize,
}
