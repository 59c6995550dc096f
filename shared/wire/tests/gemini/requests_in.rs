//! A client's requests.

use serde_json::json;
use tollgate_wire::codec::{Dialect, decode_request};
use tollgate_wire::error::WireError;
use tollgate_wire::ir::{Block, OutputFormat, Request, Role, Source, ThinkingMode, ToolChoice};

use super::{fixture, inbound};

fn decode(body: &str) -> Result<Request, WireError> {
    decode_request(Dialect::GenerateContent, body.as_bytes())
}

fn refused(body: serde_json::Value) -> String {
    decode(&body.to_string()).unwrap_err().to_string()
}

#[test]
fn calls_without_ids_are_answered_by_name_and_in_order() {
    let request = decode(&fixture("requests/agent.json")).unwrap();
    let ids = |blocks: &[Block]| -> Vec<String> {
        let id = |block: &Block| match block {
            Block::ToolUse { id, .. } | Block::ToolResult { id, .. } => Some(id.clone()),
            _ => None,
        };
        blocks.iter().filter_map(id).collect()
    };
    let calls = ids(&request.messages[1].blocks);
    assert_eq!(calls, ["call_0", "call_1"]);
    assert_eq!(ids(&request.messages[2].blocks), calls);
    assert!(
        matches!(&request.messages[2].blocks[1], Block::ToolResult { is_error: true, content, .. } if content == &[Block::Text("no such city".into())])
    );
    assert_eq!(request.tool_choice, Some(ToolChoice::Tool("get_weather".into())));
    assert_eq!(request.thinking, Some(ThinkingMode::Budget(2048)));
    assert!(request.unmapped.is_empty(), "{:?}", request.unmapped);
}

#[test]
fn bytes_in_the_url_safe_alphabet_become_standard() {
    let request = decode(&fixture("requests/agent.json")).unwrap();
    let image = Source::Base64 { media_type: "image/png".into(), data: "+/8=".into() };
    assert_eq!(request.messages[4].blocks[1], Block::Image(image));
}

#[test]
fn snake_case_is_read_and_what_only_google_has_is_reported() {
    let request = decode(&fixture("requests/snake_case.json")).unwrap();
    assert_eq!(request.max_output_tokens, Some(64));
    assert_eq!(request.effort.as_deref(), Some("low"));
    let schema = json!({"type": "object", "properties": {"title": {"type": "string"}}});
    assert!(matches!(&request.output_format, Some(OutputFormat::JsonSchema { schema: own, .. }) if *own == schema));
    assert!(matches!(&request.messages[0].blocks[2], Block::Audio { format, .. } if format == "mp3"));
    let paths: Vec<_> = request.unmapped.iter().map(|dropped| dropped.path.as_str()).collect();
    assert_eq!(paths, ["safety_settings"]);
    assert_eq!(request.web_search.map(|search| search.path).as_deref(), Some("tools[0].google_search"));
}

#[test]
fn another_providers_thinking_comes_back_whole() {
    let request = decode(&fixture("requests/foreign_history.json")).unwrap();
    assert_eq!(request.messages[1].role, Role::Assistant);
    let thinking = Block::Thinking { text: "Let me think.".into(), signature: Some("ErUBSignature=".into()) };
    assert_eq!(request.messages[1].blocks[0], thinking);
    assert!(matches!(&request.messages[2].blocks[0], Block::ToolResult { id, content, .. }
        if id == "toolu_1" && content == &[Block::Text(r#"{"hour":9,"minute":30}"#.into())]));
}

#[test]
fn what_cannot_be_translated_is_refused_by_name() {
    let text = json!({"role": "user", "parts": [{"text": "Hi"}]});
    for (body, message) in [
        (json!({}), "contents: required"),
        (
            json!({"contents": [text], "cachedContent": "cachedContents/1"}),
            "cachedContent: a cached prefix exists only at Google",
        ),
        (json!({"contents": [{"role": "robot"}]}), "contents[0].role: expected \"user\" or \"model\", got \"robot\""),
        (json!({"contents": [{"parts": [{"text": 7}]}]}), "contents[0].parts[0].text: expected a string, got a number"),
        (
            json!({"contents": [{"parts": [{"inline_data": {"mime_type": "video/mp4", "data": ""}}]}]}),
            "contents[0].parts[0].inline_data: no other provider takes a video",
        ),
        (
            json!({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}]}),
            "contents[0].parts[0].functionResponse: no functionCall before it",
        ),
        (
            json!({"contents": [text, {"parts": [{"functionCall": {"name": "f", "args": {}}}]}]}),
            "contents[1].parts[0].functionCall: a call stands in a content whose `role` is \"model\"",
        ),
        (
            json!({"contents": [text], "generationConfig": {"maxOutputTokens": 0}}),
            "generationConfig.maxOutputTokens: expected at least 1, got 0",
        ),
        (
            json!({"contents": [text], "tools": [{"functionDeclarations": [{}]}]}),
            "tools[0].functionDeclarations[0].name: required",
        ),
        (
            json!({"contents": [text], "generationConfig": {"maxOutputTokens": -1}}),
            "generationConfig.maxOutputTokens: expected at least 0, got -1",
        ),
    ] {
        assert!(refused(body.clone()).starts_with(message), "{body}: {}", refused(body.clone()));
    }
}

#[test]
fn model_and_streaming_come_from_the_path() {
    let inbound = inbound(&fixture("requests/snake_case.json"));
    let request = inbound.request().unwrap();
    assert_eq!((request.model.as_str(), request.stream), ("client-model", true));
    let envelope = inbound.envelope();
    assert_eq!((envelope.max_output_tokens, envelope.choices, envelope.stream), (Some(64), 1, true));
    let masked = inbound.with_body(inbound.body().clone()).unwrap();
    assert_eq!(masked.envelope(), envelope);
}
