//! Update expressions: names and values get placeholders, so that no attribute name can mean anything else.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// An update and its condition, while they are put together.
#[derive(Debug, Default)]
pub(crate) struct Expression {
    sets: Vec<String>,
    adds: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

/// What a request of the SDK takes.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) update: String,
    pub(crate) condition: Option<String>,
    pub(crate) names: Option<HashMap<String, String>>,
    pub(crate) values: Option<HashMap<String, AttributeValue>>,
}

impl Expression {
    pub(crate) fn set(&mut self, name: &str, value: AttributeValue) {
        let (name, value) = (self.name(name), self.value(value));
        self.sets.push(format!("{name} = {value}"));
    }

    pub(crate) fn set_if_absent(&mut self, name: &str, value: AttributeValue) {
        let (name, value) = (self.name(name), self.value(value));
        self.sets.push(format!("{name} = if_not_exists({name}, {value})"));
    }

    /// Adds to a number, which may be absent.
    pub(crate) fn add(&mut self, name: &str, value: AttributeValue) {
        let (name, value) = (self.name(name), self.value(value));
        self.adds.push(format!("{name} {value}"));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        let name = self.name(name);
        self.removes.push(name);
    }

    pub(crate) fn require_absent(&mut self, name: &str) {
        let name = self.name(name);
        self.conditions.push(format!("attribute_not_exists({name})"));
    }

    /// A key of a map is not there; nor is it if the map is not there.
    pub(crate) fn require_absent_in(&mut self, name: &str, key: &str) {
        let (name, key) = (self.name(name), self.name(key));
        self.conditions.push(format!("attribute_not_exists({name}.{key})"));
    }

    pub(crate) fn require_present(&mut self, name: &str) {
        let name = self.name(name);
        self.conditions.push(format!("attribute_exists({name})"));
    }

    pub(crate) fn require_equal(&mut self, name: &str, value: AttributeValue) {
        let (name, value) = (self.name(name), self.value(value));
        self.conditions.push(format!("{name} = {value}"));
    }

    /// Absent counts as zero.
    pub(crate) fn require_at_most(&mut self, name: &str, value: AttributeValue) {
        let (name, value) = (self.name(name), self.value(value));
        self.conditions.push(format!("(attribute_not_exists({name}) OR {name} <= {value})"));
    }

    pub(crate) fn parts(self) -> Parts {
        let mut update = Vec::new();
        for (verb, clauses) in [("SET", self.sets), ("ADD", self.adds), ("REMOVE", self.removes)] {
            if !clauses.is_empty() {
                update.push(format!("{verb} {}", clauses.join(", ")));
            }
        }
        Parts {
            update: update.join(" "),
            condition: (!self.conditions.is_empty()).then(|| self.conditions.join(" AND ")),
            names: (!self.names.is_empty()).then_some(self.names),
            values: (!self.values.is_empty()).then_some(self.values),
        }
    }

    /// The same attribute has one placeholder: DynamoDB refuses none, but the request is shorter.
    fn name(&mut self, name: &str) -> String {
        if let Some((placeholder, _)) = self.names.iter().find(|(_, known)| *known == name) {
            return placeholder.clone();
        }
        let placeholder = format!("#{}", self.names.len());
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }
}
