//! Tokens that were checked before.

use serde_json::json;
use tollgate_auth::Options;

use crate::support::*;

#[tokio::test]
async fn a_known_token_is_not_verified_again_and_expires_on_time() {
    let world = World::new(&[&A]).await;
    let token = world.token(&A);
    for second in 0..100 {
        assert_eq!(world.code(&token, second).await, "ok");
    }
    let stats = world.auth.stats();
    assert_eq!((stats.signature_checks, stats.cache_hits, stats.cached_tokens), (1, 99, 1));
    assert_eq!(world.code(&token, 3_599).await, "ok");
    assert_eq!(world.code(&token, 3_600).await, "expired");
    assert_eq!(world.auth.stats().cached_tokens, 0);
    assert_eq!(world.code(&token, 3_600).await, "expired");
}

#[tokio::test]
async fn a_known_token_is_not_valid_before_its_time_either() {
    let world = World::new(&[&A]).await;
    let token = A.sign(&world.claims_with("nbf", json!(NOW_S + 100)));
    assert_eq!(world.code(&token, 100).await, "ok");
    assert_eq!(world.code(&token, 39).await, "not_yet_valid");
}

#[tokio::test]
async fn a_refused_token_is_not_remembered() {
    let world = World::new(&[&A]).await;
    let forged = B.sign_with_header(&json!({"alg": "RS256", "kid": "a"}), &world.claims());
    for _ in 0..3 {
        assert_eq!(world.code(&forged, 0).await, "bad_signature");
    }
    let early = A.sign(&world.claims_with("nbf", json!(NOW_S + 100)));
    assert_eq!(world.code(&early, 0).await, "not_yet_valid");
    assert_eq!(world.code(&early, 41).await, "ok");
    let stats = world.auth.stats();
    assert_eq!((stats.signature_checks, stats.cached_tokens), (5, 1));
}

#[tokio::test]
async fn tokens_of_a_key_that_was_withdrawn_are_forgotten() {
    let world = World::new(&[&A, &B]).await;
    let (of_a, of_b) = (world.token(&A), world.token(&B));
    assert_eq!((world.code(&of_a, 0).await, world.code(&of_b, 0).await), ("ok", "ok"));
    world.server.publish(&[&B]);
    let unknown = B.sign_with_header(&json!({"alg": "RS256", "kid": "zzz"}), &world.claims());
    assert_eq!(world.code(&unknown, 1).await, "unknown_key");
    assert_eq!(world.server.fetches(), 2);
    assert_eq!(world.code(&of_a, 1).await, "unknown_key");
    let checks = world.auth.stats().signature_checks;
    assert_eq!(world.code(&of_b, 1).await, "ok");
    assert_eq!(world.auth.stats().signature_checks, checks);
}

#[tokio::test]
async fn another_key_under_the_same_kid_does_not_inherit_tokens() {
    let world = World::new(&[&A]).await;
    let token = world.token(&A);
    assert_eq!(world.code(&token, 0).await, "ok");
    let mut impostor = B.jwk();
    impostor["kid"] = json!("a");
    world.server.answer(Answer::Ok(json!({"keys": [impostor]}).to_string()));
    assert_eq!(world.code(&world.token(&B), 1).await, "unknown_key");
    assert_eq!(world.code(&token, 1).await, "bad_signature");
}

#[tokio::test]
async fn the_cache_stays_within_its_bounds() {
    let options = Options { cache_entries: 16, ..Options::default() };
    let world = World::with(&[&A], |_| (), options).await;
    for n in 0..60 {
        assert_eq!(world.code(&A.sign(&world.claims_with("jti", json!(n))), 0).await, "ok");
        assert!(world.auth.stats().cached_tokens <= 16);
    }
    assert!(world.auth.stats().cached_tokens >= 12);
}

#[tokio::test]
async fn expired_tokens_make_room_before_live_ones() {
    let options = Options { cache_entries: 16, ..Options::default() };
    let world = World::with(&[&A], |_| (), options).await;
    let live: Vec<String> = (0..4).map(|n| A.sign(&world.claims_with("jti", json!(n)))).collect();
    for token in &live {
        assert_eq!(world.code(token, 0).await, "ok");
    }
    for n in 0..12 {
        assert_eq!(world.code(&A.sign(&world.claims_with("exp", json!(NOW_S + 10 + n))), 0).await, "ok");
    }
    assert_eq!(world.auth.stats().cached_tokens, 16);
    assert_eq!(world.code(&A.sign(&world.claims_with("jti", json!("new"))), 60).await, "ok");
    assert_eq!(world.auth.stats().cached_tokens, 5);
    let checks = world.auth.stats().signature_checks;
    for token in &live {
        assert_eq!(world.code(token, 60).await, "ok");
    }
    assert_eq!(world.auth.stats().signature_checks, checks);
}

#[tokio::test]
async fn the_cache_is_bounded_in_bytes_too() {
    let options = Options { cache_bytes: 16 * 1024, ..Options::default() };
    let world = World::with(&[&A], |_| (), options).await;
    for n in 0..40 {
        assert_eq!(world.code(&A.sign(&world.claims_with("jti", json!(n))), 0).await, "ok");
    }
    let mut most = 0;
    for n in 0..40 {
        assert_eq!(world.code(&A.sign(&world.claims_with("jti", json!(100 + n))), 0).await, "ok");
        most = world.auth.stats().cached_tokens.max(most);
    }
    let bytes = world.token(&A).len();
    let cached = world.auth.stats().cached_tokens;
    assert!(cached * bytes <= 16 * 1024 && cached * bytes > 10 * 1024, "{cached} of {bytes}");
    assert!((most + 1) * bytes > 16 * 1024, "after a sweep there is room again: {most} of {bytes}");
    let large = A.sign(&world.claims_with("padding", json!("x".repeat(4_000))));
    assert_eq!((world.code(&large, 0).await, world.code(&large, 0).await), ("ok", "ok"));
    assert_eq!(world.auth.stats().cache_hits, 0);
}

#[tokio::test]
async fn without_a_cache_every_token_is_verified() {
    let world = World::with(&[&A], |_| (), Options { cache_entries: 0, ..Options::default() }).await;
    let token = world.token(&A);
    assert_eq!((world.code(&token, 0).await, world.code(&token, 0).await), ("ok", "ok"));
    assert_eq!(world.auth.stats().signature_checks, 2);
}

#[tokio::test]
async fn another_configuration_keeps_the_keys_and_forgets_the_answers() {
    let world = World::new(&[&A]).await;
    let token = world.token(&A);
    assert_eq!(world.code(&token, 0).await, "ok");
    let mut auth = tollgate_config::Auth { issuers: vec![issuer(&world.server.base)], ..Default::default() };
    auth.issuers[0].required_scopes = vec!["https://gateway.internal/admin".to_owned()];
    let next = world.auth.succeeded_by(&auth, client(), Options::default());
    let refused = next.authenticate(&token, at(0)).await.unwrap_err();
    assert_eq!(refused.code(), "missing_scope", "what was right before is asked again");
    assert_eq!(world.server.fetches(), 1, "with the keys that are there");
    assert_eq!(world.code(&token, 0).await, "ok", "a request that runs keeps its own");
    auth.issuers[0].jwks.url = Some(format!("{}/elsewhere", world.server.base));
    let elsewhere = next.succeeded_by(&auth, client(), Options::default());
    assert!(elsewhere.authenticate(&token, at(0)).await.is_err());
    assert_eq!(elsewhere.stats().key_fetches, 1, "keys from another place are fetched");
}
