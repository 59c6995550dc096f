//! Faults, both ways.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tollgate_wire::codec::{Dialect, decode_fault, encode_error};
use tollgate_wire::ir::{Fault, FaultKind};

fn decode(status: u16, error: Value) -> Fault {
    let body = json!({ "error": error }).to_string();
    decode_fault(Dialect::GenerateContent, StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
}

fn encode(fault: &Fault) -> Value {
    serde_json::from_slice(&encode_error(Dialect::GenerateContent, fault, "req-1")).unwrap()
}

fn detail(kind: &str, fields: Value) -> Value {
    let mut detail = fields;
    detail["@type"] = format!("type.googleapis.com/google.rpc.{kind}").into();
    detail
}

#[test]
fn a_name_and_a_reason_say_more_than_a_status() {
    let daily = detail(
        "QuotaFailure",
        json!({"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}),
    );
    let minutely =
        detail("QuotaFailure", json!({"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}));
    let reason = |reason: &str| json!([detail("ErrorInfo", json!({"reason": reason, "domain": "googleapis.com"}))]);
    for (status, name, details, message, kind) in [
        (400, "INVALID_ARGUMENT", json!([]), "bad", FaultKind::InvalidRequest),
        (400, "INVALID_ARGUMENT", reason("API_KEY_INVALID"), "API key not valid.", FaultKind::Authentication),
        (
            400,
            "INVALID_ARGUMENT",
            json!([]),
            "API key not valid. Please pass a valid API key.",
            FaultKind::Authentication,
        ),
        (
            400,
            "INVALID_ARGUMENT",
            json!([]),
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            FaultKind::ContextLength,
        ),
        (
            400,
            "FAILED_PRECONDITION",
            json!([]),
            "User location is not supported for the API use.",
            FaultKind::Permission,
        ),
        (401, "UNAUTHENTICATED", json!([]), "m", FaultKind::Authentication),
        (403, "PERMISSION_DENIED", reason("SERVICE_DISABLED"), "m", FaultKind::Permission),
        (404, "NOT_FOUND", json!([]), "models/x is not found", FaultKind::NotFound),
        (429, "RESOURCE_EXHAUSTED", json!([minutely]), "m", FaultKind::RateLimited),
        (429, "RESOURCE_EXHAUSTED", json!([daily]), "m", FaultKind::QuotaExhausted),
        (500, "INTERNAL", json!([]), "m", FaultKind::Api),
        (503, "UNAVAILABLE", json!([]), "The model is overloaded.", FaultKind::Overloaded),
        (504, "DEADLINE_EXCEEDED", json!([]), "m", FaultKind::Timeout),
        (418, "SOMETHING_NEW", json!([]), "m", FaultKind::InvalidRequest),
    ] {
        let fault = decode(status, json!({"code": status, "message": message, "status": name, "details": details}));
        assert_eq!((fault.kind, fault.status), (kind, Some(status)), "{status} {name} {message}");
        assert_eq!(fault.message, message);
    }
}

#[test]
fn the_wait_is_in_the_details() {
    let details = json!([detail("RetryInfo", json!({"retryDelay": "34.5s"}))]);
    let error = json!({"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": details});
    assert_eq!(decode(429, error).retry_after, Some(Duration::from_millis(34_500)));
}

#[test]
fn an_error_in_an_array_and_what_a_proxy_says_are_read() {
    let headers = HeaderMap::new();
    let read = |body: &str| decode_fault(Dialect::GenerateContent, StatusCode::BAD_REQUEST, &headers, body.as_bytes());
    let array = read(r#"[{"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}]"#);
    assert_eq!((array.kind, array.message.as_str()), (FaultKind::InvalidRequest, "no"));
    assert_eq!(read("<html>").message, "the provider answered 400 Bad Request");
    assert_eq!(read(r#"{"message": "by a proxy"}"#).message, "by a proxy");
}

#[test]
fn every_kind_has_its_code_and_status() {
    let rows: Vec<String> = FaultKind::ALL
        .iter()
        .map(|kind| {
            let error = &encode(&Fault::new(*kind, "m"))["error"];
            format!("{} {} {}", kind.name(), error["code"], error["status"])
        })
        .collect();
    insta::with_settings!({snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("error_rows", rows.join("\n"));
    });
}

#[test]
fn a_fault_is_written_as_it_is_read() {
    let fault = Fault::new(FaultKind::RateLimited, "slow down").with_code("rate_limit_exceeded").with_param("contents");
    let fault = Fault { retry_after: Some(Duration::from_secs(7)), ..fault };
    let written = encode(&fault);
    let details = &written["error"]["details"];
    assert_eq!(details[0]["reason"], "rate_limit_exceeded");
    assert_eq!(details[0]["metadata"]["param"], "contents");
    assert_eq!(details[2]["requestId"], "req-1");
    let again = decode(429, written["error"].clone());
    assert_eq!((again.kind, again.retry_after), (fault.kind, fault.retry_after));
    assert_eq!((again.message.as_str(), again.code.as_deref()), ("slow down", Some("rate_limit_exceeded")));
}

#[test]
fn an_openai_client_reads_the_code_that_its_programs_look_for_and_not_googles_status() {
    let message = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).";
    for (status, name, message, code) in [
        (400, "INVALID_ARGUMENT", message, "context_length_exceeded"),
        (429, "RESOURCE_EXHAUSTED", "m", "rate_limit_exceeded"),
        (503, "UNAVAILABLE", "m", "server_is_overloaded"),
        (504, "DEADLINE_EXCEEDED", "m", "timeout"),
    ] {
        let fault = decode(status, json!({"code": status, "message": message, "status": name}));
        let body: Value = serde_json::from_slice(&encode_error(Dialect::Chat, &fault, "req-1")).unwrap();
        assert_eq!(body["error"]["code"], code, "{name}");
    }
}
