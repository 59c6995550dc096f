//! What the gateway has to know of a request before it chooses an upstream, read without a tree.

use std::borrow::Cow;
use std::ops::Range;

use crate::codec::Dialect;
use crate::error::WireError;
use crate::gemini;
use crate::ir::Tier;
use crate::json::{self, Member};

/// A model name longer than this is refused; Bedrock's longest ARNs have 2,048 characters.
const MAX_MODEL_LEN: usize = 2_048;

/// The fields that routing, limits and edits need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The client's model.
    pub model: String,
    /// Streamed answer?
    pub stream: bool,
    /// OpenAI's `stream_options.include_usage`.
    pub include_usage: bool,
    /// The client's output cap.
    pub max_output_tokens: Option<u64>,
    /// How many answers it wants (OpenAI's `n`); at least 1.
    pub choices: u64,
    /// The service tier that it asks for.
    pub tier: Option<Tier>,
    /// It is answered while nobody waits (`background` of the Responses API).
    pub background: Option<Background>,
    /// It begins or goes on with a conversation that the provider keeps (`thread` of the Messages API).
    pub thread: bool,
    /// Where the model's value stands.
    pub(crate) model_span: Range<usize>,
    /// Where the value of `stream_options` stands.
    pub(crate) stream_options_span: Option<Range<usize>>,
    /// Messages: it has `temperature` and `top_p`.
    pub(crate) samples_twice: bool,
}

/// A request that goes on at its provider without the client: <https://platform.openai.com/docs/guides/background>. Its answer says nothing of usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Background {
    /// The field for which what it costs has no bound that can be told from the request.
    pub unbounded: Option<&'static str>,
}

impl Envelope {
    /// Reads a body of Gemini's, whose model and streaming stand in the path.
    pub fn by_path(body: &[u8], model: String, stream: bool) -> Result<Self, WireError> {
        let members = json::members(body)?;
        let find = |key: &str| members.iter().find(|m| m.key == key && m.value != "null");
        let contents =
            find("contents").ok_or_else(|| WireError::invalid("contents", "required: an array of contents"))?;
        filled(contents, "content")?;
        let config = match either(find, "generationConfig", "generation_config")? {
            Some(member) => gemini::Caps::read(member.value, &member.key)?,
            None => gemini::Caps::default(),
        };
        let service = either(find, "serviceTier", "service_tier")?;
        Ok(Self {
            model: checked_name(model)?,
            stream,
            include_usage: true,
            max_output_tokens: config.max_output_tokens,
            choices: config.candidates.max(1),
            tier: service.and_then(tier),
            background: None,
            thread: false,
            model_span: 0..0,
            stream_options_span: None,
            samples_twice: false,
        })
    }

    /// Reads a body of this client dialect. Checks what the gateway itself relies on; the rest is the upstream's to judge.
    pub fn decode(dialect: Dialect, body: &[u8]) -> Result<Self, WireError> {
        let members = json::members(body)?;
        let find = |key: &str| members.iter().find(|m| m.key == key && m.value != "null");
        let model_member = find("model").ok_or_else(|| WireError::invalid("model", "required: name a model"))?;
        let thread = dialect == Dialect::Messages && find("thread").is_some();
        match dialect {
            Dialect::Responses => check_input(find)?,
            // What goes on after a pause has nothing to add.
            _ if thread => {}
            Dialect::Chat | Dialect::Messages | Dialect::GenerateContent | Dialect::Converse | Dialect::Rerank => {
                check_messages(find)?
            }
        }
        let stream = find("stream").map(boolean).transpose()?.unwrap_or(false);
        let stream_options = find("stream_options").filter(|_| dialect == Dialect::Chat);
        let include_usage = match stream_options {
            Some(member) => include_usage(member)?,
            None => false,
        };
        let caps: &[&str] = match dialect {
            Dialect::Chat => &["max_completion_tokens", "max_tokens"],
            Dialect::Responses => &["max_output_tokens"],
            Dialect::GenerateContent | Dialect::Rerank => &[],
            Dialect::Messages | Dialect::Converse => &["max_tokens"],
        };
        let mut max_output_tokens = None;
        for member in caps.iter().filter_map(|cap| find(cap)) {
            let value = unsigned(member)?;
            // Anthropic takes 0: it fills the prompt cache.
            if value == 0 && matches!(dialect, Dialect::Chat | Dialect::Responses) {
                return Err(WireError::invalid(member.key.as_ref(), "expected at least 1, got 0"));
            }
            max_output_tokens = max_output_tokens.or(Some(value));
        }
        let choices = find("n").filter(|_| dialect == Dialect::Chat).map(unsigned).transpose()?.unwrap_or(1).max(1);
        let background = match find("background").filter(|_| dialect == Dialect::Responses) {
            Some(member) if boolean(member)? => Some(Background::of(find, max_output_tokens)),
            _ => None,
        };
        Ok(Self {
            model: model_name(model_member)?,
            stream,
            include_usage,
            max_output_tokens,
            choices,
            tier: find("service_tier").and_then(tier),
            background,
            thread,
            model_span: model_member.value_span.clone(),
            stream_options_span: stream_options.map(|m| m.value_span.clone()),
            samples_twice: dialect == Dialect::Messages && find("top_p").and(find("temperature")).is_some(),
        })
    }
}

/// Google reads a field under both names. Which of two it would take, nobody says: one of them would have been looked at here, and the other obeyed there.
fn either<'a>(
    find: impl Fn(&str) -> Option<&'a Member<'a>>,
    name: &str,
    other: &str,
) -> Result<Option<&'a Member<'a>>, WireError> {
    match (find(name), find(other)) {
        (Some(_), Some(_)) => Err(WireError::invalid(other, format!("the request has {name}, too; send one of them"))),
        (one, another) => Ok(one.or(another)),
    }
}

fn check_messages<'a>(find: impl Fn(&str) -> Option<&'a Member<'a>>) -> Result<(), WireError> {
    let messages = find("messages").ok_or_else(|| WireError::invalid("messages", "required: an array of messages"))?;
    filled(messages, "message")
}

/// Fields by which the input is elsewhere: in the response that it continues, in a conversation or a template of the upstream's.
const ELSEWHERE: [&str; 3] = ["previous_response_id", "conversation", "prompt"];

impl Background {
    fn of<'a>(find: impl Fn(&str) -> Option<&'a Member<'a>>, max_output_tokens: Option<u64>) -> Self {
        let elsewhere = ELSEWHERE.into_iter().find(|key| find(key).is_some());
        let hosted = || find("tools").filter(|tools| !runs_at_the_client(tools.value)).map(|_| "tools");
        let uncapped = || max_output_tokens.is_none().then_some("max_output_tokens");
        Self { unbounded: elsewhere.or_else(hosted).or_else(uncapped) }
    }
}

/// Are these tools that the provider does not run itself? What its own tools find is input that the request does not have.
fn runs_at_the_client(tools: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Tool<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    let tools: Result<Vec<Tool<'_>>, _> = serde_json::from_str(tools);
    tools.is_ok_and(|tools| tools.iter().all(|tool| matches!(tool.kind.as_ref(), "function" | "custom")))
}

fn check_input<'a>(find: impl Fn(&str) -> Option<&'a Member<'a>>) -> Result<(), WireError> {
    let elsewhere = ELSEWHERE.iter().any(|key| find(key).is_some());
    let Some(input) = find("input") else {
        let missing = || WireError::invalid("input", "required: a text or an array of items");
        return if elsewhere { Ok(()) } else { Err(missing()) };
    };
    expect(input, "a string or an array", input.value.starts_with(['[', '"']))?;
    if !elsewhere && input.value.starts_with('[') && is_empty(input) {
        return Err(WireError::invalid("input", "expected at least one item, got none"));
    }
    Ok(())
}

fn is_empty(array: &Member<'_>) -> bool {
    array.value.bytes().skip(1).find(|byte| !byte.is_ascii_whitespace()) == Some(b']')
}

fn expect(member: &Member<'_>, expected: &str, fits: bool) -> Result<(), WireError> {
    if fits {
        return Ok(());
    }
    Err(WireError::invalid(member.key.as_ref(), format!("expected {expected}, got {}", json::kind(member.value))))
}

/// An array of at least one item.
fn filled(member: &Member<'_>, item: &str) -> Result<(), WireError> {
    expect(member, "an array", member.value.starts_with('['))?;
    if is_empty(member) {
        return Err(WireError::invalid(member.key.as_ref(), format!("expected at least one {item}, got none")));
    }
    Ok(())
}

/// What nobody knows is judged elsewhere.
fn tier(member: &Member<'_>) -> Option<Tier> {
    json::string(member.value).and_then(|word| Tier::named(&word))
}

fn boolean(member: &Member<'_>) -> Result<bool, WireError> {
    expect(member, "true or false", matches!(member.value, "true" | "false"))?;
    Ok(member.value == "true")
}

pub(crate) fn unsigned(member: &Member<'_>) -> Result<u64, WireError> {
    member.value.parse::<u64>().map_err(|_| {
        let got = if json::kind(member.value) == "a number" { member.value } else { json::kind(member.value) };
        WireError::invalid(member.key.as_ref(), format!("expected a whole number of at least 0, got {got}"))
    })
}

fn include_usage(member: &Member<'_>) -> Result<bool, WireError> {
    #[derive(serde::Deserialize)]
    struct StreamOptions {
        include_usage: Option<bool>,
    }
    let options: StreamOptions = serde_json::from_str(member.value).map_err(|_| {
        WireError::invalid("stream_options", "expected an object whose `include_usage`, if any, is true or false")
    })?;
    Ok(options.include_usage.unwrap_or(false))
}

pub(crate) fn model_name(member: &Member<'_>) -> Result<String, WireError> {
    expect(member, "a string", member.value.starts_with('"'))?;
    let name = json::string(member.value).map(Cow::into_owned);
    checked_name(name.ok_or_else(|| WireError::invalid("model", "expected a text; an escape in it means nothing"))?)
}

fn checked_name(name: String) -> Result<String, WireError> {
    // Bedrock has the name in its path, where a dot and two dots are directories to whoever tidies paths.
    let dots = matches!(name.as_str(), "." | "..");
    if dots
        || name.is_empty()
        || name.len() > MAX_MODEL_LEN
        || name.chars().any(|c| c.is_control() || c.is_whitespace())
    {
        let message = format!("expected the name of a model: 1 to {MAX_MODEL_LEN} characters, no white space");
        return Err(WireError::invalid("model", message));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<Envelope, WireError> {
        Envelope::decode(Dialect::Chat, body.as_bytes())
    }

    #[test]
    fn the_fields_are_read_wherever_they_stand() {
        let body = r#"{"messages":[{"role":"user","content":"\"model\":\"x\""}],"stream":true,"max_tokens":5,"max_completion_tokens":9,
            "stream_options":{"include_usage":true},"model":"gpt-4o"}"#;
        let envelope = chat(body).unwrap();
        assert_eq!((envelope.model.as_str(), envelope.stream, envelope.include_usage), ("gpt-4o", true, true));
        assert_eq!(envelope.max_output_tokens, Some(9), "max_completion_tokens wins over max_tokens");
        assert_eq!(&body[envelope.model_span], "\"gpt-4o\"");
    }

    #[test]
    fn null_is_absent() {
        let envelope =
            chat(r#"{"model":"m","messages":[{}],"stream":null,"max_tokens":null,"stream_options":null}"#).unwrap();
        assert_eq!((envelope.stream, envelope.max_output_tokens, envelope.stream_options_span), (false, None, None));
    }

    #[test]
    fn a_wrong_type_names_the_field_and_what_is_expected() {
        for (body, message) in [
            (r#"{"model":"m","messages":[{}],"stream":"yes"}"#, "stream: expected true or false, got a string"),
            (r#"{"model":7,"messages":[{}]}"#, "model: expected a string, got a number"),
            (r#"{"model":"m","messages":"hi"}"#, "messages: expected an array, got a string"),
            (
                r#"{"model":"m","messages":[{}],"max_tokens":-1}"#,
                "max_tokens: expected a whole number of at least 0, got -1",
            ),
            (
                r#"{"model":"m","messages":[{}],"max_tokens":"9"}"#,
                "max_tokens: expected a whole number of at least 0, got a string",
            ),
            (r#"{"model":"m","messages":[ ]}"#, "messages: expected at least one message, got none"),
            (r#"{"model":"m","messages":[{}],"max_tokens":0}"#, "max_tokens: expected at least 1, got 0"),
            (r#"{"messages":[{}]}"#, "model: required: name a model"),
            (r#"{"model":"m"}"#, "messages: required: an array of messages"),
            (r#"{"model":"m","messages":[{}],"model":"n"}"#, "model: the key stands twice in the object; send it once"),
        ] {
            assert_eq!(chat(body).unwrap_err().to_string(), message, "{body}");
        }
    }

    #[test]
    fn what_an_answer_in_the_background_costs_may_have_no_bound() {
        for (more, unbounded) in [
            (r#""max_output_tokens":9,"tools":[{"type":"function","name":"f"},{"name":"c","type":"custom"}]"#, None),
            (r#""max_output_tokens":9,"tools":[{"type":"web_search"}]"#, Some("tools")),
            (r#""max_output_tokens":9,"tools":[7]"#, Some("tools")),
            (r#""max_output_tokens":9,"conversation":"c""#, Some("conversation")),
            (r#""tools":null"#, Some("max_output_tokens")),
        ] {
            let body = format!(r#"{{"model":"m","input":"i","background":true,{more}}}"#);
            let envelope = Envelope::decode(Dialect::Responses, body.as_bytes()).unwrap();
            assert_eq!(envelope.background, Some(Background { unbounded }), "{more}");
            let waited_for = body.replace("true", "false");
            assert_eq!(Envelope::decode(Dialect::Responses, waited_for.as_bytes()).unwrap().background, None);
        }
        let text = r#"{"model":"m","input":"i","background":"yes"}"#;
        let error = Envelope::decode(Dialect::Responses, text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "background: expected true or false, got a string");
    }

    #[test]
    fn two_spellings_of_one_field_are_refused() {
        for (fields, other) in [
            (
                r#""generationConfig":{"maxOutputTokens":1},"generation_config":{"maxOutputTokens":65536}"#,
                "generation_config",
            ),
            (r#""serviceTier":"flex","service_tier":"priority""#, "service_tier"),
        ] {
            let body = format!(r#"{{"contents":[{{}}],{fields}}}"#);
            let error = Envelope::by_path(body.as_bytes(), "m".to_owned(), false).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{other}: ")), "{error}");
        }
    }

    #[test]
    fn a_model_name_is_one_word() {
        for name in ["", ".", "..", "a b", "a\\nb", "\\u0000"] {
            assert!(chat(&format!(r#"{{"model":"{name}","messages":[{{}}]}}"#)).is_err(), "{name:?}");
        }
    }
}
