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
    /// Do something with prices and stop.
    Prices(Prices),
    /// Print the usage and stop.
    Help,
    /// Print the version and stop.
    Version,
}

/// What to do with prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prices {
    /// Convert a price list of others.
    Import {
        /// The list.
        file: String,
        /// Where the prices go.
        to: Destination,
        /// Patterns of `kind/model`; empty: all.
        only: Vec<String>,
    },
    /// Show the price that would be used.
    Show {
        /// The provider kind.
        kind: String,
        /// The model.
        model: String,
        /// A configuration file whose `limits.prices` count as well.
        config: Option<String>,
    },
}

/// Where imported prices go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To the standard output.
    Stdout,
    /// Into a file.
    File(String),
    /// Into the table of this configuration's ledger, where every gateway reads them.
    Ledger(String),
}

/// The usage text.
pub const USAGE: &str = "\
Tollgate, the serverless AI gateway

Usage:
  gateway [serve] [--config FILE] [--listen ADDR] [--local-issuer]
  gateway check FILE
  gateway prices import FILE [--match PATTERN]... [--out FILE | --to-ledger --config FILE]
  gateway prices show KIND/MODEL [--config FILE]

serve (the default)
  --config FILE    the configuration, which may also be appconfig:APPLICATION/ENVIRONMENT/PROFILE or s3://BUCKET/KEY;
                   it is looked at again while the gateway runs. Else TOLLGATE_CONFIG (the same, or the YAML itself);
                   else an embedded default with a local issuer of tokens, for a laptop: it takes the providers whose
                   keys are in the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY, AWS credentials), or a built-in
                   demo provider
  --listen ADDR    instead of the configuration's `listen` (127.0.0.1:8787); also TOLLGATE_LISTEN
  --local-issuer   issue tokens at /oauth2/token, beside the issuers of the configuration; loopback addresses only

check FILE         say what is wrong in a configuration, or that nothing is

prices import FILE convert LiteLLM's model_prices_and_context_window.json or models.dev's api.json into prices as
                   `limits.prices` has them, on the standard output or in the file of --out; with --to-ledger they
                   replace those in the table of that configuration's ledger, and every gateway has them within
                   `limits.cacheSeconds`; --match takes only some, by kind/model ('openAI/gpt-5*')
prices show KIND/MODEL
                   the price that would be used for a model, e.g. openAI/gpt-4o, and where it stands; with --config,
                   after that configuration's `limits.prices`

On Lambda (AWS_LAMBDA_RUNTIME_API is set) it answers events instead; TOLLGATE_RESPONSE_MODE=stream streams them.
TOLLGATE_LOG sets the log level (error, warn, info, debug, trace).
";

/// The arguments, sorted.
#[derive(Debug, Default)]
struct Given {
    config: Option<String>,
    listen: Option<SocketAddr>,
    local_issuer: bool,
    out: Option<String>,
    to_ledger: bool,
    only: Vec<String>,
    /// The command, and what stands behind it.
    words: Vec<String>,
}

/// Reads the arguments. The error is for the person at the terminal.
pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Command, String> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(args);
    let mut given = Given::default();
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Long("config") | Short('c') => given.config = Some(text(&mut parser)?),
            Long("listen") => {
                let value = text(&mut parser)?;
                given.listen = Some(
                    value
                        .parse()
                        .map_err(|_| format!("--listen {value}: expected an address such as 127.0.0.1:8787"))?,
                );
            }
            Long("local-issuer") => given.local_issuer = true,
            Long("out") | Short('o') => given.out = Some(text(&mut parser)?),
            Long("to-ledger") => given.to_ledger = true,
            Long("match") => given.only.push(text(&mut parser)?),
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Value(value) => given.words.push(value.string().map_err(|e| e.to_string())?),
            other => return Err(other.unexpected().to_string()),
        }
    }
    command(given)
}

fn command(given: Given) -> Result<Command, String> {
    let Given { config, listen, local_issuer, out, to_ledger, only, words } = given;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if (out.is_some() || to_ledger || !only.is_empty()) && !words.starts_with(&["prices", "import"]) {
        return Err("--out, --to-ledger, --match: only for prices import".to_owned());
    }
    match words[..] {
        [] | ["serve"] => Ok(Command::Serve { config, listen, local_issuer }),
        ["check", file] => Ok(Command::Check(file.to_owned())),
        ["check"] => Err("check: name a file".to_owned()),
        ["help", ..] => Ok(Command::Help),
        ["prices", "import", file] => {
            let to = match (out, to_ledger, config) {
                (Some(_), true, _) => return Err("prices import: --out or --to-ledger, not both".to_owned()),
                (Some(out), false, _) => Destination::File(out),
                (None, true, Some(config)) => Destination::Ledger(config),
                (None, true, None) => return Err("prices import --to-ledger: name the ledger's --config".to_owned()),
                (None, false, _) => Destination::Stdout,
            };
            Ok(Command::Prices(Prices::Import { file: file.to_owned(), to, only }))
        }
        ["prices", "import"] => Err("prices import: name a file".to_owned()),
        ["prices", "show", model] => match model.split_once('/') {
            Some((kind, model)) => {
                Ok(Command::Prices(Prices::Show { kind: kind.to_owned(), model: model.to_owned(), config }))
            }
            None => Err(format!("prices show {model}: expected a provider kind and a model, such as openAI/gpt-4o")),
        },
        ["prices", ..] => Err("prices: import FILE, or show KIND/MODEL".to_owned()),
        ["serve" | "check", .., last] => Err(format!("unexpected argument `{last}`")),
        [other, ..] => Err(format!("unknown command `{other}`; try serve, check or prices")),
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
        for args in [
            &["check"][..],
            &["check", "a", "b"],
            &["serve", "x"],
            &["chek", "x"],
            &["--listen", "nowhere"],
            &["--frobnicate"],
            &["prices"],
            &["prices", "import"],
            &["prices", "import", "a", "b"],
            &["prices", "show", "gpt-4o"],
            &["check", "a", "--out", "b"],
        ] {
            assert!(parsed(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn prices_are_imported_and_shown() {
        let import = |to| Ok(Command::Prices(Prices::Import { file: "a.json".into(), to, only: Vec::new() }));
        assert_eq!(parsed(&["prices", "import", "a.json"]), import(Destination::Stdout));
        assert_eq!(
            parsed(&["prices", "import", "a.json", "--out", "b.json"]),
            import(Destination::File("b.json".into()))
        );
        let show = |model: &str, config: Option<&str>| {
            Ok(Command::Prices(Prices::Show {
                kind: "custom".into(),
                model: model.into(),
                config: config.map(str::to_owned),
            }))
        };
        assert_eq!(parsed(&["prices", "show", "custom/meta/llama"]), show("meta/llama", None));
        assert_eq!(parsed(&["prices", "show", "custom/x", "--config", "c.yaml"]), show("x", Some("c.yaml")));
    }
}
