//! Functions, and which of them may be called: <https://ai.google.dev/api/caching#Tool>, <https://ai.google.dev/api/caching#ToolConfig>.
//!
//! A function's schema goes as the client wrote it, in `parametersJsonSchema`: that field takes JSON Schema, while `parameters` takes a subset of
//! OpenAPI's without `$ref`, `additionalProperties` and lists of types. A function without arguments has neither.
//!
//! Where every function is `strict`, the mode is `VALIDATED`, which follows their schemas; `ANY` does so anyway: <https://ai.google.dev/gemini-api/docs/function-calling>.

use serde_json::{Map, Value, json};

use super::encode::Encoder;
use crate::gemini::family::Family;
use crate::gemini::set;
use crate::ir::{Tool, ToolChoice};
use crate::json::object;

impl Encoder<'_> {
    pub(super) fn tools(&mut self, body: &mut Map<String, Value>) {
        let request = self.request;
        if request.tools.is_empty() {
            if matches!(request.tool_choice, Some(ToolChoice::Any | ToolChoice::Tool(_))) {
                self.report("tool_choice", "there are no tools to choose from");
            }
            self.web_search(body);
            return;
        }
        if let Some(search) = &request.web_search {
            // Together they want the history of what the search did back, which no other dialect carries:
            // <https://ai.google.dev/gemini-api/docs/tool-combination>.
            self.report(&search.path, "Gemini searches the web only where the request has no functions");
        }
        let declarations: Vec<Value> = request.tools.iter().map(|tool| self.declaration(tool)).collect();
        body.insert("tools".to_owned(), vec![object! { "functionDeclarations": declarations }].into());
        // It holds for all functions: those of a client that wants it for some may have schemas that Gemini cannot enforce.
        let validated = self.family != Family::Plain && request.tools.iter().all(|tool| tool.strict == Some(true));
        let forced = matches!(request.tool_choice, Some(ToolChoice::Any | ToolChoice::Tool(_)));
        let some = request.tools.iter().position(|tool| tool.strict == Some(true)).filter(|_| !validated && !forced);
        if let Some(index) = some {
            let reason = "Gemini follows the schemas of all functions, or promises nothing: this model, or another function here, rules it out";
            self.report(format!("tools[{index}].strict"), reason);
        }
        let choice = request.tool_choice.as_ref().or(validated.then_some(&ToolChoice::Auto));
        let config = choice.map(|choice| match choice {
            ToolChoice::Auto if validated => json!({ "mode": "VALIDATED" }),
            ToolChoice::Auto => json!({ "mode": "AUTO" }),
            ToolChoice::None => json!({ "mode": "NONE" }),
            ToolChoice::Any => json!({ "mode": "ANY" }),
            ToolChoice::Tool(name) => json!({ "mode": "ANY", "allowedFunctionNames": [self.names.encode(name)] }),
        });
        if let Some(config) = config {
            body.insert("toolConfig".to_owned(), json!({ "functionCallingConfig": config }));
        }
        if request.parallel_tool_calls == Some(false) {
            self.report("parallel_tool_calls", "Gemini has no such field: the model may call several at once");
        }
    }

    /// <https://ai.google.dev/gemini-api/docs/google-search>
    fn web_search(&mut self, body: &mut Map<String, Value>) {
        let Some(search) = &self.request.web_search else { return };
        let lacking = [
            ("user_location", !search.location.is_empty()),
            ("allowed_domains", !search.allowed.is_empty()),
            ("blocked_domains", !search.blocked.is_empty()),
            ("max_uses", search.max_uses.is_some()),
            ("search_context_size", search.context.is_some()),
        ];
        for (name, _) in lacking.into_iter().filter(|(_, said)| *said) {
            self.report(format!("{}.{name}", search.path), "Google's search takes no such setting");
        }
        body.insert("tools".to_owned(), json!([{ "googleSearch": {} }]));
    }

    fn declaration(&mut self, tool: &Tool) -> Value {
        let mut declaration = json!({ "name": self.names.encode(&tool.name) });
        if let Some(description) = &tool.description {
            set(&mut declaration, "description", description.as_str());
        }
        if !is_empty(&tool.schema) {
            set(&mut declaration, "parametersJsonSchema", tool.schema.clone());
        }
        declaration
    }
}

/// An object without properties: older models refuse it.
fn is_empty(schema: &Value) -> bool {
    let Some(members) = schema.as_object() else { return true };
    let known =
        |key: &String| matches!(key.as_str(), "type" | "properties" | "required" | "additionalProperties" | "$schema");
    let none = |key: &str| match members.get(key) {
        Some(Value::Object(inner)) => inner.is_empty(),
        Some(Value::Array(inner)) => inner.is_empty(),
        _ => true,
    };
    members.keys().all(known)
        && none("properties")
        && none("required")
        && members.get("additionalProperties") != Some(&json!(true))
}
