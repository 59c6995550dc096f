//! A JSON object's top-level members, by their place in the text: enough to read a few fields and to edit them in place, without a tree.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::error::WireError;

/// Deeper nesting is refused. `serde_json`'s own recursion limit is the same.
const MAX_DEPTH: usize = 127;
/// More top-level members are refused: every one is compared with all before it. The largest real requests have some 40.
const MAX_MEMBERS: usize = 512;
/// A body of more values is refused: `[],[],[],...` takes 3 bytes a value here, and some 100 in each tree that a translation builds. The text
/// and the images of a large request are few values.
const MAX_VALUES: usize = 500_000;

/// One member of the top-level object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its key, unescaped.
    pub key: Cow<'a, str>,
    /// Where the key stands, quotes included.
    pub key_span: Range<usize>,
    /// Where the value stands.
    pub value_span: Range<usize>,
    /// The value's text.
    pub value: &'a str,
}

/// Checks that `body` is one JSON object, no key twice, not too deep; and says where its members are.
pub fn members(body: &[u8]) -> Result<Vec<Member<'_>>, WireError> {
    let not_json = |message: String| WireError::NotJson { message };
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(not_json("it is empty".to_owned()));
    }
    let text = std::str::from_utf8(body).map_err(|e| not_json(format!("invalid UTF-8 at byte {}", e.valid_up_to())))?;
    check_shape(body)?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|e| not_json(e.to_string()))?;
    let mut scanner = Scanner { text, at: 0 };
    scanner.skip_whitespace();
    if scanner.peek() != Some(b'{') {
        return Err(not_json("expected an object".to_owned()));
    }
    scanner.at += 1;
    let mut members: Vec<Member<'_>> = Vec::with_capacity(12);
    while let Some(member) = scanner.member() {
        if members.len() == MAX_MEMBERS {
            return Err(not_json(format!("its object has more than {MAX_MEMBERS} members")));
        }
        if members.iter().any(|m| m.key == member.key) {
            return Err(WireError::invalid(member.key, "the key stands twice in the object; send it once"));
        }
        members.push(member);
    }
    Ok(members)
}

/// Depth and number of values.
fn check_shape(body: &[u8]) -> Result<(), WireError> {
    let (mut depth, mut commas, mut at) = (0usize, 0usize, 0usize);
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => {
                at = string_end(body, at);
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(WireError::NotJson { message: format!("it is nested deeper than {MAX_DEPTH} levels") });
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => commas += 1,
            _ => {}
        }
        at += 1;
    }
    if commas >= MAX_VALUES {
        return Err(WireError::NotJson { message: format!("it has more than {MAX_VALUES} values") });
    }
    Ok(())
}

/// The place behind the string that begins at `start` with its quote; the end of the text, if it has no end of its own.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(offset) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += offset;
        if text.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

/// Walks text that is already known to be valid JSON.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_whitespace(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn slice(&self, span: &Range<usize>) -> &'a str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    fn member(&mut self) -> Option<Member<'a>> {
        self.skip_whitespace();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.skip_whitespace();
        }
        if self.peek() != Some(b'"') {
            return None;
        }
        let key_span = self.string();
        let raw = self.slice(&(key_span.start + 1..key_span.end.saturating_sub(1)));
        let key = if raw.contains('\\') {
            serde_json::from_str::<String>(self.slice(&key_span)).map_or(Cow::Borrowed(raw), Cow::Owned)
        } else {
            Cow::Borrowed(raw)
        };
        self.skip_whitespace();
        self.at += 1; // the colon
        self.skip_whitespace();
        let value_span = self.value();
        Some(Member { key, key_span, value: self.slice(&value_span), value_span })
    }

    fn string(&mut self) -> Range<usize> {
        let start = self.at;
        self.at = string_end(self.text.as_bytes(), start);
        start..self.at
    }

    fn value(&mut self) -> Range<usize> {
        let start = self.at;
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string();
                    if depth == 0 {
                        break;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => break,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        break;
                    }
                }
                b',' if depth == 0 => break,
                b if depth == 0 && b.is_ascii_whitespace() => break,
                _ => {}
            }
            self.at += 1;
        }
        start..self.at
    }
}

/// The text with another one in the place of a value.
pub fn replace(body: &[u8], span: &Range<usize>, value: &str) -> Bytes {
    let mut out = Vec::with_capacity(body.len() + value.len());
    out.extend_from_slice(body.get(..span.start).unwrap_or_default());
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(body.get(span.end..).unwrap_or_default());
    out.into()
}

/// An object of these members alone, as they were written; `first` is a member that comes before them, or nothing.
pub fn kept(body: &[u8], first: &str, keep: &dyn Fn(&str) -> bool) -> Result<Bytes, WireError> {
    let mut out = Vec::with_capacity(body.len() + first.len());
    out.push(b'{');
    out.extend_from_slice(first.as_bytes());
    for member in members(body)?.iter().filter(|member| keep(&member.key)) {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(body.get(member.key_span.clone()).unwrap_or_default());
        out.push(b':');
        out.extend_from_slice(member.value.as_bytes());
    }
    out.push(b'}');
    Ok(out.into())
}

/// What kind of JSON value a text is, for error messages.
pub fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(_) => "a number",
        None => "nothing",
    }
}

/// The same for a value of a tree.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The text with these places replaced; they do not overlap.
pub(crate) fn spliced(body: &[u8], mut cuts: Vec<(Range<usize>, String)>) -> Vec<u8> {
    cuts.sort_by_key(|(span, _)| span.start);
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut at = 0;
    for (span, text) in cuts {
        out.extend_from_slice(body.get(at..span.start).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
        at = span.end;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(body: &str) -> Vec<(String, String)> {
        members(body.as_bytes()).unwrap().into_iter().map(|m| (m.key.into_owned(), m.value.to_owned())).collect()
    }

    #[test]
    fn members_are_found_with_their_text() {
        let found = keys(" { \"a\" : [1, {\"b\":\"]}\\\"\"}] ,\n\"c\":null,\"d\":-1.5e3 , \"e\":\"x,}\" } ");
        let expected = [("a", "[1, {\"b\":\"]}\\\"\"}]"), ("c", "null"), ("d", "-1.5e3"), ("e", "\"x,}\"")];
        assert_eq!(found, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn members_are_kept_as_they_were_written() {
        let body = br#"{"a": [1.0, {"b":1}] ,"c":2, "d\u0065": 1e3}"#;
        assert_eq!(kept(body, "", &|key| key != "c").unwrap(), r#"{"a":[1.0, {"b":1}],"d\u0065":1e3}"#);
        assert_eq!(kept(body, r#""x":0"#, &|key| key == "de").unwrap(), r#"{"x":0,"d\u0065":1e3}"#);
        assert_eq!(kept(body, "", &|_| false).unwrap(), "{}");
    }

    #[test]
    fn an_escaped_key_is_the_same_key() {
        assert_eq!(keys(r#"{"mod\u0065l":"x"}"#), [("model".to_owned(), "\"x\"".to_owned())]);
        assert!(members(br#"{"mod\u0065l":"x","model":"y"}"#).is_err());
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for body in [
            "",
            "  ",
            "[]",
            "null",
            "{",
            "{}{}",
            "{\"a\":}",
            "{\"a\":1,}",
            "\"x\"",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":\"\n\"}",
        ] {
            assert!(matches!(members(body.as_bytes()), Err(WireError::NotJson { .. })), "{body:?}");
        }
        assert!(members(b"{\"a\":\"\xff\"}").unwrap_err().to_string().contains("UTF-8 at byte 6"));
    }

    #[test]
    fn deep_nesting_is_refused_and_deep_strings_are_not() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(members(deep.as_bytes()).unwrap_err().to_string().contains("nested deeper"));
        assert_eq!(keys(&format!("{{\"a\":\"{}\"}}", "[".repeat(10_000))).len(), 1);
    }

    #[test]
    fn a_body_of_countless_values_is_refused_and_commas_in_texts_are_none() {
        let list = |n: usize| format!("{{\"a\":[{}[]]}}", "[],".repeat(n));
        assert!(members(list(MAX_VALUES - 1).as_bytes()).is_ok());
        assert!(members(list(MAX_VALUES).as_bytes()).unwrap_err().to_string().contains("more than 500000 values"));
        assert_eq!(keys(&format!("{{\"a\":\"{}\"}}", ",".repeat(MAX_VALUES))).len(), 1);
    }

    #[test]
    fn an_object_of_countless_members_is_refused_and_not_compared() {
        let object = |n: usize| {
            let members: Vec<String> = (0..n).map(|i| format!("\"k{i}\":1")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(keys(&object(MAX_MEMBERS)).len(), MAX_MEMBERS);
        let error = members(object(400_000).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("more than 512 members"), "{error}");
    }

    proptest! {
        #[test]
        fn the_scanner_agrees_with_serde_json(value in json_value()) {
            let object = serde_json::json!({"first": value, "x": 1});
            let text = serde_json::to_string_pretty(&object).unwrap();
            let found = members(text.as_bytes()).unwrap();
            let back: serde_json::Map<String, serde_json::Value> =
                found.iter().map(|m| (m.key.to_string(), serde_json::from_str(m.value).unwrap())).collect();
            prop_assert_eq!(serde_json::Value::Object(back), object);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = members(&bytes);
        }
    }

    fn json_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[\"\\\\\\[\\]{},: a-z\u{e9}]{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::Array),
                proptest::collection::vec(("[a-z\"\\\\]{0,4}", inner), 0..5)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }
}
