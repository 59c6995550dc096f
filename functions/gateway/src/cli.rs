//! The command line.

use std::net::SocketAddr;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Serve: on Lambda, or natively.
    Serve {
        /// A configuration file; none: `TOLLGATE_CONFIG`, or else the embedded default.
        config: Option<String>,
        /// Instead of the configuration's `listen`.
        listen: Option<SocketAddr>,
        /// Add the local issuer of tokens.
        local_issuer: bool,
    },
    /// Validate a configuration file and stop.
    Check(String),
    /// Print the usage and stop.
    Help,
    /// Print the version and stop.
    Version,
}

/// The usage text.
pub const USAGE: &str = "\
Tollgate, the serverless AI gateway

Usage:
  gateway [serve] [--config FILE] [--listen ADDR] [--local-issuer]
  gateway check FILE

serve (the default)
  --config FILE    the configuration; else TOLLGATE_CONFIG (a path, or the YAML itself); else an embedded default
                   with a local issuer of tokens, for a laptop: it takes the providers whose keys are in the
                   environment (OPENAI_API_KEY, ANTHROPIC_API_KEY, AWS credentials), or a built-in demo provider
  --listen ADDR    instead of the configuration's `listen` (127.0.0.1:8787); also TOLLGATE_LISTEN
  --local-issuer   issue tokens at /oauth2/token, beside the issuers of the configuration; loopback addresses only

check FILE         say what is wrong in a configuration, or that nothing is

On Lambda (AWS_LAMBDA_RUNTIME_API is set) it answers events instead; TOLLGATE_RESPONSE_MODE=stream streams them.
TOLLGATE_LOG sets the log level (error, warn, info, debug, trace).
";

/// Reads the arguments. The error is for the person at the terminal.
pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Command, String> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(args);
    let (mut config, mut listen, mut local_issuer) = (None, None, false);
    let mut command: Option<String> = None;
    let mut file = None;
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Long("config") | Short('c') => config = Some(text(&mut parser)?),
            Long("listen") => {
                let value = text(&mut parser)?;
                listen = Some(
                    value
                        .parse()
                        .map_err(|_| format!("--listen {value}: expected an address such as 127.0.0.1:8787"))?,
                );
            }
            Long("local-issuer") => local_issuer = true,
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Value(value) if command.is_none() => command = Some(value.string().map_err(|e| e.to_string())?),
            Value(value) if command.as_deref() == Some("check") && file.is_none() => {
                file = Some(value.string().map_err(|e| e.to_string())?);
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    match command.as_deref() {
        None | Some("serve") => Ok(Command::Serve { config, listen, local_issuer }),
        Some("check") => file.map(Command::Check).ok_or_else(|| "check: name a file".to_owned()),
        Some("help") => Ok(Command::Help),
        Some(other) => Err(format!("unknown command `{other}`; try serve or check")),
    }
}

fn text(parser: &mut lexopt::Parser) -> Result<String, String> {
    parser.value().and_then(lexopt::ValueExt::string).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(args.iter().map(Into::into))
    }

    #[test]
    fn serve_is_the_default() {
        let serve = Command::Serve { config: None, listen: None, local_issuer: false };
        assert_eq!(parsed(&[]), Ok(serve.clone()));
        assert_eq!(parsed(&["serve"]), Ok(serve));
    }

    #[test]
    fn options_are_read() {
        let serve =
            Command::Serve { config: Some("a.yaml".into()), listen: "127.0.0.1:1".parse().ok(), local_issuer: true };
        assert_eq!(parsed(&["serve", "--config", "a.yaml", "--listen=127.0.0.1:1", "--local-issuer"]), Ok(serve));
        assert_eq!(parsed(&["check", "a.yaml"]), Ok(Command::Check("a.yaml".into())));
    }

    #[test]
    fn mistakes_are_said() {
        for args in [&["check"][..], &["chek", "x"], &["--listen", "nowhere"], &["--frobnicate"]] {
            assert!(parsed(args).is_err(), "{args:?}");
        }
    }
}
