//! Rerank.

use std::fmt::Write as _;

use http::StatusCode;
use serde_json::{Value, json};
use tollgate_wire::codec;
use tollgate_wire::ir::{Fault, FaultKind};
use tollgate_wire::rerank::{Request, Version};

use super::*;

const UPSTREAMS: [(Way, &str); 5] = [
    (Way::CohereRerank, "rerank-v3.5"),
    (Way::BedrockRerank, "cohere.rerank-v3-5:0"),
    (Way::BedrockRerank, "amazon.rerank-v1:0"),
    (Way::BedrockRerank, "amazon.nova-pro-v1:0"),
    (Way::VertexRank, "semantic-ranker-default-004"),
];

fn decoded(version: Version, body: &str) -> Result<Request, WireError> {
    Request::decode(version, Bytes::copy_from_slice(body.as_bytes()))
}

fn request(version: Version, body: &str) -> Unary {
    Unary::Rerank(decoded(version, body).unwrap())
}

fn everywhere(name: &str, version: Version, body: &str) {
    let mut out = format!("# client, {version:?}\n{body}\n");
    for (way, model) in UPSTREAMS {
        write!(out, "\n# {way:?}, {model}\n").unwrap();
        match start(&request(version, body), way, model) {
            Ok(plan) => out += &shown(&plan),
            Err(error) => writeln!(out, "error: {error}").unwrap(),
        }
    }
    golden(name, &out);
}

#[test]
fn a_request_goes_to_every_upstream() {
    let body = r#"{"model":"m","query":"capital?","documents":["Paris","Carson City"],"top_n":1,"max_tokens_per_doc":100,"priority":2}"#;
    everywhere("rerank_v2", Version::V2, body);
}

#[test]
fn the_older_version_has_objects_for_documents() {
    let body = r#"{"model":"m","query":"capital?","documents":["Paris",{"title":"Nevada","text":"Carson City","year":1864}],"rank_fields":["title","year"],"return_documents":true,"max_chunks_per_doc":3}"#;
    everywhere("rerank_v1", Version::V1, &body.replace("\"Paris\",", ""));
    let body =
        r#"{"model":"m","query":"q","documents":["Paris",{"text":"Carson City","id":7}],"return_documents":true}"#;
    let plan = start(&request(Version::V1, body), Way::BedrockRerank, "amazon.rerank-v1:0").unwrap();
    let upstream = r#"{"results":[{"index":1,"relevance_score":0.90},{"index":0,"relevance_score":1E-3}]}"#;
    let finished = answer(plan, &[(upstream, &[])]).unwrap();
    let value: Value = serde_json::from_slice(&finished.body).unwrap();
    let expected = json!({
        "id": "req-7",
        "results": [
            {"index": 1, "relevance_score": 0.9, "document": {"text": "Carson City", "id": 7}},
            {"index": 0, "relevance_score": 0.001, "document": {"text": "Paris"}},
        ],
        "meta": {"api_version": {"version": "1"}, "billed_units": {"search_units": 1}},
    });
    assert_eq!(value, expected);
    assert_eq!(finished.state.usage.searches, Some(1));
}

#[test]
fn a_v2_body_passes_through_to_the_byte() {
    let body = r#"{ "documents":["a"], "query":"q", "model":"m", "priority":0 }"#;
    let plan = start(&request(Version::V2, body), Way::CohereRerank, "m").unwrap();
    assert_eq!(plan.calls[0], body);
    let upstream = r#"{"id":"x","results":[{"index":0,"relevance_score":0.99}],"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":2.0}},"more":1}"#;
    let finished = answer(plan, &[(upstream, &[])]).unwrap();
    assert_eq!(finished.body, upstream);
    assert_eq!(finished.state.usage.searches, Some(2));
    assert_eq!(finished.state.usage.input, None);
}

#[test]
fn a_server_that_bills_tokens_is_billed_by_tokens() {
    let body = r#"{"model":"m","query":"q","documents":["a"]}"#;
    let plan = start(&request(Version::V2, body), Way::CohereRerank, "m").unwrap();
    let upstream = r#"{"results":[{"index":0,"relevance_score":1}],"meta":{"billed_units":{"total_tokens":56}}}"#;
    let usage = answer(plan, &[(upstream, &[])]).unwrap().state.usage;
    assert_eq!((usage.input, usage.searches), (Some(56), None));
}

#[test]
fn googles_ranking_is_read_by_record() {
    let body = r#"{"model":"m","query":"q","documents":["a","b","c"],"top_n":2}"#;
    let plan = start(&request(Version::V2, body), Way::VertexRank, "semantic-ranker-default-004").unwrap();
    let upstream = r#"{"records":[{"id":"2","score":0.98},{"id":"0","score":0.64},{"id":"1","score":0.1}]}"#;
    let finished = answer(plan, &[(upstream, &[])]).unwrap();
    let value: Value = serde_json::from_slice(&finished.body).unwrap();
    assert_eq!(value["results"], json!([{"index": 2, "relevance_score": 0.98}, {"index": 0, "relevance_score": 0.64}]));
    let many = json!({"model": "m", "query": "q", "documents": vec!["a"; 201]}).to_string();
    let error = start(&request(Version::V2, &many), Way::VertexRank, "semantic-ranker-default-004").unwrap_err();
    assert_eq!(error.to_string(), "documents: this upstream ranks at most 200 at once, got 201");
}

#[test]
fn an_order_of_other_documents_is_no_answer() {
    let body = r#"{"model":"m","query":"q","documents":["a"]}"#;
    for upstream in [r#"{"results":[{"index":1,"relevance_score":0.9}]}"#, r#"{"message":"no"}"#, "[]"] {
        let plan = start(&request(Version::V2, body), Way::BedrockRerank, "amazon.rerank-v1:0").unwrap();
        assert!(matches!(answer(plan, &[(upstream, &[])]), Err(WireError::BadAnswer(_))), "{upstream}");
    }
}

#[test]
fn search_units_are_bounded_by_documents_and_their_length() {
    let units = |documents: Vec<String>| {
        let body = json!({"model": "m", "query": "q", "documents": documents}).to_string();
        decoded(Version::V2, &body).unwrap().search_units()
    };
    assert_eq!(units(vec!["a".to_owned()]), 1);
    assert_eq!(units(vec!["a".to_owned(); 100]), 1);
    assert_eq!(units(vec!["a".to_owned(); 101]), 2);
    assert_eq!(units(vec!["word".repeat(1_500); 100]), 3, "1,500 tokens are three documents");
}

#[test]
fn a_wrong_request_is_told_where() {
    for (body, message) in [
        (r#"{"query":"q","documents":["a"]}"#, "model: required: name a model"),
        (r#"{"model":"m","documents":["a"]}"#, "query: required: a text"),
        (r#"{"model":"m","query":"","documents":["a"]}"#, "query: expected a text that is not blank"),
        (r#"{"model":"m","query":"q"}"#, "documents: required: an array of texts"),
        (r#"{"model":"m","query":"q","documents":"a"}"#, "documents: expected an array of texts, got a string"),
        (r#"{"model":"m","query":"q","documents":[]}"#, "documents: expected at least one, got none"),
        (
            r#"{"model":"m","query":"q","documents":["a",7]}"#,
            "documents[1]: expected a text or an object, got a number",
        ),
        (
            r#"{"model":"m","query":"q","documents":[{"title":"a"}]}"#,
            "documents[0].text: required: the text to rank (or name fields in rank_fields)",
        ),
        (
            r#"{"model":"m","query":"q","documents":[{"title":"a"}],"rank_fields":["x"]}"#,
            "documents[0]: it has none of the fields that rank_fields names",
        ),
        (r#"{"model":"m","query":"q","documents":["a"],"top_n":0}"#, "top_n: expected at least 1, got 0"),
        (
            r#"{"model":"m","query":"q","documents":["a"],"return_documents":1}"#,
            "return_documents: expected true or false, got a number",
        ),
    ] {
        assert_eq!(decoded(Version::V2, body).unwrap_err().to_string(), message, "{body}");
    }
}

#[test]
fn errors_have_coheres_shape_both_ways() {
    let body = codec::encode_error(Dialect::Rerank, &Fault::new(FaultKind::NotFound, "no such model"), "req-7");
    assert_eq!(body, r#"{"id":"req-7","message":"no such model"}"#);
    let fault = codec::decode_fault(
        Dialect::Rerank,
        StatusCode::TOO_MANY_REQUESTS,
        &HeaderMap::new(),
        br#"{"message":"slow down"}"#,
    );
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::RateLimited, "slow down"));
}
