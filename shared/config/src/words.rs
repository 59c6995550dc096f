//! Words that agentgateway has, or that a later version of this gateway will have, and that this version does not serve.
//!
//! They are errors, never ignored: a prompt guard that is silently skipped is worse than a file that does not load.

use crate::tree::{Path, Step};

/// agentgateway's top-level blocks.
const TOP: &[&str] = &[
    "backends",
    "binds",
    "config",
    "frontendPolicies",
    "gateways",
    "listeners",
    "llm",
    "mcp",
    "policies",
    "routeGroups",
    "routes",
    "services",
    "ui",
    "workloads",
];

/// Blocks of this gateway that are designed and not there yet.
const LATER: &[&str] = &["cache", "guards", "prices"];

/// agentgateway's `policies.ai`, and what earlier versions of it read directly in a provider.
const AI: &[&str] = &["compression", "postConversionTransformations", "streaming", "transformations"];

/// agentgateway's other guards, and what else stands beside a guard.
const GUARDS: &[&str] =
    &["azureContentSafety", "bedrockGuardrails", "googleModelArmor", "openAIModeration", "regex", "rejection"];

/// agentgateway's newer settings of a webhook.
const WEBHOOK: &[&str] = &["messageFormat", "minSizeBytes", "path"];

/// agentgateway's ways to name a backend.
const BACKENDS: &[&str] = &["backend", "service"];

/// agentgateway's policies of a backend or a route.
const POLICIES: &[&str] = &[
    "a2a",
    "apiKey",
    "authorization",
    "backendTunnel",
    "basicAuth",
    "cors",
    "csrf",
    "directResponse",
    "extAuthz",
    "extMcp",
    "extProc",
    "health",
    "http",
    "inferenceRouting",
    "jwtAuth",
    "localRateLimit",
    "mcpAuthentication",
    "mcpAuthorization",
    "mcpGuardrails",
    "oidc",
    "remoteRateLimit",
    "requestHeaderModifier",
    "requestMirror",
    "requestRedirect",
    "responseHeaderModifier",
    "retry",
    "tcp",
    "timeout",
    "transformations",
    "urlRewrite",
];

/// agentgateway's `backendTLS`.
const TLS: &[&str] = &["alpn", "cert", "key", "subjectAltNames"];

/// agentgateway's ways to switch certificate verification off.
const INSECURE: &[&str] = &["insecure", "insecureHost"];

/// agentgateway's `backendAuth`.
const AUTH: &[&str] = &["copilot", "credentials", "crossAppAccess", "oauthTokenExchange", "passthrough"];

/// agentgateway's way to tokens of Entra ID by the tools on a developer's machine.
const AZURE_AUTH: &[&str] = &["developerImplicit"];

const AZURE_REMEDY: &str = "use {azure: {implicit: {}}}, or {azure: {explicitConfig: ..}} with clientSecret, managedIdentity or workloadIdentity";

/// agentgateway's explicit AWS credentials.
const AWS: &[&str] = &["accessKeyId", "assumeRole", "region", "secretAccessKey", "serviceName", "sessionToken"];

/// agentgateway's provider kinds.
const PROVIDERS: &[&str] = &["azureOpenAI", "azureopenai"];

const REMOVE: &str = "remove it";

/// What to say about an unknown key in the mapping at `parent`.
pub(crate) fn unserved_key(parent: &Path, key: &str) -> Option<(String, &'static str)> {
    let agentgateway = || format!("`{key}` is known in agentgateway, not served by this version yet");
    let later = || format!("`{key}` is not served by this version yet");
    let is = |list: &[&str]| list.contains(&key);
    let found = match parent.last_key() {
        None if is(TOP) => {
            (agentgateway(), "only the `ai` block of an agentgateway file is read: move it to the top level")
        }
        None if is(LATER) => (later(), REMOVE),
        Some("policies") if is(POLICIES) => (agentgateway(), REMOVE),
        Some("policies" | "providers") if key == "promptGuard" => {
            ("`promptGuard` does not stand here".to_owned(), "move it to `ai.promptGuard`")
        }
        Some("request" | "response") if is(GUARDS) => {
            (agentgateway(), "a guard is a `webhook`; what it rejects with is the webhook's answer")
        }
        Some("webhook") if is(WEBHOOK) => {
            (agentgateway(), "remove it; the path is that of `target.url`, or `pathPrefix`")
        }
        Some("policies") if is(AI) => (agentgateway(), REMOVE),
        Some("ai" | "providers") if is(AI) || is(POLICIES) => (agentgateway(), REMOVE),
        Some("backendTLS") if is(INSECURE) => (
            format!("`{key}` is known in agentgateway and not served: certificates are always verified"),
            "name the certificate authority's PEM file in `root`",
        ),
        Some("backendTLS") if is(TLS) => (agentgateway(), REMOVE),
        Some("backendAuth") if is(AUTH) => (agentgateway(), "use `key`, `aws`, `azure` or `gcp`"),
        Some("azure" | "explicitConfig") if is(AZURE_AUTH) => (agentgateway(), AZURE_REMEDY),
        Some("gcp") if key == "audience" => (agentgateway(), "remove it; access tokens have none"),
        Some("key") if key == "location" => {
            (agentgateway(), "remove it; the key goes into the header that the provider expects")
        }
        Some("aws") if is(AWS) => (
            format!("`{key}` is known in agentgateway and not served: only the ambient AWS credentials are used"),
            "write {aws: {}}; the region belongs to the provider",
        ),
        _ => return None,
    };
    Some(found)
}

/// What to say about an unknown word or kind at `path`.
pub(crate) fn unserved_choice(path: &Path, found: &str) -> Option<(String, &'static str)> {
    let mut steps = path.0.as_slice();
    if let [rest @ .., Step::Key(last)] = steps
        && last == found
    {
        steps = rest;
    }
    let block = steps.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    match block {
        Some("provider") if PROVIDERS.contains(&found) => Some((
            format!("provider `{found}` is not served by this version yet"),
            "it is named `azure` now: {azure: {resourceName: .., resourceType: openAI}}",
        )),
        Some("target") if BACKENDS.contains(&found) => Some((
            format!("`{found}` is known in agentgateway and not served: there are no backends here"),
            "write the address itself: {host: \"host:port\"}, {url: https://..} or {lambda: arn:..}",
        )),
        Some("backendAuth") if AUTH.contains(&found) => {
            let message = format!("`{found}` is known in agentgateway, not served by this version yet");
            Some((message, "use `key`, `aws`, `azure` or `gcp`"))
        }
        Some("azure" | "explicitConfig") if AZURE_AUTH.contains(&found) => {
            Some((format!("`{found}` is known in agentgateway, not served by this version yet"), AZURE_REMEDY))
        }
        _ => None,
    }
}
