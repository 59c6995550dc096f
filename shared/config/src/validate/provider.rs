//! Checks of provider entries.

use super::ai::check_alias_targets;
use super::{MAX_TIMEOUT_MS, Report};
use crate::address::{Address, host_and_port, no_variables};
use crate::tree::Path;
use crate::{
    AssignedIdentity, Azure, AzureAuth, AzureCredentials, AzureResourceType, BackendAuth, Bedrock, Config, Custom,
    Provider, ProviderEntry, Vertex, WorkloadToken,
};

const MAX_WEIGHT: u32 = 1_000_000;

pub(super) fn check_entry(entry: &ProviderEntry, path: &Path, report: &mut Report<'_>) {
    check_name(&entry.name, &path.key("name"), report);
    if entry.weight > MAX_WEIGHT {
        report.add(
            &path.key("weight"),
            format!("is more than {MAX_WEIGHT}"),
            "weights are shares; smaller ones say the same",
        );
    }
    check_address(entry, path, report);
    check_paths(entry, path, report);
    check_timeouts(entry, &path.key("timeouts"), report);
    check_auth(entry, &path.key("policies").key("backendAuth"), report);
    if let Some(ai) = &entry.policies.ai {
        check_alias_targets(&ai.model_aliases, &path.key("policies").key("ai").key("modelAliases"), report);
    }
    let kind = path.key("provider");
    if let Some(model) = entry.provider.model() {
        let path = kind.key(config_key(&entry.provider)).key("model");
        report.not_blank(&path, model);
        if let Some(error) = no_variables(model) {
            report.add(&path, error, "");
        }
    }
    match &entry.provider {
        Provider::Bedrock(bedrock) => {
            let path = kind.key("bedrock");
            check_bedrock(bedrock, &path, report);
            let placed = bedrock.region.is_some() || entry.base_url.is_some() || entry.host_override.is_some();
            if bedrock.open_ai_endpoint.is_some() && !placed {
                let message = "its host needs a region, and the environment's is not known yet";
                report.add(&path.key("openAIEndpoint"), message, "add region");
            }
        }
        Provider::Azure(azure) => check_azure(azure, entry, &kind.key("azure"), report),
        Provider::Vertex(vertex) => check_vertex(vertex, &kind.key("vertex"), report),
        Provider::Copilot(copilot) => {
            check_token_url(copilot.token_url.as_deref(), &kind.key("copilot").key("tokenUrl"), report);
        }
        Provider::Custom(custom) => check_custom(custom, entry, path, report),
        Provider::OpenAi(_) | Provider::Anthropic(_) | Provider::Gemini(_) => {}
    }
}

fn config_key(provider: &Provider) -> &'static str {
    match provider {
        Provider::OpenAi(_) => "openAI",
        Provider::Anthropic(_) => "anthropic",
        Provider::Bedrock(_) => "bedrock",
        Provider::Gemini(_) => "gemini",
        Provider::Azure(_) => "azure",
        Provider::Vertex(_) => "vertex",
        Provider::Copilot(_) => "copilot",
        Provider::Custom(_) => "custom",
    }
}

/// Names stand in response headers.
fn check_name(name: &str, path: &Path, report: &mut Report<'_>) {
    report.not_blank(path, name);
    if name.len() > 128 || name.bytes().any(|b| !(b.is_ascii_graphic() || b == b' ')) {
        report.add(path, "is not a plain name", "use at most 128 ASCII letters, digits and signs");
    }
}

fn check_address(entry: &ProviderEntry, path: &Path, report: &mut Report<'_>) {
    if entry.base_url.is_some() && entry.host_override.is_some() {
        report.add(path, "baseUrl and hostOverride exclude each other", "keep baseUrl");
    }
    if let Some(text) = &entry.base_url
        && let Err(error) = Address::parse(text)
    {
        report.add(&path.key("baseUrl"), error, "write a URL such as https://proxy.example:8443/openai");
    }
    if let Some(text) = &entry.host_override {
        match host_and_port(text) {
            Err(error) => report.add(&path.key("hostOverride"), error, "write host:port, or use baseUrl"),
            Ok((_, None)) => report.add(&path.key("hostOverride"), "has no port", "write host:port, or use baseUrl"),
            Ok(_) => {}
        }
    }
    check_tls_hostname(entry, &path.key("policies").key("backendTLS").key("hostname"), report);
}

/// The host of the address is what the certificate is verified against; another name is not served.
fn check_tls_hostname(entry: &ProviderEntry, path: &Path, report: &mut Report<'_>) {
    let Some(hostname) = entry.policies.backend_tls.as_ref().and_then(|tls| tls.hostname.as_ref()) else { return };
    let of_url = || Address::parse(entry.base_url.as_deref()?).ok().map(|address| address.host);
    let of_override = || host_and_port(entry.host_override.as_deref()?).ok().map(|(host, _)| host);
    let own = || match entry.provider {
        Provider::OpenAi(_) => Some("api.openai.com".to_owned()),
        Provider::Anthropic(_) => Some("api.anthropic.com".to_owned()),
        Provider::Gemini(_) => Some("generativelanguage.googleapis.com".to_owned()),
        _ => None,
    };
    if of_url().or_else(of_override).or_else(own).is_none_or(|host| !host.eq_ignore_ascii_case(hostname)) {
        report.add(
            path,
            "is not the host of the address, and verifying another name is not served by this version yet",
            "remove it, or use that host in baseUrl",
        );
    }
}

fn check_paths(entry: &ProviderEntry, path: &Path, report: &mut Report<'_>) {
    for (key, text) in [("pathOverride", &entry.path_override), ("pathPrefix", &entry.path_prefix)] {
        let Some(text) = text else { continue };
        let path = path.key(key);
        check_path(text, &path, report);
        match entry.provider {
            Provider::Bedrock(Bedrock { open_ai_endpoint: Some(_), .. }) => {}
            Provider::Bedrock(_) => {
                report.add(&path, "bedrock's paths are the AWS SDK's", "remove it; baseUrl names another endpoint");
            }
            Provider::Azure(_) => {
                report.add(&path, "azure's paths follow from its settings", "remove it; baseUrl names another host");
            }
            Provider::Gemini(_) | Provider::Vertex(_) if key == "pathOverride" => {
                report.add(&path, "its paths have the model in them", "remove it, or use pathPrefix or baseUrl");
            }
            _ => {}
        }
    }
    if entry.path_override.is_some() && entry.path_prefix.is_some() {
        report.add(path, "pathOverride and pathPrefix exclude each other", "keep one");
    }
    let has_path = |url: &String| Address::parse(url).is_ok_and(|address| !address.path.is_empty());
    if entry.path_prefix.is_some() && entry.base_url.as_ref().is_some_and(has_path) {
        report.add(&path.key("pathPrefix"), "baseUrl has a path already", "put the whole prefix into baseUrl");
    }
}

pub(super) fn check_path(text: &str, path: &Path, report: &mut Report<'_>) {
    let odd = text.contains(['?', '#']) || text.bytes().any(|b| !b.is_ascii_graphic());
    if !text.starts_with('/') || odd {
        report.add(path, "is not a path", "start it with /, without query, fragment and blanks");
    }
}

fn check_timeouts(entry: &ProviderEntry, path: &Path, report: &mut Report<'_>) {
    let timeouts = entry.timeouts;
    for (key, value) in
        [("connectMs", timeouts.connect_ms), ("firstByteMs", timeouts.first_byte_ms), ("idleMs", timeouts.idle_ms)]
    {
        report.in_range(&path.key(key), value, MAX_TIMEOUT_MS);
    }
}

fn check_auth(entry: &ProviderEntry, path: &Path, report: &mut Report<'_>) {
    let write_key = "write backendAuth: {key: ..}";
    match (&entry.provider, &entry.policies.backend_auth) {
        (Provider::Vertex(_), Some(BackendAuth::Key(_))) => {
            report.add(&path.key("key"), "Vertex takes tokens, not keys", "write backendAuth: {gcp: {credential: ..}}");
        }
        (Provider::Azure(_), Some(BackendAuth::Azure(auth))) => check_entra(auth, &path.key("azure"), report),
        (Provider::Bedrock(_), Some(BackendAuth::Aws(_)))
        | (Provider::Vertex(_), Some(BackendAuth::Gcp(_)))
        | (_, None | Some(BackendAuth::Key(_))) => {}
        (_, Some(BackendAuth::Aws(_))) => {
            report.add(&path.key("aws"), "AWS credentials are for bedrock only", write_key);
        }
        (_, Some(BackendAuth::Azure(_))) => {
            report.add(&path.key("azure"), "tokens of Entra ID are for azure only", write_key);
        }
        (_, Some(BackendAuth::Gcp(_))) => {
            report.add(&path.key("gcp"), "tokens of Google Cloud are for vertex only", write_key);
        }
    }
}

fn check_entra(auth: &AzureAuth, path: &Path, report: &mut Report<'_>) {
    let credentials = match auth {
        AzureAuth::Implicit(token) => {
            check_token(&token.scope, &token.token_url, &path.key("implicit"), report);
            return;
        }
        AzureAuth::ExplicitConfig(credentials) => credentials,
    };
    let path = path.key("explicitConfig");
    match credentials {
        AzureCredentials::ClientSecret(client) => {
            let path = path.key("clientSecret");
            check_part(Some(&client.tenant_id), &path.key("tenantId"), report);
            check_part(Some(&client.client_id), &path.key("clientId"), report);
            check_token(&client.scope, &client.token_url, &path, report);
        }
        AzureCredentials::ManagedIdentity(identity) => {
            let path = path.key("managedIdentity");
            report_blank(identity.scope.as_deref(), &path.key("scope"), report);
            // Nothing secret goes there, and the metadata service has no certificate.
            if let Some(Err(error)) = identity.token_url.as_deref().map(Address::parse) {
                report.add(
                    &path.key("tokenUrl"),
                    error,
                    "write a URL such as http://169.254.169.254/metadata/identity/oauth2/token",
                );
            }
            let assigned = identity.user_assigned_identity.as_ref().map(|assigned| match assigned {
                AssignedIdentity::ClientId(id) => ("clientId", id),
                AssignedIdentity::ObjectId(id) => ("objectId", id),
                AssignedIdentity::ResourceId(id) => ("resourceId", id),
            });
            if let Some((key, id)) = assigned {
                report.not_blank(&path.key("userAssignedIdentity").key(key), id);
            }
        }
        AzureCredentials::WorkloadIdentity(workload) => {
            let path = path.key("workloadIdentity");
            check_part(workload.tenant_id.as_deref(), &path.key("tenantId"), report);
            check_part(workload.client_id.as_deref(), &path.key("clientId"), report);
            match &workload.token {
                Some(WorkloadToken::File(file)) => report.not_blank(&path.key("token").key("file"), file),
                Some(WorkloadToken::Aws(aws)) => {
                    let path = path.key("token").key("aws");
                    report_blank(aws.audience.as_deref(), &path.key("audience"), report);
                    check_part(aws.region.as_deref(), &path.key("region"), report);
                }
                None => {}
            }
            check_token(&workload.scope, &workload.token_url, &path, report);
        }
    }
}

fn check_token(scope: &Option<String>, url: &Option<String>, path: &Path, report: &mut Report<'_>) {
    report_blank(scope.as_deref(), &path.key("scope"), report);
    check_token_url(url.as_deref(), &path.key("tokenUrl"), report);
}

fn report_blank(text: Option<&str>, path: &Path, report: &mut Report<'_>) {
    if let Some(text) = text {
        report.not_blank(path, text);
    }
}

/// Secrets go there: never in the clear, but to this machine.
fn check_token_url(text: Option<&str>, path: &Path, report: &mut Report<'_>) {
    let Some(text) = text else { return };
    match Address::parse(text) {
        Err(error) => report.add(path, error, "write a URL such as https://login.example/token"),
        Ok(address) if !address.tls && !address.is_loopback() => {
            report.add(path, "is plain http, which would show the secret to the network", "use https");
        }
        Ok(_) => {}
    }
}

fn check_vertex(vertex: &Vertex, path: &Path, report: &mut Report<'_>) {
    let project = vertex.project_id.as_str();
    // Older projects belong to a domain: `example.com:project`.
    check_part(Some(&project.replacen(':', "-", 1)), &path.key("projectId"), report);
    check_part(vertex.region.as_deref(), &path.key("region"), report);
}

fn check_bedrock(bedrock: &Bedrock, path: &Path, report: &mut Report<'_>) {
    match (&bedrock.guardrail_identifier, &bedrock.guardrail_version) {
        (Some(_), None) => report.add(
            &path.key("guardrailIdentifier"),
            "guardrailVersion is missing beside it",
            "add guardrailVersion, a number in quotes or DRAFT",
        ),
        (None, Some(_)) => {
            report.add(
                &path.key("guardrailVersion"),
                "guardrailIdentifier is missing beside it",
                "add it, or remove this",
            );
        }
        _ => {}
    }
    for (key, text) in [
        ("region", &bedrock.region),
        ("guardrailIdentifier", &bedrock.guardrail_identifier),
        ("guardrailVersion", &bedrock.guardrail_version),
    ] {
        let Some(text) = text else { continue };
        report.not_blank(&path.key(key), text);
        if let Some(error) = no_variables(text) {
            report.add(&path.key(key), error, "");
        }
    }
    let odd = |b: u8| !(b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if bedrock.region.as_deref().is_some_and(|region| !region.starts_with('$') && region.trim().bytes().any(odd)) {
        report.add(&path.key("region"), "is not the name of an AWS region", "write one such as us-east-1");
    }
}

fn check_azure(azure: &Azure, entry: &ProviderEntry, path: &Path, report: &mut Report<'_>) {
    if azure.resource_name.is_none() && entry.base_url.is_none() && entry.host_override.is_none() {
        report.add(path, "the key `resourceName` is missing", "add it: the first part of the resource's host name");
    }
    for (key, text) in [
        ("resourceName", &azure.resource_name),
        ("apiVersion", &azure.api_version),
        ("projectName", &azure.project_name),
    ] {
        check_part(text.as_deref(), &path.key(key), report);
    }
    if azure.project_name.is_some() && azure.resource_type != AzureResourceType::Foundry {
        report.add(&path.key("projectName"), "only a Foundry resource has projects", "add resourceType: foundry");
    }
    let dated = azure.api_version.as_deref().is_some_and(|version| !matches!(version, "v1" | "preview"));
    if dated && azure.project_name.is_some() {
        report.add(&path.key("apiVersion"), "a project has the v1 API only", "remove apiVersion or projectName");
    }
}

/// A part of a host or a path: it must not be able to end it.
fn check_part(text: Option<&str>, path: &Path, report: &mut Report<'_>) {
    let Some(text) = text else { return };
    report.not_blank(path, text);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if let Some(error) = no_variables(text) {
        report.add(path, error, "");
    } else if !text.trim().bytes().all(plain) || text.contains("..") {
        report.add(path, "has characters that a name has not", "use letters, digits, `-`, `_` and `.` only");
    }
}

fn check_custom(custom: &Custom, entry: &ProviderEntry, path: &Path, report: &mut Report<'_>) {
    if entry.base_url.is_none() && entry.host_override.is_none() && custom.preset.is_none() {
        report.add(path, "a custom provider has no address", "add baseUrl, or a preset");
    }
    let path = path.key("provider").key("custom");
    if let Some(name) = &custom.provider_override {
        report.not_blank(&path.key("providerOverride"), name);
    }
    for (i, format) in custom.formats.iter().enumerate() {
        let path = path.key("formats").index(i);
        if let Some(text) = &format.path {
            check_path(text, &path.key("path"), report);
        }
        if custom.formats.iter().take(i).any(|earlier| earlier.kind == format.kind) {
            report.add(&path.key("type"), "stands in the list twice", "keep one");
        }
    }
}

/// One name, one provider: health and logs go by the name.
pub(super) fn check_names(config: &Config, report: &mut Report<'_>) {
    let mut known: Vec<&ProviderEntry> = Vec::new();
    for (path, entry) in entries(config) {
        match known.iter().find(|earlier| earlier.name == entry.name) {
            Some(earlier) if *earlier != entry => report.add(
                &path.key("name"),
                format!("`{}` is the name of another provider with other settings", entry.name),
                "choose another name, or make the entries equal",
            ),
            Some(_) => {}
            None => known.push(entry),
        }
    }
}

/// A provider at its public address answers 401 to everything without a key.
pub(super) fn check_keys(config: &Config, report: &mut Report<'_>) {
    for (path, entry) in entries(config) {
        let keyed = matches!(
            entry.provider,
            Provider::OpenAi(_)
                | Provider::Anthropic(_)
                | Provider::Gemini(_)
                | Provider::Azure(_)
                | Provider::Copilot(_)
        );
        let public = keyed && entry.base_url.is_none() && entry.host_override.is_none();
        if public && entry.policies.backend_auth.is_none() {
            report.add(
                &path.key("policies").key("backendAuth"),
                format!("`{}` has no key and would refuse every request", entry.name),
                "add backendAuth: {key: ..}",
            );
        }
    }
}

fn entries(config: &Config) -> Vec<(Path, &ProviderEntry)> {
    let default = (Path::of("ai.groups"), &config.ai.groups);
    let rules = config
        .ai
        .models
        .iter()
        .enumerate()
        .map(|(i, rule)| (Path::of("ai.models").index(i).key("groups"), &rule.groups));
    let mut found = Vec::new();
    for (path, groups) in std::iter::once(default).chain(rules) {
        for (g, group) in groups.iter().enumerate() {
            for (p, entry) in group.providers.iter().enumerate() {
                found.push((path.index(g).key("providers").index(p), entry));
            }
        }
    }
    found
}
