//! Requests as spans, in OTLP's JSON: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>. One span per request, one below it per upstream call.
//!
//! The attributes are the fields of the access log, by the same names.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{Access, AttemptLine};

/// `SPAN_KIND_SERVER`, `SPAN_KIND_CLIENT`, `STATUS_CODE_ERROR`:
/// <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const ERROR: u8 = 2;

/// Where a request stands in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace's id.
    pub id: u128,
    /// The client's span, if it named one.
    pub parent: Option<u64>,
}

/// A request that is over.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its line of the access log.
    pub access: Access,
    /// Its place.
    pub trace: Trace,
    /// When it was over.
    pub ended: SystemTime,
    /// The id of its span; those of its attempts follow it.
    pub span: u64,
}

impl Trace {
    /// From a `traceparent` header: <https://www.w3.org/TR/trace-context/#traceparent-header>. `None`: the header is none. `Some(None)`: the client does not want to
    /// have this one recorded.
    #[must_use]
    pub fn of(traceparent: &str) -> Option<Option<Self>> {
        let mut parts = traceparent.trim().splitn(5, '-');
        let [version, id, parent, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        let is_hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        // A later version may have more parts; the first four are these.
        let more = version == "00" && parts.next().is_some();
        if more || version == "ff" || !is_hex(version, 2) || !is_hex(id, 32) || !is_hex(parent, 16) || !is_hex(flags, 2)
        {
            return None;
        }
        let id = u128::from_str_radix(id, 16).ok().filter(|id| *id != 0)?;
        let parent = u64::from_str_radix(parent, 16).ok().filter(|id| *id != 0)?;
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        Some(sampled.then_some(Self { id, parent: Some(parent) }))
    }

    /// Its id as it is written.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:032x}", self.id)
    }
}

/// The body of an export.
#[must_use]
pub fn body(service: &str, version: &str, records: &[Record]) -> Vec<u8> {
    let spans: Vec<Value> = records.iter().flat_map(spans).collect();
    let resource = [("service.name", json!(service)), ("service.version", json!(version))];
    let resource: Vec<Value> = resource.iter().filter_map(|(key, value)| attribute(key, value)).collect();
    let scope = json!({"name": "tollgate", "version": version});
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": scope, "spans": spans}],
    }]})
    .to_string()
    .into_bytes()
}

fn spans(record: &Record) -> Vec<Value> {
    let Record { access, trace, ended, span } = record;
    let began = *ended - ms(access.duration_ms);
    let mut fields = fields(access);
    // Said elsewhere, or of no meaning in a span.
    for key in ["timestamp", "level", "message", "trace_id", "tollgate.attempts"] {
        fields.remove(key);
    }
    let mut own = json!({
        "traceId": trace.text(),
        "spanId": id(*span),
        "name": name(access.operation.unwrap_or(access.route), access.request_model.as_deref()),
        "kind": SERVER,
        "startTimeUnixNano": nanos(began),
        "endTimeUnixNano": nanos(*ended),
        "attributes": attributes(&fields),
        "status": status(access.status >= 500, access.error.as_deref()),
    });
    if let (Some(parent), Some(own)) = (trace.parent, own.as_object_mut()) {
        own.insert("parentSpanId".to_owned(), id(parent).into());
    }
    let attempts = access.attempts.iter().zip(1..).map(|(attempt, n)| self::attempt(record, attempt, n, began));
    std::iter::once(own).chain(attempts).collect()
}

fn attempt(record: &Record, attempt: &AttemptLine, n: u64, began: SystemTime) -> Value {
    let began = began + ms(attempt.start_ms);
    let mut attributes = vec![
        ("tollgate.provider", json!(attempt.provider)),
        ("gen_ai.operation.name", json!(record.access.operation)),
        ("gen_ai.request.model", json!(attempt.model)),
        ("http.response.status_code", json!(attempt.status)),
        ("error.type", json!(attempt.fault)),
    ];
    attributes.retain(|(_, value)| !value.is_null());
    json!({
        "traceId": record.trace.text(),
        "spanId": id(record.span.wrapping_add(n)),
        "parentSpanId": id(record.span),
        "name": name(record.access.operation.unwrap_or(record.access.route), Some(&attempt.model)),
        "kind": CLIENT,
        "startTimeUnixNano": nanos(began),
        "endTimeUnixNano": nanos(began + ms(attempt.duration_ms)),
        "attributes": attributes.iter().filter_map(|(key, value)| attribute(key, value)).collect::<Vec<_>>(),
        "status": status(attempt.fault.is_some(), attempt.fault),
    })
}

/// As the conventions name a span: what is done, and with which model.
fn name(operation: &str, model: Option<&str>) -> String {
    model.map_or_else(|| operation.to_owned(), |model| format!("{operation} {model}"))
}

fn status(failed: bool, why: Option<&str>) -> Value {
    if failed { json!({"code": ERROR, "message": why.unwrap_or_default()}) } else { json!({}) }
}

fn fields(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn attributes(fields: &Map<String, Value>) -> Vec<Value> {
    fields.iter().filter_map(|(key, value)| attribute(key, value)).collect()
}

fn attribute(key: &str, value: &Value) -> Option<Value> {
    any(value).map(|value| json!({"key": key, "value": value}))
}

/// An `AnyValue`. 64-bit integers are texts in protobuf's JSON.
fn any(value: &Value) -> Option<Value> {
    Some(match value {
        Value::String(text) => json!({"stringValue": text}),
        Value::Bool(is) => json!({"boolValue": is}),
        Value::Number(number) => match number.as_u64() {
            Some(count) => json!({"intValue": i64::try_from(count).unwrap_or(i64::MAX).to_string()}),
            None => json!({"doubleValue": number}),
        },
        Value::Array(items) => json!({"arrayValue": {"values": items.iter().filter_map(any).collect::<Vec<_>>()}}),
        Value::Null | Value::Object(_) => return None,
    })
}

/// Spans that a collector says it did not take: <https://opentelemetry.io/docs/specs/otlp/#partial-success-1>.
#[must_use]
pub fn rejected(answer: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    match answer.pointer("/partialSuccess/rejectedSpans") {
        Some(Value::String(count)) => count.parse().unwrap_or_default(),
        Some(count) => count.as_u64().unwrap_or_default(),
        None => 0,
    }
}

fn id(span: u64) -> String {
    format!("{span:016x}")
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos()).to_string()
}

fn ms(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::full;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn record() -> Record {
        let ended = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000);
        Record { access: full(), trace: Trace::of(TRACE).unwrap().unwrap(), ended, span: 1 }
    }

    fn sent() -> Vec<Value> {
        let body: Value = serde_json::from_slice(&body("tollgate", "1.0.0", &[record()])).unwrap();
        body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
    }

    fn value(span: &Value, key: &str) -> Value {
        let attributes = span["attributes"].as_array().unwrap();
        attributes.iter().find(|one| one["key"] == key).map(|one| one["value"].clone()).unwrap_or_default()
    }

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_has_it() {
        let trace = Trace { id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, parent: Some(0x00f0_67aa_0ba9_02b7) };
        assert_eq!(Trace::of(TRACE), Some(Some(trace)));
        assert_eq!(trace.text(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(Trace::of(&TRACE.replace("-01", "-00")), Some(None), "not sampled");
        assert_eq!(Trace::of(&TRACE.replacen("00-", "01-", 1).replace("-01", "-01-more")), Some(Some(trace)));
        for wrong in [
            "",
            "00",
            &TRACE.replacen("00-", "ff-", 1),
            &TRACE.to_uppercase(),
            &format!("{TRACE}-more"),
            &TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &TRACE.replace("00f067aa0ba902b7", &"0".repeat(16)),
        ] {
            assert_eq!(Trace::of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_request_is_a_span_with_one_below_it_for_every_attempt() {
        let spans = sent();
        let [request, attempt] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!((&request["name"], &request["kind"]), (&json!("chat gpt-4o"), &json!(2)));
        assert_eq!((&request["spanId"], &request["parentSpanId"]), (&json!(id(1)), &json!("00f067aa0ba902b7")));
        assert_eq!((&attempt["spanId"], &attempt["parentSpanId"]), (&json!(id(2)), &json!(id(1))));
        assert_eq!(request["endTimeUnixNano"], "1000000000000");
        assert_eq!(request["startTimeUnixNano"], "999987500000", "12.5 ms before");
        assert_eq!(attempt["startTimeUnixNano"], "999988000000", "0.5 ms later");
        assert_eq!(attempt["status"], json!({"code": 2, "message": "stream"}));
    }

    #[test]
    fn attributes_have_the_fields_names_and_protobufs_types() {
        let spans = sent();
        assert_eq!(value(&spans[0], "gen_ai.usage.input_tokens"), json!({"intValue": "30"}));
        assert_eq!(value(&spans[0], "overhead_ms"), json!({"doubleValue": 0.5}));
        assert_eq!(value(&spans[0], "gen_ai.request.stream"), json!({"boolValue": true}));
        assert_eq!(value(&spans[0], "tollgate.dropped"), json!({"arrayValue": {"values": [{"stringValue": "seed"}]}}));
        assert_eq!(value(&spans[0], "tollgate.attempts"), Value::Null);
        assert_eq!(value(&spans[1], "gen_ai.request.model"), json!({"stringValue": "gpt-4o"}));
    }

    #[test]
    fn what_a_collector_did_not_take_is_read() {
        assert_eq!(rejected(br#"{"partialSuccess":{"rejectedSpans":"3"}}"#), 3);
        assert_eq!(rejected(br#"{"partialSuccess":{"rejectedSpans":2}}"#), 2);
        assert_eq!(rejected(b"{}") + rejected(b""), 0);
    }
}
