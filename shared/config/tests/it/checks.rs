//! What the types cannot say: one row per rule, with the path and the words of its message; and what is fine.

use tollgate_config::parse;

const POOL: &str = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE01";

#[track_caller]
fn refused(rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        let error = parse(text, "").expect_err(text);
        let said = error.to_string();
        assert!(said.contains(expected), "{text}\nsays\n{said}\nnot\n{expected}");
        assert!(error.problems.iter().all(|problem| problem.line.is_some()), "no place: {error:?}");
    }
}

#[track_caller]
fn accepted(rows: &[&str]) {
    for text in rows {
        if let Err(error) = parse(text, "") {
            panic!("{text}\n{error}");
        }
    }
}

/// A provider entry in a default chain.
fn entries(rows: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
    let file = |fields| format!("ai: {{groups: [{{providers: [{{name: a, {fields}}}]}}]}}");
    rows.iter().map(|(fields, expected)| (file(fields), format!("ai.groups[0].providers[0]{expected}"))).collect()
}

#[track_caller]
fn refused_entries(rows: &[(&'static str, &'static str)]) {
    let rows = entries(rows);
    refused(&rows.iter().map(|(text, expected)| (text.as_str(), expected.as_str())).collect::<Vec<_>>());
}

#[track_caller]
fn accepted_entries(rows: &[&'static str]) {
    let rows = entries(&rows.iter().map(|row| (*row, "")).collect::<Vec<_>>());
    accepted(&rows.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>());
}

#[test]
fn issuers_are_https_addresses_with_one_source_of_keys() {
    refused(&[
        ("auth: {issuers: [{issuer: login.example}]}", "auth.issuers[0].issuer: is not a URL"),
        ("auth: {issuers: [{issuer: ''}]}", "auth.issuers[0].issuer: is not a URL"),
        ("auth: {issuers: [{issuer: 'http://login.example'}]}", "auth.issuers[0].issuer: is plain http"),
        ("auth: {issuers: [{issuer: 'https://a.example?x'}]}", "has a query"),
        ("auth: {issuers: [{issuer: 'https://u:p@a.example'}]}", "has credentials"),
        (
            "auth: {issuers: [{issuer: 'https://a.example'}, {issuer: 'https://a.example'}]}",
            "auth.issuers[1].issuer: is configured twice",
        ),
        (
            "auth: {issuers: [{issuer: 'https://a.example', jwks: {url: 'https://a.example/k', file: k}}]}",
            "auth.issuers[0].jwks: url, file and discovery exclude each other",
        ),
        ("auth: {issuers: [{issuer: 'https://a.example', jwks: {discovery: true, file: k}}]}", "exclude each other"),
        (
            "auth: {issuers: [{issuer: 'https://a.example', jwks: {url: 'http://a.example/k'}}]}",
            "auth.issuers[0].jwks.url: is plain http",
        ),
        ("auth: {issuers: [{issuer: 'https://a.example', jwks: {file: ''}}]}", "auth.issuers[0].jwks.file: is empty"),
        ("auth: {issuers: [{issuer: 'https://a.example', algorithms: []}]}", "auth.issuers[0].algorithms: is empty"),
        ("auth: {issuers: [{issuer: 'https://a.example', algorithms: [HS256]}]}", "unknown value `HS256`"),
        ("auth: {issuers: [{issuer: 'https://a.example', algorithms: [none]}]}", "unknown value `none`"),
        (
            "auth: {issuers: [{issuer: 'https://a.example', requiredScopes: ['a b']}]}",
            "auth.issuers[0].requiredScopes[0]: has a blank inside",
        ),
        (
            "auth: {issuers: [{issuer: 'https://a.example', claims: {team: ''}}]}",
            "auth.issuers[0].claims.team: is empty",
        ),
        ("auth: {teams: {c1: {team: ' '}}}", "auth.teams.c1.team: is empty"),
        ("auth: {teams: {c1: {team: search, tier: ''}}}", "auth.teams.c1.tier: is empty"),
        ("auth: {defaultTier: ''}", "auth.defaultTier: is empty"),
    ]);
    accepted(&[
        &format!("auth: {{issuers: [{{issuer: '{POOL}'}}]}}"),
        "auth: {issuers: [{issuer: 'http://localhost:9000/realms/x', jwks: {url: 'http://127.0.0.1:9000/k'}}]}",
        "auth: {issuers: [{issuer: 'https://tenant.example/', jwks: {discovery: true}, requiredScopes: []}]}",
    ]);
}

#[test]
fn an_azure_resource_is_named_in_words_that_stay_in_their_place() {
    refused_entries(&[
        ("provider: {azure: {}}", ".provider.azure: the key `resourceName` is missing; add it"),
        ("provider: {azure: {resourceName: ''}}", ".provider.azure.resourceName: is empty"),
        (
            "provider: {azure: {resourceName: evil.example/x}}",
            ".provider.azure.resourceName: has characters that a name has not",
        ),
        ("provider: {azure: {resourceName: $NAME}}", ".provider.azure.resourceName: names an environment variable"),
        ("provider: {azure: {resourceName: r, apiVersion: '1&x=2'}}", ".provider.azure.apiVersion: has characters"),
        (
            "provider: {azure: {resourceName: r, projectName: p}}",
            ".provider.azure.projectName: only a Foundry resource has projects",
        ),
        (
            "provider: {azure: {resourceName: r, resourceType: foundry, projectName: p, apiVersion: 2024-10-21}}",
            ".provider.azure.apiVersion: a project has the v1 API only",
        ),
        (
            "provider: {azure: {resourceName: r, resourceType: speech}}",
            ".provider.azure.resourceType: unknown value `speech`",
        ),
    ]);
    accepted_entries(&[
        "provider: {azure: {resourceName: r}}",
        "provider: {azure: {}}, baseUrl: 'https://azure.example'",
        "provider: {azure: {resourceName: r, resourceType: aiServices, projectName: my-project_1}}",
        "provider: {azure: {resourceName: r, apiVersion: 2025-04-01-preview, model: my deployment}}",
    ]);
}

#[test]
fn tokens_of_clouds_are_for_their_own_providers_and_asked_for_in_safety() {
    let entra = |client: &str| {
        format!(
            "provider: {{azure: {{resourceName: r}}}}, policies: {{backendAuth: {{azure: {{explicitConfig: {{clientSecret: {{{client}}}}}}}}}}}"
        )
    };
    let file = |fields: &str| format!("ai: {{groups: [{{providers: [{{name: a, {fields}}}]}}]}}");
    for (fields, expected) in [
        (
            entra("tenantId: a/b, clientId: c, clientSecret: $S"),
            "clientSecret.tenantId: has characters that a name has not",
        ),
        (entra("tenantId: t, clientId: c"), "the key `clientSecret` is missing"),
        (entra("tenantId: t, clientId: c, clientSecret: hunter2"), "not a reference to a secret"),
        (
            entra("tenantId: t, clientId: c, clientSecret: $S, tokenUrl: 'http://login.example/t'"),
            "clientSecret.tokenUrl: is plain http, which would show the secret to the network; use https",
        ),
        (entra("tenantId: t, clientId: c, clientSecret: $S, scope: ''"), "clientSecret.scope: is empty"),
        (
            "provider: {openAI: {}}, policies: {backendAuth: {gcp: {}}}".to_owned(),
            ".backendAuth.gcp: tokens of Google Cloud are for vertex only; write backendAuth: {key: ..}",
        ),
        (
            entra("tenantId: t, clientId: c, clientSecret: $S").replace("azure: {resourceName: r}", "gemini: {}"),
            ".backendAuth.azure: tokens of Entra ID are for azure only",
        ),
        (
            "provider: {vertex: {projectId: p}}, policies: {backendAuth: {key: $K}}".to_owned(),
            ".backendAuth.key: Vertex takes tokens, not keys; write backendAuth: {gcp: {credential: ..}}",
        ),
        (
            "provider: {vertex: {projectId: p}}, policies: {backendAuth: {gcp: {type: idToken}}}".to_owned(),
            ".gcp.type: unknown value `idToken`",
        ),
        ("provider: {vertex: {}}".to_owned(), ".provider.vertex: the key `projectId` is missing"),
        ("provider: {vertex: {projectId: a/b}}".to_owned(), ".vertex.projectId: has characters that a name has not"),
        ("provider: {vertex: {projectId: p, region: 'a.b/c'}}".to_owned(), ".vertex.region: has characters"),
        ("provider: {vertex: {projectId: p}}, pathOverride: /x".to_owned(), ".pathOverride: its paths have the model"),
        ("provider: {copilot: {tokenUrl: 'http://x.example/t'}}".to_owned(), ".copilot.tokenUrl: is plain http"),
    ] {
        let text = file(&fields);
        let said = parse(&text, "").expect_err(&text).to_string();
        assert!(said.contains(expected), "{text}\nsays\n{said}\nnot\n{expected}");
    }
    for fields in [
        entra("tenant_id: t, client_id: c, client_secret: $S"),
        entra("tenantId: t, clientId: c, clientSecret: 'secretsmanager:x#y', tokenUrl: 'http://127.0.0.1:1/t'"),
        "provider: {vertex: {projectId: 'example.com:p', region: us-east5}}, policies: {backendAuth: {gcp: {credential: {file: a}}}}".to_owned(),
        "provider: {copilot: {}}, policies: {backendAuth: {key: $GITHUB_TOKEN}}".to_owned(),
    ] {
        if let Err(error) = parse(&file(&fields), "") {
            panic!("{fields}\n{error}");
        }
    }
}

#[test]
fn what_is_put_into_requests_leaves_the_clients_part_alone() {
    refused(&[
        ("ai: {overrides: {stream: true}}", "ai.overrides.stream: a client could not read"),
        ("ai: {defaults: {messages: []}}", "ai.defaults.messages: the conversation is the client's; use `ai.prompts`"),
        ("ai: {defaults: 5}", "ai.defaults: expected a mapping"),
        ("ai: {prompts: {prepend: [{role: system, content: ' '}]}}", "ai.prompts.prepend[0].content: is empty"),
        ("ai: {prompts: {append: [{role: tool, content: x}]}}", "unknown value `tool`"),
        ("ai: {promptCaching: {cacheImages: true}}", "ai.promptCaching.cacheImages: unknown key"),
        (
            "ai: {promptCaching: {}, policies: {ai: {promptCaching: {}}}}",
            "ai.policies.ai.promptCaching: stands in `ai.promptCaching` as well",
        ),
    ]);
    refused_entries(&[(
        "provider: {openAI: {}}, policies: {ai: {overrides: {user: x}}}",
        ".policies.ai.overrides: a request is completed before a provider is chosen; move it to `ai`",
    )]);
    let text = "ai: {policies: {ai: {defaults: {top_k: 5, metadata: {a: [1.5, null]}}, prompts: {append: [{role: user, content: x}]}}}}";
    let config = parse(text, "").unwrap();
    assert_eq!(config.ai.defaults["metadata"]["a"][0], 1.5);
    assert_eq!(config.ai.prompts.append.len(), 1);
}

#[test]
fn caching_for_all_is_that_of_each_provider_that_has_none_of_its_own() {
    let text = "ai: {promptCaching: {minTokens: 7}, groups: [{providers: [{name: a, provider: {anthropic: {}}}, \
                {name: b, provider: {bedrock: {}}, policies: {ai: {promptCaching: {cacheTools: true}}}}]}]}";
    let config = parse(text, "").unwrap();
    let caching: Vec<_> =
        config.providers().map(|entry| entry.policies.ai.as_ref().unwrap().prompt_caching.unwrap()).collect();
    assert_eq!((caching[0].min_tokens, caching[0].cache_system, caching[0].cache_tools), (7, true, false));
    assert_eq!((caching[1].min_tokens, caching[1].cache_tools), (1_024, true));
}

#[test]
fn addresses_are_checked() {
    refused_entries(&[
        ("provider: {custom: {}}", ": a custom provider has no address; add baseUrl, or a preset"),
        ("provider: {openAI: {}}, baseUrl: api.example", ".baseUrl: is not a URL"),
        ("provider: {openAI: {}}, baseUrl: 'ftp://x'", ".baseUrl: has an unknown scheme"),
        ("provider: {openAI: {}}, baseUrl: 'https://u:p@x'", ".baseUrl: has credentials"),
        ("provider: {openAI: {}}, baseUrl: 'https://x/v1?key=1'", ".baseUrl: has a query"),
        ("provider: {openAI: {}}, baseUrl: 'https://x/v1#a'", ".baseUrl: has a fragment"),
        ("provider: {openAI: {}}, baseUrl: $URL", ".baseUrl: names an environment variable"),
        ("provider: {openAI: {}}, hostOverride: localhost", ".hostOverride: has no port"),
        ("provider: {openAI: {}}, hostOverride: 'http://localhost:80'", ".hostOverride: has no valid host"),
        ("provider: {openAI: {}}, hostOverride: 'localhost:0'", ".hostOverride: has an invalid port"),
        (
            "provider: {openAI: {}}, hostOverride: 'a:1', baseUrl: 'http://a:1'",
            ": baseUrl and hostOverride exclude each other",
        ),
        ("provider: {openAI: {}}, pathPrefix: v1", ".pathPrefix: is not a path"),
        ("provider: {openAI: {}}, pathOverride: '/a?b'", ".pathOverride: is not a path"),
        (
            "provider: {openAI: {}}, pathOverride: /a, pathPrefix: /b",
            ": pathOverride and pathPrefix exclude each other",
        ),
        ("provider: {openAI: {}}, baseUrl: 'http://a/v1', pathPrefix: /b", ".pathPrefix: baseUrl has a path already"),
        ("provider: {gemini: {}}, pathOverride: /a", ".pathOverride: its paths have the model in them"),
        ("provider: {azure: {resourceName: r}}, pathPrefix: /a", ".pathPrefix: azure's paths follow from its settings"),
        ("provider: {bedrock: {}}, pathOverride: /a", ".pathOverride: bedrock's paths are the AWS SDK's"),
        (
            "provider: {custom: {formats: [{type: messages, path: v1}]}}, baseUrl: 'http://a'",
            ".provider.custom.formats[0].path: is not a path",
        ),
        (
            "provider: {custom: {formats: [{type: messages}, {type: messages}]}}, baseUrl: 'http://a'",
            ".provider.custom.formats[1].type: stands in the list twice",
        ),
        (
            "provider: {openAI: {}}, policies: {backendTLS: {hostname: other.example}}",
            ".policies.backendTLS.hostname: is not the host of the address",
        ),
    ]);
    accepted_entries(&[
        "provider: {custom: {}}, baseUrl: 'http://10.0.0.1:8000/v1'",
        "provider: {custom: {formats: [{type: Messages}, {type: completions, path: /c}]}}, hostOverride: 'llm:8000'",
        "provider: {openAI: {}}, hostOverride: '[::1]:443', policies: {backendTLS: {}}",
        "provider: {openAI: {}}, policies: {backendTLS: {hostname: api.openai.com}}",
        "provider: {openAI: {}}, baseUrl: 'https://proxy.example', pathPrefix: /openai, policies: {backendTLS: {hostname: Proxy.example}}",
    ]);
}

#[test]
fn providers_have_the_credentials_of_their_kind() {
    refused_entries(&[
        (
            "provider: {openAI: {}}, policies: {backendAuth: {aws: {}}}",
            ".policies.backendAuth.aws: AWS credentials are for bedrock only",
        ),
        (
            "provider: {custom: {}}, baseUrl: 'http://a', policies: {backendAuth: {aws: {}}}",
            ".policies.backendAuth.aws: AWS credentials",
        ),
    ]);
    refused_entries(&[(
        "provider: {bedrock: {openAIEndpoint: runtime}}",
        ".provider.bedrock.openAIEndpoint: its host needs a region",
    )]);
    accepted_entries(&[
        "provider: {bedrock: {}}",
        "provider: {bedrock: {}}, policies: {backendAuth: {aws: }}",
        "provider: {bedrock: {}}, policies: {backendAuth: {key: $K}}",
        "provider: {bedrock: {openAIEndpoint: mantle, region: us-west-2}}, pathPrefix: /openai/v1",
    ]);
}

#[test]
fn bedrock_settings_are_checked() {
    refused_entries(&[
        (
            "provider: {bedrock: {guardrailIdentifier: g}}",
            ".provider.bedrock.guardrailIdentifier: guardrailVersion is missing",
        ),
        (
            "provider: {bedrock: {guardrailVersion: '1'}}",
            ".provider.bedrock.guardrailVersion: guardrailIdentifier is missing",
        ),
        (
            "provider: {bedrock: {guardrailIdentifier: g, guardrailVersion: 1}}",
            ".provider.bedrock.guardrailVersion: expected a text",
        ),
        ("provider: {bedrock: {region: US East}}", ".provider.bedrock.region: is not the name of an AWS region"),
        ("provider: {bedrock: {region: $AWS_REGION}}", ".provider.bedrock.region: names an environment variable"),
        ("provider: {bedrock: {model: ''}}", ".provider.bedrock.model: is empty"),
    ]);
    accepted_entries(&[
        "provider: {bedrock: {region: us-gov-west-1, guardrailIdentifier: g, guardrailVersion: DRAFT}}",
    ]);
}

#[test]
fn names_weights_models_and_timeouts_are_sane() {
    refused(&[("ai: {groups: [{providers: [{name: '', provider: {openAI: {}}}]}]}", "providers[0].name: is empty")]);
    refused(&[("ai: {groups: [{providers: [{name: \"a\\nb\", provider: {openAI: {}}}]}]}", "is not a plain name")]);
    refused_entries(&[
        ("provider: {openAI: {model: ' x'}}", ".provider.openAI.model: starts or ends with a blank"),
        ("provider: {anthropic: {model: $MODEL}}", ".provider.anthropic.model: names an environment variable"),
        ("provider: {openAI: {}}, weight: 1000001", ".weight: is more than 1000000"),
        ("provider: {openAI: {}}, timeouts: {connectMs: 0}", ".timeouts.connectMs: must be more than 0"),
        ("provider: {openAI: {}}, timeouts: {firstByteMs: 3600001}", ".timeouts.firstByteMs: 3600001 is more than"),
        ("provider: {openAI: {}}, timeouts: {idleMs: 0}", ".timeouts.idleMs: must be more than 0"),
    ]);
    refused(&[
        (
            "ai: {groups: [{providers: [{name: a, provider: {openAI: {}}, weight: 0}]}]}",
            "ai.groups[0].providers: every weight is 0",
        ),
        ("maxConnections: 0", "maxConnections: must be more than 0"),
        ("request: {timeoutMs: 0}", "request.timeoutMs: must be more than 0"),
        ("request: {maxBodyBytes: 0}", "request.maxBodyBytes: must be more than 0"),
        ("request: {maxBodyBytes: 9999999999}", "request.maxBodyBytes: 9999999999 is more than"),
        ("request: {maxAttempts: 101}", "request.maxAttempts: 101 is more than 100"),
    ]);
}

#[test]
fn one_name_is_one_provider() {
    let chain = |second: &str| {
        format!(
            "ai: {{groups: [{{providers: [{{name: p, provider: {{openAI: {{}}}}}}]}}], models: [{{match: [m], groups: [{{providers: [{second}]}}]}}]}}"
        )
    };
    refused(&[(
        &chain("{name: p, provider: {anthropic: {}}}"),
        "ai.models[0].groups[0].providers[0].name: `p` is the name of another provider",
    )]);
    accepted(&[&chain("{name: p, provider: {openAI: {}}}"), &chain("{name: q, provider: {anthropic: {}}}")]);
}

#[test]
fn chains_are_not_empty() {
    refused(&[
        ("ai: {groups: [{providers: []}]}", "ai.groups[0].providers: is empty"),
        ("ai: {groups: [{}]}", "ai.groups[0]: the key `providers` is missing"),
        ("ai: {models: [{match: [], groups: []}]}", "ai.models[0].match: is empty"),
        ("ai: {models: [{match: [a], groups: []}]}", "ai.models[0].groups: is empty"),
        ("ai: {models: [{match: [''], groups: []}]}", "ai.models[0].match[0]: is empty"),
        (
            "ai: {models: [{match: [a], groups: []}, {match: [b, a], groups: []}]}",
            "ai.models[1].match[1]: stands in an earlier rule",
        ),
    ]);
}

#[test]
fn aliases_name_one_model_and_do_not_go_in_circles() {
    refused(&[
        ("ai: {modelAliases: {a: ''}}", "ai.modelAliases.a: is empty"),
        ("ai: {modelAliases: {a: 'b*'}}", "ai.modelAliases.a: the target has a *"),
        ("ai: {modelAliases: {a: $B}}", "ai.modelAliases.a: names an environment variable"),
        ("ai: {modelAliases: {'': b}}", "an alias without a name"),
        ("ai: {modelAliases: {a: b, b: a}}", "aliases lead in a circle: b -> a -> b"),
        ("ai: {modelAliases: {x: a, a: b, b: c, c: a}}", "aliases lead in a circle"),
        ("ai: {modelAliases: {'gpt-*': claude, 'claude*': gpt-4}}", "aliases lead in a circle"),
        (
            "ai: {groups: [{providers: [{name: a, provider: {openAI: {}}, policies: {ai: {modelAliases: {m: ''}}}}]}]}",
            "ai.groups[0].providers[0].policies.ai.modelAliases.m: is empty",
        ),
    ]);
    accepted(&["ai: {modelAliases: {'gpt-4*': gpt-4o, gpt-4o: gpt-4o, fast: gpt-4o, '*': gpt-4o}}"]);
    let circle = parse("ai: {modelAliases: {x: a, a: b, b: c, c: a}}", "").unwrap_err();
    assert_eq!(circle.problems.len(), 1, "one circle, one message: {circle}");
}

#[test]
fn route_keys_are_ends_of_paths() {
    refused(&[
        ("ai: {routes: {'': messages}}", "an empty path suffix"),
        ("ai: {routes: {'/v1/*/x': messages}}", "a path suffix has no * within"),
        ("ai: {routes: {'/v1/x*': messages}}", "a path suffix has no * within"),
        ("ai: {routes: {'/*': messages}}", "a folder without a name"),
        ("ai: {routes: {'/v1/x?a=b': messages}}", "is not the end of a path"),
        ("ai: {routes: {'/v1/x/': messages}}", "ends with a slash"),
        ("ai: {routes: {'/v1/x': message}}", "did you mean `messages`?"),
    ]);
    accepted(&[
        "ai: {routes: {'*': passthrough, '/v1/files/*': detect, /v1/x: messages, ':predict': generateContent, chat: completions}}",
    ]);
}

#[test]
fn a_complete_configuration_has_an_issuer_a_provider_and_keys() {
    let missing = |text: &str| -> Vec<String> {
        let complete = parse(text, "").unwrap().check_complete();
        complete.err().into_iter().flat_map(|error| error.problems).map(|problem| problem.path).collect()
    };
    assert_eq!(missing(""), ["auth.issuers", "ai.groups"]);
    let issuer = format!("auth: {{issuers: [{{issuer: '{POOL}'}}]}}\n");
    assert_eq!(missing(&issuer), ["ai.groups"]);
    let provider = |fields: &str| missing(&format!("{issuer}ai: {{groups: [{{providers: [{{name: a, {fields}}}]}}]}}"));
    assert_eq!(provider("provider: {openAI: {}}"), ["ai.groups[0].providers[0].policies.backendAuth"]);
    assert_eq!(provider("provider: {openAI: {}}, baseUrl: 'http://localhost:1'"), [""; 0]);
    assert_eq!(provider("provider: {anthropic: {}}, policies: {backendAuth: {key: $K}}"), [""; 0]);
    assert_eq!(provider("provider: {bedrock: {}}"), [""; 0]);
}

#[test]
fn an_origin_is_a_scheme_and_a_host() {
    refused(&[
        ("cors: {allowOrigins: [app.example]}", "cors.allowOrigins[0]: `app.example` is no origin"),
        (
            "cors: {allowOrigins: ['*', 'https://app.example/']}",
            "cors.allowOrigins[1]: `https://app.example/` is no origin",
        ),
    ]);
    accepted(&[
        "cors: {allowOrigins: ['*', 'https://*.example:8443', 'http://localhost:5173', 'chrome-extension://*']}",
    ]);
}
