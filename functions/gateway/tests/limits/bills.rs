//! What a request is charged, however it ends.

use http_body_util::BodyExt;
use serde_json::json;

use super::support::events_of;
use super::world::{BUDGET, CHAT, MESSAGES, RESPONSES, USED, World, hi};

/// Nano-dollars at m0's prices: 1 and 10 dollars a million.
fn m0(input: u64, output: u64) -> u64 {
    input * 1_000 + output * 10_000
}

#[tokio::test]
async fn an_answer_is_charged_what_the_upstream_said() {
    let (input, output) = USED;
    for path in [CHAT, MESSAGES] {
        for stream in [false, true] {
            let world = World::new(&["ok"], "").await;
            let answer = world.ask(path, &hi(100, stream)).await;
            assert_eq!(answer.status, 200);
            assert!(!answer.text().await.is_empty());
            let charged = world.charged(|_, _| true).await;
            assert_eq!(charged, (input + output, m0(input, output)), "{path} {stream}: settled before the last byte");
        }
    }
}

#[tokio::test]
async fn a_failover_is_charged_by_the_model_that_served() {
    let world = World::new(&["down", "ok"], "").await;
    assert_eq!(world.ask(CHAT, &hi(100, false)).await.status, 200);
    assert_eq!(world.charged(|_, _| true).await, (30, 2 * m0(10, 20)), "m1 costs twice as much; the failure is free");
}

#[tokio::test]
async fn a_failed_attempt_is_charged_what_it_reported() {
    let world = World::new(&["messages-cut-at-head", "ok"], "").await;
    let answer = world.ask(CHAT, &hi(100, true)).await;
    assert_eq!((answer.status, answer.header("x-tollgate-attempts")), (200, "2"));
    answer.text().await;
    assert_eq!(world.charged(|_, _| true).await, (11 + 30, m0(10, 1) + 2 * m0(10, 20)));
}

#[tokio::test]
async fn an_error_costs_a_request_and_nothing_else() {
    for (chain, status) in [(["bad"], 400), (["down"], 503)] {
        let world = World::new(&chain, "").await;
        let answer = world.ask(CHAT, &hi(100, false)).await;
        assert!(answer.status == status || (status == 503 && answer.status == 502), "{}", answer.status);
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), "999", "errors have the headers, too");
        assert_eq!(world.left().await, [1_000_000, BUDGET]);
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_is_charged_what_it_got() {
    let world = World::new(&["hangs"], "").await;
    let mut answer = world.ask(CHAT, &hi(50_000, true)).await;
    let first = answer.body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(!first.is_empty());
    let reserved = world.charged(|_, _| true).await;
    assert!(reserved.0 > 50_000, "{reserved:?}");
    drop(answer);
    let (tokens, money) = world.charged(|tokens, _| tokens < 1_000).await;
    assert!(tokens > 1 && money > 0, "the prompt and the pieces that were relayed: {tokens} {money}");
}

#[tokio::test]
async fn a_client_that_hangs_up_before_anything_came_is_charged_the_prompt() {
    let world = World::new(&["hangs-before"], "").await;
    let body = hi(50_000, true);
    let mut asking = Box::pin(world.ask(CHAT, &body));
    // Until it is sent: before, nothing is to be paid.
    while world.asked() == 0 {
        assert!(tokio::time::timeout(std::time::Duration::from_millis(10), &mut asking).await.is_err(), "it hangs");
    }
    drop(asking);
    let (tokens, _) = world.charged(|tokens, _| tokens < 40_000).await;
    assert!(tokens > 1, "the prompt, and what it may have thought meanwhile: {tokens}");
}

#[tokio::test]
async fn a_stream_that_is_cut_is_charged_an_estimate() {
    let world = World::new(&["cut"], "").await;
    let text = world.ask(CHAT, &hi(50_000, true)).await.text().await;
    let events = events_of(&text);
    assert!(text.contains("three") && events.last().is_some_and(|(_, data)| data.contains("error")), "{text}");
    let (tokens, _) = world.charged(|_, _| true).await;
    assert!((3..1_000).contains(&tokens), "{tokens}");
}

#[tokio::test]
async fn an_upstream_that_counts_nothing_is_estimated() {
    let world = World::new(&["silent"], "").await;
    world.ask(CHAT, &hi(50_000, true)).await.text().await;
    let (tokens, _) = world.charged(|_, _| true).await;
    assert!((3..1_000).contains(&tokens), "{tokens}");
}

#[tokio::test]
async fn a_budget_for_so_many_is_spent_by_exactly_so_many() {
    // Every request reserves exactly what it will use: the output by its cap, and input is free.
    let limits = "  teams: {search: {usdPerMonth: 0.004}}\n  gateway: {usdPerMonth: 100}\n";
    let world = World::new(&["ok"], &limits.replace("  teams", "  users: {usdPerMonth: 50}\n  teams")).await;
    let free_input = r#"{"m0": {"input": 0, "output": 10}}"#;
    world.ledger.put_prices(free_input).await.unwrap();
    let world = std::sync::Arc::new(world);
    let clients = (0..16).map(|_| {
        let world = world.clone();
        tokio::spawn(async move {
            let mut passed = 0;
            for _ in 0..10 {
                let status = world.ask(CHAT, &hi(20, false)).await.status;
                assert!(status == 200 || status == 429, "{status}");
                passed += u64::from(status == 200);
            }
            passed
        })
    });
    let mut passed = 0;
    for client in clients.collect::<Vec<_>>() {
        passed += client.await.unwrap();
    }
    assert_eq!(passed, 20, "$0.004 is 20 times 20 tokens at $10 a million");
    assert_eq!(world.charged(|_, _| true).await.1, 4_000_000, "to the nano-dollar");
}

#[tokio::test]
async fn an_answer_in_the_background_is_charged_with_its_whole_cap_unless_it_is_watched() {
    let ask = |stream: bool| json!({"model": "any", "input": "Hello", "background": true, "stream": stream, "max_output_tokens": 500});
    let world = World::new(&["responses-queue"], "").await;
    let answer = world.ask(RESPONSES, &ask(false)).await.json().await;
    assert_eq!((&answer["id"], &answer["status"]), (&json!("resp_1"), &json!("queued")));
    let (tokens, _) = world.charged(|_, _| true).await;
    assert!((501..600).contains(&tokens), "{tokens}");

    let world = World::new(&["responses-queue"], "").await;
    assert!(world.ask(RESPONSES, &ask(true)).await.text().await.contains("response.completed"));
    assert_eq!(world.charged(|_, _| true).await.0, USED.0 + USED.1, "its end said what it used");

    let world = World::new(&["responses-hangs"], "").await;
    let mut answer = world.ask(RESPONSES, &ask(true)).await;
    let first = answer.body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"event: response.created"), "what it is to be asked for by is there at once");
    drop(answer);
    // Settled or not, it is held against the team.
    let (tokens, _) = world.charged(|tokens, _| tokens < 600).await;
    assert!(tokens > 500, "{tokens}");
}
