//! The log of another gateway by a CloudWatch Logs subscription,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html#LambdaFunctionExample>: `{"awslogs": {"data": "<base64 of gzip of JSON>"}}`.
//!
//! A line is an object, or agentgateway's text: `... request gateway=default/gw gen_ai.usage.input_tokens=182 error="..."`. Lines without usage are
//! passed over. A ledger that does not answer fails the invocation; CloudWatch Logs sends the batch again.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tollgate_hooks::App;

use crate::attributes::{self, Attributes};
use crate::gunzip::gunzip;
use crate::report::{Booked, book};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    message_type: String,
    #[serde(default)]
    log_group: String,
    #[serde(default)]
    log_events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    message: String,
}

/// One batch: the value of `awslogs`.
pub async fn take(app: &App, logs: &Value, now: SystemTime) -> Result<Value, String> {
    let batch = decoded(logs)?;
    let mut rejected = Booked::default();
    if batch.message_type != "DATA_MESSAGE" {
        // CloudWatch asks whether anybody is there.
        return Ok(rejected.json());
    }
    let mut reports = Vec::new();
    for event in batch.log_events {
        let Some(attributes) = attributes_of(&event.message) else { continue };
        match attributes::report(app, &attributes, Some(format!("log-{}", event.id))) {
            None => {}
            Some(Ok(report)) => reports.push(report),
            Some(Err(reason)) => rejected.reject(format!("log-{}", event.id), reason),
        }
    }
    let booked = book(app, reports, now).await;
    let booked = Booked { rejected: rejected.rejected, ..booked };
    if booked.failed.is_empty() {
        return Ok(booked.json());
    }
    Err(format!("{} usage reports of {} could not be booked", booked.failed.len(), batch.log_group))
}

fn decoded(logs: &Value) -> Result<Batch, String> {
    let data = logs.get("data").and_then(Value::as_str).ok_or("awslogs has no `data`")?;
    let packed = STANDARD.decode(data).map_err(|_| "awslogs.data is not base64")?;
    let plain = gunzip(&packed).map_err(|problem| format!("awslogs.data: {problem}"))?;
    serde_json::from_slice(&plain).map_err(|error| format!("awslogs.data is no batch of log events: {error}"))
}

/// Of a line.
fn attributes_of(line: &str) -> Option<Attributes> {
    if !line.contains("gen_ai.usage.") {
        return None;
    }
    if line.trim_start().starts_with('{') {
        let mut attributes: Attributes = serde_json::from_str(line).ok()?;
        // Loggers that keep fields apart.
        for nested in ["fields", "attributes"] {
            if let Some(Value::Object(inner)) = attributes.remove(nested) {
                attributes.extend(inner);
            }
        }
        return Some(attributes);
    }
    Some(pairs(line))
}

/// `key=value` and `key="a \"quoted\" value"`, between blanks; what is no pair is passed over.
fn pairs(line: &str) -> Attributes {
    let mut attributes = Attributes::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        rest = rest.get(start..).unwrap_or_default();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.contains('"')) else {
            rest = rest.get(end..).unwrap_or_default();
            continue;
        };
        let from = key.len() + 1;
        let length = if value.starts_with('"') { quoted(rest.get(from..).unwrap_or_default()) } else { value.len() };
        let value = rest.get(from..from + length).unwrap_or_default();
        let text = serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned());
        attributes.insert(key.to_owned(), Value::String(text));
        rest = rest.get(from + length..).unwrap_or_default();
    }
    attributes
}

/// The length of a text in quotes, both of them included; of the rest, if it is not closed.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_of_text_is_read() {
        let line = "2026-11-22T10:00:00.000001Z\tinfo\trequest gateway=default/gw route=default/llm http.status=200 \
                    gen_ai.provider.name=openai gen_ai.request.model=gpt-4o gen_ai.usage.input_tokens=182 \
                    gen_ai.usage.output_tokens=269 error=\"a \\\"b\\\" c=d\" team=\"search team\" request.id=r-1 duration=59ms";
        let attributes = attributes_of(line).unwrap();
        for (name, value) in [
            ("gen_ai.usage.input_tokens", "182"),
            ("error", "a \"b\" c=d"),
            ("team", "search team"),
            ("request.id", "r-1"),
            ("duration", "59ms"),
        ] {
            assert_eq!(attributes[name], json!(value), "{name}");
        }
        assert!(!attributes.contains_key("c"));
    }

    #[test]
    fn a_line_of_json_is_read_and_others_are_passed_over() {
        let line = r#"{"level":"info","fields":{"gen_ai.usage.input_tokens":3},"team":"a"}"#;
        let attributes = attributes_of(line).unwrap();
        assert_eq!(attributes["gen_ai.usage.input_tokens"], json!(3));
        assert_eq!(attributes["team"], json!("a"));
        for line in ["", "info starting", "{\"gen_ai.usage.input_tokens\":", "{\"a\":1}"] {
            assert_eq!(attributes_of(line), None, "{line}");
        }
        for line in ["gen_ai.usage.input_tokens=\"12", "gen_ai.usage.=", "=\"é\" gen_ai.usage.x=\u{e9}\""] {
            assert!(attributes_of(line).is_some(), "no panic: {line}");
        }
    }
}
