//! The IR to bodies for upstreams of this dialect.

use serde_json::{Value, json};
use tollgate_wire::codec::encode_request;
use tollgate_wire::error::WireError;
use tollgate_wire::ir::{
    Block, CacheTtl, Dropped, OutputFormat, Request, Role, Source, ThinkingMode, Tool, ToolChoice,
};

use super::{ask, body, dropped, encode, message, target, text};

fn tool(name: &str) -> Tool {
    let schema = json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "number"}}});
    Tool {
        name: name.to_owned(),
        description: Some("Does it".to_owned()),
        schema,
        strict: None,
        cache: None,
        custom: None,
    }
}

fn png() -> Block {
    Block::Image(Source::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() })
}

fn call(id: &str) -> Block {
    Block::ToolUse { id: id.to_owned(), name: "mcp/server.look".to_owned(), input: json!({"b": 1, "a": 2}) }
}

fn result(id: &str, content: Vec<Block>, is_error: bool) -> Block {
    Block::ToolResult { id: id.to_owned(), content, is_error }
}

/// An agent's turn as an Anthropic client sends it.
fn agent() -> Request {
    let thinking = Block::Thinking { text: "Hm.".to_owned(), signature: Some("sig".to_owned()) };
    Request {
        model: "claude".to_owned(),
        system: vec![text("You look."), Block::CacheMark(CacheTtl::OneHour), text("Be brief.")],
        messages: vec![
            message(Role::User, vec![text("Look at both."), Block::CacheMark(CacheTtl::FiveMinutes), text(" ")]),
            message(
                Role::Assistant,
                vec![
                    thinking,
                    Block::RedactedThinking("enc".to_owned()),
                    text("I "),
                    text("look."),
                    call("call_a"),
                    call("call_b"),
                ],
            ),
            message(
                Role::User,
                vec![
                    text("Here:"),
                    result("call_a", vec![text("seen"), png()], false),
                    result("call_b", vec![text("no such file")], true),
                    Block::CacheMark(CacheTtl::FiveMinutes),
                    png(),
                ],
            ),
        ],
        tools: vec![tool("mcp/server.look")],
        tool_choice: Some(ToolChoice::Tool("mcp/server.look".to_owned())),
        parallel_tool_calls: Some(false),
        max_output_tokens: Some(1000),
        temperature: Some(0.5),
        top_k: Some(5),
        stop: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
        output_format: Some(OutputFormat::JsonSchema {
            name: None,
            description: None,
            schema: json!({"type": "object"}),
            strict: None,
        }),
        thinking: Some(ThinkingMode::Budget(8_000)),
        stream: true,
        include_usage: true,
        user: Some("u-1".to_owned()),
        unmapped: vec![Dropped::new("container", "Anthropic only")],
        ..Request::default()
    }
}

#[test]
fn an_agents_turn_becomes_a_body() {
    let request = agent();
    for model in ["llama-3.3-70b", "gpt-5", "gpt-5.6"] {
        let encoded = encode(&request, model);
        let shown = serde_json::to_string_pretty(&body(&encoded)).unwrap();
        let report = format!("{request:#?}\n\n=> {model}\n\n{shown}\n\n{:#?}", encoded.dropped);
        insta::assert_snapshot!(format!("request_out_agent_{model}"), report);
    }
}

#[test]
fn results_stand_right_behind_their_calls_and_other_content_behind_them() {
    let encoded = encode(&agent(), "gpt-4.1");
    let messages = body(&encoded)["messages"].clone();
    let roles: Vec<&str> = messages.as_array().unwrap().iter().filter_map(|m| m["role"].as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "user"]);
    assert_eq!(messages[3]["tool_call_id"], "call_a");
    assert_eq!(messages[4]["content"], "The tool call failed:\nno such file");
}

#[test]
fn a_stream_always_asks_for_its_usage() {
    for include_usage in [true, false] {
        let encoded = encode(&Request { stream: true, include_usage, ..ask() }, "gpt-4.1");
        assert_eq!(body(&encoded)["stream_options"], json!({"include_usage": true}));
    }
    assert_eq!(body(&encode(&ask(), "gpt-4.1")).get("stream_options"), None);
}

#[test]
fn the_cap_has_the_name_that_the_model_knows() {
    let request = Request { max_output_tokens: Some(9), ..ask() };
    for (model, field) in [
        ("gpt-4o", "max_tokens"),
        ("llama3", "max_tokens"),
        ("o3", "max_completion_tokens"),
        ("gpt-5-mini", "max_completion_tokens"),
        ("gpt-6-astra", "max_completion_tokens"),
    ] {
        let body = body(&encode(&request, model));
        assert_eq!(body[field], 9, "{model}");
        let caps = ["max_tokens", "max_completion_tokens"].iter().filter(|key| body.get(**key).is_some()).count();
        assert_eq!(caps, 1, "{model}");
    }
}

#[test]
fn forbidden_tool_names_are_mapped_and_mapped_back() {
    let request = agent();
    let mut encoded = encode(&request, "gpt-4.1");
    let sent = body(&encoded);
    let name = sent["tools"][0]["function"]["name"].as_str().unwrap().to_owned();
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'), "{name}");
    assert_eq!(sent["tool_choice"]["function"]["name"], name.as_str());
    assert_eq!(sent["messages"][2]["tool_calls"][0]["function"]["name"], name.as_str());
    let call = json!({"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}});
    let answer = json!({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]});
    let response = encoded.reader.response(answer.to_string().as_bytes()).unwrap();
    let Block::ToolUse { name, .. } = &response.blocks[0] else { panic!("{response:?}") };
    assert_eq!(name, "mcp/server.look");
}

#[test]
fn argument_and_schema_members_keep_their_order() {
    let encoded = encode(&agent(), "gpt-4.1");
    let text = String::from_utf8(encoded.body.to_vec()).unwrap();
    assert!(text.contains(r#""arguments":"{\"b\":1,\"a\":2}""#), "{text}");
    assert!(text.contains(r#""properties":{"z":{"type":"string"},"a":{"type":"number"}}"#), "{text}");
}

#[test]
fn thinking_that_cannot_be_replayed_is_reported_once() {
    let encoded = encode(&agent(), "gpt-4.1");
    let reports: Vec<&Dropped> = encoded.dropped.iter().filter(|d| d.reason.contains("earlier turns")).collect();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].path, "messages[1].content[0]");
    assert!(reports[0].reason.contains("2 blocks"));
}

#[test]
fn reasoning_models_refuse_sampling_and_stops_and_that_is_reported() {
    let stop = vec!["x".to_owned()];
    let request = Request { temperature: Some(0.2), top_p: Some(0.9), stop, ..ask() };
    let encoded = encode(&request, "o3");
    assert_eq!(dropped(&encoded), ["temperature", "top_p", "stop"]);
    assert_eq!(body(&encoded).as_object().unwrap().keys().collect::<Vec<_>>(), ["model", "messages"]);
    let defaults = Request { temperature: Some(1.0), top_p: Some(1.0), frequency_penalty: Some(0.0), ..ask() };
    assert_eq!(dropped(&encode(&defaults, "o3")), [""; 0]);
    assert_eq!(body(&encode(&request, "gpt-4.1"))["temperature"], 0.2);
}

#[test]
fn thinking_becomes_an_effort_where_there_is_one() {
    let effort = |thinking: Option<ThinkingMode>, effort: Option<&str>, model: &str| {
        let request = Request { thinking, effort: effort.map(str::to_owned), ..ask() };
        let encoded = encode(&request, model);
        (body(&encoded)["reasoning_effort"].clone(), encoded.dropped.len())
    };
    assert_eq!(effort(Some(ThinkingMode::Budget(1_024)), None, "gpt-5"), (json!("low"), 0));
    assert_eq!(effort(Some(ThinkingMode::Budget(10_000)), None, "o3"), (json!("medium"), 0));
    assert_eq!(effort(Some(ThinkingMode::Budget(32_000)), None, "gpt-5.1"), (json!("high"), 0));
    assert_eq!(effort(Some(ThinkingMode::Adaptive), Some("xhigh"), "gpt-5.2"), (json!("xhigh"), 0));
    assert_eq!(effort(None, Some("max"), "gpt-5"), (json!("high"), 1));
    assert_eq!(effort(Some(ThinkingMode::Disabled), None, "gpt-5.1"), (json!("none"), 0));
    assert_eq!(effort(Some(ThinkingMode::Disabled), None, "gpt-4.1"), (Value::Null, 0));
    assert_eq!(effort(Some(ThinkingMode::Adaptive), None, "gpt-4.1"), (Value::Null, 1));
    assert_eq!(effort(None, Some("low"), "openai/gpt-oss-20b"), (json!("low"), 0));
    assert_eq!(effort(None, None, "gpt-5.6"), (Value::Null, 0));
}

#[test]
fn models_that_take_tools_only_without_effort_get_none() {
    let request = Request { tools: vec![tool("a")], ..ask() };
    let encoded = encode(&request, "gpt-5.6-luna");
    assert_eq!(body(&encoded)["reasoning_effort"], "none");
    assert_eq!(dropped(&encoded), [""; 0]);
    let wanted = Request { effort: Some("high".to_owned()), ..request };
    assert_eq!(dropped(&encode(&wanted, "gpt-5.4")), ["effort"]);
    assert_eq!(body(&encode(&wanted, "gpt-5.2"))["reasoning_effort"], "high");
    assert_eq!(body(&encode(&wanted, "openai/gpt-5.6"))["reasoning_effort"], "high");
}

#[test]
fn no_tools_means_no_tool_options() {
    let request = Request { tool_choice: Some(ToolChoice::Auto), parallel_tool_calls: Some(true), ..ask() };
    let encoded = encode(&request, "gpt-4.1");
    assert_eq!(body(&encoded).as_object().unwrap().keys().collect::<Vec<_>>(), ["model", "messages"]);
    let forced = Request { tool_choice: Some(ToolChoice::Any), ..ask() };
    assert_eq!(dropped(&encode(&forced, "gpt-4.1")), ["tool_choice"]);
}

#[test]
fn documents_are_files_text_or_refused() {
    let document = |source: Source| {
        let block = Block::Document { source, name: Some("a.pdf".to_owned()) };
        let request = Request { messages: vec![message(Role::User, vec![block])], ..Request::default() };
        encode_request(&request, &target("gpt-4.1")).map(|encoded| body(&encoded)["messages"][0]["content"].clone())
    };
    let pdf = Source::Base64 { media_type: "application/pdf".to_owned(), data: "JVBE".to_owned() };
    let part =
        json!([{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}}]);
    assert_eq!(document(pdf), Ok(part));
    assert_eq!(document(Source::Text("one".to_owned())), Ok(json!("a.pdf\n\none")));
    for source in [Source::Url("https://e.com/a.pdf".to_owned()), Source::File("file_1".to_owned())] {
        assert!(
            matches!(document(source), Err(WireError::Unsupported { path, .. }) if path == "messages[0].content[0]")
        );
    }
}

#[test]
fn blank_text_is_left_out_beside_other_content_only() {
    let blank = Request { messages: vec![message(Role::User, vec![text(" ")])], ..Request::default() };
    assert_eq!(body(&encode(&blank, "gpt-4.1"))["messages"][0]["content"], " ");
    let beside = Request { messages: vec![message(Role::User, vec![text("\n"), png()])], ..Request::default() };
    assert_eq!(body(&encode(&beside, "gpt-4.1"))["messages"][0]["content"].as_array().unwrap().len(), 1);
}

#[test]
fn an_answer_that_the_client_began_is_reported_because_it_is_not_continued() {
    let mut request = ask();
    request.messages.push(message(Role::Assistant, vec![text("{")]));
    assert_eq!(dropped(&encode(&request, "gpt-4.1")), ["messages[1]"]);
}

#[test]
fn an_assistant_turn_of_thinking_alone_is_left_out() {
    let thinking = Block::Thinking { text: "Hm.".to_owned(), signature: None };
    let mut request = ask();
    request.messages.push(message(Role::Assistant, vec![thinking]));
    assert_eq!(body(&encode(&request, "gpt-4.1"))["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn an_id_that_is_too_long_is_shortened_the_same_in_the_call_and_its_result() {
    let id = "x".repeat(100);
    let messages =
        vec![message(Role::Assistant, vec![call(&id)]), message(Role::User, vec![result(&id, vec![], false)])];
    let sent = body(&encode(&Request { messages, ..Request::default() }, "gpt-4.1"))["messages"].clone();
    let short = sent[0]["tool_calls"][0]["id"].as_str().unwrap();
    assert_eq!(short.len(), 40);
    assert_eq!(sent[1]["tool_call_id"], short);
}

#[test]
fn a_user_id_that_is_too_long_is_reported() {
    let request = Request { user: Some("x".repeat(65)), ..ask() };
    assert_eq!(dropped(&encode(&request, "gpt-4.1")), ["user"]);
}

#[test]
fn what_the_decoder_could_not_map_is_reported() {
    assert_eq!(dropped(&encode(&agent(), "gpt-4.1"))[0], "container");
}
