//! `/input_items`, `/cancel`, and questions that have no answer.

use serde_json::{Value, json};

use super::world::{PATH, World, id};

#[tokio::test]
async fn input_items_come_in_pages() {
    let world = World::new(&["messages"], "").await;
    let input: Vec<Value> = (0..25).map(|number| json!({"role": "user", "content": format!("{number}")})).collect();
    let id = id(&world.respond(false, json!({"input": input})).await);
    let list = |query: String| {
        let (world, path) = (&world, format!("{PATH}/{id}/input_items{query}"));
        async move { world.ask("GET", &path, None).await }
    };
    let texts = |page: &Value| -> Vec<String> {
        let items = page["data"].as_array().unwrap();
        items.iter().map(|item| item["content"][0]["text"].as_str().unwrap().to_owned()).collect()
    };
    let (_, first) = list(String::new()).await;
    assert_eq!((texts(&first).len(), texts(&first)[0].as_str(), &first["has_more"]), (20, "24", &json!(true)));
    let (_, rest) = list(format!("?after={}", first["last_id"].as_str().unwrap())).await;
    assert_eq!(
        (texts(&rest), &rest["has_more"]),
        (["4", "3", "2", "1", "0"].map(str::to_owned).to_vec(), &json!(false))
    );
    let (_, ascending) = list("?order=asc&limit=2&include%5B%5D=x".to_owned()).await;
    assert_eq!(texts(&ascending), ["0", "1"]);
    for query in ["?limit=0", "?limit=101", "?limit=x", "?order=up", "?after=msg_1", "?before=x"] {
        let (status, error) = list(query.to_owned()).await;
        let param = query.trim_start_matches('?').split('=').next().unwrap();
        assert_eq!((status, &error["error"]["param"]), (400, &json!(param)), "{error}");
    }
}

#[tokio::test]
async fn what_is_over_cannot_be_cancelled_and_nothing_runs_in_the_background() {
    let world = World::new(&["messages"], "").await;
    let id = id(&world.respond(false, json!({"input": "one"})).await);
    let (status, error) = world.ask("POST", &format!("{PATH}/{id}/cancel"), None).await;
    assert_eq!((status, &error["error"]["message"]), (400, &json!("Cannot cancel a synchronous response.")));
    let (status, error) = world.ask("GET", &format!("{PATH}/{id}?stream=true"), None).await;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("stream")), "{error}");
    assert_eq!(world.ask("GET", &format!("{PATH}/{id}?stream=false&include[]=x"), None).await.0, 200);
    let body = json!({"model": "any", "input": "one", "background": true});
    let (status, error) = world.ask("POST", PATH, Some(&body)).await;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("background")), "{error}");
    let (status, _) = world.ask("POST", &format!("{PATH}/{id}"), None).await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn without_a_table_nothing_is_kept() {
    let mut world = World::new(&["messages"], "").await;
    let kept = id(&world.respond(false, json!({"input": "one"})).await);
    world.endpoint.clear();
    let off = world.restarted(&["messages"], "").await;
    let response = off.respond(false, json!({"input": "one"})).await;
    assert_eq!((&response["store"], id(&response).as_str()), (&json!(false), "resp_msg_1"));
    let (status, error) =
        off.ask("POST", PATH, Some(&json!({"model": "any", "input": "two", "previous_response_id": kept}))).await;
    assert_eq!((status, &error["error"]["code"]), (400, &json!("unsupported_by_upstream")));
    assert_ne!(off.get(&kept).await.0, 200);
}
