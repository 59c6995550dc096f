//! What a laptop needs and a deployment must not have: an issuer of tokens, a demo provider, and a configuration made from what is there.

pub mod demo;
pub mod issuer;

use std::fmt::Write;
use std::net::SocketAddr;

use tollgate_config::Config;

use crate::app::App;

/// Models of the providers, by the variables that hold their credentials.
const OPENAI: &str = "gpt-*, chatgpt-*, o1*, o3*, o4*";
const ANTHROPIC: &str = "claude-*";
const BEDROCK: &str = "'*anthropic.*', 'amazon.*', 'us.*', 'eu.*', 'apac.*', 'global.*', 'meta.*', 'mistral.*', 'cohere.*', 'deepseek.*', \
                       'openai.*', 'qwen.*', 'arn:aws:bedrock:*'";

/// The embedded default: the providers whose credentials are in the environment, and the demo provider (which it starts).
pub async fn embedded_config() -> Result<Config, String> {
    let demo = demo::start().await.map_err(|e| format!("the demo provider could not be started: {e}"))?;
    let yaml = embedded_yaml(demo, |name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    tollgate_config::parse(&yaml, "embedded default").map_err(|e| e.to_string())
}

fn embedded_yaml(demo: SocketAddr, has: impl Fn(&str) -> bool) -> String {
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
    for (models, chain) in [("demo", &demo_chat), ("demo-claude", &demo_claude), ("demo-failover", &failover)] {
        let _ = write!(yaml, "  - match: [{models}]\n    groups:\n{chain}");
    }
    for (models, entry) in &providers {
        let _ = write!(yaml, "  - match: [{models}]\n    groups:\n    - providers: [{entry}]\n");
    }
    if providers.is_empty() {
        let _ = write!(yaml, "  groups:\n{}", demo_chat.replace("    - ", "  - "));
    }
    yaml
}

/// What a person sees at the start: where it is, who they are, and lines to paste.
pub fn banner(bound: SocketAddr, issuer: &issuer::Issuer, app: &App) -> String {
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
        let yaml = embedded_yaml("127.0.0.1:1".parse().unwrap(), |name| variables.contains(&name));
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
