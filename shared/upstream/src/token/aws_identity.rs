//! AWS's own word for who the gateway is: a JWT that others trust (IAM outbound identity federation), for the ambient credentials.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html>, and how an account allows it:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound_getting_started.html>.

use std::time::{Duration, SystemTime};

use ::http::Method;
use ::http::header::CONTENT_TYPE;
use aws_sigv4::http_request::SigningSettings;
use reqwest::Url;
use tokio::time::Instant;
use tollgate_config::AwsToken;

use super::answer::form;
use crate::aws::Aws;
use crate::body::{Body, source_text};
use crate::signer::{self, Signer};

/// What Entra ID recommends: <https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust>.
const AUDIENCE: &str = "api://AzureADTokenExchange";
/// It is exchanged at once.
const LIFETIME_S: &str = "300";
const MAX_BYTES: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);
const FORM: &str = "application/x-www-form-urlencoded";

/// Asks STS, which has this operation at its regional endpoints only.
pub(super) async fn token(wanted: &AwsToken, aws: &Aws) -> Result<String, String> {
    let region = match &wanted.region {
        Some(region) => region.clone(),
        None => aws.region().await?,
    };
    let configured = aws.config().await.endpoint_url().map(str::to_owned);
    let url = configured.unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com"));
    let url = Url::parse(&url).map_err(|e| format!("the address of STS is not a URL: {e}"))?;
    let body = form(&[
        ("Action", "GetWebIdentityToken"),
        ("Version", "2011-06-15"),
        ("Audience.member.1", wanted.audience.as_deref().unwrap_or(AUDIENCE)),
        ("DurationSeconds", LIFETIME_S),
        ("SigningAlgorithm", "RS256"),
    ]);
    let headers = [(CONTENT_TYPE.as_str(), FORM)];
    let call = signer::Call {
        method: "POST",
        url: url.as_str(),
        service: "sts",
        region: &region,
        headers: &headers,
        body: body.as_bytes(),
    };
    let signed = Signer::new(aws.clone()).headers(&call, SigningSettings::default(), SystemTime::now()).await?;
    let mut request = reqwest::Request::new(Method::POST, url);
    *request.headers_mut() = signed;
    *request.body_mut() = Some(body.into());
    let response = aws.client().execute(request).await;
    let response = response.map_err(|e| format!("STS could not be asked for a token: {}", source_text(&e)))?;
    let status = response.status();
    let read = Body::Http(Box::new(response)).read(MAX_BYTES, TIMEOUT, Instant::now() + TIMEOUT).await;
    let body = read.map_err(|e| format!("STS: {e}"))?;
    let text = String::from_utf8_lossy(&body);
    match element(&text, "WebIdentityToken").filter(|_| status.is_success()) {
        Some(token) => Ok(token.to_owned()),
        None => {
            let code = element(&text, "Code").unwrap_or("no token in its answer");
            Err(format!("STS refused GetWebIdentityToken with status {}: {code:.200}", status.as_u16()))
        }
    }
}

/// The text of the first element of this name. A token and a code have nothing that XML would escape.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}
