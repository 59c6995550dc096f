//! The checked-in JSON Schema is that of the types, and the documentation knows every key of it.

use std::collections::BTreeSet;

use serde_json::Value;
use tollgate_config::Config;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.schema.json");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");

fn schema() -> Value {
    let mut schema = schemars::schema_for!(Config).to_value();
    schema["title"] = "Tollgate configuration".into();
    schema
}

#[test]
fn the_checked_in_schema_is_current() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(SCHEMA, &text).unwrap();
    }
    let checked_in = std::fs::read_to_string(SCHEMA).unwrap_or_default();
    assert!(
        checked_in == text,
        "docs/configuration.schema.json is not that of the types; refresh it with\n  \
         UPDATE_SCHEMA=1 cargo test -p tollgate-config schema"
    );
}

/// The names of all properties, wherever they stand.
fn properties(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                found.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| properties(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| properties(value, found)),
        _ => {}
    }
}

/// The words of all closed choices.
fn choices(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            found.extend(object.get("const").and_then(Value::as_str).map(str::to_owned));
            let words = object.get("enum").and_then(Value::as_array).into_iter().flatten();
            found.extend(words.filter_map(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| choices(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| choices(value, found)),
        _ => {}
    }
}

#[test]
fn the_documentation_names_every_key_and_every_choice() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let schema = schema();
    let mut words = BTreeSet::new();
    properties(&schema, &mut words);
    assert!(words.contains("modelAliases") && words.contains("guardrailVersion"), "{words:?}");
    choices(&schema, &mut words);
    assert!(words.contains("anthropicTokenCount") && words.contains("ES256"), "{words:?}");
    let named = |word: &String| document.contains(&format!("`{word}`")) || document.contains(&format!(".{word}`"));
    let missing: Vec<&String> = words.iter().filter(|word| !named(word)).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not name {missing:?}");
}

#[test]
fn the_documentations_examples_load() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let blocks: Vec<&str> =
        document.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    assert!(blocks.len() > 10);
    for block in blocks {
        tollgate_config::parse(block, "docs/configuration.md").unwrap_or_else(|error| panic!("{block}\n{error}"));
    }
}
