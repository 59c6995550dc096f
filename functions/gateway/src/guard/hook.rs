//! One hook: what it is sent, how it is reached, what its answer means.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_config::{GuardFailureMode, GuardTarget, HeaderMatch, Template, Webhook};
use tollgate_upstream::Chains;
use tollgate_webhook::{Action, BadAnswer, Phase, read_answer};

use super::facts::{Facts, Missing};
use super::function::Function;
use super::{Stop, failed};

/// The largest answer of a hook.
pub(super) const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// A connection that the hook closed while nobody looked shows itself within a round trip.
const STALE_WITHIN: Duration = Duration::from_secs(1);
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A configured webhook.
#[derive(Debug)]
pub(super) struct Hook {
    /// For the log: `request[0]`.
    name: String,
    phase: Phase,
    target: Target,
    forward: Vec<HeaderMatch>,
    headers: Vec<(HeaderName, Template)>,
    fails_open: bool,
    timeout: Duration,
    failed_open: AtomicU64,
}

#[derive(Debug)]
enum Target {
    Http { client: reqwest::Client, url: String },
    Function(Function),
}

/// Why a hook's answer is none.
#[derive(Debug)]
pub(super) struct Failure {
    /// For the log. Quotes neither prompts nor headers.
    cause: String,
    /// It is not a hook that is down, so `failOpen` does not forgive it.
    decided: bool,
}

impl Failure {
    /// It could not be asked, or did not answer.
    pub(super) fn down(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), decided: false }
    }

    /// It answered, or must not be asked like this.
    pub(super) fn decided(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), decided: true }
    }
}

impl From<BadAnswer> for Failure {
    fn from(bad: BadAnswer) -> Self {
        Self { cause: bad.to_string(), decided: bad.may_be_a_refusal() }
    }
}

/// A hook's answer: its status and its body.
pub(super) type Answer = (u16, Vec<u8>);

impl Hook {
    pub(super) fn new(webhook: &Webhook, phase: Phase, index: usize, chains: &Chains) -> Self {
        let path = format!("{}{}", webhook.path_prefix.as_deref().unwrap_or_default(), phase.path());
        let client = chains.client().clone();
        let target = match (&webhook.target, webhook.target.base_url()) {
            (GuardTarget::Lambda(arn), _) => Target::Function(Function::new(arn, path, client, chains.aws().clone())),
            (_, base) => Target::Http { client, url: format!("{}{path}", base.unwrap_or_default()) },
        };
        let headers = webhook.headers.iter();
        let headers = headers.filter_map(|(name, template)| Some((name.parse().ok()?, template.clone())));
        Self {
            name: format!("{}[{index}]", phase.path().trim_start_matches('/')),
            phase,
            target,
            forward: webhook.forward_header_matches.clone(),
            headers: headers.collect(),
            fails_open: webhook.failure_mode == GuardFailureMode::FailOpen,
            timeout: webhook.timeout(),
            failed_open: AtomicU64::new(0),
        }
    }

    pub(super) fn is_function(&self) -> bool {
        matches!(self.target, Target::Function(_))
    }

    pub(super) fn warm(&self) {
        if let Target::Function(function) = &self.target {
            function.warm();
        }
    }

    /// Asks it. A failure that `failOpen` forgives is a pass.
    pub(super) async fn ask(&self, facts: &Facts<'_>, body: String) -> Result<Action, Stop> {
        match self.call(facts, body).await {
            Ok(action) => {
                if !matches!(action, Action::Pass { .. }) {
                    tracing::info!(guard.name = %self.name, request.id = facts.request_id, "a guard masked or rejected");
                }
                Ok(action)
            }
            Err(failure) if self.fails_open && !failure.decided => {
                let total = self.failed_open.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::warn!(
                    guard.name = %self.name, guard.cause = %failure.cause, guard.failed_open_total = total,
                    request.id = facts.request_id, "a guard failed and is configured to let through"
                );
                Ok(Action::Pass { reason: None })
            }
            Err(failure) => {
                self.failed(&failure);
                Err(Stop::Failed(failed()))
            }
        }
    }

    /// For the log.
    pub(super) fn failed(&self, failure: &Failure) {
        tracing::error!(guard.name = %self.name, guard.cause = %failure.cause, "a guard failed; what it was asked about does not pass");
    }

    async fn call(&self, facts: &Facts<'_>, body: String) -> Result<Action, Failure> {
        let headers = self.headers_of(facts).map_err(|Missing(name)| {
            Failure::decided(format!("the request has no usable value for `{name}`, which the guard's headers need"))
        })?;
        let until = (tokio::time::Instant::now() + self.timeout).min(facts.deadline);
        let answer = async {
            match &self.target {
                Target::Http { client, url } => post(client, url, headers, body).await,
                Target::Function(function) => function.invoke(&headers, &body, facts.request_id).await,
            }
        };
        match tokio::time::timeout_at(until, answer).await {
            Ok(answer) => {
                let (status, body) = answer?;
                Ok(read_answer(status, &body, self.phase)?)
            }
            Err(_) => Err(Failure::down(format!("no answer within {} ms", self.timeout.as_millis()))),
        }
    }

    /// The contract's, then what the configuration adds.
    fn headers_of(&self, facts: &Facts<'_>) -> Result<HeaderMap, Missing> {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, JSON);
        facts.forward(&self.forward, &mut headers)?;
        for (name, template) in &self.headers {
            match facts.fill(template)? {
                Some(value) => headers.insert(name, value),
                // What is left out is not forwarded under the same name either.
                None => headers.remove(name),
            };
        }
        Ok(headers)
    }
}

async fn post(client: &reqwest::Client, url: &str, headers: HeaderMap, body: String) -> Result<Answer, Failure> {
    let response = send(|| client.post(url).headers(headers.clone()).body(body.clone())).await?;
    let status = response.status().as_u16();
    Ok((status, read(response).await?))
}

/// Sends, and once more if only the connection was old: a sandbox that was frozen wakes up with connections that the other side closed long ago.
pub(super) async fn send(request: impl Fn() -> reqwest::RequestBuilder) -> Result<reqwest::Response, Failure> {
    let begun = Instant::now();
    let mut response = request().send().await;
    if response.as_ref().is_err_and(|error| is_stale(error, begun)) {
        response = request().send().await;
    }
    response.map_err(|error| broken(&error))
}

/// A kept connection that broke before an answer began.
fn is_stale(error: &reqwest::Error, begun: Instant) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout() && begun.elapsed() < STALE_WITHIN
}

/// A whole body, within its bound.
pub(super) async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
    if response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding.as_bytes() != b"identity") {
        return Err(Failure::down("its answer is compressed, which was not asked for"));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            return Err(Failure::down(format!("its answer has more than {MAX_ANSWER_BYTES} bytes")));
        }
    }
    Ok(body)
}

/// An error and its causes.
fn broken(error: &dyn Error) -> Failure {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    Failure::down(text)
}
