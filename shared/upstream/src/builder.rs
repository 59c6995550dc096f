//! Providers, made from what the configuration says of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ::http::HeaderName;
use tollgate_config::{AzureResourceType, BackendAuth, BedrockOpenAi, Config, Group, ProviderEntry, SecretRef};
use tollgate_wire::caching::Caching;

use crate::auth::{Auth, Key, Place, Signature};
use crate::base::Base;
use crate::bedrock::{ApiKey, BedrockTransport};
use crate::chains::{Chain, ChainGroup};
use crate::endpoints;
use crate::error::SetupError;
use crate::failover::Retries;
use crate::health::Health;
use crate::http::HttpTransport;
use crate::listing::Listing;
use crate::provider::{Kind, Provider, Speaks};
use crate::services;
use crate::signer::Signer;
use crate::token::{self, Copilot, Entra, Exchange, Google, Tokens};

/// Builds the providers of one configuration.
pub(crate) struct Builder<'a> {
    pub(crate) base: Base,
    /// Those of the configuration before.
    before: &'a HashMap<String, Arc<Provider>>,
    responses_models: Arc<[String]>,
    pub(crate) providers: HashMap<String, Arc<Provider>>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(base: Base, before: &'a HashMap<String, Arc<Provider>>, config: &Config) -> Self {
        Self { base, before, responses_models: config.ai.responses_models().into(), providers: HashMap::new() }
    }

    pub(crate) fn chain(&mut self, groups: &[Group]) -> Result<Chain, SetupError> {
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
        let is_same = |p: &&Arc<Provider>| p.entry == *entry && p.responses_models == self.responses_models;
        if let Some(same) = self.before.get(&entry.name).filter(is_same) {
            self.providers.insert(entry.name.clone(), Arc::clone(same));
            return Ok(Arc::clone(same));
        }
        let provider = Arc::new(Provider {
            entry: entry.clone(),
            kind: self.kind(entry)?,
            responses_models: Arc::clone(&self.responses_models),
            caching: caching(entry),
            health: Health::default(),
            listing: Listing::default(),
        });
        self.providers.insert(entry.name.clone(), Arc::clone(&provider));
        Ok(provider)
    }

    fn kind(&mut self, entry: &ProviderEntry) -> Result<Kind, SetupError> {
        Ok(match &entry.provider {
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
            tollgate_config::Provider::Azure(_) => Kind::Http(self.http(entry)?, Speaks::MessagesToClaude),
            tollgate_config::Provider::Copilot(_) => Kind::Http(self.http(entry)?, Speaks::Copilot),
            tollgate_config::Provider::Bedrock(bedrock) => {
                let at_mantle = bedrock.open_ai_endpoint == Some(BedrockOpenAi::Mantle);
                Kind::Http(self.http(entry)?, if at_mantle { Speaks::Mantle } else { Speaks::Runtime })
            }
            _ => Kind::Http(self.http(entry)?, Speaks::All),
        })
    }

    fn http(&mut self, entry: &ProviderEntry) -> Result<HttpTransport, SetupError> {
        let root = entry.policies.backend_tls.as_ref().and_then(|tls| tls.root.as_deref());
        Ok(HttpTransport {
            client: self.base.clients.get(&entry.name, entry.timeouts.connect(), root)?,
            endpoints: endpoints::of(entry)?,
            root: endpoints::root(entry),
            realtime: endpoints::realtime(entry),
            #[cfg(feature = "realtime")]
            upgrading: self.base.clients.upgrading(&entry.name, entry.timeouts.connect(), root)?,
            services: services::of(entry)?,
            auth: self.auth(entry),
            headers: match &entry.provider {
                tollgate_config::Provider::Copilot(_) => &token::EDITOR,
                _ => &[],
            },
            pictures: match &entry.provider {
                tollgate_config::Provider::Copilot(_) => Some(token::VISION),
                _ => None,
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
            Some(BackendAuth::Azure(auth)) => {
                let is_foundry = matches!(
                    &entry.provider,
                    Kind::Azure(azure) if azure.resource_type == AzureResourceType::Foundry
                );
                let entra = Entra::new(auth.clone(), is_foundry, self.base.aws.clone());
                return self.tokens(Exchange::Entra(Box::new(entra)));
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
