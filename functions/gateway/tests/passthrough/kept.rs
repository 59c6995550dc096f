//! Responses that a provider keeps: asked for by their ids.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::support::{gateway, json_of, token};

/// The second provider keeps `resp_1`, a rule's `resp_9`, and the others nothing.
async fn upstream(request: Request) -> Response {
    let said = format!(r#"{{"method":"{}","path":"{}"}}"#, request.method(), request.uri());
    let keeps = ["/second/v1/responses/resp_1", "/ruled/v1/responses/resp_9"];
    let keeps = keeps.iter().any(|kept| request.uri().path().starts_with(kept));
    let (status, body) = if keeps { (200, said) } else { (404, r#"{"error":{"message":"not found"}}"#.to_owned()) };
    http::Response::builder().status(status).header("content-type", "application/json").body(Body::from(body)).unwrap()
}

async fn world(more: &str) -> Router {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(upstream)).await });
    let group = |name: &str, kinds: &str| {
        format!(
            "  - providers: [{{name: {name}, baseUrl: 'http://{address}/{name}', provider: {{custom: {{formats: [{kinds}]}}}}}}]\n"
        )
    };
    let both = "{type: completions}, {type: responses}";
    let groups = [group("chat", "{type: completions}"), group("first", both), group("second", both)].concat();
    let rule = |name: &str| format!("  - match: [{name}]\n    groups:\n  {}", group(name, both));
    let rules = ["second", "ruled"].map(rule);
    gateway(&format!("ai:\n  groups:\n{groups}  models:\n{}{more}", rules.concat()))
}

async fn ask(router: &Router, method: &str, path: &str) -> (http::response::Parts, serde_json::Value) {
    let request = http::Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("Bearer {}", token())).body(Body::empty()).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts, json_of(std::str::from_utf8(&body).unwrap()))
}

#[tokio::test]
async fn a_kept_response_is_looked_for_where_the_responses_api_is() {
    let router = world("").await;
    for (method, path) in [
        ("GET", "/v1/responses/resp_1?include[]=x"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items?limit=2"),
    ] {
        let (parts, said) = ask(&router, method, path).await;
        assert_eq!(parts.status, 200, "{method} {path}: {said}");
        assert_eq!((said["method"].as_str(), said["path"].as_str()), (Some(method), Some(&*format!("/second{path}"))));
        assert_eq!(parts.headers["x-tollgate-attempts"], "2", "chat keeps none and is not asked");
    }
}

#[tokio::test]
async fn a_provider_that_only_a_rule_names_is_asked_too_and_nobody_twice() {
    let (parts, said) = ask(&world("  \nrequest: {maxAttempts: 1}\n").await, "GET", "/v1/responses/resp_9").await;
    assert_eq!((parts.status.as_u16(), said["path"].as_str()), (200, Some("/ruled/v1/responses/resp_9")));
    assert_eq!(parts.headers["x-tollgate-attempts"], "3", "first, second, ruled");
}

#[tokio::test]
async fn a_response_that_nobody_keeps_and_a_wrong_method_are_said() {
    let router = world("").await;
    let (parts, said) = ask(&router, "GET", "/v1/responses/resp_2").await;
    assert_eq!((parts.status.as_u16(), said["error"]["message"].as_str()), (404, Some("not found")));
    let (parts, _) = ask(&router, "POST", "/v1/responses/resp_1").await;
    assert_eq!((parts.status.as_u16(), &parts.headers["allow"]), (405, &"GET, DELETE".parse().unwrap()));
}

#[tokio::test]
async fn where_guards_check_answers_kept_ones_are_not_served() {
    let guards = "  promptGuard: {response: [{webhook: {target: {host: 'localhost:1'}}}]}\n";
    let (parts, said) = ask(&world(guards).await, "GET", "/v1/responses/resp_1").await;
    assert_eq!((parts.status.as_u16(), said["error"]["code"].as_str()), (403, Some("guarded")));
}
