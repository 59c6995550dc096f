//! DynamoDB's API over a file, for a laptop: limits, budgets and kept responses work without an account, and survive a restart.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use dynoxide::Database;
use dynoxide::actions::update_time_to_live::{TimeToLiveSpecification, UpdateTimeToLiveRequest};
use tollgate_limits::{LedgerError, Limiter};

/// Between two looks for what has expired.
const CLEANING: Duration = Duration::from_secs(3600);

/// Starts it on a free port of this machine; answers the address for the `endpoint` of the table. `key`: where the configuration names it.
pub async fn start(key: &str, file: &Path) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{key}.file: {}: {error}", file.display());
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    let path = file.to_str().ok_or_else(|| failed(&"the path is not UTF-8"))?;
    let database = Database::new(path).map_err(|error| failed(&error))?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|error| failed(&error))?;
    let address = listener.local_addr().map_err(|error| failed(&error))?;
    tokio::spawn(clean(database.clone()));
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    Ok(format!("http://{address}"))
}

/// Takes out what has expired, as DynamoDB does by itself: at the start, then every hour.
async fn clean(database: Database) {
    loop {
        let database = database.clone();
        // It reads the whole file, a page at a time, and lets requests through in between.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || expire(&database)).await {
            tracing::warn!(error.cause = %error, "what has expired could not be deleted from a table in a file");
        }
        tokio::time::sleep(CLEANING).await;
    }
}

/// How many items had expired, in all tables. Each has its TTL in `expires`, as the templates' tables have it (`infra/data.yaml`).
fn expire(database: &Database) -> dynoxide::Result<usize> {
    for table_name in database.list_tables(Default::default())?.table_names {
        let time_to_live_specification =
            TimeToLiveSpecification { attribute_name: "expires".to_owned(), enabled: true };
        database.update_time_to_live(UpdateTimeToLiveRequest { table_name, time_to_live_specification })?;
    }
    database.sweep_ttl()
}

/// Warnings have been logged; a laptop has nobody to send events to.
pub async fn sweep(limiter: &Limiter) -> Result<(), LedgerError> {
    let until = Instant::now() + Duration::from_secs(30);
    for warning in limiter.sweep(SystemTime::now(), until).await?.warnings {
        limiter.ledger().sent(&warning).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn what_has_expired_goes_and_what_has_not_stays() {
        let database = Database::memory().unwrap();
        let key = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
        let table = json!({"TableName": "kept", "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": [key("pk")],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}]});
        database.create_table(from_value(table).unwrap()).unwrap();
        for (id, expires) in [("old", "1600000000"), ("new", "99999999999")] {
            let item = json!({"TableName": "kept", "Item": {"pk": {"S": id}, "expires": {"N": expires}}});
            database.put_item(from_value(item).unwrap()).unwrap();
        }
        let forever = json!({"TableName": "kept", "Item": {"pk": {"S": "forever"}}});
        database.put_item(from_value(forever).unwrap()).unwrap();
        assert_eq!(expire(&database).unwrap(), 1);
        assert_eq!(expire(&database).unwrap(), 0);
        let left = database.scan(from_value(json!({"TableName": "kept"})).unwrap()).unwrap();
        assert_eq!(left.count, 2);
    }
}
