//! Checks of names and chains in `ai`.

use std::collections::BTreeMap;

use super::{Report, provider};
use crate::address::no_variables;
use crate::tree::Path;
use crate::{Config, Group};

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let path = Path::of("ai");
    check_aliases(config, report);
    check_routes(config, report);
    check_groups(&config.ai.groups, &path.key("groups"), report);
    check_rules(config, report);
    provider::check_names(config, report);
    check_body(config, report);
}

/// Fields that are put into requests.
fn check_body(config: &Config, report: &mut Report<'_>) {
    for (block, fields) in [("defaults", &config.ai.defaults), ("overrides", &config.ai.overrides)] {
        let path = Path::of("ai").key(block);
        for name in fields.keys() {
            match name.as_str() {
                "stream" => report.add(
                    &path.key(name),
                    "a client could not read the form of answer that it did not ask for",
                    "remove it; the client decides",
                ),
                "messages" | "input" | "contents" => {
                    report.add(&path.key(name), "the conversation is the client's", "use `ai.prompts` to add to it");
                }
                _ => report.not_blank(&path.key(name), name),
            }
        }
    }
    for (list, prompts) in [("prepend", &config.ai.prompts.prepend), ("append", &config.ai.prompts.append)] {
        for (i, prompt) in prompts.iter().enumerate() {
            let path = Path::of("ai.prompts").key(list).index(i).key("content");
            if prompt.content.trim().is_empty() {
                report.add(&path, "is empty", "");
            }
        }
    }
}

fn check_aliases(config: &Config, report: &mut Report<'_>) {
    let path = Path::of("ai.modelAliases");
    check_alias_targets(&config.ai.model_aliases, &path, report);
    let mut in_known_loop: Vec<&str> = Vec::new();
    for (alias, target) in &config.ai.model_aliases {
        if in_known_loop.contains(&target.as_str()) {
            continue;
        }
        if let Some(names) = loop_from(config, target) {
            report.add(&path.key(alias), format!("aliases lead in a circle: {}", names.join(" -> ")), "break it");
            in_known_loop.extend(names);
        }
    }
}

/// Follows aliases from a name until one repeats. A name that leads to itself is no circle: `gpt-4*: gpt-4o`.
fn loop_from<'a>(config: &'a Config, start: &'a str) -> Option<Vec<&'a str>> {
    let mut seen = vec![start];
    let mut name = start;
    while let Some(next) = config.alias(name) {
        if next == name {
            return None;
        }
        seen.push(next);
        if next == start {
            return Some(seen);
        }
        // A circle that does not come back to the start is reported from one of its own names.
        if seen.len() > config.ai.model_aliases.len() + 1 {
            return None;
        }
        name = next;
    }
    None
}

pub(super) fn check_alias_targets(aliases: &BTreeMap<String, String>, path: &Path, report: &mut Report<'_>) {
    for (alias, target) in aliases {
        let path = path.key(alias);
        if alias.trim().is_empty() {
            report.add(&path, "an alias without a name", "");
        }
        report.not_blank(&path, target);
        if target.contains('*') {
            report.add(&path, "the target has a *", "name one model");
        }
        if let Some(error) = no_variables(target) {
            report.add(&path, error, "");
        }
    }
}

fn check_routes(config: &Config, report: &mut Report<'_>) {
    let path = Path::of("ai.routes");
    for suffix in config.ai.routes.keys() {
        let path = path.key(suffix);
        if suffix.trim().is_empty() {
            report.add(&path, "an empty path suffix", "write `*` for any path");
        } else if suffix != "*" && suffix.strip_suffix("/*").unwrap_or(suffix).contains('*') {
            let remedy = "write the end of the path, a folder and `/*` for what is below it, or `*` alone for any path";
            report.add(&path, "a path suffix has no * within", remedy);
        } else if suffix == "/*" {
            report.add(&path, "a folder without a name", "write `*` for any path");
        } else if suffix.contains(['?', '#']) || suffix.contains(char::is_whitespace) {
            report.add(&path, "is not the end of a path: it has a query, a fragment or a blank", "");
        } else if suffix.len() > 1 && suffix.ends_with('/') {
            report.add(&path, "ends with a slash", "leave the slash out");
        }
    }
}

fn check_rules(config: &Config, report: &mut Report<'_>) {
    let path = Path::of("ai.models");
    let mut earlier: Vec<&str> = Vec::new();
    for (i, rule) in config.ai.models.iter().enumerate() {
        let path = path.index(i);
        if rule.matches.is_empty() {
            report.add(&path.key("match"), "is empty: no model would match", "name a model or a pattern");
        }
        for (m, pattern) in rule.matches.iter().enumerate() {
            let path = path.key("match").index(m);
            report.not_blank(&path, pattern);
            if earlier.contains(&pattern.as_str()) {
                report.add(&path, "stands in an earlier rule, which wins", "remove it here or there");
            }
        }
        earlier.extend(rule.matches.iter().map(String::as_str));
        if rule.groups.is_empty() {
            report.add(&path.key("groups"), "is empty: its models could not be served", "add a group with a provider");
        }
        check_groups(&rule.groups, &path.key("groups"), report);
    }
}

fn check_groups(groups: &[Group], path: &Path, report: &mut Report<'_>) {
    for (g, group) in groups.iter().enumerate() {
        let path = path.index(g).key("providers");
        if group.providers.is_empty() {
            report.add(&path, "is empty", "add a provider, or remove the group");
        } else if group.providers.iter().all(|entry| entry.weight == 0) {
            report.add(&path, "every weight is 0: none is preferred", "leave one weight out");
        }
        for (p, entry) in group.providers.iter().enumerate() {
            provider::check_entry(entry, &path.index(p), report);
        }
    }
}
