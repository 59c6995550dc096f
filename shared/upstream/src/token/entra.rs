//! Microsoft Entra ID's tokens:
//!
//! - of an application by its secret: <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>, first case.
//! - of an application that trusts somebody else's token (workload identity): the same page, third case, "access token request with a federated credential". That
//!   token is a file's (Kubernetes: <https://azure.github.io/azure-workload-identity/docs/>), or of AWS (`aws_identity`).
//! - of a managed identity, by the machine's own metadata service or App Service's:
//!   <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#get-a-token-using-http>,
//!   <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.
//!
//! Names of variables and their order are those of Azure's SDKs (`azure_identity`: `WorkloadIdentityCredential`, `ManagedIdentityCredential`).

use ::http::HeaderName;
use reqwest::Url;
use tollgate_config::{
    AssignedIdentity, AzureAuth, AzureCredentials, EntraClient, ManagedIdentity, SecretRef, WorkloadIdentity,
    WorkloadToken,
};

use super::Grant;
use super::answer::{Call, grant};
use super::aws_identity;
use crate::aws::Aws;
use crate::secrets::Secrets;

const AUTHORITY: &str = "https://login.microsoftonline.com";
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01";
const APP_SERVICE_VERSION: &str = "api-version=2019-08-01";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
const FOUNDRY_SCOPE: &str = "https://ai.azure.com/.default";

const TENANT: &str = "AZURE_TENANT_ID";
const CLIENT: &str = "AZURE_CLIENT_ID";
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// Credentials for a resource of Azure.
#[derive(Debug)]
pub(crate) struct Entra {
    auth: AzureAuth,
    /// What tokens are for where the configuration does not say.
    scope: &'static str,
    aws: Aws,
    env: fn(&str) -> Option<String>,
}

/// What an application shows.
enum Proof {
    Secret(String),
    Assertion(String),
}

/// Where a managed identity is asked, and what it wants to see.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    /// With the API's version.
    url: String,
    header: (&'static str, String),
    /// The parameter for an identity's id as a resource.
    resource_id: &'static str,
}

impl Entra {
    pub(crate) fn new(auth: AzureAuth, is_foundry: bool, aws: Aws) -> Self {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self { auth, scope: if is_foundry { FOUNDRY_SCOPE } else { SCOPE }, aws, env }
    }

    /// Is AWS asked for a part of it?
    pub(super) fn uses_aws(&self) -> bool {
        let AzureAuth::ExplicitConfig(credentials) = &self.auth else { return false };
        match credentials {
            AzureCredentials::ClientSecret(client) => {
                matches!(client.client_secret, SecretRef::SecretsManager { .. })
            }
            AzureCredentials::WorkloadIdentity(workload) => matches!(workload.token, Some(WorkloadToken::Aws(_))),
            AzureCredentials::ManagedIdentity(_) => false,
        }
    }

    pub(super) async fn fetch(&self, http: &reqwest::Client, secrets: &Secrets) -> Result<Grant, String> {
        let environment;
        let credentials = match &self.auth {
            AzureAuth::ExplicitConfig(credentials) => credentials,
            AzureAuth::Implicit(_) => {
                environment = self.environment();
                &environment
            }
        };
        match credentials {
            AzureCredentials::ClientSecret(client) => {
                let proof = Proof::Secret(secrets.text(&client.client_secret).await?);
                let url = client.token_url.clone().unwrap_or_else(|| endpoint(AUTHORITY, &client.tenant_id));
                self.application(&url, &client.client_id, proof, client.scope.as_deref(), http).await
            }
            AzureCredentials::WorkloadIdentity(workload) => self.workload(workload, http, secrets).await,
            AzureCredentials::ManagedIdentity(identity) => self.managed(identity).await,
        }
    }

    /// The credentials that the environment has.
    fn environment(&self) -> AzureCredentials {
        const SECRET: &str = "AZURE_CLIENT_SECRET";
        let AzureAuth::Implicit(token) = &self.auth else {
            return AzureCredentials::ManagedIdentity(Default::default());
        };
        let (scope, token_url, env) = (token.scope.clone(), token.token_url.clone(), self.env);
        let client_id = env(CLIENT);
        match (env(TENANT), client_id, env(SECRET)) {
            (Some(tenant_id), Some(client_id), Some(_)) => {
                let client_secret = SecretRef::Env(SECRET.to_owned());
                AzureCredentials::ClientSecret(EntraClient { tenant_id, client_id, client_secret, scope, token_url })
            }
            _ if env(TOKEN_FILE).is_some() => {
                AzureCredentials::WorkloadIdentity(WorkloadIdentity { scope, token_url, ..Default::default() })
            }
            (_, client_id, _) => {
                let user_assigned_identity = client_id.map(AssignedIdentity::ClientId);
                AzureCredentials::ManagedIdentity(ManagedIdentity { user_assigned_identity, scope, token_url })
            }
        }
    }

    async fn workload(
        &self,
        workload: &WorkloadIdentity,
        http: &reqwest::Client,
        secrets: &Secrets,
    ) -> Result<Grant, String> {
        let named = |said: &Option<String>, variable: &str, key: &str| {
            let value = said.clone().or_else(|| (self.env)(variable));
            value.ok_or_else(|| format!("no `{key}` is configured, and the environment has no {variable}"))
        };
        let client = named(&workload.client_id, CLIENT, "clientId")?;
        let url = match &workload.token_url {
            Some(url) => url.clone(),
            None => {
                let authority = (self.env)("AZURE_AUTHORITY_HOST").unwrap_or_else(|| AUTHORITY.to_owned());
                endpoint(&authority, &named(&workload.tenant_id, TENANT, "tenantId")?)
            }
        };
        let assertion = match &workload.token {
            Some(WorkloadToken::Aws(wanted)) => aws_identity::token(wanted, &self.aws).await?,
            file => {
                let said = match file {
                    Some(WorkloadToken::File(file)) => Some(file.clone()),
                    _ => None,
                };
                secrets.text(&SecretRef::File(named(&said, TOKEN_FILE, "token")?)).await?
            }
        };
        self.application(&url, &client, Proof::Assertion(assertion), workload.scope.as_deref(), http).await
    }

    async fn application(
        &self,
        url: &str,
        client: &str,
        proof: Proof,
        scope: Option<&str>,
        http: &reqwest::Client,
    ) -> Result<Grant, String> {
        let mut fields = vec![("grant_type", "client_credentials"), ("client_id", client)];
        match &proof {
            Proof::Secret(secret) => fields.push(("client_secret", secret.trim())),
            Proof::Assertion(assertion) => {
                fields.extend([("client_assertion_type", ASSERTION), ("client_assertion", assertion.trim())]);
            }
        }
        fields.push(("scope", scope.unwrap_or(self.scope)));
        grant(&Call::form(url, &fields)?.answer(http).await?)
    }

    /// By the client that knows no proxy: the metadata service is this machine's.
    async fn managed(&self, identity: &ManagedIdentity) -> Result<Grant, String> {
        let source = Source::find(identity.token_url.as_deref(), self.env)?;
        let mut url = Url::parse(&source.url).map_err(|e| format!("{} is not a URL: {e}", source.url))?;
        let scope = identity.scope.as_deref().unwrap_or(self.scope);
        let assigned = identity.user_assigned_identity.as_ref().map(|assigned| match assigned {
            AssignedIdentity::ClientId(id) => ("client_id", id),
            AssignedIdentity::ObjectId(id) => ("object_id", id),
            AssignedIdentity::ResourceId(id) => (source.resource_id, id),
        });
        // This endpoint is older than scopes: it names the resource alone.
        url.query_pairs_mut().append_pair("resource", scope.strip_suffix("/.default").unwrap_or(scope));
        if let Some((name, id)) = assigned {
            url.query_pairs_mut().append_pair(name, id);
        }
        let mut call = Call::get(url.as_str())?;
        call.set(HeaderName::from_static(source.header.0), &source.header.1)?;
        grant(&call.answer(self.aws.client()).await?)
    }
}

impl Source {
    fn find(configured: Option<&str>, env: fn(&str) -> Option<String>) -> Result<Self, String> {
        let metadata = |url: String| Self { url, header: ("metadata", "true".to_owned()), resource_id: "msi_res_id" };
        if let Some(url) = configured {
            let joint = if url.contains('?') { '&' } else { '?' };
            return Ok(metadata(format!("{url}{joint}api-version=2018-02-01")));
        }
        let other =
            |name| Err(format!("managed identities of {name} are not served; use workloadIdentity or clientSecret"));
        match (env("IDENTITY_ENDPOINT"), env("IDENTITY_HEADER")) {
            (Some(_), Some(_)) if env("IDENTITY_SERVER_THUMBPRINT").is_some() => other("Service Fabric"),
            (Some(url), Some(secret)) => {
                let joint = if url.contains('?') { '&' } else { '?' };
                let url = format!("{url}{joint}{APP_SERVICE_VERSION}");
                Ok(Self { url, header: ("x-identity-header", secret), resource_id: "mi_res_id" })
            }
            (Some(_), None) => other("Azure Arc"),
            (None, _) if env("MSI_ENDPOINT").is_some() => other("Cloud Shell and Azure Machine Learning"),
            (None, _) => Ok(metadata(METADATA.to_owned())),
        }
    }
}

fn endpoint(authority: &str, tenant: &str) -> String {
    format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(env: fn(&str) -> Option<String>) -> Result<(String, &'static str, &'static str), String> {
        Source::find(None, env).map(|source| (source.url, source.header.0, source.resource_id))
    }

    #[test]
    fn a_managed_identity_is_asked_where_the_environment_says() {
        let nothing: fn(&str) -> Option<String> = |_| None;
        assert_eq!(source(nothing), Ok((METADATA.to_owned(), "metadata", "msi_res_id")));
        let app_service: fn(&str) -> Option<String> = |name| match name {
            "IDENTITY_ENDPOINT" => Some("http://127.0.0.1:41/msi/token".to_owned()),
            "IDENTITY_HEADER" => Some("s".to_owned()),
            _ => None,
        };
        let url = "http://127.0.0.1:41/msi/token?api-version=2019-08-01".to_owned();
        assert_eq!(source(app_service), Ok((url, "x-identity-header", "mi_res_id")));
        let arc: fn(&str) -> Option<String> = |name| (name == "IDENTITY_ENDPOINT").then(|| "http://h".to_owned());
        assert!(source(arc).unwrap_err().contains("Azure Arc"));
        let shell: fn(&str) -> Option<String> = |name| (name == "MSI_ENDPOINT").then(|| "http://h".to_owned());
        assert!(source(shell).unwrap_err().contains("Cloud Shell"));
    }
}
