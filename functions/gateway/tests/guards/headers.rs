//! What a hook is told beside the texts: only what its configuration names.

use serde_json::json;

use super::support::token;
use super::world::{CHAT, PASS, Server, ask, ask_with, guarded, hi, webhook};

#[tokio::test]
async fn templates_are_filled_from_the_token_and_the_request() {
    let (model, hook) = (Server::model().await, Server::hook(200, PASS).await);
    let headers = "headers: {x-user: '{claims.sub}', x-who: '{team}/{tier}/{client_id}', x-model: '{model}', \
        x-max-tokens: '{max_tokens?}', x-route: '{route}', authorization: 'Bearer {token}', x-api-key: fixed}";
    let router =
        guarded(&model, &format!("{{request: [{0}], response: [{0}]}}", webhook(&hook, &format!(", {headers}"))));
    assert_eq!(ask(&router, CHAT, &hi()).await.0, 200);
    let uncapped = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(ask(&router, CHAT, &uncapped).await.0, 200);

    let seen = hook.seen();
    assert_eq!(seen.len(), 4);
    for (index, (_, headers, _)) in seen.iter().enumerate() {
        assert_eq!(headers["x-user"], "client");
        assert_eq!(headers["x-who"], "search/standard/client");
        assert_eq!(
            (&headers["x-model"], &headers["x-route"]),
            (&"m".parse().unwrap(), &"completions".parse().unwrap())
        );
        assert_eq!(headers.get("x-max-tokens").map(|value| value.to_str().unwrap()), (index < 2).then_some("9"));
        assert!(headers["authorization"].to_str().unwrap().starts_with("Bearer ey"));
        assert_eq!(headers["x-api-key"], "fixed");
    }
}

#[tokio::test]
async fn a_missing_identity_is_a_deny_also_under_fail_open() {
    let (model, hook) = (Server::model().await, Server::hook(200, PASS).await);
    for template in ["{claims.email}", "{header.x-user}", "{claims.custom:missing}"] {
        for mode in ["failClosed", "failOpen"] {
            let guard = webhook(&hook, &format!(", failureMode: {mode}, headers: {{x-user: '{template}'}}"));
            let router = guarded(&model, &format!("{{request: [{guard}]}}"));
            assert_eq!(ask(&router, CHAT, &hi()).await.0, 503, "{template} {mode}");
        }
    }
    assert_eq!((hook.seen().len(), model.seen().len()), (0, 0));
}

#[tokio::test]
async fn client_headers_are_forwarded_only_where_they_fit() {
    let (model, hook) = (Server::model().await, Server::hook(200, PASS).await);
    let forward = "forwardHeaderMatches: [{name: X-Tenant}, {name: x-channel, value: {regex: 'web|app'}}, {name: x-mode, value: {exact: a}}]";
    let router = guarded(&model, &format!("{{request: [{}]}}", webhook(&hook, &format!(", {forward}"))));
    let sent = [("x-tenant", "acme"), ("x-channel", "webapp"), ("x-mode", "a"), ("x-other", "1"), ("x-user", "forged")];
    assert_eq!(ask_with(&router, CHAT, &hi(), &sent).await.0, 200);
    let (_, headers, _) = hook.seen().remove(0);
    assert_eq!((&headers["x-tenant"], &headers["x-mode"]), (&"acme".parse().unwrap(), &"a".parse().unwrap()));
    for name in ["x-channel", "x-other", "x-user", "authorization"] {
        assert!(!headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_client_cannot_forge_what_a_template_sets() {
    let (model, hook) = (Server::model().await, Server::hook(200, PASS).await);
    let guard = webhook(
        &hook,
        ", forwardHeaderMatches: [{name: x-team}, {name: x-cap}], headers: {x-team: '{team}', x-cap: '{max_tokens?}'}",
    );
    let router = guarded(&model, &format!("{{request: [{guard}]}}"));
    let uncapped = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(ask_with(&router, CHAT, &uncapped, &[("x-team", "other"), ("x-cap", "1")]).await.0, 200);
    let (_, headers, _) = hook.seen().remove(0);
    let teams: Vec<_> = headers.get_all("x-team").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!((teams, headers.contains_key("x-cap")), (vec!["search"], false));
}

#[tokio::test]
async fn a_header_that_is_not_ascii_is_never_forwarded_raw() {
    let (model, hook) = (Server::model().await, Server::hook(200, PASS).await);
    let router =
        guarded(&model, &format!("{{request: [{}]}}", webhook(&hook, ", forwardHeaderMatches: [{name: x-tenant}]")));
    let request = http::Request::post(CHAT)
        .header("authorization", format!("Bearer {}", token()))
        .header("content-type", "application/json")
        .header("x-tenant", http::HeaderValue::from_bytes(b"caf\xc3\xa9").unwrap())
        .body(axum::body::Body::from(hi().to_string()))
        .unwrap();
    let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!((response.status().as_u16(), hook.seen().len()), (503, 0));
}
