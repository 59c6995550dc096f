use super::server::{Say, Server};
use super::*;

#[tokio::test]
async fn mantle_is_signed_in_its_own_name_and_asked_in_openais_dialect() {
    let server = Server::start(|_, _| Say::ok(CHAT)).await;
    let chains = chains(&format!(
        "provider: {{bedrock: {{openAIEndpoint: mantle, region: us-west-2}}}}, baseUrl: '{}'",
        server.url
    ));
    body(ask(&chains, Dialect::Chat, "openai.gpt-oss-120b", "").await);
    let seen = &server.seen("/")[0];
    assert_eq!(seen.target, "/v1/chat/completions");
    let signature = seen.header("authorization");
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{signature}");
    assert!(signature.contains("/us-west-2/bedrock-mantle/aws4_request"), "{signature}");
    assert!(signature.contains("host;x-amz-date;x-amz-security-token"), "{signature}");
    assert_eq!(seen.header("x-amz-security-token"), "aws-session");
}

#[tokio::test]
async fn invoke_model_takes_a_bedrock_api_key_too() {
    let server = Server::start(|_, _| Say::ok(MESSAGE)).await;
    let key = Secret::new("bedrock-key\n");
    let chains = chains(&format!(
        "provider: {{bedrock: {{region: us-west-2}}}}, baseUrl: '{}', policies: {{backendAuth: {{key: '{}'}}}}",
        server.url,
        key.reference()
    ));
    body(ask(&chains, Dialect::Messages, "anthropic.claude-opus-4-8", "").await);
    let seen = &server.seen("/")[0];
    assert_eq!(seen.target, "/model/anthropic.claude-opus-4-8/invoke");
    assert_eq!((seen.header("authorization"), seen.header("x-amz-date")), ("Bearer bedrock-key", ""));
}

#[tokio::test]
async fn the_runtimes_openai_endpoint_is_signed_as_bedrock_in_the_ambient_region() {
    let server = Server::start(|_, _| Say::ok(CHAT)).await;
    let chains = chains(&format!("provider: {{bedrock: {{openAIEndpoint: runtime}}}}, baseUrl: '{}'", server.url));
    body(ask(&chains, Dialect::Messages, "openai.gpt-oss-120b-1:0", "").await);
    let seen = &server.seen("/")[0];
    assert_eq!(seen.target, "/openai/v1/chat/completions");
    assert!(seen.header("authorization").contains("/eu-west-1/bedrock/aws4_request"));
}

#[tokio::test]
async fn a_bedrock_api_key_is_a_bearer_token_and_nothing_is_signed() {
    let server = Server::start(|_, _| Say::ok(MESSAGE)).await;
    let key = Secret::new("bedrock-key");
    let chains = chains(&format!(
        "provider: {{bedrock: {{openAIEndpoint: mantle, region: us-west-2}}}}, baseUrl: '{}', policies: {{backendAuth: {{key: '{}'}}}}",
        server.url,
        key.reference()
    ));
    body(ask(&chains, Dialect::Chat, "anthropic.claude-opus-4-8", "").await);
    let seen = &server.seen("/")[0];
    assert_eq!(seen.target, "/anthropic/v1/messages");
    assert_eq!((seen.header("authorization"), seen.header("x-amz-date")), ("Bearer bedrock-key", ""));
}

#[tokio::test]
async fn a_model_that_mantle_has_in_the_responses_api_only_is_asked_there_and_signed() {
    let server = Server::start(|_, _| Say::ok(RESPONSE)).await;
    let chains = chains(&format!(
        "provider: {{bedrock: {{openAIEndpoint: mantle, region: us-east-2}}}}, baseUrl: '{}'",
        server.url
    ));
    let answer = body(ask(&chains, Dialect::Chat, "openai.gpt-5.5", "").await);
    assert_eq!(answer["choices"][0]["message"]["content"], "hi");
    let inbound =
        Inbound::decode(Dialect::Responses, r#"{"model":"openai.gpt-oss-20b","input":"hello"}"#.into(), Vec::new());
    body(ask_with(&chains, Dialect::Responses, "openai.gpt-oss-20b", &inbound.unwrap()).await);
    let seen = server.seen("/");
    let targets: Vec<&str> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(targets, ["/openai/v1/responses", "/v1/responses"]);
    for seen in seen {
        assert!(seen.header("authorization").contains("/us-east-2/bedrock-mantle/aws4_request"), "{seen:?}");
    }
}
