//! Errors as providers write them (`errors.json`, which `tests/e2e/test_errors.py` reads, too), and what each client makes of them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tollgate_wire::codec::{Dialect, decode_fault, encode_error};
use tollgate_wire::fault::heed;
use tollgate_wire::ir::{Fault, FaultKind};

/// Providers that say the same.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    /// Each with the dialects in which it is asked.
    providers: BTreeMap<String, Vec<String>>,
    /// Where its errors are documented, or one was recorded.
    source: String,
    rows: Vec<Row>,
}

/// One error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A text is a body that is no JSON.
    body: Value,
    /// The name of its [`FaultKind`].
    is: String,
    /// `code` for OpenAI's clients, where it is another than the kind's.
    code: Option<String>,
    /// Seconds, as the client's `retry-after` has them.
    retry_after: Option<u64>,
    /// `x-should-retry` for the client.
    should_retry: Option<String>,
    /// Something that every client reads.
    says: Option<String>,
    /// Where this one was recorded.
    source: Option<String>,
}

/// One error of a provider, in one of its dialects.
#[derive(Debug)]
pub(crate) struct Failure {
    /// `bedrock-claude, bedrock-other: rate limit (429)`
    pub(crate) title: String,
    pub(crate) source: String,
    upstream: Dialect,
    row: Rc<Row>,
}

/// Every error, once for each dialect in which it comes.
pub(crate) fn failures() -> Vec<Failure> {
    let groups: Vec<Group> = serde_json::from_str(include_str!("errors.json")).unwrap();
    let mut failures = Vec::new();
    for Group { providers, source, rows } in groups {
        let title = providers.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let mut dialects: Vec<Dialect> = providers.values().flatten().map(|name| dialect(name)).collect();
        dialects.dedup();
        for row in rows.into_iter().map(Rc::new) {
            for upstream in &dialects {
                failures.push(Failure {
                    title: format!("{title}: {} ({})", row.name, row.status),
                    source: row.source.clone().unwrap_or_else(|| source.clone()),
                    upstream: *upstream,
                    row: Rc::clone(&row),
                });
            }
        }
    }
    failures
}

fn dialect(name: &str) -> Dialect {
    match name {
        "chat" => Dialect::Chat,
        "responses" => Dialect::Responses,
        "messages" => Dialect::Messages,
        "converse" => Dialect::Converse,
        "generateContent" => Dialect::GenerateContent,
        "rerank" => Dialect::Rerank,
        other => panic!("{other} is no dialect"),
    }
}

impl Failure {
    /// As the gateway reads it.
    fn fault(&self) -> Fault {
        let headers = self
            .row
            .headers
            .iter()
            .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap()));
        let headers: HeaderMap = headers.collect();
        let body = self.row.body.as_str().map_or_else(|| self.row.body.to_string(), str::to_owned);
        let status = StatusCode::from_u16(self.row.status).unwrap();
        let mut fault = decode_fault(self.upstream, status, &headers, body.as_bytes());
        heed(&mut fault, &headers, SystemTime::UNIX_EPOCH);
        fault
    }

    pub(crate) fn kind(&self) -> &str {
        &self.row.is
    }

    /// What a client of this dialect reads: the type, and the code if there is one. What is about the gateway's credentials, it is told to be that:
    /// `Failure::for_client` of `tollgate-upstream`.
    pub(crate) fn for_client(&self, client: Dialect) -> String {
        let fault = match self.fault() {
            fault if matches!(fault.kind, FaultKind::Authentication | FaultKind::Permission) => {
                Fault::new(FaultKind::Api, "m").with_code("upstream_credentials")
            }
            fault => fault,
        };
        let body: Value = serde_json::from_slice(&encode_error(client, &fault, "req-7")).unwrap();
        let text = |key: &str| body["error"][key].as_str().map(str::to_owned);
        match client {
            Dialect::GenerateContent => text("status").unwrap(),
            _ => [text("type"), text("code")].into_iter().flatten().collect::<Vec<_>>().join(", "),
        }
    }

    /// What is wrong with how it is read, if something is.
    fn wrong(&self) -> Option<String> {
        let (fault, row) = (self.fault(), &self.row);
        let chat: Value = serde_json::from_slice(&encode_error(Dialect::Chat, &fault, "req-7")).unwrap();
        let seconds = fault.retry_after.map(|wait| (wait + Duration::from_nanos(999_999_999)).as_secs());
        let own = fault.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let said = |text: &String| fault.message.contains(text.as_str()) || own.contains(text.as_str());
        let code = chat["error"]["code"].as_str();
        let right = fault.kind.name() == row.is
            && row.code.as_deref().is_none_or(|expected| code == Some(expected))
            && (row.retry_after.is_none() || seconds == row.retry_after)
            && fault.should_retry.map(|retry| retry.to_string()) == row.should_retry
            && row.says.as_ref().is_none_or(said);
        (!right).then(|| format!("{} by {:?}: {fault:?}, code {code:?}", self.title, self.upstream))
    }
}

#[test]
fn every_error_of_every_provider_is_known_for_what_it_is() {
    let wrong: Vec<String> = failures().iter().filter_map(Failure::wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_error_says_where_it_was_seen() {
    for failure in failures() {
        assert!(failure.source.starts_with("https://"), "{}", failure.title);
    }
}
