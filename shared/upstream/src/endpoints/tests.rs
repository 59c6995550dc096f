use super::*;

fn entry(yaml: &str) -> ProviderEntry {
    let yaml = format!("ai: {{groups: [{{providers: [{{name: a, {yaml}}}]}}]}}");
    tollgate_config::parse(&yaml, "test").unwrap().ai.groups[0].providers[0].clone()
}

/// The address of each endpoint for a model, whole and streamed.
fn urls(yaml: &str) -> Vec<(Dialect, String, String)> {
    let url = |address: &Address, stream| address.of("m/1", stream).unwrap().to_string();
    let endpoints = of(&entry(yaml)).unwrap();
    endpoints.iter().map(|(dialect, address)| (*dialect, url(address, false), url(address, true))).collect()
}

#[test]
fn a_path_that_stands_for_all_is_no_second_endpoint() {
    is_at("provider: {openAI: {}}, baseUrl: 'https://h/v1'", Dialect::Responses, "https://h/v1/responses");
    let moved = urls("provider: {openAI: {}}, baseUrl: 'https://h', pathOverride: /x");
    assert_eq!(moved.iter().map(|(dialect, ..)| *dialect).collect::<Vec<_>>(), [Dialect::Chat]);
    let alone = "provider: {custom: {formats: [{type: responses}]}}, baseUrl: 'https://h', pathOverride: /x";
    is_at(alone, Dialect::Responses, "https://h/x");
}

#[track_caller]
fn is_at(yaml: &str, dialect: Dialect, expected: &str) {
    let urls = urls(yaml);
    let found = urls.iter().find(|(known, ..)| *known == dialect).expect(yaml);
    assert_eq!(found.1, expected, "{yaml}");
}

#[test]
fn addresses_are_put_together_from_what_the_entry_says() {
    for (extra, expected) in [
        ("baseUrl: 'http://h:1'", "http://h:1/v1/chat/completions"),
        ("baseUrl: 'https://h/openai/v1/'", "https://h/openai/v1/chat/completions"),
        ("hostOverride: 'h:8080'", "http://h:8080/v1/chat/completions"),
        ("hostOverride: 'h:443'", "https://h/v1/chat/completions"),
        ("baseUrl: 'http://h', pathPrefix: /api/v2", "http://h/api/v2/chat/completions"),
        ("baseUrl: 'http://h', pathOverride: /x/y", "http://h/x/y"),
    ] {
        is_at(&format!("provider: {{custom: {{}}}}, {extra}"), Dialect::Chat, expected);
    }
}

#[test]
fn what_is_passed_through_goes_below_the_providers_own_root() {
    for (yaml, expected) in [
        ("provider: {openAI: {}}", Some("https://api.openai.com/v1")),
        ("provider: {anthropic: {}}", Some("https://api.anthropic.com/v1")),
        ("provider: {custom: {}}, baseUrl: 'http://h/api/v1/'", Some("http://h/api/v1")),
        ("provider: {custom: {}}, baseUrl: 'http://h', pathPrefix: /api/v2", Some("http://h/api/v2")),
        ("provider: {custom: {}}, baseUrl: 'http://h', pathOverride: /x", None),
        ("provider: {azure: {resourceName: r}}", Some("https://r.openai.azure.com/openai/v1")),
        ("provider: {azure: {resourceName: r, apiVersion: '2024-10-21'}}", None),
        ("provider: {gemini: {}}", None),
        ("provider: {vertex: {projectId: p}}", None),
        ("provider: {bedrock: {}}", None),
        (
            "provider: {bedrock: {openAIEndpoint: mantle, region: us-west-2}}",
            Some("https://bedrock-mantle.us-west-2.api.aws/v1"),
        ),
    ] {
        assert_eq!(root(&entry(yaml)).as_deref(), expected, "{yaml}");
    }
}

#[test]
fn a_custom_format_has_a_path_of_its_own_in_which_the_model_may_stand() {
    for (path, base, expected) in [
        ("/v1/m", "http://h/v1", "http://h/v1/m"),
        ("/c", "http://h/v1", "http://h/v1/c"),
        ("/c", "http://h", "http://h/c"),
        ("/models/{model}/chat", "http://h", "http://h/models/m%2F1/chat"),
    ] {
        let yaml =
            format!("provider: {{custom: {{formats: [{{type: completions, path: '{path}'}}]}}}}, baseUrl: '{base}'");
        is_at(&yaml, Dialect::Chat, expected);
    }
}

#[test]
fn gemini_has_the_model_in_its_path_and_streams_elsewhere() {
    let host = "https://generativelanguage.googleapis.com/v1beta/models/m%2F1";
    let whole = (Dialect::GenerateContent, format!("{host}:generateContent"));
    let stream = format!("{host}:streamGenerateContent?alt=sse");
    assert_eq!(urls("provider: {gemini: {}}"), [(whole.0, whole.1, stream)]);
    is_at(
        "provider: {gemini: {}}, baseUrl: 'http://h:1/v1beta'",
        Dialect::GenerateContent,
        "http://h:1/v1beta/models/m%2F1:generateContent",
    );
    is_at(
        "provider: {gemini: {}}, baseUrl: 'http://h:1', pathPrefix: /v1",
        Dialect::GenerateContent,
        "http://h:1/v1/models/m%2F1:generateContent",
    );
}

#[test]
fn azure_is_found_by_resource_project_and_version() {
    for (settings, extra, expected) in [
        ("resourceName: r", "", "https://r.openai.azure.com/openai/v1/chat/completions"),
        ("resourceName: r, apiVersion: v1", "", "https://r.openai.azure.com/openai/v1/chat/completions"),
        (
            "resourceName: r, apiVersion: preview",
            "",
            "https://r.openai.azure.com/openai/v1/chat/completions?api-version=preview",
        ),
        (
            "resourceName: r, apiVersion: 2024-10-21",
            "",
            "https://r.openai.azure.com/openai/deployments/m%2F1/chat/completions?api-version=2024-10-21",
        ),
        ("resourceName: r, resourceType: foundry", "", "https://r.services.ai.azure.com/openai/v1/chat/completions"),
        (
            "resourceName: r, resourceType: foundry, projectName: p",
            "",
            "https://r.services.ai.azure.com/api/projects/p/openai/v1/chat/completions",
        ),
        ("", ", baseUrl: 'http://h:1'", "http://h:1/openai/v1/chat/completions"),
        ("", ", baseUrl: 'https://h/openai/v1'", "https://h/openai/v1/chat/completions"),
    ] {
        is_at(&format!("provider: {{azure: {{{settings}}}}}{extra}"), Dialect::Chat, expected);
    }
    is_at(
        "provider: {azure: {resourceName: r, resourceType: foundry, projectName: p}}",
        Dialect::Messages,
        "https://r.services.ai.azure.com/anthropic/v1/messages",
    );
    is_at(
        "provider: {azure: {resourceName: r, apiVersion: preview}}",
        Dialect::Responses,
        "https://r.openai.azure.com/openai/v1/responses?api-version=preview",
    );
    let dialects = |settings: &str| {
        let found = urls(&format!("provider: {{azure: {{resourceName: r{settings}}}}}"));
        found.into_iter().map(|(dialect, ..)| dialect).collect::<Vec<_>>()
    };
    assert_eq!(dialects(""), [Dialect::Chat, Dialect::Responses], "Claude is in Foundry only");
    assert_eq!(dialects(", apiVersion: '2024-10-21'"), [Dialect::Chat], "Responses is in the v1 API only");
}

#[test]
fn vertex_is_found_by_project_and_region_and_publisher() {
    for (region, host, location) in [
        ("", "https://aiplatform.googleapis.com", "global"),
        (", region: global", "https://aiplatform.googleapis.com", "global"),
        (", region: eu", "https://aiplatform.eu.rep.googleapis.com", "eu"),
        (", region: europe-west4", "https://europe-west4-aiplatform.googleapis.com", "europe-west4"),
    ] {
        let below = format!("{host}/v1/projects/p/locations/{location}/publishers");
        let yaml = format!("provider: {{vertex: {{projectId: p{region}}}}}");
        let expected = [
            (
                Dialect::GenerateContent,
                format!("{below}/google/models/m%2F1:generateContent"),
                format!("{below}/google/models/m%2F1:streamGenerateContent?alt=sse"),
            ),
            (
                Dialect::Messages,
                format!("{below}/anthropic/models/m%2F1:rawPredict"),
                format!("{below}/anthropic/models/m%2F1:streamRawPredict"),
            ),
        ];
        assert_eq!(urls(&yaml), expected);
    }
    is_at(
        "provider: {vertex: {projectId: p}}, baseUrl: 'http://h:1'",
        Dialect::Messages,
        "http://h:1/v1/projects/p/locations/global/publishers/anthropic/models/m%2F1:rawPredict",
    );
}

#[test]
fn a_preset_knows_its_address_and_its_paths() {
    for preset in tollgate_config::Preset::ALL {
        let facts = preset.facts();
        let yaml = format!("provider: {{custom: {{preset: {}}}}}", facts.name);
        is_at(&yaml, Dialect::Chat, &format!("{}{}", facts.base_url, facts.completions));
        let messages = urls(&yaml).into_iter().find(|(dialect, ..)| *dialect == Dialect::Messages);
        assert_eq!(messages.map(|found| found.1), facts.messages.map(|path| format!("{}{path}", facts.base_url)));
    }
    let groq = "provider: {custom: {preset: groq}}, baseUrl: 'http://h:1/v1'";
    is_at(groq, Dialect::Chat, "http://h:1/v1/chat/completions");
    let deepseek = "provider: {custom: {preset: deepseek, formats: [{type: messages, path: /m}]}}";
    is_at(deepseek, Dialect::Messages, "https://api.deepseek.com/m");
}

#[test]
fn copilot_has_three_dialects_at_one_host() {
    is_at("provider: {copilot: {}}", Dialect::Chat, "https://api.githubcopilot.com/chat/completions");
    is_at("provider: {copilot: {}}", Dialect::Messages, "https://api.githubcopilot.com/v1/messages");
    is_at("provider: {copilot: {}}", Dialect::Responses, "https://api.githubcopilot.com/responses");
}

#[test]
fn bedrocks_openai_endpoints_are_found_by_region() {
    for (settings, dialect, expected) in [
        (
            "openAIEndpoint: runtime, region: eu-west-1",
            Dialect::Chat,
            "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1/chat/completions",
        ),
        (
            "openAIEndpoint: mantle, region: us-west-2",
            Dialect::Chat,
            "https://bedrock-mantle.us-west-2.api.aws/v1/chat/completions",
        ),
        (
            "openAIEndpoint: mantle, region: us-west-2",
            Dialect::Messages,
            "https://bedrock-mantle.us-west-2.api.aws/anthropic/v1/messages",
        ),
        (
            "openAIEndpoint: mantle, region: us-west-2",
            Dialect::Responses,
            "https://bedrock-mantle.us-west-2.api.aws/v1/responses",
        ),
        (
            "openAIEndpoint: runtime, region: eu-west-1",
            Dialect::Responses,
            "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1/responses",
        ),
    ] {
        is_at(&format!("provider: {{bedrock: {{{settings}}}}}"), dialect, expected);
    }
    is_at(
        "provider: {bedrock: {openAIEndpoint: mantle, region: us-west-2}}, pathPrefix: /openai/v1",
        Dialect::Chat,
        "https://bedrock-mantle.us-west-2.api.aws/openai/v1/chat/completions",
    );
}

#[test]
fn mantle_has_some_models_below_openai() {
    let url = |more: &str, model: &str| {
        let yaml = format!("provider: {{bedrock: {{openAIEndpoint: mantle, region: us-east-2}}}}{more}");
        let endpoints = of(&entry(&yaml)).unwrap();
        let paths = endpoints.iter().map(|(_, address)| address.of(model, false).unwrap().path().to_owned());
        paths.collect::<Vec<_>>().join(" ")
    };
    for model in ["openai.gpt-5.5", "openai.gpt-5.6-sol", "google.gemma-4-31b", "xai.grok-4.3"] {
        assert_eq!(
            url("", model),
            "/openai/v1/chat/completions /anthropic/v1/messages /openai/v1/responses",
            "{model}"
        );
        assert_eq!(url(", pathPrefix: /v9", model), "/v9/chat/completions /v9/messages /v9/responses");
        assert_eq!(url(", baseUrl: 'http://h/v1'", model).split(' ').next(), Some("/v1/chat/completions"));
    }
    for model in ["openai.gpt-oss-120b", "deepseek.v3.2", "moonshotai.kimi-k2.5"] {
        assert_eq!(url("", model), "/v1/chat/completions /anthropic/v1/messages /v1/responses", "{model}");
    }
}

#[test]
fn sessions_of_the_realtime_api_are_opened_below_the_root_or_beside_azures_deployments() {
    let azure = "https://r.openai.azure.com/openai";
    for (yaml, expected) in [
        ("provider: {openAI: {}}", Some("https://api.openai.com/v1/realtime?intent=x&model=a%2Fb".to_owned())),
        (
            "provider: {custom: {}}, baseUrl: 'http://h/api/v1/'",
            Some("http://h/api/v1/realtime?intent=x&model=a%2Fb".to_owned()),
        ),
        ("provider: {azure: {resourceName: r}}", Some(format!("{azure}/v1/realtime?intent=x&model=a%2Fb"))),
        (
            "provider: {azure: {resourceName: r, apiVersion: preview}}",
            Some(format!("{azure}/v1/realtime?api-version=preview&intent=x&model=a%2Fb")),
        ),
        (
            "provider: {azure: {resourceName: r, apiVersion: '2025-04-01-preview'}}",
            Some(format!("{azure}/realtime?api-version=2025-04-01-preview&intent=x&deployment=a%2Fb")),
        ),
        ("provider: {custom: {}}, baseUrl: 'http://h', pathOverride: /x", None),
        ("provider: {vertex: {projectId: p}}", None),
        ("provider: {gemini: {}}", None),
    ] {
        let found = realtime(&entry(yaml)).and_then(|realtime| realtime.address(Some("intent=x"), Some("a/b")));
        assert_eq!(found.map(|url| url.to_string()), expected, "{yaml}");
    }
}
