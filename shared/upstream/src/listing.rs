//! The providers' own lists of models: OpenAI's <https://platform.openai.com/docs/api-reference/models/list>, which compatible servers have as well, and Anthropic's
//! <https://docs.anthropic.com/en/api/models-list>. Both are `data[].id` behind `/v1/models`.
//!
//! A list is kept for five minutes, and fetched once at a time. While a provider does not answer, its last list stands; a failure is kept for half a minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::http::{HeaderMap, HeaderValue, Method};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Mutex;
use tollgate_wire::codec::Dialect;
use tollgate_wire::json;

use crate::chains::Chains;
use crate::forward::Forward;
use crate::provider::Provider;

const KEPT: Duration = Duration::from_secs(300);
const FAILURE_KEPT: Duration = Duration::from_secs(30);
/// A list that takes longer is left out.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;

/// A list, as last fetched.
#[derive(Debug, Default)]
pub(crate) struct Listing(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    models: Arc<[String]>,
    until: Option<Instant>,
}

impl Listing {
    async fn of(&self, provider: &Provider) -> Arc<[String]> {
        let mut kept = self.0.lock().await;
        if kept.until.is_some_and(|until| Instant::now() < until) {
            return Arc::clone(&kept.models);
        }
        let fetched = tokio::time::timeout(TIMEOUT, fetch(provider)).await;
        let fetched = fetched.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())));
        let stays = match fetched {
            Ok(models) => {
                kept.models = models.into();
                KEPT
            }
            Err(cause) => {
                tracing::warn!(provider.name = provider.name(), fault.cause = %cause, "the provider's list of models could not be read");
                FAILURE_KEPT
            }
        };
        kept.until = Some(Instant::now() + stays);
        Arc::clone(&kept.models)
    }
}

async fn fetch(provider: &Provider) -> Result<Vec<String>, String> {
    let dialect = provider.first_dialect();
    let mut headers = HeaderMap::new();
    if dialect == Dialect::Messages {
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    }
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    let request = Forward {
        // Anthropic's has pages; this is the largest.
        query: (dialect == Dialect::Messages).then_some("limit=1000"),
        headers,
        ..Forward::new(Method::GET, dialect, "/v1/models", deadline)
    };
    let address = provider.forward_address(&request, "").ok_or("it has no such path")?;
    let reply = provider.forward(&request, address, Bytes::new()).await;
    let mut reply = reply.map_err(|error| format!("{error}: {}", error.cause()))?;
    if !reply.status.is_success() {
        return Err(format!("status {}", reply.status.as_u16()));
    }
    let body = reply.body.read(MAX_LIST_BYTES, TIMEOUT, request.deadline).await.map_err(|error| error.to_string())?;
    ids(&body).ok_or_else(|| "it is no list of models".to_owned())
}

fn ids(body: &[u8]) -> Option<Vec<String>> {
    let list: Value = json::read(body).ok()?;
    let models = list.get("data")?.as_array()?;
    Some(models.iter().filter_map(|model| Some(model.get("id")?.as_str()?.to_owned())).collect())
}

impl Chains {
    /// What the providers say that they have, as far as a client of this configuration reaches it there: model and kind of provider, in the order of the chains.
    /// Providers with a pinned model, and those without such a list, say nothing.
    pub async fn listed_models(&self) -> Vec<(String, String)> {
        let asked: Vec<Arc<Provider>> = self.distinct_providers().filter(|provider| provider.lists_models()).collect();
        let fetches: Vec<_> = asked
            .into_iter()
            .map(|provider| {
                tokio::spawn(async move {
                    let models = provider.listing.of(&provider).await;
                    (provider, models)
                })
            })
            .collect();
        let mut listed = Vec::new();
        for fetch in fetches {
            let Ok((provider, models)) = fetch.await else { continue };
            let reaches = |model: &str| {
                self.of(model).is_some_and(|chain| chain.providers().any(|p| p.name() == provider.name()))
            };
            let reached = models.iter().filter(|model| reaches(model));
            listed.extend(reached.map(|model| (model.clone(), provider.kind().to_owned())));
        }
        listed
    }
}
