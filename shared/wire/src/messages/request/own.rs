//! Tools of Anthropic's that the client runs itself, as functions for everybody else's models: the model calls them by the same names with the same
//! arguments, so a call needs no translation.
//!
//! | tool | function's arguments |
//! |---|---|
//! | `bash_*` | `command`, `restart` |
//! | `text_editor_*` | `command` (`view`, `create`, `str_replace`, `insert`; before `str_replace_based_edit_tool` also `undo_edit`), `path` and what each needs |
//! | `memory_*` | `command` (`view`, `create`, `str_replace`, `insert`, `delete`, `rename`), `path` and what each needs |
//!
//! The computer and the browser are no functions here: what they are shown are pictures of a screen whose places Claude is trained to name.
//!
//! <https://platform.claude.com/docs/en/agents-and-tools/tool-use/bash-tool>, <https://platform.claude.com/docs/en/agents-and-tools/tool-use/text-editor-tool>,
//! <https://platform.claude.com/docs/en/agents-and-tools/tool-use/memory-tool>

use serde_json::{Map, Value, json};

/// What the model is told of a tool of this type, and the schema of its arguments. `None`: it is no function.
pub(super) fn function(kind: &str, name: &str) -> Option<(&'static str, Value)> {
    let (tool, date) = kind.rsplit_once('_')?;
    if date.len() != 8 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match tool {
        "bash" => Some((BASH, schema(&[], &[("command", "string"), ("restart", "boolean")], &[]))),
        "text_editor" => Some(text_editor(name != "str_replace_based_edit_tool")),
        "memory" => Some(memory()),
        _ => None,
    }
}

const BASH: &str = "Runs a command in a bash session on the user's machine that lasts from call to call, and returns what it writes. Give either `command`, or \
                    `restart: true` to begin a new session.";
const EDITOR: &str = "Views and edits files on the user's machine. `view`: a file with line numbers, from and to the lines of `view_range` (-1: its end), or a \
                      directory's list. `create`: a file with `file_text`. `str_replace`: puts `new_str` in the place of `old_str`, which stands exactly once in \
                      the file. `insert`: puts a text behind line `insert_line` (0: before the first).";
const MEMORY: &str = "Keeps notes in files below /memories that last from one conversation to the next; look there first. `view`: a file or a directory's list. \
                      `create`: a file with `file_text`. `str_replace`: puts `new_str` in the place of `old_str`. `insert`: puts `insert_text` behind line \
                      `insert_line`. `delete`: the file or directory `path`. `rename`: `old_path` to `new_path`.";

/// Before the third version an inserted text is `new_str`, and the last edit can be undone.
fn text_editor(old: bool) -> (&'static str, Value) {
    let commands = ["view", "create", "str_replace", "insert", "undo_edit"];
    let commands = if old { &commands[..] } else { &commands[..4] };
    let fields = ["path", "file_text", "old_str", "new_str"].map(|field| (field, "string"));
    let inserted = if old { ("new_str", "string") } else { ("insert_text", "string") };
    let fields = [&fields[..], &[("insert_line", "integer"), inserted]].concat();
    (EDITOR, schema(commands, &fields, &["command", "path"]))
}

fn memory() -> (&'static str, Value) {
    let texts = ["path", "file_text", "old_str", "new_str", "insert_text", "old_path", "new_path"];
    let fields = [&texts.map(|field| (field, "string"))[..], &[("insert_line", "integer")]].concat();
    let commands = ["view", "create", "str_replace", "insert", "delete", "rename"];
    (MEMORY, schema(&commands, &fields, &["command"]))
}

/// `commands`: those of a tool that has several, with the range that `view` takes.
fn schema(commands: &[&str], fields: &[(&str, &str)], required: &[&str]) -> Value {
    let mut properties = Map::new();
    if !commands.is_empty() {
        let range = json!({"type": "array", "items": {"type": "integer"}, "description": "First and last line"});
        properties.insert("command".to_owned(), json!({"type": "string", "enum": commands}));
        properties.insert("view_range".to_owned(), range);
    }
    properties.extend(fields.iter().map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind }))));
    json!({"type": "object", "properties": properties, "required": required})
}
