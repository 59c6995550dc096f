//! What a Messages client says, and what is made of it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_wire::codec::{Dialect, decode_request};
use tollgate_wire::error::WireError;
use tollgate_wire::ir::{
    Block, CacheTtl, Message, OutputFormat, Request, Role, Source, ThinkingMode, Tier, ToolChoice,
};

fn decode(body: &Value) -> Result<Request, WireError> {
    decode_request(Dialect::Messages, body.to_string().as_bytes())
}

/// A body with these fields besides the required ones.
fn with(fields: &Value) -> Value {
    let mut body = json!({"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// A body with this content of the user.
fn said(content: &Value) -> Value {
    with(&json!({"messages": [{"role": "user", "content": content}]}))
}

fn unmapped(request: &Request) -> Vec<&str> {
    request.unmapped.iter().map(|dropped| dropped.path.as_str()).collect()
}

/// The error's path and message.
fn refused(body: &Value) -> (String, String) {
    match decode(body).unwrap_err() {
        WireError::Invalid { path, message } | WireError::Unsupported { path, message } => (path, message),
        other => panic!("{other}"),
    }
}

#[test]
fn the_output_cap_is_required_as_at_anthropic() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(decode(&body).unwrap_err().to_string(), "max_tokens: Field required");
}

#[test]
fn what_is_wrong_is_named_with_its_path() {
    for (body, path, message) in [
        (json!([]), "", "expected an object, got an array"),
        (json!({"max_tokens": 1}), "model", "Field required"),
        (
            with(&json!({"max_tokens": "many"})),
            "max_tokens",
            "expected a whole number that is not negative, got a string",
        ),
        (
            with(&json!({"max_tokens": 1.5})),
            "max_tokens",
            "expected a whole number that is not negative, got another number",
        ),
        (with(&json!({"messages": {}})), "messages", "expected an array, got an object"),
        (with(&json!({"messages": ["Hi"]})), "messages[0]", "expected an object, got a string"),
        (with(&json!({"messages": [{"role": "user"}]})), "messages[0].content", "Field required"),
        (said(&json!(7)), "messages[0].content", "expected a string or an array of blocks, got a number"),
        (said(&json!([{"text": "Hi"}])), "messages[0].content[0].type", "Field required"),
        (said(&json!([{"type": "text", "text": 1}])), "messages[0].content[0].text", "expected a string, got a number"),
        (
            said(&json!([{"type": "image", "source": {"type": "base64", "data": ""}}])),
            "messages[0].content[0].source.media_type",
            "Field required",
        ),
        (
            with(&json!({"messages": [{"role": "tool", "content": "x"}]})),
            "messages[0].role",
            "`tool` is not known; expected `user`, `assistant` or `system`",
        ),
        (with(&json!({"stop_sequences": ["a", 1]})), "stop_sequences[1]", "expected a string, got a number"),
        (with(&json!({"tools": [{"name": "f"}]})), "tools[0].input_schema", "Field required"),
        (with(&json!({"thinking": {"type": "enabled"}})), "thinking.budget_tokens", "Field required"),
        (
            said(&json!([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1d"}}])),
            "messages[0].content[0].cache_control.ttl",
            "`1d` is not known; expected `5m` or `1h`",
        ),
    ] {
        assert_eq!(refused(&body), (path.to_owned(), message.to_owned()), "{body}");
    }
}

#[test]
fn a_body_nested_too_deep_is_an_error_and_no_crash() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let error = decode_request(Dialect::Messages, deep.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("recursion limit"), "{error}");
}

#[test]
fn a_field_that_nobody_knows_is_reported_with_its_path() {
    let body = json!({
        "model": "m", "max_tokens": 10, "mcp_servers": [{"type": "url"}], "speed": "slow", "service_tier": "auto",
        "metadata": {"user_id": "u", "team": "t"},
        "messages": [{"role": "user", "mood": "good", "content": [{"type": "text", "text": "Hi", "color": "red"}]}]
    });
    let request = decode(&body).unwrap();
    let mut paths = unmapped(&request);
    paths.sort_unstable();
    assert_eq!(paths, ["mcp_servers", "messages[0].content[0].color", "messages[0].mood", "metadata.team", "speed"]);
}

/// <https://platform.claude.com/docs/en/build-with-claude/fast-mode>, <https://developers.openai.com/api/docs/guides/fast-mode>
#[test]
fn fast_mode_is_a_tier_unless_the_client_names_one() {
    let tier = |more: Value| {
        let mut body = json!({"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = decode(&body).unwrap();
        (request.tier, unmapped(&request).join(","))
    };
    assert_eq!(tier(json!({"speed": "fast"})), (Some(Tier::Priority), String::new()));
    assert_eq!(tier(json!({"speed": "standard"})), (None, String::new()));
    let both = json!({"speed": "fast", "service_tier": "standard_only"});
    assert_eq!(tier(both), (Some(Tier::Standard), "speed".to_owned()));
}

#[test]
fn system_is_a_string_or_blocks_with_marks() {
    assert_eq!(decode(&with(&json!({"system": "Be kind."}))).unwrap().system, [Block::Text("Be kind.".into())]);
    let blocks = json!([
        {"type": "text", "text": "A"},
        {"type": "text", "text": "B", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]);
    assert_eq!(
        decode(&with(&json!({"system": blocks}))).unwrap().system,
        [Block::Text("A".into()), Block::Text("B".into()), Block::CacheMark(CacheTtl::OneHour)]
    );
}

#[test]
fn a_system_message_in_the_middle_keeps_its_place() {
    let messages = json!([
        {"role": "user", "content": "Hi"}, {"role": "system", "content": "In German."}, {"role": "user", "content": "Go"}
    ]);
    let request = decode(&with(&json!({"messages": messages}))).unwrap();
    assert_eq!(request.messages[1], Message { role: Role::System, blocks: vec![Block::Text("In German.".into())] });
}

#[test]
fn automatic_caching_marks_the_end_of_the_conversation_once() {
    let mark = json!({"type": "ephemeral"});
    let request = decode(&with(&json!({"cache_control": mark}))).unwrap();
    assert_eq!(request.messages[0].blocks, [Block::Text("Hi".into()), Block::CacheMark(CacheTtl::FiveMinutes)]);
    let mut body = said(&json!([{"type": "text", "text": "Hi", "cache_control": mark}]));
    body["cache_control"] = mark;
    assert_eq!(decode(&body).unwrap().messages[0].blocks.len(), 2);
}

#[test]
fn thinking_with_a_signature_and_no_text_is_kept() {
    let messages = json!([{"role": "assistant", "content": [
        {"type": "thinking", "thinking": "", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}
    ]}]);
    let request = decode(&with(&json!({"messages": messages}))).unwrap();
    assert_eq!(
        request.messages[0].blocks,
        [Block::Thinking { text: String::new(), signature: Some("s".into()) }, Block::RedactedThinking("d".into())]
    );
}

#[test]
fn tool_results_keep_their_failure_and_their_pictures() {
    let picture = json!({"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}});
    let content = json!([
        {"type": "tool_result", "tool_use_id": "1", "content": [picture], "is_error": true},
        {"type": "tool_result", "tool_use_id": "2"}
    ]);
    let image = Block::Image(Source::Url("https://a.example/b.png".into()));
    assert_eq!(
        decode(&said(&content)).unwrap().messages[0].blocks,
        [
            Block::ToolResult { id: "1".into(), content: vec![image], is_error: true },
            Block::ToolResult { id: "2".into(), content: vec![], is_error: false }
        ]
    );
}

#[test]
fn a_providers_own_block_of_the_model_is_left_out_and_one_of_the_user_is_refused() {
    let messages = json!([
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "text", "text": "It rains."}
        ]}
    ]);
    let request = decode(&with(&json!({"messages": messages}))).unwrap();
    assert_eq!(unmapped(&request), ["messages[1].content[0]", "messages[1].content[1]"]);
    assert_eq!(request.messages[1].blocks, [Block::Text("It rains.".into())]);
    let error = decode(&said(&json!([{"type": "container_upload", "file_id": "f"}]))).unwrap_err();
    assert!(matches!(error, WireError::Unsupported { ref path, .. } if path == "messages[0].content[0]"), "{error}");
}

#[test]
fn a_choice_of_a_tool_that_is_left_out_is_left_out_with_it() {
    let body = with(&json!({
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "tool", "name": "web_search"}
    }));
    let request = decode(&body).unwrap();
    assert_eq!(request.tool_choice, None);
    assert_eq!(unmapped(&request), ["tool_choice"]);
    assert_eq!(request.web_search.map(|search| search.path).as_deref(), Some("tools[0]"));
}

#[test]
fn every_tool_choice_is_read() {
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    for (choice, expected, parallel) in [
        (json!({"type": "auto"}), ToolChoice::Auto, None),
        (json!({"type": "any", "disable_parallel_tool_use": true}), ToolChoice::Any, Some(false)),
        (
            json!({"type": "tool", "name": "f", "disable_parallel_tool_use": false}),
            ToolChoice::Tool("f".into()),
            Some(true),
        ),
        (json!({"type": "none"}), ToolChoice::None, None),
    ] {
        let request = decode(&with(&json!({"tools": tools, "tool_choice": choice}))).unwrap();
        assert_eq!((request.tool_choice, request.parallel_tool_calls), (Some(expected), parallel));
    }
}

#[test]
fn thinking_and_effort_are_read() {
    for (thinking, mode) in [
        (json!({"type": "enabled", "budget_tokens": 2000}), ThinkingMode::Budget(2000)),
        (json!({"type": "disabled"}), ThinkingMode::Disabled),
        (json!({"type": "adaptive", "display": "summarized"}), ThinkingMode::Adaptive),
    ] {
        let body = with(&json!({"thinking": thinking, "output_config": {"effort": "max"}}));
        let request = decode(&body).unwrap();
        assert_eq!((request.thinking, request.effort.as_deref()), (Some(mode), Some("max")));
        assert!(request.unmapped.is_empty());
    }
}

#[test]
fn structured_output_is_read_from_both_its_places_and_strict_where_others_can_enforce_it() {
    let complete = json!({
        "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false
    });
    let partial = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    for (schema, strict) in [(complete, Some(true)), (partial, None)] {
        let format = json!({"type": "json_schema", "schema": schema});
        let expected = Some(OutputFormat::JsonSchema { name: None, description: None, schema, strict });
        assert_eq!(decode(&with(&json!({"output_config": {"format": format}}))).unwrap().output_format, expected);
        assert_eq!(decode(&with(&json!({"output_format": format}))).unwrap().output_format, expected);
    }
}

#[test]
fn filling_the_prompt_cache_is_not_asked_of_another_provider() {
    assert_eq!(refused(&with(&json!({"max_tokens": 0}))).0, "max_tokens");
}

/// JSON that looks like a request here and there.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("type"),
        Just("text"),
        Just("role"),
        Just("content"),
        Just("user"),
        Just("assistant"),
        Just("tool_use"),
        Just("tool_result"),
        Just("source"),
        Just("image"),
        Just("document"),
        Just("thinking"),
        Just("messages"),
        Just("model"),
        Just("max_tokens"),
        Just("system"),
        Just("tools"),
        Just("cache_control"),
        Just("ephemeral"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_the_decoder_panic(fields in any_json(), content in any_json()) {
        let _ = decode(&fields);
        let _ = decode(&said(&json!([content])));
        let _ = decode(&said(&content));
        let _ = decode(&with(&json!({"tools": [content], "system": fields})));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_request(Dialect::Messages, &bytes);
    }
}

#[test]
fn a_found_tool_and_a_summary_are_text() {
    let found = json!([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "get_weather"}]}]);
    let request = decode(&said(&found)).unwrap();
    let result = |blocks: &[Block]| match &blocks[0] {
        Block::ToolResult { content, .. } => content.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(result(&request.messages[0].blocks), [Block::Text("get_weather".to_owned())]);
    assert_eq!(unmapped(&request), ["messages[0].content[0].content[0]"]);

    let summary =
        json!([{"type": "compaction", "content": "They spoke of rain.", "cache_control": {"type": "ephemeral"}}]);
    let turns = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": summary}, {"role": "user", "content": "Go on"}]);
    let request = decode(&with(&json!({"messages": turns}))).unwrap();
    let expected = [Block::Text("They spoke of rain.".to_owned()), Block::CacheMark(CacheTtl::FiveMinutes)];
    assert_eq!(request.messages[1].blocks, expected);
    assert_eq!(unmapped(&request), ["messages[1].content[0]"]);
}
