//! Settings of the kinds of provider that have many. Words are agentgateway's where it has one.

use serde::Deserialize;

use crate::SecretRef;

/// Azure OpenAI, or an Azure AI Foundry resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Azure {
    /// Sent instead of the client's model: the name of a deployment.
    pub model: Option<String>,
    /// The resource's name, the first part of its host. Required unless the entry has a `baseUrl` or a `hostOverride`.
    pub resource_name: Option<String>,
    /// What kind of resource it is, which is the rest of its host. Default `openAI`.
    pub resource_type: AzureResourceType,
    /// `v1` (default), `preview`, or a dated version such as `2024-10-21`, which has the deployment in its path.
    pub api_version: Option<String>,
    /// The project of a Foundry resource. Left out: the resource itself is asked.
    pub project_name: Option<String>,
}

/// Kinds of Azure resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum AzureResourceType {
    /// `<resourceName>.openai.azure.com`.
    #[default]
    #[serde(rename = "openAI")]
    OpenAi,
    /// `<resourceName>.services.ai.azure.com`: OpenAI's models, and Claude in its own dialect.
    #[serde(alias = "aiServices")]
    Foundry,
}

/// Google Cloud's Vertex AI: Gemini, and Claude.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Vertex {
    /// Sent instead of the client's model.
    #[serde(default)]
    pub model: Option<String>,
    /// The Google Cloud project.
    pub project_id: String,
    /// `global` (default), `us`, `eu`, or a region such as `europe-west4`.
    #[serde(default)]
    pub region: Option<String>,
}

impl Vertex {
    /// Where its models are asked.
    #[must_use]
    pub fn region(&self) -> &str {
        self.region.as_deref().unwrap_or("global")
    }
}

/// GitHub Copilot. Its key is a GitHub token of an account that has a seat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Copilot {
    /// Sent instead of the client's model.
    pub model: Option<String>,
    /// Where the GitHub token is exchanged. Default `https://api.github.com/copilot_internal/v2/token`.
    pub token_url: Option<String>,
}

/// How the gateway gets tokens of Microsoft Entra ID. One key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum AzureAuth {
    /// Credentials that the file names.
    ExplicitConfig(AzureCredentials),
}

/// Kinds of credentials for Entra ID. One key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum AzureCredentials {
    /// An application and its secret.
    ClientSecret(EntraClient),
}

/// An application that is registered with Entra ID.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EntraClient {
    /// The directory's id.
    #[serde(alias = "tenant_id")]
    pub tenant_id: String,
    /// The application's id.
    #[serde(alias = "client_id")]
    pub client_id: String,
    /// A reference to the application's secret.
    #[serde(alias = "client_secret")]
    pub client_secret: SecretRef,
    /// What the token is for. Default `https://cognitiveservices.azure.com/.default`.
    #[serde(default)]
    pub scope: Option<String>,
    /// Where tokens are asked for. Default `https://login.microsoftonline.com/<tenantId>/oauth2/v2.0/token`.
    #[serde(default)]
    pub token_url: Option<String>,
}

impl EntraClient {
    /// What the token is for: <https://learn.microsoft.com/azure/ai-foundry/openai/how-to/managed-identity>.
    #[must_use]
    pub fn scope(&self) -> &str {
        self.scope.as_deref().unwrap_or("https://cognitiveservices.azure.com/.default")
    }
}

/// How the gateway gets tokens of Google Cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct GcpAuth {
    /// Only `accessToken` is served, which is the default.
    #[serde(rename = "type")]
    pub kind: GcpTokenType,
    /// A reference to the text of a credentials file: a service account's key, or workload identity federation from AWS. Default: the file that
    /// `GOOGLE_APPLICATION_CREDENTIALS` names.
    pub credential: Option<SecretRef>,
}

/// Kinds of Google Cloud token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum GcpTokenType {
    /// An access token.
    #[default]
    AccessToken,
}

/// Bedrock's OpenAI-compatible endpoints: <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-responses-api.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum BedrockOpenAi {
    /// `bedrock-runtime.<region>.amazonaws.com/openai/v1`.
    Runtime,
    /// `bedrock-mantle.<region>.api.aws/v1`; Claude at `/anthropic/v1`.
    Mantle,
}
