//! `promptGuard`: agentgateway's forms, this gateway's own, and what is refused.

use tollgate_config::{GuardFailureMode, GuardStreaming, GuardTarget, PromptGuard, parse};

fn guard(text: &str) -> PromptGuard {
    let config = parse(text, "").unwrap_or_else(|error| panic!("{text}\n{error}"));
    config.ai.prompt_guard.unwrap()
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    let message = parse(text, "gateway.yaml").expect_err(text).to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in:\n{message}\nfor:\n{text}");
    }
}

fn webhook(fields: &str) -> String {
    format!("ai: {{promptGuard: {{request: [{{webhook: {{{fields}}}}}]}}}}")
}

#[test]
fn agentgateways_webhook_is_read_in_both_places() {
    let block = "
      request:
      - webhook:
          target: {host: '127.0.0.1:9102'}
          failureMode: failOpen
          forwardHeaderMatches:
          - {name: h1, value: {exact: v1}}
          - {name: h2, value: {regex: v2.*}}
      response:
      - webhook: {target: {host: 'hooks.example:443'}}
      streaming: Disabled
";
    let there = guard(&format!("ai:\n  policies:\n    ai:\n     promptGuard:{block}"));
    let here = guard(&format!("ai:\n    promptGuard:{block}"));
    assert_eq!(there, here);
    let hook = &here.request[0].webhook;
    assert_eq!(hook.target, GuardTarget::Host("127.0.0.1:9102".to_owned()));
    assert_eq!((hook.failure_mode, hook.timeout().as_millis()), (GuardFailureMode::FailOpen, 10_000));
    assert!(hook.forward_header_matches[1].fits("v2.9") && !hook.forward_header_matches[0].fits("v2"));
    assert_eq!(here.response[0].webhook.failure_mode, GuardFailureMode::FailClosed);
    assert_eq!(here.streaming, GuardStreaming::Skip);
}

#[test]
fn streams_are_held_unless_the_file_says_otherwise() {
    assert_eq!(guard("ai: {promptGuard: {}}").streaming, GuardStreaming::Buffer);
    assert_eq!(guard("ai: {promptGuard: {streaming: Enabled}}").streaming, GuardStreaming::Buffer);
    assert_says("ai: {promptGuard: {streaming: of}}", &["unknown value `of`; known: buffer, skip"]);
}

#[test]
fn both_places_at_once_are_an_error_and_a_providers_own_place_is() {
    assert_says(
        "ai: {promptGuard: {}, policies: {ai: {promptGuard: {}}}}",
        &["ai.policies.ai.promptGuard", "keep one of the two"],
    );
    for at in ["policies: {ai: {promptGuard: {}}}", "policies: {promptGuard: {}}", "promptGuard: {}"] {
        assert_says(
            &format!("ai: {{groups: [{{providers: [{{name: a, provider: {{openAI: {{}}}}, {at}}}]}}]}}"),
            &["promptGuard", "move it to `ai.promptGuard`"],
        );
    }
}

#[test]
fn other_guards_are_never_skipped() {
    for kind in ["regex", "openAIModeration", "bedrockGuardrails", "googleModelArmor", "azureContentSafety"] {
        for phase in ["request", "response"] {
            assert_says(
                &format!("ai: {{promptGuard: {{{phase}: [{{{kind}: {{}}}}]}}}}"),
                &[kind, "known in agentgateway, not served by this version yet", "a guard is a `webhook`"],
            );
        }
    }
    assert_says("ai: {promptGuard: {request: [{}]}}", &["the key `webhook` is missing"]);
}

#[test]
fn a_target_is_an_address() {
    for (target, says) in [
        ("{backend: /hooks}", "there are no backends here"),
        ("{service: {name: x}}", "there are no backends here"),
        ("{host: hooks}", "has no port"),
        ("{url: 'https://user:pass@hooks.example'}", "has credentials"),
        ("{url: 'ftp://hooks.example'}", "unknown scheme"),
        ("{url: hooks.example}", "is not a URL"),
        ("{lambda: my-function}", "not the ARN of a Lambda function"),
        ("{host: 'a:1', url: 'http://a'}", "must have exactly one key"),
        ("{}", "must have exactly one key"),
    ] {
        assert_says(&webhook(&format!("target: {target}")), &["target", says]);
    }
    guard(&webhook("target: {url: 'http://10.0.0.7:8080/hooks'}"));
}

#[test]
fn paths_headers_and_times_are_checked() {
    for (fields, says) in [
        ("pathPrefix: hooks", "is not a path"),
        ("pathPrefix: /hooks/", "ends with a slash"),
        ("timeoutMs: 0", "must be more than 0"),
        ("path: /x", "known in agentgateway"),
        ("headers: {':path': /x}", "pseudo headers"),
        ("headers: {content-type: text/plain}", "set by the gateway itself"),
        ("headers: {'a b': x}", "is not the name of a header"),
        ("headers: {x-user: jwt.sub}", "CEL"),
        ("headers: {x-user: '{user}'}", "`{user}` is unknown"),
        ("forwardHeaderMatches: [{name: host}]", "set by the gateway itself"),
        ("forwardHeaderMatches: [{name: x, value: {regex: '('}}]", "not a regular expression"),
        ("failureMode: open", "known: failClosed, failOpen"),
    ] {
        assert_says(&webhook(&format!("target: {{host: 'a:1'}}, {fields}")), &[says]);
    }
    assert_says(&webhook("target: {url: 'https://a/b'}, pathPrefix: /c"), &["the URL has a path already"]);
}

#[test]
fn the_place_of_a_problem_is_the_files_own() {
    let text = "ai:\n  policies:\n    ai:\n      promptGuard:\n        request:\n        - webhook:\n            target: {host: x}\n";
    let error = parse(text, "").unwrap_err();
    let places: Vec<_> = error.problems.iter().map(|problem| (problem.path.as_str(), problem.line)).collect();
    assert_eq!(places, [("ai.policies.ai.promptGuard.request[0].webhook.target.host", Some(7))]);
}

#[test]
fn routes_that_no_guard_sees_have_to_be_meant() {
    let hook = "{webhook: {target: {host: 'h:1'}}}";
    let file = |guard: &str, routes: &str| format!("ai: {{promptGuard: {{{guard}}}, routes: {{{routes}}}}}");
    for (route, kind) in [("/v1/files", "passthrough"), ("'*'", "detect"), ("/live", "realtime")] {
        let (routes, reason) = (format!("{route}: {kind}"), format!("is `{kind}`, which no guard of promptGuard sees"));
        for guards in [format!("request: [{hook}]"), format!("response: [{hook}]")] {
            assert_says(&file(&guards, &routes), &["ai.routes", &reason, "promptGuard.unguardedRoutes"]);
            guard(&file(&format!("{guards}, unguardedRoutes: [{kind}]"), &routes));
        }
        guard(&file("request: []", &routes));
    }
    guard(&file(&format!("request: [{hook}]"), "/chat: completions"));
    assert_says(&file("unguardedRoutes: [completions]", ""), &["known: passthrough, detect, realtime"]);
}
