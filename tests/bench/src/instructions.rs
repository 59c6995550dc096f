//! Instructions per request. Callgrind counts this process's own instructions, the same for the same input however busy the machine is; the kernel
//! and the upstream, which is another process, are not in it. Two runs with different numbers of requests: the start cancels out.

use std::process::{Command, Stdio};

use crate::fixtures::{self, Api, KEY_VARIABLE, STREAM_EVENTS};
use crate::in_process::Scenario;
use crate::process::{Running, Scratch, start_announcing};
use crate::report::{Table, note, thousands, verdict};
use crate::token::Signer;
use crate::{Options, Result};

/// A same-dialect request, its signature check apart.
const TARGET: f64 = 150_000.0;

pub(crate) struct Bench {
    pub(crate) scratch: Scratch,
    pub(crate) upstream: String,
    pub(crate) jwks: String,
    _upstream: Running,
    /// The two numbers of requests.
    few: usize,
    many: usize,
}

impl Bench {
    pub(crate) fn new(few: usize, many: usize) -> Result<Self> {
        let (running, address) = start_announcing(&["upstream"])?;
        let upstream = format!("http://{address}");
        let scratch = Scratch::new()?;
        let signer = Signer::new()?;
        let jwks = scratch.write("jwks.json", &signer.jwks())?;
        let jwks = format!("{{file: \"{jwks}\"}}");
        scratch.write("gateway.yaml", &fixtures::config(&upstream, &jwks, false))?;
        let tokens = (0..many).map(|number| signer.token(number)).collect::<Result<Vec<_>>>()?;
        scratch.write("tokens", &tokens.join("\n"))?;
        Ok(Self { scratch, upstream, jwks, _upstream: running, few, many })
    }

    pub(crate) fn count(&self, scenario: Scenario) -> Result<f64> {
        self.count_code(&scenario.code())
    }

    /// Instructions for one more of what `in-process` knows by this name.
    pub(crate) fn count_code(&self, code: &str) -> Result<f64> {
        let (few, many) = (self.run(code, self.few)?, self.run(code, self.many)?);
        let each = (many - few) / (self.many - self.few) as f64;
        note(&format!("{code}: {}", thousands(each)));
        Ok(each)
    }

    fn run(&self, code: &str, requests: usize) -> Result<f64> {
        let folder = self.scratch.0.to_string_lossy();
        let out = Command::new("valgrind")
            .args(["--tool=callgrind", &format!("--callgrind-out-file={folder}/callgrind.out")])
            .arg(std::env::current_exe()?)
            .args(["in-process", code, &requests.to_string(), &folder, &self.upstream])
            .env(KEY_VARIABLE, "sk-bench")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output()
            .map_err(|e| format!("valgrind: {e}"))?;
        let said = String::from_utf8_lossy(&out.stderr);
        if !out.status.success() {
            return Err(format!("{code} failed under valgrind:\n{said}").into());
        }
        let collected =
            said.lines().find_map(|line| line.split_once("Collected :")).ok_or("valgrind counted nothing")?;
        Ok(collected.1.trim().parse()?)
    }
}

/// `bench profile WHAT FILE`: one scenario, with callgrind's own output, for `callgrind_annotate`. Build with `--config profile.release.strip=false`.
pub(crate) fn profile(what: &str, file: &str) -> Result<()> {
    let scenario = Scenario::parse(what)
        .ok_or("profile: CLIENT/UPSTREAM/whole|stream/cached|fresh, such as chat/messages/whole/cached")?;
    let bench = Bench::new(100, 500)?;
    bench.count(scenario)?;
    std::fs::copy(bench.scratch.0.join("callgrind.out"), file)?;
    Ok(())
}

pub(crate) fn run(options: &Options) -> Result<String> {
    let bench = if options.quick { Bench::new(20, 60)? } else { Bench::new(50, 250)? };
    let mut table = Table::new(&["request", "all", "the HTTP client alone", "our own", "per streamed event"]);
    let mut same_dialect = f64::NAN;
    for stream in [false, true] {
        let client = |upstream| bench.count(Scenario { client: None, upstream, stream, fresh: false, limits: false });
        let alone = [client(Api::Chat)?, client(Api::Messages)?];
        for (client, upstream, alone) in [
            (Api::Chat, Api::Chat, alone[0]),
            (Api::Chat, Api::Messages, alone[1]),
            (Api::Messages, Api::Messages, alone[1]),
            (Api::Messages, Api::Chat, alone[0]),
        ] {
            let all = bench.count(Scenario { client: Some(client), upstream, stream, fresh: false, limits: false })?;
            let own = all - alone;
            let what = format!("{} to {}{}", client.name(), upstream.name(), if stream { ", streamed" } else { "" });
            let each = if stream { thousands(own / STREAM_EVENTS as f64) } else { String::new() };
            table.row(&[what, thousands(all), thousands(alone), thousands(own), each]);
            if client == Api::Chat && upstream == Api::Chat && !stream {
                same_dialect = all;
            }
        }
    }
    let fresh = bench.count(Scenario {
        client: Some(Api::Chat),
        upstream: Api::Chat,
        stream: false,
        fresh: true,
        limits: false,
    })?;
    Ok(format!(
        "## Instructions per request\n\n{}\nA stream has {STREAM_EVENTS} content events. The first request with a token takes {} more: the signature check \
         (RS256) and the claims.\n\n{}",
        table.text(),
        thousands(fresh - same_dialect),
        verdict("same dialect, HTTP client included, token known", same_dialect, TARGET, " instructions"),
    ))
}
