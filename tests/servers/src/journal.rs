//! What a fake upstream was asked, and how each call ended, for the tests to read back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

const KEEP: usize = 4_000;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Not over yet.
    Open,
    /// The whole answer was written.
    Complete,
    /// The server broke the answer off, as it was told to.
    Cut,
    /// The client went away before the answer was whole.
    Aborted,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Cut => "cut",
            Self::Aborted => "aborted",
        }
    }
}

struct Entry {
    request: Value,
    outcome: Outcome,
    released: bool,
}

#[derive(Default)]
struct State {
    first: usize,
    entries: std::collections::VecDeque<Entry>,
    connections: usize,
    open_connections: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was released.
    release: Notify,
}

/// The requests of one fake upstream, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Shared>);

impl Journal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a request down and gives its number.
    pub(crate) fn record(&self, method: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> usize {
        let body = serde_json::from_slice(body)
            .unwrap_or_else(|_| json!({"notJson": String::from_utf8_lossy(body), "bytes": body.len()}));
        let request = json!({"method": method, "path": path, "headers": visible(headers), "body": body});
        let mut state = self.state();
        state.entries.push_back(Entry { request, outcome: Outcome::Open, released: false });
        if state.entries.len() > KEEP {
            state.entries.pop_front();
            state.first += 1;
        }
        state.first + state.entries.len() - 1
    }

    /// Notes how a call ended. Only the first word counts.
    pub(crate) fn end(&self, number: usize, outcome: Outcome) {
        let mut state = self.state();
        let Some(index) = number.checked_sub(state.first) else { return };
        if let Some(entry) = state.entries.get_mut(index)
            && entry.outcome == Outcome::Open
        {
            entry.outcome = outcome;
        }
    }

    /// Counts a connection; it is open until the guard is dropped.
    pub(crate) fn connection(&self) -> Connection {
        let mut state = self.state();
        state.connections += 1;
        state.open_connections += 1;
        Connection(self.clone())
    }

    /// The requests whose text contains `needle`, oldest first.
    pub(crate) fn list(&self, needle: &str) -> Value {
        let state = self.state();
        let entries = state.entries.iter().enumerate().map(|(index, entry)| {
            let mut shown = entry.request.clone();
            shown["number"] = json!(state.first + index);
            shown["outcome"] = json!(entry.outcome.name());
            shown
        });
        entries.filter(|entry| needle.is_empty() || entry.to_string().contains(needle)).collect()
    }

    /// Lets go on what is held of the requests whose text contains `needle`.
    pub(crate) fn release(&self, needle: &str) {
        for entry in &mut self.state().entries {
            entry.released |= entry.request.to_string().contains(needle);
        }
        self.0.release.notify_waiters();
    }

    /// Returns when this request is released.
    async fn released(&self, number: usize) {
        loop {
            let mut told = std::pin::pin!(self.0.release.notified());
            // From here on a word is not missed.
            told.as_mut().enable();
            if self.is_released(number) {
                return;
            }
            told.await;
        }
    }

    fn is_released(&self, number: usize) -> bool {
        let state = self.state();
        let entry = number.checked_sub(state.first).and_then(|index| state.entries.get(index));
        // What nobody remembers, nobody releases.
        entry.is_none_or(|entry| entry.released)
    }

    /// Drops what was written down so far; calls under way keep their numbers.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.first += state.entries.len();
        state.entries.clear();
    }

    /// Totals.
    pub(crate) fn stats(&self) -> Value {
        let state = self.state();
        let count = |outcome| state.entries.iter().filter(|entry| entry.outcome == outcome).count();
        json!({
            "requests": state.first + state.entries.len(),
            "open": count(Outcome::Open),
            "complete": count(Outcome::Complete),
            "cut": count(Outcome::Cut),
            "aborted": count(Outcome::Aborted),
            "connections": state.connections,
            "openConnections": state.open_connections,
        })
    }
}

/// An open connection.
pub(crate) struct Connection(Journal);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.state().open_connections -= 1;
    }
}

/// A call that ends as aborted unless somebody says otherwise before it is dropped.
pub(crate) struct Call {
    journal: Journal,
    number: usize,
}

impl Call {
    pub(crate) fn new(journal: Journal, number: usize) -> Self {
        Self { journal, number }
    }

    pub(crate) fn end(self, outcome: Outcome) {
        self.journal.end(self.number, outcome);
    }

    /// Returns when the test lets a held stream go on.
    pub(crate) async fn released(&self) {
        self.journal.released(self.number).await;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.journal.end(self.number, Outcome::Aborted);
    }
}

/// Headers for the journal: of a credential only its kind is kept.
fn visible(headers: &HeaderMap) -> Value {
    let mut shown = Map::new();
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        let text = match name.as_str() {
            "authorization" | "x-api-key" | "x-amz-security-token" => credential_kind(&text),
            _ => text.into_owned(),
        };
        let text = match shown.get(name.as_str()).and_then(Value::as_str) {
            Some(earlier) => format!("{earlier}, {text}"),
            None => text,
        };
        shown.insert(name.as_str().to_owned(), Value::String(text));
    }
    Value::Object(shown)
}

fn credential_kind(value: &str) -> String {
    let (scheme, secret) = match value.split_once(' ') {
        Some((scheme, secret)) => (scheme, secret),
        None => ("", value),
    };
    let kind = if scheme == "AWS4-HMAC-SHA256" {
        "signature"
    } else if secret.matches('.').count() == 2 && secret.starts_with("ey") {
        "jwt"
    } else {
        "key"
    };
    format!("{scheme} ({kind})").trim_start().to_owned()
}
