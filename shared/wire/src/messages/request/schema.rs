//! JSON Schemas that structured output and strict tools take:
//! <https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations>.
//!
//! Objects must be closed. Constraints that the grammar cannot enforce are refused; they go into the description, where the model at least
//! reads them (as Anthropic's own clients do it), and are reported.

use serde_json::{Map, Value};

const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// The schema as the API takes it, and the constraints that became words. `None`: it allows members that it does not name, which a closed
/// object cannot say.
pub(super) fn fit(schema: &Value) -> Option<(Value, Vec<String>)> {
    let mut lost = Vec::new();
    let fitted = node(schema, "", &mut lost)?;
    Some((fitted, lost))
}

fn node(schema: &Value, path: &str, lost: &mut Vec<String>) -> Option<Value> {
    let Value::Object(fields) = schema else { return Some(schema.clone()) };
    let mut out = Map::new();
    let mut words = Vec::new();
    for (name, value) in fields {
        let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match name.as_str() {
            "type" | "title" | "description" | "enum" | "const" | "$ref" | "default" | "required" => {
                out.insert(name.clone(), value.clone());
            }
            "properties" | "$defs" | "definitions" => {
                out.insert(name.clone(), members(value, &at, lost)?);
            }
            "items" => {
                out.insert(name.clone(), node(value, &at, lost)?);
            }
            "anyOf" | "allOf" => {
                out.insert(name.clone(), variants(value, &at, lost)?);
            }
            "oneOf" => {
                out.insert("anyOf".to_owned(), variants(value, &at, lost)?);
            }
            "additionalProperties" if value == &Value::Bool(false) => {}
            "additionalProperties" => return None,
            "format" if value.as_str().is_some_and(|format| FORMATS.contains(&format)) => {
                out.insert(name.clone(), value.clone());
            }
            "minItems" if matches!(value.as_u64(), Some(0 | 1)) => {
                out.insert(name.clone(), value.clone());
            }
            "$schema" | "$id" | "$comment" | "examples" => {}
            _ => {
                words.push(format!("{name}: {value}"));
                lost.push(at);
            }
        }
    }
    close(&mut out)?;
    describe(&mut out, &words);
    Some(Value::Object(out))
}

fn close(fields: &mut Map<String, Value>) -> Option<()> {
    let is_object = fields.get("type").is_some_and(|kind| match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "object"),
        kind => kind == "object",
    });
    let named = fields.get("properties").and_then(Value::as_object).is_some_and(|members| !members.is_empty());
    if is_object || named {
        named.then_some(())?;
        fields.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    Some(())
}

fn describe(fields: &mut Map<String, Value>, words: &[String]) {
    if words.is_empty() {
        return;
    }
    let constraints = format!("({})", words.join(", "));
    let text = match fields.get("description").and_then(Value::as_str) {
        Some(text) => format!("{text} {constraints}"),
        None => constraints,
    };
    fields.insert("description".to_owned(), Value::String(text));
}

fn members(value: &Value, path: &str, lost: &mut Vec<String>) -> Option<Value> {
    let Value::Object(members) = value else { return Some(value.clone()) };
    let fitted = members.iter().map(|(name, schema)| {
        let fitted = node(schema, &format!("{path}.{name}"), lost)?;
        Some((name.clone(), fitted))
    });
    fitted.collect::<Option<Map<String, Value>>>().map(Value::Object)
}

fn variants(value: &Value, path: &str, lost: &mut Vec<String>) -> Option<Value> {
    let Value::Array(variants) = value else { return Some(value.clone()) };
    let fitted = variants.iter().enumerate().map(|(index, schema)| node(schema, &format!("{path}[{index}]"), lost));
    fitted.collect::<Option<Vec<Value>>>().map(Value::Array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_are_closed_and_constraints_become_words() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "age": {"type": "integer", "description": "In years.", "minimum": 0},
                "tags": {"type": "array", "items": {"type": "string", "format": "uri"}, "minItems": 3}
            },
            "required": ["age"]
        });
        let (fitted, lost) = fit(&schema).unwrap();
        assert_eq!(
            fitted,
            json!({
                "type": "object",
                "properties": {
                    "age": {"type": "integer", "description": "In years. (minimum: 0)"},
                    "tags": {"type": "array", "items": {"type": "string", "format": "uri"}, "description": "(minItems: 3)"}
                },
                "required": ["age"],
                "additionalProperties": false
            })
        );
        assert_eq!(lost, ["properties.age.minimum", "properties.tags.minItems"]);
    }

    #[test]
    fn an_open_object_does_not_fit() {
        assert_eq!(fit(&json!({"type": "object", "additionalProperties": {"type": "string"}})), None);
        assert_eq!(fit(&json!({"type": "array", "items": {"type": "object"}})), None);
    }
}
