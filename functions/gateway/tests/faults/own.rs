//! The gateway's own faults.

use axum::body::Body;
use axum::http::request::Builder;
use http::{Method, Request};
use tollgate_gateway::local::demo;
use tollgate_wire::codec::Dialect;

use super::seen::{Seen, ask, path};
use super::support::{ISSUER_OF_THE_RUN, gateway, token};

const HI: &str = r#"{"model":"known","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
const STREAMED: &str =
    r#"{"model":"unknown","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;

struct Case {
    name: &'static str,
    method: Method,
    path: Option<&'static str>,
    body: String,
    edit: fn(Builder) -> Builder,
}

fn case(name: &'static str, body: &str) -> Case {
    Case { name, method: Method::POST, path: None, body: body.to_owned(), edit: with_token }
}

fn with_token(builder: Builder) -> Builder {
    builder.header("authorization", format!("Bearer {}", token()))
}

fn cases() -> Vec<Case> {
    let at = |name, path| Case { path: Some(path), ..case(name, HI) };
    let edited = |name, edit: fn(Builder) -> Builder| Case { edit, ..case(name, HI) };
    vec![
        edited("no token", |builder| builder),
        edited("a token that is none", |builder| builder.header("authorization", "Bearer nonsense")),
        edited("a token in x-api-key that is none", |builder| builder.header("x-api-key", "sk-ant-1")),
        edited("a token of another key", |builder| {
            let good = token();
            let (head, _) = good.rsplit_once('.').unwrap();
            builder.header("authorization", format!("Bearer {head}.AAAA"))
        }),
        edited("a token without the scope", |builder| {
            builder.header("authorization", format!("Bearer {}", ISSUER_OF_THE_RUN.token_with("openid")))
        }),
        Case { method: Method::GET, ..case("a wrong method", "") },
        at("an unknown path", "/v1/nothing"),
        case("no body", ""),
        case("not JSON", "{\"model\": "),
        case("no model", r#"{"messages":[{"role":"user","content":"Hi"}]}"#),
        case("no messages", r#"{"model":"known"}"#),
        case(
            "a message of a wrong shape",
            r#"{"model":"known","max_tokens":9,"messages":[{"role":"user","content":7}]}"#,
        ),
        case("an unknown model", &HI.replace("known", "unknown")),
        case("an unknown model, streamed", STREAMED),
        case("a body that is too large", &HI.replace("Hi", &"x".repeat(5_000))),
        edited("a compressed body", |builder| with_token(builder).header("content-encoding", "gzip")),
        edited("a form", |builder| with_token(builder).header("content-type", "multipart/form-data; boundary=x")),
    ]
}

/// Gemini's model and streaming stand in the path.
fn by_path(case: &Case) -> String {
    let model = match case.name {
        "no model" => "",
        _ if case.body.contains("\"unknown\"") => "unknown",
        _ => "known",
    };
    let stream = case.body.contains("\"stream\":true");
    format!("/v1beta/models/{model}:{}", if stream { "streamGenerateContent?alt=sse" } else { "generateContent" })
}

#[tokio::test]
async fn every_fault_of_the_gateway_for_every_client() {
    let demo = demo::start().await.unwrap();
    let router = gateway(&format!(
        "request: {{maxBodyBytes: 4096}}\nai:\n  models:\n  - match: [known]\n    groups:\n    - providers: [{{name: demo, baseUrl: 'http://{demo}/demo', provider: {{custom: {{}}}}}}]\n"
    ));
    let mut table = String::new();
    for case in cases() {
        table += &format!("{}\n", case.name);
        for (client, name) in [
            (Dialect::Chat, "chat"),
            (Dialect::Responses, "responses"),
            (Dialect::Messages, "messages"),
            (Dialect::GenerateContent, "gemini"),
        ] {
            // A path that nobody serves says nothing of Gemini.
            if client == Dialect::GenerateContent && case.path.is_some() {
                continue;
            }
            let own = if client == Dialect::GenerateContent { by_path(&case) } else { path(client).to_owned() };
            let mut request = Request::builder().method(&case.method).uri(case.path.map_or(own, str::to_owned));
            if client == Dialect::Messages {
                request = request.header("anthropic-version", "2023-06-01");
            }
            let body = match client {
                Dialect::Responses => case
                    .body
                    .replace("\"messages\"", "\"input\"")
                    .replace("\"max_tokens\":9", "\"max_output_tokens\":16"),
                Dialect::GenerateContent => case
                    .body
                    .replace("\"messages\"", "\"contents\"")
                    .replace("\"content\":\"Hi\"", "\"parts\":[{\"text\":\"Hi\"}]")
                    .replace("\"content\":7", "\"parts\":7"),
                _ => case.body.clone(),
            };
            let request = (case.edit)(request).body(Body::from(body)).unwrap();
            let seen = ask(&router, request).await;
            table += &format!("  {name:<9} {}{}\n", seen.row(client), more(&seen));
            assert!(!seen.is_retried(), "{}: a client's own fault is retried: {seen:?}", case.name);
        }
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("own", table));
}

fn more(seen: &Seen) -> String {
    let shown = ["www-authenticate", "allow"].iter().filter(|name| !seen.header(name).is_empty());
    shown.map(|name| format!(", {name}: {}", seen.header(name))).collect()
}
