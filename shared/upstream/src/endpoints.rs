//! Where the endpoints of each kind of provider are: its host, the paths below it, and what of them the configuration replaces.

use tollgate_config::{
    Azure, AzureResourceType, Bedrock, BedrockOpenAi, Custom, CustomDialect, Provider, ProviderEntry, Vertex,
};
use tollgate_wire::codec::Dialect;

use crate::address::{Address, Naming};
use crate::error::SetupError;

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

/// A path: the provider's base path, which `pathPrefix` replaces, and what stands below it. `{model}` is the model.
pub(crate) struct Path {
    dialect: Dialect,
    root: String,
    tail: String,
    /// Where a stream is asked for, if not at the same place.
    stream: Option<String>,
    naming: Naming,
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

impl Path {
    /// What is never streamed.
    pub(crate) fn unary(dialect: Dialect, root: &str, tail: &str) -> Self {
        Self { dialect, root: root.to_owned(), tail: tail.to_owned(), stream: None, naming: Naming::Plain }
    }

    fn openai(root: &str, query: &str) -> Self {
        Self::unary(Dialect::Chat, root, &format!("/chat/completions{query}"))
    }

    fn responses(root: &str, query: &str) -> Self {
        let tail = format!("/responses{query}");
        Self { dialect: Dialect::Responses, root: root.to_owned(), tail, stream: None, naming: Naming::Plain }
    }

    fn messages(root: &str) -> Self {
        Self::unary(Dialect::Messages, root, "/messages")
    }

    /// <https://ai.google.dev/api/generate-content#method:-models.generatecontent>; without `alt=sse` a stream is one JSON array.
    fn gemini(root: &str, below: &str) -> Self {
        Self {
            dialect: Dialect::GenerateContent,
            root: root.to_owned(),
            tail: format!("{below}/models/{{model}}:generateContent"),
            stream: Some(format!("{below}/models/{{model}}:streamGenerateContent?alt=sse")),
            naming: Naming::Bare,
        }
    }

    /// The same with a model that is called by its bare name.
    pub(crate) fn bare(self) -> Self {
        Self { naming: Naming::Bare, ..self }
    }

    /// The same at another path.
    pub(crate) fn moved(self, path: &str) -> Self {
        match path.strip_prefix("/v1") {
            Some(tail) => Self { root: "/v1".to_owned(), tail: tail.to_owned(), ..self },
            None => Self { root: String::new(), tail: path.to_owned(), ..self },
        }
    }

    pub(crate) fn below(&self, base: &str, entry: &ProviderEntry) -> Result<Address, SetupError> {
        let whole = self.text(base, &self.tail, entry);
        // Mantle has some models at another place, unless the configuration says where.
        let stands = entry.path_override.is_some() || entry.path_prefix.is_some() || base.ends_with(self.root.as_str());
        if self.naming == Naming::Mantle && !stands {
            let other = self.text(&format!("{base}/openai"), &self.tail, entry);
            return Address::of_mantle(&whole, &other).map_err(|cause| Self::wrong(whole, cause, entry));
        }
        let stream = self.stream.as_ref().map(|tail| self.text(base, tail, entry));
        Address::parse(&whole, stream.as_deref(), self.naming).map_err(|cause| Self::wrong(whole, cause, entry))
    }

    fn wrong(url: String, cause: String, entry: &ProviderEntry) -> SetupError {
        SetupError::Url { provider: entry.name.clone(), url, cause }
    }

    /// Base and path put together. A base that already ends in the provider's base path (`.../v1`) does not get it twice.
    fn text(&self, base: &str, tail: &str, entry: &ProviderEntry) -> String {
        let (base, root) = (base.trim_end_matches('/'), &self.root);
        match (&entry.path_override, &entry.path_prefix) {
            (Some(path), _) => format!("{base}/{}", path.trim_start_matches('/')),
            (None, Some(prefix)) => format!("{base}/{}{tail}", prefix.trim_matches('/')),
            (None, None) if base.ends_with(root.as_str()) => format!("{base}{tail}"),
            (None, None) => format!("{base}{root}{tail}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(yaml: &str) -> ProviderEntry {
        let yaml = format!("ai: {{groups: [{{providers: [{{name: a, {yaml}}}]}}]}}");
        tollgate_config::parse(&yaml, "test").unwrap().ai.groups[0].providers[0].clone()
    }

    /// The address of each endpoint for a model, whole and streamed.
    fn urls(yaml: &str) -> Vec<(Dialect, String, String)> {
        let url = |address: &Address, stream| address.of("m/1", stream).unwrap().to_string();
        let endpoints = of(&entry(yaml)).unwrap();
        endpoints.iter().map(|(dialect, address)| (*dialect, url(address, false), url(address, true))).collect()
    }

    #[test]
    fn a_path_that_stands_for_all_is_no_second_endpoint() {
        is_at("provider: {openAI: {}}, baseUrl: 'https://h/v1'", Dialect::Responses, "https://h/v1/responses");
        let moved = urls("provider: {openAI: {}}, baseUrl: 'https://h', pathOverride: /x");
        assert_eq!(moved.iter().map(|(dialect, ..)| *dialect).collect::<Vec<_>>(), [Dialect::Chat]);
        let alone = "provider: {custom: {formats: [{type: responses}]}}, baseUrl: 'https://h', pathOverride: /x";
        is_at(alone, Dialect::Responses, "https://h/x");
    }

    #[track_caller]
    fn is_at(yaml: &str, dialect: Dialect, expected: &str) {
        let urls = urls(yaml);
        let found = urls.iter().find(|(known, ..)| *known == dialect).expect(yaml);
        assert_eq!(found.1, expected, "{yaml}");
    }

    #[test]
    fn addresses_are_put_together_from_what_the_entry_says() {
        for (extra, expected) in [
            ("baseUrl: 'http://h:1'", "http://h:1/v1/chat/completions"),
            ("baseUrl: 'https://h/openai/v1/'", "https://h/openai/v1/chat/completions"),
            ("hostOverride: 'h:8080'", "http://h:8080/v1/chat/completions"),
            ("hostOverride: 'h:443'", "https://h/v1/chat/completions"),
            ("baseUrl: 'http://h', pathPrefix: /api/v2", "http://h/api/v2/chat/completions"),
            ("baseUrl: 'http://h', pathOverride: /x/y", "http://h/x/y"),
        ] {
            is_at(&format!("provider: {{custom: {{}}}}, {extra}"), Dialect::Chat, expected);
        }
    }

    #[test]
    fn what_is_passed_through_goes_below_the_providers_own_root() {
        for (yaml, expected) in [
            ("provider: {openAI: {}}", Some("https://api.openai.com/v1")),
            ("provider: {anthropic: {}}", Some("https://api.anthropic.com/v1")),
            ("provider: {custom: {}}, baseUrl: 'http://h/api/v1/'", Some("http://h/api/v1")),
            ("provider: {custom: {}}, baseUrl: 'http://h', pathPrefix: /api/v2", Some("http://h/api/v2")),
            ("provider: {custom: {}}, baseUrl: 'http://h', pathOverride: /x", None),
            ("provider: {azure: {resourceName: r}}", Some("https://r.openai.azure.com/openai/v1")),
            ("provider: {azure: {resourceName: r, apiVersion: '2024-10-21'}}", None),
            ("provider: {gemini: {}}", None),
            ("provider: {vertex: {projectId: p}}", None),
            ("provider: {bedrock: {}}", None),
            (
                "provider: {bedrock: {openAIEndpoint: mantle, region: us-west-2}}",
                Some("https://bedrock-mantle.us-west-2.api.aws/v1"),
            ),
        ] {
            assert_eq!(root(&entry(yaml)).as_deref(), expected, "{yaml}");
        }
    }

    #[test]
    fn a_custom_format_has_a_path_of_its_own_in_which_the_model_may_stand() {
        for (path, base, expected) in [
            ("/v1/m", "http://h/v1", "http://h/v1/m"),
            ("/c", "http://h/v1", "http://h/v1/c"),
            ("/c", "http://h", "http://h/c"),
            ("/models/{model}/chat", "http://h", "http://h/models/m%2F1/chat"),
        ] {
            let yaml = format!(
                "provider: {{custom: {{formats: [{{type: completions, path: '{path}'}}]}}}}, baseUrl: '{base}'"
            );
            is_at(&yaml, Dialect::Chat, expected);
        }
    }

    #[test]
    fn gemini_has_the_model_in_its_path_and_streams_elsewhere() {
        let host = "https://generativelanguage.googleapis.com/v1beta/models/1";
        let whole = (Dialect::GenerateContent, format!("{host}:generateContent"));
        let stream = format!("{host}:streamGenerateContent?alt=sse");
        assert_eq!(urls("provider: {gemini: {}}"), [(whole.0, whole.1, stream)]);
        is_at(
            "provider: {gemini: {}}, baseUrl: 'http://h:1/v1beta'",
            Dialect::GenerateContent,
            "http://h:1/v1beta/models/1:generateContent",
        );
        is_at(
            "provider: {gemini: {}}, baseUrl: 'http://h:1', pathPrefix: /v1",
            Dialect::GenerateContent,
            "http://h:1/v1/models/1:generateContent",
        );
    }

    #[test]
    fn azure_is_found_by_resource_project_and_version() {
        for (settings, extra, expected) in [
            ("resourceName: r", "", "https://r.openai.azure.com/openai/v1/chat/completions"),
            ("resourceName: r, apiVersion: v1", "", "https://r.openai.azure.com/openai/v1/chat/completions"),
            (
                "resourceName: r, apiVersion: preview",
                "",
                "https://r.openai.azure.com/openai/v1/chat/completions?api-version=preview",
            ),
            (
                "resourceName: r, apiVersion: 2024-10-21",
                "",
                "https://r.openai.azure.com/openai/deployments/m%2F1/chat/completions?api-version=2024-10-21",
            ),
            (
                "resourceName: r, resourceType: foundry",
                "",
                "https://r.services.ai.azure.com/openai/v1/chat/completions",
            ),
            (
                "resourceName: r, resourceType: foundry, projectName: p",
                "",
                "https://r.services.ai.azure.com/api/projects/p/openai/v1/chat/completions",
            ),
            ("", ", baseUrl: 'http://h:1'", "http://h:1/openai/v1/chat/completions"),
            ("", ", baseUrl: 'https://h/openai/v1'", "https://h/openai/v1/chat/completions"),
        ] {
            is_at(&format!("provider: {{azure: {{{settings}}}}}{extra}"), Dialect::Chat, expected);
        }
        is_at(
            "provider: {azure: {resourceName: r, resourceType: foundry, projectName: p}}",
            Dialect::Messages,
            "https://r.services.ai.azure.com/anthropic/v1/messages",
        );
        is_at(
            "provider: {azure: {resourceName: r, apiVersion: preview}}",
            Dialect::Responses,
            "https://r.openai.azure.com/openai/v1/responses?api-version=preview",
        );
        let dialects = |settings: &str| {
            let found = urls(&format!("provider: {{azure: {{resourceName: r{settings}}}}}"));
            found.into_iter().map(|(dialect, ..)| dialect).collect::<Vec<_>>()
        };
        assert_eq!(dialects(""), [Dialect::Chat, Dialect::Responses], "Claude is in Foundry only");
        assert_eq!(dialects(", apiVersion: '2024-10-21'"), [Dialect::Chat], "Responses is in the v1 API only");
    }

    #[test]
    fn vertex_is_found_by_project_and_region_and_publisher() {
        for (region, host, location) in [
            ("", "https://aiplatform.googleapis.com", "global"),
            (", region: global", "https://aiplatform.googleapis.com", "global"),
            (", region: eu", "https://aiplatform.eu.rep.googleapis.com", "eu"),
            (", region: europe-west4", "https://europe-west4-aiplatform.googleapis.com", "europe-west4"),
        ] {
            let below = format!("{host}/v1/projects/p/locations/{location}/publishers");
            let yaml = format!("provider: {{vertex: {{projectId: p{region}}}}}");
            let expected = [
                (
                    Dialect::GenerateContent,
                    format!("{below}/google/models/1:generateContent"),
                    format!("{below}/google/models/1:streamGenerateContent?alt=sse"),
                ),
                (
                    Dialect::Messages,
                    format!("{below}/anthropic/models/1:rawPredict"),
                    format!("{below}/anthropic/models/1:streamRawPredict"),
                ),
            ];
            assert_eq!(urls(&yaml), expected);
        }
        is_at(
            "provider: {vertex: {projectId: p}}, baseUrl: 'http://h:1'",
            Dialect::Messages,
            "http://h:1/v1/projects/p/locations/global/publishers/anthropic/models/1:rawPredict",
        );
    }

    #[test]
    fn a_preset_knows_its_address_and_its_paths() {
        for preset in tollgate_config::Preset::ALL {
            let facts = preset.facts();
            let yaml = format!("provider: {{custom: {{preset: {}}}}}", facts.name);
            is_at(&yaml, Dialect::Chat, &format!("{}{}", facts.base_url, facts.completions));
            let messages = urls(&yaml).into_iter().find(|(dialect, ..)| *dialect == Dialect::Messages);
            assert_eq!(messages.map(|found| found.1), facts.messages.map(|path| format!("{}{path}", facts.base_url)));
        }
        let groq = "provider: {custom: {preset: groq}}, baseUrl: 'http://h:1/v1'";
        is_at(groq, Dialect::Chat, "http://h:1/v1/chat/completions");
        let deepseek = "provider: {custom: {preset: deepseek, formats: [{type: messages, path: /m}]}}";
        is_at(deepseek, Dialect::Messages, "https://api.deepseek.com/m");
    }

    #[test]
    fn copilot_has_three_dialects_at_one_host() {
        is_at("provider: {copilot: {}}", Dialect::Chat, "https://api.githubcopilot.com/chat/completions");
        is_at("provider: {copilot: {}}", Dialect::Messages, "https://api.githubcopilot.com/v1/messages");
        is_at("provider: {copilot: {}}", Dialect::Responses, "https://api.githubcopilot.com/responses");
    }

    #[test]
    fn bedrocks_openai_endpoints_are_found_by_region() {
        for (settings, dialect, expected) in [
            (
                "openAIEndpoint: runtime, region: eu-west-1",
                Dialect::Chat,
                "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1/chat/completions",
            ),
            (
                "openAIEndpoint: mantle, region: us-west-2",
                Dialect::Chat,
                "https://bedrock-mantle.us-west-2.api.aws/v1/chat/completions",
            ),
            (
                "openAIEndpoint: mantle, region: us-west-2",
                Dialect::Messages,
                "https://bedrock-mantle.us-west-2.api.aws/anthropic/v1/messages",
            ),
            (
                "openAIEndpoint: mantle, region: us-west-2",
                Dialect::Responses,
                "https://bedrock-mantle.us-west-2.api.aws/v1/responses",
            ),
            (
                "openAIEndpoint: runtime, region: eu-west-1",
                Dialect::Responses,
                "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1/responses",
            ),
        ] {
            is_at(&format!("provider: {{bedrock: {{{settings}}}}}"), dialect, expected);
        }
        is_at(
            "provider: {bedrock: {openAIEndpoint: mantle, region: us-west-2}}, pathPrefix: /openai/v1",
            Dialect::Chat,
            "https://bedrock-mantle.us-west-2.api.aws/openai/v1/chat/completions",
        );
    }

    #[test]
    fn mantle_has_some_models_below_openai() {
        let url = |more: &str, model: &str| {
            let yaml = format!("provider: {{bedrock: {{openAIEndpoint: mantle, region: us-east-2}}}}{more}");
            let endpoints = of(&entry(&yaml)).unwrap();
            let paths = endpoints.iter().map(|(_, address)| address.of(model, false).unwrap().path().to_owned());
            paths.collect::<Vec<_>>().join(" ")
        };
        for model in ["openai.gpt-5.5", "openai.gpt-5.6-sol", "google.gemma-4-31b", "xai.grok-4.3"] {
            assert_eq!(
                url("", model),
                "/openai/v1/chat/completions /anthropic/v1/messages /openai/v1/responses",
                "{model}"
            );
            assert_eq!(url(", pathPrefix: /v9", model), "/v9/chat/completions /v9/messages /v9/responses");
            assert_eq!(url(", baseUrl: 'http://h/v1'", model).split(' ').next(), Some("/v1/chat/completions"));
        }
        for model in ["openai.gpt-oss-120b", "deepseek.v3.2", "moonshotai.kimi-k2.5"] {
            assert_eq!(url("", model), "/v1/chat/completions /anthropic/v1/messages /v1/responses", "{model}");
        }
    }
}
