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
            // The embedded DynamoDB warns of every condition that does not hold, which is how a limit works.
            || (*meta.level() <= tracing::Level::WARN && !meta.target().starts_with("dynoxide"))
    });
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    if tracing_subscriber::registry().with(level).with(ours).with(lines).try_init().is_ok() {
        // The default prints the message of the panic, which may quote what was being read: a prompt.
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(panic.place = place, "a panic: a bug of the gateway");
        }));
    }
}
