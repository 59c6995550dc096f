//! What an admission costs: how many a second against the embedded DynamoDB, in instructions, in write units; and where one item stops.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tollgate_limits::Ledger;

use crate::fixtures::{self, Api};
use crate::in_process::Scenario;
use crate::instructions::Bench;
use crate::process::start_announcing;
use crate::report::{Table, median, note, thousands};
use crate::{Options, Result, dynamo, scaling, units};

const TASKS: usize = 16;
const MODEL: &str = "openAI/gpt-4o-2024-08-06";

pub(crate) fn run(options: &Options) -> Result<String> {
    let instructions = if options.valgrind { instructions(options)? } else { String::new() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let admissions = admissions(options).await?;
        let (units, sizes) = units::section().await?;
        Ok(format!("## The ledger\n\n{instructions}\n{units}\n{}\n{admissions}", scaling::section(sizes)))
    })
}

/// Reserve and settle, over and over, without a pause.
async fn pairs(ledger: Arc<Ledger>, team: String, until: Instant) -> Result<usize> {
    let mut done = 0;
    while Instant::now() < until {
        let now = SystemTime::now();
        let reservation = units::reserve(&ledger, &units::order(&team, now), now).await?;
        ledger.settle(reservation, &team, units::used().0, Vec::new(), now).await;
        done += 1;
    }
    Ok(done)
}

async fn admissions(options: &Options) -> Result<String> {
    let (rounds, lasting) = if options.quick { (3, Duration::from_secs(1)) } else { (7, Duration::from_secs(2)) };
    let ledger = Arc::new(dynamo::ledger(&dynamo::start().await?)?);
    ledger.create_table().await?;
    let mut figures: [Vec<f64>; 2] = [vec![], vec![]];
    for round in 0..=rounds {
        for (teams, figures) in [1, TASKS].into_iter().zip(&mut figures) {
            let begun = Instant::now();
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| {
                    tokio::spawn(pairs(Arc::clone(&ledger), format!("{teams}-{}", task % teams), begun + lasting))
                })
                .collect();
            let mut done = 0;
            for task in tasks {
                done += task.await??;
            }
            // The first round warms up.
            if round > 0 {
                figures.push(done as f64 / begun.elapsed().as_secs_f64());
            }
        }
        note(&format!("admissions: round {round} of {rounds}"));
    }
    if ledger.pending() > 0 {
        return Err(format!("{} settlements could not be written", ledger.pending()).into());
    }
    let [one, many] = figures.map(median);
    let mut table = Table::new(&[&format!("{TASKS} tasks"), "admissions/s", "times one team's"]);
    table.row(&["on one team".to_owned(), thousands(one), "1.00".to_owned()]);
    table.row(&[format!("on {TASKS} teams"), thousands(many), format!("{:.2}", many / one)]);
    Ok(format!(
        "### Admissions per second\n\nReserve and settle, two calls, against the embedded DynamoDB in memory, in the same process and on the same cores: it is measured as much as \
         we are, and it writes one item after the other, whoever's they are.\n\n{}\n",
        table.text()
    ))
}

/// The `limits` block of the bench: nothing is ever refused, and every limit is counted.
pub(crate) fn limits(endpoint: &str) -> String {
    format!(
        "limits:\n  failureMode: closed\n  timeoutMs: 10000\n  ledger: {{endpoint: \"{endpoint}\"}}\n  tiers:\n    standard: {{requestsPerMinute: 1000000, tokensPerDay: \
         100000000000, usdPerMonth: 1000000}}\n  prices: {{\"{MODEL}\": {{input: 2.5, output: 10}}}}\n"
    )
}

fn instructions(options: &Options) -> Result<String> {
    let bench = if options.quick { Bench::new(20, 60)? } else { Bench::new(50, 250)? };
    let (_dynamo, address) = start_announcing(&["dynamodb"])?;
    let endpoint = format!("http://{address}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(dynamo::ledger(&endpoint)?.create_table().await?)
    })?;
    bench.scratch.write("ledger", &endpoint)?;
    let config = fixtures::config(&bench.upstream, &bench.jwks, false);
    bench.scratch.write("limits.yaml", &format!("{config}{}", limits(&endpoint)))?;
    let mut table = Table::new(&["", "calls", "instructions"]);
    for (what, calls, code) in [
        ("a request counted, nothing to settle (rate limiter function)", 1, "request"),
        ("reserve and settle", 2, "pair"),
        ("reserve and settle while 100 others are open", 2, "pair-of-101"),
        ("reserve, settle, usage history", 3, "whole"),
    ] {
        let count = bench.count_code(&format!("ledger/{code}"))?;
        table.row(&[what.to_owned(), calls.to_string(), thousands(count)]);
    }
    let request = |limits| {
        bench.count(Scenario { client: Some(Api::Chat), upstream: Api::Chat, stream: false, fresh: false, limits })
    };
    let (off, on) = (request(false)?, request(true)?);
    table.row(&["chat to chat over the gateway, limits off".to_owned(), "0".to_owned(), thousands(off)]);
    table.row(&["chat to chat over the gateway, limits on".to_owned(), "3".to_owned(), thousands(on)]);
    Ok(format!(
        "### Instructions per admission\n\nCounted as above, HTTP client and AWS SDK (signatures, JSON) included; DynamoDB is another process and not in it.\n\n{}\nLimits make a \
         request {:.1} times as dear, by {} instructions.\n",
        table.text(),
        on / off,
        thousands(on - off)
    ))
}

/// What runs under callgrind.
pub(crate) fn in_process(what: &str, count: usize, folder: &str) -> Result<()> {
    let endpoint = std::fs::read_to_string(format!("{folder}/ledger"))?;
    // An item of its own for each run: what an earlier one left would be read again.
    let (team, now) = (format!("{what}-{count}"), SystemTime::now());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ledger = dynamo::ledger(&endpoint)?;
        let mut order = units::order(&team, now);
        order.open = what != "request";
        let mut others = Vec::new();
        for _ in 0..if what == "pair-of-101" { 100 } else { 0 } {
            others.push(units::reserve(&ledger, &order, now).await?);
        }
        let (used, record) = units::used();
        for _ in 0..count {
            let reservation = units::reserve(&ledger, &order, now).await?;
            if order.open {
                let records = if what == "whole" { vec![record.clone()] } else { Vec::new() };
                ledger.settle(reservation, &team, used, records, now).await;
            }
        }
        match ledger.pending() {
            0 => Ok(()),
            pending => Err(format!("{pending} settlements could not be written").into()),
        }
    })
}
