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
    let served =
        ways.into_iter().map(|(way, dialect, path)| Ok(Served { way, dialect, address: path.below(&base, entry)? }));
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
        Provider::OpenAi(_) => vec![embeddings("/v1", "")],
        Provider::Anthropic(_) => vec![count("/v1")],
        Provider::Gemini(_) => gemini("/v1beta"),
        Provider::Azure(azure) => {
            let (root, query) = endpoints::azure_root(azure);
            let claude = (azure.resource_type == AzureResourceType::Foundry).then(|| count("/anthropic/v1"));
            std::iter::once(embeddings(&root, &query)).chain(claude).collect()
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
        Provider::Vertex(vertex) => vertex_google(vertex),
        Provider::Bedrock(_) | Provider::Copilot(_) => Vec::new(),
    }
}

fn embeddings(root: &str, query: &str) -> (Way, Dialect, Path) {
    (Way::OpenAiEmbeddings, Dialect::Chat, Path::unary(Dialect::Chat, root, &format!("/embeddings{query}")))
}

/// Its embeddings. <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>.
fn vertex_google(vertex: &Vertex) -> Vec<(Way, Dialect, Path)> {
    let dialect = Dialect::GenerateContent;
    let below = format!("/projects/{}/locations/{}/publishers/google", vertex.project_id, vertex.region());
    let at = |way, method| (way, dialect, Path::unary(dialect, "/v1", &format!("{below}/models/{{model}}:{method}")));
    vec![at(Way::VertexPredict, "predict"), at(Way::VertexEmbedContent, "embedContent")]
}

/// <https://docs.anthropic.com/en/api/messages-count-tokens>.
fn count(root: &str) -> (Way, Dialect, Path) {
    (Way::Count, Dialect::Messages, Path::unary(Dialect::Messages, root, "/messages/count_tokens"))
}

/// <https://ai.google.dev/api/embeddings>, <https://ai.google.dev/api/tokens>.
fn gemini(root: &str) -> Vec<(Way, Dialect, Path)> {
    let dialect = Dialect::GenerateContent;
    vec![
        (Way::GeminiEmbeddings, dialect, Path::unary(dialect, root, "/models/{model}:batchEmbedContents")),
        (Way::Count, dialect, Path::unary(dialect, root, "/models/{model}:countTokens")),
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
        let counts = served.iter().any(|one| one.way == Way::Count && one.dialect == answers.dialect);
        return Ok(Service { target: answers, way: if counts { Way::Count } else { Way::Estimate } });
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
            ("provider: {openAI: {}}", all(&[(Way::OpenAiEmbeddings, "https://api.openai.com/v1/embeddings")])),
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
            (
                "provider: {vertex: {projectId: p, region: us-central1}}, baseUrl: 'http://h'",
                all(&[
                    (
                        Way::VertexPredict,
                        "http://h/v1/projects/p/locations/us-central1/publishers/google/models/m%2F1:predict",
                    ),
                    (
                        Way::VertexEmbedContent,
                        "http://h/v1/projects/p/locations/us-central1/publishers/google/models/m%2F1:embedContent",
                    ),
                ]),
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
}
