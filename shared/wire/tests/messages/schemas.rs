//! Structured output and strict tools, as Claude's models take them.

use super::*;

fn wants_json(schema: Value) -> Request {
    let format = OutputFormat::JsonSchema { name: Some("n".into()), description: None, schema, strict: Some(true) };
    Request { output_format: Some(format), ..hi() }
}

fn closed() -> Value {
    json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false})
}

#[test]
fn a_schema_is_sent_as_such_where_the_model_takes_it() {
    let (body, dropped) = encode(&wants_json(closed()), BUDGET_MODEL);
    assert_eq!(body["output_config"], json!({"format": {"type": "json_schema", "schema": closed()}}));
    assert!(dropped.is_empty());
}

#[test]
fn where_it_does_not_a_call_stands_for_it_and_is_read_back_as_text() {
    let mut encoded =
        encoded(&wants_json(closed()), Carrier::Bedrock, "anthropic.claude-opus-4-20250514-v1:0").unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(body["tool_choice"], json!({"type": "tool", "name": "json_response"}));
    assert_eq!(body["tools"][0]["input_schema"], closed());
    assert_eq!(paths(&encoded.dropped), ["response_format"]);
    let answer = json!({"content": [{"type": "tool_use", "id": "t", "name": "json_response", "input": {"a": "b"}}],
        "stop_reason": "tool_use"});
    let response = encoded.reader.response(answer.to_string().as_bytes()).unwrap();
    assert_eq!((response.blocks, response.stop.reason), (vec![text(r#"{"a":"b"}"#)], StopReason::EndTurn));
    let stream = [
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "tool_use", "id": "t", "name": "json_response", "input": {}}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}),
        json!({"type": "message_stop"}),
    ];
    let mut events = Vec::new();
    for event in stream {
        encoded.reader.chunk(format!("data: {event}\n\n").as_bytes(), &mut events).unwrap();
    }
    assert!(events.contains(&Event::Delta { index: 0, delta: Delta::Text("{}".into()) }), "{events:?}");
    assert!(matches!(events.last(), Some(Event::Stop(stop)) if stop.reason == StopReason::EndTurn), "{events:?}");
}

#[test]
fn where_no_tool_can_be_forced_the_schema_is_in_the_system_prompt() {
    let open = json!({"type": "object", "additionalProperties": {"type": "string"}});
    for (request, model) in [
        (wants_json(open), "claude-opus-5-5"),
        (Request { tools: vec![tool("f")], ..wants_json(closed()) }, "claude-opus-4-1"),
    ] {
        let (body, dropped) = encode(&request, model);
        assert!(body["system"][0]["text"].as_str().unwrap().contains("JSON Schema"), "{body}");
        assert_eq!(dropped, ["response_format"]);
    }
    let (body, dropped) = encode(&Request { output_format: Some(OutputFormat::JsonObject), ..hi() }, BUDGET_MODEL);
    assert!(body["system"][0]["text"].as_str().unwrap().contains("JSON object"));
    assert_eq!(dropped, ["response_format"]);
}

#[test]
fn a_strict_tool_is_strict_where_the_model_takes_it() {
    let strict = Tool { strict: Some(true), schema: closed(), ..tool("f") };
    let request = Request { tools: vec![strict], ..hi() };
    let (body, dropped) = encode(&request, BUDGET_MODEL);
    assert_eq!((&body["tools"][0]["strict"], dropped.len()), (&json!(true), 0));
    let (body, dropped) = encode(&request, "claude-opus-4-1");
    assert_eq!((body["tools"][0].get("strict"), dropped), (None, vec!["tools[0].function.strict".to_owned()]));
}
