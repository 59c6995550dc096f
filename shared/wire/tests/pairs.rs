//! Every client dialect to every target and back: what came in beside what it became. `INSTA_UPDATE=always` writes the snapshots anew; read
//! the difference.

#[cfg(test)]
#[path = "pairs/requests.rs"]
mod requests;
#[cfg(test)]
#[path = "pairs/round_trip.rs"]
mod round_trip;
#[cfg(test)]
#[path = "pairs/samples.rs"]
mod samples;
#[cfg(test)]
#[path = "pairs/streams.rs"]
mod streams;

#[cfg(test)]
mod pairs {
    use bytes::Bytes;
    use tollgate_wire::codec::{Carrier, Dialect, Seed, Target};
    use tollgate_wire::exchange::Inbound;

    pub(crate) const CHAT: Target<'static> =
        Target { dialect: Dialect::Chat, carrier: Carrier::Direct, model: "gpt-4.1" };
    pub(crate) const RESPONSES: Target<'static> =
        Target { dialect: Dialect::Responses, carrier: Carrier::Direct, model: "gpt-5-codex" };
    pub(crate) const MESSAGES: Target<'static> =
        Target { dialect: Dialect::Messages, carrier: Carrier::Direct, model: "claude-sonnet-4-5" };
    pub(crate) const BEDROCK: Target<'static> = Target {
        dialect: Dialect::Messages,
        carrier: Carrier::Bedrock,
        model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    };
    pub(crate) const CONVERSE: Target<'static> =
        Target { dialect: Dialect::Converse, carrier: Carrier::Direct, model: "us.amazon.nova-2-lite-v1:0" };

    pub(crate) const GEMINI: Target<'static> =
        Target { dialect: Dialect::GenerateContent, carrier: Carrier::Direct, model: "gemini-3-flash-preview" };

    /// A file of `tests/`.
    pub(crate) fn fixture(path: &str) -> String {
        std::fs::read_to_string(format!("{}/tests/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    pub(crate) fn inbound(dialect: Dialect, body: &str) -> Inbound {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let inbound = match dialect {
            Dialect::GenerateContent => Inbound::by_path(body, "client-model".to_owned(), true),
            _ => Inbound::decode(dialect, body, Vec::new()),
        };
        inbound.unwrap()
    }

    pub(crate) fn seed() -> Seed {
        Seed { created_unix_s: 1_700_000_000, request_id: "req-7".to_owned() }
    }

    pub(crate) fn golden(folder: &str, name: &str, text: &str) {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, text));
    }
}
