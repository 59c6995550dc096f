//! Access log, metrics, traces.
