//! A table: calls to DynamoDB and what their failures mean. Knows nothing of limits; the ledger has one, the kept responses another.
//!
//! Keys are `pk` and `sk`; in the ledger's the index `due` (`lane`, `due`) holds what the sweep has to look at, and nothing else.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{ConfigBag, Credentials, Intercept, Region, RuntimeComponents};
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ReturnValue, ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TransactWriteItem, Update,
};
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;
use tollgate_config::LedgerTable;

use crate::expression::{Expression, Parts};
use crate::item::{Item, n};

/// Gives the AWS configuration and its HTTP client, when something first needs them.
pub type SdkSource = Arc<dyn Fn() -> BoxFuture<'static, SdkConfig> + Send + Sync>;

/// The index of what is due, and the one value of its partition key: few items are in it at a time.
const DUE: &str = "due";
/// Attempts of one call, within its timeout.
const ATTEMPTS: u32 = 3;
/// Attempts of a transaction that meets others.
const CONFLICTS: u64 = 6;

/// The ledger, or the table of kept responses, could not be asked, or not in time.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// No answer in time.
    #[error("the table did not answer within {0:?}")]
    TimedOut(Duration),
    /// It answered with an error, or could not be reached.
    #[error("the table could not be asked: {0}")]
    Failed(String),
    /// It is there, and cannot do this one thing to this one item.
    #[error("the table refused a call: {0}")]
    Refused(String),
    /// It is there, and takes no more writes of this one item for a moment.
    #[error("the table takes no more writes of one item for a moment: {0}")]
    Throttled(String),
    /// It failed so often of late that it is not asked for a moment.
    #[error("the table is not asked for a moment, because it failed several times in a row")]
    BreakerOpen,
}

impl LedgerError {
    /// Would the next call, for another team, fail as well? What is wrong with one item must not take the limits from all the others.
    pub(crate) fn is_outage(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Throttled(_))
    }
}

/// Codes of answers that are about one item, or one call.
const OF_ONE_ITEM: [&str; 5] = [
    "ItemCollectionSizeLimitExceededException",
    "TransactionCanceledException",
    "TransactionConflictException",
    "TransactionInProgressException",
    "ValidationException",
];

/// In the reason of a throttle that is about one key: `TableWriteKeyRangeThroughputExceeded`. Those of tables and accounts are outages.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ThrottlingReason.html>
const OF_ONE_KEY: &str = "KeyRangeThroughputExceeded";

/// What came of a conditional update.
#[derive(Debug)]
pub(crate) enum Updated {
    /// It was made; the item as it is now.
    Done(Item),
    /// Its condition does not hold; the item as it is.
    Refused(Item),
}

/// An item's keys, and what is done to it.
pub(crate) type KeyedUpdate = (String, String, Expression);

/// What came of a transaction.
#[derive(Debug)]
pub(crate) enum Transacted {
    /// All was written.
    Done,
    /// Nothing was: the condition of this update does not hold.
    Refused(usize),
}

tokio::task_local! {
    /// Tries of the call under way that were sent and not answered. Each of them may still arrive.
    static UNANSWERED: Cell<u32>;
}

/// Counts them.
#[derive(Debug)]
struct Unanswered;

impl Intercept for Unanswered {
    fn name(&self) -> &'static str {
        "Unanswered"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let _ = UNANSWERED.try_with(|count| count.set(count.get() + 1));
        Ok(())
    }

    fn read_after_transmit(
        &self,
        _: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let _ = UNANSWERED.try_with(|count| count.set(count.get().saturating_sub(1)));
        Ok(())
    }
}

/// Keys of a page, and where the next one starts.
type Page = (Vec<(String, String)>, Option<Item>);

/// One table. Its calls are plain functions that box their futures: the SDK's are large and would be moved about, and an `async fn` is compiled where it is
/// waited for, once more and for speed.
pub(crate) struct Table {
    name: String,
    settings: LedgerTable,
    attempt_timeout: Duration,
    sdk: SdkSource,
    client: OnceCell<Client>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Table {
    /// `name`: where the configuration has none.
    pub(crate) fn new(settings: &LedgerTable, name: &str, timeout: Duration, sdk: SdkSource) -> Self {
        let name = settings.table.clone().unwrap_or_else(|| name.to_owned());
        // Room for a second attempt within the timeout.
        let attempt_timeout = timeout.mul_f64(0.6);
        Self { name, settings: settings.clone(), attempt_timeout, sdk, client: OnceCell::new() }
    }

    /// Prepares the client, in the background.
    pub(crate) async fn warm(&self) {
        self.client().await;
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| self.connect()).await
    }

    fn connect(&self) -> BoxFuture<'_, Client> {
        Box::pin(async move {
            let timeouts = TimeoutConfig::builder().operation_attempt_timeout(self.attempt_timeout).build();
            let retries =
                RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(Duration::from_millis(10));
            let mut builder = aws_sdk_dynamodb::config::Builder::from(&(self.sdk)().await);
            if self.settings.is_emulator() {
                // An emulator on this machine takes any credentials.
                builder = builder
                    .credentials_provider(Credentials::new("local", "local", None, None, "local"))
                    .region(Region::new("us-east-1"));
            }
            if let Some(endpoint) = &self.settings.endpoint {
                builder = builder.endpoint_url(endpoint);
            }
            if let Some(region) = &self.settings.region {
                builder = builder.region(Region::new(region.clone()));
            }
            Client::from_conf(builder.timeout_config(timeouts).retry_config(retries).interceptor(Unanswered).build())
        })
    }

    /// A conditional update of one item. One that meets a transaction on its way is sent again, a few times.
    pub(crate) fn update<'a>(
        &'a self,
        pk: &'a str,
        sk: &'a str,
        expression: Expression,
    ) -> BoxFuture<'a, Result<Updated, LedgerError>> {
        self.updating(pk, sk, expression, true)
    }

    /// The same for an item that nobody wants to see, because it is large.
    pub(crate) fn update_unseen<'a>(
        &'a self,
        pk: &'a str,
        sk: &'a str,
        expression: Expression,
    ) -> BoxFuture<'a, Result<Updated, LedgerError>> {
        self.updating(pk, sk, expression, false)
    }

    fn updating<'a>(
        &'a self,
        pk: &'a str,
        sk: &'a str,
        expression: Expression,
        seen: bool,
    ) -> BoxFuture<'a, Result<Updated, LedgerError>> {
        let (after, before) = match seen {
            true => (ReturnValue::AllNew, ReturnValuesOnConditionCheckFailure::AllOld),
            false => (ReturnValue::None, ReturnValuesOnConditionCheckFailure::None),
        };
        Box::pin(async move {
            let Parts { update, condition, names, values } = expression.parts();
            let call = self
                .client()
                .await
                .update_item()
                .table_name(&self.name)
                .set_key(Some(key(pk, sk)))
                .update_expression(update)
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values(after)
                .return_values_on_condition_check_failure(before);
            for attempt in 1..=CONFLICTS {
                match call.clone().send().await {
                    Ok(output) => return Ok(Updated::Done(output.attributes.unwrap_or_default())),
                    Err(error) => match error.as_service_error() {
                        Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                            return Ok(Updated::Refused(failed.item().cloned().unwrap_or_default()));
                        }
                        Some(UpdateItemError::TransactionConflictException(_)) => {}
                        Some(service) if is_hot(service) => {
                            return Err(LedgerError::Throttled(format!("{service}")));
                        }
                        _ => return Err(self.failed(error)),
                    },
                }
                tokio::time::sleep(Duration::from_millis(fastrand::u64(5..20) * attempt)).await;
            }
            Err(LedgerError::Refused("transactions wrote to the same item, again and again".to_owned()))
        })
    }

    /// As [`Self::update`]. `true`: a try of it was not answered, and may yet arrive, also after this answer.
    pub(crate) async fn update_watched(
        &self,
        pk: &str,
        sk: &str,
        expression: Expression,
    ) -> (Result<Updated, LedgerError>, bool) {
        let watched = async {
            let outcome = self.update(pk, sk, expression).await;
            (outcome, UNANSWERED.with(|count| count.get() > 0))
        };
        UNANSWERED.scope(Cell::new(0), watched).await
    }

    /// One item; `consistent`: as it is now, not as it was a moment ago.
    pub(crate) fn get<'a>(
        &'a self,
        pk: &'a str,
        sk: &'a str,
        consistent: bool,
    ) -> BoxFuture<'a, Result<Option<Item>, LedgerError>> {
        Box::pin(async move {
            let call = self.client().await.get_item().table_name(&self.name).set_key(Some(key(pk, sk)));
            let output = call.consistent_read(consistent).send().await.map_err(|error| self.failed(error))?;
            Ok(output.item)
        })
    }

    /// Updates of several items, all or none, once per token, however often it is sent. The service knows a token for ten minutes.
    pub(crate) async fn update_once(&self, token: &str, updates: Vec<KeyedUpdate>) -> Result<(), LedgerError> {
        match self.transact(Some(token), updates).await? {
            Transacted::Done => Ok(()),
            Transacted::Refused(at) => Err(LedgerError::Failed(format!("the condition of update {at} does not hold"))),
        }
    }

    /// Updates of several items, all or none. One that meets another on its way is sent again, a few times.
    pub(crate) fn transact<'a>(
        &'a self,
        token: Option<&'a str>,
        updates: Vec<KeyedUpdate>,
    ) -> BoxFuture<'a, Result<Transacted, LedgerError>> {
        Box::pin(async move {
            let mut items = Vec::with_capacity(updates.len());
            for (pk, sk, expression) in updates {
                let Parts { update, condition, names, values } = expression.parts();
                let update = Update::builder()
                    .table_name(&self.name)
                    .set_key(Some(key(&pk, &sk)))
                    .update_expression(update)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()
                    .map_err(|error| LedgerError::Failed(error.to_string()))?;
                items.push(TransactWriteItem::builder().update(update).build());
            }
            let client = self.client().await;
            for attempt in 1..=CONFLICTS {
                let call = client.transact_write_items().set_client_request_token(token.map(str::to_owned));
                let error = match call.set_transact_items(Some(items.clone())).send().await {
                    Ok(_) => return Ok(Transacted::Done),
                    Err(error) => error,
                };
                match error.as_service_error() {
                    // The token was used, and only for these updates: they have been made.
                    Some(TransactWriteItemsError::IdempotentParameterMismatchException(_)) => {
                        return Ok(Transacted::Done);
                    }
                    Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                        let codes =
                            canceled.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or_default());
                        if let Some(at) = codes.clone().position(|code| code == "ConditionalCheckFailed") {
                            return Ok(Transacted::Refused(at));
                        }
                        if !codes.clone().any(|code| code == "TransactionConflict") {
                            return Err(self.failed(error));
                        }
                    }
                    Some(TransactWriteItemsError::TransactionInProgressException(_)) => {}
                    _ => return Err(self.failed(error)),
                }
                tokio::time::sleep(Duration::from_millis(fastrand::u64(5..20) * attempt)).await;
            }
            Err(LedgerError::Refused("others wrote to the same items at the same time, again and again".to_owned()))
        })
    }

    /// A page of the keys of what is due, the longest first, and where the next page starts.
    pub(crate) fn due(
        &self,
        now_unix_s: u64,
        limit: i32,
        start: Option<Item>,
    ) -> BoxFuture<'_, Result<Page, LedgerError>> {
        Box::pin(async move {
            let call = self
                .client()
                .await
                .query()
                .table_name(&self.name)
                .index_name(DUE)
                .key_condition_expression("#lane = :lane AND #due <= :now")
                .expression_attribute_names("#lane", "lane")
                .expression_attribute_names("#due", "due")
                .expression_attribute_values(":lane", lane())
                .expression_attribute_values(":now", n(now_unix_s))
                .set_exclusive_start_key(start)
                .limit(limit);
            let output = call.send().await.map_err(|error| self.failed(error))?;
            let text = |item: &Item, name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
            let keys = output.items().iter().filter_map(|item| Some((text(item, "pk")?, text(item, "sk")?))).collect();
            Ok((keys, output.last_evaluated_key))
        })
    }

    /// Makes the table: for emulators. In an account `infra/` does.
    pub(crate) fn create(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            let element = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
            let column =
                |name: &str, kind| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build();
            let wrong = |error: aws_sdk_dynamodb::error::BuildError| LedgerError::Failed(error.to_string());
            let index = GlobalSecondaryIndex::builder()
                .index_name(DUE)
                .key_schema(element("lane", KeyType::Hash).map_err(wrong)?)
                .key_schema(element("due", KeyType::Range).map_err(wrong)?)
                .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
                .build()
                .map_err(wrong)?;
            let call = self
                .client()
                .await
                .create_table()
                .table_name(&self.name)
                .billing_mode(BillingMode::PayPerRequest)
                .attribute_definitions(column("pk", ScalarAttributeType::S).map_err(wrong)?)
                .attribute_definitions(column("sk", ScalarAttributeType::S).map_err(wrong)?)
                .attribute_definitions(column("lane", ScalarAttributeType::S).map_err(wrong)?)
                .attribute_definitions(column("due", ScalarAttributeType::N).map_err(wrong)?)
                .key_schema(element("pk", KeyType::Hash).map_err(wrong)?)
                .key_schema(element("sk", KeyType::Range).map_err(wrong)?)
                .global_secondary_indexes(index);
            match call.send().await {
                Ok(_) => Ok(()),
                Err(SdkError::ServiceError(error))
                    if matches!(error.err(), CreateTableError::ResourceInUseException(_)) =>
                {
                    Ok(())
                }
                Err(error) => Err(self.failed(error)),
            }
        })
    }

    fn failed<E, R>(&self, error: SdkError<E, R>) -> LedgerError
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        match &error {
            SdkError::TimeoutError(_) => LedgerError::TimedOut(self.attempt_timeout),
            SdkError::ServiceError(service) if service.err().code() == Some("ResourceNotFoundException") => {
                LedgerError::Failed(format!("there is no table `{}` in this region and account", self.name))
            }
            SdkError::ServiceError(service) if service.err().code().is_some_and(|code| OF_ONE_ITEM.contains(&code)) => {
                LedgerError::Refused(format!("{:.500}", DisplayErrorContext(&error).to_string()))
            }
            _ => LedgerError::Failed(format!("{:.500}", DisplayErrorContext(&error).to_string())),
        }
    }
}

/// Is it a throttle of one key? An endpoint that gives no reasons means that, too.
fn is_hot(error: &UpdateItemError) -> bool {
    let reasons = match error {
        UpdateItemError::ProvisionedThroughputExceededException(throttled) => throttled.throttling_reasons(),
        UpdateItemError::ThrottlingException(throttled) => throttled.throttling_reasons(),
        _ => return false,
    };
    let of_one_key = |reason: &str| reason.ends_with(OF_ONE_KEY);
    reasons.is_empty() || reasons.iter().any(|reason| reason.reason().is_some_and(of_one_key))
}

/// The value of `lane` for all that is in the index.
pub(crate) fn lane() -> AttributeValue {
    AttributeValue::S(DUE.to_owned())
}

fn key(pk: &str, sk: &str) -> HashMap<String, AttributeValue> {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}
