//! Requests as spans, to a collector: OTLP over HTTP, JSON. Off the requests' path.
//!
//! A request that is over puts its record into a queue; a task sends what is in it in batches. When the queue is full the record is dropped and counted. A batch that
//! the collector may take later waits for the next try; one that it refuses is dropped and counted.
//!
//! On Lambda the task stands still between invocations, so what an invocation leaves is sent during the next, and what the last one leaves is lost with its
//! environment. `flush: beforeTheEnd` sends it before the answer's last byte instead, and every request waits for the collector, a second at most.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Notify;
use tollgate_config::{FlushSpans, Otlp};
use tollgate_telemetry::metric::{self, add};
use tollgate_telemetry::otlp::{Record, body, rejected};
use tollgate_upstream::Base;

/// The most that goes in one request.
const BATCH: usize = 256;
/// What waits no longer for more.
const INTERVAL: Duration = Duration::from_secs(2);
/// A request to the collector may take so long.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// A client's request waits no longer for it.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// The most that is read of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Sends records. When the last one goes, what is left in the queue is still sent.
#[derive(Debug)]
pub struct Exporter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Otlp,
    url: String,
    base: Base,
    queue: Mutex<Queue>,
    /// Something is in the queue, or it is closed.
    news: Notify,
    /// One batch at a time, so that a flush knows when all is sent.
    sending: tokio::sync::Mutex<bool>,
}

#[derive(Debug, Default)]
struct Queue {
    records: VecDeque<Box<Record>>,
    dropped: u64,
    running: bool,
    closed: bool,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.news.notify_one();
    }
}

impl Exporter {
    /// Touches no network.
    pub fn new(settings: &Otlp, base: Base) -> Self {
        let url = format!("{}/v1/traces", settings.endpoint.trim_end_matches('/'));
        let (queue, news, sending) = Default::default();
        Self { shared: Arc::new(Shared { settings: settings.clone(), url, base, queue, news, sending }) }
    }

    /// What it was made of.
    pub fn settings(&self) -> &Otlp {
        &self.shared.settings
    }

    /// Has a request to wait until its record is sent?
    pub fn flushes(&self) -> bool {
        self.shared.settings.flush == FlushSpans::BeforeTheEnd
    }

    /// Takes a record; never waits.
    pub fn push(&self, record: Box<Record>) {
        let mut queue = self.shared.queue();
        if queue.records.len() >= self.shared.settings.queue() {
            queue.dropped += 1;
            return;
        }
        queue.records.push_back(record);
        if !queue.running
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            queue.running = true;
            let shared = Arc::clone(&self.shared);
            runtime.spawn(async move { shared.run().await });
        }
        drop(queue);
        self.shared.news.notify_one();
    }

    /// Sends what is there, and waits for it, not for long.
    pub async fn flush(&self) {
        // Late ones are sent by the task.
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, self.shared.send_all()).await;
    }
}

impl Shared {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self) {
        loop {
            self.news.notified().await;
            if !self.queue().closed {
                tokio::time::sleep(INTERVAL).await;
            }
            self.send_all().await;
            if self.queue().closed {
                return;
            }
        }
    }

    /// Sends batch after batch, until nothing is left or the collector has no time.
    async fn send_all(&self) {
        let mut failing = self.sending.lock().await;
        loop {
            let (batch, dropped) = {
                let mut queue = self.queue();
                let size = queue.records.len().min(BATCH);
                let batch: Vec<Record> = queue.records.drain(..size).map(|record| *record).collect();
                (Unsent { shared: self, batch }, std::mem::take(&mut queue.dropped))
            };
            if dropped > 0 {
                lost(dropped, "the queue was full");
            }
            if batch.batch.is_empty() {
                return;
            }
            match batch.send().await {
                Ok(()) => *failing = false,
                Err(cause) => {
                    if !std::mem::replace(&mut *failing, true) {
                        tracing::warn!(otlp.endpoint = %self.url, error.cause = %cause, "spans could not be exported; they are kept while there is room");
                    }
                    // The next record, or the next flush, tries again.
                    return;
                }
            }
        }
    }

    async fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, reference) in &self.settings.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|error| error.to_string())?;
            headers.insert(name, self.base.secret(reference).await?);
        }
        Ok(headers)
    }

    async fn post(&self, records: &[Record]) -> Result<Answer, String> {
        let body = body(self.settings.service_name(), env!("CARGO_PKG_VERSION"), records);
        let request = self.base.client().post(&self.url).headers(self.headers().await?).body(body);
        let mut response =
            request.timeout(SEND_TIMEOUT).send().await.map_err(|error| error.without_url().to_string())?;
        let status = response.status();
        // Those that a collector may take later: <https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes>.
        match status.as_u16() {
            200..300 => {
                let mut answer = Vec::new();
                while answer.len() < MAX_ANSWER_BYTES
                    && let Ok(Some(more)) = response.chunk().await
                {
                    answer.extend_from_slice(&more);
                }
                Ok(Answer::Taken(rejected(&answer)))
            }
            429 | 502 | 503 | 504 => Err(format!("status {}", status.as_u16())),
            refused => Ok(Answer::Refused(refused)),
        }
    }
}

enum Answer {
    /// All but so many.
    Taken(u64),
    /// It will not take it later, either.
    Refused(u16),
}

/// A batch on its way. What is not sent goes back to where it came from, also when the one who waited for it has gone.
struct Unsent<'a> {
    shared: &'a Shared,
    batch: Vec<Record>,
}

impl Unsent<'_> {
    async fn send(mut self) -> Result<(), String> {
        let answer = self.shared.post(&self.batch).await?;
        let sent = std::mem::take(&mut self.batch);
        match answer {
            Answer::Taken(0) => {}
            Answer::Taken(rejected) => lost(rejected, "the collector did not take them"),
            Answer::Refused(status) => {
                lost(
                    sent.len().try_into().unwrap_or(u64::MAX),
                    &format!("the collector answered with status {status}"),
                );
            }
        }
        Ok(())
    }
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        let room = self.shared.settings.queue().saturating_sub(queue.records.len());
        let kept = self.batch.len().min(room);
        // The oldest go.
        let oldest = self.batch.len() - kept;
        queue.dropped += oldest as u64;
        for record in self.batch.drain(..).skip(oldest).rev() {
            queue.records.push_front(Box::new(record));
        }
    }
}

fn lost(spans: u64, why: &str) {
    add(&metric::SPANS_DROPPED, &[], spans);
    tracing::warn!(otlp.spans = spans, error.cause = why, "spans were dropped");
}
