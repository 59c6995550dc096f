//! Token counts.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};
use tollgate_wire::count::Request;

use super::*;

const AGENT: &str = r#"{"model":"m","system":"Be brief.","messages":[{"role":"user","content":"How is the weather in Paris?"}],"tools":[{"name":"weather","description":"Weather by city","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}],"thinking":{"type":"enabled","budget_tokens":2000}}"#;

/// The same in Gemini's words, as a whole request, and as Vertex AI has it; and bare contents.
const GEMINI: [&str; 3] = [
    r#"{"generateContentRequest":{"model":"models/m","systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[{"role":"user","parts":[{"text":"How is the weather in Paris?"}]}],"tools":[{"functionDeclarations":[{"name":"weather","description":"Weather by city","parametersJsonSchema":{"type":"object","properties":{"city":{"type":"string"}}}}]}],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}},"generationConfig":{"temperature":1.0},"safetySettings":[]}}"#,
    r#"{"contents":[{"role":"user","parts":[{"text":"How is the weather in Paris?"}]}],"system_instruction":{"parts":[{"text":"Be brief."}]},"generationConfig":{"temperature":1.0}}"#,
    r#"{"contents": [{"role": "user", "parts": [{"text": "How is the weather in Paris?"}]}]}"#,
];

fn gemini(body: &str) -> Result<Unary, WireError> {
    let count = Request::by_path(Bytes::copy_from_slice(body.as_bytes()), "m".to_owned())?;
    Ok(Unary::Count(Box::new(count)))
}

fn request(client: Dialect, body: &str) -> Unary {
    let betas = vec!["token-efficient-tools-2025-02-19".to_owned()];
    Unary::Count(Box::new(Request::decode(client, Bytes::copy_from_slice(body.as_bytes()), betas).unwrap()))
}

fn at(dialect: Dialect, carrier: Carrier, model: &str, way: Way) -> Service<'_> {
    Service { target: Target { dialect, carrier, model }, way }
}

/// Every endpoint that counts.
const COUNTING: [(Dialect, Carrier, &str, Way); 7] = [
    (Dialect::Responses, Carrier::Direct, "gpt-5.1-codex", Way::Count),
    (Dialect::Messages, Carrier::Direct, "claude-sonnet-4-5", Way::Count),
    (Dialect::Messages, Carrier::Vertex, "claude-sonnet-4-5-20250929", Way::Count),
    (Dialect::Messages, Carrier::Bedrock, "us.anthropic.claude-sonnet-4-20250514-v1:0", Way::Count),
    (Dialect::Converse, Carrier::Bedrock, "amazon.nova-pro-v1:0", Way::Count),
    (Dialect::GenerateContent, Carrier::Direct, "gemini-2.5-pro", Way::Count),
    (Dialect::GenerateContent, Carrier::Direct, "gemini-2.5-pro", Way::VertexCount),
];

fn plan(unary: &Unary, service: &Service<'_>) -> Plan {
    unary.start(service, &seed(), false).unwrap()
}

#[test]
fn a_conversation_is_counted_as_it_would_be_sent() {
    let mut out = String::new();
    let clients = std::iter::once((AGENT, request(Dialect::Messages, AGENT)));
    for (body, unary) in clients.chain(GEMINI.map(|body| (body, gemini(body).unwrap()))) {
        writeln!(out, "# client\n{body}\n").unwrap();
        for (dialect, carrier, model, way) in COUNTING {
            let plan = plan(&unary, &at(dialect, carrier, model, way));
            let betas = &plan.betas;
            write!(out, "# {dialect:?}, {carrier:?}, {way:?}, {model}\n{}betas: {betas:?}\n", shown(&plan)).unwrap();
            let value: Value = serde_json::from_slice(&plan.calls[0]).unwrap();
            if let Some(body) = value.pointer("/input/invokeModel/body").and_then(Value::as_str) {
                writeln!(out, "decoded: {}", String::from_utf8(STANDARD.decode(body).unwrap()).unwrap()).unwrap();
            }
            out.push('\n');
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
fn a_gemini_client_reads_what_google_says_and_a_total_of_others() {
    let details =
        r#"{"totalTokens":41,"cachedContentTokenCount":7,"promptTokensDetails":[{"modality":"TEXT","tokenCount":41}]}"#;
    for (dialect, carrier, way, upstream, expected) in [
        (Dialect::GenerateContent, Carrier::Direct, Way::Count, details, details),
        (Dialect::GenerateContent, Carrier::Direct, Way::VertexCount, details, details),
        (Dialect::Messages, Carrier::Direct, Way::Count, r#"{"input_tokens":41}"#, r#"{"totalTokens":41}"#),
        (Dialect::Messages, Carrier::Vertex, Way::Count, r#"{"input_tokens":41}"#, r#"{"totalTokens":41}"#),
        (Dialect::Messages, Carrier::Bedrock, Way::Count, r#"{"inputTokens":41}"#, r#"{"totalTokens":41}"#),
        (Dialect::Converse, Carrier::Bedrock, Way::Count, r#"{"inputTokens":41}"#, r#"{"totalTokens":41}"#),
    ] {
        let plan = plan(&gemini(GEMINI[0]).unwrap(), &at(dialect, carrier, "m", way));
        let finished = answer(plan, &[(upstream, &[])]).unwrap();
        assert_eq!(
            (finished.body.as_ref(), finished.estimate),
            (expected.as_bytes(), false),
            "{dialect:?} {carrier:?}"
        );
    }
    let plan = plan(&gemini(GEMINI[0]).unwrap(), &at(Dialect::Chat, Carrier::Direct, "gpt-4o", Way::Estimate));
    let value: Value = serde_json::from_slice(&plan.reader.finish().unwrap().body).unwrap();
    assert!((30..60).contains(&value["totalTokens"].as_u64().unwrap()), "{value}");
}

#[test]
fn a_responses_client_counts_at_openai_as_it_asks_and_elsewhere_in_its_own_shape() {
    let body = r#"{"model": "m", "input": "How is the weather in Paris?", "previous_response_id": "resp_1", "x": 1}"#;
    let openai = at(Dialect::Responses, Carrier::Direct, "gpt-5.1", Way::Count);
    let own = plan(&request(Dialect::Responses, body), &openai);
    assert_eq!(own.calls, [body.replace("\"m\"", "\"gpt-5.1\"")]);
    let said = r#"{"object": "response.input_tokens", "input_tokens": 11}"#;
    assert_eq!(answer(own, &[(said, &[])]).unwrap().body, said);

    let unary =
        request(Dialect::Responses, r#"{"model":"m","instructions":"Be brief.","input":"How is the weather?"}"#);
    let claude = at(Dialect::Messages, Carrier::Direct, "claude-sonnet-4-5", Way::Count);
    let body = answer(plan(&unary, &claude), &[(r#"{"input_tokens":41}"#, &[])]).unwrap().body;
    let value: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(value, json!({"object": "response.input_tokens", "input_tokens": 41}));
}

#[test]
fn google_leaves_a_zero_out_and_nobody_else_does() {
    let answered =
        |client: &Unary, dialect| answer(plan(client, &at(dialect, Carrier::Direct, "m", Way::Count)), &[("{}", &[])]);
    let (anthropics, geminis) = (request(Dialect::Messages, AGENT), gemini(GEMINI[2]).unwrap());
    assert_eq!(answered(&anthropics, Dialect::GenerateContent).unwrap().body, r#"{"input_tokens":0}"#);
    assert_eq!(answered(&geminis, Dialect::GenerateContent).unwrap().body, "{}");
    assert!(answered(&geminis, Dialect::Messages).is_err());
}

#[test]
fn bare_contents_of_a_gemini_client_reach_google_to_the_byte() {
    for way in [Way::Count, Way::VertexCount] {
        let service = at(Dialect::GenerateContent, Carrier::Direct, "gemini-2.5-pro", way);
        let calls = plan(&gemini(GEMINI[2]).unwrap(), &service).calls;
        let expected = if way == Way::Count { GEMINI[2].to_owned() } else { GEMINI[2].replacen(": ", ":", 1) };
        assert_eq!(calls, [expected]);
    }
}

#[test]
fn a_model_of_vertex_is_counted_by_its_name_without_the_default_version() {
    for (model, name) in [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5@20250929"),
        ("publishers/anthropic/models/claude-opus-4-6@default", "claude-opus-4-6"),
        ("claude-3-haiku@20240307", "claude-3-haiku@20240307"),
    ] {
        let service = at(Dialect::Messages, Carrier::Vertex, model, Way::Count);
        for unary in [request(Dialect::Messages, AGENT), gemini(GEMINI[1]).unwrap()] {
            let value: Value = serde_json::from_slice(&plan(&unary, &service).calls[0]).unwrap();
            assert_eq!(value["model"], name);
        }
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
fn where_vertex_does_not_count_the_gateway_estimates() {
    let cases = [
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"claude-x is not supported for token counting"}}"#,
            true,
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"countTokens is infeasible for projects/p/locations/l/publishers/google/models/m","status":"INVALID_ARGUMENT"}}"#,
            true,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"messages: at least one message is required"}}"#,
            false,
        ),
        (500, "support count", false),
        (403, "support count", false),
    ];
    let google = at(Dialect::GenerateContent, Carrier::Direct, "m", Way::VertexCount);
    let claude = at(Dialect::Messages, Carrier::Vertex, "claude-x", Way::Count);
    for unary in [request(Dialect::Messages, AGENT), gemini(GEMINI[0]).unwrap()] {
        for service in [&google, &claude] {
            for (status, body, spared) in cases {
                let status = StatusCode::from_u16(status).unwrap();
                assert_eq!(plan(&unary, service).reader.spares(status, body.as_bytes()), spared, "{body}");
            }
        }
        let missing = br#"{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND"}}"#;
        let mut reader = plan(&unary, &claude).reader;
        assert!(reader.spares(StatusCode::NOT_FOUND, missing), "the endpoint is not in this region");
        assert!(reader.finish().unwrap().estimate);
        assert!(!plan(&unary, &google).reader.spares(StatusCode::NOT_FOUND, missing), "the model is not there");
        let direct = at(Dialect::Messages, Carrier::Direct, "claude-x", Way::Count);
        assert!(!plan(&unary, &direct).reader.spares(StatusCode::NOT_FOUND, missing));
    }
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
    for (body, message) in [
        ("{}", "contents: required: an array of contents"),
        (r#"{"contents":[]}"#, "contents: expected at least one content, got none"),
        (r#"{"generateContentRequest":{}}"#, "generateContentRequest.contents: required: an array of contents"),
        (
            r#"{"generate_content_request":{"contents":5}}"#,
            "generate_content_request.contents: expected an array, got a number",
        ),
        (r#"{"generateContentRequest":[]}"#, "generateContentRequest: expected an object, got an array"),
        (
            r#"{"generateContentRequest":{"contents":[{}]},"contents":[{}]}"#,
            "generateContentRequest: send this or `contents`, not both",
        ),
        ("[]", "the request body is not valid JSON: expected an object at line 1 column 1"),
    ] {
        assert_eq!(gemini(body).unwrap_err().to_string(), message, "{body}");
    }
}

#[test]
fn what_the_configuration_puts_into_requests_is_counted_and_settings_that_no_count_takes_are_not_sent() {
    use tollgate_wire::amend::{Amendments, Prompt, PromptRole};
    let amendments = Amendments {
        defaults: vec![("temperature".to_owned(), json!(0.5)), ("tools".to_owned(), json!([]))],
        prepend: vec![Prompt { role: PromptRole::System, content: "HOUSE RULES".to_owned() }],
        ..Amendments::default()
    };
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
    let count = Request::decode(Dialect::Messages, Bytes::from_static(body.as_bytes()), Vec::new()).unwrap();
    let amended: Value = serde_json::from_slice(count.amended(&amendments).unwrap().body()).unwrap();
    assert!(amended["system"].to_string().contains("HOUSE RULES"), "{amended}");
    assert_eq!((amended.get("temperature"), &amended["tools"]), (None, &json!([])));
    let count = Request::by_path(Bytes::from_static(GEMINI[2].as_bytes()), "m".to_owned()).unwrap();
    let amended = count.amended(&amendments).unwrap();
    assert!(String::from_utf8_lossy(amended.body()).contains("HOUSE RULES"));
}
