//! The sweep: reservations that nobody settled are charged their estimate, and warnings of budgets become events. Every minute, by a schedule.
//!
//! A warning is sent first and marked after it: if the mark fails it comes twice, never not at all.

use std::time::{Instant, SystemTime};

use serde_json::{Value, json};
use tollgate_hooks::App;

use crate::bus::{Bus, MAX_ENTRIES};

/// Sweeps until nothing is due, or `until`.
pub async fn run(app: &App, bus: &Bus, now: SystemTime, until: Instant) -> Result<Value, String> {
    let Some(limiter) = &app.limiter else { return Ok(json!({"quota": "off"})) };
    let swept = Box::pin(limiter.sweep(now, until)).await.map_err(|error| error.to_string())?;
    Box::pin(limiter.flush(now)).await;
    let mut sent = 0_usize;
    for warnings in swept.warnings.chunks(MAX_ENTRIES) {
        let taken = bus.send(warnings).await;
        for (warning, _) in warnings.iter().zip(taken).filter(|(_, taken)| *taken) {
            match limiter.ledger().sent(warning).await {
                Ok(()) => sent += 1,
                Err(error) => tracing::error!(
                    ledger.scope = %warning.scope, error.cause = %error, "a warning that was sent could not be marked; it will come again"
                ),
            }
        }
    }
    if swept.reservations > 0 || !swept.warnings.is_empty() {
        tracing::info!(
            sweep.items = swept.items,
            sweep.reservations = swept.reservations,
            sweep.charged_nano_usd = swept.charged_nano_usd,
            sweep.warnings = swept.warnings.len(),
            sweep.sent = sent,
            "swept"
        );
    }
    Ok(json!({
        "items": swept.items, "reservations": swept.reservations, "charged_nano_usd": swept.charged_nano_usd,
        "warnings": swept.warnings.len(), "sent": sent,
    }))
}
