//! Errors as providers write them, and what each client makes of them.

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tollgate_wire::codec::{Dialect, decode_fault, encode_error};
use tollgate_wire::ir::FaultKind;

/// One error of a provider.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) upstream: Dialect,
    pub(crate) name: &'static str,
    pub(crate) status: u16,
    /// `x-amzn-errortype`.
    kind: Option<&'static str>,
    body: Value,
    expected: FaultKind,
}

/// Rate limit, overloaded, auth, not found, context too long, content filter, invalid: of each dialect.
pub(crate) fn failures() -> Vec<Failure> {
    [openai(Dialect::Chat), openai(Dialect::Responses), anthropic(), bedrock(), google()]
        .into_iter()
        .flatten()
        .collect()
}

fn openai(upstream: Dialect) -> Vec<Failure> {
    let param = if upstream == Dialect::Chat { "messages" } else { "input" };
    let row = |name, status, kind: &str, code: Option<&str>, message: &str, expected| {
        let param = (code == Some("context_length_exceeded")).then_some(param);
        let body = json!({"error": {"message": message, "type": kind, "param": param, "code": code}});
        Failure { upstream, name, status, kind: None, body, expected }
    };
    vec![
        row(
            "rate limit",
            429,
            "requests",
            Some("rate_limit_exceeded"),
            "Rate limit reached for gpt-4.1 on requests per min (RPM): Limit 3, Used 3, Requested 1.",
            FaultKind::RateLimited,
        ),
        row(
            "quota",
            429,
            "insufficient_quota",
            Some("insufficient_quota"),
            "You exceeded your current quota, please check your plan and billing details.",
            FaultKind::QuotaExhausted,
        ),
        row(
            "overloaded",
            503,
            "server_error",
            None,
            "The server is currently overloaded with other requests.",
            FaultKind::Overloaded,
        ),
        row(
            "internal",
            500,
            "server_error",
            None,
            "The server had an error while processing your request.",
            FaultKind::Api,
        ),
        row(
            "authentication",
            401,
            "invalid_request_error",
            Some("invalid_api_key"),
            "Incorrect API key provided.",
            FaultKind::Authentication,
        ),
        row(
            "permission",
            403,
            "invalid_request_error",
            Some("unsupported_country_region_territory"),
            "Country, region, or territory not supported",
            FaultKind::Permission,
        ),
        row(
            "not found",
            404,
            "invalid_request_error",
            Some("model_not_found"),
            "The model `m` does not exist or you do not have access to it.",
            FaultKind::NotFound,
        ),
        row(
            "context too long",
            400,
            "invalid_request_error",
            Some("context_length_exceeded"),
            "Your input exceeds the context window of this model.",
            FaultKind::ContextLength,
        ),
        row(
            "content filter",
            400,
            "invalid_request_error",
            Some("content_policy_violation"),
            "Your request was rejected as a result of our safety system.",
            FaultKind::ContentFilter,
        ),
        row("invalid", 400, "invalid_request_error", None, "Invalid value: 'x'.", FaultKind::InvalidRequest),
    ]
}

fn anthropic() -> Vec<Failure> {
    let row = |name, status, kind: &str, message: &str, expected| {
        let body = json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_up"});
        Failure { upstream: Dialect::Messages, name, status, kind: None, body, expected }
    };
    vec![
        row(
            "rate limit",
            429,
            "rate_limit_error",
            "This request would exceed your organization's rate limit.",
            FaultKind::RateLimited,
        ),
        row(
            "quota",
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API.",
            FaultKind::QuotaExhausted,
        ),
        row("overloaded", 529, "overloaded_error", "Overloaded", FaultKind::Overloaded),
        row("internal", 500, "api_error", "Internal server error", FaultKind::Api),
        row("authentication", 401, "authentication_error", "invalid x-api-key", FaultKind::Authentication),
        row("permission", 403, "permission_error", "Your API key does not have permission.", FaultKind::Permission),
        row("not found", 404, "not_found_error", "model: m", FaultKind::NotFound),
        row(
            "context too long",
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
            FaultKind::ContextLength,
        ),
        row(
            "content filter",
            400,
            "invalid_request_error",
            "Output blocked by content filtering policy",
            FaultKind::ContentFilter,
        ),
        row("too large", 413, "request_too_large", "Request exceeds the maximum size", FaultKind::TooLarge),
        row(
            "invalid",
            400,
            "invalid_request_error",
            "messages: at least one message is required",
            FaultKind::InvalidRequest,
        ),
    ]
}

fn bedrock() -> Vec<Failure> {
    let row = |name, status, kind, message: &str, expected| Failure {
        upstream: Dialect::Converse,
        name,
        status,
        kind: Some(kind),
        body: json!({ "message": message }),
        expected,
    };
    vec![
        row(
            "rate limit",
            429,
            "ThrottlingException",
            "Too many requests, please wait before trying again.",
            FaultKind::RateLimited,
        ),
        row(
            "quota",
            400,
            "ServiceQuotaExceededException",
            "Your request exceeds the service quota for your account.",
            FaultKind::QuotaExhausted,
        ),
        row(
            "overloaded",
            503,
            "ServiceUnavailableException",
            "Bedrock is unable to process your request.",
            FaultKind::Overloaded,
        ),
        row("internal", 500, "InternalServerException", "The system encountered an unexpected error.", FaultKind::Api),
        row(
            "authentication",
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            FaultKind::Authentication,
        ),
        row(
            "permission",
            403,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
            FaultKind::Permission,
        ),
        row(
            "not found",
            404,
            "ResourceNotFoundException",
            "Could not resolve the foundation model.",
            FaultKind::NotFound,
        ),
        row(
            "not found, by its name",
            400,
            "ValidationException",
            "The provided model identifier is invalid.",
            FaultKind::NotFound,
        ),
        row(
            "context too long",
            400,
            "ValidationException",
            "Input is too long for requested model.",
            FaultKind::ContextLength,
        ),
        row(
            "content filter",
            400,
            "ValidationException",
            "The content in this response was blocked by content filtering policy.",
            FaultKind::ContentFilter,
        ),
        row(
            "invalid",
            400,
            "ValidationException",
            "The model returned the following errors: messages: wrong",
            FaultKind::InvalidRequest,
        ),
        row("timeout", 408, "ModelTimeoutException", "The request took too long to process.", FaultKind::Timeout),
    ]
}

fn google() -> Vec<Failure> {
    let row = |name, status: u16, kind: &str, message: &str, expected| {
        let body = json!({"error": {"code": status, "message": message, "status": kind}});
        Failure { upstream: Dialect::GenerateContent, name, status, kind: None, body, expected }
    };
    let violation = json!({"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"});
    let mut quota = row(
        "quota",
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
        FaultKind::QuotaExhausted,
    );
    quota.body["error"]["details"] =
        json!([{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}]);
    vec![
        row(
            "rate limit",
            429,
            "RESOURCE_EXHAUSTED",
            "Resource exhausted. Please try again later.",
            FaultKind::RateLimited,
        ),
        quota,
        row(
            "overloaded",
            503,
            "UNAVAILABLE",
            "The model is overloaded. Please try again later.",
            FaultKind::Overloaded,
        ),
        row("internal", 500, "INTERNAL", "An internal error has occurred.", FaultKind::Api),
        row(
            "authentication",
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            FaultKind::Authentication,
        ),
        row("permission", 403, "PERMISSION_DENIED", "Permission denied on resource.", FaultKind::Permission),
        row("not found", 404, "NOT_FOUND", "models/m is not found for API version v1beta.", FaultKind::NotFound),
        // As Vertex AI says it.
        row(
            "not found at Vertex",
            404,
            "NOT_FOUND",
            "Publisher Model `projects/p/locations/l/publishers/google/models/m` was not found.",
            FaultKind::NotFound,
        ),
        row(
            "context too long",
            400,
            "INVALID_ARGUMENT",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            FaultKind::ContextLength,
        ),
        row("invalid", 400, "INVALID_ARGUMENT", "Invalid value at 'contents'.", FaultKind::InvalidRequest),
        row(
            "timeout",
            504,
            "DEADLINE_EXCEEDED",
            "Deadline expired before operation could complete.",
            FaultKind::Timeout,
        ),
    ]
}

impl Failure {
    fn fault(&self) -> tollgate_wire::ir::Fault {
        let mut headers = HeaderMap::new();
        if let Some(kind) = self.kind {
            headers.insert("x-amzn-errortype", kind.parse().unwrap());
        }
        let status = StatusCode::from_u16(self.status).unwrap();
        decode_fault(self.upstream, status, &headers, self.body.to_string().as_bytes())
    }

    /// What a client of this dialect reads: the type, and the code if there is one.
    pub(crate) fn for_client(&self, client: Dialect) -> String {
        let body: Value = serde_json::from_slice(&encode_error(client, &self.fault(), "req-7")).unwrap();
        let text = |key: &str| body["error"][key].as_str().map(str::to_owned);
        match client {
            Dialect::GenerateContent => text("status").unwrap(),
            _ => [text("type"), text("code")].into_iter().flatten().collect::<Vec<_>>().join(", "),
        }
    }
}

#[test]
fn every_error_of_every_provider_is_known_for_what_it_is() {
    let failures = failures();
    let wrong = failures.iter().filter(|failure| failure.fault().kind != failure.expected).map(|failure| {
        let kind = failure.fault().kind;
        format!("{:?}, {}: {kind:?} and not {:?}", failure.upstream, failure.name, failure.expected)
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
