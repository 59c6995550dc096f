//! What a request may cost beside the tokens that stand in it.
//!
//! A conversation or a file that the provider keeps is input that the body does not hold; so is what a tool finds that the provider runs itself, and such a tool may have a price of
//! its own. Only limits want to know: it is read when they apply, and not with the [envelope](crate::envelope).

use serde_json::value::RawValue;

use crate::codec::Dialect;
use crate::json::{self, Member};

/// Searches of the web that are taken for the most where a request sets no bound.
const SEARCHES: u64 = 10;
/// What Anthropic puts before a conversation with tools, at most, and for each tool of its own: <https://platform.claude.com/docs/en/about-claude/pricing#tool-use-pricing>
/// (up to some 800, and 735 for the computer).
const TOOL_TOKENS: u64 = 1_000;

/// The fields by which a request goes on with something that its provider keeps, or lets it fetch something.
const KEPT: [(Dialect, &[&str]); 4] = [
    (Dialect::Chat, &["data_sources"]),
    (Dialect::Responses, &["previous_response_id", "conversation", "prompt", "context_management"]),
    (Dialect::Messages, &["thread", "container", "mcp_servers", "context_management", "compaction"]),
    (Dialect::GenerateContent, &["cachedContent", "cached_content"]),
];

/// What servers that copy OpenAI's API do when they are asked to (OpenRouter, xAI, Perplexity), each at a price of its own.
const COPIES: [&str; 5] = ["plugins", "search_parameters", "models", "web_search", "search_options"];

/// What it may cost beside its own tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extras {
    /// Some of its input is not in its body: only the model's context bounds it.
    pub elsewhere: bool,
    /// More input than its body has, at most.
    pub input_tokens: u64,
    /// The largest of its output caps, where it has several: not every server knows each. With what is billed as output beside the answer.
    pub output_tokens: u64,
    /// Searches of the web that it lets the provider make, at most.
    pub web_searches: u64,
    /// A tool, or another field, that costs what no answer tells.
    pub unpriced: Option<String>,
    /// Anthropic's fast mode.
    pub fast: bool,
    /// It is to stay in a region (Anthropic's `inference_geo`).
    pub in_region: bool,
}

impl Extras {
    /// Of a body that was decoded before.
    pub fn of(dialect: Dialect, body: &[u8]) -> Self {
        let members = json::members(body).unwrap_or_default();
        let find = |key: &str| members.iter().find(|member| member.key == key && member.value != "null");
        let kept = KEPT.iter().filter(|(of, _)| *of == dialect).flat_map(|(_, keys)| keys.iter());
        let mut extras = Self { elsewhere: kept.into_iter().any(|key| find(key).is_some()), ..Self::default() };
        match dialect {
            Dialect::Chat => {
                let caps = ["max_completion_tokens", "max_tokens"].into_iter().filter_map(find);
                extras.output_tokens = caps.filter_map(number).max().unwrap_or_default();
                if let Some(prediction) = find("prediction") {
                    // What was predicted and not said is billed as output: https://platform.openai.com/docs/guides/predicted-outputs
                    let bytes = u64::try_from(prediction.value.len()).unwrap_or(u64::MAX);
                    extras.output_tokens = extras.output_tokens.saturating_add(bytes);
                }
                if find("web_search_options").is_some() {
                    extras.web_searches = find("n").and_then(number).unwrap_or(1).max(1);
                    extras.elsewhere = true;
                }
                extras.unpriced = COPIES.into_iter().find(|key| find(key).is_some()).map(str::to_owned);
            }
            Dialect::Messages => {
                let says = |key: &str| find(key).and_then(|member| json::string(member.value));
                extras.fast = says("speed").is_some_and(|speed| speed == "fast");
                extras.in_region = says("inference_geo").is_some_and(|region| region != "global");
                extras.unpriced =
                    find("fallbacks").filter(|named| named.value.contains('{')).map(|_| "fallbacks".to_owned());
            }
            _ => {}
        }
        if let Some(tools) = find("tools") {
            extras.tools(dialect, tools.value, find("max_tool_calls").and_then(number));
        }
        extras
    }

    /// The output cap that holds, beside the one that was read first.
    #[must_use]
    pub fn output_cap(&self, asked: Option<u64>) -> Option<u64> {
        asked.max(Some(self.output_tokens).filter(|tokens| *tokens > 0))
    }

    /// Adds what the tools may cost. `most`: so many calls in all.
    fn tools(&mut self, dialect: Dialect, tools: &str, most: Option<u64>) {
        if dialect == Dialect::Messages {
            self.input_tokens += TOOL_TOKENS;
        }
        let Ok(tools) = serde_json::from_str::<Vec<&RawValue>>(tools) else { return };
        for tool in tools {
            // One that is no object, or has a key twice, is whatever its provider takes it for.
            let Ok(members) = json::members(tool.get().as_bytes()) else {
                self.tool(Tool::Unpriced, "tools", 0);
                continue;
            };
            let find = |key: &str| members.iter().find(|member| member.key == key && member.value != "null");
            if dialect == Dialect::GenerateContent {
                for member in &members {
                    self.tool(of_gemini(&member.key), &member.key, SEARCHES);
                }
                continue;
            }
            let kind = find("type").and_then(|kind| json::string(kind.value)).unwrap_or_default();
            let at_client = find("environment").is_some_and(|place| place.value.contains("\"local\""));
            let uses = find("max_uses").and_then(number).or(most).unwrap_or(SEARCHES);
            let tool = match dialect {
                Dialect::Messages => of_anthropic(&kind),
                Dialect::Responses if kind == "shell" && at_client => Tool::AtClient,
                _ => of_openai(&kind),
            };
            if dialect == Dialect::Messages && !kind.is_empty() && kind != "custom" {
                self.input_tokens += TOOL_TOKENS;
            }
            self.tool(tool, &kind, uses);
        }
    }

    fn tool(&mut self, tool: Tool, name: &str, searches: u64) {
        self.elsewhere |= tool != Tool::AtClient;
        match tool {
            Tool::AtClient | Tool::Input => {}
            Tool::Search => self.web_searches = self.web_searches.saturating_add(searches),
            Tool::Unpriced => {
                self.unpriced.get_or_insert_with(|| name.chars().take(64).collect());
            }
        }
    }
}

/// Where a tool runs, and what it costs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    /// At the client: what it finds is in the next request.
    AtClient,
    /// At the provider, for the tokens that it brings.
    Input,
    /// The same, and so much per search.
    Search,
    /// The same, and more that no answer tells; or one that we have never heard of.
    Unpriced,
}

/// <https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-reference>: a name of its own, and the day of its version. An advisor is another model, at that one's price.
fn of_anthropic(kind: &str) -> Tool {
    const AT_CLIENT: [&str; 6] = ["bash_", "text_editor_", "memory_", "computer_", "browser_", "custom"];
    const INPUT: [&str; 4] = ["web_fetch_", "tool_search_tool_", "mcp_toolset", "mcp_tool"];
    let is = |names: &[&str]| names.iter().any(|name| kind.starts_with(name));
    match kind {
        "" => Tool::AtClient,
        _ if is(&AT_CLIENT) => Tool::AtClient,
        _ if is(&INPUT) => Tool::Input,
        _ if is(&["web_search_"]) => Tool::Search,
        _ => Tool::Unpriced,
    }
}

/// <https://platform.openai.com/docs/api-reference/responses/create#responses-create-tools>; of chat completions `function` and `custom`.
fn of_openai(kind: &str) -> Tool {
    match kind {
        "function" | "custom" | "namespace" | "local_shell" | "apply_patch" | "tool_search" => Tool::AtClient,
        "mcp" => Tool::Input,
        _ if kind.starts_with("computer") => Tool::AtClient,
        _ if kind.starts_with("web_search") => Tool::Search,
        _ => Tool::Unpriced,
    }
}

/// <https://ai.google.dev/api/caching#Tool>
fn of_gemini(key: &str) -> Tool {
    match key {
        "functionDeclarations" | "function_declarations" | "computerUse" | "computer_use" => Tool::AtClient,
        "urlContext" | "url_context" | "codeExecution" | "code_execution" | "fileSearch" | "file_search" => Tool::Input,
        "googleSearch" | "google_search" | "googleSearchRetrieval" | "google_search_retrieval" => Tool::Search,
        _ => Tool::Unpriced,
    }
}

fn number(member: &Member<'_>) -> Option<u64> {
    member.value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dialect: Dialect, fields: &str) -> Extras {
        Extras::of(dialect, format!(r#"{{"model":"m",{fields}}}"#).as_bytes())
    }

    #[test]
    fn what_only_stands_in_the_body_has_no_extras() {
        for (dialect, fields) in [
            (Dialect::Chat, r#""tools":[{"type":"function","function":{"name":"f"}},{"type":"custom"}]"#),
            (
                Dialect::Responses,
                r#""tools":[{"type":"function","name":"f"},{"type":"local_shell"},{"type":"shell","environment":{"type":"local"}}]"#,
            ),
            (Dialect::GenerateContent, r#""tools":[{"functionDeclarations":[{"name":"f"}]}]"#),
            (Dialect::Messages, r#""speed":"standard","inference_geo":"global","thread":null"#),
        ] {
            assert_eq!(of(dialect, fields), Extras::default(), "{fields}");
        }
        let tools =
            of(Dialect::Messages, r#""tools":[{"name":"f","input_schema":{}},{"type":"bash_20250124","name":"bash"}]"#);
        assert_eq!(tools, Extras { input_tokens: 2_000, ..Extras::default() }, "what Anthropic puts before them");
    }

    #[test]
    fn input_that_the_provider_has_is_elsewhere() {
        for (dialect, fields) in [
            (Dialect::Responses, r#""previous_response_id":"resp_1""#),
            (Dialect::Responses, r#""prompt":{"id":"pmpt_1"}"#),
            (Dialect::Responses, r#""tools":[{"type":"mcp","server_url":"https://example.test"}]"#),
            (Dialect::Messages, r#""thread":{}"#),
            (Dialect::Messages, r#""context_management":{"edits":[{"type":"compact_20260112"}]}"#),
            (Dialect::Messages, r#""tools":[{"type":"web_fetch_20250910","name":"web_fetch"}]"#),
            (Dialect::GenerateContent, r#""cachedContent":"cachedContents/1""#),
            (Dialect::GenerateContent, r#""tools":[{"url_context":{}}]"#),
        ] {
            let extras = of(dialect, fields);
            assert!(extras.elsewhere && extras.unpriced.is_none(), "{fields}: {extras:?}");
        }
    }

    #[test]
    fn searches_are_bounded_by_what_the_request_says() {
        for (dialect, fields, searches) in [
            (Dialect::Messages, r#""tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3}]"#, 3),
            (Dialect::Messages, r#""tools":[{"type":"web_search_20250305","name":"web_search"}]"#, 10),
            (Dialect::Responses, r#""max_tool_calls":4,"tools":[{"type":"web_search"}]"#, 4),
            (Dialect::Responses, r#""tools":[{"type":"web_search_preview_2025_03_11"}]"#, 10),
            (Dialect::Chat, r#""web_search_options":{},"n":2"#, 2),
            (Dialect::GenerateContent, r#""tools":[{"google_search":{}}]"#, 10),
        ] {
            let extras = of(dialect, fields);
            assert_eq!((extras.web_searches, extras.elsewhere, extras.unpriced), (searches, true, None), "{fields}");
        }
    }

    #[test]
    fn what_no_answer_tells_is_named() {
        for (dialect, fields, name) in [
            (Dialect::Responses, r#""tools":[{"type":"image_generation"}]"#, "image_generation"),
            (Dialect::Responses, r#""tools":[{"type":"shell","environment":{"type":"container_auto"}}]"#, "shell"),
            (Dialect::Responses, r#""tools":[{"type":"function","type":"code_interpreter"}]"#, "tools"),
            (
                Dialect::Messages,
                r#""tools":[{"type":"advisor_20260301","name":"advisor","model":"claude-opus-5"}]"#,
                "advisor_20260301",
            ),
            (Dialect::Messages, r#""tools":[{"type":"dream_20300101","name":"dream"}]"#, "dream_20300101"),
            (Dialect::Messages, r#""fallbacks":[{"model":"claude-opus-5"}]"#, "fallbacks"),
            (Dialect::GenerateContent, r#""tools":[{"googleMaps":{}}]"#, "googleMaps"),
            (Dialect::Chat, r#""plugins":[{"id":"web"}]"#, "plugins"),
            (Dialect::Chat, r#""models":["dear"]"#, "models"),
        ] {
            assert_eq!(of(dialect, fields).unpriced.as_deref(), Some(name), "{fields}");
        }
        let escaped = of(Dialect::Messages, r#""sp\u0065ed":"fast","tools":[{"typ\u0065":"advis\u006fr_1"}]"#);
        assert!(escaped.fast && escaped.unpriced.is_some(), "{escaped:?}");
    }

    #[test]
    fn fast_mode_regions_and_the_larger_cap_are_seen() {
        let extras = of(Dialect::Messages, r#""speed":"fast","inference_geo":"us""#);
        assert!(extras.fast && extras.in_region);
        assert!(of(Dialect::Messages, r#""speed":"f\u0061st""#).fast, "however it is written");
        assert_eq!(of(Dialect::Chat, r#""max_completion_tokens":1,"max_tokens":9000"#).output_tokens, 9_000);
        assert_eq!(of(Dialect::Chat, r#""max_tokens":10,"prediction":{"content":"aa"}"#).output_tokens, 10 + 16);
    }
}
