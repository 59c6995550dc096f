//! From spawn to the first `/next`, and to the end of the first answer, of the Lambda binary beside a hello-world of `lambda_http` built with the same
//! profile. The issuer's keys and the upstream are behind TLS on this machine. Spawns take turns; figures are medians.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::TcpListener;

use crate::fixtures::{self, KEY_VARIABLE};
use crate::process::{Running, Scratch};
use crate::report::{Table, median, note, verdict};
use crate::runtime_api::RuntimeApi;
use crate::tls::Local;
use crate::token::Signer;
use crate::upstream::{self, Answers};
use crate::{Options, Result};

const EVENT: &str = include_str!("../../../events/alb-chat.json");
/// The first is the cold one, the others are warm.
const INVOKES: usize = 6;
const PATIENCE: Duration = Duration::from_secs(20);

/// What is spawned.
struct Subject<'a> {
    name: &'static str,
    binary: &'a Path,
    config: &'a str,
    invokes: usize,
}

/// One spawn, in milliseconds.
struct Spawn {
    next: f64,
    first_answer: f64,
    first_invoke: f64,
    warm_invoke: f64,
    memory_mib: f64,
}

struct Bench {
    roots: String,
    event: Bytes,
}

pub(crate) fn run(options: &Options) -> Result<String> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(measure(options))
}

async fn measure(options: &Options) -> Result<String> {
    let spawns = if options.quick { 7 } else { 31 };
    let (scratch, local, signer) = (Scratch::new()?, Local::new()?, Signer::new()?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(upstream::serve(listener, Answers::new(signer.jwks()), Some(local.acceptor)));
    // Takes connections and never says a word: whoever waits for it at init never asks for work.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let config = |port: u16| {
        let jwks = format!("{{url: \"https://localhost:{port}/jwks.json\"}}");
        fixtures::config(&format!("https://localhost:{port}"), &jwks, true)
    };
    let alive = scratch.write("alive.yaml", &config(port))?;
    let dead = scratch.write("dead.yaml", &config(silent.local_addr()?.port()))?;
    let event = EVENT.replace("{{token}}", &signer.token(0)?);
    let bench = Bench { roots: scratch.write("roots.crt", &local.roots_pem)?, event: event.into() };
    let subjects = [
        Subject { name: "hello-world", binary: &options.hello, config: &alive, invokes: INVOKES },
        Subject { name: "gateway", binary: &options.gateway, config: &alive, invokes: INVOKES },
        Subject { name: "gateway, network silent", binary: &options.gateway, config: &dead, invokes: 0 },
    ];
    let mut figures: [Vec<Spawn>; 3] = [vec![], vec![], vec![]];
    for round in 0..=spawns {
        for (subject, figures) in subjects.iter().zip(&mut figures) {
            let spawn = bench.spawn(subject).await.map_err(|e| format!("{}: {e}", subject.name))?;
            // The first round brings the binaries into the page cache.
            if round > 0 {
                figures.push(spawn);
            }
        }
    }
    note(&format!("cold start: {spawns} spawns of each"));
    section(&subjects, &figures)
}

impl Bench {
    async fn spawn(&self, subject: &Subject<'_>) -> Result<Spawn> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let api = RuntimeApi::new(self.event.clone(), subject.invokes);
        let serving = tokio::spawn(Arc::clone(&api).serve(listener));
        let mut command = self.command(subject, address);
        let begun = Instant::now();
        let process = {
            // `/next` waits for the lock, and so for the pid.
            let mut timeline = api.timeline();
            let process = Running(command.spawn().map_err(|e| format!("{}: {e}", subject.binary.display()))?);
            timeline.pid = process.0.id();
            process
        };
        tokio::time::timeout(PATIENCE, api.over())
            .await
            .map_err(|_| "it did not ask for work, or not answer, in time")??;
        drop(process);
        serving.abort();
        let timeline = api.timeline();
        let ms = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64() * 1e3;
        let next = timeline.first_next.map_or(f64::NAN, |next| ms(begun, next));
        let invokes: Vec<f64> =
            timeline.sent.iter().zip(&timeline.answered).map(|(sent, answered)| ms(*sent, answered.0)).collect();
        for (_, answer) in &timeline.answered {
            if memchr::memmem::find(answer, b"\"statusCode\":200").is_none() {
                return Err(format!("an answer was {}", String::from_utf8_lossy(answer)).into());
            }
        }
        let first_invoke = invokes.first().copied().unwrap_or(f64::NAN);
        Ok(Spawn {
            next,
            first_answer: next + first_invoke,
            first_invoke,
            warm_invoke: median(invokes.iter().skip(1).copied()),
            memory_mib: timeline.memory_kib as f64 / 1024.0,
        })
    }

    fn command(&self, subject: &Subject<'_>, runtime_api: SocketAddr) -> Command {
        let mut command = Command::new(subject.binary);
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string())
            .envs([
                ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench"),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "AKIABENCH"),
                ("AWS_SECRET_ACCESS_KEY", "bench"),
                (KEY_VARIABLE, "sk-bench"),
                ("SSL_CERT_FILE", &self.roots),
                ("TOLLGATE_CONFIG", subject.config),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

fn section(subjects: &[Subject<'_>; 3], figures: &[Vec<Spawn>; 3]) -> Result<String> {
    let mut table = Table::new(&[
        "",
        "binary MB",
        "to `/next` ms",
        "first invoke ms",
        "to the first answer ms",
        "warm invoke ms",
        "RSS at `/next` MiB",
    ]);
    let of = |spawns: &[Spawn], figure: fn(&Spawn) -> f64| median(spawns.iter().map(figure));
    let mut sizes_mb = Vec::new();
    for (subject, spawns) in subjects.iter().zip(figures) {
        let size_mb = std::fs::metadata(subject.binary)?.len() as f64 / 1e6;
        sizes_mb.push(size_mb);
        let cells = [
            size_mb,
            of(spawns, |spawn| spawn.next),
            of(spawns, |spawn| spawn.first_invoke),
            of(spawns, |spawn| spawn.first_answer),
            of(spawns, |spawn| spawn.warm_invoke),
            of(spawns, |spawn| spawn.memory_mib),
        ];
        let cells = cells.iter().map(|cell| if cell.is_nan() { String::new() } else { format!("{cell:.1}") });
        table.row(&std::iter::once(subject.name.to_owned()).chain(cells).collect::<Vec<_>>());
    }
    let [hello, gateway, silent] = figures;
    let next = |spawns: &[Spawn]| of(spawns, |spawn| spawn.next);
    let mut verdicts = verdict("to `/next`, over hello-world", next(gateway) - next(hello), 6.0, " ms");
    let waits = next(silent) - next(gateway);
    verdicts.push_str(&verdict(
        "to `/next` when issuer and upstream never answer, over when they do",
        waits,
        1.0,
        " ms",
    ));
    let first = of(gateway, |spawn| spawn.first_invoke);
    verdicts.push_str(&verdict(
        "first invoke (keys and upstream by TLS), so no entropy penalty of 25 ms",
        first,
        25.0,
        " ms",
    ));
    verdicts.push_str(&verdict("binary", sizes_mb.get(1).copied().unwrap_or(f64::NAN), 12.0, " MB"));
    Ok(format!("## Cold start\n\n{}\n{verdicts}", table.text()))
}
