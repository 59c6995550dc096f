//! Structured output: `outputConfig.textFormat` where the model follows schemas, an instruction where it does not.
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html>

use std::borrow::Cow;

use serde_json::{Value, json};

use super::super::types::{JsonSchema, OutputConfig, Structure, SystemBlock, TextFormat};
use super::Encoder;
use crate::ir::OutputFormat;

impl<'r> Encoder<'r> {
    pub(super) fn output_format(&mut self, system: &mut Vec<SystemBlock<'r>>) -> Option<OutputConfig<'r>> {
        let request = self.request;
        match request.output_format.as_ref()? {
            OutputFormat::JsonObject => {
                self.report("output_format", "Converse has no JSON mode: the model is told to answer in JSON");
                instruct(system, "Answer with one JSON object and nothing else.".to_owned());
                None
            }
            OutputFormat::JsonSchema { schema, .. } if !self.family.follows_schemas() => {
                let reason = "this model does not enforce schemas on Bedrock: it is told to follow this one";
                self.report("output_format", reason);
                let text = "Answer with one JSON value that follows this JSON Schema, and nothing else:";
                instruct(system, format!("{text}\n{schema}"));
                None
            }
            OutputFormat::JsonSchema { name, description, schema, .. } => {
                let mut closed = schema.clone();
                if close(&mut closed) {
                    let reason = "Bedrock wants closed objects: `additionalProperties: false` was added";
                    self.report("output_format.schema", reason);
                }
                let json_schema = JsonSchema {
                    schema: closed.to_string(),
                    name: name.as_deref().map(Cow::Borrowed),
                    description: description.as_deref(),
                };
                let structure = Structure::JsonSchema(json_schema);
                Some(OutputConfig { text_format: TextFormat { r#type: "json_schema", structure } })
            }
        }
    }
}

fn instruct(system: &mut Vec<SystemBlock<'_>>, text: String) {
    system.push(SystemBlock::Text(Cow::Owned(text)));
}

/// Adds `additionalProperties: false` to each object schema that says nothing of it. True if it added one. Not below `allOf`, where closed
/// schemas would exclude each other.
fn close(schema: &mut Value) -> bool {
    let Value::Object(members) = schema else { return false };
    let mut changed = false;
    for (name, member) in members.iter_mut() {
        changed |= match (name.as_str(), member) {
            // Names of properties and of definitions, not words of JSON Schema.
            ("properties" | "$defs" | "definitions" | "patternProperties", Value::Object(named)) => {
                named.values_mut().fold(false, |changed, schema| close(schema) | changed)
            }
            ("anyOf" | "oneOf" | "prefixItems", Value::Array(schemas)) => {
                schemas.iter_mut().fold(false, |changed, schema| close(schema) | changed)
            }
            ("items" | "not", schema) => close(schema),
            _ => false,
        };
    }
    let is_object = match members.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => members.contains_key("properties"),
    };
    if is_object && !members.contains_key("additionalProperties") {
        members.insert("additionalProperties".to_owned(), json!(false));
        changed = true;
    }
    changed
}
