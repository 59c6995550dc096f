//! A JSON object's top-level members, by their place in the text: enough to read a few fields and to edit them in place, without a tree.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tollgate_json::{MAX_DEPTH, MAX_MEMBERS, Why};
pub use tollgate_json::{Member, string};

use crate::error::WireError;

/// A body of more values is refused: `[],[],[],...` takes 3 bytes a value here, and some 100 in each tree that a translation builds. The text
/// and the images of a large request are few values.
const MAX_VALUES: usize = 500_000;

/// Checks that `body` is one JSON object, no key twice, not too deep, of a bearable number of values; and says where its members are.
///
/// # Errors
///
/// It is something else: what, and where.
pub fn members(body: &[u8]) -> Result<Vec<Member<'_>>, WireError> {
    let text = text(body).map_err(not_json)?;
    tollgate_json::members(text, MAX_VALUES).map_err(|refused| match refused.why {
        Why::Twice(key) => WireError::invalid(key, "the key stands twice in the object; send it once"),
        why => not_json(what_is_wrong(text, refused.at, &why)),
    })
}

/// The members of these keys in what an upstream answered. It may have whatever else it likes, and a key several times: the last counts, as it does for the
/// providers' SDKs, which read by `JSON.parse` (<https://tc39.es/ecma262/#sec-json.parse>) or Python's `json`
/// (<https://docs.python.org/3/library/json.html#repeated-names-within-an-object>).
///
/// # Errors
///
/// It is no JSON object, or nested too deep: what, and where.
pub(crate) fn members_of_answer<'a>(body: &'a [u8], keys: &[&str]) -> Result<Vec<Member<'a>>, WireError> {
    let bad = |message: String| WireError::BadAnswer(message);
    let text = text(body).map_err(bad)?;
    tollgate_json::last_members(text, keys).map_err(|refused| bad(what_is_wrong(text, refused.at, &refused.why)))
}

/// Reads a value. That it is UTF-8 is looked at once, where `serde_json::from_slice` would look at each of its strings.
///
/// # Errors
///
/// It is no JSON, or not of this shape.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_str(text(body).map_err(serde::de::Error::custom)?)
}

/// Writes a value. Its `to_string` goes through a formatter, which costs twice as much.
pub(crate) fn bytes(value: &Value) -> Bytes {
    // Its keys are strings: writing it cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// An object of values that are moved into it. `serde_json::json!` would write each of them anew.
macro_rules! object {
    ($($key:literal: $value:expr),* $(,)?) => {
        serde_json::Value::Object(serde_json::Map::from_iter([$(($key.to_owned(), serde_json::Value::from($value))),*]))
    };
}
pub(crate) use object;

fn text(body: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(body).map_err(|error| format!("invalid UTF-8 at byte {}", error.valid_up_to()))
}

fn not_json(message: String) -> WireError {
    WireError::NotJson { message }
}

/// In words, for whoever wrote the text.
fn what_is_wrong(text: &str, at: usize, why: &Why) -> String {
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
    let what = match (why, rest.chars().next()) {
        (Why::TooManyMembers, _) => return format!("its object has more than {MAX_MEMBERS} members"),
        (Why::TooManyValues, _) => return format!("it has more than {MAX_VALUES} values"),
        (Why::Twice(key), _) => return format!("the key `{key}` stands twice in it"),
        (_, None) if before.trim_ascii().is_empty() => return "it is empty".to_owned(),
        (Why::TooDeep, _) => format!("it is nested deeper than {MAX_DEPTH} levels"),
        (_, None) => "it ends too early".to_owned(),
        (Why::NotAnObject, Some(_)) => "expected an object".to_owned(),
        (Why::ControlCharacter, Some(char)) => format!("the control character {char:?} in a string has to be escaped"),
        (Why::Grammar, Some(char)) => format!("unexpected {char:?}"),
    };
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let lines = memchr::memchr_iter(b'\n', before.as_bytes()).count();
    let column = before.get(line_start..).unwrap_or_default().chars().count();
    format!("{what} at line {} column {}", lines + 1, column + 1)
}

/// Where the value of a member stands. `None`: the object has no such member, or it is no object.
pub(crate) fn member(object: &[u8], key: &str) -> Option<Range<usize>> {
    members_of_answer(object, &[key]).ok()?.first().map(|member| member.value_span.clone())
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

/// Does this stand in it, anywhere?
pub fn mentions(body: &[u8], word: &str) -> bool {
    memchr::memmem::find(body, word.as_bytes()).is_some()
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

/// The text with these places replaced, in any order; they do not overlap.
pub fn spliced(body: &[u8], mut cuts: Vec<(Range<usize>, String)>) -> Vec<u8> {
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
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn keys(body: &str) -> Vec<(String, String)> {
        members(body.as_bytes()).unwrap().into_iter().map(|m| (m.key.into_owned(), m.value.to_owned())).collect()
    }

    #[test]
    fn places_are_replaced_in_any_order() {
        let cuts = vec![(6..8, "BB".to_owned()), (1..2, String::new()), (9..9, "a".to_owned()), (9..9, "b".to_owned())];
        assert_eq!(spliced(b"0123456789", cuts), b"02345BB8ab9");
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
    fn what_is_wrong_is_said_with_its_place() {
        let deep = format!("{{\n\"a\":{}", "[".repeat(200));
        for (body, expected) in [
            ("", "it is empty"),
            (" \n", "it is empty"),
            ("[]", "expected an object at line 1 column 1"),
            ("{", "it ends too early at line 1 column 2"),
            ("{\"a\":\"x", "it ends too early at line 1 column 8"),
            ("{\"a\":tru", "it ends too early at line 1 column 9"),
            ("{\"é\":\n tRue}", "unexpected 'R' at line 2 column 3"),
            ("{\"a\":1,}", "unexpected '}' at line 1 column 8"),
            ("{'a':1}", "unexpected '\\'' at line 1 column 2"),
            ("{}{}", "unexpected '{' at line 1 column 3"),
            ("{\"a\":\"\n\"}", "the control character '\\n' in a string has to be escaped at line 1 column 7"),
            ("{\"a\":\"\\x\"}", "unexpected 'x' at line 1 column 8"),
            (&deep, "it is nested deeper than 127 levels at line 2 column 132"),
        ] {
            let said = format!("the request body is not valid JSON: {expected}");
            assert_eq!(members(body.as_bytes()).unwrap_err().to_string(), said, "{body:?}");
        }
    }

    #[test]
    fn an_answer_may_repeat_its_keys_and_the_last_counts() {
        let answer = |body: &str| -> Vec<(String, String)> {
            let found = members_of_answer(body.as_bytes(), &["usage", "model"]).unwrap();
            found.into_iter().map(|m| (m.key.into_owned(), m.value.to_owned())).collect()
        };
        let pairs =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
        assert_eq!(
            answer(r#"{"usage":1,"x":0,"x":1,"us\u0061ge":2,"model":"m"}"#),
            pairs(&[("usage", "2"), ("model", "\"m\"")])
        );
        assert_eq!(answer("{}"), pairs(&[]));
        let many: Vec<String> = (0..100_000).map(|i| format!("\"k{i}\":[{i},0]")).collect();
        assert_eq!(answer(&format!("{{{},\"model\":0,{0}}}", many.join(","))), pairs(&[("model", "0")]));
        for (body, said) in
            [("{\"usage\":1,}", "unexpected '}' at line 1 column 12"), ("[]", "expected an object at line 1 column 1")]
        {
            let error = members_of_answer(body.as_bytes(), &["usage"]).unwrap_err();
            assert_eq!(error, WireError::BadAnswer(said.to_owned()));
        }
    }

    #[test]
    fn a_body_of_countless_values_is_refused_and_commas_in_texts_are_none() {
        let list = |n: usize| format!("{{\"a\":[{}[]]}}", "[],".repeat(n));
        assert!(members(list(MAX_VALUES - 1).as_bytes()).is_ok());
        assert!(members(list(MAX_VALUES).as_bytes()).unwrap_err().to_string().contains("more than 500000 values"));
        assert!(members(format!("{{\"a\":[{}]}}", "[],".repeat(MAX_VALUES)).as_bytes()).is_err());
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
