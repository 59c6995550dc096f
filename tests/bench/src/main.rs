//! What the gateway costs. `make bench` runs `bench all`; the figures are in `docs/performance.md`.
//!
//! - `bench instructions`: instructions per request, in process, under callgrind ([`instructions`], [`in_process`])
//! - `bench dialects`: instructions per event of a stream, from each dialect to each, without HTTP ([`dialects`])
//! - `bench throughput`: the release binary beside a bare proxy and the direct call ([`throughput`], [`load`], [`proxy`])
//! - `bench coldstart`: from spawn to `/next` and to the first answer, beside a hello-world ([`coldstart`], [`runtime_api`])
//! - `bench ledger`: what an admission costs: against an embedded DynamoDB, in instructions, in write units, and where one item stops ([`ledger`], [`units`],
//!   [`scaling`], [`dynamo`])
//! - `bench overspend`: 1,000 requests at once against a budget for 100, over the real gateway; fails unless exactly 100 are answered ([`overspend`])
//! - `bench profile WHAT FILE`: callgrind's output for one scenario of `instructions`
//! - `bench upstream`, `bench proxy`, `bench dynamodb`, `bench in-process`: what the others start as processes of their own
//!
//! It prints Markdown on standard output, and what it is doing on standard error. Options: `--gateway FILE` (the Lambda build),
//! `--native FILE` (the container's, for throughput and overspend) and `--hello FILE` for other binaries than those beside `bench` itself; `--quick` for a look; `--no-valgrind` leaves out of `ledger` what callgrind counts.

mod coldstart;
mod dialects;
mod dynamo;
mod fixtures;
mod in_process;
mod instructions;
mod ledger;
mod load;
mod overspend;
mod process;
mod proxy;
mod report;
mod runtime_api;
mod scaling;
mod throughput;
mod tls;
mod token;
mod units;
mod upstream;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Whatever goes wrong ends the run.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What to measure, and how thoroughly.
pub(crate) struct Options {
    /// The Lambda build.
    pub(crate) gateway: PathBuf,
    /// The build of the container.
    pub(crate) native: PathBuf,
    pub(crate) hello: PathBuf,
    pub(crate) quick: bool,
    pub(crate) valgrind: bool,
}

/// Measures, and answers Markdown.
type Section = fn(&Options) -> Result<String>;

const USAGE: &str = "bench instructions|dialects|throughput|coldstart|ledger|overspend|all [--gateway FILE] [--native FILE] [--hello FILE] [--quick] [--no-valgrind]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::note(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let command = args.next().ok_or(USAGE)?;
    let rest: Vec<String> = args.collect();
    // As the gateway's own `main` does.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command.as_str() {
        "upstream" => return upstream::main(),
        "dynamodb" => return dynamo::main(),
        "proxy" => return proxy::main(rest.first().ok_or("proxy: name the upstream")?),
        "profile" => {
            let [what, file] = rest.as_slice() else { return Err("profile WHAT FILE".into()) };
            return instructions::profile(what, file);
        }
        "in-process" => return in_process::main(&rest),
        _ => {}
    }
    let options = options(&rest)?;
    let all: [(&str, Section); 6] = [
        ("instructions", instructions::run),
        ("dialects", dialects::run),
        ("throughput", throughput::run),
        ("coldstart", coldstart::run),
        ("ledger", ledger::run),
        ("overspend", overspend::run),
    ];
    let mut chosen = all.iter().filter(|(name, _)| command == "all" || command == *name).peekable();
    chosen.peek().ok_or(USAGE)?;
    let mut out = std::io::stdout().lock();
    // Each as soon as it is there: one that fails does not take the others with it.
    for (_, section) in chosen {
        writeln!(out, "{}", section(&options)?)?;
        out.flush()?;
    }
    Ok(writeln!(out, "{}", report::machine())?)
}

fn options(args: &[String]) -> Result<Options> {
    let beside = |name: &str| Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name(name));
    let mut options = Options {
        gateway: beside("gateway")?,
        native: beside("gateway-native")?,
        hello: beside("hello-lambda")?,
        quick: false,
        valgrind: true,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => options.quick = true,
            "--no-valgrind" => options.valgrind = false,
            "--gateway" => options.gateway = args.next().ok_or(USAGE)?.into(),
            "--native" => options.native = args.next().ok_or(USAGE)?.into(),
            "--hello" => options.hello = args.next().ok_or(USAGE)?.into(),
            _ => return Err(USAGE.into()),
        }
    }
    Ok(options)
}
