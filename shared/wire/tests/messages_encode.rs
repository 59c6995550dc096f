//! What Anthropic and Claude on Bedrock are sent.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tollgate_wire::codec::{self, Carrier, Dialect, Encoded, Target};
use tollgate_wire::error::WireError;
use tollgate_wire::ir::{
    Block, CacheTtl, Delta, Dropped, Event, Message, OutputFormat, Request, Role, Source, StopReason, ThinkingMode,
    Tool, ToolChoice,
};

#[path = "messages/schemas.rs"]
mod schemas;

const BUDGET_MODEL: &str = "claude-sonnet-4-5";
const ADAPTIVE_MODEL: &str = "claude-opus-4-8";

fn encoded(request: &Request, carrier: Carrier, model: &str) -> Result<Encoded, WireError> {
    codec::encode_request(request, &Target { dialect: Dialect::Messages, carrier, model })
}

fn encode(request: &Request, model: &str) -> (Value, Vec<String>) {
    let encoded = encoded(request, Carrier::Direct, model).unwrap();
    (serde_json::from_slice(&encoded.body).unwrap(), paths(&encoded.dropped))
}

fn paths(dropped: &[Dropped]) -> Vec<String> {
    dropped.iter().map(|dropped| dropped.path.clone()).collect()
}

fn text(text: &str) -> Block {
    Block::Text(text.to_owned())
}

fn user(blocks: Vec<Block>) -> Message {
    Message { role: Role::User, blocks }
}

fn assistant(blocks: Vec<Block>) -> Message {
    Message { role: Role::Assistant, blocks }
}

fn system(words: &str) -> Message {
    Message { role: Role::System, blocks: vec![text(words)] }
}

fn call(id: &str) -> Block {
    Block::ToolUse { id: id.to_owned(), name: "f".to_owned(), input: json!({}) }
}

fn result(id: &str) -> Block {
    Block::ToolResult { id: id.to_owned(), content: vec![text("ok")], is_error: false }
}

fn tool(name: &str) -> Tool {
    let schema = json!({"type": "object", "properties": {}});
    Tool { name: name.to_owned(), description: None, schema, strict: None, cache: None, custom: None }
}

fn signed(words: &str) -> Block {
    Block::Thinking { text: words.to_owned(), signature: Some("s".to_owned()) }
}

fn says(messages: Vec<Message>) -> Request {
    Request { model: "m".to_owned(), messages, ..Request::default() }
}

fn hi() -> Request {
    says(vec![user(vec![text("Hi")])])
}

fn roles(body: &Value) -> Vec<&str> {
    body["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect()
}

#[test]
fn results_of_parallel_calls_are_one_turn_and_come_first() {
    let request = says(vec![
        user(vec![text("Go")]),
        assistant(vec![call("a"), call("b")]),
        user(vec![result("a")]),
        user(vec![text("And?")]),
        user(vec![result("b")]),
    ]);
    let (body, _) = encode(&request, BUDGET_MODEL);
    assert_eq!(roles(&body), ["user", "assistant", "user"]);
    let last = body["messages"][2]["content"].as_array().unwrap();
    let kinds: Vec<&str> = last.iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["tool_result", "tool_result", "text"]);
}

#[test]
fn a_history_with_calls_and_no_tools_still_declares_them_and_calls_none() {
    let request = says(vec![user(vec![text("Go")]), assistant(vec![call("a")]), user(vec![result("a")])]);
    let (body, dropped) = encode(&request, BUDGET_MODEL);
    assert_eq!(body["tools"], json!([{"name": "f", "input_schema": {"type": "object", "properties": {}}}]));
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
    assert!(dropped.is_empty(), "{dropped:?}");
}

#[test]
fn without_tools_and_calls_there_is_no_trace_of_tools() {
    let mut request = hi();
    request.tool_choice = Some(ToolChoice::Auto);
    request.parallel_tool_calls = Some(false);
    let (body, _) = encode(&request, BUDGET_MODEL);
    assert!(body.get("tools").is_none() && body.get("tool_choice").is_none(), "{body}");
}

#[test]
fn arguments_that_are_no_object_become_an_empty_one() {
    let odd = Block::ToolUse { id: "a".into(), name: "f".into(), input: json!("") };
    let (body, _) =
        encode(&says(vec![user(vec![text("Go")]), assistant(vec![odd]), user(vec![result("a")])]), BUDGET_MODEL);
    assert_eq!(body["messages"][1]["content"][0]["input"], json!({}));
}

#[test]
fn unsigned_thinking_is_left_out_and_signed_thinking_without_text_is_sent() {
    let unsigned = Block::Thinking { text: "Hm".into(), signature: None };
    let request = says(vec![
        user(vec![text("Hi")]),
        assistant(vec![unsigned, signed(""), text("Yes")]),
        user(vec![text("Why?")]),
    ]);
    let (body, dropped) = encode(&request, ADAPTIVE_MODEL);
    assert_eq!(
        body["messages"][1]["content"],
        json!([{"type": "thinking", "thinking": "", "signature": "s"}, {"type": "text", "text": "Yes"}])
    );
    assert_eq!(dropped, ["messages[1].content[0]"]);
}

#[test]
fn a_tool_loop_without_its_thinking_runs_without_thinking() {
    let mut request = says(vec![user(vec![text("Go")]), assistant(vec![call("a")]), user(vec![result("a")])]);
    request.tools = vec![tool("f")];
    request.effort = Some("high".into());
    let (body, dropped) = encode(&request, BUDGET_MODEL);
    assert_eq!(body["thinking"], json!({"type": "disabled"}));
    assert_eq!(dropped, ["reasoning_effort"]);
    // Adaptive thinking does not mind.
    let (body, dropped) = encode(&request, ADAPTIVE_MODEL);
    assert_eq!(body["thinking"]["type"], "adaptive");
    assert!(dropped.is_empty(), "{dropped:?}");
}

#[test]
fn a_tool_loop_that_began_with_thinking_goes_on_thinking() {
    let mut request = says(vec![
        user(vec![text("Before")]),
        assistant(vec![text("Yes")]),
        user(vec![text("Go")]),
        assistant(vec![signed("Hm"), call("a")]),
        user(vec![result("a")]),
        assistant(vec![call("b")]),
        user(vec![result("b")]),
    ]);
    request.tools = vec![tool("f")];
    request.thinking = Some(ThinkingMode::Budget(2000));
    request.max_output_tokens = Some(8000);
    let (body, dropped) = encode(&request, BUDGET_MODEL);
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 2000}));
    assert!(dropped.is_empty(), "{dropped:?}");
}

#[test]
fn blank_text_is_not_sent() {
    let request = says(vec![
        user(vec![text("Hi"), text(" \n")]),
        assistant(vec![text("")]),
        user(vec![text("There?"), Block::CacheMark(CacheTtl::OneHour)]),
    ]);
    let (body, _) = encode(&request, BUDGET_MODEL);
    assert_eq!(
        body["messages"],
        json!([{"role": "user", "content": [
            {"type": "text", "text": "Hi"},
            {"type": "text", "text": "There?", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        ]}])
    );
}

#[test]
fn a_request_of_only_blank_text_is_an_error() {
    let error = encoded(&says(vec![user(vec![text(" ")])]), Carrier::Bedrock, "claude-opus-5").unwrap_err();
    assert_eq!(error.to_string(), "messages: expected at least one message with content");
}

#[test]
fn a_system_message_in_the_middle_keeps_its_place_or_is_reported() {
    let at_the_end = says(vec![user(vec![text("Hi")]), system("In German.")]);
    let (body, dropped) = encode(&at_the_end, ADAPTIVE_MODEL);
    assert_eq!(roles(&body), ["user", "system"]);
    assert!(dropped.is_empty());
    let (body, dropped) = encode(&at_the_end, BUDGET_MODEL);
    assert_eq!(roles(&body), ["user"]);
    assert_eq!(body["messages"][0]["content"][1]["text"], "In German.");
    assert_eq!(dropped, ["messages[1]"]);
    // After an assistant's turn it may not stand even where the model knows it.
    let after_answer = says(vec![user(vec![text("Hi")]), assistant(vec![text("Yes")]), system("In German.")]);
    let (body, dropped) = encode(&after_answer, ADAPTIVE_MODEL);
    assert_eq!((roles(&body), dropped.len()), (vec!["user", "assistant", "user"], 1));
}

#[test]
fn a_conversation_begins_with_the_user() {
    let (body, dropped) = encode(&says(vec![assistant(vec![text("Hello")]), user(vec![text("Hi")])]), BUDGET_MODEL);
    assert_eq!(roles(&body), ["user", "assistant", "user"]);
    assert_eq!(dropped, ["messages[0]"]);
}

#[test]
fn a_prefill_loses_its_last_spaces_and_models_without_prefill_are_told_to_continue() {
    let request = says(vec![user(vec![text("Hi")]), assistant(vec![text("The answer is ")])]);
    let (body, dropped) = encode(&request, BUDGET_MODEL);
    assert_eq!(body["messages"][1]["content"][0]["text"], "The answer is");
    assert!(dropped.is_empty());
    let (body, dropped) = encode(&request, ADAPTIVE_MODEL);
    assert_eq!(roles(&body), ["user", "assistant", "user"]);
    assert_eq!(dropped, ["messages"]);
}

#[test]
fn ids_that_the_api_refuses_are_the_same_allowed_ones_in_call_and_result() {
    let request = says(vec![user(vec![text("Go")]), assistant(vec![call("call:1/x")]), user(vec![result("call:1/x")])]);
    let (body, _) = encode(&request, BUDGET_MODEL);
    let sent = body["messages"][1]["content"][0]["id"].as_str().unwrap();
    assert!(sent.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'), "{sent}");
    assert_eq!(body["messages"][2]["content"][0]["tool_use_id"], sent);
}

#[test]
fn forbidden_tool_names_are_mapped_and_come_back() {
    let mut request = hi();
    request.tools = vec![tool("mcp/server.read")];
    request.tool_choice = Some(ToolChoice::Tool("mcp/server.read".into()));
    let mut encoded = encoded(&request, Carrier::Bedrock, "anthropic.claude-haiku-4-5-20251001-v1:0").unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let sent = body["tools"][0]["name"].as_str().unwrap().to_owned();
    assert_ne!(sent, "mcp/server.read");
    assert_eq!(body["tool_choice"], json!({"type": "tool", "name": sent}));
    let start = json!({"type": "content_block_start", "index": 0,
        "content_block": {"type": "tool_use", "id": "t", "name": sent, "input": {}}});
    let mut events = Vec::new();
    encoded.reader.chunk(format!("data: {start}\n\n").as_bytes(), &mut events).unwrap();
    assert!(format!("{events:?}").contains("mcp/server.read"), "{events:?}");
}

#[test]
fn a_long_tool_name_stays_at_anthropic_and_is_mapped_on_bedrock() {
    let mut request = hi();
    request.tools = vec![tool(&"x".repeat(100))];
    let name = |carrier| {
        let body: Value = serde_json::from_slice(&encoded(&request, carrier, BUDGET_MODEL).unwrap().body).unwrap();
        body["tools"][0]["name"].as_str().unwrap().len()
    };
    assert_eq!((name(Carrier::Direct), name(Carrier::Bedrock)), (100, 64));
}

#[test]
fn the_output_cap_has_a_default_and_a_ceiling() {
    let cap_of = |request: &Request, carrier, model| -> Value {
        serde_json::from_slice::<Value>(&encoded(request, carrier, model).unwrap().body).unwrap()["max_tokens"].clone()
    };
    let cap = |carrier, model| cap_of(&hi(), carrier, model);
    assert_eq!(cap(Carrier::Direct, "claude-opus-4-1"), 32_000);
    assert_eq!(cap(Carrier::Vertex, "claude-sonnet-4-5@20250929"), 64_000);
    assert_eq!(cap(Carrier::Bedrock, "anthropic.claude-opus-4-1-20250805-v1:0"), 4_096);
    assert_eq!(cap(Carrier::Direct, "some-other-model"), 4_096);
    let thinks = Request { thinking: Some(ThinkingMode::Budget(2_000)), ..hi() };
    assert_eq!(cap_of(&thinks, Carrier::Bedrock, "anthropic.claude-opus-4-1-20250805-v1:0"), 6_096);
    let request = Request { max_output_tokens: Some(999_999_999), ..hi() };
    let (body, dropped) = encode(&request, "claude-3-haiku-20240307");
    assert_eq!((&body["max_tokens"], dropped), (&json!(4096), vec!["max_tokens".to_owned()]));
    let (body, dropped) = encode(&request, "some-other-model");
    assert_eq!((&body["max_tokens"], dropped.len()), (&json!(999_999_999), 0));
}

#[test]
fn temperature_and_top_p_together_only_where_the_model_takes_both() {
    let request = Request { temperature: Some(0.5), top_p: Some(0.9), top_k: Some(4), ..hi() };
    for (model, fields, lost) in [
        ("claude-sonnet-4-20250514", vec!["temperature", "top_p", "top_k"], vec![]),
        ("claude-opus-4-1", vec!["temperature", "top_k"], vec!["top_p"]),
        ("claude-haiku-4-5", vec!["temperature", "top_k"], vec!["top_p"]),
        ("claude-opus-4-7", vec![], vec!["temperature", "top_p", "top_k"]),
    ] {
        let (body, dropped) = encode(&request, model);
        let sent: Vec<&str> =
            ["temperature", "top_p", "top_k"].into_iter().filter(|name| body.get(*name).is_some()).collect();
        assert_eq!((sent, dropped), (fields, lost.into_iter().map(str::to_owned).collect::<Vec<_>>()), "{model}");
    }
}

#[test]
fn a_temperature_above_the_range_is_lowered_and_reported() {
    let (body, dropped) = encode(&Request { temperature: Some(1.7), ..hi() }, BUDGET_MODEL);
    // 1 is the default: not to say it is to say it.
    assert_eq!((body.get("temperature"), dropped), (None, vec!["temperature".to_owned()]));
    let (_, dropped) = encode(&Request { temperature: Some(1.0), top_p: Some(1.0), ..hi() }, ADAPTIVE_MODEL);
    assert!(dropped.is_empty(), "{dropped:?}");
}

#[test]
fn effort_is_a_budget_or_an_effort_as_the_model_takes_it() {
    for (model, effort, thinking, config, lost) in [
        ("claude-3-5-haiku-20241022", "high", Value::Null, Value::Null, 1),
        ("claude-3-7-sonnet", "low", json!({"type": "enabled", "budget_tokens": 1024}), Value::Null, 0),
        (BUDGET_MODEL, "minimal", json!({"type": "enabled", "budget_tokens": 1024}), Value::Null, 1),
        (BUDGET_MODEL, "none", json!({"type": "disabled"}), Value::Null, 0),
        ("claude-sonnet-4-6", "xhigh", json!({"type": "adaptive"}), json!({"effort": "high"}), 1),
        (
            "claude-opus-4-7",
            "xhigh",
            json!({"type": "adaptive", "display": "summarized"}),
            json!({"effort": "xhigh"}),
            0,
        ),
        ("claude-opus-5", "none", json!({"type": "disabled"}), Value::Null, 0),
        ("claude-opus-5-5", "none", Value::Null, json!({"effort": "low"}), 1),
        ("claude-sonnet-5-5", "none", json!({"type": "between_tools"}), Value::Null, 1),
        ("claude-haiku-5-5", "none", json!({"type": "disabled"}), Value::Null, 0),
        ("claude-opus-5", "huge", json!({"type": "adaptive", "display": "summarized"}), Value::Null, 1),
    ] {
        let (body, dropped) = encode(&Request { effort: Some(effort.into()), ..hi() }, model);
        let field = |name: &str| body.get(name).cloned().unwrap_or(Value::Null);
        assert_eq!(
            (field("thinking"), field("output_config"), dropped.len()),
            (thinking, config, lost),
            "{model} {effort}"
        );
    }
}

#[test]
fn a_budget_fits_below_the_output_cap() {
    let ask = |budget, cap| {
        let request = Request { thinking: Some(ThinkingMode::Budget(budget)), max_output_tokens: cap, ..hi() };
        let (body, dropped) = encode(&request, BUDGET_MODEL);
        (body["thinking"]["budget_tokens"].as_u64(), body["max_tokens"].as_u64(), dropped.len())
    };
    assert_eq!(ask(2000, None), (Some(2000), Some(64_000), 0));
    assert_eq!(ask(8000, Some(4000)), (Some(2000), Some(4000), 1));
    assert_eq!(ask(8000, Some(1500)), (Some(1024), Some(1500), 1));
    assert_eq!(ask(100, Some(4000)), (Some(1024), Some(4000), 1));
    assert_eq!(ask(2000, Some(1000)), (None, Some(1000), 1));
    assert_eq!(ask(500_000, None), (Some(32_000), Some(64_000), 1));
}

#[test]
fn a_forced_tool_and_thinking_do_not_go_together_with_a_budget() {
    let mut request = hi();
    request.tools = vec![tool("f")];
    request.tool_choice = Some(ToolChoice::Any);
    request.effort = Some("low".into());
    let (body, dropped) = encode(&request, BUDGET_MODEL);
    assert_eq!((&body["thinking"]["type"], &body["tool_choice"]["type"]), (&json!("disabled"), &json!("any")));
    assert_eq!(dropped, ["reasoning_effort"]);
    let (body, dropped) = encode(&request, ADAPTIVE_MODEL);
    assert_eq!((&body["thinking"]["type"], &body["tool_choice"]["type"]), (&json!("adaptive"), &json!("any")));
    assert!(dropped.is_empty());
    let (body, dropped) = encode(&request, "claude-opus-5-5");
    assert_eq!((&body["tool_choice"]["type"], dropped), (&json!("auto"), vec!["tool_choice".to_owned()]));
}

#[test]
fn one_call_at_a_time_is_said_in_the_tool_choice() {
    let mut request = hi();
    request.tools = vec![tool("f")];
    request.parallel_tool_calls = Some(false);
    let expected = json!({"type": "auto", "disable_parallel_tool_use": true});
    assert_eq!(encode(&request, BUDGET_MODEL).0["tool_choice"], expected);
}

#[test]
fn a_picture_by_url_goes_to_anthropic_and_is_refused_for_bedrock() {
    let request = says(vec![user(vec![text("What?"), Block::Image(Source::Url("https://a.example/b.png".into()))])]);
    let (body, _) = encode(&request, BUDGET_MODEL);
    assert_eq!(body["messages"][0]["content"][1]["source"], json!({"type": "url", "url": "https://a.example/b.png"}));
    let error = encoded(&request, Carrier::Bedrock, BUDGET_MODEL).unwrap_err();
    assert!(matches!(error, WireError::Unsupported { ref path, .. } if path == "messages[0].content[1]"), "{error}");
}

#[test]
fn documents_are_sent_and_what_claude_cannot_read_is_refused() {
    let document = |media_type: &str, data: &str| {
        let source = Source::Base64 { media_type: media_type.into(), data: data.into() };
        says(vec![user(vec![Block::Document { source, name: Some("n".into()) }])])
    };
    let (body, _) = encode(&document("application/pdf", "JVBERi0="), BUDGET_MODEL);
    assert_eq!(body["messages"][0]["content"][0]["source"]["media_type"], "application/pdf");
    let (body, _) = encode(&document("text/csv", "YSxi"), BUDGET_MODEL);
    let expected = json!({"type": "document", "title": "n",
        "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}});
    assert_eq!(body["messages"][0]["content"][0], expected);
    let sound = says(vec![user(vec![Block::Audio { data: String::new(), format: "wav".into() }])]);
    let bitmap = Block::Image(Source::Base64 { media_type: "image/bmp".into(), data: String::new() });
    let file = Block::Image(Source::File("file-1".into()));
    for request in
        [document("application/msword", ""), sound, says(vec![user(vec![bitmap])]), says(vec![user(vec![file])])]
    {
        let error = encoded(&request, Carrier::Direct, BUDGET_MODEL).unwrap_err();
        assert!(matches!(error, WireError::Unsupported { .. }), "{error}");
    }
}

#[test]
fn the_last_four_cache_marks_stay() {
    let mark = || Block::CacheMark(CacheTtl::FiveMinutes);
    let mut request = says(vec![user(vec![text("A"), mark(), text("B"), mark(), text("C"), mark()])]);
    request.system = vec![text("S"), mark()];
    request.tools = vec![Tool { cache: Some(CacheTtl::OneHour), ..tool("f") }];
    let (body, dropped) = encode(&request, BUDGET_MODEL);
    assert_eq!(body.to_string().matches("cache_control").count(), 4);
    assert!(body["tools"][0].get("cache_control").is_none());
    assert_eq!(dropped, ["cache_control"]);
}

#[test]
fn a_body_for_bedrock_has_a_version_and_neither_model_nor_stream() {
    let request = Request { stream: true, ..hi() };
    let body: Value =
        serde_json::from_slice(&encoded(&request, Carrier::Bedrock, "anthropic.claude-opus-5").unwrap().body).unwrap();
    assert_eq!(
        body,
        json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4096,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]})
    );
    let (body, _) = encode(&request, "claude-opus-5");
    assert_eq!((&body["model"], &body["stream"]), (&json!("claude-opus-5"), &json!(true)));
}

#[test]
fn what_anthropic_does_not_have_is_reported() {
    let request = Request {
        seed: Some(1),
        frequency_penalty: Some(0.5),
        presence_penalty: Some(0.0),
        user: Some("jane@example.org".into()),
        stop: vec!["\n".into(), "END".into()],
        unmapped: vec![Dropped::new("logit_bias", "no such field")],
        ..hi()
    };
    let (body, dropped) = encode(&request, BUDGET_MODEL);
    assert_eq!(dropped, ["logit_bias", "stop[0]", "user", "frequency_penalty", "seed"]);
    assert_eq!(body["stop_sequences"], json!(["END"]));
    let (body, _) = encode(&Request { user: Some("u-1".into()), ..hi() }, BUDGET_MODEL);
    assert_eq!(body["metadata"], json!({"user_id": "u-1"}));
}

#[test]
fn a_refusal_in_the_history_is_text() {
    let request =
        says(vec![user(vec![text("Hi")]), assistant(vec![Block::Refusal("No.".into())]), user(vec![text("Why?")])]);
    assert_eq!(encode(&request, BUDGET_MODEL).0["messages"][1]["content"][0], json!({"type": "text", "text": "No."}));
}
