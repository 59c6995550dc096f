//! Settings of the kinds of provider that have many. Words are agentgateway's where it has one.

use serde::Deserialize;

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
