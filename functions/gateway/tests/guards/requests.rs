//! Request hooks: pass, mask, reject, in order.

use serde_json::{Value, json};

use super::support::json_of;
use super::world::{CHAT, MESSAGES, PASS, REJECT, Server, answer, ask, guarded, hi, streamed, webhook};

#[tokio::test]
async fn a_hook_sees_texts_and_roles_and_nothing_else() {
    let (model, hook) = (Server::model().await, Server::hook(200, PASS).await);
    let router = guarded(&model, &format!("{{request: [{}]}}", webhook(&hook, "")));
    let chat = json!({"model": "m", "user": "u", "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "part a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}, {"type": "text", "text": "part b"}]},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "t", "content": "done"}]});
    let messages = json!({"model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "be"}, {"type": "text", "text": "brief"}],
        "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(ask(&router, CHAT, &chat).await.0, 200);
    assert_eq!(ask(&router, MESSAGES, &messages).await.0, 200);

    let seen = hook.seen();
    let message = |role: &str, content: &str| json!({"role": role, "content": content});
    assert_eq!(
        seen[0].2,
        json!({"body": {"messages": [message("system", "be brief"), message("user", "part a part b"), message("assistant", ""), message("tool", "done")]}})
    );
    assert_eq!(seen[1].2, json!({"body": {"messages": [message("system", "be brief"), message("user", "Hi")]}}));
    // As agentgateway: no identity, no model, no client header.
    for (path, headers, _) in &seen {
        assert_eq!((path.as_str(), &headers["content-type"]), ("/request", &"application/json".parse().unwrap()));
        let mut names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "content-length", "content-type", "host", "user-agent"]);
    }
    // A pass leaves the client's request as it is.
    assert_eq!(model.bodies(), [chat, messages]);
}

#[tokio::test]
async fn a_mask_replaces_texts_and_leaves_the_rest() {
    let model = Server::model().await;
    let hook = Server::start(|(_, _, body)| {
        let mut messages = body["body"]["messages"].clone();
        for message in messages.as_array_mut().unwrap() {
            message["content"] = message["content"].as_str().unwrap().replace("123-45-6789", "***").into();
        }
        answer(200, json!({"action": {"body": {"messages": messages}, "reason": "ssn"}}).to_string())
    })
    .await;
    let router = guarded(&model, &format!("{{request: [{}]}}", webhook(&hook, "")));
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}});
    let ask_about = |text: &str| {
        json!({"model": "m", "max_tokens": 9, "system": "my number is 123-45-6789".replace("123-45-6789", if text == "***" { "***" } else { "123-45-6789" }),
            "messages": [{"role": "user", "content": [{"type": "text", "text": format!("it is {text}")}, image]}], "new_field": [1, 2.5]})
    };
    assert_eq!(ask(&router, MESSAGES, &ask_about("123-45-6789")).await.0, 200);
    assert_eq!(model.bodies(), [ask_about("***")]);

    let chat = |text: &str| json!({"model": "m", "messages": [{"role": "user", "name": "x", "content": text}], "stop": ["123-45-6789"]});
    assert_eq!(ask(&router, CHAT, &chat("123-45-6789")).await.0, 200);
    assert_eq!(model.bodies()[1], chat("***"));
}

#[tokio::test]
async fn a_reject_is_told_verbatim_and_the_model_is_not_asked() {
    let model = Server::model().await;
    for (status, body, kind, told) in [
        (200, REJECT, "application/json", r#"{"error":{"message":"no money"}}"#),
        (403, REJECT, "application/json", r#"{"error":{"message":"no money"}}"#),
        (
            200,
            r#"{"action":{"body":"Budget exhausted","status_code":429}}"#,
            "text/plain; charset=utf-8",
            "Budget exhausted",
        ),
    ] {
        let hook = Server::hook(status, body).await;
        for more in ["", ", failureMode: failOpen"] {
            let router = guarded(&model, &format!("{{request: [{}]}}", webhook(&hook, more)));
            for (path, request) in [(CHAT, hi()), (MESSAGES, hi()), (CHAT, streamed()), (MESSAGES, streamed())] {
                assert_eq!(ask(&router, path, &request).await, (429, kind.to_owned(), told.to_owned()));
            }
        }
    }
    assert_eq!(model.seen().len(), 0);
}

#[tokio::test]
async fn hooks_are_asked_in_order_and_each_sees_what_the_one_before_it_masked() {
    let model = Server::model().await;
    let stars = r#"{"action":{"body":{"messages":[{"role":"user","content":"***"}]}}}"#;
    let (mask, pass, reject) =
        (Server::hook(200, stars).await, Server::hook(200, PASS).await, Server::hook(200, REJECT).await);
    let list = |hooks: &[&Server]| hooks.iter().map(|hook| webhook(hook, "")).collect::<Vec<_>>().join(", ");

    let router = guarded(&model, &format!("{{request: [{}]}}", list(&[&mask, &pass])));
    assert_eq!(ask(&router, CHAT, &hi()).await.0, 200);
    assert_eq!(pass.bodies(), [json!({"body": {"messages": [{"role": "user", "content": "***"}]}})]);
    assert_eq!(model.bodies()[0]["messages"], json!([{"role": "user", "content": "***"}]));

    let router = guarded(&model, &format!("{{request: [{}]}}", list(&[&reject, &pass])));
    assert_eq!(ask(&router, CHAT, &hi()).await.0, 429);
    assert_eq!((pass.seen().len(), model.seen().len()), (1, 1));
}

#[tokio::test]
async fn what_a_guard_could_read_otherwise_than_the_model_is_refused() {
    let (model, hook) = (Server::model().await, Server::hook(200, PASS).await);
    let router = guarded(&model, &format!("{{request: [{}]}}", webhook(&hook, "")));
    let twice = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"good","content":"bad"}]}"#;
    for path in [CHAT, MESSAGES] {
        let request = http::Request::post(path)
            .header("authorization", format!("Bearer {}", super::support::token()))
            .header("content-type", "application/json")
            .body(axum::body::Body::from(twice))
            .unwrap();
        let response = tower::ServiceExt::oneshot(router.clone(), request).await.unwrap();
        assert_eq!(response.status(), 400);
    }
    let object: Value = json!({"model": "m", "messages": [{"role": "user", "content": {"text": "x"}}]});
    let (status, _, body) = ask(&router, CHAT, &object).await;
    assert_eq!((status, json_of(&body)["error"]["param"].as_str()), (400, Some("messages[0].content")));
    assert_eq!((hook.seen().len(), model.seen().len()), (0, 0));
}

#[tokio::test]
async fn a_path_prefix_and_a_url_say_where_to_post() {
    let (model, hook) = (Server::model().await, Server::hook(200, PASS).await);
    let prefixed = webhook(&hook, ", pathPrefix: /v1/guardrails/budget");
    let by_url = format!("{{webhook: {{target: {{url: 'http://{}/a/b/'}}}}}}", hook.address);
    let router = guarded(&model, &format!("{{request: [{prefixed}, {by_url}], response: [{prefixed}]}}"));
    assert_eq!(ask(&router, CHAT, &hi()).await.0, 200);
    let paths: Vec<String> = hook.seen().into_iter().map(|(path, ..)| path).collect();
    assert_eq!(paths, ["/v1/guardrails/budget/request", "/a/b/request", "/v1/guardrails/budget/response"]);
}

#[tokio::test]
async fn what_no_guard_sees_does_not_pass_unless_the_configuration_says_so() {
    let (model, hook) = (Server::model().await, Server::hook(200, PASS).await);
    let guards = |more: &str| format!("{{request: [{}]{more}}}", webhook(&hook, ""));
    let router = guarded(&model, &guards(""));
    let (status, _, body) = ask(&router, "/v1/realtime/calls", &hi()).await;
    assert_eq!((status, json_of(&body)["error"]["code"].as_str()), (403, Some("guarded")));
    let realtime = http::Request::get("/v1/realtime?model=m")
        .header("authorization", format!("Bearer {}", super::support::token()))
        .body(axum::body::Body::empty())
        .unwrap();
    let response = tower::ServiceExt::oneshot(router.clone(), realtime).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(ask(&router, CHAT, &hi()).await.0, 200);
    assert_eq!((hook.seen().len(), model.seen().len()), (1, 1));

    let router = guarded(&model, &guards(", unguardedRoutes: [passthrough]"));
    assert_eq!(ask(&router, "/v1/realtime/calls", &hi()).await.0, 200);
    assert_eq!((hook.seen().len(), model.seen().len()), (1, 2));
}
