//! What a configuration file may say, one struct per block. Words are agentgateway's where it has one.
//!
//! Every struct refuses unknown keys; `crate::load` turns that refusal into a message with the place and the nearest known key.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::Value;

use crate::auth::Auth;
use crate::cors::Cors;
use crate::guard::PromptGuard;
use crate::limits::Limits;
use crate::presets::Preset;
use crate::prompts::{PromptCaching, Prompts};
use crate::providers::{Azure, AzureAuth, BedrockOpenAi, Copilot, GcpAuth, Vertex};
use crate::responses::Responses;
use crate::telemetry::Telemetry;
use crate::webhooks::Webhooks;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Config {
    /// Where the native server listens. Lambda ignores it. Default `127.0.0.1:8787`.
    pub listen: Option<SocketAddr>,
    /// Connections that may be open at a time; more wait. Default 10,000. Lambda ignores it.
    pub max_connections: Option<u32>,
    /// Who may call, and which team a token belongs to.
    pub auth: Auth,
    /// Providers, chains and model names.
    pub ai: Ai,
    /// Which pages may call from a browser.
    pub cors: Cors,
    /// Bounds on one request.
    pub request: RequestBounds,
    /// Rate limits and budgets. Left out: there are none.
    pub limits: Option<Limits>,
    /// Responses that the gateway keeps.
    pub responses: Responses,
    /// Metrics and traces.
    pub telemetry: Telemetry,
    /// How another configuration is found.
    pub reload: Reload,
    /// The webhook functions: whom they believe, and where they read what they are told.
    pub webhooks: Webhooks,
}

/// Providers, chains and model names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Ai {
    /// Client's model name (`*` stands for any text) -> the name that routing and providers see. The longest pattern wins.
    pub model_aliases: BTreeMap<String, String>,
    /// The default chain: groups in order of priority.
    pub groups: Vec<Group>,
    /// Chains for some models. The first rule that matches wins.
    pub models: Vec<ModelRule>,
    /// Path suffix -> route type. Added to the built-in table; the longest suffix wins, `*` matches any path.
    pub routes: BTreeMap<String, RouteType>,
    /// Models that exist only in the Responses API (`*` stands for any text): a provider that has it is asked there, whatever the client speaks.
    /// Left out: OpenAI's `*-codex*`, `o*-pro*`, `gpt-5*-pro*`, `*-deep-research*` and `computer-use-preview*`. `[]`: none.
    pub responses_models: Option<Vec<String>>,
    /// Refuse (400) what a translation would have to drop, instead of reporting it.
    pub strict: bool,
    /// `GET /v1/models` also lists what the providers themselves list (kept for five minutes), as far as the chains lead there.
    pub list_upstream_models: bool,
    /// Webhooks that see every conversation.
    pub prompt_guard: Option<PromptGuard>,
    /// Top-level fields of a request's body, for requests that have none of this name. In the client's dialect.
    pub defaults: BTreeMap<String, Value>,
    /// Top-level fields that replace the client's.
    pub overrides: BTreeMap<String, Value>,
    /// Messages around the client's own.
    pub prompts: Prompts,
    /// Cache marks, for providers that cache what is marked.
    pub prompt_caching: Option<PromptCaching>,
    // The single-provider form of agentgateway: a provider entry directly under `ai`. Folded into `groups` by `load`.
    /// Single-provider form: its name.
    pub name: Option<String>,
    /// Single-provider form: where to send to.
    pub provider: Option<Provider>,
    /// Single-provider form: as a provider entry's `baseUrl`.
    pub base_url: Option<String>,
    /// Single-provider form: `host:port` instead of the provider's own.
    pub host_override: Option<String>,
    /// Single-provider form: as a provider entry's `pathOverride`.
    pub path_override: Option<String>,
    /// Single-provider form: as a provider entry's `pathPrefix`.
    pub path_prefix: Option<String>,
    /// Single-provider form: as a provider entry's `tokenize`.
    pub tokenize: bool,
    /// Single-provider form: as a provider entry's `timeouts`.
    pub timeouts: Timeouts,
    /// Single-provider form: the policies of the provider. In either form: `policies.ai`, read as `modelAliases`, `routes` and `promptGuard`.
    pub policies: Option<Policies>,
}

/// What an endpoint is for. One that this build does not serve (`realtime` on Lambda) answers 501.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it; they are agentgateway's")]
pub enum RouteType {
    Completions,
    Messages,
    Models,
    Responses,
    Embeddings,
    Realtime,
    AnthropicTokenCount,
    GenerateContent,
    GeminiCountTokens,
    Rerank,
    Passthrough,
    Detect,
}

/// Providers of one priority.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Group {
    /// The providers, chosen by weight and health.
    pub providers: Vec<ProviderEntry>,
    /// Faults that move on to the next provider. Left out: the defaults of `docs/failover.md`.
    #[serde(default)]
    pub on: Option<Vec<RetryOn>>,
}

/// A fault that a group may retry on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum RetryOn {
    /// The provider could not be reached.
    Connect,
    /// A timeout: connect, first byte or idle.
    Timeout,
    /// 429.
    RateLimited,
    /// 408, 409, 425, 500, 502, 503, 504, 529, and Bedrock's equivalents.
    ServerError,
    /// A stream that broke or carried an error before its first content.
    Stream,
    /// 401 or 403: the provider refused the gateway's own credentials.
    Auth,
    /// 404: the provider does not know the model.
    NotFound,
}

/// The chain of some models.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ModelRule {
    /// Model names after aliasing; `*` stands for any text.
    #[serde(rename = "match")]
    pub matches: Vec<String>,
    /// The chain.
    pub groups: Vec<Group>,
}

/// One provider in a group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProviderEntry {
    /// Its name in logs, headers and health; unique in the file unless the entries are equal.
    pub name: String,
    /// What it is.
    pub provider: Provider,
    /// Scheme, host, port and path prefix, instead of the provider's own: `https://proxy.example:8443/openai`.
    #[serde(default)]
    pub base_url: Option<String>,
    /// agentgateway's form of the same: `host:port`; TLS when the port is 443 or `policies.backendTLS` is there.
    #[serde(default)]
    pub host_override: Option<String>,
    /// The whole path to send to, instead of the dialect's.
    #[serde(default)]
    pub path_override: Option<String>,
    /// Instead of the provider's own base path (`/v1`).
    #[serde(default)]
    pub path_prefix: Option<String>,
    /// Accepted for agentgateway's files, without effect: usage is what the provider reports.
    #[serde(default)]
    pub tokenize: bool,
    /// Share of its group's traffic. Default 1; 0: only when the others are down.
    #[serde(default = "default_weight")]
    pub weight: u32,
    /// Its timeouts.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Credentials and TLS.
    #[serde(default)]
    pub policies: Policies,
}

fn default_weight() -> u32 {
    1
}

/// What a provider is. One key: its type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Provider {
    /// OpenAI: <https://platform.openai.com/docs/api-reference>.
    #[serde(rename = "openAI", alias = "openai")]
    OpenAi(ModelPin),
    /// Anthropic: <https://docs.anthropic.com/en/api>.
    Anthropic(ModelPin),
    /// Amazon Bedrock, by the AWS SDK.
    Bedrock(Bedrock),
    /// Gemini's own API: <https://ai.google.dev/api>.
    Gemini(ModelPin),
    /// Azure OpenAI and Azure AI Foundry.
    Azure(Azure),
    /// Google Cloud's Vertex AI.
    Vertex(Vertex),
    /// GitHub Copilot.
    Copilot(Copilot),
    /// Any server that speaks OpenAI's or Anthropic's dialect.
    Custom(Custom),
}

/// A provider whose only setting is a pinned model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ModelPin {
    /// Sent instead of the client's model.
    pub model: Option<String>,
}

/// Amazon Bedrock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Bedrock {
    /// The AWS region. Default: the ambient one.
    pub region: Option<String>,
    /// Sent instead of the client's model: a model id, an inference profile id or an ARN.
    pub model: Option<String>,
    /// A guardrail for Converse and InvokeModel.
    pub guardrail_identifier: Option<String>,
    /// Its version. Required with an identifier.
    pub guardrail_version: Option<String>,
    /// Ask in OpenAI's dialects, at an endpoint that has them. Left out: InvokeModel for Claude, Converse for the others.
    #[serde(rename = "openAIEndpoint")]
    pub open_ai_endpoint: Option<BedrockOpenAi>,
}

/// A server that speaks a known dialect. Its address is the entry's `baseUrl` or `hostOverride`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Custom {
    /// Sent instead of the client's model.
    pub model: Option<String>,
    /// The dialects that it speaks, the preferred one first (a client that speaks one of them is passed through), and what else it serves. Default:
    /// `[{type: completions}, {type: embeddings}]`.
    pub formats: Vec<CustomFormat>,
    /// A server that many use: its address, paths and key variable need not be said.
    pub preset: Option<Preset>,
    /// Its name in telemetry and prices, instead of `custom` or the preset's.
    pub provider_override: Option<String>,
}

/// A dialect that a custom provider speaks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CustomFormat {
    /// `completions`, `responses`, `messages`, `embeddings`, `rerank` or `anthropicTokenCount`.
    #[serde(rename = "type")]
    pub kind: CustomDialect,
    /// The whole path. Default: `/v1/chat/completions`, `/v1/responses`, `/v1/messages`, `/v1/embeddings`, `/v2/rerank`,
    /// `/v1/messages/count_tokens`.
    #[serde(default)]
    pub path: Option<String>,
}

/// Dialects of a custom provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum CustomDialect {
    /// OpenAI Chat Completions.
    #[serde(alias = "Completions")]
    Completions,
    /// OpenAI Responses.
    #[serde(alias = "Responses")]
    Responses,
    /// Anthropic Messages.
    #[serde(alias = "Messages")]
    Messages,
    /// OpenAI's embeddings.
    #[serde(alias = "Embeddings")]
    Embeddings,
    /// Cohere's rerank.
    #[serde(alias = "Rerank")]
    Rerank,
    /// Anthropic's token counts.
    #[serde(alias = "AnthropicTokenCount")]
    AnthropicTokenCount,
}

/// Timeouts of one provider, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Timeouts {
    /// TCP and TLS. Default 3,000.
    pub connect_ms: Option<u64>,
    /// From the request to the first bytes of a stream; default 60,000. Where it is stated, a whole (not streamed) answer has to begin within
    /// it, too; where it is not, only the request's own bound applies to that.
    pub first_byte_ms: Option<u64>,
    /// Between two chunks of an answer. Default 300,000: a model may think in silence.
    pub idle_ms: Option<u64>,
}

/// Policies of a provider entry; in agentgateway's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Policies {
    /// How the gateway authenticates to the provider.
    pub backend_auth: Option<BackendAuth>,
    /// TLS to the provider.
    #[serde(rename = "backendTLS")]
    pub backend_tls: Option<BackendTls>,
    /// agentgateway's place for aliases and routes. Under `ai` both are folded into `ai`. In a provider entry, routes are, and aliases
    /// stay that provider's own (`ProviderEntry::model_for`).
    pub ai: Option<AiPolicies>,
}

/// The part of agentgateway's `policies.ai` that is known here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct AiPolicies {
    /// As `ai.modelAliases`.
    pub model_aliases: BTreeMap<String, String>,
    /// As `ai.routes`.
    pub routes: BTreeMap<String, RouteType>,
    /// As `ai.promptGuard`. Not in a provider entry: guards are asked before a provider is chosen.
    pub prompt_guard: Option<PromptGuard>,
    /// As `ai.defaults`. Not in a provider entry.
    pub defaults: BTreeMap<String, Value>,
    /// As `ai.overrides`. Not in a provider entry.
    pub overrides: BTreeMap<String, Value>,
    /// As `ai.prompts`. Not in a provider entry.
    pub prompts: Prompts,
    /// As `ai.promptCaching`. In a provider entry: for this provider alone.
    pub prompt_caching: Option<PromptCaching>,
}

/// How the gateway authenticates to a provider. One key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum BackendAuth {
    /// An API key: a reference (`env:NAME`, `$NAME`, `secretsmanager:NAME#key`, `file:PATH`), never the key itself. agentgateway's
    /// `{value: REFERENCE}` and `{file: PATH}` are read too.
    Key(SecretRef),
    /// The ambient AWS credentials, SigV4.
    Aws(AwsAuth),
    /// Tokens of Microsoft Entra ID, for `azure`.
    Azure(AzureAuth),
    /// Tokens of Google Cloud, for `vertex`.
    Gcp(GcpAuth),
}

/// Ambient AWS credentials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct AwsAuth {}

/// TLS to a provider. The system's roots unless `root` is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct BackendTls {
    /// A PEM file with the root certificates to trust instead of the system's.
    pub root: Option<String>,
    /// agentgateway's name for the certificate's host. Accepted where it is the host of the address, which is what is verified.
    pub hostname: Option<String>,
}

/// A reference to a secret. Its text is safe to print; the secret is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "crate::secret::KeyForm"))]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A Secrets Manager secret, and the key in it when it is a JSON object.
    SecretsManager {
        /// Name or ARN.
        id: String,
        /// Key in the secret's JSON object; none: the whole text.
        key: Option<String>,
    },
    /// A file; its text, trimmed.
    File(String),
}

/// How another configuration is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Reload {
    /// Looked for so often, in seconds. Default 30; 1 for a file. On Lambda a file is part of the function and does not change.
    pub every_seconds: Option<u64>,
}

/// Bounds on one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct RequestBounds {
    /// The largest body, in bytes. Default 33,554,432 (32 MiB).
    pub max_body_bytes: Option<u64>,
    /// The whole request, in milliseconds. Default 600,000; on Lambda also bounded by the function's own deadline.
    pub timeout_ms: Option<u64>,
    /// Upstream calls of one request, at most. Default 6.
    pub max_attempts: Option<u32>,
}
