//! What `local` is in a build without it: the Lambda build.

use std::net::SocketAddr;

use axum::Router;
use tollgate_config::Config;

use crate::app::App;
use crate::reload::Live;

/// Nothing.
#[derive(Debug, Clone)]
pub struct Local;

/// The configuration, which has to be there.
pub async fn complete(config: Option<Config>, _: SocketAddr, local_issuer: bool) -> Result<(Config, Local), String> {
    let config = config.ok_or("no configuration: this build has no embedded default; name a file with --config")?;
    if local_issuer {
        return Err("--local-issuer: this build has none".to_owned());
    }
    Ok((Local.adapt(config)?, Local))
}

impl Local {
    /// A configuration that needs nothing of a laptop.
    pub fn adapt(&self, config: Config) -> Result<Config, String> {
        if config.limits.as_ref().is_some_and(|limits| limits.ledger.file.is_some()) {
            return Err("limits.ledger.file: this build keeps no table of its own; name a table of DynamoDB".to_owned());
        }
        if config.responses.state.as_ref().is_some_and(|state| state.file.is_some()) {
            return Err(
                "responses.state.file: this build keeps no table of its own; name a table of DynamoDB".to_owned()
            );
        }
        Ok(config)
    }

    /// The gateway's routes.
    pub fn routes(&self, routes: Router, _: SocketAddr, _: &App) -> (Router, Option<String>) {
        (routes, None)
    }

    /// There is none.
    pub async fn keep_tables(&self, _: &Live) -> Result<(), String> {
        Ok(())
    }
}
