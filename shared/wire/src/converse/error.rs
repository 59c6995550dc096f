//! Errors: Bedrock's to a fault. <https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html>, and the errors of
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::types::ErrorBody;
use crate::fault::{aws_kind, code_of, kind_of_status, refine, scrub};
use crate::ir::{Fault, FaultKind};
use crate::json;

/// Longest message that is repeated to a client, in characters.
const MAX_MESSAGE_CHARS: usize = 2000;

/// Reads an upstream's non-2xx answer. The error's type stands in the header `x-amzn-ErrorType`, or in the body.
pub fn decode_fault(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Fault {
    let error: Option<ErrorBody> = json::read(body).ok();
    let is_json = error.is_some() || json::read::<IgnoredAny>(body).is_ok();
    let error = error.unwrap_or_default();
    let in_header = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let in_body = error.r#type.as_deref().or_else(|| error.code.as_ref().and_then(Value::as_str));
    let fallback = || format!("the upstream answered with status {}", status.as_u16());
    let mut fault = fault_of(in_header.or(in_body), &error, kind_of_status(status), fallback);
    fault.status = Some(status.as_u16());
    fault.body = is_json.then(|| Bytes::copy_from_slice(body));
    fault
}

/// An exception or error frame of a stream. An exception says in its payload what happened, an error in a header.
pub(super) fn stream_fault(exception: &str, payload: &[u8], text: Option<&str>) -> Fault {
    let mut error: ErrorBody = json::read(payload).unwrap_or_default();
    error.message = text.map(str::to_owned).or(error.message);
    fault_of(Some(exception), &error, FaultKind::Api, || "the upstream reported an error in its stream".to_owned())
}

fn fault_of(name: Option<&str>, error: &ErrorBody, otherwise: FaultKind, fallback: impl Fn() -> String) -> Fault {
    let said = [&error.message, &error.capital_message, &error.original_message];
    let message = said.into_iter().flatten().find(|text| !text.trim().is_empty());
    let message: String = match message {
        Some(text) => scrub(text).chars().take(MAX_MESSAGE_CHARS).collect(),
        None => fallback(),
    };
    // Bedrock has one exception for all that is wrong with a request; only its text tells which.
    let kind = refine(name.and_then(aws_kind).unwrap_or(otherwise), &message);
    Fault { code: code_of(kind, &message), ..Fault::new(kind, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, header: Option<&'static str>, body: &str) -> Fault {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("x-amzn-ErrorType", header.parse().unwrap());
        }
        decode_fault(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn every_error_of_converse_has_its_kind() {
        let rows = [
            (403, "AccessDeniedException", FaultKind::Permission),
            (500, "InternalServerException", FaultKind::Api),
            (424, "ModelErrorException", FaultKind::Api),
            (429, "ModelNotReadyException", FaultKind::Overloaded),
            (408, "ModelTimeoutException", FaultKind::Timeout),
            (404, "ResourceNotFoundException", FaultKind::NotFound),
            (400, "ServiceQuotaExceededException", FaultKind::QuotaExhausted),
            (503, "ServiceUnavailableException", FaultKind::Overloaded),
            (429, "ThrottlingException", FaultKind::RateLimited),
            (400, "ValidationException", FaultKind::InvalidRequest),
            (403, "UnrecognizedClientException", FaultKind::Authentication),
            (403, "ExpiredTokenException:http://internal.amazon.com/coral/", FaultKind::Authentication),
        ];
        for (status, name, kind) in rows {
            let got = fault(status, Some(name), r#"{"message":"m"}"#);
            assert_eq!((got.kind, got.status, got.message.as_str()), (kind, Some(status), "m"), "{name}");
        }
    }

    #[test]
    fn the_type_may_stand_in_the_body() {
        let got =
            fault(400, None, r#"{"__type":"com.amazon.coral.service#ThrottlingException","Message":"slow down"}"#);
        assert_eq!((got.kind, got.message.as_str()), (FaultKind::RateLimited, "slow down"));
    }

    #[test]
    fn an_error_without_a_type_has_the_kind_of_its_status() {
        let got = fault(503, None, r#"{"message":null}"#);
        assert_eq!(got.kind, FaultKind::Overloaded);
        assert_eq!(got.message, "the upstream answered with status 503");
        assert!(got.body.is_some());
    }

    #[test]
    fn a_prompt_that_does_not_fit_is_told_apart() {
        for text in [
            "Input is too long for requested model.",
            "The model returned the following errors: prompt is too long: 212345 tokens > 200000 maximum",
            "Too many input tokens. Max input tokens: 8192, request input token count: 9000",
            "input length and `max_tokens` exceed context limit: 199000 + 8000 > 200000",
        ] {
            let got = fault(400, Some("ValidationException"), &serde_json::json!({ "message": text }).to_string());
            assert_eq!(got.kind, FaultKind::ContextLength, "{text}");
            assert_eq!(got.code.as_deref(), Some("context_length_exceeded"));
        }
        let throttled = fault(
            429,
            Some("ThrottlingException"),
            r#"{"message":"Too many tokens, please wait before trying again."}"#,
        );
        assert_eq!(throttled.kind, FaultKind::RateLimited);
    }

    #[test]
    fn a_model_that_does_not_exist_and_a_filter_are_told_apart() {
        let got = fault(400, Some("ValidationException"), r#"{"message":"The provided model identifier is invalid."}"#);
        assert_eq!((got.kind, got.code.as_deref()), (FaultKind::NotFound, Some("model_not_found")));
        let got =
            fault(400, Some("ValidationException"), r#"{"message":"Output blocked by content filtering policy"}"#);
        assert_eq!(got.kind, FaultKind::ContentFilter);
    }

    #[test]
    fn the_account_does_not_reach_a_client_and_a_long_message_is_cut() {
        let body = r#"{"Message":"User: arn:aws:sts::123456789012:assumed-role/gateway/x is not authorized to perform: bedrock:InvokeModel"}"#;
        let got = fault(403, Some("AccessDeniedException"), body);
        assert_eq!(got.message, "User: [arn] is not authorized to perform: bedrock:InvokeModel");
        let long = format!(r#"{{"message":"{}"}}"#, "ä".repeat(5000));
        assert_eq!(fault(400, None, &long).message.chars().count(), MAX_MESSAGE_CHARS);
    }

    #[test]
    fn a_page_of_a_proxy_is_neither_repeated_nor_kept() {
        let got = fault(502, None, "<html>bad gateway at 10.0.0.7</html>");
        assert_eq!((got.kind, got.message.as_str()), (FaultKind::Api, "the upstream answered with status 502"));
        assert_eq!(got.body, None);
    }
}
