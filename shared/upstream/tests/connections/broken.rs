use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate_upstream::{Answer, Chains, Outcome, Step};

use super::asking::ask;

const WHOLE: &str = r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#;

/// Reads one request to the end of its body.
async fn request(stream: &mut TcpStream) -> bool {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.to_lowercase().split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return true;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return false,
            Ok(n) => seen.extend_from_slice(&buffer[..n]),
        }
    }
}

async fn answer(stream: &mut TcpStream) {
    let text =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{WHOLE}", WHOLE.len());
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn server() -> (TcpListener, Chains) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let yaml = format!(
        "ai: {{groups: [{{providers: [{{name: one, provider: {{custom: {{}}}}, baseUrl: 'http://{address}'}}]}}]}}"
    );
    (listener, Chains::new(&tollgate_config::parse(&yaml, "test").unwrap()).unwrap())
}

/// How each attempt ended.
fn classes(outcome: &Outcome) -> Vec<&'static str> {
    outcome.attempts.iter().map(|attempt| attempt.class.map_or("ok", |class| class.name())).collect()
}

#[tokio::test]
async fn a_request_on_a_dead_connection_is_sent_again_to_the_same_provider_and_counted() {
    let (listener, chains) = server().await;
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        assert!(request(&mut first).await);
        answer(&mut first).await;
        // The next request on this connection dies without an answer.
        assert!(request(&mut first).await);
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        assert!(request(&mut second).await);
        answer(&mut second).await;
        std::future::pending::<()>().await;
    });
    assert_eq!(classes(&ask(&chains, false, 6).await), ["ok"]);
    let again = ask(&chains, false, 6).await;
    assert!(again.result.is_ok(), "{:?}", again.result);
    assert_eq!(classes(&again), ["stream", "ok"]);
}

#[tokio::test]
async fn a_provider_that_never_answered_is_not_asked_twice() {
    let (listener, chains) = server().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
        }
    });
    assert_eq!(classes(&ask(&chains, false, 6).await), ["stream"]);
}

#[tokio::test]
async fn a_provider_that_dies_at_every_request_is_asked_twice_and_no_more() {
    let (listener, chains) = server().await;
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        request(&mut first).await;
        answer(&mut first).await;
        drop(first);
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
        }
    });
    assert_eq!(classes(&ask(&chains, false, 6).await), ["ok"]);
    let outcome = ask(&chains, false, 6).await;
    assert_eq!((classes(&outcome), outcome.result.is_err()), (vec!["stream", "stream"], true));
}

#[tokio::test]
async fn the_last_bytes_do_not_wait_for_an_upstream_that_stays_open() {
    let (listener, chains) = server().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        let chunk = r#"{"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}"#;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        stream.write_all(format!("{head}data: {chunk}\n\ndata: [DONE]\n\n").as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    });
    let Ok(Answer::Stream(mut live)) = ask(&chains, true, 6).await.result else { panic!("no stream") };
    let mut text = String::new();
    while !text.contains("[DONE]") {
        match live.step("r").await {
            Step::Bytes(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            other => panic!("{other:?} after {text:?}"),
        }
    }
    assert!(live.state().done);
    assert!(matches!(live.step("r").await, Step::Last(bytes) if bytes.is_empty()));
}

#[tokio::test]
async fn a_provider_that_forbids_a_model_is_not_taken_away_from_the_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let yaml = format!(
        "ai: {{groups: [{{providers: [{{name: one, provider: {{custom: {{}}}}, baseUrl: 'http://{}'}}]}}, {{providers: [{{name: two, provider: {{custom: {{}}}}, baseUrl: 'http://127.0.0.1:1'}}]}}]}}",
        listener.local_addr().unwrap()
    );
    let chains = Chains::new(&tollgate_config::parse(&yaml, "test").unwrap()).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            let head = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            stream.write_all(head.as_bytes()).await.unwrap();
        }
    });
    for _ in 0..5 {
        let outcome = ask(&chains, false, 6).await;
        assert_eq!(classes(&outcome), ["auth"]);
        assert_eq!(outcome.attempts[0].provider.name(), "one");
    }
}
