//! What a configuration puts into a client's request, before anything else looks at it: `overrides`, `defaults` and `prompts`, as agentgateway has them. The
//! client's own bytes stay but for these places, so that equal dialects still pass through.
//!
//! - an override replaces a top-level field, or adds it; a default adds one that is not there;
//! - prompts stand before and after the client's own messages. Instructions go where the dialect has them:
//!
//! | | instructions | other messages |
//! |---|---|---|
//! | OpenAI chat | `messages`, role `system` | `messages` |
//! | OpenAI Responses | `input`, role `system` | `input` |
//! | Anthropic | `system` | `messages` |
//! | Gemini | `systemInstruction` | `contents`, the assistant as `model` |

use std::ops::Range;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::codec::Dialect;
use crate::error::WireError;
use crate::json::{self, Member};

/// What is put into every request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Amendments {
    /// Top-level fields that replace the client's.
    pub overrides: Vec<(String, Value)>,
    /// Top-level fields for requests that have none of this name.
    pub defaults: Vec<(String, Value)>,
    /// Before the client's messages.
    pub prepend: Vec<Prompt>,
    /// After them.
    pub append: Vec<Prompt>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Who speaks.
    pub role: PromptRole,
    /// What.
    pub content: String,
}

/// Who speaks in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptRole {
    /// Instructions.
    System,
    /// The end user.
    User,
    /// The model.
    Assistant,
}

impl Amendments {
    /// Are there messages of the gateway's own in every request?
    pub fn has_prompts(&self) -> bool {
        !(self.prepend.is_empty() && self.append.is_empty())
    }

    /// The body with everything in its place. What is wrong with the body itself is left for its decoder to say, where it can.
    pub fn apply(&self, dialect: Dialect, body: &Bytes) -> Result<Bytes, WireError> {
        let body = self.with_fields(body)?;
        if !self.has_prompts() {
            return Ok(body);
        }
        let members = json::members(&body)?;
        let mut edits = Edits::default();
        match dialect {
            Dialect::Chat | Dialect::Converse => self.around(&members, "messages", plain, |_| true, &mut edits),
            // No conversation.
            Dialect::Rerank => {}
            Dialect::Responses => self.put_into_input(&members, &mut edits),
            Dialect::Messages => {
                self.put_into_system(&members, &mut edits)?;
                self.around(&members, "messages", plain, |role| role != PromptRole::System, &mut edits);
            }
            Dialect::GenerateContent => {
                self.put_into_instruction(&members, &mut edits)?;
                self.around(&members, "contents", content, |role| role != PromptRole::System, &mut edits);
            }
        }
        Ok(edits.apply(&body))
    }

    fn with_fields(&self, body: &Bytes) -> Result<Bytes, WireError> {
        if self.overrides.is_empty() && self.defaults.is_empty() {
            return Ok(body.clone());
        }
        let members = json::members(body)?;
        let mut edits = Edits::default();
        for (name, value) in &self.overrides {
            edits.set(&members, name, value.to_string());
        }
        let overridden = |name: &String| self.overrides.iter().any(|(other, _)| other == name);
        for (name, value) in self.defaults.iter().filter(|(name, _)| !overridden(name)) {
            if find(&members, name).is_none() {
                edits.added.push((name.clone(), value.to_string()));
            }
        }
        Ok(edits.apply(body))
    }

    /// Puts messages around those of a list.
    fn around(
        &self,
        members: &[Member<'_>],
        name: &str,
        write: fn(&Prompt) -> Value,
        takes: fn(PromptRole) -> bool,
        edits: &mut Edits,
    ) {
        let Some(list) = find(members, name).filter(|member| member.value.starts_with('[')) else { return };
        let text = |prompts: &[Prompt]| -> Vec<String> {
            prompts.iter().filter(|prompt| takes(prompt.role)).map(|prompt| write(prompt).to_string()).collect()
        };
        let (before, after) = (text(&self.prepend), text(&self.append));
        let inside = list.value.get(1..list.value.len().saturating_sub(1)).unwrap_or_default();
        let all: Vec<&str> =
            before.iter().map(String::as_str).chain([inside]).chain(after.iter().map(String::as_str)).collect();
        let all: Vec<&str> = all.into_iter().filter(|text| !text.trim().is_empty()).collect();
        if !before.is_empty() || !after.is_empty() {
            edits.changed.push((list.value_span.clone(), format!("[{}]", all.join(","))));
        }
    }

    /// `input` may be a text: the user's only message.
    fn put_into_input(&self, members: &[Member<'_>], edits: &mut Edits) {
        match find(members, "input").filter(|member| member.value != "null") {
            Some(member) if member.value.starts_with('"') => {
                let own = format!(r#"{{"role":"user","content":{}}}"#, member.value);
                let write = |prompts: &[Prompt]| -> Vec<String> {
                    prompts.iter().map(|prompt| plain(prompt).to_string()).collect()
                };
                let all = [write(&self.prepend), vec![own], write(&self.append)].concat();
                edits.changed.push((member.value_span.clone(), format!("[{}]", all.join(","))));
            }
            Some(_) => self.around(members, "input", plain, |_| true, edits),
            None => {
                let all: Vec<Value> = self.prepend.iter().chain(&self.append).map(plain).collect();
                edits.set(members, "input", Value::Array(all).to_string());
            }
        }
    }

    /// Anthropic's `system`: a text or a list of blocks.
    fn put_into_system(&self, members: &[Member<'_>], edits: &mut Edits) -> Result<(), WireError> {
        let (before, after) = (instructions(&self.prepend), instructions(&self.append));
        if before.is_empty() && after.is_empty() {
            return Ok(());
        }
        let own = find(members, "system").map(|member| parse("system", member.value)).transpose()?;
        let block = |text: &&str| json!({"type": "text", "text": text});
        let system = match own {
            Some(Value::Array(own)) => {
                before.iter().map(block).chain(own).chain(after.iter().map(block)).collect::<Vec<_>>().into()
            }
            Some(Value::String(own)) if !own.is_empty() => {
                before.iter().copied().chain([own.as_str()]).chain(after).collect::<Vec<_>>().join("\n\n").into()
            }
            _ => Value::from([before, after].concat().join("\n\n")),
        };
        edits.set(members, "system", system.to_string());
        Ok(())
    }

    /// Gemini's `systemInstruction`, in either spelling.
    fn put_into_instruction(&self, members: &[Member<'_>], edits: &mut Edits) -> Result<(), WireError> {
        let (before, after) = (instructions(&self.prepend), instructions(&self.append));
        if before.is_empty() && after.is_empty() {
            return Ok(());
        }
        let name = ["systemInstruction", "system_instruction"];
        let name = name.into_iter().find(|name| find(members, name).is_some()).unwrap_or("systemInstruction");
        let own = find(members, name).map(|member| parse(name, member.value)).transpose()?;
        let mut own = own.filter(Value::is_object).unwrap_or_else(|| json!({}));
        let parts = own.get_mut("parts").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
        let part = |text: &&str| json!({"text": text});
        let parts: Vec<Value> = before.iter().map(part).chain(parts).chain(after.iter().map(part)).collect();
        if let Some(object) = own.as_object_mut() {
            object.insert("parts".to_owned(), parts.into());
        }
        edits.set(members, name, own.to_string());
        Ok(())
    }
}

fn find<'a, 'b>(members: &'b [Member<'a>], name: &str) -> Option<&'b Member<'a>> {
    members.iter().find(|member| member.key == name)
}

fn parse(name: &str, value: &str) -> Result<Value, WireError> {
    serde_json::from_str(value).map_err(|e| WireError::invalid(name, e.to_string()))
}

fn instructions(prompts: &[Prompt]) -> Vec<&str> {
    let system = prompts.iter().filter(|prompt| prompt.role == PromptRole::System);
    system.map(|prompt| prompt.content.as_str()).collect()
}

fn plain(prompt: &Prompt) -> Value {
    let role = match prompt.role {
        PromptRole::System => "system",
        PromptRole::User => "user",
        PromptRole::Assistant => "assistant",
    };
    json!({"role": role, "content": prompt.content})
}

fn content(prompt: &Prompt) -> Value {
    let role = if prompt.role == PromptRole::Assistant { "model" } else { "user" };
    json!({"role": role, "parts": [{"text": prompt.content}]})
}

/// Places of a body, and what stands there afterwards; and members that it gets.
#[derive(Default)]
struct Edits {
    changed: Vec<(Range<usize>, String)>,
    added: Vec<(String, String)>,
}

impl Edits {
    fn set(&mut self, members: &[Member<'_>], name: &str, value: String) {
        match find(members, name) {
            Some(member) => self.changed.push((member.value_span.clone(), value)),
            None => self.added.push((name.to_owned(), value)),
        }
    }

    fn apply(mut self, body: &Bytes) -> Bytes {
        let empty = body.iter().filter(|byte| !byte.is_ascii_whitespace()).nth(1) == Some(&b'}');
        if !self.added.is_empty() {
            let text = |(name, value): &(String, String)| format!("{}:{value}", Value::from(name.as_str()));
            let mut text = self.added.iter().map(text).collect::<Vec<_>>().join(",");
            if !empty {
                text.push(',');
            }
            let inside = memchr::memchr(b'{', body).map_or(0, |at| at + 1);
            self.changed.push((inside..inside, text));
        }
        if self.changed.is_empty() {
            return body.clone();
        }
        json::spliced(body, self.changed).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(dialect: Dialect, amendments: &Amendments, body: &str) -> String {
        let amended = amendments.apply(dialect, &Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let text = String::from_utf8(amended.to_vec()).unwrap();
        serde_json::from_str::<Value>(&text).unwrap();
        text
    }

    fn prompts() -> Amendments {
        let prompt = |role, content: &str| Prompt { role, content: content.to_owned() };
        Amendments {
            prepend: vec![prompt(PromptRole::System, "Be \"brief\"."), prompt(PromptRole::User, "first")],
            append: vec![prompt(PromptRole::Assistant, "last"), prompt(PromptRole::System, "Be kind.")],
            ..Amendments::default()
        }
    }

    #[test]
    fn an_override_wins_over_the_client_and_a_default_does_not() {
        let amendments = Amendments {
            overrides: vec![("temperature".to_owned(), json!(0)), ("user".to_owned(), json!("team"))],
            defaults: vec![
                ("max_tokens".to_owned(), json!(500)),
                ("top_p".to_owned(), json!(0.5)),
                ("temperature".to_owned(), json!(1)),
            ],
            ..Amendments::default()
        };
        let body = r#"{"model":"m", "temperature" : 0.9,"max_tokens":null,"new":1.0}"#;
        let expected = r#"{"user":"team","top_p":0.5,"model":"m", "temperature" : 0,"max_tokens":null,"new":1.0}"#;
        assert_eq!(apply(Dialect::Chat, &amendments, body), expected);
        let expected = r#"{"temperature":0,"user":"team","max_tokens":500,"top_p":0.5}"#;
        assert_eq!(apply(Dialect::Chat, &amendments, "{}"), expected);
    }

    #[test]
    fn nothing_to_do_changes_nothing() {
        let body = Bytes::from_static(br#"{"model": "m" , "messages":[]}"#);
        assert_eq!(Amendments::default().apply(Dialect::Chat, &body).unwrap(), body);
    }

    #[test]
    fn prompts_stand_around_the_clients_messages_in_every_dialect() {
        let body = r#"{"messages":[ {"role":"user","content":"hi"} ],"x":1.0}"#;
        let expected = r#"{"messages":[{"role":"system","content":"Be \"brief\"."},{"role":"user","content":"first"}, {"role":"user","content":"hi"} ,{"role":"assistant","content":"last"},{"role":"system","content":"Be kind."}],"x":1.0}"#;
        assert_eq!(apply(Dialect::Chat, &prompts(), body), expected);
        let expected = r#"{"input":[{"role":"system","content":"Be \"brief\"."},{"role":"user","content":"first"},{"role":"user","content":"hi"},{"role":"assistant","content":"last"},{"role":"system","content":"Be kind."}]}"#;
        assert_eq!(apply(Dialect::Responses, &prompts(), r#"{"input":"hi"}"#), expected);
        assert_eq!(apply(Dialect::Responses, &prompts(), r#"{"input":[{"role":"user","content":"hi"}]}"#), expected);
        let around = r#"[{"role":"user","content":"first"},{"role":"user","content":"hi"},{"role":"assistant","content":"last"}]"#;
        for (own, system) in [
            ("", r#""system":"Be \"brief\".\n\nBe kind.","#),
            (r#""system":"Own.","#, r#""system":"Be \"brief\".\n\nOwn.\n\nBe kind.","#),
            (
                r#""system":[{"type":"text","text":"Own.","cache_control":{"type":"ephemeral"}}],"#,
                r#""system":[{"type":"text","text":"Be \"brief\"."},{"type":"text","text":"Own.","cache_control":{"type":"ephemeral"}},{"type":"text","text":"Be kind."}],"#,
            ),
        ] {
            let body = format!(r#"{{{own}"messages":[{{"role":"user","content":"hi"}}]}}"#);
            assert_eq!(apply(Dialect::Messages, &prompts(), &body), format!(r#"{{{system}"messages":{around}}}"#));
        }
        let contents = r#""contents":[{"role":"user","parts":[{"text":"first"}]},{"parts":[{"text":"hi"}]},{"role":"model","parts":[{"text":"last"}]}]"#;
        for (own, name) in
            [("", "systemInstruction"), (r#""system_instruction":{"parts":[{"text":"Own."}]},"#, "system_instruction")]
        {
            let body = format!(r#"{{{own}"contents":[{{"parts":[{{"text":"hi"}}]}}]}}"#);
            let middle = if own.is_empty() { "" } else { r#"{"text":"Own."},"# };
            let system = format!(r#""{name}":{{"parts":[{{"text":"Be \"brief\"."}},{middle}{{"text":"Be kind."}}]}}"#);
            assert_eq!(apply(Dialect::GenerateContent, &prompts(), &body), format!("{{{system},{contents}}}"));
        }
    }

    #[test]
    fn a_body_that_is_not_what_it_should_be_is_left_for_its_decoder() {
        for body in [r#"{"messages":"hi"}"#, r#"{"model":"m"}"#] {
            assert_eq!(apply(Dialect::Chat, &prompts(), body), body);
        }
        assert!(prompts().apply(Dialect::Chat, &Bytes::from_static(b"[]")).is_err());
        assert!(prompts().apply(Dialect::Messages, &Bytes::from_static(br#"{"a":1,"a":2}"#)).is_err());
    }
}
