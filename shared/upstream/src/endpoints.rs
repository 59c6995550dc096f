//! Where the endpoints of each kind of provider are: its host, the paths below it, and what of them the configuration replaces.

use reqwest::Url;
use tollgate_config::{
    Azure, AzureResourceType, Bedrock, BedrockOpenAi, Custom, CustomDialect, Provider, ProviderEntry, Vertex,
};
use tollgate_wire::codec::Dialect;

use crate::address::{Address, Naming};
use crate::error::SetupError;

mod path;

pub(crate) use self::path::Path;

/// The endpoints of a provider that speaks HTTP, by dialect, the preferred one first.
pub(crate) fn of(entry: &ProviderEntry) -> Result<Vec<(Dialect, Address)>, SetupError> {
    let (plan, base) = (Plan::of(&entry.provider), host(entry)?);
    // A path that stands for all of them is the first one's: Responses is an endpoint beside another.
    let second = |path: &Path, index: usize| index > 0 && path.dialect == Dialect::Responses;
    let paths = plan.paths.iter().enumerate();
    let paths = paths.filter(|(index, path)| entry.path_override.is_none() || !second(path, *index));
    paths.map(|(_, path)| Ok((path.dialect, path.below(&base, entry)?))).collect()
}

/// What a path that is passed through is put behind in place of its `/v1`. `None`: the provider has no such place, because the model is in its paths or because
/// one path stands for all.
pub(crate) fn root(entry: &ProviderEntry) -> Option<String> {
    if matches!(entry.provider, Provider::Vertex(_)) {
        // Below its root are all projects, not models only.
        return None;
    }
    let plan = Plan::of(&entry.provider);
    let base = base(entry).or(plan.host).filter(|_| entry.path_override.is_none())?;
    let path = plan.paths.iter().find(|path| matches!(path.dialect, Dialect::Chat | Dialect::Messages))?;
    let root = path.text(&base, "", entry);
    (!root.contains("{model}")).then_some(root)
}

/// Where a provider opens sessions of the Realtime API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Realtime {
    /// With a query, where the provider's API has a version there.
    url: String,
    /// The parameter that names the model.
    model_in: &'static str,
}

/// Below [`root`]; but a dated API of Azure's has it beside its deployments, which are named in the query, where the v1 API names a model:
/// <https://learn.microsoft.com/azure/ai-foundry/openai/how-to/realtime-audio-websockets>.
pub(crate) fn realtime(entry: &ProviderEntry) -> Option<Realtime> {
    let Provider::Azure(azure) = &entry.provider else {
        return root(entry).map(|root| Realtime { url: format!("{root}/realtime"), model_in: "model" });
    };
    let base = host(entry).ok()?;
    let (below, query) = azure_root(azure);
    let (below, model_in) = match below.strip_suffix("/deployments/{model}") {
        Some(all) => (all, "deployment"),
        None => (below.as_str(), "model"),
    };
    let path = Path::unary(Dialect::Chat, below, "/realtime");
    Some(Realtime { url: path.text(&base, &format!("/realtime{query}"), entry), model_in })
}

impl Realtime {
    /// The address of a session with a model; without one, of a session that is there. `query`: the client's other parameters.
    pub(crate) fn address(&self, query: Option<&str>, model: Option<&str>) -> Option<Url> {
        let mut url = Url::parse(&self.url).ok()?;
        let pairs =
            [url.query(), query].into_iter().flatten().filter(|query| !query.is_empty()).collect::<Vec<_>>().join("&");
        url.set_query((!pairs.is_empty()).then_some(&pairs));
        if let Some(model) = model {
            url.query_pairs_mut().append_pair(self.model_in, model);
        }
        Some(url)
    }
}

/// Scheme, host, port and prefix: the configuration's, else the provider's own.
pub(crate) fn host(entry: &ProviderEntry) -> Result<String, SetupError> {
    base(entry).or(Plan::of(&entry.provider).host).ok_or_else(|| SetupError::NoAddress(entry.name.clone()))
}

/// Scheme, host, port and prefix from the configuration.
pub(crate) fn base(entry: &ProviderEntry) -> Option<String> {
    let host_override = || {
        let host = entry.host_override.as_deref()?;
        let tls = host.ends_with(":443") || entry.policies.backend_tls.is_some();
        Some(format!("{}://{host}", if tls { "https" } else { "http" }))
    };
    entry.base_url.clone().or_else(host_override)
}

/// What a kind of provider has where.
struct Plan {
    /// Scheme and host; none: the configuration has to name them.
    host: Option<String>,
    paths: Vec<Path>,
}

impl Plan {
    fn of(provider: &Provider) -> Self {
        match provider {
            Provider::OpenAi(_) => {
                Self::at("https://api.openai.com", vec![Path::openai("/v1", ""), Path::responses("/v1", "")])
            }
            Provider::Anthropic(_) => Self::at("https://api.anthropic.com", vec![Path::messages("/v1")]),
            Provider::Gemini(_) => {
                Self::at("https://generativelanguage.googleapis.com", vec![Path::gemini("/v1beta", "")])
            }
            Provider::Azure(azure) => Self::azure(azure),
            Provider::Vertex(vertex) => Self::vertex(vertex),
            // Of its paths GitHub documents nothing; the editor's source has them: <https://github.com/microsoft/vscode-copilot-chat/blob/main/src/platform/endpoint>.
            Provider::Copilot(_) => {
                let paths = vec![Path::openai("", ""), Path::messages("/v1"), Path::responses("", "")];
                Self::at("https://api.githubcopilot.com", paths)
            }
            Provider::Custom(custom) => Self {
                host: custom.preset.map(|preset| preset.facts().base_url.to_owned()),
                paths: custom_paths(custom),
            },
            Provider::Bedrock(bedrock) => Self::bedrock(bedrock),
        }
    }

    fn at(host: &str, paths: Vec<Path>) -> Self {
        Self { host: Some(host.to_owned()), paths }
    }

    /// The v1 API, or the dated one, which has the deployment in its path:
    /// <https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle>,
    /// <https://learn.microsoft.com/azure/ai-foundry/openai/reference#rest-api-versioning>. Claude in Foundry:
    /// <https://learn.microsoft.com/azure/ai-foundry/foundry-models/how-to/use-foundry-models-claude>.
    fn azure(azure: &Azure) -> Self {
        let foundry = azure.resource_type == AzureResourceType::Foundry;
        let suffix = if foundry { "services.ai.azure.com" } else { "openai.azure.com" };
        let host = azure.resource_name.as_ref().map(|name| format!("https://{name}.{suffix}"));
        let (root, query) = azure_root(azure);
        let mut paths = vec![Path::openai(&root, &query)];
        if !root.contains("{model}") {
            paths.push(Path::responses(&root, &query));
        }
        if foundry {
            paths.push(Path::messages("/anthropic/v1"));
        }
        Self { host, paths }
    }

    /// Gemini: <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference>; Claude:
    /// <https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude>; hosts:
    /// <https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations>.
    fn vertex(vertex: &Vertex) -> Self {
        let region = vertex.region();
        let host = match region {
            "global" => "https://aiplatform.googleapis.com".to_owned(),
            "us" | "eu" => format!("https://aiplatform.{region}.rep.googleapis.com"),
            _ => format!("https://{region}-aiplatform.googleapis.com"),
        };
        let below = format!("/projects/{}/locations/{region}/publishers", vertex.project_id);
        let claude = |method| format!("{below}/anthropic/models/{{model}}:{method}");
        let claude = Path {
            dialect: Dialect::Messages,
            root: "/v1".to_owned(),
            tail: claude("rawPredict"),
            stream: Some(claude("streamRawPredict")),
            naming: Naming::Dated,
        };
        Self { host: Some(host), paths: vec![Path::gemini("/v1", &format!("{below}/google")), claude] }
    }

    /// <https://docs.aws.amazon.com/bedrock/latest/userguide/endpoints.html>,
    /// <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-responses-api.html>; of Claude at Mantle Anthropic's SDK knows (`AnthropicBedrockMantle`).
    fn bedrock(bedrock: &Bedrock) -> Self {
        // Without a region the configuration names the whole address.
        let region = bedrock.region.as_deref().unwrap_or_default();
        match bedrock.open_ai_endpoint {
            None => Self { host: None, paths: Vec::new() },
            Some(BedrockOpenAi::Runtime) => {
                let host = format!("https://bedrock-runtime.{region}.amazonaws.com");
                let paths = vec![Path::openai("/openai/v1", ""), Path::responses("/openai/v1", "")];
                Self { host: Some(host), paths }
            }
            Some(BedrockOpenAi::Mantle) => {
                let host = format!("https://bedrock-mantle.{region}.api.aws");
                let by_model = |path: Path| Path { naming: Naming::Mantle, ..path };
                let (chat, responses) = (Path::openai("/v1", ""), Path::responses("/v1", ""));
                Self {
                    host: Some(host),
                    paths: vec![by_model(chat), Path::messages("/anthropic/v1"), by_model(responses)],
                }
            }
        }
    }
}

/// The base path of OpenAI's endpoints on Azure, and the query that each of them has.
pub(crate) fn azure_root(azure: &Azure) -> (String, String) {
    let foundry = azure.resource_type == AzureResourceType::Foundry;
    let root = match azure.project_name.as_ref().filter(|_| foundry) {
        Some(project) => format!("/api/projects/{project}/openai"),
        None => "/openai".to_owned(),
    };
    match azure.api_version.as_deref() {
        None | Some("v1") => (format!("{root}/v1"), String::new()),
        Some("preview") => (format!("{root}/v1"), "?api-version=preview".to_owned()),
        Some(dated) => (format!("{root}/deployments/{{model}}"), format!("?api-version={dated}")),
    }
}

fn custom_paths(custom: &Custom) -> Vec<Path> {
    let preset = custom.preset.map(tollgate_config::Preset::facts);
    let path = |kind| {
        let format = custom.formats.iter().find(|format| format.kind == kind);
        let (path, known) = match kind {
            CustomDialect::Responses => (Path::responses("/v1", ""), None),
            CustomDialect::Messages => (Path::messages("/v1"), preset.and_then(|facts| facts.messages)),
            _ => (Path::openai("/v1", ""), preset.map(|facts| facts.completions)),
        };
        match format.and_then(|format| format.path.as_deref()).or(known) {
            Some(text) => path.moved(text),
            None => path,
        }
    };
    custom.dialects().map(path).collect()
}

#[cfg(test)]
mod tests;
