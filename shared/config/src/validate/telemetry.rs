//! Checks of `telemetry`.

use super::Report;
use crate::Telemetry;
use crate::address::Address;
use crate::tree::Path;

/// More would be memory, not a buffer.
const MAX_QUEUE: u64 = 100_000;

pub(super) fn check(telemetry: &Telemetry, report: &mut Report<'_>) {
    let Some(otlp) = &telemetry.otlp else { return };
    let path = Path::of("telemetry.otlp");
    if let Err(error) = Address::parse(&otlp.endpoint) {
        report.add(&path.key("endpoint"), error, "write the collector's address, such as http://127.0.0.1:4318");
    } else if otlp.endpoint.trim_end_matches('/').ends_with("/v1/traces") {
        report.add(&path.key("endpoint"), "has the path of traces", "leave /v1/traces out: it is added");
    }
    for name in otlp.headers.keys() {
        if http::HeaderName::try_from(name.as_str()).is_err() {
            report.add(&path.key("headers").key(name), "is no name of a header", "letters, digits and dashes");
        }
    }
    if let Some(name) = &otlp.service_name {
        report.not_blank(&path.key("serviceName"), name);
    }
    report.in_range(&path.key("queue"), otlp.queue, MAX_QUEUE);
}
