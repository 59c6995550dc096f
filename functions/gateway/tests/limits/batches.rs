//! Batches of embeddings that go upstream in parts.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::support::{gateway, json_of, token};
use super::world::serve;

/// A file with the provider's key, written once: another test's gateway may be reading it.
static KEY: LazyLock<PathBuf> = LazyLock::new(|| {
    let key = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gemini-key-{}", std::process::id()));
    std::fs::write(&key, "k-1").unwrap();
    key
});

/// What the upstream saw.
#[derive(Debug, Default)]
struct Seen {
    calls: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

/// Gemini: the vector of `text 7` is `[7]`. Under `/broken` one part of a batch fails.
async fn gemini(State(seen): State<Arc<Seen>>, request: Request) -> Response {
    seen.calls.fetch_add(1, Ordering::SeqCst);
    let now = seen.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    seen.most.fetch_max(now, Ordering::SeqCst);
    let broken = request.uri().path().starts_with("/broken");
    assert!(request.uri().path().ends_with("/v1beta/models/gemini-embedding-001:batchEmbedContents"));
    let bytes = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let body = json_of(std::str::from_utf8(&bytes).unwrap());
    let texts = body["requests"].as_array().unwrap();
    let number = |one: &Value| -> u64 {
        one["content"]["parts"][0]["text"].as_str().unwrap().strip_prefix("text ").unwrap().parse().unwrap()
    };
    // One alone waits for the second: they are asked at once. Then later parts answer first.
    while seen.most.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(60 - number(&texts[0]) / 50)).await;
    seen.under_way.fetch_sub(1, Ordering::SeqCst);
    let fails = broken && texts.iter().any(|one| number(one) == 150);
    let (status, answer) = if fails {
        (503, json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}))
    } else {
        (200, json!({"embeddings": texts.iter().map(|one| json!({"values": [number(one)]})).collect::<Vec<_>>()}))
    };
    let mut response = Response::new(Body::from(answer.to_string()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

/// Asks for the vectors of so many texts.
async fn ask(paths: &[&str], texts: usize) -> (http::response::Parts, Value, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let upstream = serve(Router::new().fallback(gemini).with_state(Arc::clone(&seen))).await;
    let provider = |path: &&str| {
        format!(
            "  - providers: [{{name: p{path}, baseUrl: 'http://{upstream}/{path}', provider: {{gemini: {{model: gemini-embedding-001}}}}, \
             policies: {{backendAuth: {{key: {{file: '{}'}}}}}}}}]\n",
            KEY.display()
        )
    };
    let router = gateway(&format!("ai:\n  groups:\n{}", paths.iter().map(provider).collect::<String>()));
    let input: Vec<String> = (0..texts).map(|n| format!("text {n}")).collect();
    let request = http::Request::post("/v1/embeddings")
        .header("authorization", format!("Bearer {}", token()))
        .body(Body::from(json!({"model": "any", "input": input}).to_string()))
        .unwrap();
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts, json_of(std::str::from_utf8(&bytes).unwrap()), seen)
}

fn assert_all(body: &Value, texts: usize) {
    let data = body["data"].as_array().unwrap();
    assert_eq!(data.len(), texts);
    for (at, item) in data.iter().enumerate() {
        assert_eq!((&item["index"], &item["embedding"]), (&json!(at), &json!([at])));
    }
}

#[tokio::test]
async fn the_vectors_of_a_split_batch_come_in_the_order_of_its_texts() {
    let (parts, body, seen) = ask(&["ok"], 2_048).await;
    assert_eq!(parts.status, 200, "{body}");
    assert_all(&body, 2_048);
    assert_eq!(seen.calls.load(Ordering::SeqCst), 21);
    let most = seen.most.load(Ordering::SeqCst);
    assert!(most <= 8, "{most} at once");
    assert_eq!(parts.headers["x-tollgate-attempts"], "1");
}

#[tokio::test]
async fn a_part_that_fails_moves_the_whole_batch_to_the_next_provider() {
    let (parts, body, _) = ask(&["broken", "ok"], 250).await;
    assert_eq!(parts.status, 200, "{body}");
    assert_all(&body, 250);
    assert_eq!(
        (&parts.headers["x-tollgate-attempts"], &parts.headers["x-tollgate-provider"]),
        (&"2".parse().unwrap(), &"pok".parse().unwrap())
    );
}

#[tokio::test]
async fn a_part_that_fails_without_another_provider_fails_all() {
    let (parts, body, _) = ask(&["broken"], 250).await;
    assert_eq!(parts.status, 503);
    assert_eq!(body["error"]["message"], "overloaded");
    assert!(body.get("data").is_none());
}
