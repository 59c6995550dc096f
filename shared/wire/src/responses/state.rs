//! Responses that the gateway keeps itself, because the provider that made them keeps nothing. Pure: what is read from and written to a table is passed in.
//!
//! 1. [`Asked::read`]: what of a request is kept here: the response that it goes on with, and items that it only names.
//! 2. [`resolved`]: the same request with all of that in its `input`, so that any provider can answer it.
//! 3. [`Ending::find`]: the response in the last bytes of an answer; [`Turn::encode`]: what is kept of it.
//! 4. [`Turn::decode`] of what was kept: the answers to `GET` and `/input_items`, and the items for the next turn.
//!
//! Ids are ours, and say so: `resp_tollgate_` and 40 hexadecimal digits, which stand in the ids of its items as well (`msg_<digits>_0`; those of
//! its input end in `_in0`). So an id alone says where to look, and a provider's own ids are never looked for here.
//!
//! `previous_response_id`, `store`: <https://platform.openai.com/docs/api-reference/responses/create>; items of the input:
//! <https://platform.openai.com/docs/api-reference/responses/input-items>; conversation state, and that instructions are not carried over:
//! <https://platform.openai.com/docs/guides/conversation-state>.

use std::fmt::Write;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::error::WireError;
use crate::json::{self, Member};

const PREFIX: &str = "resp_tollgate_";
const DIGITS: usize = 40;
/// OpenAI's bounds and default of a page.
const PAGE: std::ops::RangeInclusive<usize> = 1..=100;
const DEFAULT_PAGE: usize = 20;

/// The id of a response, of 160 random bits: whoever has not been told it does not find it.
pub fn new_id(random: [u8; DIGITS / 2]) -> String {
    let mut id = PREFIX.to_owned();
    for byte in random {
        // A text takes everything.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// Is it an id of ours?
pub fn is_ours(id: &str) -> bool {
    id.strip_prefix(PREFIX).is_some_and(is_digits)
}

fn is_digits(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The response that an item belongs to, by the item's id.
pub fn response_of(item: &str) -> Option<String> {
    let digits = item.split('_').nth(1).filter(|digits| is_digits(digits))?;
    Some(format!("{PREFIX}{digits}"))
}

/// What a request needs that is kept here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The response that it goes on with.
    pub previous: Option<String>,
    /// Responses with items that it names by `item_reference`, each once.
    pub referenced: Vec<String>,
}

impl Asked {
    /// Looks at a request. Nothing for a body that is none: its decoder says so.
    pub fn read(body: &[u8]) -> Self {
        let Ok(members) = json::members(body) else { return Self::default() };
        let previous =
            find(&members, "previous_response_id").and_then(|member| serde_json::from_str(member.value).ok());
        let mut asked = Self { previous: previous.filter(|id: &String| is_ours(id)), referenced: Vec::new() };
        let references = |text: &&str| memchr::memmem::find(text.as_bytes(), b"item_reference").is_some();
        let input = find(&members, "input").map(|member| member.value).filter(references);
        let items: Vec<Value> = input.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        for response in items.iter().filter_map(reference).filter_map(response_of) {
            if !asked.referenced.contains(&response) {
                asked.referenced.push(response);
            }
        }
        asked
    }
}

/// The id in an `item_reference`.
fn reference(item: &Value) -> Option<&str> {
    item.get("type").filter(|kind| *kind == "item_reference")?;
    item.get("id")?.as_str()
}

/// Does the client want its answer kept? OpenAI's default is yes.
pub fn wants_store(body: &[u8]) -> bool {
    let members = json::members(body).unwrap_or_default();
    find(&members, "store").is_none_or(|member| member.value != "false")
}

/// The request with the items of earlier turns before its own input, items in the place of references to them, and no `previous_response_id`. `kept`: an
/// item by its id.
pub fn resolved(body: &Bytes, earlier: Vec<Value>, kept: impl Fn(&str) -> Option<Value>) -> Result<Bytes, WireError> {
    let members = json::members(body)?;
    let mut input = earlier;
    for (index, item) in own(&members)?.into_iter().enumerate() {
        input.push(match reference(&item).filter(|id| response_of(id).is_some()) {
            None => item,
            Some(id) => forget_id(kept(id).ok_or_else(|| {
                let message =
                    format!("no item `{:.100}` is kept here; send the item itself", id.escape_debug().to_string());
                WireError::invalid(format!("input[{index}]"), message)
            })?),
        });
    }
    let mut out = Vec::with_capacity(body.len());
    out.push(b'{');
    for member in members.iter().filter(|member| !matches!(member.key.as_ref(), "input" | "previous_response_id")) {
        out.extend_from_slice(body.get(member.key_span.clone()).unwrap_or_default());
        out.push(b':');
        out.extend_from_slice(member.value.as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(b"\"input\":");
    out.extend_from_slice(Value::Array(input).to_string().as_bytes());
    out.push(b'}');
    Ok(out.into())
}

/// The items of `input`; a text alone is the user's message.
fn own(members: &[Member<'_>]) -> Result<Vec<Value>, WireError> {
    let Some(input) = find(members, "input") else { return Ok(Vec::new()) };
    match serde_json::from_str(input.value).map_err(|error| WireError::invalid("input", error.to_string()))? {
        Value::Array(items) => Ok(items),
        Value::String(text) => Ok(vec![json!({"type": "message", "role": "user", "content": text})]),
        other => {
            let message = format!("expected a string or an array, got {}", json::kind_of(&other));
            Err(WireError::invalid("input", message))
        }
    }
}

fn find<'a, 'b>(members: &'b [Member<'a>], key: &str) -> Option<&'b Member<'a>> {
    members.iter().find(|member| member.key == key && member.value != "null")
}

/// Another provider refuses a message with an id that it did not give. Reasoning has to have one.
fn forget_id(mut item: Value) -> Value {
    if let Value::Object(fields) = &mut item
        && fields.get("type").is_none_or(|kind| kind != "reasoning")
        && fields.get("id").and_then(Value::as_str).and_then(response_of).is_some()
    {
        fields.shift_remove("id");
    }
    item
}

/// The response at the end of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub span: Range<usize>,
    /// Where the value of its `store` stands.
    pub store: Option<Range<usize>>,
}

impl Ending {
    /// In a whole answer, or in the last bytes of a stream of ours, whose last event has it.
    pub fn find(bytes: &[u8]) -> Option<Self> {
        let at = |start: usize, bytes: &[u8]| -> Option<Self> {
            let members = json::members_of_answer(bytes, &["id", "store"]).ok()?;
            let id = serde_json::from_str(find(&members, "id")?.value).ok()?;
            let store = find(&members, "store").map(|m| start + m.value_span.start..start + m.value_span.end);
            Some(Self { id, span: start..start + bytes.len(), store })
        };
        if bytes.starts_with(b"{") {
            return at(0, bytes);
        }
        let last = |name: &[u8]| memchr::memmem::rfind(bytes, name).map(|found| found + name.len());
        let start =
            last(b"event: response.completed\ndata: ").or_else(|| last(b"event: response.incomplete\ndata: "))?;
        let rest = bytes.get(start..)?;
        let data = rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len()))?;
        let members = json::members_of_answer(data, &["response"]).ok()?;
        let span = find(&members, "response")?.value_span.clone();
        at(start + span.start, data.get(span)?)
    }
}

/// A turn as it is kept: what the client put in, and the response.
#[derive(Debug, Deserialize)]
pub struct Turn {
    input: Vec<Value>,
    response: Box<RawValue>,
}

impl Turn {
    /// The text to keep. `body`: the request as it was sent, whose input has `before` items in front of the client's own and `after` behind them. `response`: the
    /// response's JSON.
    pub fn encode(id: &str, body: &[u8], before: usize, after: usize, response: &[u8]) -> Vec<u8> {
        let mut input = json::members(body).and_then(|members| own(&members)).unwrap_or_default();
        input.truncate(input.len().saturating_sub(after));
        let input = input.split_off(before.min(input.len()));
        let digits = id.strip_prefix(PREFIX).unwrap_or_default();
        let items: Vec<Value> =
            input.into_iter().enumerate().map(|(number, item)| as_listed(item, digits, number)).collect();
        let mut out = Vec::with_capacity(response.len() + body.len());
        out.extend_from_slice(b"{\"input\":");
        out.extend_from_slice(Value::Array(items).to_string().as_bytes());
        out.extend_from_slice(b",\"response\":");
        out.extend_from_slice(response);
        out.push(b'}');
        out
    }

    /// Reads it again. `None`: it is none.
    pub fn decode(text: &[u8]) -> Option<Self> {
        json::read(text).ok()
    }

    /// The response, as its client got it.
    pub fn response(&self) -> &str {
        self.response.get()
    }

    /// What the next turn goes on with: input and output.
    pub fn into_items(self) -> Vec<Value> {
        let output = self.output();
        self.input.into_iter().chain(output).map(forget_id).collect()
    }

    /// An item of its input or output.
    pub fn item(&self, id: &str) -> Option<Value> {
        let named = |item: &Value| item.get("id").is_some_and(|own| own == id);
        self.output().into_iter().find(named).or_else(|| self.input.iter().find(|item| named(item)).cloned())
    }

    fn output(&self) -> Vec<Value> {
        let mut response: Value = serde_json::from_str(self.response.get()).unwrap_or_default();
        match response.get_mut("output").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        }
    }

    /// A page of its input.
    pub fn page(&self, page: &Page) -> Result<Value, WireError> {
        let mut items: Vec<&Value> = self.input.iter().collect();
        if page.descending {
            items.reverse();
        }
        let id = |item: &Value| item.get("id").cloned().unwrap_or_default();
        let start = match &page.after {
            None => 0,
            Some(after) => {
                items.iter().position(|item| id(item) == after.as_str()).map(|at| at + 1).ok_or_else(|| {
                    let message =
                        format!("this response has no input item `{:.100}`", after.escape_debug().to_string());
                    WireError::invalid("after", message)
                })?
            }
        };
        let rest = items.get(start..).unwrap_or_default();
        let data = rest.get(..page.limit.min(rest.len())).unwrap_or_default();
        let (first, last) = (data.first().map(|item| id(item)), data.last().map(|item| id(item)));
        Ok(
            json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": rest.len() > data.len()}),
        )
    }
}

/// An item of the input with everything that a list of items has: an id, and for messages a list of parts.
fn as_listed(mut item: Value, digits: &str, number: usize) -> Value {
    let Value::Object(fields) = &mut item else { return item };
    let kind = match fields.get("type").and_then(Value::as_str) {
        Some(kind) => kind.to_owned(),
        None => "message".to_owned(),
    };
    let prefix = match kind.as_str() {
        "message" => "msg",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "custom_tool_call" => "ctc",
        "custom_tool_call_output" => "ctco",
        "local_shell_call" => "lsh",
        "local_shell_call_output" => "lsho",
        "reasoning" => "rs",
        _ => "item",
    };
    if !fields.get("id").is_some_and(Value::is_string) {
        fields.insert("id".to_owned(), format!("{prefix}_{digits}_in{number}").into());
    }
    if kind == "message" {
        if let Some(Value::String(text)) = fields.get("content") {
            let part = match fields.get("role").and_then(Value::as_str) {
                Some("assistant") => json!({"type": "output_text", "text": text, "annotations": []}),
                _ => json!({"type": "input_text", "text": text}),
            };
            fields.insert("content".to_owned(), Value::Array(vec![part]));
        }
        fields.insert("type".to_owned(), kind.into());
        fields.entry("status").or_insert_with(|| "completed".into());
    }
    item
}

/// Which items of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Those behind this one.
    pub after: Option<String>,
    /// So many.
    pub limit: usize,
    /// The last one first.
    pub descending: bool,
}

impl Page {
    /// By the parameters of a query, decoded. What the API does not know is refused.
    pub fn of(query: impl Iterator<Item = (String, String)>) -> Result<Self, WireError> {
        let mut page = Self { after: None, limit: DEFAULT_PAGE, descending: true };
        for (key, value) in query {
            match key.as_str() {
                "after" => page.after = Some(value),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| PAGE.contains(limit));
                    page.limit = limit.ok_or_else(|| WireError::invalid("limit", "expected a number from 1 to 100"))?;
                }
                "order" => {
                    page.descending = match value.as_str() {
                        "asc" => false,
                        "desc" => true,
                        _ => return Err(WireError::invalid("order", "expected asc or desc")),
                    }
                }
                // Everything that there is comes anyway.
                "include" | "include[]" => {}
                other => {
                    let message = "a list of input items takes after, limit and order";
                    return Err(WireError::invalid(other.chars().take(40).collect::<String>(), message));
                }
            }
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "resp_tollgate_00000000000000000000000000000000000000ff";

    fn resolve(body: &str, earlier: Vec<Value>) -> Value {
        let kept = |id: &str| id.ends_with("_0").then(|| json!({"type": "function_call", "id": id, "call_id": "c"}));
        serde_json::from_slice(&resolved(&Bytes::from(body.to_owned()), earlier, kept).unwrap()).unwrap()
    }

    #[test]
    fn an_id_says_that_it_is_ours_and_so_do_its_items() {
        let mut random = [0; 20];
        random[19] = 255;
        assert_eq!(new_id(random), ID);
        assert!(is_ours(ID));
        assert_eq!(response_of("msg_00000000000000000000000000000000000000ff_3").as_deref(), Some(ID));
        assert_eq!(response_of("fco_00000000000000000000000000000000000000ff_in0").as_deref(), Some(ID));
        for id in ["resp_1", "resp_tollgate_", "resp_tollgate_00", &ID.replace("ff", "FF"), &format!("{ID}0")] {
            assert!(!is_ours(id), "{id}");
        }
        for id in ["", "msg_1_0", "msg_", ID] {
            assert_eq!(response_of(id), None, "{id}");
        }
    }

    #[test]
    fn only_what_is_ours_is_looked_for() {
        let asked = |body: &str| Asked::read(body.as_bytes());
        assert_eq!(asked(&format!(r#"{{"previous_response_id":"{ID}"}}"#)).previous.as_deref(), Some(ID));
        for body in [
            "",
            "[]",
            r#"{"previous_response_id":"resp_1"}"#,
            r#"{"previous_response_id":null}"#,
            r#"{"previous_response_id":7}"#,
        ] {
            assert_eq!(asked(body), Asked::default(), "{body}");
        }
        let item = "msg_00000000000000000000000000000000000000ff_0";
        let body = format!(
            r#"{{"input":[{{"type":"item_reference","id":"{item}"}},{{"type":"item_reference","id":"{item}"}},{{"type":"item_reference","id":"msg_1"}}]}}"#
        );
        assert_eq!(asked(&body).referenced, [ID]);
        assert!(wants_store(b"{}") && wants_store(br#"{"store":null}"#) && !wants_store(br#"{"store":false}"#));
    }

    #[test]
    fn a_request_is_resolved_to_one_that_needs_no_state() {
        let body = format!(r#"{{"model":"m", "previous_response_id":"{ID}","input":"next","x":1.0}}"#);
        let earlier = vec![json!({"role": "user", "content": "first"})];
        let expected = json!({"model": "m", "x": 1.0, "input": [
            {"role": "user", "content": "first"}, {"type": "message", "role": "user", "content": "next"},
        ]});
        assert_eq!(resolve(&body, earlier.clone()), expected);
        assert_eq!(resolve(r#"{"model":"m"}"#, earlier)["input"].as_array().map(Vec::len), Some(1));
        let named = r#"{"input":[{"type":"item_reference","id":"fc_00000000000000000000000000000000000000ff_0"},{"type":"item_reference","id":"fc_7"}]}"#;
        let expected = json!([{"type": "function_call", "call_id": "c"}, {"type": "item_reference", "id": "fc_7"}]);
        assert_eq!(resolve(named, Vec::new())["input"], expected);
        let missing = named.replace("ff_0", "ff_1");
        let error = resolved(&Bytes::from(missing), Vec::new(), |_| None).unwrap_err();
        assert!(error.to_string().starts_with("input[0]: no item `fc_"), "{error}");
        let error = resolved(&Bytes::from_static(br#"{"input":7}"#), Vec::new(), |_| None).unwrap_err();
        assert_eq!(error.to_string(), "input: expected a string or an array, got a number");
    }

    #[test]
    fn the_response_is_found_at_the_end_of_an_answer() {
        let whole = format!(r#"{{"id":"{ID}","store":true}}"#);
        let found = Ending::find(whole.as_bytes()).unwrap();
        assert_eq!((found.id.as_str(), &whole[found.span], &whole[found.store.unwrap()]), (ID, whole.as_str(), "true"));
        let stream = format!(
            "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"id\":\"other\"}}}}\n\nevent: response.incomplete\ndata: \
             {{\"type\":\"response.incomplete\",\"response\":{whole}}}\n\n"
        );
        let found = Ending::find(stream.as_bytes()).unwrap();
        assert_eq!(
            (found.id.as_str(), &stream[found.span], &stream[found.store.unwrap()]),
            (ID, whole.as_str(), "true")
        );
        for none in [
            "",
            "{",
            "data: {}\n\n",
            "event: response.failed\ndata: {\"response\":{\"id\":\"x\"}}\n\n",
            "event: response.completed\ndata: {",
        ] {
            assert_eq!(Ending::find(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn a_turn_is_kept_without_what_was_put_around_it() {
        let body = r#"{"input":[{"role":"system","content":"ours"},{"role":"user","content":"earlier"},{"role":"user","content":"own"},
            {"type":"function_call_output","call_id":"c","output":"o"},{"role":"user","content":"ours"}]}"#;
        let response = r#"{"id":"r","output":[{"id":"msg_00000000000000000000000000000000000000ff_0","type":"message","role":"assistant","content":[]}],"t":1.0}"#;
        let text = Turn::encode(ID, body.as_bytes(), 2, 1, response.as_bytes());
        let turn = Turn::decode(&text).unwrap();
        assert_eq!(turn.response(), response);
        let page = |query: &[(&str, &str)]| {
            let query = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Page::of(query).and_then(|page| turn.page(&page))
        };
        let digits = "00000000000000000000000000000000000000ff";
        let all = page(&[("order", "asc")]).unwrap();
        let expected = json!([
            {"role": "user", "content": [{"type": "input_text", "text": "own"}], "id": format!("msg_{digits}_in0"), "type": "message", "status": "completed"},
            {"type": "function_call_output", "call_id": "c", "output": "o", "id": format!("fco_{digits}_in1")},
        ]);
        assert_eq!((&all["data"], &all["has_more"]), (&expected, &json!(false)));
        let first = page(&[("limit", "1")]).unwrap();
        assert_eq!((&first["data"][0], &first["has_more"]), (&expected[1], &json!(true)), "the last one first");
        let next = page(&[("limit", "1"), ("after", first["last_id"].as_str().unwrap())]).unwrap();
        assert_eq!(
            (&next["data"][0], &next["has_more"], &next["first_id"]),
            (&expected[0], &json!(false), &next["last_id"])
        );
        let beyond = page(&[("after", next["last_id"].as_str().unwrap())]).unwrap();
        assert_eq!((&beyond["data"], &beyond["first_id"]), (&json!([]), &Value::Null));
        for (wrong, says) in [
            (("after", "x"), "no input item `x`"),
            (("limit", "0"), "1 to 100"),
            (("limit", "101"), "1 to 100"),
            (("order", "up"), "asc or desc"),
            (("before", "x"), "takes after"),
        ] {
            assert!(page(&[wrong]).unwrap_err().to_string().contains(says), "{wrong:?}");
        }
        assert!(turn.item(&format!("msg_{digits}_0")).is_some() && turn.item(&format!("msg_{digits}_in0")).is_some());
        let items = turn.into_items();
        assert_eq!(items.len(), 3);
        assert!(items.iter().all(|item| item.get("id").is_none()), "{items:?}");
    }

    #[test]
    fn reasoning_keeps_its_id_and_its_proof() {
        let item = json!({"type": "reasoning", "id": "rs_00000000000000000000000000000000000000ff_0", "encrypted_content": "tollgate.1.signature.x"});
        assert_eq!(forget_id(item.clone()), item);
    }
}
