//! From what the command line and the environment say to a gateway that serves.
//!
//! Where the configuration comes from the network (AWS AppConfig, S3), something has to serve until it is there. Natively the gateway does not listen before. On Lambda
//! nothing may wait for the network before the first `/next`, so the first request waits, for seconds at most, unless `TOLLGATE_CONFIG_BASE` names a file
//! of the bundle that serves meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tollgate_config::Config;
use tollgate_upstream::Base;

use crate::app::App;
use crate::host::lambda::{self, Start};
use crate::host::native;
use crate::local;
use crate::reload::{self, Adapt, Feed, Live, Origin, Source, version};
use crate::router::{Door, router};

/// The file that serves until the first configuration has come.
const BASE_VARIABLE: &str = "TOLLGATE_CONFIG_BASE";

/// Answers Lambda's events.
pub async fn on_lambda(origin: Option<Origin>) -> Result<(), String> {
    let origin = origin.ok_or(
        "no configuration: set TOLLGATE_CONFIG to a file in the bundle, to the YAML itself, to appconfig:APPLICATION/ENVIRONMENT/PROFILE or to \
         s3://BUCKET/KEY",
    )?;
    let base = Base::new().map_err(|error| error.to_string())?;
    let stream = std::env::var("TOLLGATE_RESPONSE_MODE").is_ok_and(|mode| mode == "stream");
    let start = if origin.is_remote() {
        remote(origin, base).await?
    } else {
        let source = Source::new(&origin, base.aws());
        let text = reload::first(&origin, source.as_ref()).await?;
        Start::ready(Live::fixed(build(base, &origin, &text, &for_lambda)?))
    };
    lambda::run(start, stream).await.map_err(|error| error.to_string())
}

/// What serves until a configuration from the network is there.
async fn remote(origin: Origin, base: Base) -> Result<Start, String> {
    if let Ok(file) = std::env::var(BASE_VARIABLE) {
        let file = Origin::File(file.into());
        let source = Source::new(&file, base.aws());
        let text = reload::first(&file, source.as_ref()).await?;
        let app = build(base, &file, &text, &for_lambda)?;
        let live = fed(app, &origin, Box::new(for_lambda), Duration::ZERO);
        return Ok(Start::ready(live));
    }
    let origin = Arc::new(origin);
    Ok(Start::waiting(Box::new(move || {
        let (origin, base) = (Arc::clone(&origin), base.clone());
        Box::pin(async move {
            let source = Source::new(&origin, base.aws());
            let text = reload::first(&origin, source.as_ref()).await?;
            let app = build(base, &origin, &text, &for_lambda)?;
            let every = app.config.reload.every(true);
            Ok(fed(app, &origin, Box::new(for_lambda), every))
        })
    })))
}

fn fed(app: App, origin: &Origin, adapt: Adapt, within: Duration) -> Live {
    match Source::new(origin, app.chains.aws()) {
        Some(source) => Live::fed(app, Feed::new(origin, source, adapt, within)),
        None => Live::fixed(app),
    }
}

fn build(
    base: Base,
    origin: &Origin,
    text: &str,
    adapt: &dyn Fn(Config) -> Result<Config, String>,
) -> Result<App, String> {
    let config = tollgate_config::parse(text, &origin.to_string()).map_err(|error| error.to_string())?;
    App::on(base, adapt(config)?, Some(version(text))).map_err(|error| error.to_string())
}

/// What a configuration needs on Lambda.
fn for_lambda(config: Config) -> Result<Config, String> {
    config.check_complete().map_err(|error| error.to_string())?;
    if config.limits.as_ref().is_some_and(|limits| limits.ledger.file.is_some()) {
        return Err("limits.ledger.file: not on Lambda, where no file stays; name a table".to_owned());
    }
    if config.responses.state.as_ref().is_some_and(|state| state.file.is_some()) {
        return Err("responses.state.file: not on Lambda, where no file stays; name a table".to_owned());
    }
    Ok(config)
}

/// Serves until it is told to stop. `say`: prints for the person at the terminal.
pub async fn natively(
    origin: Option<Origin>,
    listen: Option<SocketAddr>,
    local_issuer: bool,
    say: impl Fn(&str),
) -> Result<(), String> {
    let base = Base::new().map_err(|error| error.to_string())?;
    let found = match &origin {
        Some(origin) => Some(first(origin, &base).await?),
        None => None,
    };
    let config = match &found {
        Some((from, text)) => Some(tollgate_config::parse(text, &from.to_string()).map_err(|error| error.to_string())?),
        None => None,
    };
    let from_environment = std::env::var("TOLLGATE_LISTEN").ok();
    let from_environment =
        from_environment.map(|text| text.parse().map_err(|_| format!("TOLLGATE_LISTEN={text}: not an address")));
    let wanted = config.as_ref().map_or_else(|| Config::default().listen(), Config::listen);
    let wanted = listen.or(from_environment.transpose()?).unwrap_or(wanted);
    let connections = config.as_ref().and_then(|config| config.max_connections);
    let connections = connections.map_or(native::MAX_CONNECTIONS, |most| most as usize);
    let listener = native::bind(wanted).await?;
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    let (config, local) = local::complete(config, bound, local_issuer).await?;
    config.check_complete().map_err(|error| error.to_string())?;
    let version = found.as_ref().map(|(_, text)| version(text));
    let app = App::on(base, config, version).map_err(|error| error.to_string())?;
    let live = match &origin {
        Some(origin) => {
            let local = local.clone();
            let adapt = move |config: Config| {
                let config = local.adapt(config)?;
                config.check_complete().map_err(|error| error.to_string())?;
                Ok(config)
            };
            fed(app.clone(), origin, Box::new(adapt), Duration::ZERO)
        }
        None => Live::fixed(app.clone()),
    };
    let (routes, banner) = local.routes(router(live.clone()), bound, &app);
    local.keep_tables(&live).await?;
    live.keep_settling();
    live.keep_fresh();
    if let Some(banner) = banner {
        say(&banner);
    }
    tracing::info!(listen = %bound, config.version = app.version().map(AsRef::as_ref), "listening");
    app.warm();
    drop(app);
    let door = Door::new(live.clone(), routes);
    native::serve_by(listener, move |request| door.clone().answer(request), connections, native::signal()).await;
    live.app().settle_up().await;
    Ok(())
}

/// The configuration to begin with, and where it was found.
async fn first(origin: &Origin, base: &Base) -> Result<(Origin, String), String> {
    let source = Source::new(origin, base.aws());
    match (reload::first(origin, source.as_ref()).await, std::env::var(BASE_VARIABLE)) {
        (Ok(text), _) => Ok((origin.clone(), text)),
        (Err(cause), Ok(file)) if origin.is_remote() => {
            tracing::error!(error.cause = %cause, config.base = %file, "the file of {BASE_VARIABLE} serves until there is another configuration");
            let file = Origin::File(file.into());
            let source = Source::new(&file, base.aws());
            let text = reload::first(&file, source.as_ref()).await?;
            Ok((file, text))
        }
        (Err(cause), _) => Err(cause),
    }
}
