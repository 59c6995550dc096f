//! Whose a response is, and what becomes of it.

use serde_json::{Value, json};

use super::world::{PATH, World, id};

const UNKNOWN: &str = "resp_tollgate_00000000000000000000000000000000000000ff";

#[tokio::test]
async fn another_teams_response_is_one_that_is_not_there() {
    let world = World::new(&["messages"], "").await;
    let id = id(&world.respond(false, json!({"input": "mine"})).await);
    for (method, below) in [("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")] {
        let ask = |id: &str| {
            let path = format!("{PATH}/{id}{below}");
            let world = &world;
            async move { world.ask_as("other", method, &path, None).await }
        };
        let (status, error) = ask(&id).await;
        let (unknown_status, unknown) = ask(UNKNOWN).await;
        assert_eq!((status, unknown_status), (404, 404), "{method} {below}: {error}");
        assert_eq!(error.to_string().replace(&id, UNKNOWN), unknown.to_string());
    }
    let go_on = |id: &str| json!({"model": "any", "input": "yours", "previous_response_id": id});
    let (status, error) = world.ask_as("other", "POST", PATH, Some(&go_on(&id))).await;
    assert_eq!((status, &error["error"]["code"]), (400, &json!("previous_response_not_found")));
    let (_, unknown) = world.ask_as("other", "POST", PATH, Some(&go_on(UNKNOWN))).await;
    assert_eq!(error.to_string().replace(&id, UNKNOWN), unknown.to_string());
    let item = format!("msg_{}_0", id.rsplit('_').next().unwrap());
    let named = json!({"model": "any", "input": [{"type": "item_reference", "id": item}]});
    assert_eq!(world.ask_as("other", "POST", PATH, Some(&named)).await.0, 400);
    assert_eq!(world.journal.lock().unwrap().len(), 1, "nothing of it reached an upstream");
    assert_eq!(world.ask("POST", PATH, Some(&named)).await.0, 200, "its owner may name it");
    assert_eq!(world.get(&id).await.0, 200, "nobody has deleted it");
}

#[tokio::test]
async fn a_response_is_read_as_it_was_answered_and_deleted_for_good() {
    let world = World::new(&["messages"], "").await;
    for stream in [false, true] {
        let response = world.respond(stream, json!({"input": "one", "metadata": {"a": "b"}})).await;
        let id = id(&response);
        let (status, kept) = world.get(&id).await;
        assert_eq!((status, &kept), (200, &response));
        let next = world.respond(stream, json!({"input": "two", "previous_response_id": id})).await;
        let path = format!("{PATH}/{id}");
        let (status, deleted) = world.ask("DELETE", &path, None).await;
        assert_eq!((status, deleted), (200, json!({"id": id, "object": "response", "deleted": true})));
        assert_eq!(world.get(&id).await.0, 404);
        assert_eq!(world.ask("DELETE", &path, None).await.0, 404);
        assert_eq!(world.get(next["id"].as_str().unwrap()).await.0, 200, "a turn behind it stays");
        // But it cannot be gone on with: its beginning is not there.
        let body = json!({"model": "any", "input": "three", "previous_response_id": next["id"]});
        let (status, error) = world.ask("POST", PATH, Some(&body)).await;
        assert_eq!((status, &error["error"]["code"]), (400, &json!("previous_response_not_found")), "{error}");
    }
}

#[tokio::test]
async fn without_its_table_a_gateway_answers_and_says_what_it_cannot_do() {
    let world = World::new(&["messages"], "").await;
    let first = id(&world.respond(false, json!({"input": "one"})).await);
    let mut cut_off = world.restarted(&["messages"], "").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    cut_off.endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let cut_off = cut_off.restarted(&["messages"], "").await;
    for stream in [false, true] {
        let response: Value = cut_off.respond(stream, json!({"input": "one"})).await;
        assert_eq!((&response["store"], &response["status"]), (&json!(false), &json!("completed")));
    }
    for (method, path, body) in [
        ("GET", format!("{PATH}/{first}"), None),
        ("DELETE", format!("{PATH}/{first}"), None),
        ("POST", PATH.to_owned(), Some(json!({"model": "any", "input": "two", "previous_response_id": first}))),
    ] {
        let (status, error) = cut_off.ask(method, &path, body.as_ref()).await;
        assert_eq!((status, &error["error"]["code"]), (503, &json!("state_unavailable")), "{method}: {error}");
    }
}
