//! Metrics as log lines: CloudWatch's embedded metric format,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>. Elsewhere they are lines like any other.

use std::io::Write;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Tollgate";

/// Counts one event. Every dimension makes a metric of its own in CloudWatch: name few, with few values.
pub fn count(name: &str, dimensions: &[(&str, &str)]) {
    let mut line = line(name, dimensions, SystemTime::now()).to_string();
    line.push('\n');
    // A log that cannot be written is no reason to fail a request.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

fn line(name: &str, dimensions: &[(&str, &str)], now: SystemTime) -> Value {
    let millis = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let mut fields: Map<String, Value> =
        dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    fields.insert(name.to_owned(), json!(1));
    let metrics =
        json!([{"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": [{"Name": name, "Unit": "Count"}]}]);
    fields.insert(
        "_aws".to_owned(),
        json!({"Timestamp": u64::try_from(millis).unwrap_or(0), "CloudWatchMetrics": metrics}),
    );
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_embedded_metric() {
        let line = line("BudgetThreshold", &[("scope", "team#a")], SystemTime::UNIX_EPOCH);
        assert_eq!(
            line,
            json!({"scope": "team#a", "BudgetThreshold": 1, "_aws": {"Timestamp": 0, "CloudWatchMetrics": [
                {"Namespace": "Tollgate", "Dimensions": [["scope"]], "Metrics": [{"Name": "BudgetThreshold", "Unit": "Count"}]}]}})
        );
    }
}
