//! agentgateway's forms, made this gateway's: one provider directly under `ai` becomes a chain of one; aliases, routes
//! and guards that stand in `policies.ai` move to `ai`.

use std::collections::BTreeMap;

use crate::tree::Path;
use crate::{AiPolicies, Config, Group, Policies, Prompts, ProviderEntry};

/// What folding did, for messages that name the file's own paths.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// `ai.groups[0].providers[0]` stands directly under `ai` in the file.
    pub(crate) single: bool,
    /// `ai.promptGuard` stands in `ai.policies.ai` in the file.
    pub(crate) guard_in_policies: bool,
    /// What could not be folded: path, message, remedy.
    pub(crate) conflicts: Vec<(Path, String, &'static str)>,
}

pub(crate) fn fold(config: &mut Config) -> Folded {
    let mut folded = Folded::default();
    fold_ai_policies(config, &mut folded);
    fold_single(config, &mut folded);
    fold_provider_routes(config, &mut folded);
    fold_caching(config);
    folded
}

/// `ai.policies.ai` to `ai`.
fn fold_ai_policies(config: &mut Config, folded: &mut Folded) {
    let path = Path::of("ai.policies.ai");
    let Some(AiPolicies { model_aliases, routes, prompt_guard, defaults, overrides, prompts, prompt_caching }) =
        config.ai.policies.as_mut().and_then(|policies| policies.ai.take())
    else {
        return;
    };
    merge(&mut config.ai.defaults, defaults, &path.key("defaults"), folded);
    merge(&mut config.ai.overrides, overrides, &path.key("overrides"), folded);
    for (name, list, more) in [
        ("prepend", &mut config.ai.prompts.prepend, prompts.prepend),
        ("append", &mut config.ai.prompts.append, prompts.append),
    ] {
        if list.is_empty() {
            *list = more;
        } else if !more.is_empty() {
            let path = path.key("prompts").key(name);
            folded.conflicts.push((path, "stands in `ai.prompts` as well".to_owned(), "keep one of the two"));
        }
    }
    match (&config.ai.prompt_caching, prompt_caching) {
        (Some(_), Some(_)) => {
            let message = "stands in `ai.promptCaching` as well";
            folded.conflict("ai.policies.ai.promptCaching", message, "keep one of the two");
        }
        (None, some) => config.ai.prompt_caching = some,
        (Some(_), None) => {}
    }
    merge(&mut config.ai.model_aliases, model_aliases, &path.key("modelAliases"), folded);
    merge(&mut config.ai.routes, routes, &path.key("routes"), folded);
    match (&config.ai.prompt_guard, prompt_guard) {
        (_, None) => {}
        (None, guard) => {
            config.ai.prompt_guard = guard;
            folded.guard_in_policies = true;
        }
        (Some(_), Some(_)) => {
            folded.conflict("ai.policies.ai.promptGuard", "stands in `ai.promptGuard` as well", "keep one of the two");
        }
    }
}

fn fold_single(config: &mut Config, folded: &mut Folded) {
    let ai = &mut config.ai;
    let policies = ai.policies.take();
    let Some(provider) = ai.provider.take() else {
        if policies.is_some_and(|policies| policies != Policies::default()) {
            folded.conflict("ai.policies", "credentials and TLS belong to a provider", "move them into its `policies`");
        }
        let strays = [
            ("ai.name", ai.name.is_some()),
            ("ai.baseUrl", ai.base_url.is_some()),
            ("ai.hostOverride", ai.host_override.is_some()),
            ("ai.pathOverride", ai.path_override.is_some()),
            ("ai.pathPrefix", ai.path_prefix.is_some()),
            ("ai.tokenize", ai.tokenize),
            ("ai.timeouts", ai.timeouts != crate::Timeouts::default()),
        ];
        for (path, _) in strays.into_iter().filter(|(_, there)| *there) {
            folded.conflict(
                path,
                "belongs to a provider",
                "add `ai.provider`, or move it into an entry of `ai.groups`",
            );
        }
        return;
    };
    if !ai.groups.is_empty() {
        folded.conflict(
            "ai.provider",
            "one provider under `ai` and `ai.groups` exclude each other",
            "move it into a group",
        );
        return;
    }
    let Some(name) = ai.name.take() else {
        folded.conflict("ai", "the key `name` is missing beside `provider`", "give the provider a name");
        return;
    };
    let entry = ProviderEntry {
        name,
        provider,
        base_url: ai.base_url.take(),
        host_override: ai.host_override.take(),
        path_override: ai.path_override.take(),
        path_prefix: ai.path_prefix.take(),
        tokenize: std::mem::take(&mut ai.tokenize),
        weight: 1,
        timeouts: std::mem::take(&mut ai.timeouts),
        policies: policies.unwrap_or_default(),
    };
    ai.groups = vec![Group { providers: vec![entry], on: None }];
    folded.single = true;
}

/// The route type of a path is known before its provider: a provider's routes are everyone's.
fn fold_provider_routes(config: &mut Config, folded: &mut Folded) {
    let ai = &mut config.ai;
    let chains = std::iter::once((Path::of("ai"), &mut ai.groups))
        .chain(ai.models.iter_mut().enumerate().map(|(i, rule)| (Path::of("ai.models").index(i), &mut rule.groups)));
    for (path, groups) in chains {
        for (g, group) in groups.iter_mut().enumerate() {
            for (p, entry) in group.providers.iter_mut().enumerate() {
                let Some(policies) = entry.policies.ai.as_mut() else { continue };
                let path = path.key("groups").index(g).key("providers").index(p).key("policies").key("ai");
                merge(&mut ai.routes, std::mem::take(&mut policies.routes), &path.key("routes"), folded);
                if policies.prompt_guard.take().is_some() {
                    let message = "guards are asked before a provider is chosen".to_owned();
                    folded.conflicts.push((path.key("promptGuard"), message, "move it to `ai.promptGuard`"));
                }
                for (key, there) in [
                    ("defaults", !std::mem::take(&mut policies.defaults).is_empty()),
                    ("overrides", !std::mem::take(&mut policies.overrides).is_empty()),
                    ("prompts", std::mem::take(&mut policies.prompts) != Prompts::default()),
                ] {
                    if there {
                        let message = "a request is completed before a provider is chosen".to_owned();
                        folded.conflicts.push((path.key(key), message, "move it to `ai`, where it is everyone's"));
                    }
                }
                if *policies == AiPolicies::default() {
                    entry.policies.ai = None;
                }
            }
        }
    }
}

/// What all providers do is said in each of them, so that equal entries are equal providers.
fn fold_caching(config: &mut Config) {
    let ai = &mut config.ai;
    let Some(caching) = ai.prompt_caching else { return };
    let rules = ai.models.iter_mut().flat_map(|rule| &mut rule.groups);
    for entry in ai.groups.iter_mut().chain(rules).flat_map(|group| &mut group.providers) {
        entry.policies.ai.get_or_insert_default().prompt_caching.get_or_insert(caching);
    }
}

fn merge<T: PartialEq>(into: &mut BTreeMap<String, T>, from: BTreeMap<String, T>, path: &Path, folded: &mut Folded) {
    for (key, value) in from {
        match into.get(&key) {
            Some(existing) if *existing != value => folded.conflicts.push((
                path.key(&key),
                "means something else in another place of the file".to_owned(),
                "keep one of the two",
            )),
            _ => {
                into.insert(key, value);
            }
        }
    }
}

impl Folded {
    fn conflict(&mut self, path: &str, message: &str, remedy: &'static str) {
        self.conflicts.push((Path::of(path), message.to_owned(), remedy));
    }
}
