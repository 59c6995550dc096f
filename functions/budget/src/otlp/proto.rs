//! The messages, as far as they are read here; what else is in them is skipped. From
//! <https://github.com/open-telemetry/opentelemetry-proto/tree/v1.7.0/opentelemetry/proto>: `collector/logs/v1/logs_service.proto`, `logs/v1/logs.proto`,
//! `common/v1/common.proto`; and `google/rpc/status.proto`.

use bytes::Bytes;
use prost::{DecodeError, Message};
use serde_json::Value;

use super::Record;

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportLogsServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResourceLogs {
    #[prost(message, repeated, tag = "2")]
    pub(super) scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ScopeLogs {
    #[prost(message, repeated, tag = "2")]
    pub(super) log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LogRecord {
    #[prost(message, repeated, tag = "6")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    pub(super) span_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 2, 3, 4")]
    pub(super) value: Option<Any>,
}

/// Arrays, lists and bytes are left out: nothing of use stands in them.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportLogsServiceResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<ExportLogsPartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportLogsPartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_log_records: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

/// The records of a batch.
pub(super) fn records(body: Bytes) -> Result<Vec<Record>, DecodeError> {
    let batch = ExportLogsServiceRequest::decode(body)?;
    let scopes = batch.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
    Ok(scopes.flat_map(|scope| scope.log_records).map(record).collect())
}

fn record(record: LogRecord) -> Record {
    let value = |value: AnyValue| match value.value? {
        Any::Text(text) => Some(Value::from(text)),
        Any::Bool(bool) => Some(Value::from(bool)),
        Any::Int(int) => Some(Value::from(int)),
        Any::Double(double) => Some(Value::from(double)),
    };
    let pairs = record.attributes.into_iter().filter_map(|pair| Some((pair.key, value(pair.value?)?)));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let traced = !record.trace_id.is_empty() && !record.span_id.is_empty();
    Record {
        attributes: pairs.collect(),
        id: traced.then(|| format!("{}-{}", hex(&record.trace_id), hex(&record.span_id))),
    }
}

/// An answer; with a partial success only if something was rejected.
pub(super) fn response(rejected: i64, reason: String) -> ExportLogsServiceResponse {
    let partial = ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: reason };
    ExportLogsServiceResponse { partial_success: (rejected > 0).then_some(partial) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_as_another_encoder_writes_it_is_read() {
        // By hand from the .proto: resource_logs { resource {} scope_logs { scope { name: "s" } log_records { time: 1, severity_text: "INFO",
        // attributes { key: "a" value { int_value: 300 } } attributes { key: "b" value { string_value: "x" } } attributes { key: "c" value
        // { array_value {} } } trace_id: 0102 span_id: 03 } } }
        let attribute = |key: u8, value: &[u8]| {
            let mut pair = vec![0x0a, 1, key, 0x12, value.len() as u8];
            pair.extend(value);
            let mut field = vec![0x32, pair.len() as u8];
            field.extend(pair);
            field
        };
        let mut record = vec![0x09, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 4];
        record.extend(b"INFO");
        record.extend(attribute(b'a', &[0x18, 0xac, 0x02]));
        record.extend(attribute(b'b', &[0x0a, 1, b'x']));
        record.extend(attribute(b'c', &[0x2a, 0]));
        record.extend([0x4a, 2, 1, 2, 0x52, 1, 3]);
        let field = |tag: u8, body: &[u8]| {
            let mut field = vec![tag, body.len() as u8];
            field.extend(body);
            field
        };
        let scope = [field(0x0a, &field(0x0a, b"s")), field(0x12, &record)].concat();
        let resource = [field(0x0a, &[]), field(0x12, &scope)].concat();
        let records = records(Bytes::from(field(0x0a, &resource))).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(Value::from(records[0].attributes.clone()), serde_json::json!({"a": 300, "b": "x"}));
        assert_eq!(records[0].id.as_deref(), Some("0102-03"));
    }

    #[test]
    fn rubbish_is_an_error_and_nothing_is_an_empty_batch() {
        assert!(records(Bytes::from_static(b"{\"resourceLogs\":[]}")).is_err());
        assert_eq!(records(Bytes::new()).unwrap(), []);
        assert!(response(0, String::new()).encode_to_vec().is_empty());
    }
}
