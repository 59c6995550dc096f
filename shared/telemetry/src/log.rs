//! The operational log.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log. `level`: `error`, `warn`, `info`, `debug`, `trace`; anything else means `info`. A second call does nothing.
pub fn init(level: Option<&str>) {
    let level = level.and_then(|level| level.parse::<LevelFilter>().ok()).unwrap_or(LevelFilter::INFO);
    // Libraries may print what they were sent: only their warnings, and never below.
    let ours = tracing_subscriber::filter::filter_fn(move |meta| {
        meta.target().starts_with("tollgate")
            || meta.target().starts_with("gateway")
            || *meta.level() <= tracing::Level::WARN
    });
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    let _ = tracing_subscriber::registry().with(level).with(ours).with(lines).try_init();
}
