//! What a laptop needs and a deployment must not have: an issuer of tokens, a demo provider, and a configuration made from what is there.

pub mod demo;
pub mod issuer;
pub mod ledger;

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use tollgate_config::{Config, LedgerTable, Team};

use crate::app::App;
use crate::reload::Live;

/// Models of the providers, by the variables that hold their credentials.
const OPENAI: &str = "gpt-*, chatgpt-*, o1*, o3*, o4*";
const ANTHROPIC: &str = "claude-*";
const BEDROCK: &str = "'*anthropic.*', 'amazon.*', 'us.*', 'eu.*', 'apac.*', 'global.*', 'meta.*', 'mistral.*', 'cohere.*', 'deepseek.*', \
                       'openai.*', 'qwen.*', 'arn:aws:bedrock:*'";

/// Where a laptop keeps its ledger and its responses; `TOLLGATE_DATA` names another folder.
const DATA: &str = ".tollgate";
/// The team of the local issuer's client, whose id is another at every start.
const TEAM: &str = "local";

/// The embedded default: the providers whose credentials are in the environment, and the demo provider (which it starts).
async fn embedded_config() -> Result<Config, String> {
    let demo = demo::start().await.map_err(|e| format!("the demo provider could not be started: {e}"))?;
    let data = std::env::var_os("TOLLGATE_DATA").map_or_else(|| PathBuf::from(DATA), PathBuf::from);
    let file = |name: &str| data.join(name).display().to_string();
    let files = [file("ledger.sqlite"), file("responses.sqlite")];
    let yaml = embedded_yaml(demo, &files, |name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    tollgate_config::parse(&yaml, "embedded default").map_err(|e| e.to_string())
}

/// `files`: for the ledger, and for responses.
fn embedded_yaml(demo: SocketAddr, files: &[String; 2], has: impl Fn(&str) -> bool) -> String {
    let mut providers = Vec::new();
    if has("OPENAI_API_KEY") {
        let entry = "{name: openai, provider: {openAI: {}}, policies: {backendAuth: {key: 'env:OPENAI_API_KEY'}}}";
        providers.push((OPENAI, entry));
    }
    if has("ANTHROPIC_API_KEY") {
        let entry =
            "{name: anthropic, provider: {anthropic: {}}, policies: {backendAuth: {key: 'env:ANTHROPIC_API_KEY'}}}";
        providers.push((ANTHROPIC, entry));
    }
    if has("AWS_ACCESS_KEY_ID") || has("AWS_PROFILE") || has("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        providers.push((BEDROCK, "{name: bedrock, provider: {bedrock: {}}, policies: {backendAuth: {aws: {}}}}"));
    }
    let demo_entry = |name: &str, kind: &str| {
        format!(
            "{{name: {name}, baseUrl: 'http://{demo}/{name}', provider: {{custom: {{formats: [{{type: {kind}}}]}}}}}}"
        )
    };
    let mut yaml = String::from("ai:\n  models:\n");
    let groups =
        |entries: &[String]| entries.iter().map(|entry| format!("    - providers: [{entry}]\n")).collect::<String>();
    let demo_chat = groups(&[demo_entry("demo", "completions")]);
    let demo_claude = groups(&[demo_entry("demo-claude", "messages")]);
    let failover = groups(&[demo_entry("demo-down", "completions"), demo_entry("demo", "completions")]);
    for (models, chain) in
        [("demo, demo-budget", &demo_chat), ("demo-claude", &demo_claude), ("demo-failover", &failover)]
    {
        let _ = write!(yaml, "  - match: [{models}]\n    groups:\n{chain}");
    }
    for (models, entry) in &providers {
        let _ = write!(yaml, "  - match: [{models}]\n    groups:\n    - providers: [{entry}]\n");
    }
    if providers.is_empty() {
        let _ = write!(yaml, "  groups:\n{}", demo_chat.replace("    - ", "  - "));
    }
    let [ledger, responses] = files.each_ref().map(|file| file.replace('\'', "''"));
    // `demo-budget` is for trying a budget out: it costs much, and may cost two cents a month.
    let _ = write!(
        yaml,
        "limits:\n  ledger: {{file: '{ledger}'}}\n  unknownModelPrice: {{input: 5, output: 25}}\n  prices:\n    demo*: {{input: 1, output: 5}}\n    \
         demo-budget: {{input: 100, output: 100}}\n  teams:\n    {TEAM}:\n      requestsPerMinute: 600\n      tokensPerDay: 50000000\n      usdPerMonth: 100\n      \
         models: {{demo-budget: {{usdPerMonth: 0.02}}}}\nresponses:\n  state: {{file: \
         '{responses}'}}\n",
    );
    yaml
}

/// The tables of a configuration, by the keys that name them.
fn tables(config: &mut Config) -> impl Iterator<Item = (&'static str, &mut LedgerTable)> {
    let limits = config.limits.as_mut().filter(|limits| limits.quota == tollgate_config::Quota::On);
    let ledger = limits.map(|limits| ("limits.ledger", &mut limits.ledger));
    let state = config.responses.state.as_mut().map(|state| ("responses.state", state));
    ledger.into_iter().chain(state)
}

/// Starts the tables of a laptop where the configuration has files for them.
async fn embedded_tables(config: &mut Config) -> Result<Vec<EmbeddedTable>, String> {
    let mut started: Vec<EmbeddedTable> = Vec::new();
    for (key, table) in tables(config) {
        let Some(file) = table.file.clone().filter(|file| started.iter().all(|known| known.file != *file)) else {
            continue;
        };
        let endpoint = ledger::start(key, file.as_ref()).await?;
        started.push(EmbeddedTable { file, endpoint });
    }
    Ok(started)
}

#[derive(Debug, Clone)]
struct EmbeddedTable {
    file: String,
    endpoint: String,
}

/// What only a laptop has.
#[derive(Clone)]
pub struct Local {
    issuer: Option<issuer::Issuer>,
    tables: Vec<EmbeddedTable>,
}

/// The configuration with what a laptop adds: without one, the embedded default; then the local issuer, and the tables in files.
pub async fn complete(
    config: Option<Config>,
    bound: SocketAddr,
    local_issuer: bool,
) -> Result<(Config, Local), String> {
    let issuer = (config.is_none() || local_issuer).then(|| issuer::Issuer::start(bound)).transpose()?;
    let mut config = match config {
        Some(config) => config,
        None => embedded_config().await?,
    };
    let local = Local { issuer, tables: embedded_tables(&mut config).await? };
    Ok((local.adapt(config)?, local))
}

impl Local {
    /// A configuration with what is there already: the issuer, and where the tables are.
    pub fn adapt(&self, mut config: Config) -> Result<Config, String> {
        if let Some(issuer) = &self.issuer {
            config.auth.issuers.push(issuer.config());
            // The client's id is another at every start, and its team must stay.
            let team = Team { team: TEAM.to_owned(), tier: None };
            config.auth.teams.insert(issuer.client_id().to_owned(), team);
        }
        for (key, table) in tables(&mut config) {
            let Some(file) = &table.file else { continue };
            let known = self.tables.iter().find(|known| known.file == *file);
            let known = known.ok_or_else(|| format!("{key}.file: {file}: another file takes a restart"))?;
            table.endpoint = Some(known.endpoint.clone());
        }
        if let Some(limits) = config.limits.as_mut().filter(|limits| limits.ledger.file.is_some()) {
            // A file on a laptop's disk: DynamoDB is faster.
            limits.timeout_ms = limits.timeout_ms.or(Some(2_000));
        }
        Ok(config)
    }

    /// The gateway's routes and the issuer's, and what to tell the person at the terminal.
    pub fn routes(&self, routes: Router, bound: SocketAddr, app: &App) -> (Router, Option<String>) {
        match &self.issuer {
            None => (routes, None),
            Some(issuer) => (issuer::routes(issuer.clone()).merge(routes), Some(banner(bound, issuer, app))),
        }
    }

    /// Makes the tables that are in files, and sweeps the ledger every minute, as a deployment's schedule does.
    pub async fn keep_tables(&self, live: &Live) -> Result<(), String> {
        let app = live.app();
        let in_file = |table: &LedgerTable| table.file.is_some();
        if let Some(kept) = app.kept.as_ref().filter(|_| app.config.responses.state.as_ref().is_some_and(in_file)) {
            kept.create_table().await.map_err(|error| error.to_string())?;
        }
        let limiter = app.limiter.as_ref();
        let limiter = limiter.filter(|_| app.config.limits.as_ref().is_some_and(|limits| in_file(&limits.ledger)));
        let Some(limiter) = limiter else { return Ok(()) };
        limiter.ledger().create_table().await.map_err(|error| error.to_string())?;
        let live = live.clone();
        tokio::spawn(async move {
            let mut minutes = tokio::time::interval(Duration::from_secs(60));
            loop {
                minutes.tick().await;
                if let Some(limiter) = &live.app().limiter
                    && let Err(error) = ledger::sweep(limiter).await
                {
                    tracing::warn!(error.cause = %error, "the ledger could not be swept");
                }
            }
        });
        Ok(())
    }
}

/// What a person sees at the start: where it is, who they are, and lines to paste.
fn banner(bound: SocketAddr, issuer: &issuer::Issuer, app: &App) -> String {
    let base = format!("http://{bound}");
    let models: Vec<&str> = app.config.model_names().iter().map(|model| model.name).collect();
    let mut chains: Vec<&str> = app.config.providers().map(|entry| entry.name.as_str()).collect();
    chains.sort_unstable();
    chains.dedup();
    format!(
        "\nTollgate listens on {base}\n\n\
         providers: {}\nmodels:    {} (and what the providers know)\n\n\
         Get a token (client id and secret are new at every start):\n\n  \
         TOKEN=$(curl -s {base}/oauth2/token -d grant_type=client_credentials -d client_id={id} -d client_secret={secret} | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\n\n\
         OpenAI's API, then Anthropic's, streamed:\n\n  \
         curl {base}/v1/chat/completions -H \"Authorization: Bearer $TOKEN\" -H 'content-type: application/json' -d '{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n\n  \
         curl -N {base}/v1/messages -H \"x-api-key: $TOKEN\" -H 'content-type: application/json' -d '{{\"model\":\"{model}\",\"max_tokens\":200,\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n\n\
         A budget (this model costs much, and may cost two cents a month: the third is refused):\n\n  \
         for i in 1 2 3; do curl -i {base}/v1/chat/completions -H \"Authorization: Bearer $TOKEN\" -H 'content-type: application/json' -d '{{\"model\":\"demo-budget\",\"max_tokens\":50,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'; done\n\n\
         A failover (the first provider of this model is always down; see x-tollgate-attempts):\n\n  \
         curl -i {base}/v1/chat/completions -H \"Authorization: Bearer $TOKEN\" -H 'content-type: application/json' -d '{{\"model\":\"demo-failover\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n\n",
        chains.join(", "),
        models.join(", "),
        id = issuer.client_id(),
        secret = issuer.client_secret(),
        model = models.first().copied().unwrap_or("demo"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[&str]) -> Config {
        let files = ["it's/here".to_owned(), "there".to_owned()];
        let yaml = embedded_yaml("127.0.0.1:1".parse().unwrap(), &files, |name| variables.contains(&name));
        tollgate_config::parse(&yaml, "test").unwrap_or_else(|e| panic!("{e}\n{yaml}"))
    }

    #[test]
    fn with_nothing_in_the_environment_every_model_is_the_demo() {
        let config = config(&[]);
        assert_eq!(config.chain("gpt-4o")[0].providers[0].name, "demo");
        assert_eq!(config.chain("demo-failover").len(), 2);
    }

    #[test]
    fn a_key_in_the_environment_brings_its_provider() {
        let config = config(&["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_PROFILE"]);
        for (model, provider) in [
            ("gpt-4o", "openai"),
            ("claude-sonnet-4-20250514", "anthropic"),
            ("us.anthropic.claude-sonnet-4-20250514-v1:0", "bedrock"),
            ("amazon.nova-pro-v1:0", "bedrock"),
            ("demo", "demo"),
        ] {
            assert_eq!(config.chain(model)[0].providers[0].name, provider, "{model}");
        }
        assert!(config.chain("unheard-of").is_empty());
    }
}
