//! An upstream's faults.

use axum::Router;
use axum::body::Body;
use http::Request;
use serde_json::json;
use tollgate_gateway::local::demo;
use tollgate_wire::codec::Dialect;

use super::seen::{Seen, ask, path};
use super::support::{gateway, token};
use super::upstreams::{self, FAULTS, Nature};

const DIALECTS: [(Dialect, &str); 3] =
    [(Dialect::Chat, "chat"), (Dialect::Responses, "responses"), (Dialect::Messages, "messages")];

const CLIENTS: [(Dialect, &str); 4] = [
    (Dialect::Chat, "chat"),
    (Dialect::Responses, "responses"),
    (Dialect::Messages, "messages"),
    (Dialect::GenerateContent, "gemini"),
];

fn request(client: Dialect, model: &str, stream: bool) -> Request<Body> {
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let body = match client {
        Dialect::Responses => json!({"model": model, "max_output_tokens": 16, "stream": stream, "input": messages}),
        Dialect::GenerateContent => json!({"contents": [{"parts": [{"text": "Hi"}]}]}),
        _ => json!({"model": model, "max_tokens": 9, "stream": stream, "messages": messages}),
    };
    let path = match (client, stream) {
        (Dialect::GenerateContent, false) => format!("/v1beta/models/{model}:generateContent"),
        (Dialect::GenerateContent, true) => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        _ => path(client).to_owned(),
    };
    let request = Request::post(path).header("authorization", format!("Bearer {}", token()));
    request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
}

/// Models `FAULT-chat`, `FAULT-responses` and `FAULT-messages`: one provider each. `second`: and one that is well behind it.
async fn failing(second: bool) -> Router {
    let (base, closed) = upstreams::start().await;
    let good = demo::start().await.unwrap();
    let mut yaml = String::from("request: {timeoutMs: 5000}\nai:\n  models:\n");
    for (fault, _) in FAULTS {
        for (dialect, name) in DIALECTS {
            let kind = if dialect == Dialect::Chat { "completions" } else { name };
            let base = if *fault == "refused" { &closed } else { &base };
            let timeouts = match *fault {
                "hang" => "timeouts: {firstByteMs: 200}, ",
                "idle-after-content" => "timeouts: {idleMs: 200}, ",
                _ => "",
            };
            yaml += &format!(
                "  - match: ['{fault}-{name}']\n    groups:\n    - providers: [{{name: '{fault}-{name}', baseUrl: '{base}/{fault}', {timeouts}provider: {{custom: {{formats: [{{type: {kind}}}]}}}}}}]\n"
            );
            if second {
                yaml += &format!(
                    "    - providers: [{{name: well, baseUrl: 'http://{good}/demo', provider: {{custom: {{}}}}}}]\n"
                );
            }
        }
    }
    gateway(&yaml)
}

#[tokio::test]
async fn every_fault_of_an_upstream_for_every_client() {
    let router = failing(false).await;
    let (mut table, mut wrong) = (String::new(), Vec::new());
    for (fault, nature) in FAULTS {
        table += &format!("{fault} ({nature:?})\n");
        for (client, client_name) in CLIENTS {
            for (_, upstream) in DIALECTS {
                for (stream, mode) in [(false, "whole"), (true, "stream")] {
                    let seen = ask(&router, request(client, &format!("{fault}-{upstream}"), stream)).await;
                    let row = seen.row(client);
                    table += &format!("  {client_name:<9} <- {upstream:<9} {mode:<6} {row}\n");
                    for secret in ["sk-secret1234", "arn:aws"] {
                        assert!(!seen.body.contains(secret), "{fault}: {seen:?}");
                    }
                    let ok = !row.contains("error");
                    if !ok && seen.status != 200 && seen.is_retried() != (*nature == Nature::Transient) {
                        wrong.push(format!("{fault}: {client_name} <- {upstream}, {mode}: {row}"));
                    }
                }
            }
        }
    }
    snapshot("upstream", &table);
    assert!(
        wrong.is_empty(),
        "what is permanent must not be retried, what is transient must be:\n{}",
        wrong.join("\n")
    );
}

/// Whole and streamed: did the second provider answer?
#[tokio::test]
async fn what_moves_on_to_the_next_provider() {
    // One gateway each: a provider that failed may be passed over the next time.
    let modes = [(failing(true).await, false, "whole"), (failing(true).await, true, "stream")];
    let mut table = String::new();
    for (fault, _) in FAULTS {
        let mut row = Vec::new();
        for (router, stream, mode) in &modes {
            let seen = ask(router, request(Dialect::Chat, &format!("{fault}-messages"), *stream)).await;
            let moved = seen.header("x-tollgate-provider") == "well";
            assert_eq!(seen.header("x-tollgate-attempts"), if moved { "2" } else { "1" }, "{fault}: {seen:?}");
            row.push(format!("{mode}: {}", if moved { "next provider".to_owned() } else { outcome(&seen) }));
        }
        table += &format!("{fault:<22} {:<32} {}\n", row[0], row[1]);
    }
    snapshot("failover", &table);
}

fn outcome(seen: &Seen) -> String {
    match seen.row(Dialect::Chat) {
        row if row.ends_with(" ok") => "answered".to_owned(),
        row if row.contains("content, then") => "error event".to_owned(),
        _ => format!("{}", seen.status),
    }
}

fn snapshot(name: &str, table: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, table));
}
