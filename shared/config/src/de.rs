//! From the tree to the types: a serde deserializer over [`Node`] whose errors keep their path and place.
//!
//! It reads YAML's scalars strictly (`5` is not a text) and empty values kindly: nothing after a colon is an empty mapping
//! or list where one is expected.

use std::fmt::Display;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::tree::{Key, Node, Path, Place, Step, Value};

/// Why a value could not be read, and where it stands.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) place: Option<Place>,
    /// The path ends in the only key of a choice: what is wrong is the value that holds that key.
    pub(crate) names_a_choice: bool,
    /// Innermost first: it grows while the error travels up.
    steps: Vec<Step>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum FaultKind {
    /// A key that the mapping does not have.
    UnknownKey { key: String, known: &'static [&'static str] },
    /// A word, or the only key of a mapping, that is none of a choice.
    UnknownChoice { found: String, known: &'static [&'static str] },
    /// A mapping that must have exactly one key.
    NotOneKey { known: &'static [&'static str] },
    /// A required key.
    MissingKey(&'static str),
    /// The wrong type, or a number out of its range. Never says the text of a value.
    WrongType { found: String, expected: String },
    /// Anything else, in words.
    Invalid(String),
}

impl Fault {
    fn new(kind: FaultKind) -> Self {
        Self { kind, place: None, names_a_choice: false, steps: Vec::new() }
    }

    pub(crate) fn path(&self) -> Path {
        Path(self.steps.iter().rev().cloned().collect())
    }

    fn at(mut self, place: Option<Place>) -> Self {
        self.place = self.place.or(place);
        self
    }

    fn under(mut self, step: Step, place: Option<Place>) -> Self {
        self.steps.push(step);
        self.at(place)
    }

    fn under_key(self, key: &Key, node: &Node) -> Self {
        // Nothing after the colon has no place of its own.
        let place = if matches!(node.value, Value::Null) { key.place } else { node.place };
        self.under(Step::Key(key.text.clone()), place)
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}", self.path(), self.kind)
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(FaultKind::Invalid(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Unit | Unexpected::Option => "nothing",
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
            Unexpected::Str(_) => "a text",
            Unexpected::Seq => "a list",
            Unexpected::Map => "a mapping",
            _ => "something else",
        };
        Self::new(FaultKind::WrongType { found: found.to_owned(), expected: expected.to_string() })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match found {
            Unexpected::Unsigned(n) => Self::out_of_range(n, expected),
            Unexpected::Signed(n) => Self::out_of_range(n, expected),
            Unexpected::Float(n) => Self::out_of_range(n, expected),
            other => Self::invalid_type(other, expected),
        }
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::new(FaultKind::UnknownKey { key: key.to_owned(), known })
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::new(FaultKind::UnknownChoice { found: found.to_owned(), known })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(FaultKind::MissingKey(key))
    }
}

impl Fault {
    fn out_of_range(found: impl Display, expected: &dyn Expected) -> Self {
        Self::new(FaultKind::WrongType { found: format!("the number {found}"), expected: expected.to_string() })
    }
}

impl Node {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.value {
            Value::Null | Value::Dead => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Unsigned(value) => Unexpected::Unsigned(*value),
            Value::Signed(value) => Unexpected::Signed(*value),
            Value::Float(value) => Unexpected::Float(*value),
            Value::Text(value) => Unexpected::Str(value),
            Value::List(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
        }
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null | Value::Dead => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Signed(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::List(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Value::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), current: None }),
        }
        .map_err(|fault| fault.at(self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if matches!(self.value, Value::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Map(_) => self.deserialize_any(visitor),
            Value::Null => {
                visitor.visit_map(Entries { entries: [].iter(), current: None }).map_err(|fault| fault.at(self.place))
            }
            _ => Err(Fault::invalid_type(self.unexpected(), &"a mapping").at(self.place)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::List(_) => self.deserialize_any(visitor),
            Value::Null => {
                visitor.visit_seq(Items { items: [].iter().enumerate() }).map_err(|fault| fault.at(self.place))
            }
            _ => Err(Fault::invalid_type(self.unexpected(), &"a list").at(self.place)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let choice = match &self.value {
            Value::Text(word) => Choice::Word { word, place: self.place },
            Value::Map(entries) => {
                let mut live = entries.iter().filter(|(_, node)| !node.is_dead());
                match (live.next(), live.next()) {
                    (Some((key, node)), None) => Choice::Entry { key, node },
                    _ => return Err(Fault::new(FaultKind::NotOneKey { known }).at(self.place)),
                }
            }
            Value::Null => return Err(Fault::new(FaultKind::NotOneKey { known }).at(self.place)),
            _ => {
                let expected = format!("one of {}", known.join(", "));
                return Err(Fault::invalid_type(self.unexpected(), &expected.as_str()).at(self.place));
            }
        };
        visitor.visit_enum(choice).map_err(|fault| fault.at(self.place))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string
        bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

/// The live entries of a mapping.
struct Entries<'de> {
    entries: std::slice::Iter<'de, (Key, Node)>,
    current: Option<&'de (Key, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.current = self.entries.by_ref().find(|(_, node)| !node.is_dead());
        let Some((key, _)) = self.current else { return Ok(None) };
        seed.deserialize(key.text.as_str().into_deserializer())
            .map(Some)
            .map_err(|fault: Fault| fault.under(Step::Key(key.text.clone()), key.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, node)) = self.current.take() else { return Err(Fault::custom("a value without a key")) };
        seed.deserialize(node).map_err(|fault| fault.under_key(key, node))
    }
}

/// The live items of a list, each with its index in the file.
struct Items<'de> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.items.by_ref().find(|(_, node)| !node.is_dead()) else { return Ok(None) };
        seed.deserialize(node).map(Some).map_err(|fault| fault.under(Step::Index(index), node.place))
    }
}

/// One of a choice: a word, or the only entry of a mapping.
enum Choice<'de> {
    Word { word: &'de str, place: Option<Place> },
    Entry { key: &'de Key, node: &'de Node },
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let read = match &self {
            Self::Word { word, place } => {
                seed.deserialize((*word).into_deserializer()).map_err(|fault: Fault| fault.at(*place))
            }
            Self::Entry { key, .. } => {
                seed.deserialize(key.text.as_str().into_deserializer()).map_err(|fault: Fault| Fault {
                    names_a_choice: true,
                    ..fault.under(Step::Key(key.text.clone()), key.place)
                })
            }
        };
        Ok((read?, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self {
            Self::Word { .. } => Ok(()),
            Self::Entry { key, node } if matches!(node.value, Value::Null) => {
                Err(Fault::custom(format!("must be a word, not a mapping; write {}", key.text)).at(key.place))
            }
            Self::Entry { key, .. } => Err(Fault::custom("must be a word, not a mapping").at(key.place)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        match self {
            Self::Word { word, place } => {
                Err(Fault::custom(format!("must be a mapping; write {{{word}: {{}}}}")).at(place))
            }
            Self::Entry { key, node } => seed.deserialize(node).map_err(|fault| fault.under_key(key, node)),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, Fault> {
        Err(Fault::custom("no such form"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _fields: &'static [&'static str], _visitor: V) -> Result<V::Value, Fault> {
        Err(Fault::custom("no such form"))
    }
}
