use super::server::{Say, Server};
use super::*;

#[tokio::test]
async fn cache_marks_reach_an_upstream_that_knows_them_from_every_dialect_and_no_other() {
    let server =
        Server::start(|seen, _| Say::ok(if seen.target.ends_with("/messages") { MESSAGE } else { CHAT })).await;
    let caching = "policies: {ai: {promptCaching: {minTokens: 0, cacheMessages: false}}}";
    let anthropic = chains(&format!(
        "provider: {{custom: {{formats: [{{type: messages}}]}}}}, baseUrl: '{}', {caching}",
        server.url
    ));
    let system = r#"{"role":"system","content":"Be brief."}"#;
    let request = format!(r#"{{"model":"m","messages":[{system},{{"role":"user","content":"hello"}}]}}"#);
    let inbound = Inbound::decode(Dialect::Chat, Bytes::from(request), Vec::new()).unwrap();
    body(ask_with(&anthropic, Dialect::Chat, "m", &inbound).await);
    body(ask(&anthropic, Dialect::Messages, "m", r#""system":"Be brief.","#).await);
    let marked = serde_json::json!([{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]);
    for seen in server.seen("/messages") {
        assert_eq!(seen.json()["system"], marked, "{seen:?}");
    }
    let openai = chains(&format!("provider: {{custom: {{}}}}, baseUrl: '{}', {caching}", server.url));
    body(ask_with(&openai, Dialect::Chat, "m", &inbound).await);
    body(ask(&openai, Dialect::Messages, "m", r#""system":"Be brief.","#).await);
    for seen in server.seen("/chat/completions") {
        assert!(!seen.body.contains("cache_control"), "{seen:?}");
    }
    assert_eq!((server.seen("/messages").len(), server.seen("/chat/completions").len()), (2, 2));
}

#[tokio::test]
async fn what_a_preset_refuses_is_not_sent_to_it() {
    let server = Server::start(|_, _| Say::Json(503, "{}".to_owned())).await;
    for (preset, there) in [("cohere", false), ("groq", true)] {
        let key = Secret::new("k");
        let chains = chains(&format!(
            "provider: {{custom: {{preset: {preset}}}}}, baseUrl: '{}/{preset}', policies: {{backendAuth: {{key: '{}'}}}}",
            server.url,
            key.reference()
        ));
        assert!(ask(&chains, Dialect::Chat, "m", r#""stream":true,"#).await.result.is_err());
        let seen = &server.seen(preset)[0];
        assert_eq!(seen.target, format!("/{preset}/chat/completions"));
        assert_eq!(seen.json().get("stream_options").is_some(), there, "{seen:?}");
    }
}
