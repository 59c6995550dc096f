//! Calls of custom tools, whose input is a text. Here it is the one member, `input`, of a call's arguments, as it is for models that know only functions.
//!
//! | | in chat completions | in Responses |
//! |---|---|---|
//! | a call | `{"type": "custom", "custom": {"name", "input"}}` | `{"type": "custom_tool_call", "name", "input"}` |
//! | its result | a `tool` message | `custom_tool_call_output` |
//! | its text, streamed | `delta.tool_calls[].custom.input`, as a function's arguments are | `response.custom_tool_call_input.delta`, `.done` |
//!
//! <https://platform.openai.com/docs/guides/function-calling#custom-tools>; chunks of chat completions, which the reference has left out so far:
//! <https://github.com/openai/openai-openapi/issues/576>.

use serde_json::{Value, json};

use crate::ir::{Request, Tool};

/// How the arguments of a call begin.
pub(crate) const BEGIN: &str = "{\"input\":\"";
/// And how they end.
pub(crate) const END: &str = "\"}";

/// A piece of the text, as it stands between the two.
pub(crate) fn escaped(piece: &str) -> String {
    let quoted = Value::from(piece).to_string();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// The arguments of a call with this text.
pub(crate) fn arguments_of(text: String) -> Value {
    json!({ "input": text })
}

/// The text of a call with these arguments, if it is one.
pub(crate) fn text_of(arguments: &Value) -> Option<&str> {
    arguments.as_object().filter(|fields| fields.len() == 1)?.get("input")?.as_str()
}

/// Is this the name of a custom tool of the request?
pub(crate) fn is_custom(request: &Request, name: &str) -> bool {
    let aside = request.set_aside.iter().map(|(_, tool)| tool);
    request.tools.iter().chain(aside).any(|tool: &Tool| tool.custom.is_some() && tool.name == name)
}

/// The text that a custom tool is called with, of arguments that may be cut off. A model that did not keep to the function's schema is shown as it is.
pub(crate) fn custom_input(arguments: &str) -> String {
    let mut told = 0;
    let text = custom_more(arguments, &mut told);
    if told > 0 {
        return text;
    }
    match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(mut fields)) => match fields.shift_remove("input") {
            Some(Value::String(text)) => text,
            _ => arguments.to_owned(),
        },
        _ => arguments.to_owned(),
    }
}

/// What more there is of the text, in the arguments as far as they have come. `told`: so many bytes of them were looked at before; 0 as long as they do not begin
/// with the text.
pub(crate) fn custom_more(arguments: &str, told: &mut usize) -> String {
    if *told == 0 {
        let Some(begins) = begin_of(arguments) else { return String::new() };
        *told = begins;
    }
    let rest = arguments.get(*told..).unwrap_or_default();
    let whole = whole_escapes(rest.as_bytes());
    let piece = rest.get(..whole).unwrap_or_default();
    *told += whole;
    serde_json::from_str(&format!("\"{piece}\"")).unwrap_or_else(|_| piece.to_owned())
}

/// Where the text begins, if it is the first member.
fn begin_of(arguments: &str) -> Option<usize> {
    let rest = arguments.trim_start().strip_prefix('{')?.trim_start().strip_prefix("\"input\"")?;
    let text = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    Some(arguments.len() - text.len())
}

/// So many bytes of a JSON text's inside are there to the end of an escape; nothing behind the closing quote.
fn whole_escapes(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = rest.get(at) {
        let length = match (byte, rest.get(at + 1), rest.get(at + 2), rest.get(at + 3)) {
            (b'"', ..) => return at,
            (b'\\', Some(b'u'), Some(b'd' | b'D'), Some(b'8'..=b'9' | b'a'..=b'b' | b'A'..=b'B')) => 12,
            (b'\\', Some(b'u'), ..) => 6,
            (b'\\', ..) => 2,
            _ => 1,
        };
        if at + length > rest.len() {
            return at;
        }
        at += length;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_comes_as_its_arguments_come_wherever_they_are_cut() {
        for (arguments, text) in [
            (r#"{"input":"ls -l"}"#, "ls -l"),
            (r#" { "input" : "a\n\"b\" \u00e9 \ud83d\ude00 ☃", "more": 1}"#, "a\n\"b\" é 😀 ☃"),
            (r#"{"input":""}"#, ""),
        ] {
            for cut in (0..=arguments.len()).filter(|cut| arguments.is_char_boundary(*cut)) {
                let mut told = 0;
                let mut got = custom_more(&arguments[..cut], &mut told);
                got.push_str(&custom_more(arguments, &mut told));
                assert_eq!(got, text, "{arguments} cut at {cut}");
            }
            assert_eq!(custom_input(arguments), text);
        }
    }

    #[test]
    fn arguments_that_hold_no_such_text_are_shown_as_they_are() {
        for arguments in ["", "ls", r#"{"command":"ls"}"#, r#"{"input":{"a":1}}"#, r#"{"input":"#] {
            assert_eq!(custom_input(arguments), arguments);
        }
        assert_eq!(custom_input(r#"{"why":"x","input":"ls"}"#), "ls");
        assert_eq!(custom_input(r#"{"input":"cut of"#), "cut of");
    }

    #[test]
    fn pieces_between_beginning_and_end_are_arguments() {
        let pieces: String = ["a\"", "\n", "", "é"].iter().map(|piece| escaped(piece)).collect();
        assert_eq!(custom_input(&format!("{BEGIN}{pieces}{END}")), "a\"\né");
    }
}
