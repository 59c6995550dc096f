//! Where the record of a request goes when it is over: the access log, which may be the metrics' document, too, and a collector of traces.

use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use tollgate_config::Telemetry;
use tollgate_telemetry::metric::{self, count};
use tollgate_telemetry::otlp::{Record, Trace};
use tollgate_telemetry::{Access, Metrics};
use tollgate_upstream::Base;

use crate::app::on_lambda;
use crate::export::Exporter;

/// Faults of attempts that say nothing about the provider; the others are counted.
const NOT_THE_PROVIDERS: [&str; 5] = ["unsupported", "not_found", "request", "deadline", "client_gone"];

/// Writes records. Cheap to clone: every request has one.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Settings>);

#[derive(Debug, Default)]
struct Settings {
    version: Option<Arc<str>>,
    metrics: Metrics,
    exporter: Option<Arc<Exporter>>,
}

impl Recorder {
    /// `version`: of the configuration. `before`: that of the configuration before, whose exporter stays if it is the same.
    pub fn new(config: &Telemetry, version: Option<Arc<str>>, base: &Base, before: Option<&Self>) -> Self {
        let metrics = Metrics { on: config.metrics(on_lambda()), by_team: config.metrics_by_team };
        let known = before.and_then(|before| before.0.exporter.as_ref());
        let exporter = config.otlp.as_ref().map(|otlp| match known.filter(|known| known.settings() == otlp) {
            Some(known) => Arc::clone(known),
            None => Arc::new(Exporter::new(otlp, base.clone())),
        });
        Self(Arc::new(Settings { version, metrics, exporter }))
    }

    /// The version of the configuration.
    pub fn version(&self) -> Option<&Arc<str>> {
        self.0.version.as_ref()
    }

    /// Where a request with these headers stands in its trace, if it is to be exported: the client's trace, or a new one.
    pub fn trace(&self, headers: &HeaderMap) -> Option<Trace> {
        self.0.exporter.as_ref()?;
        let named = headers.get("traceparent").and_then(|value| Trace::of(value.to_str().ok()?));
        named.unwrap_or_else(|| Some(Trace { id: fastrand::u128(1..), parent: None }))
    }

    /// Writes one.
    pub fn write(&self, access: &mut Access, trace: Option<Trace>) {
        tollgate_telemetry::write(access, self.0.metrics);
        if self.0.metrics.on {
            count_faults(access);
        }
        if let (Some(exporter), Some(trace)) = (&self.0.exporter, trace) {
            let (ended, span) = (SystemTime::now(), fastrand::u64(1..));
            exporter.push(Box::new(Record { access: std::mem::take(access), trace, ended, span }));
        }
    }

    /// Sends what was written, if a request has to wait for that.
    pub async fn flush(&self) {
        if let Some(exporter) = self.0.exporter.as_ref().filter(|exporter| exporter.flushes()) {
            Box::pin(exporter.flush()).await;
        }
    }

    /// Sends what was written: before the process ends.
    pub async fn close(&self) {
        if let Some(exporter) = &self.0.exporter {
            exporter.flush().await;
        }
    }
}

/// A request may have failed at several providers, and a line has one value per dimension.
fn count_faults(access: &Access) {
    for attempt in &access.attempts {
        if attempt.fault.is_some_and(|fault| !NOT_THE_PROVIDERS.contains(&fault)) {
            count(&metric::UPSTREAM_FAULTS, &[&attempt.provider]);
        }
    }
}
