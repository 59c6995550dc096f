//! The texts of a client's request, and a mask put back into the client's own bytes: images, tools and fields that nobody here has heard of stay.

use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;
use tollgate_webhook::Message;
use tollgate_wire::codec::Dialect;
use tollgate_wire::error::WireError;
use tollgate_wire::json;

use super::{Unmatched, content, tree};

/// A request's messages, and where they stand in its body.
#[derive(Debug)]
pub(super) struct Conversation {
    body: Bytes,
    client: Dialect,
    /// Anthropic's `system`, Gemini's `systemInstruction`, the `instructions` of the Responses API: the first message of what hooks are sent.
    system: Option<Place>,
    messages: Place,
}

#[derive(Debug)]
struct Place {
    span: Range<usize>,
    value: Value,
    changed: bool,
}

impl Conversation {
    /// Finds the messages. What no guard could make sense of is refused: a model might make something of it.
    pub(super) fn read(client: Dialect, body: &Bytes) -> Result<Self, WireError> {
        let members = json::members(body)?;
        if client == Dialect::GenerateContent {
            return Self::read_gemini(body, &members);
        }
        let place = |name: &str| {
            let member = members.iter().find(|member| member.key == name && member.value != "null");
            let read = |member: &json::Member<'_>| {
                let value = tree::parse(member.value).map_err(|error| WireError::invalid(name, error))?;
                Ok(Place { span: member.value_span.clone(), value, changed: false })
            };
            member.map(read).transpose()
        };
        let (system, list) = match client {
            Dialect::Messages => (place("system")?, "messages"),
            Dialect::Responses => (place("instructions")?, "input"),
            Dialect::Chat | Dialect::GenerateContent | Dialect::Converse | Dialect::Rerank => (None, "messages"),
        };
        if client == Dialect::Responses {
            refuse_elsewhere(&members, ["prompt", "conversation"])?;
        }
        let messages = match place(list)? {
            Some(messages) => messages,
            // It only goes on with a response that the upstream keeps, whose texts were seen when they were new.
            None if client == Dialect::Responses => Place { span: 0..0, value: Value::Null, changed: false },
            None => return Err(WireError::invalid(list, "required")),
        };
        if system.as_ref().is_some_and(|system| content::text(Some(&system.value)).is_none()) {
            return Err(WireError::invalid("system", "expected a text or a list of blocks"));
        }
        for (index, message) in messages.value.as_array().into_iter().flatten().enumerate() {
            let at = |field: &str| format!("{list}[{index}].{field}");
            let named = |key: &str| message.get(key).is_some_and(Value::is_string);
            let is_item = client == Dialect::Responses && named("type");
            if !named("role") && !is_item {
                return Err(WireError::invalid(at("role"), "expected a text"));
            }
            if text(client, message).is_none() {
                let field = at(field(client, message));
                return Err(WireError::invalid(field, "expected a text or a list of parts"));
            }
        }
        Ok(Self { body: body.clone(), client, system, messages })
    }

    fn read_gemini(body: &Bytes, members: &[json::Member<'_>]) -> Result<Self, WireError> {
        refuse_elsewhere(members, ["cachedContent", "cached_content"])?;
        let place = |names: [&str; 2]| {
            let mut found = members.iter().filter(|m| names.contains(&m.key.as_ref()) && m.value != "null");
            let Some(member) = found.next() else { return Ok(None) };
            let name = member.key.as_ref();
            if found.next().is_some() {
                return Err(WireError::invalid(name, "the field stands twice in the object; send it once"));
            }
            let value = tree::parse(member.value).map_err(|error| WireError::invalid(name, error))?;
            Ok(Some(Place { span: member.value_span.clone(), value, changed: false }))
        };
        let system = place(["systemInstruction", "system_instruction"])?;
        let messages = place(["contents", "contents"])?.ok_or_else(|| WireError::invalid("contents", "required"))?;
        if system.as_ref().is_some_and(|system| text(Dialect::GenerateContent, &system.value).is_none()) {
            return Err(WireError::invalid("systemInstruction", "expected an object with a list of parts"));
        }
        for (index, content) in messages.value.as_array().into_iter().flatten().enumerate() {
            if !matches!(content.get("role"), None | Some(Value::Null | Value::String(_))) {
                return Err(WireError::invalid(format!("contents[{index}].role"), "expected a text"));
            }
            if text(Dialect::GenerateContent, content).is_none() {
                return Err(WireError::invalid(format!("contents[{index}].parts"), "expected a list of parts"));
            }
        }
        Ok(Self { body: body.clone(), client: Dialect::GenerateContent, system, messages })
    }

    /// What hooks are sent.
    pub(super) fn messages(&self) -> Vec<Message> {
        let told = |value: &Value| match self.client {
            Dialect::GenerateContent => text(self.client, value),
            _ => content::text(Some(value)),
        };
        let system = self.system.iter().map(|system| ("system", told(&system.value)));
        let alone = Some(&self.messages.value).filter(|value| value.is_string());
        let alone = alone.map(|value| ("user", content::text(Some(value))));
        let messages = self.messages.value.as_array().into_iter().flatten();
        let messages = messages.map(|message| (role(self.client, message), text(self.client, message)));
        system.chain(alone).chain(messages).map(|(role, text)| Message::new(role, text.unwrap_or_default())).collect()
    }

    /// Puts masked texts back; says whether that changed anything. Messages that were added, left out or given to somebody else cannot be put into the
    /// client's body: agentgateway then replaces the conversation, and with it every image and tool call; here the mask has failed.
    pub(super) fn mask(&mut self, masked: Vec<Message>) -> Result<bool, Unmatched> {
        let own = self.messages();
        if own.len() != masked.len() || own.iter().zip(&masked).any(|(own, masked)| own.role != masked.role) {
            return Err(Unmatched);
        }
        let mut masked = masked.into_iter().map(|message| message.content);
        let mut any = false;
        if let Some(system) = &mut self.system {
            let place = match self.client {
                Dialect::GenerateContent => system.value.get_mut("parts"),
                _ => Some(&mut system.value),
            };
            system.changed |= content::mask(place, masked.next().unwrap_or_default())?;
            any |= system.changed;
        }
        if self.messages.value.is_string() {
            self.messages.changed |= content::mask(Some(&mut self.messages.value), masked.next().unwrap_or_default())?;
        }
        for (message, text) in self.messages.value.as_array_mut().into_iter().flatten().zip(masked) {
            let field = field(self.client, message);
            self.messages.changed |= content::mask(message.get_mut(field), text)?;
        }
        Ok(any | self.messages.changed)
    }

    /// The body, with what was masked.
    pub(super) fn into_body(self) -> Bytes {
        let places = self.system.into_iter().chain([self.messages]);
        let edits = places.filter(|place| place.changed).map(|place| (place.span, place.value.to_string())).collect();
        json::spliced(&self.body, edits).into()
    }
}

/// Where a message has its content.
fn field(client: Dialect, message: &Value) -> &'static str {
    const OF_ITEMS: [&str; 4] = ["content", "output", "summary", "input"];
    let has = |field: &&&str| message.get(**field).is_some_and(|value| !value.is_null());
    match client {
        Dialect::GenerateContent => "parts",
        Dialect::Responses => OF_ITEMS.iter().find(has).copied().unwrap_or("content"),
        Dialect::Chat | Dialect::Messages | Dialect::Converse | Dialect::Rerank => "content",
    }
}

fn text(client: Dialect, message: &Value) -> Option<String> {
    match message {
        Value::Object(fields) => content::text(fields.get(field(client, message))),
        _ if client == Dialect::GenerateContent => None,
        _ => content::text(None),
    }
}

/// Hooks know the roles of OpenAI: Gemini's model is the assistant, and who says nothing of a role is the user. An item of the Responses API that names
/// nobody is the model's, or a tool's answer.
fn role(client: Dialect, message: &Value) -> &str {
    let kind = message.get("type").and_then(Value::as_str);
    match (client, message.get("role").and_then(Value::as_str)) {
        (Dialect::GenerateContent, None | Some("")) => "user",
        (Dialect::GenerateContent, Some("model")) => "assistant",
        (Dialect::Responses, None) if kind.is_some_and(|kind| kind.ends_with("_output")) => "tool",
        (Dialect::Responses, None) if kind.is_some() => "assistant",
        (_, role) => role.unwrap_or_default(),
    }
}

/// Texts that OpenAI or Google keeps under these names, and nobody here has seen.
fn refuse_elsewhere(members: &[json::Member<'_>], names: [&str; 2]) -> Result<(), WireError> {
    let found = members.iter().find(|member| names.contains(&member.key.as_ref()) && member.value != "null");
    found.map_or(Ok(()), |member| {
        let message = "the prompt guards of this gateway cannot see it; send its texts in the request";
        Err(WireError::invalid(member.key.as_ref(), message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(client: Dialect, body: &str) -> Conversation {
        Conversation::read(client, &Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    const MESSAGES: &str = r#"{"model":"m","max_tokens":5,"system":[{"type":"text","text":"be","cache_control":{"type":"ephemeral"}},{"type":"text","text":"brief"}],
 "messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{}},{"type":"text","text":"b"}]},
 {"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},{"role":"user","content":"x"}], "new_field":1.0}"#;

    #[test]
    fn a_system_prompt_is_the_first_message() {
        let pairs: Vec<_> =
            read(Dialect::Messages, MESSAGES).messages().into_iter().map(|m| (m.role, m.content)).collect();
        let expected = [("system", "be brief"), ("user", "a b"), ("assistant", ""), ("user", "x")];
        assert_eq!(pairs, expected.map(|(role, text)| (role.to_owned(), text.to_owned())));
    }

    #[test]
    fn only_masked_texts_change() {
        let mut conversation = read(Dialect::Messages, MESSAGES);
        let mut masked = conversation.messages();
        assert_eq!(conversation.mask(masked.clone()), Ok(false));
        masked[3].content = "*".to_owned();
        assert_eq!(conversation.mask(masked), Ok(true));
        let body = conversation.into_body();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(
            text.contains(r#"{"role":"user","content":"*"}"#) && text.contains(r#""type":"image","source":{}"#),
            "{text}"
        );
        assert!(text.starts_with(&MESSAGES[..100]) && text.ends_with(r#", "new_field":1.0}"#), "{text}");
    }

    #[test]
    fn a_masked_system_prompt_is_put_back() {
        let mut conversation =
            read(Dialect::Messages, r#"{"system":"my key","messages":[{"role":"user","content":"x"}]}"#);
        let masked = vec![Message::new("system", "my *"), Message::new("user", "x")];
        assert_eq!(conversation.mask(masked), Ok(true));
        assert_eq!(conversation.into_body(), r#"{"system":"my *","messages":[{"role":"user","content":"x"}]}"#);
    }

    const GEMINI: &str = r#"{"system_instruction":{"parts":[{"text":"be"},{"text":"brief"}]},"contents":[{"parts":[{"text":"a"},{"inlineData":{}}]},
 {"role":"model","parts":[{"functionCall":{"name":"f"},"thoughtSignature":"c2ln"}]},{"role":"user","parts":[{"text":"x","thought":true}]}], "newField":1.0}"#;

    #[test]
    fn geminis_parts_are_texts_and_its_model_is_the_assistant() {
        let conversation = read(Dialect::GenerateContent, GEMINI);
        let pairs: Vec<_> = conversation.messages().into_iter().map(|m| (m.role, m.content)).collect();
        let expected = [("system", "be brief"), ("user", "a"), ("assistant", ""), ("user", "x")];
        assert_eq!(
            pairs,
            expected.map(|(role, text)| (role.to_owned(), text.to_owned())),
            "a thought of the user's is seen"
        );
    }

    #[test]
    fn only_masked_texts_of_gemini_change() {
        let mut conversation = read(Dialect::GenerateContent, GEMINI);
        let mut masked = conversation.messages();
        assert_eq!(conversation.mask(masked.clone()), Ok(false));
        masked[0].content = "be *".to_owned();
        masked[1].content = "*".to_owned();
        assert_eq!(conversation.mask(masked), Ok(true));
        let body = conversation.into_body();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(
            text.starts_with(
                r#"{"system_instruction":{"parts":[{"text":"be *"}]},"contents":[{"parts":[{"text":"*"},"#
            ),
            "{text}"
        );
        assert!(text.contains(r#""thoughtSignature":"c2ln""#) && text.ends_with(r#", "newField":1.0}"#), "{text}");
    }

    #[test]
    fn what_a_guard_cannot_read_of_gemini_is_refused() {
        for body in [
            r#"{"contents":[{"parts":"hi"},7]}"#,
            r#"{"contents":[{"role":7,"parts":[]}]}"#,
            r#"{"contents":[{"parts":[{"text":"a","text":"b"}]}]}"#,
            r#"{"systemInstruction":"be brief","contents":[]}"#,
            r#"{"systemInstruction":{"parts":[]},"system_instruction":{"parts":[{"text":"x"}]},"contents":[]}"#,
        ] {
            assert!(
                Conversation::read(Dialect::GenerateContent, &Bytes::from_static(body.as_bytes())).is_err(),
                "{body}"
            );
        }
    }

    #[test]
    fn another_conversation_is_no_mask() {
        let body = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"x"}]}"#;
        for masked in [
            vec![],
            vec![Message::new("user", "x")],
            vec![Message::new("user", "s"), Message::new("system", "x")],
            vec![Message::new("system", "s"), Message::new("user", "x"), Message::new("user", "y")],
        ] {
            assert_eq!(read(Dialect::Chat, body).mask(masked), Err(Unmatched));
        }
    }

    #[test]
    fn what_a_guard_cannot_read_is_refused() {
        for body in [
            r#"{"messages":[{"role":"user","content":{"text":"x"}}]}"#,
            r#"{"messages":[{"role":"user","content":"good","content":"bad"}]}"#,
            r#"{"messages":["hello"]}"#,
            r#"{"messages":[{"content":"x"}]}"#,
            r#"{"messages":[{"role":7,"content":"x"}]}"#,
        ] {
            assert!(Conversation::read(Dialect::Chat, &Bytes::copy_from_slice(body.as_bytes())).is_err(), "{body}");
        }
        let system = Bytes::from_static(br#"{"system":7,"messages":[]}"#);
        assert!(Conversation::read(Dialect::Messages, &system).is_err());
    }

    const RESPONSES: &str = r#"{"model":"m","instructions":"be brief","input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},
 {"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"my key"},{"type":"reasoning","summary":[{"text":"r"}]}],"new":1.0}"#;

    #[test]
    fn items_are_messages_of_who_says_them() {
        let pairs: Vec<_> =
            read(Dialect::Responses, RESPONSES).messages().into_iter().map(|m| (m.role, m.content)).collect();
        let expected =
            [("system", "be brief"), ("user", "a"), ("assistant", ""), ("tool", "my key"), ("assistant", "r")];
        assert_eq!(pairs, expected.map(|(role, text)| (role.to_owned(), text.to_owned())));
        let alone = read(Dialect::Responses, r#"{"model":"m","input":"hi"}"#).messages();
        assert_eq!(alone, [Message::new("user", "hi")]);
        assert!(read(Dialect::Responses, r#"{"model":"m","previous_response_id":"r"}"#).messages().is_empty());
    }

    #[test]
    fn a_masked_item_is_put_back_where_it_stood() {
        let mut conversation = read(Dialect::Responses, RESPONSES);
        let mut masked = conversation.messages();
        masked[3].content = "my *".to_owned();
        assert_eq!(conversation.mask(masked), Ok(true));
        let body = conversation.into_body();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains(r#""output":"my *""#) && text.ends_with(r#""new":1.0}"#), "{text}");
        let mut alone = read(Dialect::Responses, r#"{"model":"m","input":"hi"}"#);
        assert_eq!(alone.mask(vec![Message::new("user", "*")]), Ok(true));
        assert_eq!(alone.into_body(), r#"{"model":"m","input":"*"}"#);
    }

    #[test]
    fn texts_that_openai_keeps_are_refused() {
        for field in [r#""prompt":{"id":"p"}"#, r#""conversation":"c""#] {
            let body = format!(r#"{{"model":"m","input":"hi",{field}}}"#);
            assert!(Conversation::read(Dialect::Responses, &Bytes::from(body)).is_err(), "{field}");
        }
    }
}
