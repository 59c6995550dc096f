//! An upstream's faults.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use http::Request;
use serde_json::json;
use tollgate_gateway::local::demo;
use tollgate_wire::codec::Dialect;

use super::seen::{Seen, ask, path};
use super::support::{gateway, token};
use super::upstreams::{self, FAULTS, Nature};

/// Name, and the provider: its type, and its model where the name chooses how it is asked.
const UPSTREAMS: [(&str, &str); 6] = [
    ("chat", "{custom: {formats: [{type: completions}]}}"),
    ("responses", "{custom: {formats: [{type: responses}]}}"),
    ("messages", "{custom: {formats: [{type: messages}]}}"),
    ("gemini", "{gemini: {model: gemini-2.5-flash}}"),
    ("converse", "{bedrock: {region: us-east-1, model: 'amazon.nova-pro-v1:0'}}"),
    ("invoke", "{bedrock: {region: us-east-1, model: 'anthropic.claude-sonnet-4-20250514-v1:0'}}"),
];

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

/// What was seen, and of which upstreams.
#[derive(Default)]
struct Rows(Vec<(String, Vec<&'static str>)>);

impl Rows {
    fn add(&mut self, row: String, upstream: &'static str) {
        match self.0.iter_mut().find(|(other, _)| *other == row) {
            Some((_, upstreams)) => upstreams.push(upstream),
            None => self.0.push((row, vec![upstream])),
        }
    }

    fn lines(&self) -> Vec<String> {
        let named = |upstreams: &[&str]| {
            if upstreams.len() == UPSTREAMS.len() { "all".to_owned() } else { upstreams.join(", ") }
        };
        self.0.iter().map(|(row, upstreams)| format!("{row} <- {}", named(upstreams))).collect()
    }
}

/// A file with the providers' key, written once: another test's gateway may be reading it.
static KEY: LazyLock<PathBuf> = LazyLock::new(|| {
    let key = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-key-{}", std::process::id()));
    std::fs::write(&key, "key-of-the-provider").unwrap();
    key
});

/// Models `FAULT-UPSTREAM`: one provider each. `second`: and one that is well behind it.
async fn failing(second: bool) -> Router {
    let (base, closed) = upstreams::start().await;
    let good = demo::start().await.unwrap();
    let auth = format!("policies: {{backendAuth: {{key: 'file:{}'}}}}", KEY.display());
    let mut yaml = String::from("request: {timeoutMs: 60000}\nai:\n  models:\n");
    for (fault, _) in FAULTS {
        for (name, provider) in UPSTREAMS {
            let base = if *fault == "refused" { &closed } else { &base };
            let timeouts = match *fault {
                "hang" => "timeouts: {firstByteMs: 200}, ",
                "idle-after-content" => "timeouts: {idleMs: 200}, ",
                _ => "",
            };
            yaml += &format!(
                "  - match: ['{fault}-{name}']\n    groups:\n    - providers: [{{name: '{fault}-{name}', baseUrl: '{base}/{fault}', {timeouts}provider: {provider}, {auth}}}]\n"
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
            let mut lines = Vec::new();
            for stream in [false, true] {
                let mut rows = Rows::default();
                for (upstream, _) in UPSTREAMS {
                    let seen = ask(&router, request(client, &format!("{fault}-{upstream}"), stream)).await;
                    let row = seen.row(client);
                    for secret in ["sk-secret1234", "arn:aws", "key-of-the-provider"] {
                        assert!(!seen.body.contains(secret), "{fault}: {seen:?}");
                    }
                    let ok = !row.contains("error");
                    if !ok && seen.status != 200 && seen.is_retried() != (*nature == Nature::Transient) {
                        wrong.push(format!("{fault}: {client_name} <- {upstream}, stream {stream}: {row}"));
                    }
                    rows.add(row, upstream);
                }
                lines.push(rows.lines());
            }
            let modes = if lines[0] == lines[1] {
                vec![("both", &lines[0])]
            } else {
                vec![("whole", &lines[0]), ("stream", &lines[1])]
            };
            for (mode, lines) in modes {
                table.extend(lines.iter().map(|line| format!("  {client_name:<9} {mode:<6} {line}\n")));
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

/// Whole and streamed: did the second provider answer? The same for every client (case 25).
#[tokio::test]
async fn what_moves_on_to_the_next_provider() {
    let asked =
        CLIENTS.map(|(client, name)| (name, [false, true].map(|stream| tokio::spawn(outcomes(client, stream)))));
    let mut expected: Option<String> = None;
    for (name, [whole, streamed]) in asked {
        let table = failover_table(whole.await.unwrap(), streamed.await.unwrap());
        match &expected {
            None => expected = Some(table),
            Some(expected) => assert_eq!(*expected, table, "{name}"),
        }
    }
    snapshot("failover", &expected.unwrap());
}

/// Of each fault, of each upstream.
async fn outcomes(client: Dialect, stream: bool) -> Vec<String> {
    // A gateway of its own: a provider that failed may be passed over the next time.
    let router = failing(true).await;
    let mut outcomes = Vec::new();
    for (fault, _) in FAULTS {
        for (upstream, _) in UPSTREAMS {
            let seen = ask(&router, request(client, &format!("{fault}-{upstream}"), stream)).await;
            let moved = seen.header("x-tollgate-provider") == "well";
            assert_eq!(seen.header("x-tollgate-attempts"), if moved { "2" } else { "1" }, "{fault}: {seen:?}");
            outcomes.push(if moved { "next provider".to_owned() } else { outcome(client, &seen) });
        }
    }
    outcomes
}

fn failover_table(whole: Vec<String>, streamed: Vec<String>) -> String {
    let mut both = whole.into_iter().zip(streamed);
    let mut table = String::new();
    for (fault, _) in FAULTS {
        let mut rows = Rows::default();
        for ((upstream, _), (whole, streamed)) in UPSTREAMS.iter().zip(both.by_ref()) {
            rows.add(format!("{:<21} {:<21}", format!("whole: {whole}"), format!("stream: {streamed}")), upstream);
        }
        table.extend(rows.lines().iter().map(|line| format!("{fault:<22} {line}\n")));
    }
    table
}

fn outcome(client: Dialect, seen: &Seen) -> String {
    match seen.row(client) {
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
