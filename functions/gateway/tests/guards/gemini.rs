//! Gemini's clients: what hooks see of their requests, counts and answers, and what they do to them.

use axum::Router;
use serde_json::{Value, json};

use super::support::{events_of, gateway, json_of};
use super::world::{PASS, REJECT, Server, answer, ask, guarded, webhook};

const ANSWER: &str = "/v1beta/models/m:generateContent";
const COUNT: &str = "/v1beta/models/m:countTokens";
const EVENTS: &str = "/v1beta/models/m:streamGenerateContent?alt=sse";
const ARRAY: &str = "/v1beta/models/m:streamGenerateContent";

const MASK: &str = r#"{"action":{"body":{"choices":[{"message":{"role":"assistant","content":"the ***"}}]}}}"#;

fn hi() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]})
}

/// A gateway before Gemini itself, as this server is one, with these request hooks.
fn before_gemini(google: &Server, hooks: &str) -> Router {
    gateway(&format!(
        "ai:\n  promptGuard: {{request: [{hooks}]}}\n  groups:\n  - providers:\n    - {{name: google, baseUrl: 'http://{}', provider: {{gemini: {{}}}}, policies: {{backendAuth: {{key: 'env:CARGO_PKG_NAME'}}}}}}\n",
        google.address
    ))
}

/// A server that counts.
async fn google() -> Server {
    Server::start(|_| answer(200, r#"{"totalTokens":7,"promptTokensDetails":[{"modality":"TEXT","tokenCount":7}]}"#))
        .await
}

/// Answers every hook call with the texts that it was sent, but for one word.
async fn censor() -> Server {
    Server::start(|(_, _, body)| {
        let mut messages = body["body"]["messages"].clone();
        for message in messages.as_array_mut().unwrap() {
            message["content"] = message["content"].as_str().unwrap().replace("123-45-6789", "***").into();
        }
        answer(200, json!({"action": {"body": {"messages": messages}, "reason": "ssn"}}).to_string())
    })
    .await
}

#[tokio::test]
async fn a_hook_sees_instructions_and_texts_of_a_request_and_of_a_count() {
    let (model, hook) = (Server::model().await, Server::hook(200, PASS).await);
    let router = guarded(&model, &format!("{{request: [{}]}}", webhook(&hook, "")));
    let request = json!({
        "systemInstruction": {"parts": [{"text": "be"}, {"text": "brief"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "part a"}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}, {"text": "part b"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"secret": "x"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "done"}}}]},
            {"parts": [{"text": "go on"}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "does f"}]}]});
    assert_eq!(ask(&router, ANSWER, &request).await.0, 200);
    assert_eq!(ask(&router, COUNT, &request).await.0, 200, "Vertex AI's form of a count");
    assert_eq!(ask(&router, COUNT, &json!({"generateContentRequest": request})).await.0, 200);

    let message = |role: &str, content: &str| json!({"role": role, "content": content});
    let expected = json!({"body": {"messages": [
        message("system", "be brief"), message("user", "part a part b"), message("assistant", ""), message("user", ""), message("user", "go on")]}});
    assert_eq!(hook.bodies(), [expected.clone(), expected.clone(), expected]);
}

#[tokio::test]
async fn what_is_counted_is_what_the_hook_left_of_it() {
    let (google, hook) = (google().await, censor().await);
    let router = before_gemini(&google, &webhook(&hook, ""));
    let request = |text: &str| {
        json!({"systemInstruction": {"parts": [{"text": format!("about {text}")}]},
            "contents": [{"role": "user", "parts": [{"text": format!("it is {text}")}]}], "newField": [1, 2.5]})
    };
    for body in [request("123-45-6789"), json!({"generateContentRequest": request("123-45-6789")})] {
        let (status, _, counted) = ask(&router, COUNT, &body).await;
        assert_eq!((status, &json_of(&counted)["totalTokens"]), (200, &json!(7)));
    }
    let mut whole = request("***");
    whole["model"] = "models/m".into();
    let expected = json!({"generateContentRequest": whole});
    assert_eq!(google.bodies(), [expected.clone(), expected]);
}

#[tokio::test]
async fn a_count_that_a_hook_refuses_reaches_nobody() {
    let (google, hook) = (google().await, Server::hook(200, REJECT).await);
    let router = before_gemini(&google, &webhook(&hook, ""));
    for body in [hi(), json!({"generateContentRequest": hi()})] {
        let (status, kind, body) = ask(&router, COUNT, &body).await;
        assert_eq!((status, kind.as_str()), (429, "application/json"));
        assert_eq!(body, r#"{"error":{"message":"no money"}}"#, "the hook's own words");
    }
    let router = before_gemini(&google, &webhook(&Server::hook(500, "{}").await, ""));
    let (status, _, body) = ask(&router, COUNT, &hi()).await;
    assert_eq!((status, &json_of(&body)["error"]["status"]), (503, &json!("UNAVAILABLE")));
    assert_eq!(google.seen().len(), 0);
}

#[tokio::test]
async fn texts_that_google_keeps_are_refused_because_no_hook_sees_them() {
    let (google, hook) = (google().await, Server::hook(200, PASS).await);
    let router = before_gemini(&google, &webhook(&hook, ""));
    for name in ["cachedContent", "cached_content"] {
        let mut request = hi();
        request[name] = "cachedContents/1".into();
        for (path, body) in [(ANSWER, request.clone()), (COUNT, json!({"generateContentRequest": request}))] {
            let (status, _, body) = ask(&router, path, &body).await;
            let message = json_of(&body)["error"]["message"].as_str().unwrap().to_owned();
            assert!(status == 400 && message.starts_with(name) && message.contains("guards"), "{path}: {message}");
        }
    }
    assert_eq!((google.seen().len(), hook.seen().len()), (0, 0));
}

#[tokio::test]
async fn answers_are_seen_whole_also_as_events_and_as_an_array() {
    let model = Server::model().await;
    for (hook, expected) in [(PASS, Ok("the secret")), (MASK, Ok("the ***")), (REJECT, Err(429))] {
        let hook = Server::hook(200, hook).await;
        let router = guarded(&model, &format!("{{response: [{}]}}", webhook(&hook, "")));
        for (path, kind) in
            [(ANSWER, "application/json"), (EVENTS, "text/event-stream; charset=utf-8"), (ARRAY, "application/json")]
        {
            let (status, content_type, body) = ask(&router, path, &hi()).await;
            match expected {
                Err(refused) => assert_eq!((status, content_type.as_str()), (refused, "application/json"), "{path}"),
                Ok(text) => {
                    assert_eq!((status, content_type.as_str()), (200, kind), "{path}");
                    assert_eq!(text_of(path, &body), text, "{path}: {body}");
                    assert!(text == "the secret" || !body.contains("secret"), "{path}: {body}");
                }
            }
        }
        let choice = json!({"message": {"role": "assistant", "content": "the secret"}});
        let seen = json!({"body": {"choices": [choice]}});
        assert_eq!(hook.bodies(), [seen.clone(), seen.clone(), seen]);
    }
}

/// What a client reads of an answer in each of the three forms.
fn text_of(path: &str, body: &str) -> String {
    let chunks: Vec<Value> = match path {
        EVENTS => events_of(body).into_iter().map(|(_, data)| json_of(data)).collect(),
        ARRAY => json_of(body).as_array().unwrap().clone(),
        _ => vec![json_of(body)],
    };
    let parts = chunks.iter().filter_map(|chunk| chunk["candidates"][0]["content"]["parts"].as_array()).flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

#[tokio::test]
async fn a_count_has_no_answer_that_a_hook_could_see() {
    let (model, hook) = (Server::model().await, Server::hook(200, REJECT).await);
    let router = guarded(&model, &format!("{{response: [{}]}}", webhook(&hook, "")));
    assert_eq!(ask(&router, COUNT, &hi()).await.0, 200);
    assert_eq!((hook.seen().len(), model.seen().len()), (0, 0), "it is an estimate");
}
