//! DynamoDB's API over a file, for a laptop: limits, budgets and kept responses work without an account, and survive a restart.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tollgate_limits::{LedgerError, Limiter};

/// Starts it on a free port of this machine; answers the address for the `endpoint` of the table. `key`: where the configuration names it.
pub async fn start(key: &str, file: &Path) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{key}.file: {}: {error}", file.display());
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    let path = file.to_str().ok_or_else(|| failed(&"the path is not UTF-8"))?;
    let database = dynoxide::Database::new(path).map_err(|error| failed(&error))?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|error| failed(&error))?;
    let address = listener.local_addr().map_err(|error| failed(&error))?;
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    Ok(format!("http://{address}"))
}

/// Warnings have been logged; a laptop has nobody to send events to.
pub async fn sweep(limiter: &Limiter) -> Result<(), LedgerError> {
    let until = Instant::now() + Duration::from_secs(30);
    for warning in limiter.sweep(SystemTime::now(), until).await?.warnings {
        limiter.ledger().sent(&warning).await?;
    }
    Ok(())
}
