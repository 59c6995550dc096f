//! Providers against a scripted server, which shows what arrives: address, headers, body. Token endpoints are scripted, too.

mod azure;
mod bedrock;
mod copilot;
mod custom;
mod gemini;
mod server;
mod tokens;
mod vertex;

use std::time::Duration;

use aws_credential_types::Credentials;
use bytes::Bytes;
use tokio::time::Instant;
use tollgate_wire::codec::{Dialect, Seed};
use tollgate_wire::exchange::Inbound;

use crate::aws::Aws;
use crate::{Answer, Base, Chains, Job, Outcome, Work, dispatch};

/// A whole answer of each dialect.
const CHAT: &str = r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#;
const MESSAGE: &str = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
const RESPONSE: &str = r#"{"id":"resp_1","object":"response","status":"completed","model":"m","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hi","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}"#;
const CONTENT: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1}}"#;

/// Connections and secrets, with AWS as the tests have it.
fn base() -> Base {
    base_at(None)
}

/// The same, with AWS at an address of its own.
fn base_at(aws: Option<&str>) -> Base {
    let base = Base::new().unwrap();
    let credentials = Credentials::new("AKIDEXAMPLE", "aws-secret", Some("aws-session".to_owned()), None, "test");
    Base { aws: Aws::fixed(base.aws.client().clone(), credentials, "eu-west-1", aws), ..base }
}

/// A chain of one provider.
fn chains(provider: &str) -> Chains {
    chains_on(base(), provider)
}

fn chains_on(base: Base, provider: &str) -> Chains {
    let yaml = format!("ai: {{groups: [{{providers: [{{name: p, {provider}}}]}}]}}");
    Chains::on(base, &tollgate_config::parse(&yaml, "test").unwrap()).unwrap()
}

/// One request for a model, in the client's dialect.
async fn ask(chains: &Chains, client: Dialect, model: &str, more: &str) -> Outcome {
    let cap = if client == Dialect::Messages { r#""max_tokens":9,"# } else { "" };
    let body = format!(r#"{{"model":"{model}",{cap}{more}"messages":[{{"role":"user","content":"hello"}}]}}"#);
    let inbound = Inbound::decode(client, Bytes::from(body), vec!["flag-1".to_owned()]).unwrap();
    ask_with(chains, client, model, &inbound).await
}

/// This request for a model.
async fn ask_with(chains: &Chains, client: Dialect, model: &str, inbound: &Inbound) -> Outcome {
    let seed = Seed { created_unix_s: 0, request_id: "r".to_owned() };
    let job = Job {
        work: Work::Conversation(inbound),
        client,
        model,
        seed: &seed,
        strict: false,
        deadline: Instant::now() + Duration::from_secs(120),
        max_attempts: 3,
        anthropic_version: None,
    };
    dispatch(&job, chains.of(model).unwrap()).await
}

/// The body of a whole answer.
#[track_caller]
fn body(outcome: Outcome) -> serde_json::Value {
    match outcome.result {
        Ok(Answer::Whole { body, .. }) => serde_json::from_slice(&body).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A file with this text, for a secret's reference. Removed when dropped.
struct Secret(std::path::PathBuf);

impl Secret {
    fn new(text: &str) -> Self {
        let name = format!("tollgate-{}-{:x}", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn reference(&self) -> String {
        format!("file:{}", self.0.display())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
