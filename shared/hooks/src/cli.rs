//! The command line of a webhook function.

use std::ffi::OsString;
use std::net::SocketAddr;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Serve: on Lambda, or natively.
    Serve {
        config: Option<String>,
        listen: Option<SocketAddr>,
    },
    /// What the function can do once and stop.
    Once {
        config: Option<String>,
    },
    /// Validate a configuration file and stop.
    Check(String),
    Help,
    Version,
}

/// The usage text. `once`: a command of the function's own, and what it does.
pub(crate) fn usage(name: &str, port: u16, once: Option<(&str, &str)>) -> String {
    let mut text = format!(
        "\
Tollgate, a webhook function: {name}

Usage:
  {name} [serve] [--config FILE] [--listen ADDR]
  {name} check FILE
"
    );
    if let Some((command, does)) = once {
        text.push_str(&format!("  {name} {command} [--config FILE]    {does}\n"));
    }
    text.push_str(&format!(
        "
  --config FILE    the configuration; else TOLLGATE_CONFIG (a path, or the YAML itself)
  --listen ADDR    default 127.0.0.1:{port}; also TOLLGATE_LISTEN

On Lambda (AWS_LAMBDA_RUNTIME_API is set) it answers events instead. TOLLGATE_LOG sets the log level (error, warn, info, debug, trace).
"
    ));
    text
}

/// Reads the arguments. The error is for the person at the terminal.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>, once: Option<&str>) -> Result<Command, String> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(args);
    let (mut config, mut listen, mut words) = (None, None, Vec::new());
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Long("config") | Short('c') => config = Some(text(&mut parser)?),
            Long("listen") => {
                let value = text(&mut parser)?;
                let address = value.parse();
                listen =
                    Some(address.map_err(|_| format!("--listen {value}: expected an address such as 127.0.0.1:8788"))?);
            }
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Value(value) => words.push(value.string().map_err(|e| e.to_string())?),
            other => return Err(other.unexpected().to_string()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] | ["serve"] => Ok(Command::Serve { config, listen }),
        ["check", file] => Ok(Command::Check(file.to_owned())),
        ["check"] => Err("check: name a file".to_owned()),
        ["help", ..] => Ok(Command::Help),
        [word] if Some(word) == once => Ok(Command::Once { config }),
        [word, ..] => Err(format!("unknown command `{word}`")),
    }
}

fn text(parser: &mut lexopt::Parser) -> Result<String, String> {
    parser.value().and_then(lexopt::ValueExt::string).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(args.iter().map(Into::into), Some("sweep"))
    }

    #[test]
    fn serve_is_the_default() {
        assert_eq!(parsed(&[]), Ok(Command::Serve { config: None, listen: None }));
        let serve = Command::Serve { config: Some("a.yaml".into()), listen: "127.0.0.1:1".parse().ok() };
        assert_eq!(parsed(&["serve", "--config", "a.yaml", "--listen=127.0.0.1:1"]), Ok(serve));
        assert_eq!(parsed(&["sweep", "-c", "a.yaml"]), Ok(Command::Once { config: Some("a.yaml".into()) }));
        assert_eq!(parsed(&["check", "a.yaml"]), Ok(Command::Check("a.yaml".into())));
    }

    #[test]
    fn mistakes_are_said() {
        for args in [&["check"][..], &["swep"], &["--listen", "nowhere"], &["--frobnicate"]] {
            assert!(parsed(args).is_err(), "{args:?}");
        }
        assert!(parse(["sweep".into()], None).is_err());
    }
}
