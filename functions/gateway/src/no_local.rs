//! What `local` is in a build without it: the Lambda build.

use std::net::SocketAddr;

use axum::Router;
use tollgate_config::Config;

use crate::app::App;

/// Nothing.
#[derive(Debug)]
pub struct Local;

/// The configuration, which has to be there.
pub async fn complete(config: Option<Config>, _: SocketAddr, local_issuer: bool) -> Result<(Config, Local), String> {
    let config = config.ok_or("no configuration: this build has no embedded default; name a file with --config")?;
    if local_issuer {
        return Err("--local-issuer: this build has none".to_owned());
    }
    if config.limits.as_ref().is_some_and(|limits| limits.ledger.file.is_some()) {
        return Err("limits.ledger.file: this build keeps no table of its own; name a table of DynamoDB".to_owned());
    }
    Ok((config, Local))
}

impl Local {
    /// The gateway's routes.
    pub fn routes(&self, routes: Router, _: SocketAddr, _: &App) -> (Router, Option<String>) {
        (routes, None)
    }

    /// There is none.
    pub async fn keep_ledger(&self, _: &App) -> Result<(), String> {
        Ok(())
    }
}
