//! Access log, operational log and metrics: one JSON line each, on standard output. Requests as spans ([`otlp`]), for whoever sends them.
//!
//! Rules: a message and fields, dotted field names, units in names, every fault logged once; never a body, a prompt, a token or a key. Names
//! of the GenAI fields are OpenTelemetry's: <https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/>.

mod access;
mod emf;
mod line;
mod log;
pub mod metric;
pub mod otlp;
mod out;

pub use access::{Access, AttemptLine, Metrics, write};
pub use log::init;
pub use metric::{METRICS, Metric, NAMESPACE, add, count};

#[cfg(test)]
mod documentation;
