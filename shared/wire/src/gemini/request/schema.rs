//! Google's `Schema`, a subset of OpenAPI 3.0's, as JSON Schema: <https://ai.google.dev/api/caching#Schema>.
//!
//! | Google | JSON Schema |
//! |---|---|
//! | `type: "STRING"`, ... | `type: "string"`, ... |
//! | `nullable: true` | `type: [..., "null"]`, or `anyOf` with `null` |
//! | `minItems: "1"` and other 64-bit numbers | `minItems: 1` |
//! | `example` | `examples` |
//! | `defs`, `ref` | `$defs`, `$ref` |
//! | `propertyOrdering`, `format: "enum"` | - (hints, which other models do not take) |

use serde_json::{Map, Value, json};

use super::fields::camel;

/// As JSON Schema. Bodies are nested within bounds (see `json::members`), so this ends.
pub(super) fn to_json_schema(schema: Value) -> Value {
    let Value::Object(fields) = schema else { return schema };
    let mut out = Map::with_capacity(fields.len());
    let mut nullable = false;
    for (key, value) in fields {
        let name = if key.starts_with('$') { key } else { camel(&key) };
        match (name.as_str(), value) {
            (_, Value::Null) | ("propertyOrdering", _) => {}
            ("nullable", value) => nullable = value == true,
            ("type", Value::String(kind)) if kind == "TYPE_UNSPECIFIED" => {}
            ("type", Value::String(kind)) => drop(out.insert(name, kind.to_ascii_lowercase().into())),
            ("format", Value::String(format)) if format == "enum" => {}
            ("properties" | "defs" | "$defs", Value::Object(named)) => {
                let named = named.into_iter().map(|(key, schema)| (key, to_json_schema(schema))).collect();
                let name = if name == "properties" { name } else { "$defs".to_owned() };
                out.insert(name, Value::Object(named));
            }
            ("ref", value) => drop(out.insert("$ref".to_owned(), reference(value))),
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(schemas)) => {
                out.insert(name, schemas.into_iter().map(to_json_schema).collect());
            }
            ("items" | "additionalProperties", schema) => drop(out.insert(name, to_json_schema(schema))),
            ("example", value) => drop(out.insert("examples".to_owned(), json!([value]))),
            (
                "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties",
                Value::String(number),
            ) => drop(out.insert(name, number.parse::<u64>().map_or(Value::String(number), Value::from))),
            (_, value) => drop(out.insert(name, value)),
        }
    }
    if nullable { with_null(out) } else { Value::Object(out) }
}

fn with_null(mut schema: Map<String, Value>) -> Value {
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
    } else if let Some(Value::Array(schemas)) = schema.get_mut("anyOf") {
        schemas.push(json!({ "type": "null" }));
    }
    Value::Object(schema)
}

/// `#/defs/x` -> `#/$defs/x`
fn reference(value: Value) -> Value {
    match value {
        Value::String(text) => text.replacen("#/defs/", "#/$defs/", 1).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn googles_schema_becomes_json_schema() {
        let google = json!({
            "type": "OBJECT",
            "required": ["city"],
            "property_ordering": ["city", "unit"],
            "properties": {
                "city": {"type": "STRING", "nullable": true, "min_length": "1", "example": "Paris"},
                "unit": {"type": "STRING", "format": "enum", "enum": ["C", "F"]},
                "any_of": {"anyOf": [{"type": "NUMBER"}, {"ref": "#/defs/day"}], "nullable": true},
                "days": {"type": "ARRAY", "items": {"type": "INTEGER"}, "maxItems": "7"},
            },
            "defs": {"day": {"type": "STRING"}},
        });
        let expected = json!({
            "type": "object",
            "required": ["city"],
            "properties": {
                "city": {"type": ["string", "null"], "minLength": 1, "examples": ["Paris"]},
                "unit": {"type": "string", "enum": ["C", "F"]},
                "any_of": {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/day"}, {"type": "null"}]},
                "days": {"type": "array", "items": {"type": "integer"}, "maxItems": 7},
            },
            "$defs": {"day": {"type": "string"}},
        });
        assert_eq!(to_json_schema(google), expected);
    }
}
