//! DynamoDB's API without AWS: dynoxide, in memory, behind HTTP; what asks it, and what counts the calls to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tollgate_config::LedgerTable;
use tollgate_limits::Ledger;
use tollgate_upstream::Aws;

use crate::Result;
use crate::process::announce;

/// The ledger's table where the configuration names none.
const TABLE: &str = "tollgate-ledger";
const TIMEOUT: Duration = Duration::from_secs(10);

/// A new one in this process; its address.
pub(crate) async fn start() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let database = dynoxide::Database::memory()?;
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    Ok(endpoint)
}

/// `bench dynamodb`: as a process of its own.
pub(crate) fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?)?;
        let database = dynoxide::Database::memory()?;
        Ok(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()).await?)
    })
}

/// The ledger on it, with the gateway's own HTTP client.
pub(crate) fn ledger(endpoint: &str) -> Result<Ledger> {
    let table = LedgerTable { endpoint: Some(endpoint.to_owned()), ..LedgerTable::default() };
    Ok(Ledger::new(&table, TIMEOUT, Vec::new(), Aws::standalone()?.source(true)))
}

/// Calls that dynoxide has answered, and the units that it says they took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Charged {
    pub(crate) calls: usize,
    pub(crate) units: f64,
}

/// Stands before a DynamoDB, asks it with every call what the call takes, and adds that up.
pub(crate) struct Counting {
    client: reqwest::Client,
    behind: String,
    charged: Mutex<BTreeMap<String, Charged>>,
}

impl Counting {
    /// Before this one; and its own address.
    pub(crate) async fn start(behind: &str) -> Result<(Arc<Self>, String)> {
        let client = reqwest::Client::builder().build()?;
        let counting = Arc::new(Self { client, behind: behind.to_owned(), charged: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(pass).with_state(Arc::clone(&counting));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((counting, endpoint))
    }

    /// What came since the last time, by operation.
    pub(crate) fn take(&self) -> BTreeMap<String, Charged> {
        self.charged.lock().map(|mut charged| std::mem::take(&mut *charged)).unwrap_or_default()
    }

    async fn forward(&self, headers: &HeaderMap, body: &[u8]) -> Result<(StatusCode, Bytes)> {
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let mut question: Value = serde_json::from_slice(body)?;
        if let (true, Value::Object(question)) =
            (operation.ends_with("Item") || operation.ends_with("Items"), &mut question)
        {
            question.insert("ReturnConsumedCapacity".to_owned(), "TOTAL".into());
        }
        let (status, answer) = call(&self.client, &self.behind, target, &question).await?;
        let parsed: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let units = match parsed.get("ConsumedCapacity") {
            Some(Value::Array(tables)) => tables.iter().map(units).sum(),
            Some(table) => units(table),
            None => 0.0,
        };
        if let Ok(mut charged) = self.charged.lock() {
            let charged = charged.entry(operation.to_owned()).or_default();
            charged.calls += 1;
            charged.units += units;
        }
        Ok((status, answer))
    }
}

fn units(table: &Value) -> f64 {
    table.get("CapacityUnits").and_then(Value::as_f64).unwrap_or_default()
}

async fn pass(State(counting): State<Arc<Counting>>, headers: HeaderMap, body: Bytes) -> Response {
    let (status, answer) = counting.forward(&headers, &body).await.unwrap_or_else(|error| {
        (StatusCode::BAD_GATEWAY, Bytes::from(json!({"message": error.to_string()}).to_string()))
    });
    let mut response = Response::new(Body::from(answer));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}

/// Nobody checks the signature.
async fn call(client: &reqwest::Client, endpoint: &str, target: &str, body: &Value) -> Result<(StatusCode, Bytes)> {
    let authorization =
        "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";
    let answer = client
        .post(endpoint)
        .header(HeaderName::from_static("x-amz-target"), target)
        .header(HeaderName::from_static("x-amz-date"), "20260101T000000Z")
        .header(http::header::AUTHORIZATION, authorization)
        .header(CONTENT_TYPE, "application/x-amz-json-1.0")
        .body(body.to_string())
        .send()
        .await?;
    Ok((answer.status(), answer.bytes().await?))
}

/// All items under a partition key, as DynamoDB's JSON has them.
pub(crate) async fn items(endpoint: &str, pk: &str) -> Result<Vec<Value>> {
    let question = json!({"TableName": TABLE, "ConsistentRead": true, "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": pk}}});
    let (status, answer) =
        call(&reqwest::Client::builder().build()?, endpoint, "DynamoDB_20120810.Query", &question).await?;
    if !status.is_success() {
        return Err(format!("a query was answered with {status}: {}", String::from_utf8_lossy(&answer)).into());
    }
    let answer: Value = serde_json::from_slice(&answer)?;
    Ok(answer.get("Items").and_then(Value::as_array).cloned().unwrap_or_default())
}
