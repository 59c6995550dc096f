//! Each rule of Converse on its own; whole requests are in `tests/converse_golden.rs`.

mod settings;

use serde_json::{Value, json};

use super::*;
use crate::codec::{Carrier, Dialect};
use crate::ir::{CacheTtl, Message, OutputFormat, Request, Source, ThinkingMode, Tool};

const NOVA: &str = "us.amazon.nova-pro-v1:0";
const NOVA_2: &str = "us.amazon.nova-2-lite-v1:0";
const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";
const MISTRAL: &str = "mistral.mistral-large-2407-v1:0";
const GPT_OSS: &str = "openai.gpt-oss-120b-1:0";

fn encode(model: &str, request: &Request) -> (Value, Vec<String>) {
    let target = Target { dialect: Dialect::Converse, carrier: Carrier::Direct, model };
    let encoded = encode_request(request, &target).unwrap();
    let dropped = encoded.dropped.into_iter().map(|dropped| dropped.path).collect();
    (serde_json::from_slice(&encoded.body).unwrap(), dropped)
}

fn fails(request: &Request) -> WireError {
    let target = Target { dialect: Dialect::Converse, carrier: Carrier::Direct, model: NOVA };
    encode_request(request, &target).unwrap_err()
}

fn user(blocks: Vec<Block>) -> Message {
    Message { role: Role::User, blocks }
}

fn assistant(blocks: Vec<Block>) -> Message {
    Message { role: Role::Assistant, blocks }
}

fn text(text: &str) -> Block {
    Block::Text(text.to_owned())
}

fn call(id: &str, name: &str) -> Block {
    Block::ToolUse { id: id.to_owned(), name: name.to_owned(), input: json!({ "a": 1 }) }
}

fn result(id: &str, answer: &str) -> Block {
    Block::ToolResult { id: id.to_owned(), content: vec![text(answer)], is_error: false }
}

fn tool(name: &str) -> Tool {
    let schema = json!({ "type": "object", "properties": {} });
    Tool { name: name.to_owned(), description: None, schema, strict: None, cache: None, custom: None }
}

fn asking(messages: Vec<Message>) -> Request {
    Request { messages, ..Request::default() }
}

fn hello() -> Request {
    asking(vec![user(vec![text("Hello")])])
}

/// Asked, called, answered: what a client sends back in a tool loop.
fn tool_loop(thinking: Option<Block>) -> Request {
    let calls = thinking.into_iter().chain([call("t1", "f")]).collect();
    asking(vec![user(vec![text("Go")]), assistant(calls), user(vec![result("t1", "done")])])
}

#[test]
fn results_of_parallel_calls_share_one_user_turn() {
    let request = asking(vec![
        user(vec![text("Weather?")]),
        assistant(vec![call("a", "f"), call("b", "f")]),
        user(vec![result("a", "1")]),
        user(vec![result("b", "2")]),
        user(vec![text("And?")]),
    ]);
    let (body, _) = encode(NOVA, &request);
    assert_eq!(
        body["messages"][2],
        json!({ "role": "user", "content": [
            { "toolResult": { "toolUseId": "a", "content": [{ "text": "1" }] } },
            { "toolResult": { "toolUseId": "b", "content": [{ "text": "2" }] } },
            { "text": "And?" },
        ] })
    );
    assert_eq!(body["messages"].as_array().unwrap().len(), 3);
}

#[test]
fn results_come_before_what_else_the_user_says() {
    let request = asking(vec![
        user(vec![text("Go")]),
        assistant(vec![call("a", "f")]),
        user(vec![text("Here:"), Block::CacheMark(CacheTtl::FiveMinutes), result("a", "1")]),
    ]);
    let (body, _) = encode(NOVA, &request);
    let content = &body["messages"][2]["content"];
    assert_eq!(content[0]["toolResult"]["toolUseId"], "a");
    assert_eq!(content[1]["text"], "Here:");
    assert_eq!(content[2], json!({ "cachePoint": { "type": "default" } }), "the mark stays with its text");
}

#[test]
fn a_history_of_calls_gets_a_tool_config_when_the_client_sends_none() {
    let (body, dropped) = encode(NOVA, &tool_loop(None));
    let spec =
        json!({ "toolSpec": { "name": "f", "inputSchema": { "json": { "type": "object", "properties": {} } } } });
    assert_eq!(body["toolConfig"], json!({ "tools": [spec] }));
    assert!(dropped.is_empty());
}

#[test]
fn without_tools_and_calls_there_is_no_tool_config() {
    let request = Request { tool_choice: Some(ir::ToolChoice::Auto), ..hello() };
    assert_eq!(encode(NOVA, &request).0, json!({ "messages": [{ "role": "user", "content": [{ "text": "Hello" }] }] }));
}

#[test]
fn arguments_that_are_no_object_become_an_empty_one() {
    for input in [json!(""), json!(null), json!([1])] {
        let calls = vec![Block::ToolUse { id: "a".to_owned(), name: "f".to_owned(), input }];
        let request = asking(vec![user(vec![text("Go")]), assistant(calls), user(vec![result("a", "1")])]);
        assert_eq!(encode(NOVA, &request).0["messages"][1]["content"][0]["toolUse"]["input"], json!({}));
    }
}

#[test]
fn blank_text_is_removed_and_a_message_without_content_too() {
    let request = Request {
        system: vec![text(" "), text("Be kind."), Block::CacheMark(CacheTtl::FiveMinutes), text("")],
        ..asking(vec![
            user(vec![text("Hello"), text("\n"), Block::CacheMark(CacheTtl::FiveMinutes)]),
            assistant(vec![text("")]),
            user(vec![text("\t"), text("Still there?")]),
        ])
    };
    let (body, dropped) = encode(NOVA, &request);
    let mark = json!({ "cachePoint": { "type": "default" } });
    assert_eq!(body["system"], json!([{ "text": "Be kind." }, mark]));
    assert_eq!(
        body["messages"],
        json!([{ "role": "user", "content": [{ "text": "Hello" }, mark, { "text": "Still there?" }] }])
    );
    assert_eq!(dropped, ["system", "messages[0].content[1]", "messages[2].content[0]"]);
}

#[test]
fn a_conversation_without_content_is_refused() {
    assert!(
        matches!(fails(&asking(vec![user(vec![text(" ")])])), WireError::Invalid { path, .. } if path == "messages")
    );
    assert!(matches!(fails(&Request::default()), WireError::Invalid { .. }));
}

#[test]
fn a_conversation_that_the_assistant_begins_gets_a_user_turn() {
    let (body, dropped) = encode(NOVA, &asking(vec![assistant(vec![text("Hi!")]), user(vec![text("Hello")])]));
    assert_eq!(body["messages"][0], json!({ "role": "user", "content": [{ "text": "(start)" }] }));
    assert_eq!(dropped, ["messages[0]"]);
}

#[test]
fn the_beginning_of_an_answer_ends_without_white_space() {
    let (body, _) = encode(NOVA, &asking(vec![user(vec![text("Poem")]), assistant(vec![text("Roses are \n")])]));
    assert_eq!(body["messages"][1]["content"][0]["text"], "Roses are");
}

#[test]
fn instructions_inside_the_conversation_keep_their_place_and_are_reported() {
    let system = |words: &str| Message { role: Role::System, blocks: vec![text(words)] };
    let request = asking(vec![
        system("First."),
        user(vec![text("Hello")]),
        assistant(vec![text("Hi")]),
        system("Be brief."),
        user(vec![text("Well?")]),
    ]);
    let (body, dropped) = encode(NOVA, &request);
    assert_eq!(body["system"], json!([{ "text": "First." }]));
    assert_eq!(body["messages"][2]["content"], json!([{ "text": "Be brief." }, { "text": "Well?" }]));
    assert_eq!(dropped, ["messages[3].role"]);
}

#[test]
fn names_and_ids_that_bedrock_forbids_are_the_same_on_both_sides() {
    let long = "call:".repeat(30);
    let request = Request {
        tools: vec![tool("mcp/server.tool")],
        tool_choice: Some(ir::ToolChoice::Tool("mcp/server.tool".to_owned())),
        ..asking(vec![
            user(vec![text("Go")]),
            assistant(vec![call(&long, "mcp/server.tool")]),
            user(vec![result(&long, "1")]),
        ])
    };
    let (body, _) = encode(NOVA, &request);
    let name = body["toolConfig"]["tools"][0]["toolSpec"]["name"].as_str().unwrap();
    let used = &body["messages"][1]["content"][0]["toolUse"];
    let id = used["toolUseId"].as_str().unwrap();
    for word in [name, id] {
        assert!(word.len() <= 64 && word.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)), "{word}");
    }
    assert_eq!(used["name"], name);
    assert_eq!(body["toolConfig"]["toolChoice"], json!({ "tool": { "name": name } }));
    assert_eq!(body["messages"][2]["content"][0]["toolResult"]["toolUseId"], id);
}

#[test]
fn the_upstreams_name_of_a_tool_comes_back_as_the_clients() {
    let request = Request { tools: vec![tool("mcp/server.tool")], ..hello() };
    let target = Target { dialect: Dialect::Converse, carrier: Carrier::Direct, model: NOVA };
    let mut encoded = encode_request(&request, &target).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let name = &body["toolConfig"]["tools"][0]["toolSpec"]["name"];
    let call = json!({ "toolUse": { "toolUseId": "x", "name": name, "input": {} } });
    let answer =
        json!({ "output": { "message": { "role": "assistant", "content": [call] } }, "stopReason": "tool_use" });
    let response = encoded.reader.response(answer.to_string().as_bytes()).unwrap();
    assert!(matches!(&response.blocks[..], [Block::ToolUse { name, .. }] if name == "mcp/server.tool"));
}

#[test]
fn a_tools_schema_is_an_object_and_keeps_its_order() {
    let schemas = [
        (json!({}), json!({ "type": "object", "properties": {} }), false),
        (
            json!({ "properties": { "z": {}, "a": {} } }),
            json!({ "type": "object", "properties": { "z": {}, "a": {} } }),
            false,
        ),
        (json!({ "type": "string" }), json!({ "type": "object" }), true),
        (json!(true), json!({ "type": "object", "properties": {} }), true),
        (json!({ "b": 1, "type": "object", "a": 2 }), json!({ "b": 1, "type": "object", "a": 2 }), false),
    ];
    for (given, wanted, reported) in schemas {
        let request = Request { tools: vec![Tool { schema: given, ..tool("f") }], ..hello() };
        let (body, dropped) = encode(NOVA, &request);
        let sent = &body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"];
        assert_eq!(sent.to_string(), wanted.to_string());
        assert_eq!(!dropped.is_empty(), reported, "{wanted}");
    }
}

#[test]
fn the_choice_of_a_tool_is_what_the_model_can_take() {
    let two = || Request { tools: vec![tool("f"), tool("g")], ..hello() };
    let choice = |model: &str, choice: ir::ToolChoice| {
        let (body, dropped) = encode(model, &Request { tool_choice: Some(choice), ..two() });
        (body["toolConfig"]["toolChoice"].clone(), dropped.len())
    };
    let named = || ir::ToolChoice::Tool("g".to_owned());
    assert_eq!(choice(NOVA, ir::ToolChoice::Auto), (Value::Null, 0));
    assert_eq!(choice(NOVA, ir::ToolChoice::Any), (json!({ "any": {} }), 0));
    assert_eq!(choice(NOVA, named()), (json!({ "tool": { "name": "g" } }), 0));
    assert_eq!(choice(MISTRAL, named()), (json!({ "any": {} }), 1));
    assert_eq!(choice(LLAMA, ir::ToolChoice::Any), (Value::Null, 1));
    assert_eq!(choice("new.model-v1:0", named()), (json!({ "tool": { "name": "g" } }), 0));
}

#[test]
fn no_tool_may_be_called_means_no_tools_unless_the_history_needs_them() {
    let none = |request: Request| {
        let request = Request { tools: vec![tool("f")], tool_choice: Some(ir::ToolChoice::None), ..request };
        encode(NOVA, &request)
    };
    let (body, dropped) = none(hello());
    assert_eq!((&body["toolConfig"], dropped.as_slice()), (&Value::Null, &["tool_choice".to_owned()][..]));
    let (body, dropped) = none(tool_loop(None));
    assert_eq!(body["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    assert_eq!(dropped, ["tool_choice"]);
}

#[test]
fn one_call_at_a_time_is_reported_because_converse_cannot_say_it() {
    let one = Request { parallel_tool_calls: Some(false), ..hello() };
    assert_eq!(encode(NOVA, &Request { tools: vec![tool("f")], ..one.clone() }).1, ["parallel_tool_calls"]);
    assert!(encode(NOVA, &one).1.is_empty(), "it says nothing without tools");
}

#[test]
fn strict_tools_go_to_models_that_follow_schemas() {
    let request = Request { tools: vec![Tool { strict: Some(true), ..tool("f") }], ..hello() };
    let (body, dropped) = encode(GPT_OSS, &request);
    assert_eq!((&body["toolConfig"]["tools"][0]["toolSpec"]["strict"], dropped.len()), (&json!(true), 0));
    let (body, dropped) = encode(NOVA, &request);
    assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["strict"], Value::Null);
    assert_eq!(dropped, ["tools[0].strict"]);
}

#[test]
fn a_failed_tool_is_told_to_models_that_take_a_status() {
    let failed = Block::ToolResult { id: "t1".to_owned(), content: vec![], is_error: true };
    let request = asking(vec![user(vec![text("Go")]), assistant(vec![call("t1", "f")]), user(vec![failed])]);
    let (body, dropped) = encode(NOVA, &request);
    let result = &body["messages"][2]["content"][0]["toolResult"];
    assert_eq!(*result, json!({ "toolUseId": "t1", "content": [{ "text": "(empty)" }], "status": "error" }));
    assert!(dropped.is_empty());
    assert_eq!(encode(LLAMA, &request).1, ["messages[2].content[0].is_error"]);
}

#[test]
fn an_image_by_url_is_refused_with_a_remedy_and_one_in_s3_is_not() {
    let image = |source| asking(vec![user(vec![text("Look"), Block::Image(source)])]);
    let url = |url: &str| image(Source::Url(url.to_owned()));
    let WireError::Unsupported { path, message } = fails(&url("https://example.com/cat.png")) else {
        panic!("not unsupported")
    };
    assert_eq!(path, "messages[0].content[1]");
    assert!(message.contains("base64") && message.contains("s3://"), "{message}");
    let (body, _) = encode(NOVA, &url("s3://bucket/cat.JPG"));
    let sent = json!({ "image": { "format": "jpeg", "source": { "s3Location": { "uri": "s3://bucket/cat.JPG" } } } });
    assert_eq!(body["messages"][0]["content"][1], sent);
    let tiff = image(Source::Base64 { media_type: "image/tiff".to_owned(), data: "AA==".to_owned() });
    assert!(matches!(fails(&tiff), WireError::Unsupported { .. }));
    assert!(matches!(fails(&image(Source::File("file-1".to_owned()))), WireError::Unsupported { .. }));
}

#[test]
fn documents_have_allowed_distinct_names_and_text_beside_them() {
    let document =
        |name: Option<&str>| Block::Document { source: Source::Text("a,b".to_owned()), name: name.map(str::to_owned) };
    let names = [Some("q3  report_v1.pdf"), Some("q3 report_v1.pdf"), None, Some("../_日本"), Some("[a](b)-c")];
    let (body, dropped) = encode(NOVA, &asking(vec![user(names.into_iter().map(document).collect())]));
    let content = body["messages"][0]["content"].as_array().unwrap();
    let sent: Vec<&str> = content.iter().filter_map(|block| block["document"]["name"].as_str()).collect();
    assert_eq!(sent, ["q3 report-v1-pdf", "q3 report-v1-pdf (2)", "document", "------", "[a](b)-c"]);
    assert_eq!(content[0]["document"]["source"], json!({ "bytes": "YSxi" }));
    assert_eq!(content[0]["document"]["format"], "txt");
    assert_eq!(content[5], json!({ "text": "See the document." }));
    assert!(dropped.is_empty());
}

#[test]
fn sound_goes_in_a_format_that_converse_knows() {
    let sound = |format: &str| {
        asking(vec![user(vec![text("Listen"), Block::Audio { data: "AA==".to_owned(), format: format.to_owned() }])])
    };
    let (body, _) = encode(NOVA, &sound("wav"));
    assert_eq!(
        body["messages"][0]["content"][1],
        json!({ "audio": { "format": "wav", "source": { "bytes": "AA==" } } })
    );
    assert!(matches!(fails(&sound("midi")), WireError::Unsupported { .. }));
}

#[test]
fn signed_thinking_is_replayed_and_unsigned_is_reported() {
    let thinking = |text: &str, signature: Option<&str>| Block::Thinking {
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
    };
    let request = asking(vec![
        user(vec![text("Go")]),
        assistant(vec![
            thinking("", Some("sig")),
            thinking("hm", None),
            Block::RedactedThinking("AAEC".to_owned()),
            text("Done"),
        ]),
        user(vec![text("More")]),
    ]);
    let (body, dropped) = encode("new.model-v1:0", &request);
    assert_eq!(
        body["messages"][1]["content"],
        json!([
            { "reasoningContent": { "reasoningText": { "text": "", "signature": "sig" } } },
            { "reasoningContent": { "redactedContent": "AAEC" } },
            { "text": "Done" },
        ])
    );
    assert_eq!(dropped, ["messages[1].content[1]"]);
    assert_eq!(encode(LLAMA, &request).1.len(), 3);
}
