//! Requests of a team that wants more than its budget: each of them passed once.

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::support::json_of;
use super::world::{BUDGET, CHAT, MESSAGES, RESPONSES, World, hi};

/// Status and code.
async fn refused(world: &World, path: &str, body: &Value) -> (u16, String) {
    let answer = world.ask(path, body).await;
    let (status, text) = (answer.status, answer.text().await);
    let code = json_of(&text)["error"]["code"].as_str().unwrap_or_default().to_owned();
    (status, code)
}

fn spent() -> (u16, String) {
    (429, "insufficient_quota".to_owned())
}

#[tokio::test]
async fn a_text_that_looks_like_an_image_is_reserved_as_text() {
    let world = World::new(&["ok"], "").await;
    let text = format!("iVBORw0{}", "Qk9ib".repeat(250_000));
    let body = json!({"model": "any", "max_tokens": 1, "messages": [{"role": "user", "content": text}]});
    assert_eq!(refused(&world, CHAT, &body).await, spent(), "more than a million tokens at $1 a million");
    let tool = json!({"type": "tool_use", "id": "t", "name": "f", "input": {"source": {"data": text}}});
    let body = json!({"model": "any", "max_tokens": 1, "messages": [{"role": "assistant", "content": [tool]}]});
    assert_eq!(refused(&world, MESSAGES, &body).await.0, 429);
    let image = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{text}")}});
    let body = json!({"model": "any", "max_tokens": 1, "messages": [{"role": "user", "content": [image]}]});
    assert_eq!(world.ask(CHAT, &body).await.status, 200, "an image of that size is no more than one of another");
}

#[tokio::test]
async fn input_that_is_not_in_the_body_is_reserved_with_the_models_context() {
    let bodies = [
        (
            RESPONSES,
            json!({"model": "any", "max_output_tokens": 16, "input": "go on", "previous_response_id": "resp_1"}),
        ),
        (RESPONSES, json!({"model": "any", "max_output_tokens": 16, "prompt": {"id": "pmpt_1"}})),
        (
            RESPONSES,
            json!({"model": "any", "max_output_tokens": 16, "input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}),
        ),
        (
            RESPONSES,
            json!({"model": "any", "max_output_tokens": 16, "input": "x", "tools": [{"type": "mcp", "server_label": "s", "server_url": "https://example.test"}]}),
        ),
    ];
    for (path, body) in bodies {
        let world = World::new(&["responses-queue"], "").await;
        assert_eq!(refused(&world, path, &body).await, spent(), "a million tokens cost more than $1: {body}");
        let world = World::new(&["responses-queue"], "").await;
        world.ledger.put_prices(r#"{"m0": {"input": 1, "output": 10, "maxInputTokens": 400000}}"#).await.unwrap();
        assert_eq!(world.ask(path, &body).await.status, 200, "{body}");
    }
}

#[tokio::test]
async fn a_tool_whose_cost_no_answer_tells_is_refused_under_a_budget() {
    let body =
        json!({"model": "any", "max_output_tokens": 16, "input": "draw", "tools": [{"type": "image_generation"}]});
    let world = World::new(&["responses-queue"], "").await;
    assert_eq!(refused(&world, RESPONSES, &body).await, (400, "tool_not_priced".to_owned()));
    assert_eq!(world.left().await, [1_000_000, BUDGET], "nothing was sent");
    let allowed = "  unpricedTools: allow\n  prices: {m0: {input: 0, output: 10}}\n";
    let world = World::with_prices(&["responses-queue"], allowed).await;
    assert_eq!(world.ask(RESPONSES, &body).await.status, 200);
    let world = World::with_prices(&["ok"], "  prices: {m0: {input: 0, output: 10}}\n").await;
    assert_eq!(world.ask(RESPONSES, &body).await.status, 200, "in another dialect it is left out");
}

#[tokio::test]
async fn of_two_output_caps_the_larger_is_reserved() {
    let world = World::new(&["ok"], "").await;
    let mut body = hi(120_000, false);
    body["max_completion_tokens"] = 1.into();
    assert_eq!(
        refused(&world, CHAT, &body).await,
        spent(),
        "a server that knows one of them alone gives $1.20 of output"
    );
}

#[tokio::test]
async fn fast_mode_is_reserved_at_its_price() {
    let world = World::new(&["messages-compacts"], "").await;
    let mut body = hi(20_000, false);
    assert_eq!(world.ask(MESSAGES, &body).await.status, 200, "$0.20");
    let world = World::new(&["messages-compacts"], "").await;
    body["speed"] = "fast".into();
    assert_eq!(refused(&world, MESSAGES, &body).await.0, 429, "six times as much");
}

#[tokio::test]
async fn what_a_compaction_used_is_charged() {
    let world = World::new(&["messages-compacts"], "").await;
    assert_eq!(world.ask(MESSAGES, &hi(100, false)).await.status, 200);
    // At the top 23 and 10, of the compaction 180 and 35, at 1 and 10 dollars a million.
    assert_eq!(world.charged(|_, _| true).await, (203 + 45, 203 * 1_000 + 45 * 10_000));
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_charged_all_the_same() {
    // Time runs out while the provider works.
    let world = World::new(&["hangs-before"], "request: {timeoutMs: 4000}\n").await;
    assert_eq!(world.ask(CHAT, &hi(5_000, false)).await.status, 504);
    let (tokens, _) = world.charged(|_, _| true).await;
    assert!((5_000..5_200).contains(&tokens), "a whole answer is made to its end: {tokens}");

    let world = World::new(&["hangs-before"], "request: {timeoutMs: 4000}\n").await;
    assert_eq!(world.ask(CHAT, &hi(5_000, true)).await.status, 504);
    let (tokens, _) = world.charged(|_, _| true).await;
    assert!((10..2_000).contains(&tokens), "a stream stops with its connection: {tokens}");
}

#[tokio::test]
async fn history_that_the_provider_keeps_is_charged_though_the_client_hangs_up_before_its_usage_comes() {
    let world = World::new(&["responses-hangs-in-text"], "").await;
    world.ledger.put_prices(r#"{"m0": {"input": 1, "output": 10, "maxInputTokens": 400000}}"#).await.unwrap();
    let body = json!({"model": "any", "max_output_tokens": 16, "stream": true, "input": "go on", "previous_response_id": "resp_1"});
    let mut answer = world.ask(RESPONSES, &body).await;
    assert!(answer.body.frame().await.unwrap().unwrap().is_data());
    drop(answer);
    let (tokens, _) = world.charged(|tokens, _| tokens >= 400_000).await;
    assert!(tokens < 400_100, "{tokens}");
}

const LEGACY: &str = "/v1/completions";

#[tokio::test]
async fn an_answer_that_is_only_looked_at_and_says_nothing_is_charged_what_was_reserved() {
    let body = json!({"model": "any", "prompt": "Hello", "max_tokens": 300, "n": 2, "stream": true});
    for (behaviour, charged) in [("silent", 600..700), ("ok", 30..31)] {
        let world = World::new(&[behaviour], "").await;
        world.ask(LEGACY, &body).await.text().await;
        let (tokens, _) = world.charged(|_, _| true).await;
        assert!(charged.contains(&tokens), "{behaviour}: {tokens}");
    }
    let world = World::new(&["hangs"], "").await;
    let answer = world.ask(LEGACY, &body).await;
    drop(answer);
    let (tokens, _) = world.charged(|tokens, _| tokens > 0).await;
    assert!((600..700).contains(&tokens), "the client hung up before the usage came: {tokens}");
    let world = World::new(&["bad"], "").await;
    let answer = world.ask(LEGACY, &body).await;
    assert_eq!(answer.status, 400);
    answer.text().await;
    assert_eq!(world.left().await, [1_000_000, BUDGET], "an error is none");
}

#[tokio::test]
async fn a_transcript_that_does_not_tell_its_length_is_charged_what_was_reserved() {
    let world = World::new(&["plain"], "").await;
    assert_eq!(world.transcribe(120_000).await.text().await, "hello");
    let (_, money) = world.charged(|_, money| money > 0).await;
    assert!(money >= 60 * 100_000, "a minute at $100 for a million seconds, and more: {money}");
}

#[tokio::test]
async fn so_many_answers_are_reserved_as_a_legacy_request_asks_for() {
    let world = World::new(&["ok"], "").await;
    let body = json!({"model": "any", "prompt": "Hello", "max_tokens": 10_000, "n": 1, "best_of": 20});
    assert_eq!(refused(&world, LEGACY, &body).await, spent(), "$2 of output");
}

#[tokio::test]
async fn a_body_that_hides_its_model_is_not_forwarded_where_usage_is_counted() {
    let world = World::new(&["ok"], "").await;
    for body in [
        r#"{"model":"any","model":"any","prompt":"Hello"}"#.to_owned(),
        format!(
            r#"{{"model":"any","prompt":"Hello"{}}}"#,
            (0..600).map(|key| format!(r#","k{key}":1"#)).collect::<String>()
        ),
        "\u{feff}{\"model\":\"any\",\"prompt\":\"Hello\"}".to_owned(),
    ] {
        let answer = world.send(LEGACY, body).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json().await["error"]["code"], "unclear_model");
    }
    assert_eq!(world.left().await, [1_000_000, BUDGET], "nothing was sent");
}
