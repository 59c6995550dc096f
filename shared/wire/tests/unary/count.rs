//! Token counts.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};
use tollgate_wire::count::Request;

use super::*;

const AGENT: &str = r#"{"model":"m","system":"Be brief.","messages":[{"role":"user","content":"How is the weather in Paris?"}],"tools":[{"name":"weather","description":"Weather by city","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}],"thinking":{"type":"enabled","budget_tokens":2000}}"#;

fn request(client: Dialect, body: &str) -> Unary {
    let betas = vec!["token-efficient-tools-2025-02-19".to_owned()];
    Unary::Count(Box::new(Request::decode(client, Bytes::copy_from_slice(body.as_bytes()), betas).unwrap()))
}

fn at(dialect: Dialect, carrier: Carrier, model: &str, way: Way) -> Service<'_> {
    Service { target: Target { dialect, carrier, model }, way }
}

fn plan(unary: &Unary, service: &Service<'_>) -> Plan {
    unary.start(service, &seed(), false).unwrap()
}

#[test]
fn a_conversation_is_counted_as_it_would_be_sent() {
    let mut out = format!("# client\n{AGENT}\n");
    for (dialect, carrier, model) in [
        (Dialect::Messages, Carrier::Direct, "claude-sonnet-4-5"),
        (Dialect::Messages, Carrier::Bedrock, "us.anthropic.claude-sonnet-4-20250514-v1:0"),
        (Dialect::Converse, Carrier::Bedrock, "amazon.nova-pro-v1:0"),
        (Dialect::GenerateContent, Carrier::Direct, "gemini-2.5-pro"),
    ] {
        let plan = plan(&request(Dialect::Messages, AGENT), &at(dialect, carrier, model, Way::Count));
        write!(out, "\n# {dialect:?}, {carrier:?}, {model}\n{}betas: {:?}\n", shown(&plan), plan.betas).unwrap();
        let value: Value = serde_json::from_slice(&plan.calls[0]).unwrap();
        if let Some(body) = value.pointer("/input/invokeModel/body").and_then(Value::as_str) {
            writeln!(out, "decoded: {}", String::from_utf8(STANDARD.decode(body).unwrap()).unwrap()).unwrap();
        }
    }
    golden("count_tokens", &out);
}

#[test]
fn the_number_is_the_upstreams() {
    let unary = request(Dialect::Messages, AGENT);
    for (dialect, carrier, upstream, expected) in [
        (Dialect::Messages, Carrier::Direct, r#"{"input_tokens":41, "more":1}"#, r#"{"input_tokens":41, "more":1}"#),
        (Dialect::Messages, Carrier::Bedrock, r#"{"inputTokens":41}"#, r#"{"input_tokens":41}"#),
        (Dialect::Converse, Carrier::Bedrock, r#"{"inputTokens":0}"#, r#"{"input_tokens":0}"#),
        (Dialect::GenerateContent, Carrier::Direct, r#"{"totalTokens":41}"#, r#"{"input_tokens":41}"#),
    ] {
        let plan = plan(&unary, &at(dialect, carrier, "claude-sonnet-4-5", Way::Count));
        let finished = answer(plan, &[(upstream, &[])]).unwrap();
        assert_eq!((finished.body.as_ref(), finished.estimate), (expected.as_bytes(), false));
        assert!(!finished.state.usage.is_reported(), "a count uses nothing");
    }
}

#[test]
fn an_upstream_without_counts_leaves_an_estimate() {
    let unary = request(Dialect::Messages, AGENT);
    let plan = plan(&unary, &at(Dialect::Chat, Carrier::Direct, "gpt-4o", Way::Estimate));
    assert!(plan.calls.is_empty());
    let finished = plan.reader.finish().unwrap();
    assert!(finished.estimate);
    let value: Value = serde_json::from_slice(&finished.body).unwrap();
    let tokens = value["input_tokens"].as_u64().unwrap();
    assert!((35..60).contains(&tokens), "{tokens}");
}

#[test]
fn a_model_that_bedrock_does_not_count_is_estimated_and_other_refusals_stand() {
    let unary = request(Dialect::Messages, AGENT);
    let service = at(Dialect::Converse, Carrier::Bedrock, "amazon.nova-pro-v1:0", Way::Count);
    let mut reader = plan(&unary, &service).reader;
    assert!(!reader.spares(StatusCode::BAD_REQUEST, br#"{"message":"messages: at least one is required"}"#));
    assert!(!reader.spares(StatusCode::TOO_MANY_REQUESTS, br#"{"message":"does not support so many counts"}"#));
    assert!(
        reader.spares(StatusCode::BAD_REQUEST, br#"{"message":"The provided model doesn't support counting tokens."}"#)
    );
    assert!(reader.finish().unwrap().estimate);
}

#[test]
fn an_estimate_grows_with_everything_that_a_prompt_has() {
    let count = |body: Value| {
        let unary = request(Dialect::Messages, &body.to_string());
        let plan = plan(&unary, &at(Dialect::Chat, Carrier::Direct, "m", Way::Estimate));
        let value: Value = serde_json::from_slice(&plan.reader.finish().unwrap().body).unwrap();
        value["input_tokens"].as_u64().unwrap()
    };
    let said = |content: Value| count(json!({"model": "m", "messages": [{"role": "user", "content": content}]}));
    assert_eq!(said(json!("x".repeat(400))), 104);
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}});
    assert_eq!(said(json!([image])), 1_604);
    let tool = json!({"model": "m", "messages": [{"role": "user", "content": "x"}],
        "tools": [{"name": "abcd", "input_schema": {"type": "object"}}]});
    assert_eq!(count(tool), 4 + 1 + 4 + 1 + 5);
}

#[test]
fn a_wrong_request_is_told_where() {
    let decoded = |body: &str| Request::decode(Dialect::Messages, Bytes::copy_from_slice(body.as_bytes()), Vec::new());
    assert_eq!(decoded(r#"{"messages":[{}]}"#).unwrap_err().to_string(), "model: required: name a model");
    assert_eq!(decoded(r#"{"model":"m"}"#).unwrap_err().to_string(), "messages: required: an array of messages");
}
