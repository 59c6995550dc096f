//! agentgateway's forms load as they are and become this gateway's.

use tollgate_config::{BackendAuth, Config, Provider, RouteType, SecretRef, parse};

fn config(text: &str) -> Config {
    parse(text, "").unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn key(config: &Config) -> SecretRef {
    match config.ai.groups[0].providers[0].policies.backend_auth.clone() {
        Some(BackendAuth::Key(reference)) => reference,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_provider_under_ai_becomes_a_chain_of_one() {
    let text = "
ai:
  name: openai
  provider:
    openAI:
      model: gpt-4o
  hostOverride: 'localhost:8080'
  pathPrefix: /api
  tokenize: true
  policies:
    ai:
      modelAliases: {fast: gpt-4o-mini}
      routes: {/chat: completions}
    backendTLS: {root: ca.pem}
    backendAuth: {key: $OPENAI_API_KEY}
";
    let config = config(text);
    assert_eq!((config.ai.groups.len(), config.ai.groups[0].providers.len()), (1, 1));
    let entry = &config.ai.groups[0].providers[0];
    assert_eq!((entry.name.as_str(), entry.weight), ("openai", 1));
    assert_eq!(entry.host_override.as_deref(), Some("localhost:8080"));
    assert_eq!(entry.path_prefix.as_deref(), Some("/api"));
    assert_eq!(entry.policies.backend_tls.as_ref().unwrap().root.as_deref(), Some("ca.pem"));
    assert!(entry.policies.ai.is_none());
    assert_eq!(key(&config), SecretRef::Env("OPENAI_API_KEY".to_owned()));
    assert_eq!(config.alias("fast"), Some("gpt-4o-mini"));
    assert_eq!(config.route_type("/x/chat"), Some(RouteType::Completions));
    let ai = &config.ai;
    assert!(ai.provider.is_none() && ai.name.is_none() && ai.host_override.is_none() && ai.policies.is_none());
}

#[test]
fn the_single_form_names_the_files_own_paths() {
    let error = parse("ai:\n  name: a\n  provider: {custom: {}}\n  timeouts: {idleMs: 0}\n", "").unwrap_err();
    let paths: Vec<_> = error.problems.iter().map(|problem| (problem.path.as_str(), problem.line)).collect();
    assert_eq!(paths, [("ai", Some(1)), ("ai.timeouts.idleMs", Some(4))]);
}

#[test]
fn the_two_forms_do_not_mix() {
    for (text, path) in [
        (
            "ai: {name: a, provider: {openAI: {}}, groups: [{providers: [{name: b, provider: {openAI: {}}}]}]}",
            "ai.provider",
        ),
        ("ai: {provider: {openAI: {}}}", "ai"),
        ("ai: {name: a}", "ai.name"),
        ("ai: {tokenize: true}", "ai.tokenize"),
        ("ai: {policies: {backendAuth: {aws: {}}}}", "ai.policies"),
    ] {
        let error = parse(text, "").expect_err(text);
        assert!(error.problems.iter().any(|problem| problem.path == path), "{text}: {error}");
    }
}

#[test]
fn every_form_of_a_key_reference_is_read() {
    let file = |key: &str| {
        format!(
            "ai: {{groups: [{{providers: [{{name: a, provider: {{openAI: {{}}}}, policies: {{backendAuth: {{key: {key}}}}}}}]}}]}}"
        )
    };
    for (form, expected) in [
        ("$KEY", "env:KEY"),
        ("'${KEY}'", "env:KEY"),
        ("'env:KEY'", "env:KEY"),
        ("{value: $KEY}", "env:KEY"),
        ("{file: /run/key}", "file:/run/key"),
        ("'secretsmanager:tollgate/openai#key'", "secretsmanager:tollgate/openai#key"),
    ] {
        assert_eq!(key(&config(&file(form))).to_string(), expected);
    }
}

#[test]
fn a_provider_kind_may_stand_alone() {
    let config = config("ai:\n  groups:\n  - providers:\n    - name: a\n      provider:\n        anthropic:\n");
    assert!(matches!(config.ai.groups[0].providers[0].provider, Provider::Anthropic(_)));
}

#[test]
fn a_providers_aliases_stay_with_it_and_its_routes_are_everyones() {
    let text = "
ai:
  groups:
  - providers:
    - name: a
      provider: {openAI: {}}
      policies: {ai: {modelAliases: {best: gpt-4o, 'fast*': gpt-4o-mini}, routes: {/chat: completions}}}
    - name: b
      provider: {anthropic: {}}
      policies: {ai: {modelAliases: {best: claude-opus-4}, routes: {/chat: completions, /talk: messages}}}
    - name: pinned
      provider: {anthropic: {model: claude-sonnet-4}}
      policies: {ai: {modelAliases: {best: claude-opus-4}}}
";
    let config = config(text);
    let sent: Vec<_> = config.providers().map(|entry| entry.model_for("best")).collect();
    assert_eq!(sent, ["gpt-4o", "claude-opus-4", "claude-sonnet-4"]);
    let sent: Vec<_> = config.providers().map(|entry| entry.model_for("fast-1")).collect();
    assert_eq!(sent, ["gpt-4o-mini", "fast-1", "claude-sonnet-4"]);
    assert_eq!(config.alias("best"), None);
    assert_eq!(config.route_type("/talk"), Some(RouteType::Messages));
}

#[test]
fn the_same_route_or_alias_with_two_meanings_is_an_error() {
    let text = "
ai:
  modelAliases: {m: a}
  routes: {/chat: completions}
  policies: {ai: {modelAliases: {m: b}}}
  groups:
  - providers:
    - name: a
      provider: {openAI: {}}
      policies: {ai: {routes: {/chat: messages}}}
";
    let error = parse(text, "").unwrap_err();
    let places: Vec<_> = error.problems.iter().map(|problem| (problem.path.as_str(), problem.line)).collect();
    assert_eq!(
        places,
        [
            ("ai.policies.ai.modelAliases.m", Some(5)),
            ("ai.groups[0].providers[0].policies.ai.routes[\"/chat\"]", Some(10))
        ]
    );
}

#[test]
fn json_is_read_too() {
    let text = "{\n\t\"ai\": {\n\t\t\"name\": \"a\",\n\t\t\"provider\": {\"openAI\": {\"model\": \"caf\\u00e9\\/1\"}}\n\t}\n}\n";
    assert_eq!(config(text).ai.groups[0].providers[0].provider.model(), Some("café/1"));
}

#[test]
fn yaml_words_that_older_readers_take_for_booleans_stay_texts() {
    let text = "
ai:
  modelAliases: {no: yes, on: off}
  groups:
  - on: [timeout, connect]
    providers: [{name: no, provider: {openAI: {}}}]
";
    let config = config(text);
    assert_eq!(config.alias("no"), Some("yes"));
    assert_eq!(config.ai.groups[0].on.as_ref().unwrap().len(), 2);
}

#[test]
fn anchors_and_merge_keys_save_repetition() {
    let text = "
ai:
  groups:
  - providers:
    - &base
      name: a
      provider: {openAI: {}}
      timeouts: {idleMs: 5000}
    - <<: *base
      name: b
";
    let config = config(text);
    let names: Vec<_> = config.providers().map(|entry| (entry.name.as_str(), entry.timeouts.idle_ms)).collect();
    assert_eq!(names, [("a", Some(5000)), ("b", Some(5000))]);
}

#[test]
fn one_anchor_may_serve_hundreds_of_providers() {
    let mut yaml = "ai:\n  groups:\n  - providers:\n    - {name: p0, provider: {custom: {}}, baseUrl: 'http://127.0.0.1:1', timeouts: &short {idleMs: 9}}\n".to_owned();
    for index in 1..300 {
        yaml += &format!(
            "    - {{name: p{index}, provider: {{custom: {{}}}}, baseUrl: 'http://127.0.0.1:1', timeouts: *short}}\n"
        );
    }
    let config = tollgate_config::parse(&yaml, "test").unwrap();
    assert_eq!(config.providers().filter(|entry| entry.timeouts.idle_ms == Some(9)).count(), 300);
}
