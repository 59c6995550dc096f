//! Providers and chains, built once from the configuration. The one place that tells the kinds of provider apart.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ::http::HeaderName;
use bytes::Bytes;
use reqwest::Url;
use tokio::runtime::Handle;
use tollgate_config::{
    AzureAuth, AzureCredentials, BackendAuth, BedrockOpenAi, Config, Group, ProviderEntry, SecretRef, pattern,
};
use tollgate_wire::amend::Amendments;
use tollgate_wire::caching::Caching;
use tollgate_wire::codec::{Carrier, Dialect, Seed, Target};
use tollgate_wire::error::WireError;
use tollgate_wire::exchange::{Inbound, Started};
use tollgate_wire::unary::{Operation, Service};

use crate::amend::amendments;
use crate::auth::{Auth, Key, Place, Signature};
use crate::aws::Aws;
use crate::base::Base;
use crate::bedrock::{ApiKey, BedrockTransport};
use crate::body::Reply;
use crate::endpoints;
use crate::error::{SetupError, TransportError};
use crate::failover::Retries;
use crate::forward::Forward;
use crate::health::Health;
use crate::http::{Call, HttpTransport};
use crate::listing::Listing;
use crate::services;
use crate::signer::Signer;
use crate::token::{self, Copilot, Entra, Exchange, Google, Tokens};

/// A provider, ready to be called. Shared by all chains that name it: so is its health.
#[derive(Debug)]
pub struct Provider {
    entry: ProviderEntry,
    kind: Kind,
    /// Patterns of models that exist only in the Responses API.
    responses_models: Arc<[String]>,
    caching: Option<Caching>,
    pub(crate) health: Health,
    pub(crate) listing: Listing,
}

#[derive(Debug)]
enum Kind {
    Http(HttpTransport, Speaks),
    Bedrock(BedrockTransport),
}

/// Which of its endpoints a provider has for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    /// All of them.
    All,
    /// Messages for Claude, the others for other models.
    MessagesToClaude,
    /// The same, on Vertex, where Claude's bodies are a little different.
    Vertex,
}

impl Speaks {
    fn has(self, dialect: Dialect, model: &str) -> bool {
        match self {
            Self::All => true,
            Self::MessagesToClaude | Self::Vertex => (dialect == Dialect::Messages) == is_claude(model),
        }
    }
}

/// Groups in order.
#[derive(Debug, Default)]
pub struct Chain {
    pub(crate) groups: Vec<ChainGroup>,
}

#[derive(Debug)]
pub(crate) struct ChainGroup {
    pub(crate) providers: Vec<Arc<Provider>>,
    pub(crate) retries: Retries,
}

/// The chains of the configuration.
#[derive(Debug)]
pub struct Chains {
    default: Chain,
    rules: Vec<(Vec<String>, Chain)>,
    providers: HashMap<String, Arc<Provider>>,
    amendments: Option<Amendments>,
    base: Base,
}

impl Chain {
    /// All providers, in the order of their groups.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.groups.iter().flat_map(|group| group.providers.iter().map(AsRef::as_ref))
    }
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
    pub fn model_for<'a>(&'a self, model: &'a str) -> &'a str {
        self.entry.model_for(model)
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

    /// The client's own dialect if the provider has it for this model, else the first that it has. A model that exists only in the Responses API is
    /// asked there.
    fn preferred(&self, http: &HttpTransport, speaks: Speaks, client: Dialect, model: &str) -> Dialect {
        let mut first = None;
        let mut wanted = client;
        if client != Dialect::Responses
            && http.endpoints.iter().any(|(dialect, _)| *dialect == Dialect::Responses)
            && self.responses_models.iter().any(|pattern| pattern::matches(pattern, model))
        {
            wanted = Dialect::Responses;
        }
        for (dialect, _) in http.endpoints.iter().filter(|(dialect, _)| speaks.has(*dialect, model)) {
            if *dialect == wanted {
                return wanted;
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

    fn uses_aws(&self) -> bool {
        match &self.kind {
            Kind::Http(http, _) => http.auth.uses_aws(),
            Kind::Bedrock(_) => true,
        }
    }

    /// Prepares what its first call would otherwise wait for. Failures are left for that call to report.
    async fn warm(&self) {
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

impl Chains {
    /// Builds every provider of the configuration. Reads root certificate files; touches no network.
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        Self::on(Base::new()?, config)
    }

    /// The same, on connections and secrets that are there already.
    pub fn on(base: Base, config: &Config) -> Result<Self, SetupError> {
        Self::build(base, &HashMap::new(), config)
    }

    /// The chains of the next configuration. What both say in the same words stays the same provider: its connections, its health. Secrets stay.
    pub fn succeeded_by(&self, config: &Config) -> Result<Self, SetupError> {
        Self::build(self.base.clone(), &self.providers, config)
    }

    fn build(base: Base, before: &HashMap<String, Arc<Provider>>, config: &Config) -> Result<Self, SetupError> {
        let responses_models = config.ai.responses_models().into();
        let mut builder = Builder { base, before, responses_models, providers: HashMap::new() };
        let default = builder.chain(&config.ai.groups)?;
        let rules = config.ai.models.iter().map(|rule| Ok((rule.matches.clone(), builder.chain(&rule.groups)?)));
        let rules = rules.collect::<Result<_, SetupError>>()?;
        let amendments = amendments(&config.ai);
        Ok(Self { default, rules, providers: builder.providers, amendments, base: builder.base })
    }

    /// The HTTP client with default settings, which follows no redirects: most providers share it, and others may. Each client of its own would
    /// have a pool of its own.
    pub fn client(&self) -> &reqwest::Client {
        &self.base.client
    }

    /// The ambient AWS configuration, loaded at most once.
    pub fn aws(&self) -> &Aws {
        &self.base.aws
    }

    /// What outlives this configuration.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// What is put into every request before anything else looks at it; `None`: nothing is.
    pub fn amendments(&self) -> Option<&Amendments> {
        self.amendments.as_ref()
    }

    /// The chain of a model, after aliasing; `None`: no rule matches and there is no default chain.
    pub fn of(&self, model: &str) -> Option<&Chain> {
        let rule = self.rules.iter().find(|(patterns, _)| patterns.iter().any(|p| pattern::matches(p, model)));
        let chain = rule.map_or(&self.default, |(_, chain)| chain);
        (!chain.groups.is_empty()).then_some(chain)
    }

    /// Every provider once, in the order of the chains.
    pub(crate) fn distinct_providers(&self) -> impl Iterator<Item = Arc<Provider>> {
        let chains = std::iter::once(&self.default).chain(self.rules.iter().map(|(_, chain)| chain));
        let mut seen: Vec<&str> = Vec::new();
        let all = chains.flat_map(|chain| &chain.groups).flat_map(|group| &group.providers);
        all.filter(move |provider| {
            let new = !seen.contains(&provider.name());
            seen.push(provider.name());
            new
        })
        .map(Arc::clone)
    }

    /// Prepares in the background what first calls would otherwise wait for: secrets, AWS configuration and clients. Needs a runtime.
    pub fn warm(&self) {
        let providers: Vec<_> = self.providers.values().map(Arc::clone).collect();
        let (aws, runtime) = (self.base.aws.clone(), Handle::current());
        // On a thread of its own: AWS's configuration reads files, and the runtime may have one thread, which has to ask Lambda for work.
        tokio::task::spawn_blocking(move || {
            let _inside = runtime.enter();
            if providers.iter().any(|provider| provider.uses_aws()) {
                runtime.block_on(aws.config());
            }
            for provider in providers {
                tokio::spawn(async move { provider.warm().await });
            }
        });
    }
}

struct Builder<'a> {
    base: Base,
    /// Those of the configuration before.
    before: &'a HashMap<String, Arc<Provider>>,
    responses_models: Arc<[String]>,
    providers: HashMap<String, Arc<Provider>>,
}

impl Builder<'_> {
    fn chain(&mut self, groups: &[Group]) -> Result<Chain, SetupError> {
        let groups = groups.iter().map(|group| {
            let providers = group.providers.iter().map(|entry| self.provider(entry)).collect::<Result<_, _>>()?;
            let retries = group.on.as_deref().map_or_else(Retries::default, Retries::from_config);
            Ok(ChainGroup { providers, retries })
        });
        Ok(Chain { groups: groups.collect::<Result<_, SetupError>>()? })
    }

    fn is_same(&self, before: &Provider, entry: &ProviderEntry) -> bool {
        before.entry == *entry && before.responses_models == self.responses_models
    }

    fn provider(&mut self, entry: &ProviderEntry) -> Result<Arc<Provider>, SetupError> {
        if let Some(known) = self.providers.get(&entry.name) {
            return Ok(Arc::clone(known));
        }
        if let Some(same) = self.before.get(&entry.name).filter(|provider| self.is_same(provider, entry)) {
            self.providers.insert(entry.name.clone(), Arc::clone(same));
            return Ok(Arc::clone(same));
        }
        let kind = match &entry.provider {
            tollgate_config::Provider::Bedrock(bedrock) if bedrock.open_ai_endpoint.is_none() => {
                let guardrail = bedrock.guardrail_identifier.clone().zip(bedrock.guardrail_version.clone());
                let endpoint = endpoints::base(entry);
                let connect = entry.timeouts.connect();
                let client = self.base.clients.for_aws(connect)?;
                let (aws, region) = (self.base.aws.clone(), bedrock.region.clone());
                let key = match &entry.policies.backend_auth {
                    Some(BackendAuth::Key(reference)) => Some(reference.clone()),
                    _ => None,
                };
                let key = key.map(|reference| ApiKey { reference, secrets: self.base.secrets.clone() });
                Kind::Bedrock(BedrockTransport::new(aws, client, region, endpoint, connect, guardrail, key))
            }
            tollgate_config::Provider::Vertex(_) => Kind::Http(self.http(entry)?, Speaks::Vertex),
            tollgate_config::Provider::Azure(_)
            | tollgate_config::Provider::Copilot(_)
            | tollgate_config::Provider::Bedrock(_) => Kind::Http(self.http(entry)?, Speaks::MessagesToClaude),
            _ => Kind::Http(self.http(entry)?, Speaks::All),
        };
        let provider = Arc::new(Provider {
            entry: entry.clone(),
            kind,
            responses_models: Arc::clone(&self.responses_models),
            caching: caching(entry),
            health: Health::default(),
            listing: Listing::default(),
        });
        self.providers.insert(entry.name.clone(), Arc::clone(&provider));
        Ok(provider)
    }

    fn http(&mut self, entry: &ProviderEntry) -> Result<HttpTransport, SetupError> {
        let root = entry.policies.backend_tls.as_ref().and_then(|tls| tls.root.as_deref());
        Ok(HttpTransport {
            client: self.base.clients.get(&entry.name, entry.timeouts.connect(), root)?,
            endpoints: endpoints::of(entry)?,
            root: endpoints::root(entry),
            #[cfg(feature = "realtime")]
            upgrading: self.base.clients.upgrading(&entry.name, entry.timeouts.connect(), root)?,
            services: services::of(entry)?,
            auth: self.auth(entry),
            headers: match &entry.provider {
                tollgate_config::Provider::Copilot(_) => &token::EDITOR,
                _ => &[],
            },
            refuses: match &entry.provider {
                tollgate_config::Provider::Custom(custom) => custom.preset.map_or(&[], |preset| preset.facts().refuses),
                _ => &[],
            },
            connect_timeout: entry.timeouts.connect(),
            answered: AtomicBool::new(false),
        })
    }

    fn auth(&self, entry: &ProviderEntry) -> Auth {
        use tollgate_config::Provider as Kind;
        let place = match &entry.provider {
            Kind::Azure(_) => Place::Header(HeaderName::from_static("api-key")),
            Kind::Gemini(_) => Place::Header(HeaderName::from_static("x-goog-api-key")),
            Kind::Bedrock(_) => Place::Bearer,
            _ => Place::OfDialect,
        };
        let key = match &entry.policies.backend_auth {
            Some(BackendAuth::Key(reference)) => Some(reference.clone()),
            Some(BackendAuth::Azure(AzureAuth::ExplicitConfig(AzureCredentials::ClientSecret(client)))) => {
                return self.tokens(Exchange::Entra(Entra::new(client.clone())));
            }
            Some(BackendAuth::Aws(_) | BackendAuth::Gcp(_)) => None,
            None => default_key(&entry.provider),
        };
        match (&entry.provider, &entry.policies.backend_auth, key) {
            (Kind::Vertex(_), auth, _) => {
                let credential = match auth {
                    Some(BackendAuth::Gcp(gcp)) => gcp.credential.clone(),
                    _ => None,
                };
                self.tokens(Exchange::Google(Google::new(credential, self.base.aws.clone())))
            }
            (Kind::Copilot(copilot), _, Some(github)) => {
                let fixed = endpoints::base(entry).is_some();
                self.tokens(Exchange::Copilot(Copilot::new(github, copilot.token_url.clone(), fixed)))
            }
            (Kind::Bedrock(bedrock), _, None) => {
                let service = match bedrock.open_ai_endpoint {
                    Some(BedrockOpenAi::Mantle) => "bedrock-mantle",
                    _ => "bedrock",
                };
                let (signer, region) = (Signer::new(self.base.aws.clone()), bedrock.region.clone());
                Auth::Aws(Box::new(Signature { signer, service, region }))
            }
            (_, _, Some(reference)) => Auth::Key(Key { reference, place, secrets: self.base.secrets.clone() }),
            (_, _, None) => Auth::None,
        }
    }

    /// Tokens are asked for by the client that most providers share.
    fn tokens(&self, exchange: Exchange) -> Auth {
        let (client, secrets) = (self.base.client.clone(), self.base.secrets.clone());
        Auth::Tokens(Box::new(Tokens::new(exchange, client, secrets)))
    }
}

fn caching(entry: &ProviderEntry) -> Option<Caching> {
    let said = entry.policies.ai.as_ref()?.prompt_caching?;
    Some(Caching {
        system: said.cache_system,
        messages: said.cache_messages,
        tools: said.cache_tools,
        min_tokens: said.min_tokens,
        message_offset: said.cache_message_offset,
    })
}

/// Where AWS's SDKs look for a Bedrock API key, before they sign.
const BEDROCK_KEY: &str = "AWS_BEARER_TOKEN_BEDROCK";

/// The variable that the provider's own SDK reads, where the configuration names no key.
fn default_key(provider: &tollgate_config::Provider) -> Option<SecretRef> {
    let name = match provider {
        tollgate_config::Provider::OpenAi(_) => "OPENAI_API_KEY",
        tollgate_config::Provider::Anthropic(_) => "ANTHROPIC_API_KEY",
        tollgate_config::Provider::Azure(_) => "AZURE_OPENAI_API_KEY",
        tollgate_config::Provider::Gemini(_) => "GEMINI_API_KEY",
        tollgate_config::Provider::Copilot(_) => "COPILOT_GITHUB_TOKEN",
        tollgate_config::Provider::Bedrock(_) if std::env::var_os(BEDROCK_KEY).is_some() => BEDROCK_KEY,
        tollgate_config::Provider::Custom(custom) => custom.preset?.facts().key?,
        tollgate_config::Provider::Vertex(_) | tollgate_config::Provider::Bedrock(_) => return None,
    };
    Some(SecretRef::Env(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            let chains = chains(&format!(
                "ai: {{groups: [{{providers: [{{name: a, provider: {{{provider}}}, baseUrl: 'http://127.0.0.1:1'}}]}}]}}"
            ));
            let provider = chains.default.providers().next().unwrap();
            let target = provider.target(client, model);
            assert_eq!((target.dialect, target.carrier), (expected, Carrier::Direct), "{provider:?}");
        }
    }

    #[test]
    fn what_two_configurations_say_in_the_same_words_is_the_same_provider() {
        let yaml = |port: u16| {
            format!(
                "{{ai: {{groups: [{{providers: [\
                 {{name: same, provider: {{custom: {{}}}}, baseUrl: 'http://127.0.0.1:1'}}, \
                 {{name: other, provider: {{custom: {{}}}}, baseUrl: 'http://127.0.0.1:{port}'}}]}}]}}}}"
            )
        };
        let first = chains(&yaml(2));
        let second = first.succeeded_by(&tollgate_config::parse(&yaml(3), "test").unwrap()).unwrap();
        let provider = |chains: &Chains, index: usize| Arc::clone(&chains.default.groups[0].providers[index]);
        assert!(Arc::ptr_eq(&provider(&first, 0), &provider(&second, 0)), "its health and its connections are kept");
        assert!(!Arc::ptr_eq(&provider(&first, 1), &provider(&second, 1)));
        let third = second.succeeded_by(&tollgate_config::parse("{}", "test").unwrap()).unwrap();
        assert!(third.providers.is_empty(), "what is not named any more is forgotten");
    }

    #[test]
    fn the_models_of_the_responses_api_are_the_configurations() {
        let target = |patterns: &str, client| {
            let chains = chains(&format!(
                "ai: {{responsesModels: {patterns}, groups: [{{providers: [{{name: a, provider: {{openAI: {{}}}}, baseUrl: 'http://h'}}]}}]}}"
            ));
            chains.default.providers().next().unwrap().target(client, "gpt-5-codex").dialect
        };
        assert_eq!(target("[]", Dialect::Chat), Dialect::Chat);
        assert_eq!(target("[]", Dialect::Responses), Dialect::Responses);
        assert_eq!(target("['gpt-5*']", Dialect::Messages), Dialect::Responses);
    }

    #[test]
    fn a_model_gets_the_chain_of_its_rule_or_the_default_or_none() {
        let yaml = "
ai:
  models:
  - match: ['llama*']
    groups: [{providers: [{name: local, provider: {custom: {}}, baseUrl: 'http://127.0.0.1:1'}]}]
";
        let chains = chains(yaml);
        assert_eq!(chains.of("llama3").unwrap().groups[0].providers[0].name(), "local");
        assert!(chains.of("gpt-4o").is_none());
    }
}
