//! Throughput, latency, CPU per request and memory of the real binary, beside a bare proxy and the direct call. All share the machine with the load,
//! so runs take turns, and what counts is the ratio inside one run of the bench.

use std::net::SocketAddr;
use std::time::Duration;

use crate::fixtures::{self, Api, KEY_VARIABLE};
use crate::load::{self, Measured};
use crate::process::{Running, Scratch, cpu, memory_kib, start_announcing, start_gateway};
use crate::report::{Table, median, note, thousands, verdict};
use crate::token::Signer;
use crate::{Options, Result};

struct Server {
    name: &'static str,
    address: SocketAddr,
    process: Running,
}

/// One cell of the plan, and what its runs said.
struct Cell {
    what: &'static str,
    client: Api,
    upstream: Api,
    stream: bool,
    connections: usize,
    /// By server.
    runs: [Vec<(Measured, Duration)>; 3],
}

const PROXY: usize = 1;
const GATEWAY: usize = 2;

fn plan() -> Vec<Cell> {
    let cell = |what, client, upstream, stream, connections| Cell {
        what,
        client,
        upstream,
        stream,
        connections,
        runs: [vec![], vec![], vec![]],
    };
    vec![
        cell("chat", Api::Chat, Api::Chat, false, 1),
        cell("chat", Api::Chat, Api::Chat, false, 16),
        cell("chat", Api::Chat, Api::Chat, false, 64),
        cell("chat to messages", Api::Chat, Api::Messages, false, 64),
        cell("chat, streamed", Api::Chat, Api::Chat, true, 16),
        cell("chat to messages, streamed", Api::Chat, Api::Messages, true, 16),
    ]
}

pub(crate) fn run(options: &Options) -> Result<String> {
    // One thread: the load must leave a core to the others.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(options))
}

async fn measure(options: &Options) -> Result<String> {
    let (rounds, lasting) = if options.quick { (3, Duration::from_secs(1)) } else { (7, Duration::from_secs(2)) };
    let scratch = Scratch::new()?;
    let signer = Signer::new()?;
    let token = signer.token(0)?;
    let (upstream, address) = start_announcing(&["upstream"])?;
    let url = format!("http://{address}");
    let (proxy, proxy_address) = start_announcing(&["proxy", &url])?;
    let jwks = scratch.write("jwks.json", &signer.jwks())?;
    let config = scratch.write("gateway.yaml", &fixtures::config(&url, &format!("{{file: \"{jwks}\"}}"), false))?;
    let (gateway, gateway_address) = start_gateway(&options.native, &config, &[(KEY_VARIABLE, "sk-bench")]).await?;
    let servers = [
        Server { name: "direct", address, process: upstream },
        Server { name: "bare proxy", address: proxy_address, process: proxy },
        Server { name: "gateway", address: gateway_address, process: gateway },
    ];
    let mut cells = plan();
    for round in 0..=rounds {
        for cell in &mut cells {
            for ((index, server), runs) in servers.iter().enumerate().zip(&mut cell.runs) {
                // Without a translator in between, the upstream's own dialect is spoken.
                let client = if index == GATEWAY { cell.client } else { cell.upstream };
                let request = load::wire(client, &fixtures::request(client, cell.upstream, cell.stream), &token);
                let before = cpu(server.process.0.id())?;
                let measured = load::run(server.address, &request, cell.connections, lasting).await?;
                let used = cpu(server.process.0.id())?.saturating_sub(before);
                // The first round warms up.
                if round > 0 {
                    runs.push((measured, used));
                }
            }
        }
        note(&format!("throughput: round {round} of {rounds}"));
    }
    let mut peak_mib = [0.0; 3];
    for (server, mib) in servers.iter().zip(&mut peak_mib) {
        *mib = memory_kib(server.process.0.id(), "VmHWM")? as f64 / 1024.0;
    }
    Ok(section(&cells, &servers, peak_mib))
}

fn section(cells: &[Cell], servers: &[Server; 3], peak_mib: [f64; 3]) -> String {
    let mut table = Table::new(&["request", "connections", "", "requests/s", "p50 us", "p99 us", "CPU us/request"]);
    let mut verdicts = String::new();
    for cell in cells {
        for (server, runs) in servers.iter().zip(&cell.runs) {
            let of = |figure: fn(&(Measured, Duration)) -> f64| median(runs.iter().map(figure));
            let cpu_us = if server.name == "direct" { String::new() } else { format!("{:.0}", cpu_us(runs)) };
            table.row(&[
                cell.what.to_owned(),
                cell.connections.to_string(),
                server.name.to_owned(),
                thousands(of(|run| run.0.per_second)),
                thousands(of(|run| run.0.p50_us)),
                thousands(of(|run| run.0.p99_us)),
                cpu_us,
            ]);
        }
        let [_, proxy, gateway] = &cell.runs;
        let p99 = |runs: &[(Measured, Duration)]| median(runs.iter().map(|run| run.0.p99_us));
        if cell.what == "chat" && cell.connections == 64 {
            let what =
                format!("CPU per request at 64 connections, times the bare proxy's ({})", spread(proxy, gateway));
            verdicts.push_str(&verdict(&what, cpu_us(gateway) / cpu_us(proxy), 1.5, ""));
        }
        if cell.what == "chat" {
            let what = format!("p99 at {} connections, times the bare proxy's", cell.connections);
            verdicts.push_str(&verdict(&what, p99(gateway) / p99(proxy), 2.0, ""));
        }
    }
    verdicts.push_str(&verdict("peak memory, after all of it", peak_mib[GATEWAY], 40.0, " MiB"));
    format!(
        "## Throughput\n\nMedians of runs that took turns; CPU of all of them together. Peak memory: bare proxy {:.1} MiB, gateway {:.1} MiB.\n\n{}\n{verdicts}",
        peak_mib[PROXY],
        peak_mib[GATEWAY],
        table.text()
    )
}

/// Of all runs together: in one of two seconds the hundredths in which Linux counts, and what else the machine did, show.
fn cpu_us(runs: &[(Measured, Duration)]) -> f64 {
    let used: Duration = runs.iter().map(|(_, used)| *used).sum();
    used.as_secs_f64() * 1e6 / runs.iter().map(|(measured, _)| measured.requests).sum::<usize>().max(1) as f64
}

/// How far the ratio's rounds are apart: the runs of one round stand beside each other.
fn spread(proxy: &[(Measured, Duration)], gateway: &[(Measured, Duration)]) -> String {
    let one = std::slice::from_ref;
    let ratios = || gateway.iter().zip(proxy).map(|(gateway, proxy)| cpu_us(one(gateway)) / cpu_us(one(proxy)));
    let (least, most) = ratios().fold((f64::MAX, f64::MIN), |(least, most), ratio| (least.min(ratio), most.max(ratio)));
    format!("{} rounds: median {:.2}, {least:.2} to {most:.2}", ratios().count(), median(ratios()))
}
