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
    /// What the environment has: an application's secret (`AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET`), else a token of its own
    /// (`AZURE_FEDERATED_TOKEN_FILE`), else a managed identity.
    Implicit(EntraToken),
}

/// Kinds of credentials for Entra ID. One key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum AzureCredentials {
    /// An application and its secret.
    ClientSecret(EntraClient),
    /// The identity that Azure gives a machine, a container or a function.
    ManagedIdentity(ManagedIdentity),
    /// An application that trusts who runs the gateway: Kubernetes, or AWS.
    WorkloadIdentity(WorkloadIdentity),
}

/// What a token of Entra ID is for, and where it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct EntraToken {
    /// What the token is for. Default `https://cognitiveservices.azure.com/.default`, of a Foundry resource `https://ai.azure.com/.default`.
    pub scope: Option<String>,
    /// Where tokens are asked for. Default: Entra ID's endpoint of the tenant, or that of the managed identity.
    pub token_url: Option<String>,
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
    /// What the token is for. Default `https://cognitiveservices.azure.com/.default`, of a Foundry resource `https://ai.azure.com/.default`.
    #[serde(default)]
    pub scope: Option<String>,
    /// Where tokens are asked for. Default `https://login.microsoftonline.com/<tenantId>/oauth2/v2.0/token`.
    #[serde(default)]
    pub token_url: Option<String>,
}

/// A managed identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ManagedIdentity {
    /// Which one, where a machine has several. Left out: its own.
    pub user_assigned_identity: Option<AssignedIdentity>,
    /// As of `implicit`.
    pub scope: Option<String>,
    /// Where tokens are asked for. Default: `IDENTITY_ENDPOINT`, else Azure's metadata service.
    pub token_url: Option<String>,
}

/// One of several managed identities. One key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum AssignedIdentity {
    /// By the id of its application.
    ClientId(String),
    /// By the id of its principal.
    ObjectId(String),
    /// By its id as a resource of Azure.
    ResourceId(String),
}

/// An application of Entra ID with a federated credential.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct WorkloadIdentity {
    /// The directory's id. Default: `AZURE_TENANT_ID`.
    pub tenant_id: Option<String>,
    /// The application's id. Default: `AZURE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// Who says who the gateway is. Default: the file that `AZURE_FEDERATED_TOKEN_FILE` names.
    pub token: Option<WorkloadToken>,
    /// As of `implicit`.
    pub scope: Option<String>,
    /// Where tokens are asked for. Default: the tenant's endpoint at `AZURE_AUTHORITY_HOST`, else at `https://login.microsoftonline.com`.
    pub token_url: Option<String>,
}

/// Where a workload's own token comes from. One key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum WorkloadToken {
    /// A file, which is read again for every token.
    File(String),
    /// AWS STS, for the ambient credentials (IAM outbound identity federation): no secret is needed.
    Aws(AwsToken),
}

/// A token of AWS STS about the gateway's role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct AwsToken {
    /// What the federated credential expects. Default `api://AzureADTokenExchange`.
    pub audience: Option<String>,
    /// Default: the ambient region.
    pub region: Option<String>,
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
