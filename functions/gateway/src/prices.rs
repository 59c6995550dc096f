//! `gateway prices`: converts price lists of others, and shows which price a model has.

use std::time::Duration;

use tollgate_config::PriceEntry;
use tollgate_gateway::cli::{Destination, Prices};
use tollgate_limits::Ledger;
use tollgate_limits::prices::import::{self, Imported};
use tollgate_limits::prices::{Origin, PriceBook};

/// An item has at most 400 KB, and is read by every gateway: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>.
const MAX_STORED_BYTES: usize = 380_000;
/// Nobody waits for this call but the person at the terminal.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many skipped entries are named.
const NAMED: usize = 10;

/// What a command says when it is done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The result: for the standard output.
    pub(crate) text: String,
    /// What a person wants to know beside it: for the standard error.
    pub(crate) aside: String,
}

/// Runs a command. The error is for the person at the terminal; nothing has been written then.
pub(crate) fn run(command: &Prices) -> Result<Said, String> {
    match command {
        Prices::Import { file, to, only } => convert(file, to, only),
        Prices::Show { kind, model, config } => show(kind, model, config.as_deref()),
    }
}

fn convert(file: &str, to: &Destination, only: &[String]) -> Result<Said, String> {
    let mut imported = read(file)?;
    if !only.is_empty() {
        imported.prices.retain(|name, _| only.iter().any(|pattern| tollgate_config::pattern::matches(pattern, name)));
        if imported.prices.is_empty() {
            return Err(format!("{file}: no price matches {}", only.join(", ")));
        }
    }
    let aside = summary(&imported);
    let json = import::to_json(&imported.prices);
    match to {
        Destination::Stdout => Ok(Said { text: json, aside }),
        Destination::File(path) => {
            std::fs::write(path, json).map_err(|error| format!("{path}: {error}"))?;
            Ok(Said { text: String::new(), aside: format!("{path}: {aside}") })
        }
        Destination::Ledger(config) => {
            store(config, &json)?;
            Ok(Said { text: String::new(), aside: format!("the ledger of {config}: {aside}") })
        }
    }
}

/// Replaces the prices in the table.
fn store(config: &str, json: &str) -> Result<(), String> {
    if json.len() > MAX_STORED_BYTES {
        return Err(format!(
            "{} bytes of prices do not fit into one item of DynamoDB ({MAX_STORED_BYTES}): choose with --match 'openAI/*', or use --out and limits.prices",
            json.len()
        ));
    }
    let config = tollgate_config::load(config).map_err(|error| error.to_string())?;
    let limits = config.limits.as_ref().ok_or("the configuration has no `limits`, so it has no ledger")?;
    if limits.ledger.file.is_some() {
        return Err("limits.ledger.file belongs to a running gateway: write the prices into limits.prices".to_owned());
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let aws = tollgate_upstream::Aws::standalone().map_err(|error| error.to_string())?;
    let ledger = Ledger::new(&limits.ledger, PATIENCE, Vec::new(), aws.source(limits.ledger.is_emulator()));
    runtime.block_on(ledger.put_prices(json)).map_err(|error| error.to_string())
}

/// A price list of others, or why it is refused.
fn read(file: &str) -> Result<Imported, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    import::import(&text).map_err(|error| format!("{file}: {error}"))
}

fn summary(imported: &Imported) -> String {
    let skipped = imported.skipped.len();
    let mut text = format!("{} prices, {skipped} entries without a price of tokens skipped", imported.prices.len());
    for (at, name) in imported.skipped.iter().take(NAMED).enumerate() {
        text.push_str(if at == 0 { ": " } else { ", " });
        text.push_str(name);
    }
    if skipped > NAMED {
        text.push_str(", ...");
    }
    text
}

fn show(kind: &str, model: &str, config: Option<&str>) -> Result<Said, String> {
    let mut book = PriceBook::builtin();
    if let Some(file) = config {
        let loaded = tollgate_config::load(file).map_err(|error| error.to_string())?;
        let prices = loaded.limits.map(|limits| limits.prices).unwrap_or_default();
        book = PriceBook::with(&book, &prices);
    }
    let Some(found) = book.lookup(kind, model) else {
        return Err(format!(
            "{kind}/{model}: no price. Where a budget applies, requests for it are refused, or priced by `limits.unknownModelPrice`"
        ));
    };
    let aside = match found.origin {
        Origin::Overlay(key) => format!("`{key}` in `limits.prices` of {}", config.unwrap_or_default()),
        Origin::Builtin { kind, model, source, date } => {
            format!("{kind}/{model} in the built-in table, read on {date} from {source}")
        }
    };
    let row = [(format!("{kind}/{model}"), PriceEntry::from(found.price))];
    Ok(Said { text: import::to_json(&row.into()), aside })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{
        "gpt-x": {"input_cost_per_token": 3e-07, "output_cost_per_token": 1.5e-06, "litellm_provider": "openai"},
        "dall-e": {"input_cost_per_pixel": 1e-08, "litellm_provider": "openai"}
    }"#;

    fn file(name: &str, text: &str) -> String {
        let path = std::env::temp_dir().join(format!("tollgate-prices-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn import(file: &str, to: Destination) -> Result<Said, String> {
        run(&Prices::Import { file: file.to_owned(), to, only: Vec::new() })
    }

    #[test]
    fn a_list_is_converted_and_what_was_skipped_is_named() {
        let said = import(&file("list", LIST), Destination::Stdout).unwrap();
        assert_eq!(said.aside, "1 prices, 1 entries without a price of tokens skipped: dall-e");
        assert_eq!(import::from_json(&said.text).unwrap()["openAI/gpt-x"].input.to_string(), "0.3");
    }

    #[test]
    fn a_list_is_converted_into_a_file() {
        let to = file("out", "");
        let said = import(&file("list-2", LIST), Destination::File(to.clone())).unwrap();
        assert_eq!(said.text, "");
        assert!(import::from_json(&std::fs::read_to_string(to).unwrap()).unwrap().contains_key("openAI/gpt-x"));
    }

    #[test]
    fn what_is_refused_writes_nothing() {
        for (name, text) in [("empty", ""), ("object", "{}"), ("html", "<html>"), ("cut", &LIST[..80])] {
            let to = file(&format!("{name}-kept"), "as it was");
            let from = file(name, text);
            let refused = import(&from, Destination::File(to.clone())).unwrap_err();
            assert!(refused.starts_with(&from), "{refused}");
            assert_eq!(std::fs::read_to_string(to).unwrap(), "as it was");
        }
        assert!(import("/nowhere/at/all.json", Destination::Stdout).unwrap_err().contains("/nowhere/at/all.json"));
    }

    #[test]
    fn a_price_is_shown_with_its_source() {
        let show = |model: &str| run(&Prices::Show { kind: "openAI".into(), model: model.into(), config: None });
        let said = show("gpt-4o-2024-08-06").unwrap();
        assert!(said.aside.starts_with("openAI/gpt-4o in the built-in table, read on 20"), "{}", said.aside);
        assert!(said.text.contains("\"openAI/gpt-4o-2024-08-06\""), "{}", said.text);
        assert!(show("gpt-99").unwrap_err().contains("openAI/gpt-99: no price"));
    }

    #[test]
    fn a_configurations_prices_are_shown_first() {
        let config = file(
            "config.yaml",
            "ai: {groups: [{providers: [{name: a, provider: {openAI: {}}, policies: {backendAuth: {key: \"env:KEY\"}}}]}]}\n\
             limits: {prices: {\"gpt-4*\": {input: 7, output: 8.5}}}\n",
        );
        let show = Prices::Show { kind: "openAI".into(), model: "gpt-4o".into(), config: Some(config.clone()) };
        let said = run(&show).unwrap();
        assert_eq!(said.aside, format!("`gpt-4*` in `limits.prices` of {config}"));
        assert!(said.text.contains("\"output\": \"8.5\""), "{}", said.text);
    }
}
