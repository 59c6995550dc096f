//! Faults, both ways.

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tollgate_wire::codec::{Dialect, decode_fault, encode_error};
use tollgate_wire::ir::{Fault, FaultKind};

fn decode(status: u16, body: &str) -> Fault {
    decode_fault(Dialect::Chat, StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
}

fn encode(fault: &Fault) -> Value {
    serde_json::from_slice(&encode_error(Dialect::Chat, fault, "req-1")).unwrap()
}

fn error(code: Value, kind: &str) -> String {
    json!({"error": {"message": "m", "type": kind, "param": null, "code": code}}).to_string()
}

#[test]
fn a_code_says_more_than_a_status() {
    for (status, code, kind) in [
        (400, "context_length_exceeded", FaultKind::ContextLength),
        (400, "content_filter", FaultKind::ContentFilter),
        (400, "content_policy_violation", FaultKind::ContentFilter),
        (429, "insufficient_quota", FaultKind::QuotaExhausted),
        (429, "rate_limit_exceeded", FaultKind::RateLimited),
        (401, "invalid_api_key", FaultKind::Authentication),
        (400, "model_not_found", FaultKind::NotFound),
        (503, "slow_down", FaultKind::Overloaded),
    ] {
        let fault = decode(status, &error(json!(code), "invalid_request_error"));
        assert_eq!(fault.kind, kind, "{code}");
        assert_eq!(fault.code.as_deref(), Some(code));
        assert_eq!(fault.status, Some(status));
    }
    assert_eq!(decode(429, &error(Value::Null, "insufficient_quota")).kind, FaultKind::QuotaExhausted);
}

#[test]
fn without_a_known_code_the_status_decides() {
    for (status, kind) in [
        (400, FaultKind::InvalidRequest),
        (401, FaultKind::Authentication),
        (403, FaultKind::Permission),
        (404, FaultKind::NotFound),
        (429, FaultKind::RateLimited),
        (500, FaultKind::Api),
        (503, FaultKind::Overloaded),
    ] {
        assert_eq!(decode(status, &error(json!("something_new"), "server_error")).kind, kind, "{status}");
    }
}

#[test]
fn a_context_that_is_too_long_is_known_by_words_too() {
    let body =
        json!({"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400});
    assert_eq!(decode(400, &body.to_string()).kind, FaultKind::ContextLength);
    assert_eq!(decode(500, &body.to_string()).kind, FaultKind::Api);
}

#[test]
fn every_form_of_body_has_its_message() {
    for (body, message) in [
        (r#"{"error":{"message":"a"}}"#, "a"),
        (r#"{"error":"b"}"#, "b"),
        (r#"{"message":"c"}"#, "c"),
        (r#"{"detail":"d"}"#, "d"),
        (r#"{"detail":[{"loc":["body"],"msg":"e"},{"msg":"f"}]}"#, "e; f"),
        (r#"[{"error":{"message":"g"}}]"#, "g"),
        ("upstream connect error", "upstream connect error"),
        ("<html><body>502</body></html>", "the provider answered 502 Bad Gateway"),
        ("", "the provider answered 502 Bad Gateway"),
        ("{}", "the provider answered 502 Bad Gateway"),
        ("null", "the provider answered 502 Bad Gateway"),
    ] {
        assert_eq!(decode(502, body).message, message, "{body}");
    }
}

#[test]
fn a_json_body_is_kept_and_a_page_is_not() {
    assert!(decode(400, r#"{"error":{"message":"a"}}"#).body.is_some());
    assert!(decode(502, "<html>").body.is_none());
}

#[test]
fn keys_do_not_reach_a_client_and_long_messages_are_cut() {
    let fault = decode(401, r#"{"error":{"message":"Incorrect API key provided: sk-proj-abcdef"}}"#);
    assert_eq!(fault.message, "Incorrect API key provided: [redacted]");
    let long = json!({"error": {"message": "ä".repeat(10_000)}}).to_string();
    assert_eq!(decode(400, &long).message.chars().count(), 2_000);
}

#[test]
fn a_fault_becomes_openais_error_body() {
    let fault = Fault::new(FaultKind::InvalidRequest, "messages: required").with_param("messages").with_code("x");
    let expected = json!({"error": {"message": "messages: required", "type": "invalid_request_error", "param": "messages", "code": "x"}});
    assert_eq!(encode(&fault), expected);
}

#[test]
fn every_kind_has_a_type_and_the_code_that_programs_look_for() {
    for (kind, name, code) in [
        (FaultKind::InvalidRequest, "invalid_request_error", Value::Null),
        (FaultKind::ContextLength, "invalid_request_error", json!("context_length_exceeded")),
        (FaultKind::ContentFilter, "invalid_request_error", json!("content_policy_violation")),
        (FaultKind::Authentication, "invalid_request_error", json!("invalid_api_key")),
        (FaultKind::Permission, "request_forbidden", Value::Null),
        (FaultKind::NotFound, "invalid_request_error", Value::Null),
        (FaultKind::MethodNotAllowed, "invalid_request_error", json!("method_not_supported")),
        (FaultKind::Conflict, "invalid_request_error", Value::Null),
        (FaultKind::TooLarge, "invalid_request_error", Value::Null),
        (FaultKind::UnsupportedMedia, "invalid_request_error", Value::Null),
        (FaultKind::RateLimited, "rate_limit_error", json!("rate_limit_exceeded")),
        (FaultKind::QuotaExhausted, "insufficient_quota", json!("insufficient_quota")),
        (FaultKind::Api, "server_error", Value::Null),
        (FaultKind::Overloaded, "service_unavailable_error", json!("server_is_overloaded")),
        (FaultKind::Timeout, "server_error", json!("timeout")),
        (FaultKind::NotImplemented, "invalid_request_error", Value::Null),
    ] {
        let body = encode(&Fault::new(kind, "m"));
        assert_eq!((&body["error"]["type"], &body["error"]["code"]), (&json!(name), &code), "{kind:?}");
    }
}
