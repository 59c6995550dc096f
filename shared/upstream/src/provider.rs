//! A provider, ready to be called. The one place that tells their kinds apart once they are built (`builder`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use tollgate_config::{ProviderEntry, pattern};
use tollgate_wire::caching::Caching;
use tollgate_wire::codec::{Carrier, Dialect, Seed, Target};
use tollgate_wire::error::WireError;
use tollgate_wire::exchange::{Inbound, Started};
use tollgate_wire::messages::no_threads;
use tollgate_wire::unary::{Operation, Service};

use crate::address;
use crate::bedrock::BedrockTransport;
use crate::body::Reply;
use crate::error::TransportError;
use crate::forward::{Forward, ModelPlace};
use crate::health::Health;
use crate::http::{Call, HttpTransport};
use crate::listing::Listing;
use crate::services;

/// A provider, ready to be called. Shared by all chains that name it: so is its health.
#[derive(Debug)]
pub struct Provider {
    pub(crate) entry: ProviderEntry,
    pub(crate) kind: Kind,
    /// Patterns of models that exist only in the Responses API.
    pub(crate) responses_models: Arc<[String]>,
    pub(crate) caching: Option<Caching>,
    pub(crate) health: Health,
    pub(crate) listing: Listing,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Http(HttpTransport, Speaks),
    Bedrock(BedrockTransport),
}

/// Which of its endpoints a provider has for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// All of them.
    All,
    /// Messages for Claude, the others for other models.
    MessagesToClaude,
    /// The same, on Vertex, where Claude's bodies are a little different.
    Vertex,
    /// The same; GPT-5 and later but for `gpt-5-mini` are in the Responses API, and other models are not. GitHub does not document it; its editor reads it from the
    /// list of models (`supported_endpoints`), and other editors go by this rule: <https://github.com/anomalyco/opencode/blob/dev/packages/opencode/src/provider/provider.ts>.
    Copilot,
    /// The same; GPT-5 and later are in the Responses API only, gpt-oss is there, too:
    /// <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-responses-api.html>.
    Mantle,
    /// GPT-5 and later are in the Responses API, too; gpt-oss is not.
    Runtime,
}

impl Speaks {
    fn has(self, dialect: Dialect, model: &str) -> bool {
        if self == Self::All {
            return true;
        }
        if (dialect == Dialect::Messages) != is_claude(model) {
            return false;
        }
        let is_responses = dialect == Dialect::Responses;
        match self {
            Self::Copilot => is_responses == (is_gpt_5(model) && !model.starts_with("gpt-5-mini")),
            Self::Mantle if is_gpt_5(model) => is_responses,
            Self::Mantle => !is_responses || model.contains("openai.gpt-oss"),
            Self::Runtime => !is_responses || is_gpt_5(model),
            Self::All | Self::MessagesToClaude | Self::Vertex => true,
        }
    }
}

/// GPT-5 or a later generation.
fn is_gpt_5(model: &str) -> bool {
    let generation = model.split_once("gpt-").and_then(|(_, rest)| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest.get(..digits)?.parse::<u32>().ok()
    });
    generation.is_some_and(|generation| generation >= 5)
}

impl Provider {
    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// Its kind, as telemetry names it.
    pub fn kind(&self) -> &str {
        self.entry.provider.kind()
    }

    /// The model to send: the pinned one, else its own alias of the client's, else the client's.
    /// Google's models have one name here, however the client writes it: rules, prices and budgets go by it.
    pub fn model_for<'a>(&'a self, model: &'a str) -> &'a str {
        let model = self.entry.model_for(model);
        match self.entry.provider {
            tollgate_config::Provider::Gemini(_) | tollgate_config::Provider::Vertex(_) => address::bare(model),
            _ => model,
        }
    }

    /// What it wants to be sent for a client of this dialect.
    pub fn target<'a>(&self, client: Dialect, model: &'a str) -> Target<'a> {
        let (dialect, carrier) = match &self.kind {
            Kind::Http(http, speaks) => {
                let dialect = self.preferred(http, *speaks, client, model);
                let on_vertex = *speaks == Speaks::Vertex && dialect == Dialect::Messages;
                (dialect, if on_vertex { Carrier::Vertex } else { Carrier::Direct })
            }
            Kind::Bedrock(_) if is_claude(model) => (Dialect::Messages, Carrier::Bedrock),
            Kind::Bedrock(_) => (Dialect::Converse, Carrier::Bedrock),
        };
        Target { dialect, carrier, model }
    }

    /// The client's own dialect if the provider has it for this model, else the first that it has. A model that the configuration names as one of the Responses
    /// API is asked there.
    fn preferred(&self, http: &HttpTransport, speaks: Speaks, client: Dialect, model: &str) -> Dialect {
        let mut first = None;
        let has_responses = || http.endpoints.iter().any(|(dialect, _)| *dialect == Dialect::Responses);
        let named = || self.responses_models.iter().any(|pattern| pattern::matches(pattern, model));
        if (client != Dialect::Responses || speaks != Speaks::All) && has_responses() && named() {
            return Dialect::Responses;
        }
        for (dialect, _) in http.endpoints.iter().filter(|(dialect, _)| speaks.has(*dialect, model)) {
            if *dialect == client {
                return client;
            }
            first = first.or(Some(*dialect));
        }
        first.unwrap_or(Dialect::Chat)
    }

    /// How it is asked for this operation, for a client of this dialect. It may not serve it.
    pub(crate) fn service<'a>(
        &self,
        operation: Operation,
        client: Dialect,
        model: &'a str,
    ) -> Result<Service<'a>, WireError> {
        let answers = self.target(client, model);
        match &self.kind {
            Kind::Http(http, _) => services::choose(&http.services, operation, answers, self.name()),
            Kind::Bedrock(_) => Ok(services::bedrock(operation, answers)),
        }
    }

    /// Does it answer conversations? A custom provider may have embeddings or rerank alone.
    pub(crate) fn converses(&self) -> bool {
        match &self.kind {
            Kind::Http(http, _) => !http.endpoints.is_empty(),
            Kind::Bedrock(_) => true,
        }
    }

    pub(crate) fn weight(&self) -> u32 {
        self.entry.weight
    }

    /// Silence that is borne in its answers.
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.entry.timeouts.idle()
    }

    /// How long the first content may take. Without streaming a long answer begins only when it is complete: there only a bound that the
    /// configuration states is applied.
    pub(crate) fn first_byte_timeout(&self, stream: bool) -> Option<Duration> {
        let timeouts = &self.entry.timeouts;
        (stream || timeouts.first_byte_ms.is_some()).then(|| timeouts.first_byte())
    }

    /// Makes the request of one attempt, with cache marks where they are configured and understood.
    pub(crate) fn start(
        &self,
        inbound: &Inbound,
        target: &Target<'_>,
        seed: &Seed,
        strict: bool,
    ) -> Result<Started, WireError> {
        // Others that speak its dialect may not even look at the field, and answer a part of a conversation as if it were all.
        if inbound.envelope().thread && self.kind() != "anthropic" {
            return Err(no_threads());
        }
        let knows_marks = matches!(target.dialect, Dialect::Messages | Dialect::Converse);
        match self.caching.as_ref().filter(|_| knows_marks) {
            Some(caching) => inbound.marked(caching)?.start(target, seed, strict),
            None => inbound.start(target, seed, strict),
        }
    }

    /// Sends, and waits for the head of the answer.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Reply, TransportError> {
        match &self.kind {
            Kind::Http(http, _) => http.send(call).await,
            // In a box, that is: the SDK's future takes 30 KiB, which every call to any provider would move around.
            Kind::Bedrock(bedrock) => bedrock.send(call).await,
        }
    }

    /// Where a request that is passed through goes. `None`: this provider does not take it.
    pub(crate) fn forward_address(&self, request: &Forward<'_>, model: &str) -> Option<Url> {
        let http = self.http()?;
        if request.upgrade {
            let model = (request.model_in == ModelPlace::Query).then_some(model);
            return http.realtime.as_ref()?.address(request.query, model);
        }
        // Kept responses are where the Responses API is.
        let has = |wanted| http.endpoints.iter().any(|(dialect, _)| *dialect == wanted);
        if request.dialect == Dialect::Responses && !has(Dialect::Responses) {
            return None;
        }
        request.address(http.root.as_deref()?, model)
    }

    /// Sends a request as it is, and waits for the head of the answer.
    pub(crate) async fn forward(&self, request: &Forward<'_>, url: Url, body: Bytes) -> Result<Reply, TransportError> {
        match self.http() {
            Some(http) => http.forward(request, url, body).await,
            None => Err(TransportError::Connect("the provider takes no requests as they are".to_owned())),
        }
    }

    /// Whether its own list of models says what a client may ask it for.
    pub(crate) fn lists_models(&self) -> bool {
        self.entry.provider.model().is_none() && self.http().is_some_and(|http| http.root.is_some())
    }

    /// The dialect that it prefers.
    pub(crate) fn first_dialect(&self) -> Dialect {
        let first = self.http().and_then(|http| http.endpoints.first());
        first.map_or(Dialect::Chat, |(dialect, _)| *dialect)
    }

    fn http(&self) -> Option<&HttpTransport> {
        match &self.kind {
            Kind::Http(http, _) => Some(http),
            Kind::Bedrock(_) => None,
        }
    }

    pub(crate) fn uses_aws(&self) -> bool {
        match &self.kind {
            Kind::Http(http, _) => http.auth.uses_aws(),
            Kind::Bedrock(_) => true,
        }
    }

    /// Prepares what its first call would otherwise wait for. Failures are left for that call to report.
    pub(crate) async fn warm(&self) {
        match &self.kind {
            Kind::Http(http, _) => http.auth.warm().await,
            Kind::Bedrock(bedrock) => {
                bedrock.client().await;
            }
        }
    }
}

/// Claude, by any of Bedrock's names for it: model id, inference profile with a region prefix, foundation-model or inference-profile ARN.
fn is_claude(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.contains("anthropic.") || name.starts_with("claude")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chains::Chains;

    fn chains(yaml: &str) -> Chains {
        Chains::new(&tollgate_config::parse(yaml, "test").unwrap()).unwrap()
    }

    #[test]
    fn claude_is_known_by_every_name_that_bedrock_has_for_it() {
        for claude in [
            "anthropic.claude-sonnet-4-20250514-v1:0",
            "us.anthropic.claude-opus-4-6-v1",
            "global.anthropic.claude-haiku-4-5-20251001-v1:0",
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ] {
            assert!(is_claude(claude), "{claude}");
        }
        for other in ["amazon.nova-pro-v1:0", "us.meta.llama4-scout-17b-instruct-v1:0", "openai.gpt-oss-120b-1:0"] {
            assert!(!is_claude(other), "{other}");
        }
    }

    #[test]
    fn a_provider_is_spoken_to_in_the_clients_dialect_if_it_can() {
        for (provider, model, client, expected) in [
            ("custom: {formats: [{type: completions}, {type: messages}]}", "m", Dialect::Messages, Dialect::Messages),
            ("custom: {formats: [{type: completions}]}", "m", Dialect::Messages, Dialect::Chat),
            ("custom: {formats: [{type: messages}]}", "m", Dialect::Chat, Dialect::Messages),
            ("custom: {}", "m", Dialect::Messages, Dialect::Chat),
            ("custom: {formats: [{type: responses}]}", "m", Dialect::Chat, Dialect::Responses),
            ("custom: {formats: [{type: completions}, {type: responses}]}", "m", Dialect::Messages, Dialect::Chat),
            ("openAI: {}", "gpt-4.1", Dialect::Chat, Dialect::Chat),
            ("openAI: {}", "gpt-4.1", Dialect::Responses, Dialect::Responses),
            ("openAI: {}", "gpt-5.1-codex-max", Dialect::Messages, Dialect::Responses),
            ("openAI: {}", "o3-pro-2025-06-10", Dialect::Chat, Dialect::Responses),
            ("custom: {}", "gpt-5-codex", Dialect::Chat, Dialect::Chat),
            ("gemini: {}", "m", Dialect::Chat, Dialect::GenerateContent),
            ("azure: {resourceType: foundry}", "claude-opus-4-5", Dialect::Chat, Dialect::Messages),
            ("azure: {resourceType: foundry}", "gpt-5", Dialect::Messages, Dialect::Chat),
            ("azure: {}", "gpt-5", Dialect::Messages, Dialect::Chat),
            ("copilot: {}", "gpt-4.1", Dialect::Responses, Dialect::Chat),
            ("copilot: {}", "gpt-5-mini", Dialect::Responses, Dialect::Chat),
            ("copilot: {}", "gemini-3-pro", Dialect::Chat, Dialect::Chat),
            ("copilot: {}", "gpt-5.4", Dialect::Chat, Dialect::Responses),
            ("copilot: {}", "gpt-5.1-codex-max", Dialect::Messages, Dialect::Responses),
            ("copilot: {}", "claude-sonnet-4.5", Dialect::Responses, Dialect::Messages),
            ("bedrock: {openAIEndpoint: mantle}", "openai.gpt-5.5", Dialect::Chat, Dialect::Responses),
            ("bedrock: {openAIEndpoint: mantle}", "openai.gpt-oss-120b", Dialect::Responses, Dialect::Responses),
            ("bedrock: {openAIEndpoint: mantle}", "openai.gpt-oss-120b", Dialect::Chat, Dialect::Chat),
            ("bedrock: {openAIEndpoint: mantle}", "deepseek.v3.2", Dialect::Responses, Dialect::Chat),
            ("bedrock: {openAIEndpoint: mantle}", "anthropic.claude-opus-4-8", Dialect::Chat, Dialect::Messages),
            ("bedrock: {openAIEndpoint: runtime}", "us.openai.gpt-5.6-sol", Dialect::Chat, Dialect::Chat),
            ("bedrock: {openAIEndpoint: runtime}", "us.openai.gpt-5.6-sol", Dialect::Responses, Dialect::Responses),
            ("bedrock: {openAIEndpoint: runtime}", "openai.gpt-oss-120b-1:0", Dialect::Responses, Dialect::Chat),
        ] {
            let chains = chains(&format!(
                "ai: {{groups: [{{providers: [{{name: a, provider: {{{provider}}}, baseUrl: 'http://127.0.0.1:1'}}]}}]}}"
            ));
            let provider = chains.of("m").unwrap().providers().next().unwrap();
            let target = provider.target(client, model);
            assert_eq!((target.dialect, target.carrier), (expected, Carrier::Direct), "{provider:?}");
        }
    }

    #[test]
    fn the_models_of_the_responses_api_are_the_configurations() {
        let target = |patterns: &str, client| {
            let chains = chains(&format!(
                "ai: {{responsesModels: {patterns}, groups: [{{providers: [{{name: a, provider: {{openAI: {{}}}}, baseUrl: 'http://h'}}]}}]}}"
            ));
            chains.of("m").unwrap().providers().next().unwrap().target(client, "gpt-5-codex").dialect
        };
        assert_eq!(target("[]", Dialect::Chat), Dialect::Chat);
        assert_eq!(target("[]", Dialect::Responses), Dialect::Responses);
        assert_eq!(target("['gpt-5*']", Dialect::Messages), Dialect::Responses);
    }
}
