//! Spans at a collector.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use http::StatusCode;
use serde_json::Value;
use tokio::sync::watch;
use tollgate_config::{FlushSpans, Otlp};
use tollgate_gateway::export::Exporter;
use tollgate_telemetry::Access;
use tollgate_telemetry::otlp::{Record, Trace};
use tollgate_upstream::Base;

use super::support::{gateway, json_of};
use super::world::{ask, model, serve, text};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A collector: what it was sent, and the status that it answers with.
#[derive(Clone)]
struct Collector {
    seen: Arc<Mutex<Vec<Value>>>,
    status: watch::Sender<u16>,
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self { seen: Arc::default(), status: watch::channel(200).0 };
        let ours = collector.clone();
        let router = Router::new().fallback(move |request: Request| {
            let collector = ours.clone();
            async move {
                assert_eq!(request.uri().path(), "/v1/traces");
                assert_eq!(request.headers()["content-type"], "application/json");
                let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
                collector.seen.lock().unwrap().push(json_of(std::str::from_utf8(&body).unwrap()));
                StatusCode::from_u16(*collector.status.borrow()).unwrap()
            }
        });
        (collector, serve(router).await)
    }

    fn answers(&self, status: u16) {
        self.status.send_replace(status);
    }

    /// The names of the spans, request by request.
    fn spans(&self) -> Vec<Vec<Value>> {
        let seen = self.seen.lock().unwrap();
        let spans = seen.iter().map(|body| &body["resourceSpans"][0]["scopeSpans"][0]["spans"]);
        spans.map(|spans| spans.as_array().unwrap().clone()).collect()
    }
}

fn record(n: u64) -> Box<Record> {
    let access = Access { route: "completions", request_id: format!("r{n}"), ..Access::default() };
    Box::new(Record { access, trace: Trace { id: 1, parent: None }, ended: std::time::SystemTime::now(), span: n })
}

fn exporter(endpoint: &str, queue: u64) -> Exporter {
    let otlp = Otlp {
        endpoint: endpoint.to_owned(),
        headers: BTreeMap::new(),
        service_name: None,
        flush: FlushSpans::Later,
        queue: Some(queue),
    };
    Exporter::new(&otlp, Base::new().unwrap())
}

fn ids(spans: &[Value]) -> Vec<&str> {
    spans.iter().map(|span| span["spanId"].as_str().unwrap().trim_start_matches('0')).collect()
}

#[tokio::test]
async fn a_request_is_over_when_its_span_is_there_if_the_configuration_says_so() {
    let (_say, word) = watch::channel(true);
    let (upstream, (collector, endpoint)) = (model("m", word).await, Collector::start().await);
    let router = gateway(&format!(
        "ai: {{groups: [{{providers: [{{name: a, provider: {{custom: {{}}}}, baseUrl: '{upstream}'}}]}}]}}\n\
         telemetry: {{otlp: {{endpoint: '{endpoint}', flush: beforeTheEnd}}}}\n"
    ));
    for stream in [false, true] {
        text(ask(&router, stream, &[("traceparent", TRACEPARENT)]).await).await;
        let sent = collector.spans().pop().expect("the span is there");
        let [request, attempt] = sent.as_slice() else { panic!("{sent:?}") };
        assert_eq!(request["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(request["parentSpanId"], "00f067aa0ba902b7");
        assert_eq!((&request["name"], &attempt["parentSpanId"]), (&Value::from("chat m"), &request["spanId"]));
    }
    text(ask(&router, false, &[("traceparent", &TRACEPARENT.replace("-01", "-00"))]).await).await;
    assert_eq!(collector.spans().len(), 2, "a client that does not want it recorded");
    text(ask(&router, false, &[]).await).await;
    assert_eq!(collector.spans().len(), 3, "a trace of its own");
}

#[tokio::test]
async fn what_the_collector_may_take_later_is_kept_and_what_it_refuses_is_not() {
    let (collector, endpoint) = Collector::start().await;
    let exporter = exporter(&endpoint, 10);
    collector.answers(503);
    exporter.push(record(1));
    exporter.flush().await;
    exporter.push(record(2));
    collector.answers(200);
    exporter.flush().await;
    assert_eq!(ids(collector.spans().last().unwrap()), ["1", "2"], "in their order");
    collector.answers(400);
    exporter.push(record(3));
    exporter.flush().await;
    collector.answers(200);
    exporter.push(record(4));
    exporter.flush().await;
    assert_eq!(ids(collector.spans().last().unwrap()), ["4"]);
}

#[tokio::test]
async fn a_full_queue_takes_no_more_and_nobody_waits() {
    let (collector, endpoint) = Collector::start().await;
    let exporter = exporter(&endpoint, 2);
    for n in 1..=5 {
        exporter.push(record(n));
    }
    exporter.flush().await;
    assert_eq!(ids(&collector.spans().concat()), ["1", "2"]);
}

#[tokio::test]
async fn what_is_in_the_queue_is_sent_when_the_exporter_goes() {
    let (collector, endpoint) = Collector::start().await;
    let exporter = exporter(&endpoint, 10);
    exporter.push(record(1));
    drop(exporter);
    for _ in 0..6_000 {
        if !collector.spans().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it was not sent");
}
