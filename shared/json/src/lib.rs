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

/// Why a text that may well be an object has no members here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// More than [`MAX_MEMBERS`].
    TooMany,
    /// This key stands in it twice.
    Twice(String),
}

/// The members of a text that is one object. `None`: it is no JSON, no object, nested deeper than [`MAX_DEPTH`], or has `max_values` commas or more outside of its
/// texts.
///
/// # Errors
///
/// It is one whose members are not told: [`Refused`].
pub fn members(text: &str, max_values: usize) -> Result<Option<Vec<Member<'_>>>, Refused> {
    Walker { text, at: 0, values_left: max_values }.object()
}

/// Walks a text once, by JSON's grammar (RFC 8259). `None` everywhere: here it is no JSON, or too much of it.
struct Walker<'a> {
    text: &'a str,
    at: usize,
    values_left: usize,
}

impl<'a> Walker<'a> {
    /// All of the text, as one object.
    fn object(&mut self) -> Result<Option<Vec<Member<'a>>>, Refused> {
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
                    return Err(Refused::TooMany);
                }
                if members.iter().any(|m| m.key == member.key) {
                    return Err(Refused::Twice(member.key.into_owned()));
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
