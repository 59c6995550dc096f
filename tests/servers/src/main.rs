//! Servers that the end-to-end tests put around the gateway. Each binds to a free port of 127.0.0.1 and prints one JSON
//! line that says which:
//!
//! - `test-servers fake-bedrock`: the Bedrock runtime API, its event-stream frames included (`bedrock/`)
//! - `test-servers fake-llm`: OpenAI and Anthropic upstreams that misbehave on request (`llm/`)
//! - `test-servers runtime-api [--function-timeout-ms N] [--idle-timeout-ms N]`: the Lambda Runtime API, with an ALB and a function URL in front (`lambda/`)
//!
//! What the two fakes answer is chosen by markers in the prompt (`script.rs`).

#![expect(clippy::indexing_slicing, reason = "only to set members of JSON objects that were made a line before")]

mod anthropic;
mod bedrock;
mod journal;
mod lambda;
mod llm;
mod openai;
mod script;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt as _};
use serde_json::Value;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody reads a failed write to stderr.
            let _ = writeln!(io::stderr(), "test-servers: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut parser = Parser::from_env();
    let command = match parser.next()? {
        Some(Arg::Value(value)) => value.string()?,
        _ => return Err("say which: fake-bedrock, fake-llm or runtime-api".into()),
    };
    match command.as_str() {
        "fake-bedrock" => bedrock::serve().await?,
        "fake-llm" => llm::serve().await?,
        "runtime-api" => lambda::serve(timeouts(&mut parser)?).await?,
        other => return Err(format!("no server is called {other:?}").into()),
    }
    Ok(())
}

fn timeouts(parser: &mut Parser) -> Result<lambda::Timeouts, lexopt::Error> {
    let mut timeouts = lambda::Timeouts::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("function-timeout-ms") => timeouts.function = Duration::from_millis(parser.value()?.parse()?),
            Arg::Long("idle-timeout-ms") => timeouts.idle = Duration::from_millis(parser.value()?.parse()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(timeouts)
}

/// Tells the test where the server listens.
fn announce(addresses: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{addresses}")?;
    out.flush()
}
