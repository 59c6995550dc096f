//! A record as JSON, to the byte what `serde_json` writes. Every request writes one, of some forty members whose names need no escapes and whose texts hardly
//! ever do: `serde_json` looks at each byte of all of them, and writes each quote by itself.

use serde::ser::{Error as _, Impossible, Serialize, SerializeSeq, SerializeStruct, Serializer};
use serde_json::Error;

/// Appends the record.
///
/// # Errors
///
/// It has a shape that no line has: only structs, lists, texts, numbers and flags.
pub(crate) fn append(line: &mut Vec<u8>, record: &impl Serialize) -> Result<(), Error> {
    record.serialize(Line(line))
}

struct Line<'a>(&'a mut Vec<u8>);

/// A list or an object that has begun.
struct Members<'a> {
    line: &'a mut Vec<u8>,
    begun: bool,
}

/// Does it hold nothing that JSON escapes? Eight bytes at a time, without a way out of the loop: most texts are plain, and short.
fn is_plain(text: &str) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // Has a bit among the bytes' highest if one of them is less than `n`.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word;
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let odd = words.iter().fold(0, |odd, bytes| {
        let word = u64::from_ne_bytes(*bytes);
        let (quote, backslash) = (word ^ (ONES * u64::from(b'"')), word ^ (ONES * u64::from(b'\\')));
        odd | below(word, 0x20) | below(quote, 1) | below(backslash, 1)
    });
    odd & (ONES << 7) == 0 && !rest.iter().any(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'))
}

fn other(shape: &str) -> Error {
    Error::custom(format!("a line has no {shape}"))
}

macro_rules! as_serde_json_has_it {
    ($($name:ident: $kind:ty,)*) => {
        $(fn $name(self, value: $kind) -> Result<(), Error> {
            serde_json::to_writer(self.0, &value)
        })*
    };
}

impl<'a> Serializer for Line<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Members<'a>;
    type SerializeStruct = Members<'a>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    as_serde_json_has_it! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
        serialize_bytes: &[u8],
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        if !is_plain(text) {
            return serde_json::to_writer(self.0, text);
        }
        self.0.reserve(text.len() + 2);
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(other("variant with a value"))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Members<'a>, Error> {
        self.0.push(b'[');
        Ok(Members { line: self.0, begun: false })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members<'a>, Error> {
        self.0.push(b'{');
        Ok(Members { line: self.0, begun: false })
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        Err(other("tuple"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        Err(other("tuple"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(other("tuple"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        Err(other("map"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(other("variant with a value"))
    }
}

impl SerializeSeq for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if std::mem::replace(&mut self.begun, true) {
            self.line.push(b',');
        }
        value.serialize(Line(self.line))
    }

    fn end(self) -> Result<(), Error> {
        self.line.push(b']');
        Ok(())
    }
}

impl SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.line.reserve(name.len() + 4);
        if std::mem::replace(&mut self.begun, true) {
            self.line.push(b',');
        }
        self.line.push(b'"');
        self.line.extend_from_slice(name.as_bytes());
        self.line.extend_from_slice(b"\":");
        value.serialize(Line(self.line))
    }

    fn end(self) -> Result<(), Error> {
        self.line.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::full;

    fn written(record: &impl Serialize) -> String {
        let mut line = Vec::new();
        append(&mut line, record).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_record_is_written_as_serde_json_writes_it() {
        assert_eq!(written(&full()), serde_json::to_string(&full()).unwrap());
        let empty = crate::Access::default();
        assert_eq!(written(&empty), serde_json::to_string(&empty).unwrap());
    }

    #[test]
    fn a_text_is_escaped_where_it_has_to_be() {
        for text in ["", "plain", "a \"quote\"", "back\\slash", "line\nbreak", "nul\0", "\u{7f}é\u{4e2d}", "\u{1f}"] {
            for padding in [0, 15, 16, 40] {
                let text = format!("{}{text}{}", "x".repeat(padding), "y".repeat(padding));
                assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
            }
        }
    }

    #[test]
    fn a_shape_that_no_line_has_is_an_error() {
        assert!(append(&mut Vec::new(), &std::collections::BTreeMap::from([("a", 1)])).is_err());
        assert!(append(&mut Vec::new(), &(1, 2)).is_err());
    }
}
