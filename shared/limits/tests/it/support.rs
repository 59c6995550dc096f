//! An embedded DynamoDB behind HTTP, one per test, and short ways to ask it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dynoxide::Database;
use tokio::net::TcpListener;
use tollgate_config::LedgerTable;
use tollgate_limits::{
    Admission, Amount, Counter, Ledger, Limiter, Order, Owner, Refusal, Reservation, Scope, SdkSource,
};

/// A moment in November 2026.
pub(crate) const NOVEMBER_22: u64 = 1_795_366_419;

pub(crate) fn at(unix_s: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(unix_s)
}

pub(crate) fn now() -> SystemTime {
    at(NOVEMBER_22)
}

/// Starts one; the address for `limits.ledger.endpoint`.
pub(crate) async fn dynamodb() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let database = Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    format!("http://{address}")
}

pub(crate) fn settings(endpoint: &str) -> LedgerTable {
    LedgerTable { endpoint: Some(endpoint.to_owned()), ..LedgerTable::default() }
}

/// Emulators are reached without the ambient configuration.
pub(crate) fn no_sdk() -> SdkSource {
    tollgate_upstream::Aws::standalone().unwrap().source(true)
}

/// One gateway's ledger.
pub(crate) fn ledger(endpoint: &str) -> Arc<Ledger> {
    ledger_with(endpoint, Duration::from_secs(120))
}

/// With another timeout.
pub(crate) fn ledger_with(endpoint: &str, timeout: Duration) -> Arc<Ledger> {
    Arc::new(Ledger::new(&settings(endpoint), timeout, vec![50, 80, 100], no_sdk()))
}

/// A new table and a ledger on it.
pub(crate) async fn fresh() -> (String, Arc<Ledger>) {
    let endpoint = dynamodb().await;
    let ledger = ledger(&endpoint);
    ledger.create_table().await.unwrap();
    (endpoint, ledger)
}

/// A limiter with the `limits` block of this YAML, on a new table.
pub(crate) async fn limiter(yaml: &str) -> Limiter {
    let endpoint = dynamodb().await;
    let text = format!("limits:\n  timeoutMs: 60000\n  ledger: {{endpoint: '{endpoint}'}}\n{yaml}");
    let config = tollgate_config::parse(&text, "test").unwrap_or_else(|error| panic!("{error}\n{text}"));
    let limiter = Limiter::new(config.limits.as_ref(), no_sdk()).unwrap();
    limiter.ledger().create_table().await.unwrap();
    limiter
}

/// A team's scope.
pub(crate) fn team(name: &str, rpm: Option<u64>, tpd: Option<u64>, nano_usd: Option<u64>) -> Scope {
    let counters = vec![(Counter::Requests, rpm), (Counter::Tokens, tpd), (Counter::Money, nano_usd)];
    Scope { key: format!("team#{name}"), owner: Owner::Team, counters }
}

pub(crate) fn order(scopes: Vec<Scope>, tokens: u64, nano_usd: u64) -> Order {
    Order {
        team: "a".to_owned(),
        scopes,
        amount: Amount { requests: 1, tokens, nano_usd },
        charge: Amount { requests: 0, tokens: tokens / 2, nano_usd: nano_usd / 2 },
        expires: now() + Duration::from_secs(600),
        model: Some("custom/m".to_owned()),
        external_id: None,
        open: true,
    }
}

pub(crate) fn admitted(admission: Admission) -> Reservation {
    match admission {
        Admission::Admitted(reservation, _) => reservation,
        other => panic!("expected an admission, got {other:?}"),
    }
}

pub(crate) fn refused(admission: Admission) -> Refusal {
    match admission {
        Admission::Refused(refusal) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// What is left of each limit of a scope: requests, tokens, nano-dollars.
pub(crate) async fn left(ledger: &Ledger, scope: &Scope, when: SystemTime) -> Vec<u64> {
    let standings = ledger.standing(std::slice::from_ref(scope), when).await.unwrap();
    standings.iter().map(|standing| standing.remaining).collect()
}
