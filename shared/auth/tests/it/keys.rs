//! When keys are fetched, and what happens until they are there.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tollgate_auth::{AuthErrorKind, Options};

use crate::support::*;

const HOUR: u64 = 3_600;

/// A token that outlives the test's time.
fn long(world: &World, key: &TestKey) -> String {
    key.sign(&world.claims_with("exp", json!(NOW_S + 1_000 * HOUR)))
}

#[tokio::test]
async fn nothing_is_fetched_before_the_first_token() {
    let world = World::new(&[&A]).await;
    assert_eq!(world.server.fetches(), 0);
    assert_eq!(world.code("not.a.token", 0).await, "malformed");
    assert_eq!(world.server.fetches(), 0);
    assert_eq!(world.code(&world.token(&A), 0).await, "ok");
    assert_eq!((world.server.fetches(), world.auth.stats().key_fetches), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_first_requests_at_once_make_one_fetch() {
    let world = World::new(&[&A, &B]).await;
    world.server.delay(Duration::from_millis(100));
    let mut requests = JoinSet::new();
    for index in 0..64 {
        let auth = world.auth.clone();
        let key = if index % 2 == 0 { &*A } else { &*B };
        let token = key.sign(&world.claims_with("jti", json!(index)));
        requests.spawn(async move { auth.authenticate(&token, at(0)).await.map(|_| ()) });
    }
    assert!(requests.join_all().await.into_iter().all(|answer| answer == Ok(())));
    assert_eq!(world.server.fetches(), 1);
}

#[tokio::test]
async fn a_request_that_goes_away_does_not_take_the_fetch_with_it() {
    let world = World::new(&[&A]).await;
    world.server.hold();
    let token = world.token(&A);
    let impatient = tokio::time::timeout(Duration::from_millis(20), world.ask(&token, 0)).await;
    assert!(impatient.is_err());
    world.server.let_go();
    assert_eq!(world.code(&token, 0).await, "ok");
    assert_eq!(world.server.fetches(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_by_its_kid_at_once() {
    let world = World::new(&[&A]).await;
    assert_eq!(world.code(&world.token(&A), 0).await, "ok");
    world.server.publish(&[&A, &B]);
    assert_eq!(world.code(&world.token(&B), 1).await, "ok");
    assert_eq!(world.code(&world.token(&A), 1).await, "ok");
    assert_eq!(world.server.fetches(), 2);
}

#[tokio::test]
async fn a_flood_of_unknown_kids_makes_one_fetch_in_thirty_seconds() {
    let world = World::new(&[&A]).await;
    let forged = |n: u64| A.sign_with_header(&json!({"alg": "RS256", "kid": format!("k{n}")}), &world.claims());
    for n in 0..200 {
        assert_eq!(world.code(&forged(n), n % 30).await, "unknown_key");
    }
    assert_eq!(world.server.fetches(), 1);
    for n in 0..200 {
        assert_eq!(world.code(&forged(n), 30 + n % 30).await, "unknown_key");
    }
    assert_eq!(world.server.fetches(), 2);
    assert_eq!(world.auth.stats().signature_checks, 0);
    assert_eq!(world.code(&world.token(&A), 59).await, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_at_the_same_moment_makes_one_fetch_more() {
    let world = World::new(&[&A]).await;
    assert_eq!(world.code(&world.token(&A), 0).await, "ok");
    world.server.delay(Duration::from_millis(50));
    let mut requests = JoinSet::new();
    for n in 0..64 {
        let auth = world.auth.clone();
        let token = A.sign_with_header(&json!({"alg": "RS256", "kid": format!("k{n}")}), &world.claims());
        requests.spawn(async move { auth.authenticate(&token, at(1)).await.unwrap_err().code() });
    }
    assert!(requests.join_all().await.into_iter().all(|code| code == "unknown_key"));
    assert_eq!(world.server.fetches(), 2);
}

#[tokio::test]
async fn a_failed_first_fetch_is_unavailable_and_tried_again_after_a_pause() {
    let world = World::new(&[&A]).await;
    world.server.answer(Answer::Status(500));
    let token = world.token(&A);
    for _ in 0..20 {
        let error = world.ask(&token, 0).await.unwrap_err();
        assert_eq!(error.kind(), AuthErrorKind::Unavailable);
        assert!(error.to_string().contains(&world.server.base));
    }
    assert_eq!(world.code(&token, 2).await, "keys_unavailable");
    assert_eq!(world.server.fetches(), 1);
    world.server.publish(&[&A]);
    assert_eq!(world.code(&token, 2).await, "keys_unavailable");
    assert_eq!(world.code(&token, 4).await, "ok");
    assert_eq!(world.server.fetches(), 2);
}

#[tokio::test]
async fn an_issuer_that_hangs_is_given_up_on_in_time() {
    let options = Options { fetch_timeout: Duration::from_millis(500), ..Options::default() };
    let world = World::with(&[&A], |_| (), options).await;
    world.server.answer(Answer::Hang);
    assert_eq!(world.code(&world.token(&A), 0).await, "keys_unavailable");
    assert_eq!(world.code(&world.token(&A), 1).await, "keys_unavailable");
    assert_eq!(world.server.fetches(), 1);
}

#[tokio::test]
async fn a_request_waits_for_one_fetch_that_hangs_and_not_for_three() {
    // As by default, giving up takes as long as the pause after it.
    let (fetch_timeout, retry_after) = (Duration::from_millis(500), Duration::from_millis(500));
    let world = World::with(&[&A], |_| (), Options { fetch_timeout, retry_after, ..Options::default() }).await;
    world.server.answer(Answer::Hang);
    assert_eq!(world.code(&world.token(&A), 0).await, "keys_unavailable");
    assert_eq!(world.server.fetches(), 1);
}

#[tokio::test]
async fn old_keys_are_refreshed_in_the_background_while_they_serve() {
    let world = World::new(&[&A]).await;
    let token = long(&world, &A);
    assert_eq!(world.code(&token, 0).await, "ok");
    assert_eq!(world.code(&token, HOUR - 1).await, "ok");
    world.settle(1).await;
    world.server.hold();
    for _ in 0..10 {
        assert_eq!(world.code(&token, HOUR).await, "ok");
    }
    world.server.asked(2).await;
    assert_eq!(world.code(&token, HOUR).await, "ok", "it does not wait for the refresh, which is held up");
    world.server.let_go();
    world.settle(2).await;
    assert_eq!(world.code(&token, HOUR + 60).await, "ok");
    world.settle(2).await;
}

#[tokio::test]
async fn stale_keys_serve_for_a_day_while_the_issuer_is_down_and_then_no_longer() {
    let world = World::new(&[&A]).await;
    let (seen, other) = (long(&world, &A), A.sign(&world.claims_with("exp", json!(NOW_S + 2_000 * HOUR))));
    assert_eq!(world.code(&seen, 0).await, "ok");
    world.server.answer(Answer::Status(503));
    assert_eq!(world.code(&seen, HOUR).await, "ok");
    world.settle(2).await;
    assert_eq!(world.code(&seen, HOUR + 29).await, "ok");
    world.settle(2).await;
    assert_eq!(world.code(&other, 24 * HOUR - 1).await, "ok");
    world.settle(3).await;
    assert_eq!(world.code(&seen, 24 * HOUR).await, "keys_unavailable");
    assert_eq!(world.code(&other, 24 * HOUR + 1).await, "keys_unavailable");
    world.settle(4).await;
    world.server.publish(&[&A]);
    assert_eq!(world.code(&seen, 24 * HOUR + 10).await, "ok");
    assert_eq!(world.code(&other, 24 * HOUR + 10).await, "ok");
    world.settle(5).await;
}

#[tokio::test]
async fn an_unknown_key_is_unavailable_while_the_issuer_is_down() {
    let world = World::new(&[&A]).await;
    assert_eq!(world.code(&world.token(&A), 0).await, "ok");
    world.server.answer(Answer::Status(500));
    assert_eq!(world.code(&world.token(&B), 1).await, "keys_unavailable");
    assert_eq!(world.code(&world.token(&B), 2).await, "keys_unavailable");
    assert_eq!(world.server.fetches(), 2);
    assert_eq!(world.code(&world.token(&A), 2).await, "ok");
}

#[tokio::test]
async fn a_document_without_usable_keys_keeps_the_old_ones() {
    let encryption = json!({"keys": [{"kty": "RSA", "use": "enc", "n": A.jwk()["n"], "e": "AQAB"}]}).to_string();
    let many = ["", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":[]}", "<html>", "{\"keys\":[1,null,\"x\"]}"];
    for body in many.into_iter().chain([encryption.as_str()]) {
        let world = World::new(&[&A]).await;
        assert_eq!(world.code(&world.token(&A), 0).await, "ok");
        world.server.answer(Answer::Ok(body.to_owned()));
        assert_eq!(world.code(&world.token(&B), 0).await, "keys_unavailable", "{body}");
        assert_eq!(world.server.fetches(), 2);
        assert_eq!(world.code(&A.sign(&world.claims_with("jti", json!("new"))), 0).await, "ok", "{body}");
    }
}

#[tokio::test]
async fn keys_of_unknown_kinds_are_passed_over() {
    let world = World::new(&[&A]).await;
    let strange = json!({"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "x"});
    let broken = json!({"kty": "EC", "kid": "ec", "crv": "P-256", "x": "AA", "y": "AA"});
    let numbers = json!({"kty": 1, "kid": []});
    let keys = json!({"keys": [strange, broken, numbers, 7, A.jwk()], "more": true});
    world.server.answer(Answer::Ok(keys.to_string()));
    assert_eq!(world.code(&world.token(&A), 0).await, "ok");
}

#[tokio::test]
async fn warming_fetches_once_and_the_first_request_joins_it() {
    let world = World::new(&[&A]).await;
    world.server.delay(Duration::from_millis(50));
    let auth = world.auth.clone();
    let warming = tokio::spawn(async move { auth.warm(at(0)).await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(world.code(&world.token(&A), 0).await, "ok");
    warming.await.unwrap();
    world.auth.warm(at(1)).await;
    assert_eq!(world.server.fetches(), 1);
}

#[tokio::test]
async fn a_failed_warming_does_not_count_against_the_first_request() {
    let world = World::new(&[&A]).await;
    world.server.answer(Answer::Status(500));
    world.server.delay(Duration::from_millis(50));
    let auth = world.auth.clone();
    let warming = tokio::spawn(async move { auth.warm(at(0)).await });
    world.server.asked(1).await;
    world.server.publish(&[&A]);
    assert_eq!(world.code(&world.token(&A), 0).await, "ok");
    warming.await.unwrap();
    assert_eq!(world.server.fetches(), 2);
}

#[tokio::test]
async fn a_new_key_is_found_although_the_refresh_in_the_background_fails() {
    let world = World::new(&[&A]).await;
    assert_eq!(world.code(&long(&world, &A), 0).await, "ok");
    world.server.answer(Answer::Status(500));
    world.server.delay(Duration::from_millis(50));
    assert_eq!(world.code(&long(&world, &A), HOUR).await, "ok");
    world.server.asked(2).await;
    world.server.publish(&[&A, &B]);
    assert_eq!(world.code(&long(&world, &B), HOUR).await, "ok");
    assert_eq!(world.server.fetches(), 3);
}

#[tokio::test]
async fn a_clock_that_is_set_back_stops_nothing() {
    let world = World::new(&[&A]).await;
    world.server.answer(Answer::Status(500));
    assert_eq!(world.code(&world.token(&A), 1_000).await, "keys_unavailable");
    world.server.publish(&[&A]);
    assert_eq!(world.code(&world.token(&A), 100).await, "ok");
}
