//! How sessions begin, go on and end.

use serde_json::json;

use super::support::token;
use super::world::{World, end, hear, hear_of, say};

fn bearer() -> String {
    format!("Bearer {}", token())
}

#[tokio::test]
async fn events_pass_both_ways_and_the_provider_sees_its_own_name_and_key() {
    let world = World::new().await;
    let (mut socket, headers) = world
        .handshake(
            "?intent=x&model=ours",
            &[("authorization", &bearer()), ("openai-beta", "realtime=v1"), ("sec-websocket-protocol", "realtime")],
        )
        .await
        .unwrap();
    assert_eq!(
        (headers["sec-websocket-protocol"].as_bytes(), headers["x-tollgate-provider"].as_bytes()),
        (&b"realtime"[..], &b"a"[..])
    );
    assert_eq!(hear(&mut socket).await["type"], "session.created");
    say(&mut socket, json!({"type": "response.create"})).await;
    for kind in ["response.created", "response.output_text.delta", "response.done"] {
        assert_eq!(hear(&mut socket).await["type"], kind);
    }
    let handshakes = world.provider.handshakes.lock().unwrap().clone();
    let (uri, sent) = &handshakes[0];
    assert_eq!(uri, "/v1/realtime?intent=x&model=theirs");
    assert_eq!(sent["authorization"], format!("Bearer {}", std::env::var("PATH").unwrap()));
    assert_eq!(sent["openai-beta"], "realtime=v1");
}

#[tokio::test]
async fn a_browser_has_its_token_among_the_subprotocols() {
    let world = World::new().await;
    let offered = format!("realtime, openai-insecure-api-key.{}, openai-beta.realtime-v1", token());
    let (mut socket, headers) = world.handshake("?model=ours", &[("sec-websocket-protocol", &offered)]).await.unwrap();
    assert_eq!(headers["sec-websocket-protocol"], "realtime");
    assert_eq!(hear(&mut socket).await["type"], "session.created");
    let handshakes = world.provider.handshakes.lock().unwrap().clone();
    assert_eq!(handshakes[0].1["openai-beta"], "realtime=v1");
    assert!(!format!("{handshakes:?}").contains(&token()[..40]), "the client's token stays here");
}

#[tokio::test]
async fn until_the_provider_is_open_a_failure_is_an_http_answer() {
    let world = World::new().await;
    let bearer = bearer();
    let (status, body) = world.refused("?model=ours", &[]).await;
    assert_eq!((status, body["error"]["type"].as_str()), (401, Some("invalid_request_error")));
    assert_eq!(world.refused("", &[("authorization", &bearer)]).await.0, 400, "no model");
    let (status, body) = world.refused("?model=none", &[("authorization", &bearer)]).await;
    assert_eq!((status, body["error"]["code"].as_str()), (503, Some("upstream_unreachable")));
    let (status, body) = world.refused("?model=refused", &[("authorization", &bearer)]).await;
    assert_eq!((status, body["error"]["code"].as_str()), (404, Some("model_not_found")), "the provider's own words");
}

/// What `openai-python` sends for `realtime.connect(call_id=...)`: no model.
#[tokio::test]
async fn a_call_is_joined_at_the_provider_that_has_it() {
    let world = World::new().await;
    let bearer = bearer();
    let authorized: [(&str, &str); 1] = [("authorization", &bearer)];
    let (mut socket, headers) = world.handshake("?call_id=rtc_1", &authorized).await.unwrap();
    assert_eq!(headers["x-tollgate-provider"], "a", "the default chain");
    assert_eq!(hear(&mut socket).await["type"], "session.created");
    let (_, headers) = world.handshake("?call_id=rtc_1&model=either", &authorized).await.unwrap();
    assert_eq!(headers["x-tollgate-provider"], "a", "the first of this chain does not know the call");
    let seen: Vec<String> = world.provider.handshakes.lock().unwrap().iter().map(|(uri, _)| uri.clone()).collect();
    assert_eq!(
        seen,
        ["/v1/realtime?call_id=rtc_1", "/refuses/v1/realtime?call_id=rtc_1", "/v1/realtime?call_id=rtc_1"]
    );
    let (status, body) = world.refused("?call_id=rtc_2", &[("authorization", &bearer)]).await;
    assert_eq!((status, body["error"]["code"].as_str()), (404, Some("model_not_found")), "the provider's own words");
    let (status, body) = world.refused("?call_id=", &[("authorization", &bearer)]).await;
    assert_eq!((status, body["error"]["param"].as_str()), (400, Some("model")), "no call either");
}

#[tokio::test]
async fn a_provider_that_is_down_is_followed_by_the_next() {
    let world = World::new().await;
    let (mut socket, headers) = world.handshake("?model=two", &[("authorization", &bearer())]).await.unwrap();
    assert_eq!(headers["x-tollgate-provider"], "a");
    assert_eq!(hear(&mut socket).await["type"], "session.created");
}

#[tokio::test]
async fn the_providers_goodbye_reaches_the_client_and_a_broken_connection_is_told_as_one() {
    let world = World::new().await;
    let mut socket = world.open().await;
    say(&mut socket, json!({"type": "test.close"})).await;
    assert_eq!(end(&mut socket).await, Some((4001, "enough".to_owned())));
    let mut socket = world.open().await;
    say(&mut socket, json!({"type": "test.break"})).await;
    assert_eq!(end(&mut socket).await.map(|(code, _)| code), Some(1011));
}

#[tokio::test]
async fn a_session_outlives_what_is_no_event() {
    let world = World::new().await;
    let mut socket = world.open().await;
    hear(&mut socket).await;
    say(&mut socket, json!({"type": "of.tomorrow", "response": 7})).await;
    say(&mut socket, json!({"type": "response.create"})).await;
    hear_of(&mut socket, "response.done").await;
    assert_eq!(*world.provider.events.lock().unwrap(), ["of.tomorrow", "response.create"]);
}
