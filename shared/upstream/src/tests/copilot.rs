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

#[tokio::test]
async fn a_request_that_shows_a_picture_says_so_in_a_header_and_no_other_does() {
    let api = Server::start(|_, _| Say::ok(CHAT)).await;
    let github = Server::start(|_, _| Say::ok(r#"{"token":"t","expires_at":4102444800}"#)).await;
    let token = Secret::new("gho_secret");
    let chains = copilot(&github, &token, &format!(", baseUrl: '{}'", api.url));
    let seen = r#"{"model":"gpt-4.1","messages":[{"role":"user","content":[{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]}"#;
    let read = r#"{"model":"gpt-4.1","messages":[{"role":"user","content":"what is an image_url?"}]}"#;
    for body in [seen, read] {
        let inbound = Inbound::decode(Dialect::Chat, body.into(), Vec::new()).unwrap();
        super::body(ask_with(&chains, Dialect::Chat, "gpt-4.1", &inbound).await);
    }
    let headers: Vec<String> =
        api.seen("/").iter().map(|seen| seen.header("copilot-vision-request").to_owned()).collect();
    assert_eq!(headers, ["true", ""]);
}

#[tokio::test]
async fn a_newer_model_is_asked_in_the_responses_api_whatever_the_client_speaks() {
    let api = Server::start(|_, _| Say::ok(RESPONSE)).await;
    let github = Server::start(|_, _| Say::ok(r#"{"token":"t","expires_at":4102444800}"#)).await;
    let token = Secret::new("gho_secret");
    let chains = copilot(&github, &token, &format!(", baseUrl: '{}'", api.url));
    let answer = body(ask(&chains, Dialect::Chat, "gpt-5.4", "").await);
    assert_eq!(answer["choices"][0]["message"]["content"], "hi");
    let answer = body(ask(&chains, Dialect::Messages, "gpt-5.1-codex", "").await);
    assert_eq!(answer["content"][0]["text"], "hi");
    let inbound = Inbound::decode(Dialect::Responses, r#"{"model":"gpt-5.4","input":"hello"}"#.into(), Vec::new());
    let answer = body(ask_with(&chains, Dialect::Responses, "gpt-5.4", &inbound.unwrap()).await);
    assert_eq!(answer["output"][0]["content"][0]["text"], "hi");
    let seen = api.seen("/");
    assert!(
        seen.iter().all(|seen| seen.target == "/responses" && !seen.header("editor-version").is_empty()),
        "{seen:?}"
    );
    // Translated, nothing is to be kept; a client's own request stays as it is.
    assert_eq!((&seen[0].json()["store"], &seen[0].json()["model"]), (&false.into(), &"gpt-5.4".into()));
    assert_eq!(seen[2].body, r#"{"model":"gpt-5.4","input":"hello"}"#);
}
