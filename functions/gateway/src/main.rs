//! The gateway binary: reads the command line and the environment, picks the host.

#[cfg(feature = "local")]
mod prices;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use tollgate_gateway::app::{App, on_lambda};
use tollgate_gateway::cli::{self, Command};
use tollgate_gateway::reload::Origin;
use tollgate_gateway::start;

/// A request makes a hundred small allocations, on as many threads as there are cores.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(message) => return fail(&format!("{message}\n\n{}", cli::USAGE)),
    };
    match command {
        Command::Help => say(cli::USAGE),
        Command::Version => say(concat!("tollgate ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Check(file) => check(&file),
        Command::Prices(command) => prices(&command),
        Command::Serve { config, listen, local_issuer } => serve(config, listen, local_issuer),
    }
}

#[cfg(feature = "local")]
fn prices(command: &cli::Prices) -> ExitCode {
    match prices::run(command) {
        Ok(said) => {
            note(&said.aside);
            say(&said.text)
        }
        Err(message) => fail(&message),
    }
}

#[cfg(not(feature = "local"))]
fn prices(_: &cli::Prices) -> ExitCode {
    fail("prices: not in this build, which is for Lambda")
}

fn check(file: &str) -> ExitCode {
    let checked = tollgate_config::load(file).and_then(|config| config.check_complete().map(|()| config));
    let config = match checked {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string()),
    };
    let unseen: Vec<&str> =
        config.ai.prompt_guard.iter().flat_map(|guard| &guard.unguarded_routes).map(|r| r.name()).collect();
    let unseen = match unseen[..] {
        [] => String::new(),
        _ => format!("no guard of ai.promptGuard sees routes of these types: {}\n", unseen.join(", ")),
    };
    match App::new(config) {
        Ok(_) => say(&format!("{file}: ok\n{unseen}")),
        Err(error) => fail(&format!("{file}: {error}")),
    }
}

fn serve(file: Option<String>, listen: Option<SocketAddr>, local_issuer: bool) -> ExitCode {
    tollgate_telemetry::init(std::env::var("TOLLGATE_LOG").ok().as_deref());
    // One crypto provider for every TLS connection; the second linked one would make rustls panic at the first.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return fail("another TLS crypto provider is already installed");
    }
    let named =
        file.map(|file| named(&file)).or_else(|| std::env::var("TOLLGATE_CONFIG").ok().map(|text| Origin::of(&text)));
    let origin = match named.transpose() {
        Ok(origin) => origin,
        Err(message) => return fail(&message),
    };
    let on_lambda = on_lambda();
    let mut runtime = if on_lambda {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime could not be started: {error}")),
    };
    let print = |text: &str| {
        say(text);
    };
    let outcome = if !on_lambda {
        runtime.block_on(start::natively(origin, listen, local_issuer, print))
    } else if local_issuer {
        Err("--local-issuer: not on Lambda".to_owned())
    } else {
        runtime.block_on(start::on_lambda(origin))
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

/// `--config`: a file, whatever its name, or an origin in the network.
fn named(text: &str) -> Result<Origin, String> {
    match Origin::of(text) {
        Ok(Origin::Inline(_)) => Ok(Origin::File(text.into())),
        origin => origin,
    }
}

fn say(text: &str) -> ExitCode {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(text: &str) -> ExitCode {
    note(text);
    ExitCode::FAILURE
}

/// For the person at the terminal, beside what is said.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
}
