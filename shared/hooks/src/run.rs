//! The binary: command line, configuration, host.

use std::future::Future;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Instant;

use axum::Router;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tollgate_config::Config;
use tollgate_host::lambda::{self, Failed};
use tollgate_host::native;
use tollgate_limits::What;

use crate::app::App;
use crate::aws::Aws;
use crate::cli::{self, Command};

/// A webhook function.
pub trait Function: Clone + Send + Sync + 'static {
    /// The binary's name.
    const NAME: &'static str;
    /// The native server's port.
    const PORT: u16;
    /// What it reserves.
    const WHAT: What;
    /// A command that does something once, and what it does.
    const ONCE: Option<(&'static str, &'static str)> = None;

    /// Builds it; touches no network.
    fn new(app: App) -> Self;

    /// What is HTTP.
    fn router(&self) -> Router;

    /// What is not, on Lambda. `ends`: when the invocation does. An error makes AWS try again.
    fn event(&self, event: Value, ends: Instant) -> impl Future<Output = Result<Value, Failed>> + Send;

    /// The command of [`Self::ONCE`]. Its text is printed.
    fn once(&self) -> impl Future<Output = Result<String, String>> + Send {
        std::future::ready(Ok(String::new()))
    }

    /// What runs beside the native server.
    fn beside(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// The whole binary.
pub fn main<F: Function>() -> ExitCode {
    let usage = || cli::usage(F::NAME, F::PORT, F::ONCE);
    match cli::parse(std::env::args_os().skip(1), F::ONCE.map(|(command, _)| command)) {
        Ok(Command::Help) => say(&usage()),
        Ok(Command::Version) => say(concat!("tollgate ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Check(file)) => outcome(check::<F>(&file)),
        Ok(Command::Serve { config, listen }) => outcome(start::<F>(config.as_deref(), Some(listen))),
        Ok(Command::Once { config }) => outcome(start::<F>(config.as_deref(), None)),
        Err(message) => outcome(Err(format!("{message}\n\n{}", usage()))),
    }
}

fn check<F: Function>(file: &str) -> Result<String, String> {
    crypto()?;
    let config = tollgate_config::load(file).map_err(|error| error.to_string())?;
    App::new(config, F::WHAT, Aws::ambient()?).map_err(|error| format!("{file}: {error}"))?;
    Ok(format!("{file}: ok\n"))
}

/// `serve`: with the address of the command line, if one stands there; `None`: once.
fn start<F: Function>(file: Option<&str>, serve: Option<Option<SocketAddr>>) -> Result<String, String> {
    tollgate_telemetry::init(std::env::var("TOLLGATE_LOG").ok().as_deref());
    crypto()?;
    let on_lambda = lambda::detected();
    let config = configuration(file)?;
    let mut runtime = if on_lambda {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = runtime.enable_all().build().map_err(|error| format!("the runtime could not be started: {error}"))?;
    let app = App::new(config, F::WHAT, Aws::ambient()?)?;
    let function = F::new(app.clone());
    runtime.block_on(async {
        match serve {
            None => Box::pin(function.once()).await,
            Some(_) if on_lambda => Box::pin(on_lambda_with(app, function)).await,
            Some(listen) => Box::pin(natively(app, function, listen)).await,
        }
    })
}

async fn on_lambda_with<F: Function>(app: App, function: F) -> Result<String, String> {
    app.warm();
    let router = function.router();
    // Erased: the compiler gives up on what is inside.
    let other = move |event, ends| -> BoxFuture<'static, Result<Value, Failed>> {
        let function = function.clone();
        Box::pin(async move { function.event(event, ends).await })
    };
    Box::pin(lambda::run(router, other)).await.map(|()| String::new()).map_err(|error| error.to_string())
}

async fn natively<F: Function>(app: App, function: F, listen: Option<SocketAddr>) -> Result<String, String> {
    let listen = match (listen, std::env::var("TOLLGATE_LISTEN")) {
        (Some(listen), _) => listen,
        (None, Ok(text)) => text.parse().map_err(|_| format!("TOLLGATE_LISTEN={text}: not an address"))?,
        (None, Err(_)) => SocketAddr::from((Ipv4Addr::LOCALHOST, F::PORT)),
    };
    let listener = native::bind(listen).await?;
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    if let Some(limiter) = &app.limiter
        && app.config.limits.as_ref().is_some_and(|limits| limits.ledger.endpoint.is_some())
        && let Err(error) = Box::pin(limiter.ledger().create_table()).await
    {
        // Not fatal: the emulator may come later, or the table may be somebody else's business.
        tracing::warn!(error.cause = %error, "the ledger's table could not be made");
    }
    app.warm();
    tracing::info!(listen = %bound, function = F::NAME, "listening");
    let router = function.router();
    tokio::select! {
        () = native::serve(listener, router, native::MAX_CONNECTIONS, native::signal()) => {}
        () = function.beside() => {}
    }
    Ok(String::new())
}

/// One crypto provider for every TLS connection; a second one would make rustls panic at the first.
fn crypto() -> Result<(), String> {
    let installed = rustls::crypto::ring::default_provider().install_default();
    installed.map_err(|_| "another TLS crypto provider is already installed".to_owned())
}

/// From the file, or from `TOLLGATE_CONFIG`: a path, or the YAML itself (it has a line break or a colon and a space).
fn configuration(file: Option<&str>) -> Result<Config, String> {
    if let Some(file) = file {
        return tollgate_config::load(file).map_err(|error| error.to_string());
    }
    let text = std::env::var("TOLLGATE_CONFIG").map_err(|_| {
        "no configuration: give --config, or set TOLLGATE_CONFIG to a file or to the YAML itself".to_owned()
    })?;
    let inline = text.contains('\n') || text.contains(": ") || text.trim_start().starts_with('{');
    let parsed = if inline { tollgate_config::parse(&text, "TOLLGATE_CONFIG") } else { tollgate_config::load(&text) };
    parsed.map_err(|error| error.to_string())
}

fn outcome(outcome: Result<String, String>) -> ExitCode {
    match outcome {
        Ok(text) => say(&text),
        Err(text) => {
            let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> ExitCode {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
