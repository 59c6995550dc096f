//! What runs under callgrind: what the native server calls, in this process, against an upstream in another. `bench in-process WHAT COUNT FOLDER UPSTREAM`.
//! Standard output is the access log.

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http_body_util::BodyExt as _;
use tollgate_gateway::app::App;
use tollgate_gateway::reload::Live;
use tollgate_gateway::router::{Door, router};

use crate::Result;
use crate::fixtures::{self, Api};

/// What is done over and over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// None: the HTTP client alone asks `upstream`.
    pub(crate) client: Option<Api>,
    pub(crate) upstream: Api,
    pub(crate) stream: bool,
    /// A token that was not seen before with each request.
    pub(crate) fresh: bool,
    /// With limits, and a ledger.
    pub(crate) limits: bool,
}

impl Scenario {
    /// As an argument.
    pub(crate) fn code(self) -> String {
        let client = self.client.map_or("none", Api::name);
        let flag = |set: bool, yes: &'static str, no: &'static str| if set { yes } else { no };
        format!(
            "{client}/{}/{}/{}{}",
            self.upstream.name(),
            flag(self.stream, "stream", "whole"),
            flag(self.fresh, "fresh", "cached"),
            flag(self.limits, "/limits", "")
        )
    }

    pub(crate) fn parse(code: &str) -> Option<Self> {
        let mut parts = code.split('/');
        Some(Self {
            client: Api::of(parts.next()?),
            upstream: Api::of(parts.next()?)?,
            stream: parts.next()? == "stream",
            fresh: parts.next()? == "fresh",
            limits: parts.next() == Some("limits"),
        })
    }
}

pub(crate) fn main(args: &[String]) -> Result<()> {
    let [what, count, folder, upstream] = args else { return Err("in-process WHAT COUNT FOLDER UPSTREAM".into()) };
    let count: usize = count.parse()?;
    if let Some(what) = what.strip_prefix("ledger/") {
        return crate::ledger::in_process(what, count, folder);
    }
    if let Some(what) = what.strip_prefix("dialect/") {
        return crate::dialects::in_process(what, count);
    }
    let scenario = Scenario::parse(what).ok_or("in-process: no such scenario")?;
    let tokens = std::fs::read_to_string(format!("{folder}/tokens"))?;
    let tokens: Vec<&str> = tokens.lines().collect();
    tollgate_telemetry::init(None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = format!("{folder}/{}.yaml", if scenario.limits { "limits" } else { "gateway" });
    match scenario.client {
        Some(client) => runtime.block_on(gateway(scenario, client, count, &tokens, &config)),
        None => runtime.block_on(bare(scenario, count, upstream)),
    }
}

async fn gateway(scenario: Scenario, client: Api, count: usize, tokens: &[&str], config: &str) -> Result<()> {
    let live = Live::fixed(App::new(tollgate_config::load(config)?)?);
    let door = Door::new(live.clone(), router(live));
    let body = fixtures::request(client, scenario.upstream, scenario.stream);
    for number in 0..count {
        let token = if scenario.fresh { tokens.get(number) } else { tokens.first() };
        let request = Request::post(client.path())
            .header("host", "bench.test")
            .header(AUTHORIZATION, format!("Bearer {}", token.ok_or("too few tokens")?))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "*/*")
            .header(USER_AGENT, "bench")
            .body(Body::from(body.clone()))?;
        let response = door.clone().answer(request).await?;
        if !response.status().is_success() {
            return Err(format!("{}: {}", scenario.code(), response.status()).into());
        }
        let mut body = response.into_body();
        let mut last = Bytes::new();
        while let Some(frame) = body.frame().await {
            last = frame?.into_data().unwrap_or(last);
        }
        if scenario.stream && !ends(client, &last) {
            return Err(format!("{}: the stream ended with {last:?}", scenario.code()).into());
        }
    }
    Ok(())
}

fn ends(client: Api, last: &[u8]) -> bool {
    let end: &[u8] = match client {
        Api::Chat => b"[DONE]",
        Api::Messages => b"message_stop",
    };
    memchr::memmem::find(last, end).is_some()
}

/// The call that the gateway makes, without the gateway.
async fn bare(scenario: Scenario, count: usize, upstream: &str) -> Result<()> {
    let client =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).user_agent("tollgate/bench").build()?;
    let body = fixtures::request(scenario.upstream, scenario.upstream, scenario.stream);
    let url = reqwest::Url::parse(&format!("{upstream}{}", scenario.upstream.path()))?;
    for _ in 0..count {
        let mut request = reqwest::Request::new(reqwest::Method::POST, url.clone());
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, http::HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, http::HeaderValue::from_static("Bearer sk-bench"));
        *request.body_mut() = Some(body.clone().into());
        let mut response = client.execute(request).await?;
        while response.chunk().await?.is_some() {}
    }
    Ok(())
}
