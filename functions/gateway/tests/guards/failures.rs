//! Hooks that fail, under both failure modes, in both phases.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::response::Response;

use super::support::json_of;
use super::world::{CHAT, Got, MESSAGES, Server, answer, ask, guarded, hi, streamed, webhook};

/// What a hook answers, and whether `failOpen` forgives it.
const ANSWERS: &[(u16, &str, bool)] = &[
    (200, "", true),
    (200, "{}", true),
    (200, "null", true),
    (200, "oops", true),
    (500, "Internal Server Error", true),
    (500, r#"{"action":{"reason":"ok"}}"#, true),
    (429, "slow down", true),
    (302, r#"{"action":{"reason":"ok"}}"#, true),
    // These may be refusals.
    (403, "Forbidden", false),
    (403, r#"{"action":{}}"#, false),
    (413, "too large", false),
    (200, r#"{"action":"pass"}"#, false),
    (200, r#"{"action":"reject"}"#, false),
    (200, r#"{"action":{"status_code":429,"reason":"no body"}}"#, false),
    (200, r#"{"action":{"reject":{"body":"x","status_code":429}}}"#, false),
    (200, r#"{"action":{"body":{"error":"x"},"status_code":429}}"#, false),
    (200, r#"{"action":{"body":"x","status_code":"429"}}"#, false),
    (200, r#"{"action":{"body":"x","status_code":0}}"#, false),
    (200, r#"{"action":{"body":"x","status_code":1000}}"#, false),
    (200, r#"{"action":{"body":"x","status_code":200}}"#, false),
    (200, r#"{"action":{"reason":"no","blocked":true}}"#, false),
    (500, r#"{"action":{"status_code":429}}"#, false),
    // Masks that do not fit.
    (200, r#"{"action":{"body":{"messages":[]},"status_code":429}}"#, false),
    (200, r#"{"action":{"body":{"messages":[]}}}"#, false),
    (
        200,
        r#"{"action":{"body":{"messages":[{"role":"system","content":"x"},{"role":"user","content":"Hi"}]}}}"#,
        false,
    ),
    (200, r#"{"action":{"body":{"messages":[{"role":"user","content":7}]}}}"#, false),
    (200, r#"{"action":{"body":{"choices":[]}}}"#, false),
];

fn assert_failed(got: &Got, what: &str) {
    let (status, kind, body) = got;
    assert_eq!((*status, kind.as_str()), (503, "application/json"), "{what}: {body}");
    let error = &json_of(body)["error"];
    assert!(error["message"].as_str().unwrap().contains("a prompt guard of this gateway failed"), "{what}: {body}");
    assert!(!body.contains("secret"), "{what}: {body}");
}

/// A hook whose answer the test sets, and gateways that ask it about requests and about answers.
struct Told {
    answer: Arc<Mutex<(u16, &'static str)>>,
    requests: Router,
    answers: Router,
}

impl Told {
    async fn start(mode: &str) -> Self {
        let answer_of_now = Arc::new(Mutex::new((200, "")));
        let told = Arc::clone(&answer_of_now);
        let hook = Server::start(move |_| {
            let (status, body) = *told.lock().unwrap();
            answer(status, body)
        })
        .await;
        let model = Server::model().await;
        let guard = webhook(&hook, &format!(", failureMode: {mode}"));
        let requests = guarded(&model, &format!("{{request: [{guard}]}}"));
        let answers = guarded(&model, &format!("{{response: [{guard}]}}"));
        Self { answer: answer_of_now, requests, answers }
    }

    fn tell(&self, status: u16, body: &'static str) {
        *self.answer.lock().unwrap() = (status, body);
    }
}

#[tokio::test]
async fn what_is_no_action_is_no_pass() {
    let told = Told::start("failClosed").await;
    for (status, body, _) in ANSWERS {
        told.tell(*status, body);
        for path in [CHAT, MESSAGES] {
            assert_failed(&ask(&told.requests, path, &hi()).await, body);
            assert_failed(&ask(&told.answers, path, &hi()).await, body);
            assert_failed(&ask(&told.answers, path, &streamed()).await, body);
        }
    }
}

#[tokio::test]
async fn fail_open_forgives_a_hook_that_is_down_and_not_one_that_decided() {
    let told = Told::start("failOpen").await;
    for (status, body, forgiven) in ANSWERS {
        told.tell(*status, body);
        for router in [&told.requests, &told.answers] {
            let got = ask(router, CHAT, &hi()).await;
            if *forgiven {
                assert_eq!(got.0, 200, "{status} {body}");
            } else {
                assert_failed(&got, body);
            }
        }
    }
}

#[tokio::test]
async fn the_code_says_who_failed() {
    let (model, hook) = (Server::model().await, Server::hook(500, "").await);
    let router = guarded(&model, &format!("{{request: [{}]}}", webhook(&hook, "")));
    assert_eq!(json_of(&ask(&router, CHAT, &hi()).await.2)["error"]["code"], "guard_failed");
    assert_eq!(json_of(&ask(&router, MESSAGES, &hi()).await.2)["error"]["type"], "overloaded_error");
}

/// A hook that is not there, one that is late, and one that never stops talking.
async fn unreachable() -> Vec<(&'static str, String)> {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let late = silent.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            kept.push(stream);
        }
    });
    let large = Server::start(|_| -> Response { answer(200, vec![b' '; 2 * 1024 * 1024]) }).await;
    let compressed = Server::start(|_| {
        let mut response = answer(200, super::world::PASS);
        response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        response
    })
    .await;
    vec![
        ("down", super::closed::closed_address().to_string()),
        ("late", late.to_string()),
        ("too large", large.address),
        ("compressed", compressed.address),
    ]
}

#[tokio::test]
async fn a_hook_that_cannot_be_asked_fails_closed_or_open() {
    let model = Server::model().await;
    for (what, address) in unreachable().await {
        let router = |mode: &str| {
            let hook = format!("{{webhook: {{target: {{host: '{address}'}}, timeoutMs: 150, failureMode: {mode}}}}}");
            guarded(&model, &format!("{{request: [{hook}], response: [{hook}]}}"))
        };
        assert_failed(&ask(&router("failClosed"), CHAT, &hi()).await, what);
        assert_eq!(ask(&router("failOpen"), CHAT, &hi()).await.0, 200, "{what}");
        assert_eq!(ask(&router("failOpen"), CHAT, &streamed()).await.0, 200, "{what}");
    }
}

/// A hook whose first connection dies after one answer, as it does while a sandbox is frozen.
async fn forgetful() -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}",
                super::world::PASS.len(),
                super::world::PASS
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            // The next request on this connection is read, and never answered.
            let _ = stream.read(&mut request).await;
        }
    });
    address
}

#[tokio::test]
async fn a_kept_connection_that_died_is_no_failure() {
    let model = Server::model().await;
    let router = guarded(&model, &format!("{{request: [{{webhook: {{target: {{host: '{}'}}}}}}]}}", forgetful().await));
    for _ in 0..4 {
        assert_eq!(ask(&router, CHAT, &hi()).await.0, 200);
    }
}
