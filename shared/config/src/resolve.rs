//! What a request asks of the configuration: the alias of a model name, the chain of a model, the route type of a path.
//!
//! All of it runs once per request, borrows, and allocates nothing. There is no compiled form beside the `Config`: a pass over
//! some tens of short patterns costs less than a microsecond, and nothing can go stale when a `Config` is built or
//! changed in code.

use std::collections::BTreeMap;

use crate::{Config, Group, Provider, ProviderEntry, RouteType, pattern};

/// Paths that are known without configuration. A suffix starts at a path segment, or at the colon of a Gemini method.
const ROUTES: &[(&str, RouteType)] = &[
    ("/v1/chat/completions", RouteType::Completions),
    ("/v1/messages", RouteType::Messages),
    ("/v1/messages/count_tokens", RouteType::AnthropicTokenCount),
    ("/v1/responses", RouteType::Responses),
    ("/v1/embeddings", RouteType::Embeddings),
    ("/v1/models", RouteType::Models),
    ("/v1beta/models", RouteType::Models),
    ("/v1/realtime", RouteType::Realtime),
    ("/v1/realtime/client_secrets", RouteType::Passthrough),
    ("/v1/realtime/calls", RouteType::Passthrough),
    ("/v1/realtime/calls/*", RouteType::Passthrough),
    (":generateContent", RouteType::GenerateContent),
    (":streamGenerateContent", RouteType::GenerateContent),
    (":countTokens", RouteType::GeminiCountTokens),
    ("/v2/rerank", RouteType::Rerank),
    ("/v1/rerank", RouteType::Rerank),
];

/// Whole paths of clients whose base URL has no `/v1`, as LiteLLM's users write it, or which believe that they talk to Azure: [`below_azure`].
const UNVERSIONED: &[(&str, RouteType)] = &[
    ("/chat/completions", RouteType::Completions),
    ("/responses", RouteType::Responses),
    ("/embeddings", RouteType::Embeddings),
    ("/models", RouteType::Models),
    ("/rerank", RouteType::Rerank),
];

/// A model that `/v1/models` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelName<'a> {
    /// What a client may send as `model`.
    pub name: &'a str,
    /// The kind of the provider that is asked first for it; `tollgate` when no provider is.
    pub owner: &'a str,
}

impl Config {
    /// The name that an alias gives to `model`, if one does. Applied once: an alias of an alias is not followed.
    #[must_use]
    pub fn alias(&self, model: &str) -> Option<&str> {
        alias_in(&self.ai.model_aliases, model)
    }

    /// The groups of a model, after aliasing: those of the first rule that matches, else the default ones. Empty: the model is
    /// unknown here.
    #[must_use]
    pub fn chain(&self, model: &str) -> &[Group] {
        self.ai
            .models
            .iter()
            .find(|rule| rule.matches.iter().any(|pattern| pattern::matches(pattern, model)))
            .map_or(self.ai.groups.as_slice(), |rule| rule.groups.as_slice())
    }

    /// The route type of a path without its query. The longest suffix that starts at a segment wins; the file's beats the
    /// built-in of the same length; the file's `*` is for all the rest.
    #[must_use]
    pub fn route_type(&self, path: &str) -> Option<RouteType> {
        let configured = self.ai.routes.iter().map(|(suffix, kind)| (suffix.as_str(), *kind));
        let mut found = None;
        for (suffix, kind) in configured.chain(ROUTES.iter().copied()) {
            let length = suffix.len() - usize::from(suffix.ends_with('*'));
            let longer = found.is_none_or(|(best, _)| length > best);
            if longer && covers(suffix, path) {
                found = Some((length, kind));
            }
        }
        found.map(|(_, kind)| kind).or_else(|| {
            let (_, path) = below_azure(path);
            UNVERSIONED.iter().find(|(known, _)| *known == path).map(|(_, kind)| *kind)
        })
    }

    /// Whether the file says what a path is for, and not the built-in table.
    #[must_use]
    pub fn routes_name(&self, path: &str) -> bool {
        self.ai.routes.keys().any(|pattern| covers(pattern, path))
    }

    /// The names for `/v1/models`: aliases, names in model rules, pinned models, in this order; those with a `*` left out, each
    /// name once.
    #[must_use]
    pub fn model_names<'a>(&'a self) -> Vec<ModelName<'a>> {
        let mut names: Vec<ModelName<'a>> = Vec::new();
        let mut add = |name: &'a str, owner: &'a str| {
            if !name.contains('*') && names.iter().all(|known| known.name != name) {
                names.push(ModelName { name, owner });
            }
        };
        for (alias, target) in &self.ai.model_aliases {
            add(alias, owner(self.chain(target)));
        }
        for rule in &self.ai.models {
            for name in &rule.matches {
                add(name, owner(&rule.groups));
            }
        }
        for entry in self.providers() {
            let aliases = entry.policies.ai.as_ref().map(|policies| &policies.model_aliases);
            for alias in aliases.into_iter().flat_map(BTreeMap::keys) {
                add(alias, entry.provider.kind());
            }
            if let Some(model) = entry.provider.model() {
                add(model, entry.provider.kind());
            }
        }
        names
    }

    /// Every provider entry: the default chain first, then the rules', in the order of the file.
    pub fn providers(&self) -> impl Iterator<Item = &ProviderEntry> {
        let rules = self.ai.models.iter().flat_map(|rule| &rule.groups);
        self.ai.groups.iter().chain(rules).flat_map(|group| &group.providers)
    }
}

impl ProviderEntry {
    /// The model to send: the pinned one, else what the provider's own aliases make of `model`, else `model`.
    #[must_use]
    pub fn model_for<'a>(&'a self, model: &'a str) -> &'a str {
        let alias = || self.policies.ai.as_ref().and_then(|policies| alias_in(&policies.model_aliases, model));
        self.provider.model().or_else(alias).unwrap_or(model)
    }
}

impl Provider {
    /// The kind, as the file spells it; a custom provider's `providerOverride` where it has one.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::OpenAi(_) => "openAI",
            Self::Anthropic(_) => "anthropic",
            Self::Bedrock(_) => "bedrock",
            Self::Gemini(_) => "gemini",
            Self::Azure(_) => "azure",
            Self::Vertex(_) => "vertex",
            Self::Copilot(_) => "copilot",
            Self::Custom(custom) => {
                let preset = || custom.preset.map_or("custom", |preset| preset.facts().name);
                custom.provider_override.as_deref().unwrap_or_else(preset)
            }
        }
    }

    /// The pinned model.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::OpenAi(pin) | Self::Anthropic(pin) | Self::Gemini(pin) => pin.model.as_deref(),
            Self::Bedrock(bedrock) => bedrock.model.as_deref(),
            Self::Azure(azure) => azure.model.as_deref(),
            Self::Vertex(vertex) => vertex.model.as_deref(),
            Self::Copilot(copilot) => copilot.model.as_deref(),
            Self::Custom(custom) => custom.model.as_deref(),
        }
    }
}

fn alias_in<'a>(aliases: &'a BTreeMap<String, String>, model: &str) -> Option<&'a str> {
    if let Some(target) = aliases.get(model) {
        return Some(target);
    }
    pattern::best(aliases.iter().map(|(pattern, target)| (pattern.as_str(), target.as_str())), model)
}

/// Azure's `/openai/deployments/{deployment}/..` and `/openai/..`
/// (<https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference>): the deployment, as it is escaped there, and the rest of the path, which is the whole
/// path of others.
#[must_use]
pub fn below_azure(path: &str) -> (Option<&str>, &str) {
    let path = path.strip_prefix("/openai").unwrap_or(path);
    let deployment = path.strip_prefix("/deployments/").and_then(|rest| Some(rest.split_at(rest.find('/')?)));
    deployment.map_or((None, path), |(deployment, rest)| (Some(deployment), rest))
}

/// `*` covers everything, `/v1/files/*` what is below `/v1/files`, anything else what ends in it.
fn covers(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(folder) => path.find(folder).is_some_and(|at| path.len() > at + folder.len()),
        None => ends_at_segment(path, pattern),
    }
}

/// `/x/v1/messages` ends in `/v1/messages` and in `messages`, not in `sages`.
fn ends_at_segment(path: &str, suffix: &str) -> bool {
    let Some(before) = path.strip_suffix(suffix) else { return false };
    suffix.starts_with(['/', ':']) || before.is_empty() || before.ends_with('/')
}

fn owner(groups: &[Group]) -> &str {
    groups.iter().flat_map(|group| &group.providers).next().map_or("tollgate", |entry| entry.provider.kind())
}
