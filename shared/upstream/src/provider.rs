//! Providers and chains, built once from the configuration. The one place that tells the kinds of provider apart.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use reqwest::Url;
use tokio::runtime::Handle;
use tollgate_config::{BackendAuth, Config, CustomDialect, Group, ProviderEntry, SecretRef, Timeouts, pattern};
use tollgate_wire::codec::{Carrier, Dialect, Target};

use crate::aws::Aws;
use crate::bedrock::BedrockTransport;
use crate::body::Reply;
use crate::clients::Clients;
use crate::error::{SetupError, TransportError};
use crate::failover::Retries;
use crate::health::Health;
use crate::http::{Call, HttpTransport, KeyHeader};
use crate::secrets::Secrets;

/// A provider, ready to be called. Shared by all chains that name it: so is its health.
#[derive(Debug)]
pub struct Provider {
    entry: ProviderEntry,
    kind: Kind,
    pub(crate) health: Health,
}

#[derive(Debug)]
enum Kind {
    OpenAi(HttpTransport),
    Anthropic(HttpTransport),
    Bedrock(BedrockTransport),
    Custom(HttpTransport, Vec<CustomDialect>),
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
    client: reqwest::Client,
    secrets: Secrets,
    aws: Aws,
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
            Kind::OpenAi(_) => (Dialect::Chat, Carrier::Direct),
            Kind::Anthropic(_) => (Dialect::Messages, Carrier::Direct),
            Kind::Bedrock(_) if is_claude(model) => (Dialect::Messages, Carrier::Bedrock),
            Kind::Bedrock(_) => (Dialect::Converse, Carrier::Bedrock),
            Kind::Custom(_, dialects) => (custom_dialect(dialects, client), Carrier::Direct),
        };
        Target { dialect, carrier, model }
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

    /// Sends, and waits for the head of the answer.
    pub(crate) async fn send(&self, model: &str, call: &Call<'_>) -> Result<Reply, TransportError> {
        match &self.kind {
            Kind::OpenAi(http) | Kind::Anthropic(http) | Kind::Custom(http, _) => http.send(call).await,
            // In a box, that is: the SDK's future takes 30 KiB, which every call to any provider would move around.
            Kind::Bedrock(bedrock) => bedrock.send(call.dialect, model, call.body.clone(), call.stream).await,
        }
    }

    fn uses_aws(&self) -> bool {
        match &self.kind {
            Kind::OpenAi(http) | Kind::Anthropic(http) | Kind::Custom(http, _) => {
                matches!(http.key, Some(SecretRef::SecretsManager { .. }))
            }
            Kind::Bedrock(_) => true,
        }
    }

    /// Prepares what its first call would otherwise wait for. Failures are left for that call to report.
    async fn warm(&self, secrets: &Secrets) {
        match &self.kind {
            Kind::OpenAi(http) | Kind::Anthropic(http) | Kind::Custom(http, _) => {
                if let Some(key) = &http.key {
                    let _ = secrets.get(key).await;
                }
            }
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

fn custom_dialect(dialects: &[CustomDialect], client: Dialect) -> Dialect {
    let wire = |dialect: &CustomDialect| match dialect {
        CustomDialect::Completions => Dialect::Chat,
        CustomDialect::Messages => Dialect::Messages,
    };
    let own = dialects.iter().map(wire).find(|dialect| *dialect == client);
    own.or_else(|| dialects.first().map(wire)).unwrap_or(Dialect::Chat)
}

impl Chains {
    /// Builds every provider of the configuration. Reads root certificate files; touches no network.
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        let mut clients = Clients::default();
        let client = clients.get("", Timeouts::default().connect(), None)?;
        let aws = Aws::new(clients.for_aws(Timeouts::default().connect())?);
        let mut builder = Builder { secrets: Secrets::new(aws.clone()), aws, clients, providers: HashMap::new() };
        let default = builder.chain(&config.ai.groups)?;
        let rules = config.ai.models.iter().map(|rule| Ok((rule.matches.clone(), builder.chain(&rule.groups)?)));
        let rules = rules.collect::<Result<_, SetupError>>()?;
        Ok(Self { default, rules, providers: builder.providers, client, secrets: builder.secrets, aws: builder.aws })
    }

    /// The HTTP client with default settings, which follows no redirects: most providers share it, and others may. Each client of its own would
    /// have a pool of its own.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The ambient AWS configuration, loaded at most once.
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// The chain of a model, after aliasing; `None`: no rule matches and there is no default chain.
    pub fn of(&self, model: &str) -> Option<&Chain> {
        let rule = self.rules.iter().find(|(patterns, _)| patterns.iter().any(|p| pattern::matches(p, model)));
        let chain = rule.map_or(&self.default, |(_, chain)| chain);
        (!chain.groups.is_empty()).then_some(chain)
    }

    /// Prepares in the background what first calls would otherwise wait for: secrets, AWS configuration and clients. Needs a runtime.
    pub fn warm(&self) {
        let providers: Vec<_> = self.providers.values().map(Arc::clone).collect();
        let (aws, secrets, runtime) = (self.aws.clone(), self.secrets.clone(), Handle::current());
        // On a thread of its own: AWS's configuration reads files, and the runtime may have one thread, which has to ask Lambda for work.
        tokio::task::spawn_blocking(move || {
            let _inside = runtime.enter();
            if providers.iter().any(|provider| provider.uses_aws()) {
                runtime.block_on(aws.config());
            }
            for provider in providers {
                let secrets = secrets.clone();
                tokio::spawn(async move { provider.warm(&secrets).await });
            }
        });
    }
}

struct Builder {
    aws: Aws,
    secrets: Secrets,
    clients: Clients,
    providers: HashMap<String, Arc<Provider>>,
}

impl Builder {
    fn chain(&mut self, groups: &[Group]) -> Result<Chain, SetupError> {
        let groups = groups.iter().map(|group| {
            let providers = group.providers.iter().map(|entry| self.provider(entry)).collect::<Result<_, _>>()?;
            let retries = group.on.as_deref().map_or_else(Retries::default, Retries::from_config);
            Ok(ChainGroup { providers, retries })
        });
        Ok(Chain { groups: groups.collect::<Result<_, SetupError>>()? })
    }

    fn provider(&mut self, entry: &ProviderEntry) -> Result<Arc<Provider>, SetupError> {
        if let Some(known) = self.providers.get(&entry.name) {
            return Ok(Arc::clone(known));
        }
        let kind = match &entry.provider {
            tollgate_config::Provider::OpenAi(_) => {
                Kind::OpenAi(self.http(entry, Some("https://api.openai.com"), &[(Dialect::Chat, CHAT_PATH)])?)
            }
            tollgate_config::Provider::Anthropic(_) => {
                let endpoints = [(Dialect::Messages, MESSAGES_PATH)];
                Kind::Anthropic(self.http(entry, Some("https://api.anthropic.com"), &endpoints)?)
            }
            tollgate_config::Provider::Bedrock(bedrock) => {
                let guardrail = bedrock.guardrail_identifier.clone().zip(bedrock.guardrail_version.clone());
                let endpoint = address(entry);
                let connect = entry.timeouts.connect();
                let client = self.clients.for_aws(connect)?;
                let (aws, region) = (self.aws.clone(), bedrock.region.clone());
                Kind::Bedrock(BedrockTransport::new(aws, client, region, endpoint, connect, guardrail))
            }
            tollgate_config::Provider::Custom(custom) => {
                let dialects: Vec<CustomDialect> = custom.dialects().collect();
                let endpoints = dialects.iter().map(|kind| {
                    let (dialect, default) = match kind {
                        CustomDialect::Completions => (Dialect::Chat, CHAT_PATH),
                        CustomDialect::Messages => (Dialect::Messages, MESSAGES_PATH),
                    };
                    let format = custom.formats.iter().find(|format| format.kind == *kind);
                    (dialect, format.and_then(|format| format.path.as_deref()).unwrap_or(default))
                });
                let endpoints: Vec<_> = endpoints.collect();
                Kind::Custom(self.http(entry, None, &endpoints)?, dialects)
            }
        };
        let provider = Arc::new(Provider { entry: entry.clone(), kind, health: Health::default() });
        self.providers.insert(entry.name.clone(), Arc::clone(&provider));
        Ok(provider)
    }

    fn http(
        &mut self,
        entry: &ProviderEntry,
        default: Option<&str>,
        endpoints: &[(Dialect, &str)],
    ) -> Result<HttpTransport, SetupError> {
        let base = address(entry).or_else(|| default.map(str::to_owned));
        let base = base.ok_or_else(|| SetupError::NoAddress(entry.name.clone()))?;
        let endpoints = endpoints.iter().map(|(dialect, path)| Ok((*dialect, endpoint(entry, &base, path)?)));
        let root = entry.policies.backend_tls.as_ref().and_then(|tls| tls.root.as_deref());
        let key = entry.policies.backend_auth.as_ref().and_then(|auth| match auth {
            BackendAuth::Key(reference) => Some(reference.clone()),
            BackendAuth::Aws(_) => None,
        });
        Ok(HttpTransport {
            client: self.clients.get(&entry.name, entry.timeouts.connect(), root)?,
            endpoints: endpoints.collect::<Result<_, SetupError>>()?,
            key: key.or_else(|| default_key(&entry.provider)),
            key_header: KeyHeader::OfDialect,
            secrets: self.secrets.clone(),
            connect_timeout: entry.timeouts.connect(),
            answered: AtomicBool::new(false),
        })
    }
}

const CHAT_PATH: &str = "/v1/chat/completions";
const MESSAGES_PATH: &str = "/v1/messages";

/// The variable that the provider's own SDK reads, where the configuration names no key.
fn default_key(provider: &tollgate_config::Provider) -> Option<SecretRef> {
    match provider {
        tollgate_config::Provider::OpenAi(_) => Some(SecretRef::Env("OPENAI_API_KEY".to_owned())),
        tollgate_config::Provider::Anthropic(_) => Some(SecretRef::Env("ANTHROPIC_API_KEY".to_owned())),
        _ => None,
    }
}

/// Scheme, host, port and prefix from the configuration.
fn address(entry: &ProviderEntry) -> Option<String> {
    let host_override = || {
        let host = entry.host_override.as_deref()?;
        let tls = host.ends_with(":443") || entry.policies.backend_tls.is_some();
        Some(format!("{}://{host}", if tls { "https" } else { "http" }))
    };
    entry.base_url.clone().or_else(host_override)
}

/// Base and path put together. A base that already ends in the API's version (`.../v1`) does not get it twice.
fn endpoint(entry: &ProviderEntry, base: &str, path: &str) -> Result<Url, SetupError> {
    let base = base.trim_end_matches('/');
    let tail = path.strip_prefix("/v1").unwrap_or(path);
    let text = match (&entry.path_override, &entry.path_prefix) {
        (Some(path), _) => format!("{base}/{}", path.trim_start_matches('/')),
        (None, Some(prefix)) => format!("{base}/{}{tail}", prefix.trim_matches('/')),
        (None, None) if base.ends_with("/v1") => format!("{base}{tail}"),
        (None, None) => format!("{base}{path}"),
    };
    Url::parse(&text).map_err(|e| SetupError::Url { provider: entry.name.clone(), url: text, cause: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains(yaml: &str) -> Chains {
        Chains::new(&tollgate_config::parse(yaml, "test").unwrap()).unwrap()
    }

    fn entry(yaml: &str) -> ProviderEntry {
        let yaml = format!("ai: {{groups: [{{providers: [{yaml}]}}]}}");
        tollgate_config::parse(&yaml, "test").unwrap().ai.groups[0].providers[0].clone()
    }

    #[test]
    fn addresses_are_put_together_from_what_the_entry_says() {
        for (extra, expected) in [
            ("baseUrl: 'http://h:1'", "http://h:1/v1/chat/completions"),
            ("baseUrl: 'https://h/openai/v1/'", "https://h/openai/v1/chat/completions"),
            ("hostOverride: 'h:8080'", "http://h:8080/v1/chat/completions"),
            ("hostOverride: 'h:443'", "https://h/v1/chat/completions"),
            ("baseUrl: 'http://h', pathPrefix: /api/v2", "http://h/api/v2/chat/completions"),
            ("baseUrl: 'http://h', pathOverride: /x/y", "http://h/x/y"),
        ] {
            let entry = entry(&format!("{{name: a, provider: {{custom: {{}}}}, {extra}}}"));
            let base = address(&entry).unwrap();
            assert_eq!(endpoint(&entry, &base, CHAT_PATH).unwrap().as_str(), expected, "{extra}");
        }
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
    fn a_custom_provider_is_spoken_to_in_the_clients_dialect_if_it_can() {
        let both = [CustomDialect::Completions, CustomDialect::Messages];
        assert_eq!(custom_dialect(&both, Dialect::Messages), Dialect::Messages);
        assert_eq!(custom_dialect(&both[..1], Dialect::Messages), Dialect::Chat);
        assert_eq!(custom_dialect(&[], Dialect::Messages), Dialect::Chat);
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
