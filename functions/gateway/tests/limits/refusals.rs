//! What a request over a limit is told.

use serde_json::json;

use super::support::gateway;
use super::world::{Answer, BUDGET, CHAT, MESSAGES, RESPONSES, World, hi, is_off};

async fn refused(world: &World, path: &str) -> Answer {
    assert_eq!(world.ask(path, &hi(10, false)).await.status, 200);
    let answer = world.ask(path, &hi(10, false)).await;
    assert_eq!(answer.status, 429);
    answer
}

#[tokio::test]
async fn requests_per_minute() {
    let reason = "RPM limit exceeded (2/1 requests per minute)";
    let limits = "  teams: {search: {requestsPerMinute: 1}}\n";
    let answer = refused(&World::new(&["ok"], limits).await, CHAT).await;
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert_eq!(answer.header("x-ratelimit-limit-requests"), "1");
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "0");
    assert!(answer.header("x-ratelimit-reset-requests").ends_with('s'));
    assert_eq!(answer.header("x-should-retry"), "", "the SDKs may try again");
    let expected = json!({"error": {"message": reason, "type": "rate_limit_error", "param": null, "code": "rate_limit_exceeded"},
        "allowed": false, "reason": reason, "retry_after_seconds": seconds});
    let body = answer.json().await;
    assert_eq!(body["error"]["message"], expected["error"]["message"]);
    assert_eq!(body["error"]["code"], expected["error"]["code"]);
    assert_eq!(
        [&body["allowed"], &body["reason"], &body["retry_after_seconds"]],
        [&json!(false), &json!(reason), &json!(seconds)]
    );

    let answer = refused(&World::new(&["ok"], limits).await, MESSAGES).await;
    assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), "1");
    assert!(answer.header("anthropic-ratelimit-requests-reset").ends_with('Z'));
    assert_eq!(answer.header("x-ratelimit-limit-requests"), "");
    let body = answer.json().await;
    assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!("rate_limit_error")));
    assert_eq!((&body["allowed"], &body["reason"]), (&json!(false), &json!(reason)));
}

#[tokio::test]
async fn a_spent_budget_is_not_tried_again() {
    for (limits, starts) in [
        ("  teams: {search: {usdPerMonth: 0.0003}}\n", "budget exceeded ("),
        ("  users: {usdPerMonth: 0.0003}\n", "user budget exceeded ("),
        ("  gateway: {usdPerMonth: 0.0003}\n", "gateway budget exceeded ("),
        ("  models: {'any*': {usdPerMonth: 0.0003}}\n", "model any* budget exceeded ("),
        ("  teams: {search: {models: {'m0': {usdPerMonth: 0.0003}}}}\n", "budget for m0 exceeded ("),
    ] {
        let answer = refused(&World::new(&["ok"], limits).await, CHAT).await;
        assert_eq!(answer.header("x-should-retry"), "false", "{limits}");
        let body = answer.json().await;
        assert!(body["reason"].as_str().unwrap().starts_with(starts), "{body}");
        assert_eq!(body["error"]["code"], "insufficient_quota");
    }
}

#[tokio::test]
async fn a_refused_request_reaches_no_upstream_and_costs_nothing() {
    let world = World::new(&["ok"], "  teams: {search: {tokensPerDay: 1000}}\n").await;
    let answer = world.ask(CHAT, &hi(100_000, false)).await;
    assert_eq!((answer.status, answer.header("x-tollgate-attempts")), (429, ""));
    assert!(answer.json().await["reason"].as_str().unwrap().contains("lower max_tokens"));
    assert_eq!(world.left().await, [1_000_000, BUDGET]);
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_before_it_costs_anything() {
    let world = World::new(&["ok", "ok", "ok"], "").await;
    let answer = world.ask(CHAT, &hi(10, false)).await;
    assert_eq!(answer.status, 400);
    let body = answer.json().await;
    assert_eq!(body["error"]["code"], "model_not_priced");
    assert!(body["error"]["message"].as_str().unwrap().contains("custom/m2"), "{body}");
}

#[tokio::test]
async fn without_a_ledger_failure_mode_decides() {
    for mode in ["open", "closed"] {
        let router = gateway(&format!(
            "ai: {{groups: [{{providers: [{{name: p, baseUrl: 'http://127.0.0.1:1', provider: {{custom: {{model: m}}}}}}]}}]}}\nlimits: {{failureMode: {mode}, ledger: \
             {{endpoint: 'http://127.0.0.1:1'}}, unknownModelPrice: {{input: 1, output: 1}}}}\n"
        ));
        let world = World { router, ..World::new(&["ok"], "").await };
        let answer = world.ask(CHAT, &hi(10, false)).await;
        assert_eq!(answer.status, 503);
        let code = answer.json().await["error"]["code"].clone();
        assert_eq!(
            code == "limits_unavailable",
            mode == "closed",
            "open: the upstream is asked, which is not there either: {code}"
        );
    }
}

#[test]
fn off_is_a_word() {
    assert!(is_off("limits: {quota: off}") && !is_off("limits: {}"));
}

#[tokio::test]
async fn an_answer_in_the_background_whose_cost_has_no_bound() {
    let world = World::new(&["responses-queue"], "").await;
    for (field, more) in [
        ("max_output_tokens", json!({})),
        ("previous_response_id", json!({"previous_response_id": "resp_0", "max_output_tokens": 9})),
        ("conversation", json!({"conversation": "conv_0", "max_output_tokens": 9})),
        ("prompt", json!({"prompt": {"id": "pmpt_0"}, "max_output_tokens": 9})),
        (
            "tools",
            json!({"tools": [{"type": "function", "name": "f"}, {"type": "web_search"}], "max_output_tokens": 9}),
        ),
    ] {
        let mut body = json!({"model": "any", "input": "Hello", "background": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = world.ask(RESPONSES, &body).await;
        assert_eq!(answer.status, 400, "{field}");
        let error = answer.json().await["error"].clone();
        assert_eq!((&error["param"], &error["code"]), (&json!(field), &json!("unbounded_background")));
    }
    assert_eq!(world.left().await, [1_000_000, BUDGET]);
}
