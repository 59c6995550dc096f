//! Amazon Bedrock: the SDK finds the endpoint and the credentials, signs and sends; the bodies are the wire crate's own bytes, both ways.
//!
//! The SDK's typed inputs cannot hold what they do not know yet (a new block, a new model's field), and its typed streams lose it. So an
//! interceptor puts our bytes into the request before it is signed, and takes the raw body of a 2xx answer before it is parsed. As no type of the
//! SDK's is left then, it is asked for InvokeModel alone, and the interceptor gives the address its end: the code of the other operations, half a
//! megabyte, is not in the binary.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use aws_credential_types::Token;
use aws_credential_types::provider::error::{CredentialsError, TokenError};
use aws_credential_types::provider::future;
use aws_credential_types::provider::token::ProvideToken;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::{ConfigBag, Intercept, Region, RuntimeComponents, StalledStreamProtectionConfig};
use aws_sdk_bedrockruntime::error::{BoxError, DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use tokio::sync::OnceCell;
use tollgate_config::SecretRef;
use tollgate_wire::codec::Dialect;
use tollgate_wire::invoke::InvokeFrames;
use tollgate_wire::unary::Way;

use crate::aws::{Aws, Boxed};
use crate::body::{Body, Reply};
use crate::error::TransportError;
use crate::http::{Call, STALE_WITHIN, unanswered};
use crate::sdk::SdkClient;
use crate::secrets::Secrets;

/// A region of Bedrock, with the guardrail that its calls get.
#[derive(Debug)]
pub(crate) struct BedrockTransport {
    aws: Aws,
    http: SdkClient,
    region: Option<String>,
    endpoint: Option<String>,
    connect_timeout: Duration,
    guardrail: Option<(String, String)>,
    /// A Bedrock API key instead of a signature.
    key: Option<ApiKey>,
    client: OnceCell<Client>,
    /// It has answered, so there may be connections that are used again.
    answered: AtomicBool,
}

impl BedrockTransport {
    /// `http` has to have this connect timeout.
    pub(crate) fn new(
        aws: Aws,
        http: reqwest::Client,
        region: Option<String>,
        endpoint: Option<String>,
        connect_timeout: Duration,
        guardrail: Option<(String, String)>,
        key: Option<ApiKey>,
    ) -> Self {
        Self {
            aws,
            http: SdkClient(http),
            region,
            endpoint,
            connect_timeout,
            guardrail,
            key,
            client: OnceCell::new(),
            answered: AtomicBool::new(false),
        }
    }

    /// Loads configuration and client; what the first call would do otherwise.
    pub(crate) async fn client(&self) -> &Client {
        self.client
            .get_or_init(|| async {
                let mut config = aws_sdk_bedrockruntime::config::Builder::from(self.aws.config().await)
                    // Failover is ours: a retry here would be an attempt that nobody counts.
                    .retry_config(RetryConfig::disabled())
                    // A model may think for minutes between two bytes; the idle timeout is ours, too.
                    .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                    .http_client(self.http.clone());
                if let Some(region) = &self.region {
                    config = config.region(Region::new(region.clone()));
                }
                if let Some(endpoint) = &self.endpoint {
                    config = config.endpoint_url(endpoint);
                }
                if let Some(key) = &self.key {
                    let preferred = [aws_smithy_runtime_api::client::auth::http::HTTP_BEARER_AUTH_SCHEME_ID];
                    config = config.token_provider(key.clone()).auth_scheme_preference(preferred);
                }
                Client::from_conf(config.build())
            })
            .await
    }

    /// Sends, and waits for the head of the answer.
    pub(crate) fn send<'a>(&'a self, call: &'a Call<'_>) -> Boxed<'a, Result<Reply, TransportError>> {
        Box::pin(self.send_now(call))
    }

    async fn send_now(&self, call: &Call<'_>) -> Result<Reply, TransportError> {
        let (dialect, stream, model) = (call.dialect, call.stream, call.model);
        let client = self.client().await;
        let begun = Instant::now();
        let reused = self.answered.load(Ordering::Relaxed);
        let taken = Taken::default();
        // A guardrail judges conversations.
        let guardrail = self.guardrail.as_ref().filter(|_| call.way.is_none());
        let body = with_guardrail(guardrail, dialect, call.body.clone());
        let raw = Raw { operation: Operation::of(call), headers: call.headers.to_vec(), body, taken: taken.clone() };
        let model = if call.way == Some(Way::Count) { foundation_model(model) } else { model };
        let mut call = client.invoke_model().model_id(model).content_type(JSON);
        if let Some((id, version)) = guardrail.filter(|_| dialect != Dialect::Converse) {
            call = call.guardrail_identifier(id).guardrail_version(version);
        }
        let outcome = call.customize().interceptor(raw).send().await.map(|_| ()).map_err(failure);
        let outcome = match (outcome, taken.take()) {
            // The body was taken: what the SDK then made of the empty rest does not matter.
            (_, Some(response)) => Ok(reply(response, dialect, stream)),
            (Err(Failure::Answer(reply)), None) => Ok(*reply),
            (Err(Failure::Unanswered(error)), None) => {
                Err(unanswered(&error, reused && begun.elapsed() < STALE_WITHIN, self.connect_timeout))
            }
            (Err(Failure::Transport(error)), None) => Err(error),
            (Ok(()), None) => Err(TransportError::Broken("the SDK returned without an answer".to_owned())),
        };
        self.answered.fetch_or(outcome.is_ok(), Ordering::Relaxed);
        outcome
    }
}

/// Converse carries the guardrail in its body; InvokeModel in headers.
fn with_guardrail(guardrail: Option<&(String, String)>, dialect: Dialect, body: Bytes) -> Bytes {
    let Some((id, version)) = guardrail.filter(|_| dialect == Dialect::Converse) else { return body };
    let Some(rest) = body.strip_prefix(b"{") else { return body };
    let config = serde_json::json!({"guardrailIdentifier": id, "guardrailVersion": version});
    let mut out = format!(r#"{{"guardrailConfig":{config},"#).into_bytes();
    out.extend_from_slice(rest);
    out.into()
}

/// CountTokens takes a foundation model and no inference profile
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html>): the profile's name without its regions is that model.
/// An application inference profile does not say which model is behind it; its ARN goes as it is.
fn foundation_model(model: &str) -> &str {
    const REGIONS: [&str; 10] = ["us.", "eu.", "apac.", "jp.", "au.", "ca.", "us-gov.", "in.", "sa.", "global."];
    let id = match model.split_once(":inference-profile/") {
        Some((_, id)) => id,
        None if model.starts_with("arn:") => return model,
        None => model,
    };
    REGIONS.iter().find_map(|region| id.strip_prefix(region)).unwrap_or(id)
}

/// A Bedrock API key: <https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html>.
#[derive(Debug, Clone)]
pub(crate) struct ApiKey {
    pub(crate) reference: SecretRef,
    pub(crate) secrets: Secrets,
}

/// How long the SDK may keep a key: one that was changed in Secrets Manager is in use after that.
const KEY_LASTS: Duration = Duration::from_secs(300);

impl ProvideToken for ApiKey {
    fn provide_token<'a>(&'a self) -> future::ProvideToken<'a>
    where
        Self: 'a,
    {
        future::ProvideToken::new(async {
            let text = self.secrets.text(&self.reference).await.map_err(TokenError::provider_error)?;
            Ok(Token::new(text.trim(), Some(SystemTime::now() + KEY_LASTS)))
        })
    }
}

const JSON: &str = "application/json";

/// What the interceptor took from a 2xx answer.
#[derive(Debug, Clone, Default)]
struct Taken(Arc<Mutex<Option<Response>>>);

impl Taken {
    fn take(&self) -> Option<Response> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// One of Bedrock's operations on a model. They differ in the end of the path, and in the header that asks for JSON.
#[derive(Debug, Clone, Copy)]
struct Operation {
    path: &'static str,
    accept: Option<&'static str>,
}

impl Operation {
    fn of(call: &Call<'_>) -> Self {
        match call.way {
            None => Self::generate(call.dialect, call.stream),
            Some(Way::Count) => Self { path: "count-tokens", accept: None },
            Some(_) => Self { path: INVOKE, accept: Some("accept") },
        }
    }

    fn generate(dialect: Dialect, stream: bool) -> Self {
        let (path, accept) = match (dialect, stream) {
            (Dialect::Converse, false) => ("converse", None),
            (Dialect::Converse, true) => ("converse-stream", None),
            (_, false) => (INVOKE, Some("accept")),
            (_, true) => ("invoke-with-response-stream", Some("x-amzn-bedrock-accept")),
        };
        Self { path, accept }
    }

    /// `None`: the SDK's address does not look as it should.
    fn address(self, of_invoke: &str) -> Option<String> {
        Some(format!("{}{}", of_invoke.strip_suffix(INVOKE)?, self.path))
    }
}

/// The operation that the SDK is asked for; all others are at its address but for the end.
const INVOKE: &str = "invoke";

#[derive(Debug)]
struct Raw {
    operation: Operation,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    taken: Taken,
}

impl Intercept for Raw {
    fn name(&self) -> &'static str {
        "TollgateRaw"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let address = self.operation.address(request.uri()).ok_or("the SDK's address is not that of InvokeModel")?;
        request.set_uri(address)?;
        if let Some(accept) = self.operation.accept {
            request.headers_mut().insert(accept, JSON);
        }
        for (name, value) in &self.headers {
            request.headers_mut().insert(*name, value.clone());
        }
        request.headers_mut().insert("content-length", self.body.len().to_string());
        *request.body_mut() = SdkBody::from(self.body.clone());
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if response.status().is_success() {
            let mut copy = Response::new(response.status(), response.take_body());
            *copy.headers_mut() = response.headers().clone();
            *response.body_mut() = SdkBody::from("{}");
            *self.taken.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        }
        Ok(())
    }
}

fn reply(response: Response, dialect: Dialect, stream: bool) -> Reply {
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = header_map(&response);
    let body = response.into_body();
    let body = match (dialect, stream) {
        (Dialect::Converse, _) | (_, false) => Body::sdk(body),
        (_, true) => Body::Invoke(ByteStream::new(body), Box::new(InvokeFrames::new())),
    };
    Reply { status, headers, body }
}

fn header_map(response: &Response) -> HeaderMap {
    let pairs = response.headers().iter();
    pairs
        .filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::from_str(value).ok()?)))
        .collect()
}

enum Failure {
    /// The service answered with an error.
    Answer(Box<Reply>),
    /// Our client says why it did not answer.
    Unanswered(Box<reqwest::Error>),
    /// The SDK says so.
    Transport(TransportError),
}

fn failure<E>(error: SdkError<E>) -> Failure
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let text = DisplayErrorContext(&error).to_string();
    match error {
        SdkError::ServiceError(service) => answer(service.raw()),
        SdkError::ResponseError(response) => answer(response.raw()),
        SdkError::ConstructionFailure(_) => Failure::Transport(TransportError::Credentials(text)),
        // What happens before anything is sent comes as a dispatch failure, too.
        SdkError::DispatchFailure(dispatch) if is_setup(dispatch.as_connector_error()) => {
            Failure::Transport(TransportError::Credentials(text))
        }
        SdkError::DispatchFailure(_) => undispatched(error.into_source().ok(), text),
        _ => Failure::Transport(TransportError::Broken(text)),
    }
}

/// The SDK wraps our client's error.
fn undispatched(source: Option<BoxError>, text: String) -> Failure {
    let connector = source.and_then(|source| source.downcast::<ConnectorError>().ok());
    match connector.map(|connector| connector.into_source().downcast()) {
        Some(Ok(ours)) => Failure::Unanswered(ours),
        _ => Failure::Transport(TransportError::Broken(text)),
    }
}

/// No credentials, or no region.
fn is_setup(error: Option<&ConnectorError>) -> bool {
    let mut cause: Option<&dyn std::error::Error> = error.and_then(std::error::Error::source);
    while let Some(error) = cause {
        if error.is::<CredentialsError>() || error.to_string().contains("Missing Region") {
            return true;
        }
        cause = error.source();
    }
    false
}

fn answer(raw: &Response) -> Failure {
    let status = StatusCode::from_u16(raw.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let body = raw.body().bytes().map(Bytes::copy_from_slice).unwrap_or_default();
    Failure::Answer(Box::new(Reply { status, headers: header_map(raw), body: Body::Whole(Some(body)) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operations_address_is_that_of_invoke_model_but_for_its_end() {
        let invoke = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/invoke";
        for (dialect, stream, end) in [
            (Dialect::Messages, false, "/invoke"),
            (Dialect::Chat, true, "/invoke-with-response-stream"),
            (Dialect::Converse, false, "/converse"),
            (Dialect::Converse, true, "/converse-stream"),
        ] {
            let expected = invoke.replace("/invoke", end);
            assert_eq!(Operation::generate(dialect, stream).address(invoke), Some(expected));
        }
        assert_eq!(Operation::generate(Dialect::Converse, false).address("https://h/model/m/other"), None);
    }

    #[test]
    fn tokens_are_counted_by_the_foundation_model() {
        for (model, expected) in [
            ("us.anthropic.claude-sonnet-4-20250514-v1:0", "anthropic.claude-sonnet-4-20250514-v1:0"),
            ("global.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0"),
            ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
            (
                "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0",
                "amazon.nova-pro-v1:0",
            ),
            (
                "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
                "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
            ),
        ] {
            assert_eq!(foundation_model(model), expected);
        }
    }
}
