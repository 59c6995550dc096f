//! The questions that every request asks.

use tollgate_config::{Config, ModelName, RouteType, parse};

fn config() -> Config {
    let text = "
ai:
  modelAliases:
    '*': catch-all
    'gpt-*': short
    'gpt-4*': longer
    gpt-4o: exact
    'gpt-*-mini': middle
    chained: gpt-4o
  groups:
  - providers:
    - {name: default, provider: {openAI: {model: gpt-4o-2024-11-20}}}
  models:
  - match: [claude-sonnet-4, 'claude-*', exact]
    groups: [{providers: [{name: claude, provider: {anthropic: {}}}]}]
  - match: ['*-3', claude-3]
    groups: [{providers: [{name: three, baseUrl: 'http://three', provider: {custom: {providerOverride: three, model: three-pinned}}}]}]
  routes:
    /v1/messages: passthrough
    /special/v1/messages: messages
    chat: completions
    '*': detect
";
    parse(text, "").unwrap()
}

#[test]
fn the_exact_alias_wins_then_the_longest_pattern() {
    let config = config();
    for (model, alias) in [
        ("gpt-4o", "exact"),
        ("gpt-4-turbo", "longer"),
        ("gpt-3.5", "short"),
        ("gpt-4o-mini", "middle"),
        ("chained", "gpt-4o"),
        ("", "catch-all"),
        ("anything", "catch-all"),
    ] {
        assert_eq!(config.alias(model), Some(alias), "{model}");
    }
    assert_eq!(Config::default().alias("gpt-4o"), None);
}

#[test]
fn the_first_rule_that_matches_gives_the_chain() {
    let config = config();
    for (model, provider) in [
        ("claude-sonnet-4", "claude"),
        ("claude-3", "claude"),
        ("gpt-3", "three"),
        ("gpt-4o", "default"),
        ("", "default"),
    ] {
        assert_eq!(config.chain(model)[0].providers[0].name, provider, "{model}");
    }
    assert!(Config::default().chain("gpt-4o").is_empty());
}

#[test]
fn the_built_in_routes_match_on_segment_boundaries() {
    let config = Config::default();
    for (path, kind) in [
        ("/v1/chat/completions", Some(RouteType::Completions)),
        ("/openai/v1/chat/completions", Some(RouteType::Completions)),
        ("/v1/messages", Some(RouteType::Messages)),
        ("/x/v1/messages", Some(RouteType::Messages)),
        ("/v1/messages/count_tokens", Some(RouteType::AnthropicTokenCount)),
        ("/v1/responses", Some(RouteType::Responses)),
        ("/v1/embeddings", Some(RouteType::Embeddings)),
        ("/v1/models", Some(RouteType::Models)),
        ("/v1/realtime", Some(RouteType::Realtime)),
        ("/v1/realtime/calls", Some(RouteType::Passthrough)),
        ("/v1/realtime/calls/rtc_1/hangup", Some(RouteType::Passthrough)),
        ("/v1/realtime/callsigns", None),
        ("/v1beta/models/gemini-2.5-pro:generateContent", Some(RouteType::GenerateContent)),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent", Some(RouteType::GenerateContent)),
        ("/v1beta/models/gemini-2.5-pro:countTokens", Some(RouteType::GeminiCountTokens)),
        ("/v2/rerank", Some(RouteType::Rerank)),
        ("/v1/rerank", Some(RouteType::Rerank)),
        ("/v1/notmessages", None),
        ("/xv1/messages", None),
        ("/v1/messages/", None),
        ("/v1/models/gpt-4o", None),
        ("/v1", None),
        ("/", None),
        ("", None),
    ] {
        assert_eq!(config.route_type(path), kind, "{path}");
    }
}

#[test]
fn a_folder_with_a_star_is_for_what_is_below_it() {
    let config = parse("ai: {routes: {'/v1/files/*': passthrough, '*': detect}}", "").unwrap();
    for (path, kind) in [
        ("/v1/files/file-1/content", RouteType::Passthrough),
        ("/team/v1/files/x", RouteType::Passthrough),
        ("/v1/files", RouteType::Detect),
        ("/v1/files/", RouteType::Detect),
        ("/v1/chat/completions", RouteType::Completions),
    ] {
        assert_eq!(config.route_type(path), Some(kind), "{path}");
    }
}

#[test]
fn configured_routes_add_to_the_built_in_ones_and_override_them() {
    let config = config();
    for (path, kind) in [
        ("/v1/messages", RouteType::Passthrough),
        ("/x/v1/messages", RouteType::Passthrough),
        ("/special/v1/messages", RouteType::Messages),
        ("/a/special/v1/messages", RouteType::Messages),
        ("/aspecial/v1/messages", RouteType::Passthrough),
        ("/v1/chat/completions", RouteType::Completions),
        ("/my/chat", RouteType::Completions),
        ("/mychat", RouteType::Detect),
        ("chat", RouteType::Completions),
        ("/anything", RouteType::Detect),
    ] {
        assert_eq!(config.route_type(path), Some(kind), "{path}");
    }
}

#[test]
fn model_names_are_listed_once_with_their_owner() {
    let config = config();
    let name = |name, owner| ModelName { name, owner };
    assert_eq!(
        config.model_names(),
        [
            name("chained", "openAI"),
            name("gpt-4o", "anthropic"),
            name("claude-sonnet-4", "anthropic"),
            name("exact", "anthropic"),
            name("claude-3", "three"),
            name("gpt-4o-2024-11-20", "openAI"),
            name("three-pinned", "three"),
        ]
    );
    assert_eq!(Config::default().model_names(), []);
}
