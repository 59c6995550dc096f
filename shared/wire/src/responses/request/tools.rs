//! A client's body to the IR, part 4: tools, and which of them to call.
//!
//! | the client's tool | for the upstream |
//! |---|---|
//! | `function` | a function |
//! | `namespace` | its functions, each named `<namespace>__<name>` |
//! | `custom` (free text) | what it is, to OpenAI's models; else a function with one text, `input`; a grammar is in its description, and reported: nobody enforces it |
//! | `local_shell`, `shell`, `apply_patch` | a function with the fields of the call's `action` or `operation` (`own.rs`) |
//! | `web_search` | the provider's own search of the web, where it has one |
//! | a tool that OpenAI runs (`file_search`, `mcp`, `shell` in a container, ...) | left out, and reported; to force the call of one is refused |
//! | any other | refused |
//!
//! What the model calls is written back in the client's form ([`ToolForm`]).

use serde_json::{Map, Value};

use super::own;
use crate::error::WireError;
use crate::ir::{Dropped, Tool, ToolForm, WebSearch};
use crate::openai::fields::{Path, array, object, string};
use crate::openai::settings::web_search;
use crate::openai::tools::{Tools, function, name_of};

/// The name of a namespace's function.
pub(super) fn member_name(namespace: &str, name: &str) -> String {
    format!("{namespace}__{name}")
}

impl Tools<'_> {
    /// `search`: where the provider's own search goes.
    pub(super) fn decode(
        &mut self,
        items: Vec<Value>,
        path: &Path<'_>,
        search: &mut Option<WebSearch>,
    ) -> Result<Vec<Tool>, WireError> {
        let mut tools = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let path = path.index(index);
            let mut fields = object(item, &path)?;
            let kind = fields.shift_remove("type").ok_or_else(|| path.missing("type"))?;
            let kind = string(kind, &path.key("type"))?;
            match kind.as_str() {
                "function" => tools.push(function(fields, &path, self.unmapped)?),
                "namespace" => tools.extend(self.namespace(fields, &path)?),
                "custom" => tools.push(self.custom(fields, &path)?),
                own if own::form(own).is_some() && own::is_the_clients(&fields) => {
                    if let Some(skills) = fields.get("environment").and_then(|place| place.get("skills")) {
                        self.skills(skills, &path);
                    }
                    self.forms.extend(own::form(own).map(|form| (own.to_owned(), form)));
                    tools.push(own::tool(own));
                }
                // The preview's name is that with a date.
                hosted if hosted.starts_with("web_search") && search.is_none() => {
                    fields.shift_remove("search_content_types");
                    *search = Some(web_search(fields, &path, self.unmapped)?);
                }
                hosted if is_hosted(hosted) => {
                    let reason = "only OpenAI's Responses API runs this tool; the model is not offered it";
                    self.unmapped.push(Dropped::new(path.to_string(), reason));
                }
                other => {
                    let message = format!("tools of type {other:?} are not translated for this model");
                    return Err(WireError::unsupported(path.to_string(), message));
                }
            }
        }
        Ok(tools)
    }

    fn skills(&mut self, skills: &Value, path: &Path<'_>) {
        if skills.as_array().is_some_and(|skills| !skills.is_empty()) {
            let reason = "this model is not told of skills; name them in the instructions";
            let environment = path.key("environment");
            self.unmapped.push(Dropped::new(environment.key("skills").to_string(), reason));
        }
    }

    fn namespace(&mut self, mut fields: Map<String, Value>, path: &Path<'_>) -> Result<Vec<Tool>, WireError> {
        let namespace = fields.shift_remove("name").ok_or_else(|| path.missing("name"))?;
        let namespace = string(namespace, &path.key("name"))?;
        let members = fields.shift_remove("tools").ok_or_else(|| path.missing("tools"))?;
        let path = path.key("tools");
        let mut tools = Vec::new();
        for (index, member) in array(members, &path)?.into_iter().enumerate() {
            let path = path.index(index);
            let fields = object(member, &path)?;
            let custom = fields.get("type").is_some_and(|kind| kind == "custom");
            if custom {
                let message = "custom tools in a namespace are not translated for this model";
                return Err(WireError::unsupported(path.to_string(), message));
            }
            let mut tool = function(fields, &path, self.unmapped)?;
            let name = std::mem::take(&mut tool.name);
            tool.name = member_name(&namespace, &name);
            self.forms.insert(tool.name.clone(), ToolForm::Member { namespace: namespace.clone(), name });
            tools.push(tool);
        }
        Ok(tools)
    }
}

/// Tools that OpenAI runs itself, with and without a date behind their names.
fn is_hosted(kind: &str) -> bool {
    const HOSTED: [&str; 9] = [
        "web_search",
        "file_search",
        "code_interpreter",
        "image_generation",
        "mcp",
        "computer",
        "tool_search",
        "programmatic_tool_calling",
        // In a container of OpenAI's: see `own`.
        own::SHELL,
    ];
    HOSTED.iter().any(|hosted| kind == *hosted || kind.strip_prefix(hosted).is_some_and(|rest| rest.starts_with('_')))
}

/// The name of the function that stands for a tool, in a choice.
pub(super) fn name(kind: &str, mut fields: Map<String, Value>, path: &Path<'_>) -> Result<Option<String>, WireError> {
    Ok(match kind {
        "function" | "custom" => {
            let name = name_of(&mut fields, path)?;
            Some(match fields.shift_remove("namespace").filter(|value| !value.is_null()) {
                Some(namespace) => member_name(&string(namespace, &path.key("namespace"))?, &name),
                None => name,
            })
        }
        own if own::form(own).is_some() => Some(own.to_owned()),
        _ => None,
    })
}
