//! The providers' keys: fetched when first needed, kept, fetched again when a provider refuses one. Never logged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::http::HeaderValue;
use tokio::sync::OnceCell;
use tollgate_config::SecretRef;

use crate::aws::{Aws, Boxed};
use crate::error::TransportError;

/// A refused key is fetched again at most this often.
const REFRESH_EVERY: Duration = Duration::from_secs(10);
/// After a failed fetch the next one is made this much later at the earliest: until then everyone gets the same error at once. Requests
/// that waited for the failed fetch would otherwise try in turn, one after the other.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// A fetch may take this long.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// A key, as the value of a header; marked sensitive, so that nothing prints it.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    /// The key alone.
    pub(crate) plain: HeaderValue,
    /// `Bearer <key>`.
    pub(crate) bearer: HeaderValue,
}

/// All secrets of the process.
#[derive(Debug, Clone)]
pub(crate) struct Secrets {
    aws: Aws,
    cells: Arc<Mutex<HashMap<SecretRef, Cell>>>,
}

#[derive(Debug, Clone)]
struct Cell {
    value: Arc<Value>,
    since: Instant,
}

#[derive(Debug, Default)]
struct Value {
    secret: OnceCell<Secret>,
    /// When the last fetch failed, and why.
    failed: Mutex<Option<(Instant, String)>>,
}

impl Value {
    fn failed(&self) -> std::sync::MutexGuard<'_, Option<(Instant, String)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Secrets {
    pub(crate) fn new(aws: Aws) -> Self {
        Self { aws, cells: Arc::default() }
    }

    /// The secret behind a reference. Concurrent callers share one fetch; a failure is kept for a moment.
    pub(crate) async fn get(&self, reference: &SecretRef) -> Result<Secret, TransportError> {
        let cell = {
            let mut cells = self.lock();
            // Not by `entry`, which wants a copy of the reference also when it is there.
            match cells.get(reference) {
                Some(cell) => Arc::clone(&cell.value),
                None => {
                    let value = Arc::default();
                    cells.insert(reference.clone(), Cell { value: Arc::clone(&value), since: Instant::now() });
                    value
                }
            }
        };
        if let Some(secret) = cell.secret.get() {
            return Ok(secret.clone());
        }
        // Boxed: the secret is nearly always there, and what waits for it is moved around with every request.
        let fetch = Box::pin(async {
            if let Some((at, cause)) = &*cell.failed()
                && at.elapsed() < RETRY_EVERY
            {
                return Err(cause.clone());
            }
            let values = self
                .text(reference)
                .await
                .and_then(|text| header_values(&text).map_err(|e| format!("{reference}: {e}")));
            values.inspect_err(|cause| *cell.failed() = Some((Instant::now(), cause.clone())))
        });
        cell.secret.get_or_try_init(|| fetch).await.cloned().map_err(TransportError::Credentials)
    }

    /// The provider refused the secret: forget it, unless that was done a moment ago. Answers whether a new fetch will happen.
    pub(crate) fn refused(&self, reference: &SecretRef) -> bool {
        let mut cells = self.lock();
        match cells.get(reference) {
            Some(cell) if cell.since.elapsed() < REFRESH_EVERY => false,
            _ => {
                cells.insert(reference.clone(), Cell { value: Arc::default(), since: Instant::now() });
                true
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SecretRef, Cell>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text behind a reference, fetched now and not kept: for what is exchanged for a token, which is.
    pub(crate) async fn text(&self, reference: &SecretRef) -> Result<String, String> {
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.fetch(reference)).await;
        fetched.unwrap_or_else(|_| Err(format!("{reference}: no answer within {} s", FETCH_TIMEOUT.as_secs())))
    }

    fn fetch<'a>(&'a self, reference: &'a SecretRef) -> Boxed<'a, Result<String, String>> {
        Box::pin(async move {
            match reference {
                SecretRef::Env(name) => {
                    std::env::var(name).map_err(|_| format!("{reference}: the environment has no {name}"))
                }
                SecretRef::File(path) => tokio::fs::read_to_string(path).await.map_err(|e| format!("{reference}: {e}")),
                SecretRef::SecretsManager { id, key } => {
                    let text = self.managed(id).await.map_err(|e| format!("{reference}: {e}"))?;
                    select(&text, key.as_deref()).map_err(|e| format!("{reference}: {e}"))
                }
            }
        })
    }

    async fn managed(&self, id: &str) -> Result<String, String> {
        let client = aws_sdk_secretsmanager::Client::new(self.aws.config().await);
        let answer = client.get_secret_value().secret_id(id).send().await;
        let answer = answer.map_err(|e| aws_sdk_secretsmanager::error::DisplayErrorContext(&e).to_string())?;
        answer.secret_string.ok_or_else(|| "the secret is binary, not text".to_owned())
    }
}

/// The part of a secret's text that the reference names.
fn select(text: &str, key: Option<&str>) -> Result<String, &'static str> {
    let Some(key) = key else { return Ok(text.to_owned()) };
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_| "the secret is not a JSON object, so it has no keys")?;
    let value = object.get(key).and_then(serde_json::Value::as_str);
    value.map(str::to_owned).ok_or("the secret's JSON object has no text under this key")
}

fn header_values(text: &str) -> Result<Secret, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Err("the secret is empty");
    }
    let header = |text: &str| -> Result<HeaderValue, &'static str> {
        let mut value =
            HeaderValue::from_str(text).map_err(|_| "the secret has characters that a header cannot carry")?;
        value.set_sensitive(true);
        Ok(value)
    };
    Ok(Secret { plain: header(text)?, bearer: header(&format!("Bearer {text}"))? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Clients;

    fn secrets() -> Secrets {
        Secrets::new(Aws::new(Clients::default().for_aws(FETCH_TIMEOUT).unwrap()))
    }

    #[test]
    fn a_key_of_a_json_secret_is_selected() {
        assert_eq!(select(r#"{"key":"k","n":1}"#, Some("key")), Ok("k".to_owned()));
        assert!(select(r#"{"n":1}"#, Some("n")).is_err() && select("plain", Some("key")).is_err());
        assert_eq!(select("plain", None), Ok("plain".to_owned()));
    }

    #[test]
    fn a_secret_is_trimmed_and_never_printed() {
        let secret = header_values(" sk-test\n").unwrap();
        assert_eq!((secret.plain.as_bytes(), secret.bearer.as_bytes()), (&b"sk-test"[..], &b"Bearer sk-test"[..]));
        assert!(!format!("{secret:?}").contains("sk-test"));
        assert!(header_values(" \n").is_err() && header_values("a\nb").is_err());
    }

    #[tokio::test]
    async fn a_missing_variable_is_said_by_name_and_asked_again_the_next_time() {
        let secrets = secrets();
        let reference = SecretRef::Env("TOLLGATE_TEST_NO_SUCH_VARIABLE".to_owned());
        for _ in 0..2 {
            let error = secrets.get(&reference).await.unwrap_err();
            assert!(error.cause().contains("TOLLGATE_TEST_NO_SUCH_VARIABLE"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn those_who_waited_for_a_failed_fetch_share_its_failure() {
        let path = std::env::temp_dir().join(format!("tollgate-secret-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let secrets = secrets();
        let reference = SecretRef::File(path.to_string_lossy().into_owned());
        assert!(secrets.get(&reference).await.is_err());
        std::fs::write(&path, "k").unwrap();
        let cell = Arc::clone(&secrets.lock()[&reference].value);
        // Not even that, however slow the machine is.
        cell.failed().as_mut().unwrap().0 = Instant::now() + 60 * RETRY_EVERY;
        assert!(secrets.get(&reference).await.is_err(), "the failure is a moment old");
        cell.failed().as_mut().unwrap().0 = Instant::now().checked_sub(RETRY_EVERY).unwrap();
        assert_eq!(secrets.get(&reference).await.unwrap().plain, "k");
        std::fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn a_refused_key_is_fetched_again_but_not_at_every_refusal() {
        let secrets = secrets();
        let reference = SecretRef::Env("PATH".to_owned());
        secrets.get(&reference).await.unwrap();
        assert!(!secrets.refused(&reference), "it was fetched just now");
        if let Some(cell) = secrets.lock().get_mut(&reference) {
            cell.since = Instant::now().checked_sub(REFRESH_EVERY).unwrap();
        }
        assert!(secrets.refused(&reference));
        assert!(!secrets.refused(&reference));
    }
}
