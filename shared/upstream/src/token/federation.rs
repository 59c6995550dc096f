//! Workload identity federation from AWS: <https://cloud.google.com/iam/docs/workload-identity-federation-with-other-clouds#rest>.
//!
//! 1. The ambient AWS credentials sign a GetCallerIdentity request; it is not sent, it is the proof of who we are.
//! 2. Google's Security Token Service sends it, and gives a federated token for it: <https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token>.
//! 3. Where the file names a service account, its token is asked for with that:
//!    <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>.

use std::time::SystemTime;

use aws_sigv4::http_request::SigningSettings;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde_json::{Value, json};

use super::Grant;
use super::answer::{Call, grant, lifetime_of, text};
use super::google::SCOPE;
use crate::aws::Aws;
use crate::signer::{self, Signer};

const STS_URL: &str = "https://sts.googleapis.com/v1/token";
const VERIFICATION_URL: &str = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15";
const AWS_TOKEN_TYPE: &str = "urn:ietf:params:aws:token-type:aws4_request";
const TARGET: &str = "x-goog-cloud-target-resource";
/// The default of generateAccessToken, and the longest that every project allows.
const LIFETIME_S: u64 = 3_600;

/// By the credentials file that `gcloud iam workload-identity-pools create-cred-config --aws` writes.
pub(super) async fn fetch(file: &Value, http: &reqwest::Client, aws: &Aws) -> Result<Grant, String> {
    let source = file.get("credential_source");
    let on_aws = source.and_then(|source| source.get("environment_id")).and_then(Value::as_str);
    if on_aws.is_none_or(|id| !id.starts_with("aws")) {
        return Err(
            "its `credential_source` is not AWS's (`environment_id: aws1`), the only one that is served".to_owned()
        );
    }
    let audience = text(file, "audience")?;
    let verification = source.and_then(|source| text(source, "regional_cred_verification_url").ok());
    let verification = verification.unwrap_or_else(|| VERIFICATION_URL.to_owned());
    let subject = subject_token(&verification, &audience, aws).await?;
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", audience.as_str()),
        ("scope", SCOPE),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token_type", AWS_TOKEN_TYPE),
        ("subject_token", subject.as_str()),
    ];
    let url = text(file, "token_url").unwrap_or_else(|_| STS_URL.to_owned());
    let federated = grant(&Call::form(&url, &fields)?.answer(http).await?)?;
    match text(file, "service_account_impersonation_url") {
        Ok(url) => impersonated(&url, &federated, http).await,
        Err(_) => Ok(federated),
    }
}

async fn impersonated(url: &str, federated: &Grant, http: &reqwest::Client) -> Result<Grant, String> {
    let asked = json!({"scope": [SCOPE], "lifetime": format!("{LIFETIME_S}s")});
    let call = Call::json(url, &asked)?.authorized(&format!("Bearer {}", federated.token))?;
    let answer = call.answer(http).await?;
    Ok(Grant { token: text(&answer, "accessToken")?, lifetime: lifetime_of(LIFETIME_S), renew_in: None, base: None })
}

/// The signed request, as Google wants it told.
async fn subject_token(verification: &str, audience: &str, aws: &Aws) -> Result<String, String> {
    let region = aws.region().await?;
    let url = verification.replace("{region}", &region);
    let host = Url::parse(&url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let host = host.ok_or("its `regional_cred_verification_url` is not a URL")?;
    let own = [(TARGET, audience)];
    let call = signer::Call { method: "POST", service: "sts", region: &region, url: &url, headers: &own, body: b"" };
    let signed = Signer::new(aws.clone()).headers(&call, SigningSettings::default(), SystemTime::now()).await?;
    let pair = |key: &str, value: &str| json!({"key": key, "value": value});
    let mut headers = vec![pair("host", &host)];
    headers.extend(signed.iter().filter_map(|(name, value)| Some(pair(name.as_str(), value.to_str().ok()?))));
    let told = json!({"url": url, "method": "POST", "headers": headers});
    Ok(utf8_percent_encode(&told.to_string(), NON_ALPHANUMERIC).to_string())
}
