//! Response hooks: whole answers and streams.

use serde_json::{Value, json};

use super::support::{events_of, json_of};
use super::world::{
    CHAT, MESSAGES, PASS, REJECT, Server, ask, chat_answer, guarded, hi, messages_answer, streamed, webhook,
};

const MASK: &str = r#"{"action":{"body":{"choices":[{"message":{"role":"assistant","content":"the ***"}}]}}}"#;

/// What a client reads of a stream.
fn text_of(body: &str) -> String {
    let datas = events_of(body).into_iter().map(|(_, data)| data).filter(|data| *data != "[DONE]");
    let pieces = datas.map(json_of).map(|data| {
        let chat = data["choices"][0]["delta"]["content"].as_str();
        chat.or(data["delta"]["text"].as_str()).unwrap_or_default().to_owned()
    });
    pieces.collect()
}

#[tokio::test]
async fn a_whole_answer_is_seen_masked_and_rejected() {
    let model = Server::model().await;
    for (path, own) in [(CHAT, chat_answer as fn(&str) -> Value), (MESSAGES, messages_answer)] {
        for (hook, expected) in [(PASS, Ok("the secret")), (MASK, Ok("the ***")), (REJECT, Err("no money"))] {
            let hook = Server::hook(200, hook).await;
            let router = guarded(&model, &format!("{{response: [{}]}}", webhook(&hook, "")));
            let (status, kind, body) = ask(&router, path, &hi()).await;
            assert_eq!(kind, "application/json");
            match expected {
                Ok(text) => assert_eq!((status, json_of(&body)), (200, own(text))),
                Err(message) => assert_eq!((status, &json_of(&body)["error"]["message"]), (429, &json!(message))),
            }
            let (at, _, sent) = hook.seen().remove(0);
            let choice = json!({"message": {"role": "assistant", "content": "the secret"}});
            assert_eq!((at.as_str(), sent), ("/response", json!({"body": {"choices": [choice]}})));
        }
    }
}

#[tokio::test]
async fn a_stream_is_held_checked_once_and_released() {
    let model = Server::model().await;
    for path in [CHAT, MESSAGES] {
        for (hook, text) in [(PASS, "the secret"), (MASK, "the ***")] {
            let hook = Server::hook(200, hook).await;
            let router = guarded(&model, &format!("{{response: [{}]}}", webhook(&hook, "")));
            let (status, kind, body) = ask(&router, path, &streamed()).await;
            assert_eq!((status, kind.as_str()), (200, "text/event-stream; charset=utf-8"));
            assert_eq!(text_of(&body), text, "{body}");
            let end = if path == CHAT { "[DONE]" } else { "message_stop" };
            assert!(body.contains(end) && (text == "the secret" || !body.contains("secret")), "{body}");
            assert_eq!(hook.seen().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_held_stream_that_is_rejected_is_a_plain_answer_with_its_status() {
    let (model, hook) = (Server::model().await, Server::hook(200, REJECT).await);
    let router = guarded(&model, &format!("{{response: [{}]}}", webhook(&hook, "")));
    for path in [CHAT, MESSAGES] {
        let (status, kind, body) = ask(&router, path, &streamed()).await;
        assert_eq!((status, kind.as_str()), (429, "application/json"));
        assert_eq!(json_of(&body)["error"]["message"], "no money");
    }
}

#[tokio::test]
async fn a_stream_passes_unchecked_only_where_the_file_says_so() {
    let (model, hook) = (Server::model().await, Server::hook(200, REJECT).await);
    let router = guarded(&model, &format!("{{response: [{}], streaming: skip}}", webhook(&hook, "")));
    for path in [CHAT, MESSAGES] {
        assert_eq!(text_of(&ask(&router, path, &streamed()).await.2), "the secret");
        assert_eq!(ask(&router, path, &hi()).await.0, 429, "a whole answer is checked all the same");
    }
    assert_eq!(hook.seen().len(), 2);
}

#[tokio::test]
async fn an_answer_is_checked_in_the_clients_dialect() {
    let (model, hook) = (Server::model().await, Server::hook(200, MASK).await);
    let router = super::support::gateway(&format!(
        "ai:\n  promptGuard: {{response: [{}]}}\n  groups:\n  - providers:\n    - {{name: model, baseUrl: 'http://{}', provider: {{custom: {{formats: [{{type: messages}}]}}}}}}\n",
        webhook(&hook, ""),
        model.address
    ));
    let (status, _, body) = ask(&router, CHAT, &hi()).await;
    assert_eq!((status, &json_of(&body)["choices"][0]["message"]["content"]), (200, &json!("the ***")));
    assert_eq!(text_of(&ask(&router, CHAT, &streamed()).await.2), "the ***");
}

#[tokio::test]
async fn a_stream_that_breaks_while_it_is_held_is_a_fault_with_a_status() {
    let model = Server::start(|_| {
        let chunk =
            json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "the sec"}, "finish_reason": null}]});
        let mut response = super::world::answer(200, format!("data: {chunk}\n\n"));
        response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
        response
    })
    .await;
    let hook = Server::hook(200, PASS).await;
    let router = guarded(&model, &format!("{{response: [{}]}}", webhook(&hook, "")));
    let (status, kind, body) = ask(&router, CHAT, &streamed()).await;
    assert_eq!((status, kind.as_str()), (502, "application/json"));
    assert!(!body.contains("the sec"), "{body}");
    assert_eq!(hook.seen().len(), 0);
}

#[tokio::test]
async fn an_answer_in_the_background_would_be_seen_by_no_guard() {
    let (model, hook) = (Server::model().await, Server::hook(200, PASS).await);
    let router = guarded(&model, &format!("{{response: [{}]}}", webhook(&hook, "")));
    let body = json!({"model": "any", "input": "Hi", "background": true});
    let (status, _, said) = ask(&router, "/v1/responses", &body).await;
    let error = &json_of(&said)["error"];
    assert_eq!((status, &error["param"], &error["code"]), (400, &json!("background"), &json!("guarded")));
    assert!(model.seen().is_empty() && hook.seen().is_empty());
}
