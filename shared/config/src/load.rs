//! From text to a [`Config`].
//!
//! 1. YAML (or JSON, which is YAML) is read into a tree with places; duplicate keys, several documents and alias bombs stop
//!    here, with one message.
//! 2. The tree is read into the types. A value that is wrong is reported, taken out, and the reading starts again, so
//!    that one run finds every mistake.
//! 3. agentgateway's forms are folded into this gateway's.
//! 4. What the types cannot say is checked (`validate`).
//!
//! Any problem in any step means no `Config`.

use std::path::Path as FilePath;

use serde::Deserialize;
use serde_saphyr::Error as YamlError;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::de::{Fault, FaultKind};
use crate::tree::{Node, Path, Place, Value, is_word};
use crate::{Config, ConfigError, Problem, explain, fold, validate};

/// A larger text is not a configuration of this gateway.
const MAX_BYTES: usize = 1024 * 1024;

/// After so many the file is something else altogether.
const MAX_PROBLEMS: usize = 100;

const TOO_MUCH: &str = "grows beyond any configuration here: too deep, too many values, or too many aliases";

/// Reads a file. See [`parse`].
pub fn load(path: impl AsRef<FilePath>) -> Result<Config, ConfigError> {
    let path = path.as_ref();
    let origin = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, &origin),
        Err(error) => Err(ConfigError::one(&origin, format!("cannot be read: {error}"))),
    }
}

/// Reads a text; `origin` is its name in messages. Reports every problem that it finds. A file without issuers or providers
/// passes; [`Config::check_complete`] asks for them.
pub fn parse(text: &str, origin: &str) -> Result<Config, ConfigError> {
    let mut tree = read_tree(text, origin)?;
    let (config, mut problems) = read_types(&mut tree);
    if let Some(mut config) = config {
        let folded = fold::fold(&mut config);
        problems.extend(validate::check(&config, &folded, &tree));
        if problems.is_empty() {
            return Ok(config);
        }
    }
    Err(ConfigError::new(origin, problems))
}

fn read_tree(text: &str, origin: &str) -> Result<Node, ConfigError> {
    if text.len() > MAX_BYTES {
        return Err(ConfigError::one(
            origin,
            format!("is larger than {MAX_BYTES} bytes; it cannot be a configuration"),
        ));
    }
    if text.lines().all(|line| line.trim_start().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Node { value: Value::Null, place: None });
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 200_000,
            max_nodes: 100_000,
            max_depth: 32,
            max_documents: 1,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_merge_keys: 1_000,
            max_recorded_anchor_events: 100_000,
            // One anchor for the timeouts of a hundred providers is no bomb; what aliases expand to is bounded below.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 50_000, max_replay_stack_depth: 16 },
        duplicate_keys: DuplicateKeyPolicy::Error,
        // YAML 1.2's: the key `on` and the value `no` are texts.
        strict_booleans: true,
        reject_unsupported_tags: true,
        // The lines of a file may hold what must not be logged.
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|error| {
        let place = error.location().and_then(Place::of);
        let problem = Problem {
            line: place.map(|p| p.line),
            column: place.map(|p| p.column),
            message: yaml_message(error.without_snippet()),
            ..Problem::default()
        };
        ConfigError::new(origin, vec![problem])
    })
}

/// The YAML reader's messages, without its own form of places and its advice to programmers.
fn yaml_message(error: &YamlError) -> String {
    match error {
        YamlError::DuplicateMappingKey { key: Some(key), .. } if is_word(key) => {
            format!("the key `{key}` stands here twice")
        }
        YamlError::DuplicateMappingKey { .. } => "a key stands here twice".to_owned(),
        YamlError::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            "a second document starts here (---); the configuration is one".to_owned()
        }
        YamlError::Budget { .. } => TOO_MUCH.to_owned(),
        YamlError::RecursiveReferencesRequireWeakTypes { .. } => "an alias contains itself".to_owned(),
        other => {
            let text = other.to_string();
            if text.contains("limit exceeded") {
                return TOO_MUCH.to_owned();
            }
            let line = text.lines().next().unwrap_or_default();
            format!("not valid YAML: {}", without_quotations(line.split(" at line ").next().unwrap_or_default()))
        }
    }
}

/// The reader may quote the file, and the file may hold a key: only signs (`'['`) stay in quotes.
fn without_quotations(message: &str) -> String {
    let mut pieces = message.split(['`', '\'', '"']);
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for (i, piece) in pieces.enumerate() {
        let quoted = i % 2 == 0;
        text.push('`');
        text.push_str(if quoted && piece.len() > 3 { ".." } else { piece });
    }
    text
}

/// Reads the types, again and again, each time without the values that were wrong.
fn read_types(tree: &mut Node) -> (Option<Config>, Vec<Problem>) {
    let mut problems = Vec::new();
    loop {
        let fault = match Config::deserialize(&*tree) {
            Ok(config) => return (Some(config), problems),
            Err(fault) => fault,
        };
        let path = fault.path();
        if !follows_from_an_earlier_one(&fault, tree.find(&path)) {
            problems.push(explain::problem(&fault));
        }
        if problems.len() >= MAX_PROBLEMS || !tree.kill(&doomed(&fault, &path)) {
            return (None, problems);
        }
    }
}

/// What to take out, so that the rest can be read.
fn doomed(fault: &Fault, path: &Path) -> Path {
    if fault.names_a_choice { path.parent() } else { path.clone() }
}

/// A mapping that lacks a key because the key's value was taken out has been reported already.
fn follows_from_an_earlier_one(fault: &Fault, node: Option<&Node>) -> bool {
    let Some(node) = node else { return false };
    match fault.kind {
        FaultKind::MissingKey(key) => node.find(&Path::of(key)).is_some_and(Node::is_dead),
        FaultKind::NotOneKey { .. } | FaultKind::Invalid(_) => node.has_dead_child(),
        _ => false,
    }
}
