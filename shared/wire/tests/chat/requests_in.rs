//! Clients' bodies to the IR.

use serde_json::{Value, json};
use tollgate_wire::codec::{Dialect, decode_request};
use tollgate_wire::error::WireError;
use tollgate_wire::ir::{Block, CacheTtl, OutputFormat, Request, Role, Source, ThinkingMode, ToolChoice};

use super::{fixture, message, text};

fn decode(body: &Value) -> Result<Request, WireError> {
    decode_request(Dialect::Chat, body.to_string().as_bytes())
}

fn with(fields: Value) -> Result<Request, WireError> {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    decode(&body)
}

fn assistant(fields: Value) -> Vec<Block> {
    let mut message = json!({"role": "assistant"});
    for (key, value) in fields.as_object().unwrap() {
        message[key] = value.clone();
    }
    let request = decode(&json!({"model": "m", "messages": [message]})).unwrap();
    request.messages[0].blocks.clone()
}

fn refused(body: Value) -> String {
    decode(&body).unwrap_err().to_string()
}

fn unmapped(request: &Request) -> Vec<&str> {
    request.unmapped.iter().map(|dropped| dropped.path.as_str()).collect()
}

#[test]
fn requests_become_ir() {
    for name in ["tool_history", "media", "thinking_replay", "options"] {
        let input = fixture(&format!("requests/{name}.json"));
        let output = decode_request(Dialect::Chat, input.as_bytes()).unwrap();
        insta::assert_snapshot!(format!("request_in_{name}"), format!("{input}\n=>\n\n{output:#?}"));
    }
}

#[test]
fn consecutive_tool_messages_are_one_user_turn() {
    let request = decode_request(Dialect::Chat, fixture("requests/tool_history.json").as_bytes()).unwrap();
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    let (user, assistant, system) = (Role::User, Role::Assistant, Role::System);
    assert_eq!(roles, [user, assistant, user, system, user, assistant, user]);
    let ids: Vec<&str> = request.messages[2]
        .blocks
        .iter()
        .filter_map(|block| if let Block::ToolResult { id, .. } = block { Some(id.as_str()) } else { None })
        .collect();
    assert_eq!(ids, ["call_a", "call_b"]);
}

#[test]
fn tool_messages_apart_are_two_user_turns() {
    let tool = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "x"});
    let user = json!({"role": "user", "content": "Hi"});
    let request = decode(&json!({"model": "m", "messages": [tool("a"), user, tool("b")]})).unwrap();
    assert_eq!(request.messages.len(), 3);
}

#[test]
fn empty_tool_arguments_become_an_empty_object() {
    for arguments in [json!(""), json!("  "), json!(null), json!("{}"), json!({})] {
        let call = json!({"id": "c", "type": "function", "function": {"name": "now", "arguments": arguments}});
        let expected = Block::ToolUse { id: "c".to_owned(), name: "now".to_owned(), input: json!({}) };
        assert_eq!(assistant(json!({"content": null, "tool_calls": [call]})), [expected]);
    }
}

#[test]
fn arguments_that_are_no_json_object_are_kept_and_reported() {
    for arguments in ["{\"a\":", "[1]", "7", "null"] {
        let call = json!({"id": "c", "type": "function", "function": {"name": "now", "arguments": arguments}});
        let body = json!({"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}]});
        let request = decode(&body).unwrap();
        let Block::ToolUse { input, .. } = &request.messages[0].blocks[0] else { panic!("{request:?}") };
        assert_eq!(*input, json!({ "INVALID_JSON": arguments }));
        assert_eq!(unmapped(&request), ["messages[0].tool_calls[0].function.arguments"]);
    }
}

#[test]
fn max_completion_tokens_wins_over_max_tokens() {
    let both = json!({"max_tokens": 100, "max_completion_tokens": 200});
    assert_eq!(with(both).unwrap().max_output_tokens, Some(200));
    assert_eq!(with(json!({"max_tokens": 100})).unwrap().max_output_tokens, Some(100));
    assert_eq!(with(json!({"max_tokens": null})).unwrap().max_output_tokens, None);
}

#[test]
fn instructions_before_the_first_turn_are_the_system_prompt_and_later_ones_keep_their_place() {
    let request = decode(&json!({"model": "m", "messages": [
        {"role": "developer", "content": "a"}, {"role": "system", "content": "b"},
        {"role": "user", "content": "c"}, {"role": "developer", "content": "d"}
    ]}));
    let request = request.unwrap();
    assert_eq!(request.system, [text("a"), text("b")]);
    assert_eq!(request.messages[1].role, Role::System);
    assert_eq!(request.messages[1].blocks, [text("d")]);
}

#[test]
fn signed_thinking_without_text_is_replayed() {
    let blocks = json!([{"type": "thinking", "thinking": "", "signature": "sig"}]);
    let expected = Block::Thinking { text: String::new(), signature: Some("sig".to_owned()) };
    assert_eq!(assistant(json!({"content": "4", "thinking_blocks": blocks})), [expected, text("4")]);
}

#[test]
fn a_signature_finds_the_text_that_went_another_way() {
    let blocks = json!([{"type": "thinking", "thinking": "", "signature": "sig"}]);
    let message = json!({"reasoning_content": "Two.", "content": "4", "thinking_blocks": blocks});
    let expected = Block::Thinking { text: "Two.".to_owned(), signature: Some("sig".to_owned()) };
    assert_eq!(assistant(message), [expected, text("4")]);
}

#[test]
fn thinking_stands_before_text_and_calls_whatever_the_order_of_fields() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"}});
    let message = json!({"tool_calls": [call], "content": "text", "reasoning": "why"});
    let blocks = assistant(message);
    assert!(matches!(&blocks[..], [Block::Thinking { .. }, Block::Text(_), Block::ToolUse { .. }]), "{blocks:?}");
}

#[test]
fn a_mark_on_a_message_stands_behind_its_last_block() {
    let message = json!({"role": "user", "content": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}});
    let request = decode(&json!({"model": "m", "messages": [message]})).unwrap();
    assert_eq!(request.messages[0].blocks, [text("Hi"), Block::CacheMark(CacheTtl::OneHour)]);
}

#[test]
fn a_mark_on_a_call_stands_behind_it() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"}, "cache_control": {"type": "ephemeral"}});
    let request = with(
        json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": null, "tool_calls": [call]}]}),
    );
    let request = request.unwrap();
    let [Block::ToolUse { .. }, Block::CacheMark(CacheTtl::FiveMinutes)] = &request.messages[1].blocks[..] else {
        panic!("{:?}", request.messages[1].blocks)
    };
    assert!(request.unmapped.is_empty());
}

#[test]
fn allowed_tools_are_the_only_tools() {
    let request = decode_request(Dialect::Chat, fixture("requests/options.json").as_bytes()).unwrap();
    assert_eq!(request.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(request.tool_choice, Some(ToolChoice::Any));
}

#[test]
fn every_form_of_tool_choice_is_read() {
    let choose = |choice: Value| {
        let tools = json!([{"type": "function", "function": {"name": "a"}}]);
        with(json!({"tools": tools, "tool_choice": choice})).map(|request| request.tool_choice)
    };
    assert_eq!(choose(json!("none")), Ok(Some(ToolChoice::None)));
    assert_eq!(choose(json!("auto")), Ok(Some(ToolChoice::Auto)));
    assert_eq!(choose(json!("required")), Ok(Some(ToolChoice::Any)));
    let named = json!({"type": "function", "function": {"name": "a"}});
    assert_eq!(choose(named), Ok(Some(ToolChoice::Tool("a".to_owned()))));
    assert!(choose(json!("sometimes")).unwrap_err().to_string().starts_with("tool_choice: expected"));
    let custom = json!({"type": "custom", "custom": {"name": "a"}});
    assert_eq!(choose(custom), Ok(Some(ToolChoice::Tool("a".to_owned()))));
    assert!(matches!(choose(json!({"type": "other"})), Err(WireError::Unsupported { .. })));
}

#[test]
fn harmless_defaults_and_nulls_are_not_reported() {
    let request = with(json!({
        "n": 1, "logprobs": false, "top_logprobs": 0, "store": false, "service_tier": "default", "modalities": ["text"],
        "metadata": {}, "logit_bias": {}, "verbosity": "medium", "functions": [], "response_format": {"type": "text"},
        "audio": null, "seed": null, "stop": null, "tools": null, "temperature": null, "some_new_field": null
    }));
    assert_eq!(request.unwrap().unmapped, []);
}

#[test]
fn what_no_other_dialect_knows_is_reported_with_its_path() {
    let request = decode_request(Dialect::Chat, fixture("requests/options.json").as_bytes()).unwrap();
    assert_eq!(unmapped(&request), ["verbosity", "prompt_cache_key", "some_new_field", "user"]);
    let body = json!({"model": "m", "logit_bias": {"5": 1}, "messages": [
        {"role": "user", "name": "ada", "content": [{"type": "text", "text": "Hi", "x": 1}]},
        {"role": "assistant", "content": "a", "audio": {"id": "audio_1"}, "annotations": [{"type": "file_citation"}]}
    ], "tools": [{"type": "function", "function": {"name": "a", "y": 1}, "z": 2}]});
    let request = decode(&body).unwrap();
    assert_eq!(
        unmapped(&request),
        [
            "logit_bias",
            "messages[0].name",
            "messages[0].content[0].x",
            "messages[1].audio",
            "messages[1].annotations",
            "tools[0].function.y",
            "tools[0].z"
        ]
    );
}

#[test]
fn a_wrong_type_is_refused_with_its_path() {
    let hi = json!([{"role": "user", "content": "Hi"}]);
    for (body, expected) in [
        (json!([]), "body: expected an object, got an array"),
        (json!({"messages": hi}), "model: required"),
        (json!({"model": "m"}), "messages: required"),
        (json!({"model": 7, "messages": hi}), "model: expected a string, got a number"),
        (json!({"model": "m", "messages": "Hi"}), "messages: expected an array, got a string"),
        (json!({"model": "m", "messages": [7]}), "messages[0]: expected an object, got a number"),
        (json!({"model": "m", "messages": [{"content": "Hi"}]}), "messages[0].role: required"),
        (json!({"model": "m", "messages": [{"role": "user"}]}), "messages[0].content: required"),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": 7}]}),
            "messages[0].content: expected a string or an array of parts, got a number",
        ),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}),
            "messages[0].content[0].text: expected a string, got a number",
        ),
        (
            json!({"model": "m", "messages": [{"role": "system", "content": [{"type": "image_url"}]}]}),
            "messages[0].content[0].type: expected text, got \"image_url\"",
        ),
        (json!({"model": "m", "messages": [{"role": "tool", "content": "x"}]}), "messages[0].tool_call_id: required"),
        (
            json!({"model": "m", "messages": [{"role": "robot", "content": "x"}]}),
            "messages[0].role: expected system, developer, user, assistant or tool, got \"robot\"",
        ),
        (
            json!({"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": 7}}]}]}),
            "messages[0].tool_calls[0].function.arguments: expected a string, got a number",
        ),
        (
            json!({"model": "m", "messages": hi, "max_tokens": -1}),
            "max_tokens: expected a non-negative integer, got -1",
        ),
        (json!({"model": "m", "messages": hi, "temperature": "hot"}), "temperature: expected a number, got a string"),
        (json!({"model": "m", "messages": hi, "stream": "yes"}), "stream: expected a boolean, got a string"),
        (json!({"model": "m", "messages": hi, "stop": [1]}), "stop[0]: expected a string, got a number"),
        (json!({"model": "m", "messages": hi, "tools": [{"type": "function"}]}), "tools[0].function: required"),
        (
            json!({"model": "m", "messages": hi, "tools": [{"type": "function", "function": {}}]}),
            "tools[0].function.name: required",
        ),
        (
            json!({"model": "m", "messages": hi, "response_format": {"type": "json_schema"}}),
            "response_format.json_schema: required",
        ),
    ] {
        assert_eq!(refused(body), expected);
    }
}

#[test]
fn what_cannot_be_left_out_is_refused_for_this_upstream() {
    let hi = json!([{"role": "user", "content": "Hi"}]);
    for body in [
        json!({"model": "m", "messages": hi, "tools": [{"type": "of_tomorrow"}]}),
        json!({"model": "m", "messages": hi, "functions": [{"name": "f"}]}),
        json!({"model": "m", "messages": hi, "n": 2}),
        json!({"model": "m", "messages": [{"role": "function", "name": "f", "content": "x"}]}),
        json!({"model": "m", "messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": ""}}]}),
    ] {
        assert!(matches!(decode(&body), Err(WireError::Unsupported { .. })), "{body}");
    }
}

#[test]
fn nesting_without_end_is_a_clear_error() {
    let deep = format!("{{\"model\":\"m\",\"messages\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let error = decode_request(Dialect::Chat, deep.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("nested too deeply"), "{error}");
}

#[test]
fn image_urls_are_bytes_or_places() {
    let image = |url: &str| {
        let part = json!({"type": "image_url", "image_url": {"url": url}});
        decode(&json!({"model": "m", "messages": [{"role": "user", "content": [part]}]}))
            .map(|request| request.messages[0].blocks[0].clone())
    };
    let png = Source::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
    assert_eq!(image("data:image/png;base64,AAAA"), Ok(Block::Image(png.clone())));
    assert_eq!(image("DATA:Image/PNG;charset=x;Base64,AAAA"), Ok(Block::Image(png)));
    assert_eq!(image("https://e.com/a"), Ok(Block::Image(Source::Url("https://e.com/a".to_owned()))));
    for bad in ["ftp://e.com/a", "data:image/png,AAAA", "data:;base64,AAAA", "data:image/png;base64", "", "dätä:"] {
        let error = image(bad).unwrap_err().to_string();
        assert!(error.starts_with("messages[0].content[0].image_url.url: "), "{error}");
    }
}

#[test]
fn thinking_and_effort_are_read() {
    let thinking = |value: Value| with(json!({ "thinking": value })).map(|request| request.thinking);
    assert_eq!(thinking(json!({"type": "enabled", "budget_tokens": 9})), Ok(Some(ThinkingMode::Budget(9))));
    assert_eq!(thinking(json!({"type": "enabled"})), Ok(Some(ThinkingMode::Adaptive)));
    assert_eq!(thinking(json!({"type": "disabled"})), Ok(Some(ThinkingMode::Disabled)));
    assert_eq!(thinking(json!({"type": "x"})).unwrap_err().to_string().split(':').next(), Some("thinking.type"));
    assert_eq!(with(json!({"reasoning_effort": "low"})).unwrap().effort.as_deref(), Some("low"));
    let format = with(json!({"response_format": {"type": "json_object"}})).unwrap().output_format;
    assert_eq!(format, Some(OutputFormat::JsonObject));
}

#[test]
fn a_picture_may_be_called_jpg_and_its_bytes_may_have_line_breaks() {
    let url = "data:image/JPG;base64,aGVs\r\nbG8=\n";
    let content = json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "file", "file": {"file_data": "JVBE\nRi0="}}]);
    let request = decode(&json!({"model": "m", "messages": [{"role": "user", "content": content}]})).unwrap();
    let sources = request.messages[0].blocks.iter().filter_map(|block| match block {
        Block::Image(Source::Base64 { media_type, data })
        | Block::Document { source: Source::Base64 { media_type, data }, .. } => {
            Some((media_type.as_str(), data.as_str()))
        }
        _ => None,
    });
    assert_eq!(sources.collect::<Vec<_>>(), [("image/jpeg", "aGVsbG8="), ("application/pdf", "JVBERi0=")]);
}

#[test]
fn instructions_alone_are_the_users_turn() {
    let system =
        json!([{"role": "system", "content": "Write a haiku."}, {"role": "developer", "content": "About rain."}]);
    let request = decode(&json!({"model": "m", "messages": system})).unwrap();
    assert_eq!(request.system, []);
    assert_eq!(request.messages, [message(Role::User, vec![text("Write a haiku."), text("About rain.")])]);
    assert_eq!(unmapped(&request), ["messages[0].role"]);
}
