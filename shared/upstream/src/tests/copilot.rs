use super::server::{Say, Server};
use super::*;

fn copilot(server: &Server, token: &Secret, more: &str) -> Chains {
    chains(&format!(
        "provider: {{copilot: {{tokenUrl: '{}/copilot_internal/v2/token'}}}}{more}, policies: {{backendAuth: {{key: '{}'}}}}",
        server.url,
        token.reference()
    ))
}

#[tokio::test]
async fn a_github_token_is_exchanged_and_the_answer_says_where_to_ask() {
    let api = Server::start(|seen, _| Say::ok(if seen.target.ends_with("/messages") { MESSAGE } else { CHAT })).await;
    let answer = format!(
        r#"{{"token":"tid=1;exp=2","expires_at":4102444800,"refresh_in":1500,"endpoints":{{"api":"{}"}}}}"#,
        api.url
    );
    let github = Server::start(move |_, _| Say::ok(answer.clone())).await;
    let token = Secret::new("gho_secret\n");
    let chains = copilot(&github, &token, "");
    body(ask(&chains, Dialect::Chat, "gpt-4.1", "").await);
    body(ask(&chains, Dialect::Messages, "claude-sonnet-4.5", "").await);
    let exchanged = github.seen("/");
    assert_eq!(exchanged.len(), 1);
    assert_eq!((exchanged[0].method.as_str(), exchanged[0].header("authorization")), ("GET", "token gho_secret"));
    let asked = api.seen("/");
    let targets: Vec<&str> = asked.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(targets, ["/chat/completions", "/v1/messages"]);
    for seen in asked.iter().chain(&exchanged) {
        assert!(seen.header("editor-version").starts_with("vscode/"), "{seen:?}");
        assert_eq!(seen.header("copilot-integration-id"), "vscode-chat");
    }
    assert!(asked.iter().all(|seen| seen.header("authorization") == "Bearer tid=1;exp=2"), "{asked:?}");
}

#[tokio::test]
async fn a_host_that_is_configured_stays() {
    let api = Server::start(|_, _| Say::ok(CHAT)).await;
    let said = r#"{"token":"t","expires_at":4102444800,"endpoints":{"api":"http://127.0.0.1:1"}}"#;
    let github = Server::start(move |_, _| Say::ok(said)).await;
    let token = Secret::new("gho_secret");
    body(ask(&copilot(&github, &token, &format!(", baseUrl: '{}'", api.url)), Dialect::Chat, "gpt-4.1", "").await);
    assert_eq!(api.seen("/").len(), 1);
}
