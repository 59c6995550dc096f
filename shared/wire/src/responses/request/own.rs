//! Tools of OpenAI's that the client runs itself, as functions for everybody else's models.
//!
//! | tool | function, and its arguments | call | its result |
//! |---|---|---|---|
//! | `local_shell` | the call's `action` | `local_shell_call` | `local_shell_call_output`: text |
//! | `shell` (in no container) | the call's `action`: `commands` | `shell_call` | `shell_call_output`: stdout, stderr and outcome of each command, for the model as JSON |
//! | `apply_patch` | the call's `operation` | `apply_patch_call` | `apply_patch_call_output`: `failed` or `completed`, and text |
//!
//! <https://platform.openai.com/docs/guides/tools-local-shell>, <https://platform.openai.com/docs/guides/tools-shell>,
//! <https://platform.openai.com/docs/guides/tools-apply-patch>

use serde_json::{Map, Value, json};

use crate::ir::{Tool, ToolForm};

pub(super) const LOCAL_SHELL: &str = "local_shell";
pub(super) const SHELL: &str = "shell";
pub(super) const APPLY_PATCH: &str = "apply_patch";

/// What a tool of this type is for the client; the function that stands for it has the type's name. `None`: no tool of its own.
pub(super) fn form(kind: &str) -> Option<ToolForm> {
    match kind {
        LOCAL_SHELL => Some(ToolForm::LocalShell),
        SHELL => Some(ToolForm::Shell),
        APPLY_PATCH => Some(ToolForm::ApplyPatch),
        _ => None,
    }
}

/// A shell may be in a container of OpenAI's.
pub(super) fn is_the_clients(tool: &Map<String, Value>) -> bool {
    let place = tool.get("environment").and_then(|environment| environment.get("type")).and_then(Value::as_str);
    place.is_none_or(|place| place == "local")
}

/// The function that stands for it.
pub(super) fn tool(kind: &str) -> Tool {
    let text = json!({"type": "string"});
    let (description, properties, required) = match kind {
        LOCAL_SHELL => (
            "Runs a command in a shell on the user's machine and returns its output.",
            json!({
                "command": {"type": "array", "items": text, "description": "The command and its arguments"},
                "working_directory": text,
                "env": {"type": "object", "additionalProperties": text},
                "timeout_ms": {"type": "integer"},
                "user": text,
            }),
            json!(["command"]),
        ),
        SHELL => (
            "Runs commands in a shell on the user's machine and returns what each of them wrote, and how it ended.",
            json!({
                "commands": {"type": "array", "items": text, "description": "Command lines, each run by itself"},
                "timeout_ms": {"type": "integer"},
                "max_output_length": {"type": "integer", "description": "Characters to return of each command"},
            }),
            json!(["commands"]),
        ),
        _ => (
            "Creates, changes or deletes one file on the user's machine. To change a file, `diff` has sections that begin with a line `@@`, if need be \
             with the name of the class or function behind it; in a section, lines that stay begin with a space, lines to take out with `-`, lines to \
             put in with `+`; give three lines that stay before and after. To create a file, every line of `diff` begins with `+`.",
            json!({
                "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
                "path": text,
                "diff": {"type": "string", "description": "Not for delete_file"},
            }),
            json!(["type", "path"]),
        ),
    };
    let schema = json!({"type": "object", "properties": properties, "required": required});
    Tool {
        name: kind.to_owned(),
        description: Some(description.to_owned()),
        schema,
        strict: None,
        cache: None,
        custom: None,
    }
}
