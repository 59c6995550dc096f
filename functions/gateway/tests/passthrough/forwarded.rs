//! What arrives at the upstream, and what comes back.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};
use tollgate_gateway::pipeline::HostDeadline;
use tower::ServiceExt;

use super::support::{events_of, gateway, json_of, token};

const ROUTES: &str =
    "routes: {/v1/audio/speech: passthrough, /v1/files: passthrough, '/v1/files/*': passthrough, '*': detect}";

/// Answers with what it was sent, but for these paths.
async fn upstream(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let answer = |status: u16, kind: &str, body: Body| {
        http::Response::builder()
            .status(status)
            .header("content-type", kind)
            .header("x-of-the-provider", "yes")
            .header("set-cookie", "session=1")
            .body(body)
            .unwrap()
    };
    let broken = || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Err::<Bytes, _>(std::io::Error::other("cut"))
    };
    match parts.uri.path() {
        "/a/v1/audio/speech" => answer(200, "audio/mpeg", Body::from(&b"\xff\xfb\x00sound"[..])),
        "/a/v1/moderations" => {
            answer(400, "application/json", Body::from(r#"{"error":{"message":"their own words"}}"#))
        }
        "/down/v1/images/generations" => {
            answer(503, "application/json", Body::from(r#"{"error":{"message":"later"}}"#))
        }
        "/a/v1/files/broken" => {
            let bytes = futures_util::stream::once(async { Ok(Bytes::from_static(b"half")) });
            answer(
                200,
                "application/octet-stream",
                Body::from_stream(futures_util::StreamExt::chain(bytes, futures_util::stream::once(broken()))),
            )
        }
        "/a/v1/completions" => {
            let event = b"data: {\"choices\":[{\"text\":\"a\"}]}\n\n";
            let bytes = futures_util::stream::once(async { Ok(Bytes::from_static(event)) });
            answer(
                200,
                "text/event-stream",
                Body::from_stream(futures_util::StreamExt::chain(bytes, futures_util::stream::once(broken()))),
            )
        }
        _ => {
            let headers: serde_json::Map<String, Value> = parts
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
                .collect();
            let said = json!({"method": parts.method.as_str(), "path": parts.uri.to_string(), "headers": headers,
                "body": String::from_utf8_lossy(&body)});
            answer(200, "application/json", Body::from(said.to_string()))
        }
    }
}

async fn world(more: &str) -> Router {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(upstream)).await });
    let at = |name: &str| {
        format!(
            "{{name: {name}, baseUrl: 'http://{address}/{name}', provider: {{custom: {{}}}}, policies: {{backendAuth: {{key: '$PATH'}}}}}}"
        )
    };
    gateway(&format!(
        "ai:\n  {ROUTES}\n  modelAliases: {{ours: theirs}}\n  groups:\n  - providers: [{}]\n  models:\n  - match: ['two*']\n    groups: [{{providers: [{}]}}, {{providers: \
         [{}]}}]\n  - match: ['claude*']\n    groups: [{{providers: [{{name: bedrock, provider: {{bedrock: {{region: eu-west-1}}}}}}]}}]\n{more}",
        at("a"),
        at("down"),
        at("a"),
    ))
}

fn request(method: &str, path: &str, kind: &str, body: impl Into<Body>) -> http::Request<Body> {
    http::Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {}", token()))
        .header("content-type", kind)
        .header("x-forwarded-for", "10.1.2.3")
        .header("connection", "keep-alive, x-hop")
        .header("x-hop", "1")
        .header("openai-beta", "assistants=v2")
        .body(body.into())
        .unwrap()
}

async fn ask(router: &Router, request: http::Request<Body>) -> (http::response::Parts, Bytes) {
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

async fn said(router: &Router, request: http::Request<Body>) -> Value {
    let (parts, body) = ask(router, request).await;
    let text = std::str::from_utf8(&body).unwrap();
    assert_eq!(parts.status, 200, "{text}");
    json_of(text)
}

#[tokio::test]
async fn a_request_arrives_as_it_was_but_for_credentials_and_the_models_name() {
    let router = world("").await;
    let body = r#"{ "input" : "x",  "model":"ours" }"#;
    let said =
        said(&router, request("POST", "/prod/v1/embeddings-of-tomorrow?a=b%20c", "application/json", body)).await;
    assert_eq!((&said["method"], &said["path"]), (&json!("POST"), &json!("/a/v1/embeddings-of-tomorrow?a=b%20c")));
    assert_eq!(said["body"], r#"{ "input" : "x",  "model":"theirs" }"#);
    let headers = said["headers"].as_object().unwrap();
    assert_eq!(
        headers["authorization"],
        format!("Bearer {}", std::env::var("PATH").unwrap()).as_str(),
        "the gateway's key"
    );
    assert_eq!(headers["openai-beta"], "assistants=v2");
    for name in ["x-forwarded-for", "x-hop", "connection", "x-api-key"] {
        assert!(!headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn methods_forms_and_paths_below_a_folder_pass() {
    let router = world("").await;
    let listed = said(&router, request("GET", "/v1/files?limit=2", "application/json", Body::empty())).await;
    assert_eq!(
        (&listed["method"], &listed["path"], &listed["body"]),
        (&json!("GET"), &json!("/a/v1/files?limit=2"), &json!(""))
    );
    let deleted = said(&router, request("DELETE", "/v1/files/file-1", "application/json", Body::empty())).await;
    assert_eq!((&deleted["method"], &deleted["path"]), (&json!("DELETE"), &json!("/a/v1/files/file-1")));
    let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nours\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; \
                filename=\"a.wav\"\r\n\r\nRIFF\r\n--b--\r\n";
    let heard =
        said(&router, request("POST", "/v1/audio/transcriptions", "multipart/form-data; boundary=b", form)).await;
    assert_eq!(heard["body"], form.replace("ours", "theirs"));
    assert_eq!(heard["headers"]["content-type"], "multipart/form-data; boundary=b");
}

#[tokio::test]
async fn an_answer_arrives_as_it_was_whatever_it_is() {
    let router = world("").await;
    let (parts, body) =
        ask(&router, request("POST", "/v1/audio/speech", "application/json", r#"{"model":"tts-1"}"#)).await;
    assert_eq!((parts.status.as_u16(), &body[..]), (200, &b"\xff\xfb\x00sound"[..]));
    for (name, value) in [
        ("content-type", "audio/mpeg"),
        ("x-of-the-provider", "yes"),
        ("x-tollgate-provider", "a"),
        ("x-tollgate-attempts", "1"),
    ] {
        assert_eq!(parts.headers[name], value, "{name}");
    }
    assert!(!parts.headers.contains_key("set-cookie") && parts.headers.contains_key("x-request-id"));
    let (parts, body) = ask(&router, request("POST", "/v1/moderations", "application/json", "{}")).await;
    assert_eq!((parts.status.as_u16(), &body[..]), (400, &br#"{"error":{"message":"their own words"}}"#[..]));
}

#[tokio::test]
async fn a_provider_that_is_down_is_followed_by_the_next() {
    let router = world("").await;
    let (parts, body) =
        ask(&router, request("POST", "/v1/images/generations", "application/json", r#"{"model":"two"}"#)).await;
    assert_eq!((parts.status.as_u16(), &parts.headers["x-tollgate-attempts"]), (200, &"2".parse().unwrap()));
    assert_eq!(json_of(std::str::from_utf8(&body).unwrap())["path"], "/a/v1/images/generations");
}

#[tokio::test]
async fn a_path_that_leaves_the_provider_is_refused_and_so_is_a_provider_that_takes_none() {
    let router = world("").await;
    for path in ["/v1/files/../admin", "/v1/files/%2e%2e/admin", "/v1/files//x", "/v1/files/%252e%252e/admin"] {
        let (parts, body) = ask(&router, request("GET", path, "application/json", Body::empty())).await;
        assert_eq!(parts.status, 404, "{path}: {body:?}");
    }
    let claude = request("POST", "/v1/moderations", "application/json", r#"{"model":"claude-x"}"#);
    let (parts, body) = ask(&router, claude).await;
    assert_eq!(
        (parts.status.as_u16(), json_of(std::str::from_utf8(&body).unwrap())["error"]["code"].clone()),
        (404, "no_provider".into())
    );
}

#[tokio::test]
async fn without_a_token_nothing_passes() {
    let router = world("").await;
    let bare = http::Request::get("/v1/files").body(Body::empty()).unwrap();
    assert_eq!(ask(&router, bare).await.0.status, 401);
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let router = world("").await;
    let broken =
        router.clone().oneshot(request("GET", "/v1/files/broken", "application/json", Body::empty())).await.unwrap();
    assert!(broken.into_body().collect().await.is_err(), "the connection breaks, as the provider's did");
    let mut on_lambda = request("GET", "/v1/files/broken", "application/json", Body::empty());
    on_lambda.extensions_mut().insert(HostDeadline(Instant::now() + Duration::from_secs(30)));
    let (parts, body) = ask(&router, on_lambda).await;
    assert_eq!(parts.status, 502, "{body:?}");
    let (parts, body) = ask(&router, request("POST", "/v1/completions", "application/json", "{}")).await;
    assert_eq!(parts.status, 200);
    let text = std::str::from_utf8(&body).unwrap();
    let events = events_of(text);
    assert_eq!(events.len(), 2, "{text}");
    assert!(json_of(events[1].1)["error"]["message"].is_string(), "{text}");
}

#[tokio::test]
async fn what_opens_a_session_past_the_limits_is_off_where_there_are_limits() {
    let secret =
        || request("POST", "/v1/realtime/client_secrets", "application/json", r#"{"session":{"model":"ours"}}"#);
    let router = world("").await;
    assert_eq!(ask(&router, secret()).await.0.status, 200, "no limits");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ledger = format!("limits:\n  ledger: {{endpoint: 'http://{}'}}\n", listener.local_addr().unwrap());
    let limited = gateway(&format!(
        "ai:\n  groups: [{{providers: [{{name: a, baseUrl: 'http://127.0.0.1:1', provider: {{custom: {{}}}}}}]}}]\n{ledger}"
    ));
    let (parts, body) = ask(&limited, secret()).await;
    assert_eq!(parts.status, 403, "{body:?}");
}
