//! What a wrong file is told: where, what, and what to write instead; everything at once.

use tollgate_config::{ConfigError, parse};

fn error(text: &str) -> ConfigError {
    parse(text, "gateway.yaml").expect_err(text)
}

/// The lines of the message, without the file's name.
fn messages(text: &str) -> Vec<String> {
    error(text).to_string().lines().map(|line| line.trim_start_matches("gateway.yaml:").trim().to_owned()).collect()
}

/// One provider entry in a default chain, in flow style on one line.
fn entry(fields: &str) -> String {
    format!("ai: {{groups: [{{providers: [{{name: a, {fields}}}]}}]}}")
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    let message = error(text).to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in:\n{message}\nfor:\n{text}");
    }
}

#[test]
fn an_unknown_key_names_its_nearest_neighbour() {
    let text = "
ai:
  groups:
  - providers:
    - name: a
      provider: {openAI: {}}
    - name: b
      provider: {anthropic: {}}
      wieght: 2
";
    assert_eq!(messages(text), ["9:7: ai.groups[0].providers[1].wieght: unknown key; did you mean `weight`?"]);
}

#[test]
fn an_unknown_key_without_neighbours_lists_what_is_known() {
    assert_eq!(
        messages("request: {colour: red}"),
        ["1:11: request.colour: unknown key; known here: maxBodyBytes, timeoutMs, maxAttempts"]
    );
}

#[test]
fn every_problem_is_reported_in_the_order_of_the_file() {
    let text = "
lisen: 1
auth:
  issuers:
  - issuer: http://login.example
    tokenuse: access
  - {}
ai:
  groups:
  - providers:
    - name: 5
      provider: {openAI: {}}
    - name: a
      provider: {openAI: {modle: x}}
      weight: -1
    - name: b
      provider: {custom: {}}
  - providers: []
request: {timeoutMs: 0, maxAttempts: many}
";
    let paths: Vec<String> = error(text).problems.into_iter().map(|problem| problem.path).collect();
    assert_eq!(
        paths,
        [
            "lisen",
            "auth.issuers[0].issuer",
            "auth.issuers[0].tokenuse",
            "auth.issuers[1]",
            "ai.groups[0].providers[0].name",
            "ai.groups[0].providers[1].provider.openAI.modle",
            "ai.groups[0].providers[1].weight",
            "ai.groups[0].providers[2]",
            "ai.groups[1].providers",
            "request.timeoutMs",
            "request.maxAttempts",
        ]
    );
}

#[test]
fn a_mistake_is_reported_once_and_not_again_by_what_follows_from_it() {
    for text in [
        "auth: {issuers: [{issuer: 5}]}",
        "ai: {groups: [{providers: [{name: a, provider: {azureOpenAI: {}}}]}]}",
        "ai: {groups: [{providers: [{name: a, provider: {custom: {}}, baseurl: http://x}]}]}",
        "ai: {groups: [{providers: 5}]}",
        "ai: {models: [{match: [5], groups: [{providers: [{name: a, provider: {openAI: {}}}]}]}]}",
        "ai: {groups: [{providers: [{name: a, provider: {openAI: {}}, policies: {backendAuth: {key: {valeu: $A}}}}]}]}",
    ] {
        assert_eq!(error(text).problems.len(), 1, "{}", error(text));
    }
}

#[test]
fn a_wrong_type_says_what_is_wanted_and_when_quotes_would_do() {
    assert_says(&entry("provider: {openAI: {model: 4.1}}"), &["expected a text, found a number", "put it in quotes"]);
    assert_says("ai: {strict: yes}", &["1:14: ai.strict: expected true or false, found a text"]);
    assert_says("ai: {groups: {}}", &["ai.groups: expected a list, found a mapping"]);
    assert_says("ai: []", &["ai: expected a mapping, found a list"]);
    assert_says("- ai", &["expected a mapping, found a list"]);
    assert_says("listen: here", &["listen: is not an address", "127.0.0.1:8787"]);
    assert_says(
        "request: {maxAttempts: 5000000000}",
        &["expected a whole number, 0 or more, found the number 5000000000"],
    );
}

#[test]
fn providers_of_later_versions_are_named_as_such() {
    for provider in ["{azureOpenAI: {}}", "azureOpenAI"] {
        assert_says(
            &entry(&format!("provider: {provider}")),
            &["provider `azureOpenAI` is not served by this version yet", "it is named `azure` now"],
        );
    }
}

#[test]
fn an_unknown_provider_lists_the_known_ones() {
    assert_says(
        &entry("provider: {openAi: {}}"),
        &["did you mean `openAI`?", "openAI, anthropic, bedrock, gemini, azure, vertex, copilot, custom"],
    );
    assert_says(
        &entry("provider: {cohere: {}}"),
        &["unknown value `cohere`; known: openAI, anthropic, bedrock, gemini, azure, vertex, copilot, custom"],
    );
    assert_says(&entry("provider: {openAI: {}, anthropic: {}}"), &["must have exactly one key", "{bedrock: ..}"]);
    assert_says(&entry("provider: anthropic"), &["must be a mapping; write {anthropic: {}}"]);
}

#[test]
fn agentgateways_words_that_are_not_served_are_errors() {
    let unserved = "known in agentgateway, not served by this version yet";
    for word in ["compression", "transformations", "streaming"] {
        assert_says(&format!("ai: {{{word}: {{}}}}"), &[word, unserved, "remove it"]);
        assert_says(&format!("ai: {{policies: {{ai: {{{word}: {{}}}}}}}}"), &[word, unserved]);
        assert_says(
            &entry(&format!("provider: {{openAI: {{}}}}, policies: {{ai: {{{word}: {{}}}}}}")),
            &[word, unserved],
        );
    }
    for word in ["localRateLimit", "remoteRateLimit", "health", "requestHeaderModifier", "transformations", "extAuthz"]
    {
        assert_says(&entry(&format!("provider: {{openAI: {{}}}}, policies: {{{word}: {{}}}}")), &[word, unserved]);
    }
    for word in ["passthrough", "copilot", "crossAppAccess"] {
        let policy = format!("provider: {{openAI: {{}}}}, policies: {{backendAuth: {{{word}: {{}}}}}}");
        assert_says(&entry(&policy), &[word, unserved, "use `key`, `aws`, `azure` or `gcp`"]);
    }
    let policy = "provider: {azure: {resourceName: r}}, policies: {backendAuth: {azure: {developerImplicit: {}}}}";
    assert_says(&entry(policy), &[unserved, "use {azure: {implicit: {}}}, or"]);
    assert_says("binds: []", &["binds", unserved, "only the `ai` block"]);
    assert_says("cache: {}", &["`cache` is not served by this version yet"]);
}

#[test]
fn certificate_verification_cannot_be_switched_off() {
    for key in ["insecure", "insecureHost"] {
        let policy = format!("provider: {{openAI: {{}}}}, policies: {{backendTLS: {{{key}: true}}}}");
        assert_says(&entry(&policy), &["certificates are always verified", "`root`"]);
    }
}

#[test]
fn a_key_in_the_file_is_refused_and_never_repeated() {
    let key = "sk-proj-5EcrEt";
    for auth in [
        format!("{{key: {key}}}"),
        format!("{{key: '{key}'}}"),
        format!("{{key: {{value: {key}}}}}"),
        format!("{{key: {{{key}: x}}}}"),
        format!("{{key: [{key}]}}"),
        format!("{{key: {{file: [{key}]}}}}"),
        format!("{{key: 'env:{key}'}}"),
        format!("{{key: '${key}'}}"),
        format!("{{{key}: {{}}}}"),
        format!("{{aws: {{secretAccessKey: {key}}}}}"),
        format!("{{aws: {{{key}: x}}}}"),
        format!("{{aws: {key}}}"),
        format!("[{key}]"),
        key.to_owned(),
    ] {
        let error = error(&entry(&format!("provider: {{openAI: {{}}}}, policies: {{backendAuth: {auth}}}")));
        assert!(!format!("{error} {error:?}").contains("5EcrEt"), "{auth}: {error}");
    }
    assert_says(
        &entry("provider: {openAI: {}}, policies: {backendAuth: {key: sk-proj-1}}"),
        &["policies.backendAuth.key", "must not hold keys", "env:NAME", "secretsmanager:NAME#key", "file:PATH"],
    );
}

#[test]
fn broken_yaml_gives_the_place_and_no_line_of_the_file() {
    let text = "ai:\n  groups: [\n  key: sk-5EcrEt\n";
    let error = error(text);
    assert!(error.problems[0].line.is_some(), "{error}");
    assert!(!format!("{error} {error:?}").contains("5EcrEt"), "{error}");
}

#[test]
fn the_same_key_twice_is_an_error() {
    assert_eq!(messages("ai: {}\nauth: {}\nai: {}\n"), ["3:1: the key `ai` stands here twice"]);
}

#[test]
fn a_second_document_is_an_error() {
    assert_says("ai: {}\n---\nauth: {}\n", &["a second document"]);
}

#[test]
fn alias_bombs_are_stopped() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let ten = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb += &format!("a{i}: &a{i} [{ten}]\n");
    }
    assert_says(&bomb, &["grows beyond any configuration"]);
    assert_says(&format!("ai: {}{}", "[".repeat(200), "]".repeat(200)), &["grows beyond any configuration"]);
    assert_says(&format!("# {}", "x".repeat(2_000_000)), &["larger than"]);
    assert_says("ai: &a {groups: [*a]}", &["an alias contains itself"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = tollgate_config::load("no/such/file.yaml").unwrap_err().to_string();
    assert!(error.starts_with("no/such/file.yaml: cannot be read: "), "{error}");
}

#[test]
fn a_key_that_breaks_the_yaml_is_not_repeated_either() {
    for value in [
        "*sk-5EcrEt",
        "!sk-5EcrEt x",
        "sk-5EcrEt: x",
        "'sk-5EcrEt",
        "&sk-5EcrEt",
        "%sk-5EcrEt",
        "@sk-5EcrEt",
        "sk-5EcrEt\n\tx",
    ] {
        let text = format!(
            "ai:\n  name: a\n  provider: {{openAI: {{}}}}\n  policies:\n    backendAuth:\n      key: {value}\n"
        );
        let error = error(&text);
        assert!(!format!("{error} {error:?}").contains("5EcrEt"), "{value}: {error}");
    }
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let text = "\u{feff}ai:\r\n  strict: true\r\n  modelAliases:\r\n    a: b\r\n";
    let config = parse(text, "").unwrap();
    assert!(config.ai.strict);
    assert_eq!(config.alias("a"), Some("b"));
}
