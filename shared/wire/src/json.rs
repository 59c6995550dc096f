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

/// Checks that `body` is one JSON object, no key twice, not too deep, of a bearable number of values; and says where its members are.
///
/// # Errors
///
/// It is something else. The words are `serde_json`'s, where it is no JSON.
pub fn members(body: &[u8]) -> Result<Vec<Member<'_>>, WireError> {
    members_within(body, MAX_VALUES)
}

/// The same of what an upstream answered: it may have as many values as it likes.
pub(crate) fn members_of_answer(body: &[u8]) -> Result<Vec<Member<'_>>, WireError> {
    members_within(body, usize::MAX)
}

fn members_within(body: &[u8], max_values: usize) -> Result<Vec<Member<'_>>, WireError> {
    let text = std::str::from_utf8(body).map_err(|e| not_json(format!("invalid UTF-8 at byte {}", e.valid_up_to())))?;
    let mut walker = Walker { text, at: 0, values_left: max_values };
    walker.object()?.ok_or_else(|| why_not(text, max_values))
}

fn not_json(message: String) -> WireError {
    WireError::NotJson { message }
}

/// What is wrong with a text that is no object. Walked again: only the few that are wrong have to be explained.
fn why_not(text: &str, max_values: usize) -> WireError {
    if text.bytes().all(|byte| byte.is_ascii_whitespace()) {
        return not_json("it is empty".to_owned());
    }
    let wrong = check_shape(text.as_bytes(), max_values).err();
    let wrong = wrong.or_else(|| serde_json::from_str::<IgnoredAny>(text).err().map(|e| not_json(e.to_string())));
    wrong.unwrap_or_else(|| not_json("expected an object".to_owned()))
}

/// Depth and number of values.
fn check_shape(body: &[u8], max_values: usize) -> Result<(), WireError> {
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
                    return Err(not_json(format!("it is nested deeper than {MAX_DEPTH} levels")));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => commas += 1,
            _ => {}
        }
        at += 1;
    }
    if commas >= max_values {
        return Err(not_json(format!("it has more than {max_values} values")));
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

/// Walks a text once, by JSON's grammar (RFC 8259). `None` everywhere: here it is no JSON, or too much of it.
struct Walker<'a> {
    text: &'a str,
    at: usize,
    values_left: usize,
}

impl<'a> Walker<'a> {
    /// All of the text, as one object.
    fn object(&mut self) -> Result<Option<Vec<Member<'a>>>, WireError> {
        let mut members: Vec<Member<'a>> = Vec::new();
        self.skip_whitespace();
        if self.take(b'{').is_none() {
            return Ok(None);
        }
        self.skip_whitespace();
        if self.take(b'}').is_none() {
            members.reserve(12);
            loop {
                let Some(member) = self.member() else { return Ok(None) };
                if members.len() == MAX_MEMBERS {
                    return Err(not_json(format!("its object has more than {MAX_MEMBERS} members")));
                }
                if members.iter().any(|m| m.key == member.key) {
                    return Err(WireError::invalid(member.key, "the key stands twice in the object; send it once"));
                }
                members.push(member);
                self.skip_whitespace();
                if self.comma().is_some() {
                    continue;
                }
                if self.take(b'}').is_none() {
                    return Ok(None);
                }
                break;
            }
        }
        self.skip_whitespace();
        Ok((self.at == self.text.len()).then_some(members))
    }

    fn member(&mut self) -> Option<Member<'a>> {
        let start = self.at;
        let escaped = self.string()?;
        let key_span = start..self.at;
        let raw = self.slice(&(key_span.start + 1..key_span.end.saturating_sub(1)));
        let unescaped = escaped.then(|| serde_json::from_str::<String>(self.slice(&key_span)).ok()).flatten();
        let key = unescaped.map_or(Cow::Borrowed(raw), Cow::Owned);
        self.colon()?;
        let start = self.at;
        self.value()?;
        let value_span = start..self.at;
        Some(Member { key, key_span, value: self.slice(&value_span), value_span })
    }

    /// A value inside the object, with all that is in it.
    fn value(&mut self) -> Option<()> {
        // What is open: one bit per level, set where it is an object. The object around it is the first level.
        let (mut objects, mut depth) = (0u128, 1usize);
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                open @ (b'{' | b'[') => {
                    self.at += 1;
                    self.skip_whitespace();
                    let is_object = open == b'{';
                    if self.take(if is_object { b'}' } else { b']' }).is_none() {
                        depth += 1;
                        if depth > MAX_DEPTH {
                            return None;
                        }
                        objects = objects << 1 | u128::from(is_object);
                        if is_object {
                            self.string()?;
                            self.colon()?;
                        }
                        continue;
                    }
                    if depth == MAX_DEPTH {
                        return None;
                    }
                }
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => self.number()?,
            }
            loop {
                if depth == 1 {
                    return Some(());
                }
                self.skip_whitespace();
                let in_object = objects & 1 == 1;
                if self.comma().is_some() {
                    if in_object {
                        self.string()?;
                        self.colon()?;
                    }
                    break;
                }
                self.take(if in_object { b'}' } else { b']' })?;
                depth -= 1;
                objects >>= 1;
            }
        }
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline(always)]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    #[inline(always)]
    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn comma(&mut self) -> Option<()> {
        self.take(b',')?;
        self.values_left = self.values_left.checked_sub(1).filter(|left| *left > 0)?;
        self.skip_whitespace();
        Some(())
    }

    #[inline(always)]
    fn colon(&mut self) -> Option<()> {
        self.skip_whitespace();
        self.take(b':')?;
        self.skip_whitespace();
        Some(())
    }

    #[inline(always)]
    fn slice(&self, span: &Range<usize>) -> &'a str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// A string, quotes included. Has it escapes?
    fn string(&mut self) -> Option<bool> {
        self.take(b'"')?;
        let mut escaped = false;
        loop {
            self.at = plain_end(self.text.as_bytes(), self.at);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(escaped);
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        self.at += 1;
        match self.peek()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                let digits = self.text.as_bytes().get(self.at + 1..self.at + 5)?;
                digits.iter().all(u8::is_ascii_hexdigit).then(|| self.at += 5)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        let end = self.at + word.len();
        (self.text.as_bytes().get(self.at..end)? == word.as_bytes()).then(|| self.at = end)
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

/// The next byte from `at` on that a string does not hold as it is: its quote, a backslash, a control character. Eight at a time: prompts are long.
fn plain_end(text: &[u8], at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    // Sets the top bit of the lowest byte that is less than `n`, for bytes and `n` below 0x80; above that byte there may be bits that mean nothing.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word;
    let (words, rest) = text.get(at..).unwrap_or_default().as_chunks::<8>();
    for (index, bytes) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let odd = (quote | backslash | below(word, 0x20)) & TOPS;
        if odd != 0 {
            return at + 8 * index + odd.trailing_zeros() as usize / 8;
        }
    }
    let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20));
    at + 8 * words.len() + plain.count()
}

/// The text of a value that is a string.
pub(crate) fn string(value: &str) -> Option<Cow<'_, str>> {
    let inside = value.strip_prefix('"')?.strip_suffix('"')?;
    if plain_end(inside.as_bytes(), 0) == inside.len() {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str(value).ok().map(Cow::Owned)
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
            "{\"a\":1 \"b\":2}",
            "{\"a\" 1}",
            "{,}",
            "{\"a\":[1,]}",
            "{\"a\":[1}",
            "{\"a\":{\"b\"}}",
            "{\"a\":tru}",
            "{\"a\":-}",
            "{\"a\":1.}",
            "{\"a\":1e}",
            "{\"a\":+1}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":1}x",
            "{\"a\":\u{c}1}",
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
        fn what_is_json_is_what_serde_json_takes(text in "[{}\\[\\]\":,0-9.eE+\\-\\\\ untrfalse\n\u{1}\u{e9}]{0,24}") {
            let text = format!("{{\"k\":{text}}}");
            let taken = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            match members(text.as_bytes()) {
                Ok(_) => prop_assert!(taken, "{}", text),
                Err(WireError::NotJson { .. }) => prop_assert!(!taken, "{}", text),
                // A key that stands twice.
                Err(_) => {}
            }
        }

        #[test]
        fn a_changed_byte_is_judged_as_serde_json_judges_it(value in json_value(), at in any::<prop::sample::Index>(), byte in 0u8..0x80) {
            let mut text = serde_json::json!({ "first": value }).to_string().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            let taken = serde_json::from_slice::<serde_json::Map<String, Value>>(&text).is_ok();
            // Lone surrogates: a text for the grammar, none for whoever reads it.
            let skipped = serde_json::from_slice::<IgnoredAny>(&text).is_ok();
            match members(&text) {
                Ok(_) => prop_assert!(skipped),
                Err(WireError::NotJson { .. }) => prop_assert!(!taken),
                Err(_) => {}
            }
        }

        #[test]
        fn the_end_of_what_is_plain_is_found_byte_by_byte(text in "[ -~\"\\\\\u{1}\u{1f}\u{20}\u{7f}\u{e9}\u{4e2d}]{0,40}", at in 0usize..8) {
            let expected = text.bytes().enumerate().skip(at).find(|(_, b)| *b < 0x20 || matches!(b, b'"' | b'\\'));
            prop_assert_eq!(plain_end(text.as_bytes(), at), expected.map_or(text.len().max(at), |(at, _)| at));
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
