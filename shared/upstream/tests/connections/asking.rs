use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tollgate_upstream::{Chains, Job, Outcome, Work, dispatch};
use tollgate_wire::codec::{Dialect, Seed};
use tollgate_wire::exchange::Inbound;

/// One chat request through these chains.
pub(super) async fn ask(chains: &Chains, stream: bool, max_attempts: usize) -> Outcome {
    let body = format!(r#"{{"model":"m","stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#);
    let inbound = Inbound::decode(Dialect::Chat, Bytes::from(body), Vec::new()).unwrap();
    let seed = Seed { created_unix_s: 0, request_id: "r".to_owned() };
    let job = Job {
        work: Work::Conversation(&inbound),
        client: Dialect::Chat,
        model: "m",
        seed: &seed,
        strict: false,
        deadline: Instant::now() + Duration::from_secs(120),
        max_attempts,
        anthropic_version: None,
    };
    dispatch(&job, chains.of("m").unwrap()).await
}
