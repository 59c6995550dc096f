//! The texts of a whole answer, and a mask put back into it.

use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;
use tollgate_webhook::{Choice, Message};
use tollgate_wire::codec::Dialect;
use tollgate_wire::json;

use super::{Choices, Unmatched, content, tree};

/// A whole answer in the client's dialect.
#[derive(Debug)]
pub(super) struct Whole {
    client: Dialect,
    body: Bytes,
    span: Range<usize>,
    /// OpenAI's `choices`, Anthropic's `content`, Gemini's `candidates`.
    value: Value,
    changed: bool,
}

impl Whole {
    /// `None`: it is no answer of this dialect.
    pub(super) fn read(client: Dialect, body: Bytes) -> Option<Self> {
        let name = match client {
            Dialect::Messages => "content",
            Dialect::GenerateContent => "candidates",
            _ => "choices",
        };
        let members = json::members(&body).ok()?;
        let (span, value) = match members.iter().find(|member| member.key == name) {
            Some(member) => (member.value_span.clone(), tree::parse(member.value).ok()?),
            // A prompt that Gemini blocked has no answer.
            None if members.iter().any(|member| member.key == "promptFeedback") => (0..0, Value::Array(Vec::new())),
            None => return None,
        };
        let whole = Self { client, body, span, value, changed: false };
        whole.texts()?;
        Some(whole)
    }

    pub(super) fn into_body(self) -> Bytes {
        match self.changed {
            true => json::spliced(&self.body, vec![(self.span, self.value.to_string())]).into(),
            false => self.body,
        }
    }

    /// Roles and texts.
    fn texts(&self) -> Option<Vec<(String, String)>> {
        if self.client == Dialect::Messages {
            return Some(vec![("assistant".to_owned(), content::text(Some(&self.value))?)]);
        }
        if self.client == Dialect::GenerateContent {
            let candidates = self.value.as_array()?.iter();
            let text = |candidate: &Value| content::spoken(candidate.get("content").and_then(|c| c.get("parts")));
            return candidates.map(|candidate| Some(("assistant".to_owned(), text(candidate)?))).collect();
        }
        let choices = self.value.as_array()?.iter().map(|choice| {
            let message = choice.get("message")?;
            let role = message.get("role").and_then(Value::as_str).unwrap_or("assistant");
            Some((role.to_owned(), content::text(message.get("content"))?))
        });
        choices.collect()
    }
}

impl Choices for Whole {
    fn choices(&self) -> Vec<Choice> {
        let texts = self.texts().unwrap_or_default();
        texts.into_iter().map(|(role, text)| Choice { message: Message::new(role, text) }).collect()
    }

    fn mask(&mut self, masked: Vec<Choice>) -> Result<(), Unmatched> {
        if !same_speakers(&self.choices(), &masked) {
            return Err(Unmatched);
        }
        let mut texts = masked.into_iter().map(|choice| choice.message.content);
        if self.client == Dialect::Messages {
            self.changed |= content::mask(Some(&mut self.value), texts.next().unwrap_or_default())?;
            return Ok(());
        }
        for (choice, text) in self.value.as_array_mut().into_iter().flatten().zip(texts) {
            self.changed |= match self.client {
                Dialect::GenerateContent => {
                    content::mask_spoken(choice.get_mut("content").and_then(|c| c.get_mut("parts")), text)?
                }
                _ => content::mask(choice.get_mut("message").and_then(|message| message.get_mut("content")), text)?,
            };
        }
        Ok(())
    }
}

/// As many, with the same roles.
pub(super) fn same_speakers(own: &[Choice], masked: &[Choice]) -> bool {
    own.len() == masked.len() && own.iter().zip(masked).all(|(own, masked)| own.message.role == masked.message.role)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(client: Dialect, body: &'static str, texts: &[&str]) -> Result<String, Unmatched> {
        let mut answer = Whole::read(client, Bytes::from_static(body.as_bytes())).unwrap();
        let choices = texts.iter().map(|text| Choice { message: Message::new("assistant", *text) }).collect();
        answer.mask(choices)?;
        Ok(String::from_utf8(answer.into_body().to_vec()).unwrap())
    }

    #[test]
    fn the_text_of_each_choice_is_replaced_and_nothing_else() {
        let chat = r#"{"id":"c", "choices":[{"index":0,"message":{"role":"assistant","content":"a","x":1}},{"index":1,"message":{"role":"assistant","content":null,"tool_calls":[]}}],"usage":{"n":1.0}}"#;
        assert_eq!(masked(Dialect::Chat, chat, &["*", ""]).unwrap(), chat.replace("\"a\"", "\"*\""));
        assert_eq!(masked(Dialect::Chat, chat, &["a", ""]).unwrap(), chat);
        assert_eq!(masked(Dialect::Chat, chat, &["a", "text"]), Err(Unmatched));
        assert_eq!(masked(Dialect::Chat, chat, &["a"]), Err(Unmatched));

        let messages =
            r#"{"content":[{"type":"text","text":"a"},{"type":"tool_use","id":"t","name":"f","input":{}}],"usage":{}}"#;
        assert_eq!(masked(Dialect::Messages, messages, &["*"]).unwrap(), messages.replace("\"a\"", "\"*\""));
    }

    #[test]
    fn an_answer_of_geminis_is_masked_without_its_thinking() {
        let answer = r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":"a","thoughtSignature":"c2ln"},{"functionCall":{"name":"f"}}]}}],"usageMetadata":{}}"#;
        assert_eq!(masked(Dialect::GenerateContent, answer, &["*"]).unwrap(), answer.replace("\"a\"", "\"*\""));
        assert_eq!(masked(Dialect::GenerateContent, answer, &["a"]).unwrap(), answer);
        let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#;
        assert_eq!(masked(Dialect::GenerateContent, blocked, &[]).unwrap(), blocked);
        assert!(Whole::read(Dialect::GenerateContent, Bytes::from_static(b"{}")).is_none());
    }

    #[test]
    fn what_is_no_answer_is_not_passed() {
        for (client, body) in [
            (Dialect::Chat, "[]"),
            (Dialect::Chat, "{}"),
            (Dialect::Chat, r#"{"choices":[{}]}"#),
            (Dialect::Chat, r#"{"choices":[{"message":{"content":"a","content":"b"}}]}"#),
            (Dialect::Messages, r#"{"content":7}"#),
        ] {
            assert!(Whole::read(client, Bytes::from_static(body.as_bytes())).is_none(), "{body}");
        }
    }
}
