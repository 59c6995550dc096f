//! What a provider serves besides conversations, and where.

use tollgate_config::{AzureResourceType, CustomDialect, ProviderEntry, Vertex};
use tollgate_wire::codec::{Carrier, Dialect, Target};
use tollgate_wire::error::WireError;
use tollgate_wire::unary::{Operation, Service, Way};

use crate::address::Address;
use crate::endpoints::{self, Path};
use crate::error::SetupError;

/// An endpoint of a provider that speaks HTTP.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) way: Way,
    /// The dialect of its errors; of a count, that of the conversation.
    pub(crate) dialect: Dialect,
    pub(crate) address: Address,
}

/// The endpoints of a provider. An entry with a `pathOverride` has one path for whatever it is asked: it serves one thing.
pub(crate) fn of(entry: &ProviderEntry) -> Result<Vec<Served>, SetupError> {
    let ways = ways(entry);
    if ways.is_empty() || (entry.path_override.is_some() && !is_all_there_is(entry)) {
        return Ok(Vec::new());
    }
    let base = endpoints::host(entry)?;
    let served = ways.into_iter().map(|(way, dialect, path)| {
        let own = ranking_host(&entry.provider).filter(|_| way == Way::VertexRank && endpoints::base(entry).is_none());
        let address = path.below(own.as_deref().unwrap_or(&base), entry)?;
        Ok(Served { way, dialect, address })
    });
    served.collect()
}

fn is_all_there_is(entry: &ProviderEntry) -> bool {
    match &entry.provider {
        tollgate_config::Provider::Custom(custom) => custom.formats.len() == 1,
        _ => false,
    }
}

fn ways(entry: &ProviderEntry) -> Vec<(Way, Dialect, Path)> {
    use tollgate_config::Provider;
    match &entry.provider {
        Provider::OpenAi(_) => vec![embeddings("/v1", ""), openai_count("/v1", "")],
        Provider::Anthropic(_) => vec![count("/v1")],
        Provider::Gemini(_) => gemini("/v1beta"),
        Provider::Azure(azure) => {
            let (root, query) = endpoints::azure_root(azure);
            let claude = (azure.resource_type == AzureResourceType::Foundry).then(|| count("/anthropic/v1"));
            // A dated version has no Responses.
            let own = (!root.contains('{')).then(|| openai_count(&root, &query));
            std::iter::once(embeddings(&root, &query)).chain(own).chain(claude).collect()
        }
        Provider::Custom(custom) => {
            let ways = custom.services().map(|kind| {
                let (way, dialect, path) = match kind {
                    CustomDialect::Rerank => {
                        (Way::CohereRerank, Dialect::Rerank, Path::unary(Dialect::Rerank, "", "/v2/rerank"))
                    }
                    CustomDialect::AnthropicTokenCount => count("/v1"),
                    _ => embeddings("/v1", ""),
                };
                let format = custom.formats.iter().find(|format| format.kind == kind);
                let moved = format.and_then(|format| format.path.as_deref());
                (
                    way,
                    dialect,
                    match moved {
                        Some(text) => path.moved(text),
                        None => path,
                    },
                )
            });
            ways.collect()
        }
        Provider::Vertex(vertex) => on_vertex(vertex),
        Provider::Bedrock(_) | Provider::Copilot(_) => Vec::new(),
    }
}

fn embeddings(root: &str, query: &str) -> (Way, Dialect, Path) {
    (Way::OpenAiEmbeddings, Dialect::Chat, Path::unary(Dialect::Chat, root, &format!("/embeddings{query}")))
}

/// Embeddings: <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>. Counts:
/// <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens>,
/// <https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/count-tokens>.
fn on_vertex(vertex: &Vertex) -> Vec<(Way, Dialect, Path)> {
    let dialect = Dialect::GenerateContent;
    let below = format!("/projects/{}/locations/{}/publishers", vertex.project_id, vertex.region());
    let google = |way, method| {
        let tail = format!("{below}/google/models/{{model}}:{method}");
        (way, dialect, Path::unary(dialect, "/v1", &tail).bare())
    };
    let claude = format!("{below}/anthropic/models/count-tokens:rawPredict");
    let mut ways = vec![
        google(Way::VertexPredict, "predict"),
        google(Way::VertexEmbedContent, "embedContent"),
        google(Way::VertexCount, "countTokens"),
        (Way::Count, Dialect::Messages, Path::unary(Dialect::Messages, "/v1", &claude)),
    ];
    if let Some(location) = ranking_location(vertex.region()) {
        let config =
            format!("/projects/{}/locations/{location}/rankingConfigs/default_ranking_config:rank", vertex.project_id);
        ways.push((Way::VertexRank, dialect, Path::unary(dialect, "/v1", &config)));
    }
    ways
}

/// Where texts of a region may be ranked: the ranking API is in three locations
/// (<https://cloud.google.com/generative-ai-app-builder/docs/locations>). Who is in another part of the world says `global` for it.
fn ranking_location(region: &str) -> Option<&'static str> {
    match region {
        "global" => Some("global"),
        region if region == "us" || region.starts_with("us-") => Some("us"),
        region if region == "eu" || region.starts_with("europe-") => Some("eu"),
        _ => None,
    }
}

/// Scheme and host of the ranking API: the same page.
fn ranking_host(provider: &tollgate_config::Provider) -> Option<String> {
    let tollgate_config::Provider::Vertex(vertex) = provider else { return None };
    let prefix = match ranking_location(vertex.region())? {
        "global" => String::new(),
        location => format!("{location}-"),
    };
    Some(format!("https://{prefix}discoveryengine.googleapis.com"))
}

/// <https://docs.anthropic.com/en/api/messages-count-tokens>.
fn count(root: &str) -> (Way, Dialect, Path) {
    (Way::Count, Dialect::Messages, Path::unary(Dialect::Messages, root, "/messages/count_tokens"))
}

/// <https://platform.openai.com/docs/api-reference/responses/input-tokens>.
fn openai_count(root: &str, query: &str) -> (Way, Dialect, Path) {
    let path = Path::unary(Dialect::Responses, root, &format!("/responses/input_tokens{query}"));
    (Way::Count, Dialect::Responses, path)
}

/// <https://ai.google.dev/api/embeddings>, <https://ai.google.dev/api/tokens>.
fn gemini(root: &str) -> Vec<(Way, Dialect, Path)> {
    let dialect = Dialect::GenerateContent;
    vec![
        (Way::GeminiEmbeddings, dialect, Path::unary(dialect, root, "/models/{model}:batchEmbedContents").bare()),
        (Way::Count, dialect, Path::unary(dialect, root, "/models/{model}:countTokens").bare()),
    ]
}

/// How a provider that speaks HTTP is asked. `answers`: what it is asked for an answer to the same conversation. `name`: for people.
pub(crate) fn choose<'a>(
    served: &[Served],
    operation: Operation,
    answers: Target<'a>,
    name: &str,
) -> Result<Service<'a>, WireError> {
    let model = answers.model;
    if operation == Operation::CountTokens {
        let counts = served.iter().find(|one| one.way.operation() == operation && one.dialect == answers.dialect);
        return Ok(Service { target: answers, way: counts.map_or(Way::Estimate, |one| one.way) });
    }
    let found = served.iter().find(|one| one.way.operation() == operation && one.way.suits(model));
    let found = found.ok_or_else(|| unserved(operation, name))?;
    let target = Target { dialect: found.dialect, carrier: Carrier::Direct, model };
    Ok(Service { target, way: found.way })
}

/// How Bedrock is asked: its models tell themselves apart by their bodies.
pub(crate) fn bedrock(operation: Operation, answers: Target<'_>) -> Service<'_> {
    // Its errors are AWS's.
    let target = Target { dialect: Dialect::Converse, ..answers };
    match operation {
        Operation::Embed => Service { target, way: Way::BedrockEmbeddings },
        Operation::Rerank => Service { target, way: Way::BedrockRerank },
        Operation::CountTokens | Operation::Generate => Service { target: answers, way: Way::Count },
    }
}

/// It cannot do this; another provider may.
pub(crate) fn unserved(operation: Operation, name: &str) -> WireError {
    let what = match operation {
        Operation::Generate => "answers no conversations",
        Operation::Embed => "has no embeddings",
        Operation::Rerank => "has no rerank",
        Operation::CountTokens => "counts no tokens",
    };
    WireError::unsupported("model", format!("the provider `{name}` that is configured for this model {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(yaml: &str) -> Vec<(Way, String)> {
        let yaml = format!("ai: {{groups: [{{providers: [{{name: a, {yaml}}}]}}]}}");
        let entry = tollgate_config::parse(&yaml, "test").unwrap().ai.groups[0].providers[0].clone();
        let served = of(&entry).unwrap();
        served.iter().map(|one| (one.way, one.address.of("m/1", false).unwrap().to_string())).collect()
    }

    #[test]
    fn every_kind_of_provider_has_its_endpoints() {
        let all = |list: &[(Way, &str)]| list.iter().map(|(way, url)| (*way, (*url).to_owned())).collect::<Vec<_>>();
        for (yaml, expected) in [
            (
                "provider: {openAI: {}}",
                all(&[
                    (Way::OpenAiEmbeddings, "https://api.openai.com/v1/embeddings"),
                    (Way::Count, "https://api.openai.com/v1/responses/input_tokens"),
                ]),
            ),
            (
                "provider: {anthropic: {}}, baseUrl: 'http://h:1/v1'",
                all(&[(Way::Count, "http://h:1/v1/messages/count_tokens")]),
            ),
            (
                "provider: {gemini: {}}, baseUrl: 'http://h:1'",
                all(&[
                    (Way::GeminiEmbeddings, "http://h:1/v1beta/models/m%2F1:batchEmbedContents"),
                    (Way::Count, "http://h:1/v1beta/models/m%2F1:countTokens"),
                ]),
            ),
            (
                "provider: {azure: {resourceName: r, apiVersion: 2024-10-21}}",
                all(&[(
                    Way::OpenAiEmbeddings,
                    "https://r.openai.azure.com/openai/deployments/m%2F1/embeddings?api-version=2024-10-21",
                )]),
            ),
            (
                "provider: {azure: {resourceName: r, resourceType: foundry}}",
                all(&[
                    (Way::OpenAiEmbeddings, "https://r.services.ai.azure.com/openai/v1/embeddings"),
                    (Way::Count, "https://r.services.ai.azure.com/openai/v1/responses/input_tokens"),
                    (Way::Count, "https://r.services.ai.azure.com/anthropic/v1/messages/count_tokens"),
                ]),
            ),
            (
                "provider: {custom: {}}, baseUrl: 'http://h/v1'",
                all(&[(Way::OpenAiEmbeddings, "http://h/v1/embeddings")]),
            ),
            (
                "provider: {custom: {formats: [{type: rerank}]}}, baseUrl: 'http://h'",
                all(&[(Way::CohereRerank, "http://h/v2/rerank")]),
            ),
            (
                "provider: {custom: {formats: [{type: rerank, path: /v1/rerank}]}}, baseUrl: 'http://h/v1'",
                all(&[(Way::CohereRerank, "http://h/v1/rerank")]),
            ),
            (
                "provider: {custom: {formats: [{type: messages}, {type: anthropicTokenCount}]}}, baseUrl: 'http://h'",
                all(&[(Way::Count, "http://h/v1/messages/count_tokens")]),
            ),
            ("provider: {custom: {formats: [{type: completions}]}}, baseUrl: 'http://h'", all(&[])),
            ("provider: {openAI: {}}, pathOverride: /chat", all(&[])),
            (
                "provider: {custom: {formats: [{type: embeddings}]}}, baseUrl: 'http://h', pathOverride: /e",
                all(&[(Way::OpenAiEmbeddings, "http://h/e")]),
            ),
        ] {
            assert_eq!(served(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn vertex_has_one_project_and_ranking_at_a_host_of_its_own() {
        let of = |more: &str| served(&format!("provider: {{vertex: {{projectId: p{more}}}}}"));
        let models = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/publishers";
        let ranking = "https://us-discoveryengine.googleapis.com/v1/projects/p/locations/us/rankingConfigs";
        assert_eq!(
            of(", region: us-central1"),
            [
                (Way::VertexPredict, format!("{models}/google/models/m%2F1:predict")),
                (Way::VertexEmbedContent, format!("{models}/google/models/m%2F1:embedContent")),
                (Way::VertexCount, format!("{models}/google/models/m%2F1:countTokens")),
                (Way::Count, format!("{models}/anthropic/models/count-tokens:rawPredict")),
                (Way::VertexRank, format!("{ranking}/default_ranking_config:rank")),
            ]
        );
        let rank = |more: &str| of(more).into_iter().find(|(way, _)| *way == Way::VertexRank).map(|(_, url)| url);
        for (more, host, location) in [
            ("", "https://discoveryengine.googleapis.com", "global"),
            (", region: eu", "https://eu-discoveryengine.googleapis.com", "eu"),
            (", region: europe-west4", "https://eu-discoveryengine.googleapis.com", "eu"),
            ("}}, baseUrl: 'http://h', policies: {ai: {", "http://h", "global"),
        ] {
            let path = format!("/v1/projects/p/locations/{location}/rankingConfigs/default_ranking_config:rank");
            assert_eq!(rank(more), Some(format!("{host}{path}")), "{more}");
        }
        assert_eq!(rank(", region: asia-northeast1"), None, "texts stay in their part of the world");
    }
}
