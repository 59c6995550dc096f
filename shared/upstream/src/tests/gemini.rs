use super::server::{Say, Server};
use super::*;

#[tokio::test]
async fn the_model_is_in_the_path_and_the_key_in_googles_header() {
    let server = Server::start(|_, _| Say::ok(CONTENT)).await;
    let key = Secret::new("gemini-key");
    let chains = chains(&format!(
        "provider: {{gemini: {{}}}}, baseUrl: '{}', policies: {{backendAuth: {{key: '{}'}}}}",
        server.url,
        key.reference()
    ));
    let answer = body(ask(&chains, Dialect::Chat, "models/gemini-2.5-pro", "").await);
    assert_eq!(answer["choices"][0]["message"]["content"], "hi");
    let seen = &server.seen("/")[0];
    assert_eq!(seen.target, "/v1beta/models/gemini-2.5-pro:generateContent");
    assert_eq!((seen.header("x-goog-api-key"), seen.header("authorization")), ("gemini-key", ""));
    assert_eq!(seen.json()["contents"][0]["parts"][0]["text"], "hello");
}

#[tokio::test]
async fn a_stream_is_asked_for_as_server_sent_events() {
    let server = Server::start(|_, _| Say::Json(503, "{}".to_owned())).await;
    let key = Secret::new("gemini-key");
    let chains = chains(&format!(
        "provider: {{gemini: {{}}}}, baseUrl: '{}', policies: {{backendAuth: {{key: '{}'}}}}",
        server.url,
        key.reference()
    ));
    let outcome = ask(&chains, Dialect::Chat, "gemini-2.5-pro", r#""stream":true,"#).await;
    assert!(outcome.result.is_err());
    assert_eq!(server.seen("/")[0].target, "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse");
}
