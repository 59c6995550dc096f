//! A ledger on a DynamoDB of its own.

use std::time::{Duration, SystemTime};

use tollgate_config::LedgerTable;
use tollgate_limits::Ledger;

/// Its endpoint, and a look into it. Not in the last third of a minute: windows of limits are minutes, days and months, and none may end during a test.
pub(crate) async fn ledger() -> (String, Ledger) {
    let second = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() % 60;
    if second >= 40 {
        tokio::time::sleep(Duration::from_secs(60 - second)).await;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    let table = LedgerTable { endpoint: Some(endpoint.clone()), ..LedgerTable::default() };
    let aws = tollgate_upstream::Aws::standalone().unwrap();
    let ledger = Ledger::new(&table, Duration::from_secs(120), Vec::new(), aws.source(true));
    ledger.create_table().await.unwrap();
    (endpoint, ledger)
}
