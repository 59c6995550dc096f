//! A ledger on a DynamoDB of its own.

use std::time::Duration;

use tollgate_config::LedgerTable;
use tollgate_limits::Ledger;

/// Its endpoint, and a look into it.
pub(crate) async fn ledger() -> (String, Ledger) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    let table = LedgerTable { endpoint: Some(endpoint.clone()), ..LedgerTable::default() };
    let aws = tollgate_upstream::Aws::standalone().unwrap();
    let ledger = Ledger::new(&table, Duration::from_secs(10), Vec::new(), aws.source(true));
    ledger.create_table().await.unwrap();
    (endpoint, ledger)
}
