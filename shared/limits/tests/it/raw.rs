//! The table as it is: read past the ledger, as DynamoDB has it at this moment.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;

const TABLE: &str = "tollgate-ledger";
const RESPONSES: &str = "tollgate-responses";

/// A client that knows nothing of the ledger.
#[derive(Clone)]
pub(crate) struct Raw(Client);

/// An open reservation, or a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) tokens: i128,
    pub(crate) nano_usd: i128,
    pub(crate) is_mark: bool,
}

/// A state item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// By attribute.
    pub(crate) counters: BTreeMap<String, i128>,
    /// By id.
    pub(crate) open: BTreeMap<String, Open>,
}

impl State {
    /// The sum over all windows of counters with this prefix and no pattern.
    pub(crate) fn sum(&self, prefix: &str) -> i128 {
        let plain = self.counters.iter().filter(|(name, _)| name.starts_with(prefix) && name.matches('#').count() == 1);
        plain.map(|(_, value)| value).sum()
    }
}

impl Raw {
    pub(crate) async fn new(endpoint: &str) -> Self {
        let config = Builder::from(&crate::support::no_sdk()().await)
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint);
        Self(Client::from_conf(config.build()))
    }

    pub(crate) async fn state(&self, pk: &str) -> State {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let call = self.0.get_item().table_name(TABLE).key("pk", text(pk)).key("sk", text("state"));
        let item = call.consistent_read(true).send().await.unwrap().item.unwrap_or_default();
        let mut state = State::default();
        for (name, value) in item {
            if let Some(id) = name.strip_prefix("o#") {
                let entry = value.as_m().unwrap();
                let figure = |key: &str| entry.get(key).map_or(0, number);
                let is_mark = entry.contains_key("z");
                state.open.insert(id.to_owned(), Open { tokens: figure("t"), nano_usd: figure("c"), is_mark });
            } else if ["rpm#", "tpd#", "usd#"].iter().any(|prefix| name.starts_with(prefix)) {
                state.counters.insert(name, number(&value));
            }
        }
        state
    }

    /// A part of a kept response.
    pub(crate) async fn part(&self, pk: &str, sk: &str) -> Option<HashMap<String, AttributeValue>> {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let call = self.0.get_item().table_name(RESPONSES).key("pk", text(pk)).key("sk", text(sk));
        call.consistent_read(true).send().await.unwrap().item
    }

    /// Takes a part of a kept response away.
    pub(crate) async fn lose(&self, pk: &str, sk: &str) {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let call = self.0.delete_item().table_name(RESPONSES).key("pk", text(pk)).key("sk", text(sk));
        call.send().await.unwrap();
    }

    pub(crate) async fn ids(&self, pk: &str) -> Vec<String> {
        self.state(pk).await.open.into_keys().collect()
    }

    /// Open reservations and marks.
    pub(crate) async fn open(&self, pk: &str) -> usize {
        self.state(pk).await.open.len()
    }

    /// All days, models and shards of a team: requests, input tokens, nano-dollars.
    pub(crate) async fn history(&self, team: &str) -> (i128, i128, i128) {
        let call = self
            .0
            .query()
            .table_name(TABLE)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(format!("usage#{team}")))
            .consistent_read(true);
        let items = call.send().await.unwrap().items.unwrap_or_default();
        let sum = |name: &str| items.iter().filter_map(|item: &HashMap<_, _>| item.get(name)).map(number).sum();
        (sum("requests"), sum("input"), sum("nano_usd"))
    }
}

fn number(value: &AttributeValue) -> i128 {
    value.as_n().unwrap().parse().unwrap()
}
