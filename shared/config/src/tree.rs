//! The file as a tree of values with their places, before it has types.
//!
//! YAML is read once, into this. The typed reading (`de`) and the checks (`validate`) both point back into it, which is
//! how every message can name a key path, a line and a column.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A place in the text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Place {
    pub(crate) fn of(location: serde_saphyr::Location) -> Option<Self> {
        let (line, column) = (location.line(), location.column());
        (line > 0).then_some(Self { line, column })
    }
}

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Option<Place>,
}

/// A value without its type in the configuration.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
    /// A value that was wrong and has been reported. Reading goes on as if it were not there.
    Dead,
}

/// A key of a mapping and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Option<Place>,
}

impl Node {
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.value, Value::Dead)
    }

    /// The key's and the value's nodes of one step, dead ones too.
    fn child(&self, step: &Step) -> Option<(Option<&Key>, &Node)> {
        match (&self.value, step) {
            (Value::Map(entries), Step::Key(key)) => {
                entries.iter().find(|(k, _)| k.text == *key).map(|(k, node)| (Some(k), node))
            }
            (Value::List(items), Step::Index(index)) => items.get(*index).map(|node| (None, node)),
            _ => None,
        }
    }

    fn child_mut(&mut self, step: &Step) -> Option<&mut Node> {
        match (&mut self.value, step) {
            (Value::Map(entries), Step::Key(key)) => {
                entries.iter_mut().find(|(k, _)| k.text == *key).map(|(_, node)| node)
            }
            (Value::List(items), Step::Index(index)) => items.get_mut(*index),
            _ => None,
        }
    }

    /// The node at a path, if the file has one.
    pub(crate) fn find(&self, path: &Path) -> Option<&Node> {
        path.0.iter().try_fold(self, |node, step| node.child(step).map(|(_, child)| child))
    }

    /// The place of a path: of its key where it has one; of its nearest ancestor when the file does not have it.
    pub(crate) fn place_of(&self, path: &Path) -> Option<Place> {
        let mut node = self;
        let mut place = self.place;
        for step in &path.0 {
            let Some((key, child)) = node.child(step) else { break };
            place = key.map_or(child.place, |key| key.place).or(place);
            node = child;
        }
        place
    }

    /// Takes a wrong value out of the reading. The root stays. False: there was nothing to take out.
    pub(crate) fn kill(&mut self, path: &Path) -> bool {
        let mut node = self;
        for step in &path.0 {
            match node.child_mut(step) {
                Some(child) => node = child,
                None => return false,
            }
        }
        if path.0.is_empty() || node.is_dead() {
            return false;
        }
        node.value = Value::Dead;
        true
    }

    /// Whether something directly in this node was taken out.
    pub(crate) fn has_dead_child(&self) -> bool {
        match &self.value {
            Value::Map(entries) => entries.iter().any(|(_, node)| node.is_dead()),
            Value::List(items) => items.iter().any(Node::is_dead),
            _ => false,
        }
    }

    /// The path in the file of a path in the typed values, whose lists lack the dead items.
    pub(crate) fn path_in_file(&self, typed: &Path) -> Path {
        let mut node = Some(self);
        let mut steps = Vec::with_capacity(typed.0.len());
        for step in &typed.0 {
            let step = match (step, node.map(|node| &node.value)) {
                (Step::Index(index), Some(Value::List(items))) => {
                    let mut live = items.iter().enumerate().filter(|(_, item)| !item.is_dead());
                    Step::Index(live.nth(*index).map_or(*index, |(in_file, _)| in_file))
                }
                _ => step.clone(),
            };
            node = node.and_then(|node| node.child(&step)).map(|(_, child)| child);
            steps.push(step);
        }
        Path(steps)
    }
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// A key path: `ai.groups[0].providers[1].weight`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path(pub(crate) Vec<Step>);

impl Path {
    /// Of keys only, separated by dots.
    pub(crate) fn of(keys: &str) -> Self {
        Self(keys.split('.').map(|key| Step::Key(key.to_owned())).collect())
    }

    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    pub(crate) fn parent(&self) -> Self {
        let mut steps = self.0.clone();
        steps.pop();
        Self(steps)
    }

    /// The last step that is a key.
    pub(crate) fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }

    /// Whether a key of this name is on the path.
    pub(crate) fn passes(&self, name: &str) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Key(key) if key == name))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut in_credentials = false;
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                // A secret in the wrong place may have become a key.
                Step::Key(key) if in_credentials && !is_word(key) => f.write_str("[..]")?,
                Step::Key(key) if is_plain(key) && i == 0 => f.write_str(key)?,
                Step::Key(key) if is_plain(key) => write!(f, ".{key}")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
            }
            in_credentials |= matches!(step, Step::Key(key) if key == "backendAuth");
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A short word of letters: a misspelt key rather than a secret.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= 24 && text.bytes().all(|b| b.is_ascii_alphabetic())
}

/// The value inside a [`Node`], as the YAML reader hands it over.
struct Bare(Value);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Bare>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value.0, place: Place::of(spanned.referenced) })
    }
}

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BareVisitor).map(Bare)
    }
}

struct BareVisitor;

impl<'de> Visitor<'de> for BareVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Node>()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = map.next_entry::<Spanned<String>, Node>()? {
            entries.push((Key { text: key.value, place: Place::of(key.referenced) }, node));
        }
        Ok(Value::Map(entries))
    }
}
