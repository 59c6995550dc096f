//! Signed calls to AWS APIs of which one operation is needed: SigV4 and our own client, so that their SDK clients stay out of the binary.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::digest::{SHA256, digest};
use tokio::sync::Mutex;

use crate::aws::Aws;

/// Credentials that end sooner are fetched again.
const RENEW_BEFORE: Duration = Duration::from_secs(120);
/// What SigV4 leaves as it is.
pub const UNRESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Signs with the ambient credentials.
#[derive(Debug)]
pub struct Signer {
    aws: Aws,
    credentials: Mutex<Option<Credentials>>,
}

/// What is to be signed.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The method.
    pub method: &'a str,
    /// The whole URL.
    pub url: &'a str,
    /// The service's name for signatures.
    pub service: &'a str,
    /// The region of the endpoint.
    pub region: &'a str,
    /// Headers that are signed as well; they are among the answer's.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

impl Signer {
    /// By the ambient credentials.
    pub fn new(aws: Aws) -> Self {
        Self { aws, credentials: Mutex::default() }
    }

    /// By these credentials, until shortly before their end.
    pub fn with(aws: Aws, credentials: Credentials) -> Self {
        Self { aws, credentials: Mutex::new(Some(credentials)) }
    }

    /// Where the credentials come from.
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// The call's headers. The error says why there are none.
    pub async fn headers(
        &self,
        call: &Call<'_>,
        settings: SigningSettings,
        now: SystemTime,
    ) -> Result<HeaderMap, String> {
        let failed = |error: &dyn std::error::Error| format!("the call could not be signed: {error}");
        let identity = self.credentials(now).await?.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(call.region)
            .name(call.service)
            .time(now)
            .settings(settings)
            .build();
        let params = params.map_err(|error| failed(&error))?.into();
        let body = SignableBody::Precomputed(hex(digest(&SHA256, call.body).as_ref()));
        let request = SignableRequest::new(call.method, call.url, call.headers.iter().copied(), body);
        let signed = sign(request.map_err(|error| failed(&error))?, &params).map_err(|error| failed(&error))?;
        let own = call.headers.iter().map(|(name, value)| (*name, *value, false));
        let added = signed.output().headers().map(|(name, value)| (name, value, true));
        let mut headers = HeaderMap::new();
        for (name, value, sensitive) in own.chain(added) {
            let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) else {
                continue;
            };
            value.set_sensitive(sensitive);
            headers.insert(name, value);
        }
        Ok(headers)
    }

    /// The ambient ones, kept until shortly before their end.
    async fn credentials(&self, now: SystemTime) -> Result<Credentials, String> {
        let mut kept = self.credentials.lock().await;
        let lasts = |credentials: &Credentials| credentials.expiry().is_none_or(|end| end > now + RENEW_BEFORE);
        if let Some(credentials) = kept.as_ref().filter(|credentials| lasts(credentials)) {
            return Ok(credentials.clone());
        }
        let provider = self.aws.config().await.credentials_provider();
        let provider = provider.ok_or("there are no AWS credentials")?;
        let fetched = provider.provide_credentials().await;
        let fetched = fetched.map_err(|error| format!("no AWS credentials: {error}"))?;
        Ok(kept.insert(fetched).clone())
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
