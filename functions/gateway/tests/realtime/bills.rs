//! What sessions are charged, and where limits end them.

use serde_json::json;

use super::world::{USED, World, end, hear, hear_of, say};

const TOKENS: u64 = 1_000_000;

/// Nano-dollars at the test's prices: 1 and 10 dollars a million.
fn cost(input: u64, output: u64) -> u64 {
    input * 1_000 + output * 10_000
}

fn roomy() -> String {
    format!("{{requestsPerMinute: 1000, tokensPerDay: {TOKENS}, usdPerMonth: 1}}")
}

#[tokio::test]
async fn each_response_is_charged_what_it_said_while_the_session_goes_on() {
    let world = World::limited(&roomy()).await;
    let mut socket = world.open().await;
    let (input, output) = USED;
    for n in 1..=3 {
        say(&mut socket, json!({"type": "response.create"})).await;
        hear_of(&mut socket, "response.done").await;
        let expected = (n * (input + output), n * cost(input, output));
        assert_eq!(world.charged(TOKENS, |tokens, money| (tokens, money) == expected).await, expected);
    }
}

#[tokio::test]
async fn a_call_that_is_joined_is_charged_by_the_model_that_the_provider_names() {
    let world = World::limited(&roomy()).await;
    let bearer = format!("Bearer {}", super::support::token());
    let (status, body) = world.refused("?call_id=rtc_1", &[("authorization", &bearer)]).await;
    assert_eq!((status, body["error"]["param"].as_str()), (400, Some("model")), "nothing of it would have a price");
    let (mut socket, _) = world.handshake("?call_id=rtc_1&model=ours", &[("authorization", &bearer)]).await.unwrap();
    say(&mut socket, json!({"type": "response.create"})).await;
    hear_of(&mut socket, "response.done").await;
    let (input, output) = USED;
    let expected = (input + output, 2 * cost(input, output));
    assert_eq!(world.charged(TOKENS, |tokens, money| (tokens, money) == expected).await, expected);
    // It begins by itself: the other end of the call asked for it.
    say(&mut socket, json!({"type": "test.vad", "test": "unfinished"})).await;
    hear_of(&mut socket, "response.output_text.delta").await;
    drop(socket);
    assert!(world.charged(TOKENS, |tokens, _| tokens > expected.0).await.0 > expected.0);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_charged_what_it_got() {
    let world = World::limited(&roomy()).await;
    let mut socket = world.open().await;
    say(&mut socket, json!({"type": "response.create", "test": "unfinished"})).await;
    hear_of(&mut socket, "response.output_text.delta").await;
    drop(socket);
    let expected = (10, cost(0, 10));
    assert_eq!(
        world.charged(TOKENS, |tokens, money| (tokens, money) == expected).await,
        expected,
        "ten tokens were seen"
    );
}

#[tokio::test]
async fn a_response_over_a_limit_is_not_asked_for_and_the_session_goes_on() {
    let world = World::limited(&format!("{{requestsPerMinute: 2, tokensPerDay: {TOKENS}, usdPerMonth: 1}}")).await;
    let mut socket = world.open().await;
    hear(&mut socket).await;
    say(&mut socket, json!({"type": "response.create"})).await;
    hear_of(&mut socket, "response.done").await;
    say(&mut socket, json!({"type": "response.create", "event_id": "mine"})).await;
    let event = hear(&mut socket).await;
    assert_eq!((&event["type"], &event["error"]["event_id"]), (&json!("error"), &json!("mine")), "{event}");
    assert_eq!(event["error"]["code"], "rate_limit_exceeded");
    say(&mut socket, json!({"type": "of.tomorrow"})).await;
    say(&mut socket, json!({"type": "test.close"})).await;
    assert_eq!(end(&mut socket).await.map(|(code, _)| code), Some(4001));
    assert_eq!(*world.provider.events.lock().unwrap(), ["response.create", "of.tomorrow", "test.close"]);
}

#[tokio::test]
async fn a_session_is_not_opened_over_a_limit() {
    let world = World::limited("{requestsPerMinute: 1}").await;
    let bearer = format!("Bearer {}", super::support::token());
    let first = world.handshake("?model=ours", &[("authorization", &bearer)]).await;
    assert!(first.is_ok());
    let (status, body) = world.refused("?model=ours", &[("authorization", &bearer)]).await;
    assert_eq!((status, &body["allowed"]), (429, &json!(false)), "{body}");
    assert_eq!(world.provider.handshakes.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_response_that_begins_by_itself_over_a_limit_is_cancelled_charged_and_the_last() {
    let world = World::limited(&format!("{{requestsPerMinute: 1, tokensPerDay: {TOKENS}, usdPerMonth: 1}}")).await;
    let mut socket = world.open().await;
    say(&mut socket, json!({"type": "test.vad"})).await;
    let event = hear_of(&mut socket, "error").await;
    assert_eq!(event["error"]["code"], "rate_limit_exceeded");
    assert_eq!(hear_of(&mut socket, "response.done").await["response"]["status"], "cancelled");
    assert_eq!(end(&mut socket).await.map(|(code, _)| code), Some(1008));
    let (input, output) = USED;
    let expected = (input + output, cost(input, output));
    assert_eq!(world.charged(TOKENS, |tokens, money| (tokens, money) == expected).await, expected);
}

#[tokio::test]
async fn a_transcription_that_is_paid_by_the_second_is_charged_by_it_once() {
    let world = World::limited(&roomy()).await;
    let mut socket = world.open().await;
    let transcription = json!({"audio": {"input": {"transcription": {"model": "whisper-1"}}}});
    say(&mut socket, json!({"type": "session.update", "session": transcription})).await;
    for _ in 0..2 {
        // The same item again: what was booked is booked.
        say(&mut socket, json!({"type": "test.spoken", "seconds": 59.2})).await;
        hear_of(&mut socket, "conversation.item.input_audio_transcription.completed").await;
    }
    say(&mut socket, json!({"type": "response.create"})).await;
    hear_of(&mut socket, "response.done").await;
    let (input, output) = USED;
    let expected = (input + output, cost(input, output) + 60 * 100_000);
    assert_eq!(world.charged(TOKENS, |tokens, money| (tokens, money) == expected).await, expected);
}
