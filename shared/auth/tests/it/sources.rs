//! Where keys come from.

use std::time::Duration;

use serde_json::json;
use tollgate_auth::Options;
use tollgate_config::{Auth, Jwks};

use crate::support::*;

fn jwks(jwks: Jwks) -> impl FnOnce(&mut Auth) {
    move |auth| auth.issuers[0].jwks = jwks
}

#[tokio::test]
async fn keys_come_from_a_url_of_another_server() {
    let elsewhere = KeyServer::start(&[&A]).await;
    let url = Jwks { url: Some(format!("{}/some/keys", elsewhere.base)), ..Jwks::default() };
    let world = World::with(&[], jwks(url), Options::default()).await;
    assert_eq!(world.code(&world.token(&A), 0).await, "ok");
    assert_eq!((elsewhere.fetches(), world.server.fetches()), (1, 0));
}

#[tokio::test]
async fn keys_come_from_a_file_and_a_changed_file_is_read_again() {
    let path = std::env::temp_dir().join(format!("tollgate-auth-{}.json", std::process::id()));
    let write = |key: &TestKey| std::fs::write(&path, json!({"keys": [key.jwk()]}).to_string()).unwrap();
    write(&A);
    let file = Jwks { file: Some(path.to_str().unwrap().to_owned()), ..Jwks::default() };
    let world = World::with(&[], jwks(file), Options::default()).await;
    assert_eq!(world.code(&world.token(&A), 0).await, "ok");
    write(&B);
    assert_eq!(world.code(&world.token(&B), 0).await, "ok");
    assert_eq!(world.server.fetches(), 0);
    std::fs::write(&path, json!({"keys": [A.jwk()]}).to_string() + &" ".repeat(256 * 1024)).unwrap();
    assert_eq!(world.code(&world.token(&A), 30).await, "keys_unavailable");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(world.code(&world.token(&B), 60).await, "ok");
    assert_eq!(world.code(&world.token(&A), 60).await, "keys_unavailable");
}

#[tokio::test]
async fn keys_are_discovered() {
    let discovery = || jwks(Jwks { discovery: true, ..Jwks::default() });
    let world = World::with(&[&A], discovery(), Options::default()).await;
    assert_eq!(world.code(&world.token(&A), 0).await, "ok");
    assert_eq!(world.server.fetches(), 1);

    let world = World::with(&[&A], discovery(), Options::default()).await;
    let keys = format!("{}/keys", world.server.base);
    let bad = [
        json!({"issuer": "https://evil.example", "jwks_uri": keys}),
        json!({"issuer": format!("{}/", world.server.base), "jwks_uri": keys}),
        json!({"issuer": world.server.base, "jwks_uri": "http://keys.example/k"}),
        json!({"issuer": world.server.base}),
    ];
    for (n, metadata) in (0..).zip(bad) {
        world.server.metadata(Answer::Ok(metadata.to_string()));
        assert_eq!(world.code(&world.token(&A), n * 10).await, "keys_unavailable", "{metadata}");
    }
    assert_eq!(world.server.fetches(), 0);
}

#[tokio::test]
async fn only_a_200_with_a_document_of_bounded_size_counts() {
    let elsewhere = KeyServer::start(&[&A]).await;
    let padding = "x".repeat(256 * 1024);
    let large = json!({"keys": [A.jwk()], "padding": padding}).to_string();
    let same_keys_elsewhere = format!("{}/keys", elsewhere.base);
    let good = json!({"keys": [A.jwk()]}).to_string();
    let answers = [
        Answer::StatusWith(203, good.clone()),
        Answer::StatusWith(500, good),
        Answer::Status(204),
        Answer::Status(304),
        Answer::Status(404),
        Answer::Status(500),
        Answer::Ok(large),
        Answer::Redirect(same_keys_elsewhere),
    ];
    let world = World::new(&[&A]).await;
    let mut second = 0;
    for answer in answers {
        world.server.answer(answer);
        assert_eq!(world.code(&world.token(&A), second).await, "keys_unavailable");
        second += 10;
    }
    assert_eq!(elsewhere.fetches(), 1, "the redirect was followed, and its answer refused");
    world.server.publish(&[&A]);
    assert_eq!(world.code(&world.token(&A), second).await, "ok");
}

#[tokio::test]
async fn an_issuer_that_is_not_there_is_unavailable() {
    let missing = [
        Jwks { url: Some("http://127.0.0.1:1/keys".to_owned()), ..Jwks::default() },
        Jwks { url: Some("not a url".to_owned()), ..Jwks::default() },
        Jwks { file: Some("/nowhere/jwks.json".to_owned()), ..Jwks::default() },
    ];
    for source in missing {
        let options = Options { fetch_timeout: Duration::from_millis(500), ..Options::default() };
        let world = World::with(&[&A], jwks(source), options).await;
        world.auth.warm(at(0)).await;
        assert_eq!(world.code(&world.token(&A), 0).await, "keys_unavailable");
        assert_eq!(world.auth.stats().key_fetches, 2);
    }
}
