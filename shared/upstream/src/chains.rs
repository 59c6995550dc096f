//! The chains of the configuration: which providers, in which order, for which model.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::runtime::Handle;
use tollgate_config::{Config, pattern};
use tollgate_wire::amend::Amendments;

use crate::amend::amendments;
use crate::aws::Aws;
use crate::base::Base;
use crate::builder::Builder;
use crate::error::SetupError;
use crate::failover::Retries;
use crate::provider::Provider;

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
    everybody: Chain,
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
        let mut builder = Builder::new(base, before, config);
        let default = builder.chain(&config.ai.groups)?;
        let rules = config.ai.models.iter().map(|rule| Ok((rule.matches.clone(), builder.chain(&rule.groups)?)));
        let rules = rules.collect::<Result<_, SetupError>>()?;
        let rules: Vec<(Vec<String>, Chain)> = rules;
        let everybody = everybody(std::iter::once(&default).chain(rules.iter().map(|(_, chain)| chain)));
        let amendments = amendments(&config.ai);
        Ok(Self { default, rules, everybody, providers: builder.providers, amendments, base: builder.base })
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

    /// Every provider once: the default chain's groups, then the rules'. For what names no model, and may be anybody's.
    pub fn everybody(&self) -> &Chain {
        &self.everybody
    }

    /// Every provider once, in the order of the chains.
    pub(crate) fn distinct_providers(&self) -> impl Iterator<Item = Arc<Provider>> {
        self.everybody.groups.iter().flat_map(|group| &group.providers).map(Arc::clone)
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

fn everybody<'a>(chains: impl Iterator<Item = &'a Chain>) -> Chain {
    let mut seen: Vec<&str> = Vec::new();
    let mut groups = Vec::new();
    for group in chains.flat_map(|chain| &chain.groups) {
        let mut providers = Vec::new();
        for provider in group.providers.iter().filter(|provider| !seen.contains(&provider.name())) {
            providers.push(Arc::clone(provider));
        }
        seen.extend(group.providers.iter().map(|provider| provider.name()));
        if !providers.is_empty() {
            groups.push(ChainGroup { providers, retries: group.retries });
        }
    }
    Chain { groups }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains(yaml: &str) -> Chains {
        Chains::new(&tollgate_config::parse(yaml, "test").unwrap()).unwrap()
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
