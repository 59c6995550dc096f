//! Conversations by `previous_response_id`.

use axum::Router;
use axum::body::Body;
use serde_json::{Value, json};

use super::world::{PATH, SIGNATURE, World, id};

fn weather() -> Value {
    json!([{"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}, "strict": false}])
}

#[tokio::test]
async fn a_tool_loop_goes_on_by_the_id_alone_with_claudes_signatures() {
    let world = World::new(&["messages"], "").await;
    for stream in [false, true] {
        let body = json!({"input": "Weather?", "instructions": "Be short.", "tools": weather(), "reasoning": {"effort": "low", "summary": "auto"}});
        let first = world.respond(stream, body).await;
        assert_eq!(
            (&first["store"], &first["previous_response_id"], &first["status"]),
            (&json!(true), &Value::Null, &json!("completed"))
        );
        let kinds: Vec<&str> =
            first["output"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["reasoning", "function_call"]);
        let mut last = first.clone();
        for turn in 1..=3 {
            let result =
                json!({"type": "function_call_output", "call_id": "toolu_1", "output": format!("{turn} degrees")});
            let input = if turn == 1 { json!([result]) } else { json!([{"role": "user", "content": "And now?"}]) };
            last = world
                .respond(stream, json!({"input": input, "previous_response_id": id(&last), "tools": weather(), "reasoning": {"effort": "low"}, "tool_choice": "none"}))
                .await;
            assert_eq!(last["store"], true);
        }
        let sent = world.sent();
        let messages = sent["messages"].as_array().unwrap();
        let roles: Vec<&str> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["user", "assistant", "user", "assistant", "user", "assistant", "user"], "{sent}");
        assert_eq!(messages[1]["content"][0]["signature"], SIGNATURE);
        assert_eq!(messages[1]["content"][1]["id"], "toolu_1");
        assert_eq!(messages[2]["content"][0]["tool_use_id"], "toolu_1");
        assert_eq!(sent.get("system"), None, "instructions are not carried over");
    }
}

#[tokio::test]
async fn what_is_kept_outlives_the_gateway_and_each_turn_has_a_future_of_its_own() {
    let world = World::new(&["messages"], "").await;
    let first = world.respond(false, json!({"input": "one"})).await;
    let world = world.restarted(&["messages"], "").await;
    let said = |response: &Value| response["output"][0]["content"][0]["text"].as_str().unwrap().to_owned();
    let left = world.respond(true, json!({"input": "two", "previous_response_id": id(&first)})).await;
    let right = world.respond(false, json!({"input": "other", "previous_response_id": id(&first)})).await;
    assert_eq!((said(&left), said(&right)), ("3 messages".to_owned(), "3 messages".to_owned()));
    let next = world.respond(false, json!({"input": [], "previous_response_id": id(&left), "store": false})).await;
    assert_eq!((&next["store"], &next["previous_response_id"]), (&json!(false), &left["id"]));
    let (status, error) =
        world.ask("POST", PATH, Some(&json!({"model": "any", "input": "x", "previous_response_id": next["id"]}))).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (400, &json!("unsupported_by_upstream")),
        "it was not to be kept: {error}"
    );
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not() {
    let world = World::new(&["messages"], "").await;
    let response = world.respond(false, json!({"input": "one", "store": false})).await;
    assert_eq!(response["store"], false);
    assert!(!id(&response).starts_with("resp_tollgate_"));
    let (status, _) = world.get(&id(&response)).await;
    assert_ne!(status, 200);
}

#[tokio::test]
async fn items_are_named_instead_of_sent() {
    let world = World::new(&["messages"], "").await;
    let first = world.respond(false, json!({"input": "Weather?", "tools": weather()})).await;
    let reference = |index: usize| json!({"type": "item_reference", "id": first["output"][index]["id"]});
    let input = json!([{"role": "user", "content": "Weather?"}, reference(0), reference(1), {"type": "function_call_output", "call_id": "toolu_1", "output": "18"}]);
    world.respond(false, json!({"input": input, "tools": weather(), "reasoning": {"effort": "low"}})).await;
    assert_eq!(world.sent()["messages"][1]["content"][0]["signature"], SIGNATURE);
    let unknown = format!("{}9", first["output"][0]["id"].as_str().unwrap());
    let body = json!({"model": "any", "input": [{"type": "item_reference", "id": unknown}]});
    let (status, error) = world.ask("POST", PATH, Some(&body)).await;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("input[0]")), "{error}");
}

#[tokio::test]
async fn a_provider_that_keeps_responses_itself_keeps_its_own() {
    let world = World::new(&["native"], "").await;
    let response = world.respond(false, json!({"input": "one"})).await;
    assert_eq!(id(&response), "resp_native");
    world.respond(false, json!({"input": "two", "previous_response_id": "resp_native"})).await;
    assert_eq!(world.sent()["previous_response_id"], "resp_native");
    // A conversation that began elsewhere comes whole, without ids that this provider has not given.
    let elsewhere = world.restarted(&["down", "messages"], "").await;
    let first = elsewhere.respond(true, json!({"input": "one"})).await;
    assert!(id(&first).starts_with("resp_tollgate_"));
    world.respond(false, json!({"input": "two", "previous_response_id": id(&first)})).await;
    let sent = world.sent();
    let expected = json!([
        {"role": "user", "content": [{"type": "input_text", "text": "one"}], "type": "message", "status": "completed"},
        {"type": "message", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "1 messages"}]},
        {"type": "message", "role": "user", "content": "two"},
    ]);
    assert_eq!((&sent["input"], sent.get("previous_response_id")), (&expected, None));
}

#[tokio::test]
async fn prompts_of_the_configuration_are_put_in_once_and_not_kept() {
    let prompts = "  prompts: {prepend: [{role: user, content: before}], append: [{role: user, content: after}]}\n";
    let world = World::new(&["messages"], prompts).await;
    let first = world.respond(false, json!({"input": "one"})).await;
    let second = world
        .respond(false, json!({"input": [{"role": "user", "content": "two"}], "previous_response_id": id(&first)}))
        .await;
    let sent = world.sent().to_string();
    assert_eq!((sent.matches("before").count(), sent.matches("after").count()), (1, 1), "{sent}");
    let (_, items) = world.ask("GET", &format!("{PATH}/{}/input_items", id(&second)), None).await;
    assert_eq!(items["data"].as_array().unwrap().len(), 1, "{items}");
    assert_eq!(items["data"][0]["content"][0]["text"], "two");
}

#[tokio::test]
async fn what_guards_masked_is_kept_masked_and_may_be_read() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hook = Router::new().fallback(|request: axum::extract::Request| async move {
        let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let masked =
            String::from_utf8(body.to_vec()).unwrap().replace("secret", "***").replace("messages\"}", "gnihtyna\"}");
        Body::from(format!(r#"{{"action":{masked}}}"#))
    });
    tokio::spawn(async move { axum::serve(listener, hook).await });
    let hook = format!("{{webhook: {{target: {{host: '{address}'}}}}}}");
    let world = World::new(&["messages"], &format!("  promptGuard: {{request: [{hook}], response: [{hook}]}}\n")).await;
    for stream in [false, true] {
        let response = world.respond(stream, json!({"input": "my secret"})).await;
        let response =
            world.respond(stream, json!({"input": "more secret", "previous_response_id": id(&response)})).await;
        assert!(!world.sent().to_string().contains("secret"));
        let (status, kept) = world.get(&id(&response)).await;
        assert_eq!((status, &kept), (200, &response), "what the guards have seen");
        assert_eq!(kept["output"][0]["content"][0]["text"], "3 gnihtyna", "{kept}");
        let (_, items) = world.ask("GET", &format!("{PATH}/{}/input_items", id(&response)), None).await;
        assert_eq!(items["data"][0]["content"][0]["text"], "more ***", "{items}");
    }
}

#[tokio::test]
async fn a_conversation_is_no_larger_than_a_request_may_be() {
    let world = World::new(&["messages"], "").await;
    let first = world.respond(false, json!({"input": "x".repeat(900_000)})).await;
    let (status, kept) = world.ask("GET", &format!("{PATH}/{}/input_items", id(&first)), None).await;
    assert_eq!(
        (status, kept["data"][0]["content"][0]["text"].as_str().unwrap().len()),
        (200, 900_000),
        "in several items"
    );
    let next = json!({"model": "any", "input": "next", "previous_response_id": id(&first)});
    assert_eq!(world.ask("POST", PATH, Some(&next)).await.0, 200);
    let small = world.restarted(&["messages"], "request: {maxBodyBytes: 500000}\n").await;
    let (status, error) = small.ask("POST", PATH, Some(&next)).await;
    assert_eq!((status, &error["error"]["param"]), (413, &json!("previous_response_id")), "{error}");
    let large = world.respond(false, json!({"input": "x".repeat(6_000_000)})).await;
    assert_eq!(large["store"], false, "too large to be kept");
    assert_eq!(world.get(&id(&large)).await.0, 404);
}
