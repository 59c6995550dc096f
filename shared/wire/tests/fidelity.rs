//! What becomes of each feature between each client dialect and each upstream dialect, found out by running it; conversations of ten turns; errors.
//! `docs/fidelity.md` is written from here.

#[cfg(test)]
#[path = "fidelity/answers.rs"]
mod answers;
#[cfg(test)]
#[path = "fidelity/case_requests.rs"]
mod case_requests;
#[cfg(test)]
#[path = "fidelity/case_streams.rs"]
mod case_streams;
#[cfg(test)]
#[path = "fidelity/cases.rs"]
mod cases;
#[cfg(test)]
#[path = "fidelity/collected.rs"]
mod collected;
#[cfg(test)]
#[path = "fidelity/document.rs"]
mod document;
#[cfg(test)]
#[path = "fidelity/errors.rs"]
mod errors;
#[cfg(test)]
#[path = "fidelity/loops.rs"]
mod loops;
#[cfg(test)]
#[path = "fidelity/places.rs"]
mod places;
#[cfg(test)]
#[path = "fidelity/replies.rs"]
mod replies;
#[cfg(test)]
#[path = "fidelity/requests.rs"]
mod requests;
#[cfg(test)]
#[path = "fidelity/streams.rs"]
mod streams;

#[cfg(test)]
mod pairs {
    use bytes::Bytes;
    use serde_json::{Map, Value, json};
    use tollgate_wire::codec::{Carrier, Dialect, Seed, Target};
    use tollgate_wire::exchange::{Inbound, Started};

    /// Those that clients speak.
    pub(crate) const CLIENTS: [Dialect; 4] =
        [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::GenerateContent];

    /// An upstream of the matrix.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Upstream {
        pub(crate) title: &'static str,
        pub(crate) dialect: Dialect,
        pub(crate) carrier: Carrier,
        /// For the features of every model, and for those of models that reason.
        pub(crate) models: [&'static str; 2],
    }

    impl Upstream {
        pub(crate) fn target(&self, reasons: bool) -> Target<'static> {
            Target { dialect: self.dialect, carrier: self.carrier, model: self.models[usize::from(reasons)] }
        }
    }

    const fn direct(dialect: Dialect, title: &'static str, models: [&'static str; 2]) -> Upstream {
        Upstream { title, dialect, carrier: Carrier::Direct, models }
    }

    /// Claude at Amazon and at Google: Anthropic's dialect, and what they take of it.
    const fn claude(carrier: Carrier, title: &'static str, model: &'static str) -> Upstream {
        Upstream { title, dialect: Dialect::Messages, carrier, models: [model; 2] }
    }

    pub(crate) const INVOKE: &str = "messages, InvokeModel";
    const SONNET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

    pub(crate) const UPSTREAMS: [Upstream; 7] = [
        direct(Dialect::Chat, "chat", ["gpt-4.1", "gpt-5.1"]),
        direct(Dialect::Responses, "responses", ["gpt-4.1", "gpt-5.1"]),
        direct(Dialect::Messages, "messages", ["claude-sonnet-4-5"; 2]),
        claude(Carrier::Bedrock, INVOKE, SONNET),
        claude(Carrier::Vertex, "messages, rawPredict", "claude-sonnet-4-5@20250929"),
        direct(Dialect::Converse, "converse", ["us.amazon.nova-2-lite-v1:0"; 2]),
        direct(Dialect::GenerateContent, "generateContent", ["gemini-3-flash-preview"; 2]),
    ];

    /// Those that Claude answers.
    pub(crate) fn claudes() -> impl Iterator<Item = &'static Upstream> {
        UPSTREAMS.iter().filter(|upstream| upstream.dialect == Dialect::Messages)
    }

    pub(crate) fn name(dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Chat => "chat",
            Dialect::Responses => "responses",
            Dialect::Messages => "messages",
            Dialect::GenerateContent => "generateContent",
            Dialect::Converse => "converse",
            other => panic!("no dialect of conversations: {other:?}"),
        }
    }

    /// The smallest request of a client.
    pub(crate) fn smallest(client: Dialect) -> Map<String, Value> {
        let body = match client {
            Dialect::Responses => json!({"model": "client-model", "input": [{"role": "user", "content": "Hi"}]}),
            Dialect::GenerateContent => json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}),
            Dialect::Messages => {
                json!({"model": "client-model", "max_tokens": 9000, "messages": [{"role": "user", "content": "Hi"}]})
            }
            _ => json!({"model": "client-model", "messages": [{"role": "user", "content": "Hi"}]}),
        };
        body.as_object().unwrap().clone()
    }

    pub(crate) fn seed() -> Seed {
        Seed { created_unix_s: 1_700_000_000, request_id: "req-7".to_owned() }
    }

    /// One attempt; the error is what the client is refused with.
    pub(crate) fn start(
        client: Dialect,
        body: &Map<String, Value>,
        target: &Target<'_>,
        stream: bool,
    ) -> Result<Started, String> {
        start_with(client, body, Vec::new(), target, stream)
    }

    /// The same with the flags of `anthropic-beta`.
    pub(crate) fn start_with(
        client: Dialect,
        body: &Map<String, Value>,
        betas: Vec<String>,
        target: &Target<'_>,
        stream: bool,
    ) -> Result<Started, String> {
        let mut body = body.clone();
        if stream && client != Dialect::GenerateContent {
            body.insert("stream".to_owned(), true.into());
        }
        if stream && client == Dialect::Chat {
            body.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
        let body = Bytes::from(Value::Object(body).to_string());
        let inbound = match client {
            Dialect::GenerateContent => Inbound::by_path(body, "client-model".to_owned(), stream),
            _ => Inbound::decode(client, body, betas),
        };
        inbound.and_then(|inbound| inbound.start(target, &seed(), false)).map_err(|error| error.to_string())
    }
}
