//! A JSON object's members by their place in the text, found in one walk. Apart from the dialects that read them: this runs over every byte of every body,
//! and is compiled for speed.

use std::borrow::Cow;
use std::ops::Range;

/// Deeper nesting is no object here. `serde_json`'s own recursion limit is the same.
pub const MAX_DEPTH: usize = 127;
/// More top-level members are refused: every one is compared with all before it. The largest real requests have some 40.
pub const MAX_MEMBERS: usize = 512;

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

/// Where the walk stopped, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The byte of the text; its length, where the text ended too early.
    pub at: usize,
    /// What is wrong there.
    pub why: Why,
}

/// Why a text has no members here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It does not begin as an object.
    NotAnObject,
    /// JSON's grammar has something else there.
    Grammar,
    /// A string has a control character that is not escaped.
    ControlCharacter,
    /// It is nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// It has more values than the caller takes.
    TooManyValues,
    /// It has more members than [`MAX_MEMBERS`].
    TooManyMembers,
    /// This key stands in it twice.
    Twice(String),
}

/// The members of a text that is one object, each key once, of `max_values` values at most.
///
/// # Errors
///
/// It is something else: where, and what.
pub fn members(text: &str, max_values: usize) -> Result<Vec<Member<'_>>, Refused> {
    Walker::new(text, max_values).walk(&Wanted::All)
}

/// The members of these keys, of a text that is one object; of a key that stands in it several times, the last, as `JSON.parse` and Python's `json` have it.
/// The object may have as many others as it likes.
///
/// # Errors
///
/// It is no JSON, no object, or too deep: where, and what.
pub fn last_members<'a>(text: &'a str, keys: &[&str]) -> Result<Vec<Member<'a>>, Refused> {
    Walker::new(text, usize::MAX).walk(&Wanted::Last(keys))
}

/// Which members are told.
enum Wanted<'k> {
    /// All; none may have the key of another.
    All,
    /// Those of these keys, the last of each.
    Last(&'k [&'k str]),
}

/// Walks a text once, by JSON's grammar (RFC 8259). `None` everywhere: it stops, at `at`, because of `why`.
struct Walker<'a> {
    text: &'a str,
    at: usize,
    values_left: usize,
    why: Why,
}

impl<'a> Walker<'a> {
    fn new(text: &'a str, max_values: usize) -> Self {
        Self { text, at: 0, values_left: max_values, why: Why::Grammar }
    }

    fn walk(mut self, wanted: &Wanted<'_>) -> Result<Vec<Member<'a>>, Refused> {
        match self.object(wanted) {
            Some(members) => Ok(members),
            None => Err(Refused { at: self.at, why: self.why }),
        }
    }

    /// All of the text, as one object.
    fn object(&mut self, wanted: &Wanted<'_>) -> Option<Vec<Member<'a>>> {
        let mut members: Vec<Member<'a>> = Vec::new();
        self.skip_whitespace();
        if self.take(b'{').is_none() {
            return self.stop(Why::NotAnObject);
        }
        self.skip_whitespace();
        if self.take(b'}').is_none() {
            members.reserve(12);
            loop {
                let member = self.member()?;
                self.keep(member, wanted, &mut members)?;
                self.skip_whitespace();
                if self.peek()? == b',' {
                    self.comma()?;
                    continue;
                }
                self.take(b'}')?;
                break;
            }
        }
        self.skip_whitespace();
        (self.at == self.text.len()).then_some(members)
    }

    #[inline(always)]
    fn keep(&mut self, member: Member<'a>, wanted: &Wanted<'_>, members: &mut Vec<Member<'a>>) -> Option<()> {
        let same = members.iter().position(|other| other.key == member.key);
        match (wanted, same) {
            (Wanted::All, None) if members.len() < MAX_MEMBERS => members.push(member),
            (Wanted::All, None) => return self.stop(Why::TooManyMembers),
            (Wanted::All, Some(_)) => {
                self.at = member.key_span.start;
                return self.stop(Why::Twice(member.key.into_owned()));
            }
            (Wanted::Last(keys), _) if !keys.contains(&&*member.key) => {}
            (Wanted::Last(_), None) => members.push(member),
            (Wanted::Last(_), Some(earlier)) => {
                members.remove(earlier);
                members.push(member);
            }
        }
        Some(())
    }

    #[cold]
    fn stop<T>(&mut self, why: Why) -> Option<T> {
        self.why = why;
        None
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
                            return self.stop(Why::TooDeep);
                        }
                        objects = objects << 1 | u128::from(is_object);
                        if is_object {
                            self.string()?;
                            self.colon()?;
                        }
                        continue;
                    }
                    if depth == MAX_DEPTH {
                        return self.stop(Why::TooDeep);
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
                if self.peek()? == b',' {
                    self.comma()?;
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

    /// Goes past a comma, behind which there is one more value.
    #[inline(always)]
    fn comma(&mut self) -> Option<()> {
        if self.values_left <= 1 {
            return self.stop(Why::TooManyValues);
        }
        self.values_left -= 1;
        self.at += 1;
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
                _ => return self.stop(Why::ControlCharacter),
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
        let rest = self.text.as_bytes().get(self.at..)?;
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Some(());
        }
        self.at += rest.iter().zip(word.as_bytes()).take_while(|(one, other)| one == other).count();
        None
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
pub fn string(value: &str) -> Option<Cow<'_, str>> {
    let inside = value.strip_prefix('"')?.strip_suffix('"')?;
    if plain_end(inside.as_bytes(), 0) == inside.len() {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str(value).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_end_of_what_is_plain_is_found_byte_by_byte(text in "[ -~\"\\\\\u{1}\u{1f}\u{20}\u{7f}\u{e9}\u{4e2d}]{0,40}", at in 0usize..8) {
            let expected = text.bytes().enumerate().skip(at).find(|(_, b)| *b < 0x20 || matches!(b, b'"' | b'\\'));
            prop_assert_eq!(plain_end(text.as_bytes(), at), expected.map_or(text.len().max(at), |(at, _)| at));
        }
    }

    #[test]
    fn a_string_is_the_text_in_it() {
        for (value, text) in [
            (r#""""#, Some("")),
            (r#""a b""#, Some("a b")),
            (r#""a\u00e9\n""#, Some("aé\n")),
            ("1", None),
            (r#""a"#, None),
            (r#"""#, None),
        ] {
            assert_eq!(string(value).as_deref(), text, "{value}");
        }
    }
}
