//! Google Cloud's access tokens, by the credentials file that Google's own libraries read:
//!
//! - `service_account`: a signed assertion, <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>.
//! - `external_account` on AWS: workload identity federation (`federation`).

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tollgate_config::SecretRef;

use super::Grant;
use super::answer::{Call, grant, text};
use super::federation;
use crate::aws::Aws;
use crate::secrets::Secrets;

/// What the token is good for.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where Google's libraries look for the name of the credentials file.
const FILE_VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
/// The longest that Google allows.
const ASSERTION_S: u64 = 3_600;

/// Credentials of Google Cloud.
#[derive(Debug)]
pub(crate) struct Google {
    /// The credentials file's text; none: the file that the environment names.
    credential: Option<SecretRef>,
    aws: Aws,
}

impl Google {
    pub(crate) fn new(credential: Option<SecretRef>, aws: Aws) -> Self {
        Self { credential, aws }
    }

    /// Is the credential itself in AWS?
    pub(super) fn uses_aws(&self) -> bool {
        matches!(self.credential, Some(SecretRef::SecretsManager { .. }))
    }

    pub(super) async fn fetch(&self, http: &reqwest::Client, secrets: &Secrets) -> Result<Grant, String> {
        let reference =
            match &self.credential {
                Some(reference) => reference.clone(),
                None => SecretRef::File(std::env::var(FILE_VARIABLE).map_err(|_| {
                    format!("no `credential` is configured, and the environment has no {FILE_VARIABLE}")
                })?),
            };
        let file = secrets.text(&reference).await?;
        let fetched = async {
            // Serde's own message would quote what it does not understand.
            let file: Value = serde_json::from_str(&file).map_err(|_| "it is not JSON".to_owned())?;
            match file.get("type").and_then(Value::as_str) {
                Some("service_account") => by_assertion(&file, http).await,
                Some("external_account") => federation::fetch(&file, http, &self.aws).await,
                _ => Err("its `type` is neither service_account nor external_account".to_owned()),
            }
        };
        fetched.await.map_err(|e| format!("{reference}: {e}"))
    }
}

async fn by_assertion(file: &Value, http: &reqwest::Client) -> Result<Grant, String> {
    let url = text(file, "token_uri").unwrap_or_else(|_| TOKEN_URL.to_owned());
    let assertion = assertion(file, &url, SystemTime::now())?;
    let fields = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)];
    grant(&Call::form(&url, &fields)?.answer(http).await?)
}

/// A JWT that the service account's key has signed, for the token endpoint.
fn assertion(file: &Value, audience: &str, now: SystemTime) -> Result<String, String> {
    let now_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": file.get("private_key_id")});
    let claims = json!({
        "iss": text(file, "client_email")?,
        "scope": SCOPE,
        "aud": audience,
        "iat": now_s,
        "exp": now_s + ASSERTION_S,
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&head), encode(&claims));
    let pem = text(file, "private_key")?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes());
    let der = der.map_err(|_| "its `private_key` is no PKCS #8 key in PEM".to_owned())?;
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|e| format!("its `private_key`: {e}"))?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| "its `private_key` cannot sign".to_owned())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
