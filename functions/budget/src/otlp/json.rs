//! Protobuf's JSON of the same messages, <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>: names in camel case, 64-bit numbers as texts
//! or numbers, ids in hex.

use serde::Deserialize;
use serde_json::Value;

use super::Record;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    #[serde(default)]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs {
    #[serde(default)]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs {
    #[serde(default)]
    log_records: Vec<LogRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogRecord {
    #[serde(default)]
    attributes: Vec<KeyValue>,
    #[serde(default)]
    trace_id: String,
    #[serde(default)]
    span_id: String,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: AnyValue,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyValue {
    string_value: Option<String>,
    bool_value: Option<bool>,
    int_value: Option<Value>,
    double_value: Option<Value>,
}

/// The records of a batch.
pub(super) fn records(body: &[u8]) -> Result<Vec<Record>, serde_json::Error> {
    let batch: Batch = serde_json::from_slice(body)?;
    let scopes = batch.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
    Ok(scopes.flat_map(|scope| scope.log_records).map(record).collect())
}

fn record(record: LogRecord) -> Record {
    let value = |value: AnyValue| {
        let text = value.string_value.map(Value::from);
        text.or(value.bool_value.map(Value::from)).or(value.int_value).or(value.double_value)
    };
    let pairs = record.attributes.into_iter().filter_map(|pair| Some((pair.key, value(pair.value)?)));
    let traced = !record.trace_id.is_empty() && !record.span_id.is_empty();
    Record {
        attributes: pairs.collect(),
        id: traced.then(|| format!("{}-{}", record.trace_id.to_lowercase(), record.span_id.to_lowercase())),
    }
}
