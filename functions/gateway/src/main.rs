//! The gateway binary: reads the command line and the environment, picks the host.

#[cfg(feature = "local")]
mod prices;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use tollgate_config::Config;
use tollgate_gateway::app::{App, on_lambda};
use tollgate_gateway::cli::{self, Command};
use tollgate_gateway::host::{lambda, native};
use tollgate_gateway::{local, router};

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
    match App::new(config) {
        Ok(_) => say(&format!("{file}: ok\n")),
        Err(error) => fail(&format!("{file}: {error}")),
    }
}

fn serve(file: Option<String>, listen: Option<SocketAddr>, local_issuer: bool) -> ExitCode {
    tollgate_telemetry::init(std::env::var("TOLLGATE_LOG").ok().as_deref());
    // One crypto provider for every TLS connection; the second linked one would make rustls panic at the first.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return fail("another TLS crypto provider is already installed");
    }
    let on_lambda = on_lambda();
    let config = match configuration(file.as_deref()) {
        Ok(config) => config,
        Err(message) => return fail(&message),
    };
    let mut runtime = if on_lambda {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime could not be started: {error}")),
    };
    let outcome = match (on_lambda, config) {
        (true, None) => {
            Err("no configuration: set TOLLGATE_CONFIG to a file in the bundle, or to the YAML itself".to_owned())
        }
        (true, Some(_)) if local_issuer => Err("--local-issuer: not on Lambda".to_owned()),
        (true, Some(config)) => runtime.block_on(on_lambda_with(config)),
        (false, config) => runtime.block_on(natively(config, listen, local_issuer)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

/// From the file, or from `TOLLGATE_CONFIG`: a path, or the YAML itself (it has a line break or a colon and a space).
fn configuration(file: Option<&str>) -> Result<Option<Config>, String> {
    if let Some(file) = file {
        return tollgate_config::load(file).map(Some).map_err(|e| e.to_string());
    }
    let Ok(text) = std::env::var("TOLLGATE_CONFIG") else { return Ok(None) };
    let inline = text.contains('\n') || text.contains(": ") || text.trim_start().starts_with('{');
    let parsed = if inline { tollgate_config::parse(&text, "TOLLGATE_CONFIG") } else { tollgate_config::load(&text) };
    parsed.map(Some).map_err(|e| e.to_string())
}

async fn on_lambda_with(config: Config) -> Result<(), String> {
    config.check_complete().map_err(|e| e.to_string())?;
    if config.limits.as_ref().is_some_and(|limits| limits.ledger.file.is_some()) {
        return Err("limits.ledger.file: not on Lambda, where no file stays; name a table".to_owned());
    }
    let app = App::new(config).map_err(|e| e.to_string())?;
    let stream = std::env::var("TOLLGATE_RESPONSE_MODE").is_ok_and(|mode| mode == "stream");
    lambda::run(app, stream).await.map_err(|e| e.to_string())
}

async fn natively(config: Option<Config>, listen: Option<SocketAddr>, local_issuer: bool) -> Result<(), String> {
    let from_environment = std::env::var("TOLLGATE_LISTEN").ok();
    let from_environment =
        from_environment.map(|text| text.parse().map_err(|_| format!("TOLLGATE_LISTEN={text}: not an address")));
    let wanted = config.as_ref().map_or_else(|| Config::default().listen(), Config::listen);
    let wanted = listen.or(from_environment.transpose()?).unwrap_or(wanted);
    let listener = native::bind(wanted).await?;
    let bound = listener.local_addr().map_err(|e| e.to_string())?;
    let (config, local) = local::complete(config, bound, local_issuer).await?;
    config.check_complete().map_err(|e| e.to_string())?;
    let app = App::new(config).map_err(|e| e.to_string())?;
    let (routes, banner) = local.routes(router::router(app.clone()), bound, &app);
    local.keep_ledger(&app).await?;
    app.keep_settling();
    if let Some(banner) = banner {
        say(&banner);
    }
    tracing::info!(listen = %bound, "listening");
    app.warm();
    native::serve(listener, routes, native::signal()).await;
    app.settle_up().await;
    Ok(())
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
