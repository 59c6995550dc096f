//! The contract and the native form, with tokens and money.

use serde_json::{Value, json};
use tollgate_budget::Budget;
use tollgate_hooks::run::Function;

use super::support::{HOOK, deliver, event, events, function, post, token};
use super::world::{TRUSTED, World};

#[tokio::test]
async fn a_request_reserves_its_prompt_and_its_cap_until_the_money_is_gone() {
    let world = World::new().await;
    let token = token();
    let asks = |cap: &'static str| {
        let (router, token) = (world.router.clone(), token.clone());
        async move {
            let headers = [("x-api-key", token.as_str()), ("x-model", "dear"), ("x-max-tokens", cap)];
            post(&router, "/v1/guardrails/budget/request", &headers, HOOK).await
        }
    };
    // A dollar per thousand tokens, a dollar a month; of the prompt every byte may be one.
    assert_eq!(asks("300").await.reject(), None);
    assert_eq!(asks("300").await.reject(), None);
    let answer = asks("300").await;
    assert_eq!((answer.status, answer.reject()), (200, Some(429)));
    let body: Value = serde_json::from_str(answer.json()["action"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "budget_exceeded");
    assert!(body["reason"].as_str().unwrap().starts_with("budget exceeded ("), "{body}");
    assert!(body["retry_after_seconds"].as_u64().unwrap() >= 1);
    assert_eq!(asks("50").await.reject(), None, "there is room for a smaller one");
    assert_eq!(asks("many").await.reject(), Some(400));
    assert_eq!(asks("-1").await.reject(), Some(400));
}

#[tokio::test]
async fn without_a_model_or_a_price_it_is_refused_with_the_reason() {
    let world = World::new().await;
    let token = token();
    for (headers, says) in [
        (vec![], "x-tollgate-model"),
        (vec![("x-model", "no-such-model")], "no-such-model has no price"),
        (
            vec![("x-model", "m"), ("x-tollgate-provider", "openai"), ("x-tollgate-model", "nothing")],
            "openAI/nothing has no price",
        ),
    ] {
        let headers: Vec<(&str, &str)> = [("x-api-key", token.as_str())].into_iter().chain(headers).collect();
        let answer = post(&world.router, "/request", &headers, HOOK).await;
        assert_eq!((answer.status, answer.reject()), (200, Some(403)), "{says}");
        assert!(answer.body.contains(says), "{says}: {}", answer.body);
    }
    let priced = World::with("  unknownModelPrice: {input: 1, output: 1}\n").await;
    assert_eq!(post(&priced.router, "/request", &[("x-api-key", &token)], HOOK).await.reject(), None);
    let answer = post(&world.router, "/check", &[TRUSTED], r#"{"team":"a","tier":"tiny","estimated_tokens":1}"#).await;
    assert_eq!((answer.status, &answer.json()["allowed"]), (200, &json!(false)), "decided, with no: {}", answer.body);
}

#[tokio::test]
async fn a_check_states_its_tokens() {
    let world = World::new().await;
    let answer = world.post("/check", &[TRUSTED], &json!({"team": "a", "tier": "tiny", "model": "m"})).await;
    assert_eq!(answer.status, 400);
    let body = json!({"team": "a", "tier": "tiny", "model": "m", "estimated_tokens": 900, "max_tokens": 100, "request_id": "r"});
    assert_eq!(world.post("/check", &[TRUSTED], &body).await.json()["allowed"], true);
    assert_eq!(world.left("a").await, (900_000_000, 9_000));
}

#[tokio::test]
async fn without_a_provider_the_dearest_price_is_reserved() {
    let world = World::new().await;
    let ask = |provider: Option<&str>, team: &str| {
        let mut body =
            json!({"team": team, "tier": "tiny", "model": "cheap", "estimated_tokens": 1000, "max_tokens": 0});
        if let Some(provider) = provider {
            body["provider"] = json!(provider);
        }
        body
    };
    for (provider, team, left) in
        [(None, "a", 998_000_000), (Some("openai"), "b", 999_000_000), (Some("anthropic"), "c", 998_000_000)]
    {
        world.post("/check", &[TRUSTED], &ask(provider, team)).await;
        assert_eq!(world.left(team).await.0, left, "{provider:?}");
    }
}

#[tokio::test]
async fn every_event_is_answered() {
    for name in events("budget") {
        let (function, _) = function::<Budget>("", "").await;
        let answer =
            deliver(&function, event(&format!("budget/{name}"))).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        match name.as_str() {
            "direct-check.json" => assert_eq!(answer["allowed"], true, "{name}: {answer}"),
            "direct-settle.json" => assert_eq!(answer["settled"], 1, "{name}: {answer}"),
            "awslogs.json" => {
                assert_eq!((&answer["settled"], &answer["rejected"]), (&json!(2), &json!([])), "{name}: {answer}")
            }
            "awslogs-control.json" => assert_eq!(answer["settled"], 0, "{name}: {answer}"),
            "schedule.json" | "direct-sweep.json" => assert_eq!(answer["reservations"], 0, "{name}: {answer}"),
            _ => {
                assert_eq!(answer["statusCode"], 200, "{name}: {answer}");
                assert_eq!(answer["body"], r#"{"action":{"reason":"within limits"}}"#, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn an_event_that_is_nothing_is_no_pass() {
    let (function, _) = function::<Budget>("", "").await;
    for event in [json!({}), json!(null), json!({"source": "aws.s3"}), json!({"team": "a"})] {
        let answer = deliver(&function, event.clone()).await.unwrap();
        assert_eq!(answer["allowed"], false, "{event}");
        assert!(answer["action"]["body"].is_string() && answer["action"]["status_code"].is_u64(), "{event}");
    }
    for event in [json!({"awslogs": {}}), json!({"awslogs": {"data": "x"}}), json!({"settlements": 7})] {
        assert!(deliver(&function, event.clone()).await.is_err(), "{event}");
    }
    let answer = post(&function.router(), "/settle/", &[TRUSTED], "{}").await;
    assert_eq!((answer.status, answer.reject()), (404, Some(404)));
}
