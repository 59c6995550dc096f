//! What an upstream gets of a request: one feature at a time, beside the same request without it.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use tollgate_wire::codec::Dialect;
use tollgate_wire::exchange::Started;
use tollgate_wire::ir::Dropped;

use super::answers;
use super::pairs::{Upstream, smallest, start, start_with};

/// One feature, as each client says it. A client without an entry has no such feature.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Feature {
    pub(crate) feature: String,
    /// One of these texts is in the upstream's body if the feature is.
    witness: Vec<String>,
    /// The feature that it adds to.
    over: Option<String>,
    /// Shown with a model that reasons.
    #[serde(default)]
    reasons: bool,
    /// An upstream may do it without being told.
    #[serde(default)]
    default: bool,
    /// It changes what an answer costs, and not the answer.
    #[serde(default)]
    cost: bool,
    /// Flags of `anthropic-beta` that come with it.
    #[serde(default)]
    betas: Vec<String>,
    chat: Option<Map<String, Value>>,
    responses: Option<Map<String, Value>>,
    messages: Option<Map<String, Value>>,
    generate_content: Option<Map<String, Value>>,
}

pub(crate) fn features() -> Vec<Feature> {
    serde_json::from_str(include_str!("features.json")).unwrap()
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The client's own bytes.
    Carried,
    /// In the upstream's own form.
    Translated,
    /// The upstream gets part of it, and the client hears of the rest.
    InPart(Vec<String>),
    /// The client hears that the upstream does not get it.
    Dropped(Vec<String>),
    /// A 400.
    Refused(String),
    /// The upstream does it without being told.
    Default,
    /// It changes what an answer costs, and not the answer: left to the upstream, and not reported.
    Cost,
    /// The gateway's answer has it, and the upstream need not know.
    Answer,
    /// Neither there nor reported.
    Lost,
}

impl Feature {
    fn patch(&self, client: Dialect) -> Option<&Map<String, Value>> {
        match client {
            Dialect::Chat => self.chat.as_ref(),
            Dialect::Responses => self.responses.as_ref(),
            Dialect::Messages => self.messages.as_ref(),
            Dialect::GenerateContent => self.generate_content.as_ref(),
            _ => None,
        }
    }

    /// `None`: this client cannot say it.
    pub(crate) fn fate(&self, all: &[Feature], client: Dialect, upstream: &Upstream) -> Option<Fate> {
        let patch = self.patch(client)?;
        let mut without = smallest(client);
        self.add_foundations(all, client, &mut without);
        let mut with = without.clone();
        with.extend(patch.clone());
        let target = upstream.target(self.reasons);
        let mut without = start(client, &without, &target, false)
            .unwrap_or_else(|error| panic!("{}, {client:?}: the request without it: {error}", self.feature));
        let mut with = match start_with(client, &with, self.betas.clone(), &target, false) {
            Ok(started) => started,
            Err(error) => return Some(Fate::Refused(error)),
        };
        let text = format!("{}{:?}{:?}", String::from_utf8_lossy(&with.body), with.betas, with.headers);
        let changed = with.body != without.body || with.headers != without.headers;
        let differs = changed || with.betas.iter().any(|flag| reaches(flag, &with.dropped));
        let is_there = self.witness.is_empty() || self.witness.iter().any(|witness| text.contains(witness.as_str()));
        let reported = with.dropped.iter().filter(|dropped| !without.dropped.contains(dropped));
        let reported: Vec<String> = reported.map(|dropped| format!("`{}`: {}", dropped.path, dropped.reason)).collect();
        Some(match (differs, reported.is_empty()) {
            (true, true) if !is_there => Fate::Lost,
            (true, true) if client == upstream.dialect => Fate::Carried,
            (true, true) => Fate::Translated,
            (true, false) if client == upstream.dialect && !is_there => Fate::Dropped(reported),
            (true, false) => Fate::InPart(reported),
            (false, false) => Fate::Dropped(reported),
            (false, true) if self.cost => Fate::Cost,
            (false, true) if self.default => Fate::Default,
            (false, true) if answered(&mut with, upstream) != answered(&mut without, upstream) => Fate::Answer,
            (false, true) => Fate::Lost,
        })
    }

    fn add_foundations(&self, all: &[Feature], client: Dialect, body: &mut Map<String, Value>) {
        let Some(over) = &self.over else { return };
        let below = all.iter().find(|feature| feature.feature == *over).unwrap();
        below.add_foundations(all, client, body);
        body.extend(below.patch(client).cloned().unwrap_or_default());
    }
}

/// Flags go beside the body, but where it was found that the upstream refuses them.
fn reaches(flag: &str, dropped: &[Dropped]) -> bool {
    !dropped.iter().any(|dropped| dropped.path.ends_with(flag))
}

fn answered(started: &mut Started, upstream: &Upstream) -> Bytes {
    let answer = answers::whole(upstream.dialect, &answers::everything());
    started.relay.response(Bytes::from(answer.to_string())).unwrap()
}

#[test]
fn nothing_that_a_client_says_is_lost_without_a_word() {
    let features = features();
    let mut lost = Vec::new();
    for feature in &features {
        for client in super::pairs::CLIENTS {
            for upstream in &super::pairs::UPSTREAMS {
                if feature.fate(&features, client, upstream) == Some(Fate::Lost) {
                    lost.push(format!("{}: {client:?} to {}", feature.feature, upstream.title));
                }
            }
        }
    }
    assert!(lost.is_empty(), "neither in the upstream's body nor reported:\n{}", lost.join("\n"));
}
