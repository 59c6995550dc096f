//! The shared secret: fetched when first needed, kept, fetched again when it is old or does not fit. Never logged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tollgate_auth::is_secret;
use tollgate_config::SecretRef;

use crate::aws::Aws;

/// It is fetched again when it is older than this.
const KEPT: Duration = Duration::from_secs(300);
/// A text that does not fit may be the new one; it is looked for at most this often.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// A fetch may take this long.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The secret behind a reference.
#[derive(Debug)]
pub struct SharedSecret {
    reference: Option<SecretRef>,
    aws: Aws,
    kept: Mutex<Option<Kept>>,
}

#[derive(Clone)]
struct Kept {
    text: Arc<str>,
    since: Instant,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("since", &self.since).finish_non_exhaustive()
    }
}

impl SharedSecret {
    /// Fetches nothing. Without a reference nothing is the secret.
    pub fn new(reference: Option<SecretRef>, aws: Aws) -> Self {
        Self { reference, aws, kept: Mutex::default() }
    }

    /// Whether a text is the secret. The error says why it cannot be told, for a log.
    pub async fn is(&self, text: &str) -> Result<bool, String> {
        let Some(reference) = &self.reference else { return Ok(false) };
        let mut kept = self.kept.lock().await;
        let known = kept.clone();
        if let Some(Kept { text: secret, since }) = &known {
            if since.elapsed() < KEPT && is_secret(text, secret) {
                return Ok(true);
            }
            if since.elapsed() < LOOK_AGAIN {
                return Ok(false);
            }
        }
        let fetched = tokio::time::timeout(TIMEOUT, fetch(reference, &self.aws)).await;
        match fetched.unwrap_or_else(|_| Err(format!("{reference}: no answer within {} s", TIMEOUT.as_secs()))) {
            Ok(secret) => {
                let fits = is_secret(text, &secret);
                *kept = Some(Kept { text: secret.into(), since: Instant::now() });
                Ok(fits)
            }
            Err(cause) => match known {
                Some(known) => {
                    tracing::warn!(error.cause = %cause, "the shared secret could not be fetched again; the old one is used");
                    Ok(is_secret(text, &known.text))
                }
                None => Err(cause),
            },
        }
    }
}

async fn fetch(reference: &SecretRef, aws: &Aws) -> Result<String, String> {
    let text = match reference {
        SecretRef::Env(name) => {
            std::env::var(name).map_err(|_| format!("{reference}: the environment has no {name}"))?
        }
        SecretRef::File(path) => tokio::fs::read_to_string(path).await.map_err(|e| format!("{reference}: {e}"))?,
        SecretRef::SecretsManager { id, key } => {
            let client = aws_sdk_secretsmanager::Client::new(aws.config().await);
            let answer = Box::pin(client.get_secret_value().secret_id(id).send()).await;
            let answer = answer
                .map_err(|e| format!("{reference}: {}", aws_sdk_secretsmanager::error::DisplayErrorContext(&e)))?;
            let text = answer.secret_string().ok_or_else(|| format!("{reference}: the secret is binary, not text"))?;
            select(text, key.as_deref()).ok_or_else(|| format!("{reference}: there is no text under this key"))?
        }
    };
    let text = text.trim();
    if text.is_empty() { Err(format!("{reference}: the secret is empty")) } else { Ok(text.to_owned()) }
}

/// The part of a secret's text that the reference names.
fn select(text: &str, key: Option<&str>) -> Option<String> {
    let Some(key) = key else { return Some(text.to_owned()) };
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    object.get(key)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aws() -> Aws {
        Aws::fixed(aws_config::SdkConfig::builder().build())
    }

    #[tokio::test]
    async fn a_secret_in_a_file_may_change() {
        let path = std::env::temp_dir().join(format!("tollgate-shared-secret-{}", std::process::id()));
        std::fs::write(&path, "first\n").unwrap();
        let reference = SecretRef::File(path.to_string_lossy().into_owned());
        let secret = SharedSecret::new(Some(reference), aws());
        assert_eq!(secret.is("first").await, Ok(true));
        assert_eq!(secret.is("").await, Ok(false));
        std::fs::write(&path, "second").unwrap();
        // Not even that, however slow the machine is.
        secret.kept.lock().await.as_mut().unwrap().since = Instant::now() + 60 * LOOK_AGAIN;
        assert_eq!(secret.is("second").await, Ok(false), "it was looked for a moment ago");
        let age = |by: Duration| async move { Instant::now().checked_sub(by) };
        secret.kept.lock().await.as_mut().unwrap().since = age(LOOK_AGAIN).await.unwrap();
        assert_eq!(secret.is("second").await, Ok(true));
        assert_eq!(secret.is("first").await, Ok(false));
        std::fs::remove_file(&path).unwrap();
        secret.kept.lock().await.as_mut().unwrap().since = age(KEPT).await.unwrap();
        assert_eq!(secret.is("second").await, Ok(true), "an old secret is better than none");
        assert!(!format!("{secret:?}").contains("second"));
    }

    #[tokio::test]
    async fn without_a_secret_nothing_is_it_and_a_missing_one_is_said() {
        assert_eq!(SharedSecret::new(None, aws()).is("x").await, Ok(false));
        let reference = SecretRef::Env("TOLLGATE_TEST_NO_SUCH_VARIABLE".to_owned());
        let error = SharedSecret::new(Some(reference), aws()).is("x").await.unwrap_err();
        assert!(error.contains("TOLLGATE_TEST_NO_SUCH_VARIABLE"), "{error}");
    }

    #[test]
    fn a_key_of_a_json_secret_is_selected() {
        assert_eq!(select(r#"{"secret":"s"}"#, Some("secret")).as_deref(), Some("s"));
        assert_eq!(select(r#"{"secret":1}"#, Some("secret")), None);
        assert_eq!(select("plain", Some("secret")), None);
    }
}
