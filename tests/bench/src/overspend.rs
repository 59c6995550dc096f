//! Many requests at once against a budget for a few of them: the real gateway as its native server, a ledger that two gateways may share, an upstream that
//! says exactly what it used. Whatever is not as it has to be ends the bench with an error.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tollgate_limits::{Counter, Ledger, Owner, Scope};

use crate::fixtures::{self, Api, KEY_VARIABLE};
use crate::process::{Running, Scratch, start_gateway};
use crate::report::{Table, note, thousands};
use crate::token::Signer;
use crate::{Options, Result, dynamo};

const REQUESTS: usize = 1_000;
const CONNECTIONS: usize = 64;
/// The budget has room for so many.
const PAID: u64 = 100;
/// `max_tokens` of the bench's request, see [`fixtures::request`].
const OUTPUT: u64 = 512;
/// $7.123 per million tokens: a price that no power of ten divides.
const NANO_USD_PER_TOKEN: u64 = 7_123;
/// What one request reserves, and what the budget is.
const FULL: u64 = OUTPUT * NANO_USD_PER_TOKEN;
const BUDGET: u64 = PAID * FULL;
/// The token's client, which is the team's name where nothing else gives one.
const TEAM: &str = "4h57m3k2bench";
const PATIENCE: Duration = Duration::from_secs(60);

struct Case {
    what: &'static str,
    gateways: usize,
    /// What the upstream uses of what was reserved: all, or half of it.
    share: u64,
    /// The upstream takes so long while the requests come at once.
    latency: Duration,
}

const SHORT: Duration = Duration::from_millis(50);
/// So long that the others are refused meanwhile.
const LONG: Duration = Duration::from_secs(5);
const CASES: [Case; 4] = [
    Case { what: "a request uses all that it reserved", gateways: 1, share: 1, latency: SHORT },
    Case { what: "the same, over two gateways", gateways: 2, share: 1, latency: SHORT },
    Case { what: "a request uses half of what it reserved", gateways: 1, share: 2, latency: SHORT },
    Case { what: "the same, slowly", gateways: 1, share: 2, latency: LONG },
];

/// What came of one case.
#[derive(Debug, Default)]
struct Outcome {
    /// By status, of the requests sent at once.
    statuses: BTreeMap<u16, u64>,
    /// One after the other, afterwards, until one was refused.
    later: u64,
    /// Calls that reached the upstream.
    upstream: u64,
    /// The most that was ever reserved and used, by many looks at the ledger; and the number of looks.
    highest: u64,
    looks: usize,
    /// In the end.
    spent: u64,
}

pub(crate) fn run(options: &Options) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut table = Table::new(&[
        "",
        "answered",
        "429",
        "other",
        "answered later, one by one",
        "calls upstream",
        "most ever committed, nano-dollars",
        "spent, nano-dollars",
        "budget, nano-dollars",
    ]);
    let mut wrong = String::new();
    for case in &CASES {
        let outcome = runtime.block_on(measure(case, &options.native))?;
        note(&format!("overspend: {}: {outcome:?}", case.what));
        let of = |status| outcome.statuses.get(&status).copied().unwrap_or_default();
        let other: u64 =
            outcome.statuses.iter().filter(|(status, _)| ![200, 429].contains(*status)).map(|(_, count)| count).sum();
        let figures =
            [of(200), of(429), other, outcome.later, outcome.upstream, outcome.highest, outcome.spent, BUDGET];
        let figures = figures.iter().map(|figure| thousands(*figure as f64));
        table.row(&std::iter::once(case.what.to_owned()).chain(figures).collect::<Vec<_>>());
        for problem in problems(case, &outcome, of(200), other) {
            wrong.push_str(&format!("- **{}: {problem}**\n", case.what));
        }
    }
    let text = format!(
        "## Overspend experiment\n\n{REQUESTS} requests from {CONNECTIONS} connections at once, each sent once, against a budget for exactly {PAID} of them: {} nano-dollars each. The \
         upstream takes {SHORT:?}, slowly {LONG:?}.\n\n{}\n",
        thousands(FULL as f64),
        table.text()
    );
    if wrong.is_empty() {
        return Ok(format!("{text}All as it has to be, to the nano-dollar.\n"));
    }
    Err(format!("\n{text}{wrong}").into())
}

/// What is not as it has to be.
fn problems(case: &Case, outcome: &Outcome, answered: u64, other: u64) -> Vec<String> {
    let used = FULL / case.share;
    // Another one is admitted as long as there is room for all that it may use.
    let fit = (BUDGET - FULL) / used + 1;
    let mut problems = Vec::new();
    let mut check = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };
    check(other == 0, format!("{other} answers were neither 200 nor 429"));
    check(case.share > 1 || answered == PAID, format!("{answered} were answered, not {PAID}"));
    check(answered + outcome.later == fit, format!("{} were answered in all, not {fit}", answered + outcome.later));
    check(outcome.upstream == fit, format!("{} calls reached the upstream, not {fit}", outcome.upstream));
    check(outcome.spent == fit * used, format!("{} nano-dollars were spent, not {}", outcome.spent, fit * used));
    check(outcome.highest <= BUDGET, format!("{} nano-dollars were committed, over the budget", outcome.highest));
    problems
}

async fn measure(case: &Case, binary: &Path) -> Result<Outcome> {
    let (scratch, signer) = (Scratch::new()?, Signer::new()?);
    let token = signer.token(0)?;
    let upstream = Arc::new(Upstream {
        share: case.share,
        slow: AtomicBool::new(true),
        latency: case.latency,
        calls: AtomicU64::new(0),
    });
    let url = Arc::clone(&upstream).start().await?;
    let endpoint = dynamo::start().await?;
    let ledger = Arc::new(dynamo::ledger(&endpoint)?);
    ledger.create_table().await?;
    let jwks = format!("{{file: \"{}\"}}", scratch.write("jwks.json", &signer.jwks())?);
    let config = format!("{}{}", fixtures::config(&url, &jwks, false), limits(&endpoint));
    let config = scratch.write("gateway.yaml", &config)?;
    let mut gateways: Vec<(Running, String)> = Vec::new();
    for _ in 0..case.gateways {
        let (running, address) = start_gateway(binary, &config, &[(KEY_VARIABLE, "sk-bench")]).await?;
        gateways.push((running, format!("http://{address}{}", Api::Chat.path())));
    }
    let watch = Arc::new(Watch::default());
    let watching = tokio::spawn(Arc::clone(&watch).run(Arc::clone(&ledger)));
    let next = Arc::new(AtomicUsize::new(0));
    let body = fixtures::request(Api::Chat, Api::Chat, false);
    let connections: Vec<_> = (0..CONNECTIONS)
        .filter_map(|number| gateways.get(number % case.gateways))
        .map(|(_, url)| tokio::spawn(connection(url.clone(), token.clone(), body.clone(), Arc::clone(&next))))
        .collect();
    let mut outcome = Outcome::default();
    for connection in connections {
        for (status, count) in connection.await?? {
            *outcome.statuses.entry(status).or_default() += count;
        }
    }
    // Then what is left, one request after the other; each when the one before is settled.
    upstream.slow.store(false, Ordering::Relaxed);
    let (_, url) = gateways.first().ok_or("no gateway")?;
    let client = reqwest::Client::builder().build()?;
    let mut answered = outcome.statuses.get(&200).copied().unwrap_or_default();
    loop {
        settled(&ledger, answered * (FULL / case.share)).await?;
        match ask(&client, url, &token, &body).await? {
            200 => {
                outcome.later += 1;
                answered += 1;
            }
            429 => break,
            other => return Err(format!("a request was answered with {other}").into()),
        }
    }
    watch.over.store(true, Ordering::Relaxed);
    watching.await??;
    outcome.spent = committed(&ledger).await?;
    outcome.highest = watch.highest.load(Ordering::Relaxed).max(outcome.spent);
    outcome.looks = watch.looks.load(Ordering::Relaxed);
    outcome.upstream = upstream.calls.load(Ordering::Relaxed);
    Ok(outcome)
}

fn limits(endpoint: &str) -> String {
    let usd = |nano: u64| format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    format!(
        "limits:\n  failureMode: closed\n  timeoutMs: 10000\n  ledger: {{endpoint: \"{endpoint}\"}}\n  prices: {{\"openAI/gpt-4o-2024-08-06\": {{input: 0, output: {}}}}}\n  \
         teams: {{\"{TEAM}\": {{tier: enterprise, usdPerMonth: \"{}\"}}}}\n",
        usd(NANO_USD_PER_TOKEN * 1_000_000),
        usd(BUDGET)
    )
}

/// One kept-alive connection: a client of its own that asks for one thing at a time.
async fn connection(url: String, token: String, body: Bytes, next: Arc<AtomicUsize>) -> Result<BTreeMap<u16, u64>> {
    let client = reqwest::Client::builder().build()?;
    let mut statuses = BTreeMap::new();
    while next.fetch_add(1, Ordering::Relaxed) < REQUESTS {
        *statuses.entry(ask(&client, &url, &token, &body).await?).or_default() += 1;
    }
    Ok(statuses)
}

async fn ask(client: &reqwest::Client, url: &str, token: &str, body: &Bytes) -> Result<u16> {
    let request = client
        .post(url)
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_TYPE, "application/json")
        .body(body.clone());
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    answer.bytes().await?;
    Ok(status)
}

/// Used and reserved, in nano-dollars. The scope's limit is only there to be subtracted from: what is over the budget is seen, too.
async fn committed(ledger: &Ledger) -> Result<u64> {
    const AMPLE: u64 = u64::MAX / 4;
    let scope =
        Scope { key: format!("team#{TEAM}"), owner: Owner::Team, counters: vec![(Counter::Money, Some(AMPLE))] };
    let standings = ledger.standing(&[scope], SystemTime::now()).await?;
    let standing = standings.first().ok_or("the ledger says nothing of the team")?;
    Ok(AMPLE - standing.remaining)
}

/// Until all that was answered is settled: nothing is reserved any more.
async fn settled(ledger: &Ledger, expected: u64) -> Result<()> {
    let since = Instant::now();
    loop {
        let committed = committed(ledger).await?;
        if committed == expected {
            return Ok(());
        }
        if since.elapsed() > PATIENCE {
            return Err(format!("{committed} nano-dollars are in the ledger, not {expected}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Looks at the ledger while requests are under way.
#[derive(Default)]
struct Watch {
    over: AtomicBool,
    highest: AtomicU64,
    looks: AtomicUsize,
}

impl Watch {
    async fn run(self: Arc<Self>, ledger: Arc<Ledger>) -> Result<()> {
        while !self.over.load(Ordering::Relaxed) {
            self.highest.fetch_max(committed(&ledger).await?, Ordering::Relaxed);
            self.looks.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

/// Uses what the request allows, or a part of it.
struct Upstream {
    share: u64,
    slow: AtomicBool,
    latency: Duration,
    calls: AtomicU64,
}

impl Upstream {
    async fn start(self: Arc<Self>) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(answer).with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(url)
    }
}

async fn answer(State(upstream): State<Arc<Upstream>>, body: Bytes) -> Response {
    upstream.calls.fetch_add(1, Ordering::Relaxed);
    if upstream.slow.load(Ordering::Relaxed) {
        tokio::time::sleep(upstream.latency).await;
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let cap = ["max_tokens", "max_completion_tokens"].iter().find_map(|name| asked.get(name)?.as_u64());
    let output = cap.unwrap_or_default() / upstream.share;
    let body = json!({"id": "chatcmpl-bench", "object": "chat.completion", "created": 1_770_000_000, "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "The second line is a proration."}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 61, "completion_tokens": output, "total_tokens": 61 + output}});
    let mut response = Response::new(Body::from(body.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_asks_for_what_the_budget_is_made_of() {
        let request: Value = serde_json::from_slice(&fixtures::request(Api::Chat, Api::Chat, false)).unwrap();
        assert_eq!(request["max_tokens"], OUTPUT);
    }
}
