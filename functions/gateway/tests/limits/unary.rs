//! What is no conversation: what it reserves, what it is charged, and what its client reads.

use serde_json::{Value, json};

use super::world::{BUDGET, World};

const EMBEDDINGS: &str = "/v1/embeddings";
const RERANK: &str = "/v2/rerank";
const COUNT: &str = "/v1/messages/count_tokens";
const GEMINI_COUNT: &str = "/v1beta/models/any:countTokens";

fn texts() -> Value {
    json!({"model": "any", "input": "Hello"})
}

fn documents() -> Value {
    json!({"model": "any", "query": "capital?", "documents": ["Carson City", "Paris"]})
}

fn conversation() -> Value {
    json!({"model": "any", "messages": [{"role": "user", "content": "Hello there"}]})
}

#[tokio::test]
async fn embeddings_are_charged_what_the_upstream_said() {
    let world = World::new(&["ok"], "").await;
    let answer = world.ask(EMBEDDINGS, &texts()).await;
    assert_eq!((answer.status, answer.header("x-tollgate-provider")), (200, "p0"));
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "999");
    assert_eq!(answer.json().await["data"][0]["embedding"], json!([0.5]));
    assert_eq!(world.charged(|_, _| true).await, (10, 10 * 1_000), "input, and no output");
}

#[tokio::test]
async fn what_no_upstream_said_is_estimated_from_the_body() {
    let world = World::new(&["silent"], "").await;
    assert_eq!(world.ask(EMBEDDINGS, &texts()).await.status, 200);
    let tokens = u64::try_from(texts().to_string().len()).unwrap().div_ceil(3);
    assert_eq!(world.charged(|_, _| true).await, (tokens, tokens * 1_000));
}

#[tokio::test]
async fn embeddings_fail_over_and_are_charged_by_the_model_that_served() {
    let world = World::new(&["down", "ok"], "").await;
    let answer = world.ask(EMBEDDINGS, &texts()).await;
    let told = (answer.status, answer.header("x-tollgate-attempts"), answer.header("x-tollgate-provider"));
    assert_eq!(told, (200, "2", "p1"));
    assert_eq!(world.charged(|_, _| true).await, (10, 10 * 2_000));
}

#[tokio::test]
async fn a_provider_that_does_not_serve_it_is_passed_over() {
    let world = World::new(&["messages-ok", "ok"], "").await;
    let answer = world.ask(EMBEDDINGS, &texts()).await;
    assert_eq!((answer.status, answer.header("x-tollgate-attempts")), (200, "1"), "nothing was sent to the first");
    let world = World::new(&["messages-ok"], "").await;
    let answer = world.ask(EMBEDDINGS, &texts()).await;
    assert_eq!(answer.status, 400);
    let error = &answer.json().await["error"];
    assert_eq!(error["code"], "unsupported_by_upstream");
    assert_eq!(error["message"], "model: the provider `p0` that is configured for this model has no embeddings");
    assert_eq!(world.left().await, [1_000_000, BUDGET], "nothing was sent, nothing is spent");
}

#[tokio::test]
async fn a_rerank_is_charged_by_search_unit() {
    let world = World::new(&["ok"], "").await;
    let answer = world.ask(RERANK, &documents()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().await["results"][0]["index"], 1);
    assert_eq!(world.charged(|_, _| true).await, (0, 3 * 2_000_000), "three units at two dollars a thousand");
}

#[tokio::test]
async fn a_rerank_that_the_budget_cannot_bear_is_refused_in_coheres_words() {
    let tiers = "  teams: {search: {usdPerMonth: 0.001}}\n";
    let world = World::new(&["ok"], tiers).await;
    let answer = world.ask(RERANK, &documents()).await;
    assert_eq!((answer.status, answer.header("x-should-retry")), (429, "false"));
    let body = answer.json().await;
    assert!(body["message"].as_str().is_some_and(|text| text.contains("budget")), "{body}");
    assert_eq!((&body["allowed"], body.get("error")), (&Value::Bool(false), None));
}

#[tokio::test]
async fn a_count_costs_a_request_and_nothing_else() {
    for (chain, tokens, estimate) in [(["messages-ok"], Some(41), ""), (["ok"], None, "estimate")] {
        let world = World::new(&chain, "").await;
        let answer = world.ask(COUNT, &conversation()).await;
        assert_eq!((answer.status, answer.header("x-tollgate-token-count")), (200, estimate));
        assert_eq!(answer.header("anthropic-ratelimit-requests-remaining"), "999");
        let counted = answer.json().await["input_tokens"].as_u64();
        assert!(tokens.map_or(counted > Some(0), |tokens| counted == Some(tokens)), "{counted:?}");
        assert_eq!(world.left().await, [1_000_000, BUDGET]);
    }
}

#[tokio::test]
async fn a_count_for_a_gemini_client_costs_the_same() {
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "Hello there"}]}]});
    let whole = json!({"generateContentRequest": contents});
    for (chain, tokens, estimate) in [(["messages-ok"], Some(41), ""), (["ok"], None, "estimate")] {
        let world = World::new(&chain, "").await;
        for body in [&contents, &whole] {
            let answer = world.ask(GEMINI_COUNT, body).await;
            assert_eq!((answer.status, answer.header("x-tollgate-token-count")), (200, estimate));
            let counted = answer.json().await["totalTokens"].as_u64();
            assert!(tokens.map_or(counted > Some(0), |tokens| counted == Some(tokens)), "{counted:?}");
        }
        assert_eq!(world.left().await, [1_000_000, BUDGET]);
    }
}

#[tokio::test]
async fn a_count_needs_no_price_and_no_budget() {
    let world = World::new(&["messages-ok"], "  teams: {search: {usdPerMonth: 0}}\n").await;
    assert_eq!(world.ask(COUNT, &conversation()).await.status, 200);
    let world = World::new(&["ok"], "  teams: {search: {usdPerMonth: 0}}\n").await;
    assert_eq!(world.ask(EMBEDDINGS, &texts()).await.status, 429);
}

#[tokio::test]
async fn a_wrong_request_is_a_400_in_the_clients_words() {
    let world = World::new(&["ok"], "").await;
    let nothing = json!({"model": "any"});
    let body = world.ask(EMBEDDINGS, &nothing).await.json().await;
    assert_eq!((&body["error"]["type"], &body["error"]["param"]), (&json!("invalid_request_error"), &json!("input")));
    let body = world.ask(COUNT, &nothing).await.json().await;
    assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!("invalid_request_error")));
    let body = world.ask(GEMINI_COUNT, &nothing).await.json().await;
    assert_eq!((&body["error"]["code"], &body["error"]["status"]), (&json!(400), &json!("INVALID_ARGUMENT")));
    let answer = world.ask(RERANK, &nothing).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json().await["message"], "query: required: a text");
}

#[tokio::test]
async fn a_transcription_is_charged_by_the_second_and_its_recording_is_not_taken_for_text() {
    let world = World::new(&["ok"], "").await;
    // As text this would be more than the day's million tokens.
    let answer = world.transcribe(4_000_000).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().await["text"], "hello");
    assert_eq!(world.charged(|_, _| true).await, (0, 90 * 100_000));
}
