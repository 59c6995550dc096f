//! Provider kinds, by the names that others give them.

use tollgate_limits::prices::PriceBook;

/// The kinds of the price table.
const KINDS: [&str; 6] = ["openAI", "anthropic", "bedrock", "gemini", "azure", "vertex"];
/// What has no kind.
const CUSTOM: &str = "custom";

/// Our name of a kind. OpenTelemetry's are at <https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/> (`gen_ai.provider.name`);
/// agentgateway writes those. An unknown name stays as it is.
#[must_use]
pub fn kind(name: &str) -> &str {
    match name.trim() {
        "openai" | "OpenAI" => "openAI",
        "aws.bedrock" | "aws_bedrock" => "bedrock",
        "gcp.gemini" | "gcp.gen_ai" | "google" => "gemini",
        "gcp.vertex_ai" | "vertexai" | "vertex_ai" => "vertex",
        "azure.ai.openai" | "azure.ai.inference" | "azure.openai" | "azureopenai" => "azure",
        other => other,
    }
}

/// The kinds that may serve a model: the one that was named, else the configured one, else every one with a price for it.
#[must_use]
pub fn kinds<'a>(book: &PriceBook, named: Option<&'a str>, configured: Option<&'a str>, model: &str) -> Vec<&'a str> {
    if let Some(named) = named.or(configured) {
        return vec![kind(named)];
    }
    let priced: Vec<&str> = KINDS.into_iter().filter(|kind| book.find(kind, model).is_some()).collect();
    if priced.is_empty() { vec![CUSTOM] } else { priced }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_the_named_one_or_any_with_a_price() {
        let book = PriceBook::builtin();
        assert_eq!(kinds(&book, Some("aws.bedrock"), Some("openAI"), "x"), ["bedrock"]);
        assert_eq!(kinds(&book, None, Some("openai"), "x"), ["openAI"]);
        assert!(kinds(&book, None, None, "gpt-4o").contains(&"openAI"));
        assert_eq!(kinds(&book, None, None, "no-such-model"), ["custom"]);
    }
}
