//! Where the record of a request goes when it is over: the access log, which may be the metrics' document, too.

use std::sync::Arc;

use tollgate_telemetry::metric::{self, count};
use tollgate_telemetry::{Access, Metrics};

/// Faults of attempts that say nothing about the provider; the others are counted.
const NOT_THE_PROVIDERS: [&str; 5] = ["unsupported", "not_found", "request", "deadline", "client_gone"];

/// Writes records. Cheap to clone: every request has one.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Settings>);

#[derive(Debug, Default)]
struct Settings {
    version: Option<Arc<str>>,
    metrics: Metrics,
}

impl Recorder {
    /// `version`: of the configuration.
    pub fn new(version: Option<Arc<str>>, metrics: Metrics) -> Self {
        Self(Arc::new(Settings { version, metrics }))
    }

    /// The version of the configuration.
    pub fn version(&self) -> Option<Arc<str>> {
        self.0.version.clone()
    }

    /// Writes one.
    pub fn write(&self, access: &Access) {
        tollgate_telemetry::write(access, self.0.metrics);
        if self.0.metrics.on {
            count_faults(access);
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
