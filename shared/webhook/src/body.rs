//! What a gateway sends.

use serde::Serialize;
use serde_json::Value;
use tollgate_wire::json::kind_of;

/// One message: who speaks, and the text. Texts only: what else a message holds is not part of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, ...
    pub role: String,
    /// Its text parts, joined with a space.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// One of the model's answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// It.
    pub message: Message,
}

/// `{"body":{"messages":[...]}}`, to `/request`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestBody {
    /// The conversation in order, the system prompt first.
    pub messages: Vec<Message>,
}

/// `{"body":{"choices":[...]}}`, to `/response`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseBody {
    /// The answers.
    pub choices: Vec<Choice>,
}

/// A body that is not one of the contract. The text says where and what, and quotes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadBody(pub(crate) String);

impl RequestBody {
    /// Reads what a gateway posted to `/request`. Unknown fields are ignored.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadBody> {
        let value = parse(bytes)?;
        Ok(Self { messages: messages(member(&value, "", "body")?, "body")? })
    }

    /// As a gateway posts it.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::json!({"body": {"messages": self.messages}}).to_string()
    }
}

impl ResponseBody {
    /// Reads what a gateway posted to `/response`. Unknown fields are ignored.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadBody> {
        let value = parse(bytes)?;
        Ok(Self { choices: choices(member(&value, "", "body")?, "body")? })
    }

    /// As a gateway posts it.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::json!({"body": {"choices": self.choices}}).to_string()
    }
}

fn parse(bytes: &[u8]) -> Result<Value, BadBody> {
    serde_json::from_slice(bytes).map_err(|error| BadBody(format!("the body is not JSON: {error}")))
}

/// `messages` of the object at `path`.
pub(crate) fn messages(object: &Value, path: &str) -> Result<Vec<Message>, BadBody> {
    let (items, path) = list(object, path, "messages")?;
    items.iter().enumerate().map(|(index, item)| message(item, &format!("{path}[{index}]"))).collect()
}

/// `choices` of the object at `path`.
pub(crate) fn choices(object: &Value, path: &str) -> Result<Vec<Choice>, BadBody> {
    let (items, path) = list(object, path, "choices")?;
    let choice = |(index, item): (usize, &Value)| {
        let path = format!("{path}[{index}]");
        let inner = member(item, &path, "message")?;
        Ok(Choice { message: message(inner, &format!("{path}.message"))? })
    };
    items.iter().enumerate().map(choice).collect()
}

fn list<'a>(object: &'a Value, path: &str, name: &str) -> Result<(&'a [Value], String), BadBody> {
    let value = member(object, path, name)?;
    let path = format!("{path}.{name}");
    let items = value.as_array().ok_or_else(|| wanted("an array", value, &path))?;
    Ok((items, path))
}

fn message(value: &Value, path: &str) -> Result<Message, BadBody> {
    Ok(Message { role: text(value, path, "role")?, content: text(value, path, "content")? })
}

fn text(object: &Value, path: &str, name: &str) -> Result<String, BadBody> {
    let value = member(object, path, name)?;
    let text = value.as_str().ok_or_else(|| wanted("a string", value, &format!("{path}.{name}")))?;
    Ok(text.to_owned())
}

fn member<'a>(value: &'a Value, path: &str, name: &str) -> Result<&'a Value, BadBody> {
    let shown = if path.is_empty() { "the body" } else { path };
    let object = value.as_object().ok_or_else(|| wanted("an object", value, shown))?;
    object.get(name).ok_or_else(|| BadBody(format!("`{name}` is missing in {shown}")))
}

fn wanted(what: &str, value: &Value, path: &str) -> BadBody {
    BadBody(format!("{path} must be {what}, and is {}", kind_of(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_agentgateway_sends_is_read_and_written_alike() {
        let sent = r#"{"body":{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"part a part b"}]}}"#;
        let body = RequestBody::decode(sent.as_bytes()).unwrap();
        assert_eq!(body.messages[1], Message::new("user", "part a part b"));
        assert_eq!(body.encode(), sent);

        let sent = r#"{"body":{"choices":[{"message":{"role":"assistant","content":"hello"}}]}}"#;
        let body = ResponseBody::decode(sent.as_bytes()).unwrap();
        assert_eq!(body.choices[0].message.content, "hello");
        assert_eq!(body.encode(), sent);
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let sent = br#"{"v":2,"body":{"model":"x","messages":[{"role":"user","content":"a","name":"b"}]}}"#;
        assert_eq!(RequestBody::decode(sent).unwrap().messages, [Message::new("user", "a")]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (body, says) in [
            ("", "not JSON"),
            ("[]", "the body must be an object, and is an array"),
            ("{}", "`body` is missing in the body"),
            (r#"{"messages":[]}"#, "`body` is missing in the body"),
            (r#"{"body":"x"}"#, "body must be an object, and is a string"),
            (r#"{"body":{}}"#, "`messages` is missing in body"),
            (r#"{"body":{"messages":{}}}"#, "body.messages must be an array, and is an object"),
            (r#"{"body":{"messages":[["user","x"]]}}"#, "body.messages[0] must be an object, and is an array"),
            (r#"{"body":{"messages":[{"role":"user"}]}}"#, "`content` is missing in body.messages[0]"),
            (
                r#"{"body":{"messages":[{"role":"user","content":[]}]}}"#,
                "body.messages[0].content must be a string, and is an array",
            ),
        ] {
            let error = RequestBody::decode(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{body}: {error}");
        }
        let error = ResponseBody::decode(br#"{"body":{"choices":[{"message":null}]}}"#).unwrap_err().to_string();
        assert_eq!(error, "body.choices[0].message must be an object, and is null");
    }
}
