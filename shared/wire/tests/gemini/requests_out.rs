//! Requests to Gemini.

use serde_json::{Value, json};
use tollgate_wire::ir::{Block, CacheTtl, OutputFormat, Request, Source, ThinkingMode, Tool, ToolChoice};

use super::{encode, hello, model, reports, text, user};

fn tool(name: &str, schema: Value) -> Tool {
    Tool { name: name.to_owned(), description: None, schema, strict: None, cache: None, custom: None }
}

fn call(id: &str, name: &str) -> Block {
    Block::ToolUse { id: id.to_owned(), name: name.to_owned(), input: json!({}) }
}

fn result(id: &str, content: Vec<Block>) -> Block {
    Block::ToolResult { id: id.to_owned(), content, is_error: false }
}

fn image() -> Block {
    Block::Image(Source::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() })
}

#[test]
fn thinking_is_told_in_the_words_of_the_model() {
    let config = |thinking: Option<ThinkingMode>, effort: Option<&str>, model: &str| {
        let (body, encoded) = encode(&Request { thinking, effort: effort.map(str::to_owned), ..hello() }, model);
        (body["generationConfig"]["thinkingConfig"].clone(), encoded.dropped.len())
    };
    let shown = |setting: Value| {
        let mut setting = setting;
        setting["includeThoughts"] = true.into();
        setting
    };
    for (thinking, effort, model, expected, reported) in [
        (None, None, "gemini-2.5-pro", Value::Null, 0),
        (Some(ThinkingMode::Budget(2048)), None, "gemini-2.5-pro", shown(json!({"thinkingBudget": 2048})), 0),
        (Some(ThinkingMode::Budget(64)), None, "gemini-2.5-pro", shown(json!({"thinkingBudget": 128})), 1),
        (Some(ThinkingMode::Disabled), None, "gemini-2.5-pro", json!({"thinkingBudget": 128}), 1),
        (Some(ThinkingMode::Disabled), None, "gemini-2.5-flash", json!({"thinkingBudget": 0}), 0),
        (None, Some("none"), "gemini-2.5-flash", json!({"thinkingBudget": 0}), 0),
        (None, Some("medium"), "gemini-2.5-flash", shown(json!({"thinkingBudget": 8192})), 0),
        (Some(ThinkingMode::Adaptive), None, "gemini-2.5-flash", shown(json!({"thinkingBudget": -1})), 0),
        (None, Some("low"), "gemini-3-pro-preview", shown(json!({"thinkingLevel": "LOW"})), 0),
        (None, Some("medium"), "gemini-3-pro-preview", shown(json!({"thinkingLevel": "LOW"})), 1),
        (None, Some("medium"), "gemini-3.1-pro-preview", shown(json!({"thinkingLevel": "MEDIUM"})), 0),
        (None, Some("minimal"), "gemini-3-flash-preview", shown(json!({"thinkingLevel": "MINIMAL"})), 0),
        (None, Some("max"), "gemini-3-flash-preview", shown(json!({"thinkingLevel": "HIGH"})), 1),
        (None, Some("none"), "gemini-3-flash-preview", json!({"thinkingLevel": "MINIMAL"}), 1),
        (
            Some(ThinkingMode::Budget(8000)),
            None,
            "gemini-3-flash-preview",
            shown(json!({"thinkingLevel": "MEDIUM"})),
            1,
        ),
        (Some(ThinkingMode::Adaptive), None, "gemini-3-flash-preview", shown(json!({})), 0),
        (None, Some("high"), "gemini-2.0-flash", Value::Null, 1),
        (Some(ThinkingMode::Disabled), None, "gemini-2.0-flash", Value::Null, 0),
    ] {
        assert_eq!(config(thinking, effort, model), (expected, reported), "{thinking:?} {effort:?} {model}");
    }
}

#[test]
fn a_schema_goes_as_the_client_wrote_it_and_an_empty_one_does_not_go() {
    let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": ["string", "null"]}}, "additionalProperties": false});
    let tools = vec![tool("f", schema.clone()), tool("g", json!({"type": "object", "properties": {}}))];
    let (body, _) = encode(&Request { tools, ..hello() }, "gemini-2.5-pro");
    let declarations = &body["tools"][0]["functionDeclarations"];
    assert_eq!(declarations[0], json!({"name": "f", "parametersJsonSchema": schema}));
    assert_eq!(declarations[1], json!({"name": "g"}));
}

#[test]
fn a_name_that_gemini_forbids_is_mapped_and_mapped_back() {
    let tools = vec![tool("1st tool", json!({}))];
    let (body, mut encoded) =
        encode(&Request { tools, tool_choice: Some(ToolChoice::Tool("1st tool".into())), ..hello() }, "gemini-2.5-pro");
    let sent = body["tools"][0]["functionDeclarations"][0]["name"].as_str().unwrap().to_owned();
    assert!(sent.starts_with('_') && sent.len() <= 64, "{sent}");
    assert_eq!(body["toolConfig"], json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [sent]}}));
    let answer = json!({"candidates": [{"content": {"parts": [{"functionCall": {"name": sent, "args": {}}}]}, "finishReason": "STOP"}]});
    let response = encoded.reader.response(answer.to_string().as_bytes()).unwrap();
    assert!(matches!(&response.blocks[0], Block::ToolUse { name, .. } if name == "1st tool"));
}

#[test]
fn results_stand_right_behind_their_calls_in_one_turn() {
    let messages = vec![
        user(vec![text("Hi")]),
        model(vec![call("a", "f"), call("b", "g")]),
        user(vec![text("here"), result("b", vec![text("2")])]),
        user(vec![result("a", vec![text("1"), Block::CacheMark(CacheTtl::FiveMinutes)])]),
    ];
    let (body, encoded) = encode(&Request { messages, ..hello() }, "gemini-2.5-pro");
    let contents = body["contents"].as_array().unwrap();
    let response = |id: &str, name: &str, text: &str| json!({"functionResponse": {"id": id, "name": name, "response": {"output": text}}});
    assert_eq!(contents[2], json!({"role": "user", "parts": [response("b", "g", "2"), response("a", "f", "1")]}));
    assert_eq!(contents[3], json!({"role": "user", "parts": [{"text": "here"}]}));
    assert!(encoded.dropped.is_empty());
}

#[test]
fn a_picture_in_a_result_goes_where_the_model_takes_it() {
    let messages =
        vec![user(vec![text("Hi")]), model(vec![call("a", "f")]), user(vec![result("a", vec![text("see"), image()])])];
    let request = Request { messages, ..hello() };
    let inline = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    let (body, encoded) = encode(&request, "gemini-3-flash-preview");
    assert_eq!(body["contents"][2]["parts"][0]["functionResponse"]["parts"], json!([inline]));
    assert!(encoded.dropped.is_empty());
    let (body, encoded) = encode(&request, "gemini-2.5-flash");
    assert_eq!(body["contents"][3]["parts"][1], inline);
    assert_eq!(reports(&encoded), ["messages[2].content[0]"]);
}

#[test]
fn a_result_without_its_call_and_a_picture_by_url_are_refused_by_name() {
    let orphan = Request { messages: vec![user(vec![result("x", vec![text("1")])])], ..hello() };
    let url = Request {
        messages: vec![user(vec![Block::Image(Source::Url("https://example.com/a.png".into()))])],
        ..hello()
    };
    let refused = |request: &Request| {
        tollgate_wire::codec::encode_request(request, &super::target("gemini-2.5-pro")).unwrap_err().to_string()
    };
    assert!(refused(&orphan).starts_with("messages[0].content[0]: no tool call of the conversation has the id \"x\""));
    assert!(refused(&url).starts_with("messages[0].content[0]: Gemini does not fetch an image from a URL"));
    let stored = Request { messages: vec![user(vec![Block::Image(Source::Url("gs://b/a.png".into()))])], ..hello() };
    let (body, _) = encode(&stored, "gemini-2.5-pro");
    assert_eq!(
        body["contents"][0]["parts"][0],
        json!({"fileData": {"fileUri": "gs://b/a.png", "mimeType": "image/png"}})
    );
}

#[test]
fn json_beside_tools_is_enforced_only_by_new_models() {
    let format = OutputFormat::JsonSchema {
        name: Some("r".into()),
        description: Some("d".into()),
        schema: json!({"type": "object"}),
        strict: Some(true),
    };
    let request = Request { tools: vec![tool("f", json!({}))], output_format: Some(format), ..hello() };
    let (body, encoded) = encode(&request, "gemini-3-pro-preview");
    assert_eq!(body["generationConfig"]["responseMimeType"], "application/json");
    assert_eq!(body["generationConfig"]["responseJsonSchema"], json!({"type": "object", "description": "d"}));
    assert!(encoded.dropped.is_empty());
    let (body, encoded) = encode(&request, "gemini-2.5-pro");
    assert!(body.get("generationConfig").is_none());
    assert!(body["systemInstruction"]["parts"][0]["text"].as_str().unwrap().contains("JSON Schema"));
    assert_eq!(reports(&encoded), ["output_format"]);
}

/// `VALIDATED` and `ANY` follow schemas: <https://ai.google.dev/gemini-api/docs/function-calling>.
#[test]
fn schemas_are_followed_where_every_function_is_strict() {
    let strict = || Tool { strict: Some(true), ..tool("f", json!({"type": "object"})) };
    let mode = |tools: Vec<Tool>, tool_choice: Option<ToolChoice>, model: &str| {
        let (body, encoded) = encode(&Request { tools, tool_choice, ..hello() }, model);
        (body["toolConfig"]["functionCallingConfig"]["mode"].clone(), reports(&encoded).join(","))
    };
    let new = "gemini-2.5-flash";
    assert_eq!(mode(vec![strict()], None, new), (json!("VALIDATED"), String::new()));
    assert_eq!(mode(vec![strict()], Some(ToolChoice::Auto), new), (json!("VALIDATED"), String::new()));
    assert_eq!(mode(vec![strict()], Some(ToolChoice::Any), new), (json!("ANY"), String::new()));
    assert_eq!(mode(vec![strict()], Some(ToolChoice::None), new), (json!("NONE"), String::new()));
    let mixed = vec![tool("g", json!({"type": "object"})), strict()];
    assert_eq!(mode(mixed.clone(), Some(ToolChoice::Auto), new), (json!("AUTO"), "tools[1].strict".to_owned()));
    assert_eq!(mode(mixed, Some(ToolChoice::Any), new), (json!("ANY"), String::new()));
    assert_eq!(mode(vec![strict()], None, "gemini-2.0-flash"), (Value::Null, "tools[0].strict".to_owned()));
    assert_eq!(mode(vec![tool("g", json!({"type": "object"}))], None, new), (Value::Null, String::new()));
}

#[test]
fn pictures_that_want_one_level_of_detail_get_it() {
    let detail = |of, level: &str| Block::Detail { of, level: level.to_owned() };
    let level = |blocks: Vec<Block>| {
        let request = Request { messages: vec![user(blocks)], ..hello() };
        encode(&request, "gemini-3-pro-preview").0["generationConfig"]["mediaResolution"].clone()
    };
    assert_eq!(level(vec![image(), image(), detail(0, "low"), detail(1, "low")]), "MEDIA_RESOLUTION_LOW");
    assert_eq!(level(vec![image(), detail(0, "high")]), "MEDIA_RESOLUTION_HIGH");
    assert_eq!(level(vec![image(), image(), detail(0, "low")]), Value::Null, "the other is looked at as usual");
    assert_eq!(level(vec![image(), detail(0, "original")]), Value::Null);
    assert_eq!(level(vec![text("Hi")]), Value::Null);
}

#[test]
fn sampling_stays_within_what_gemini_takes() {
    let request = Request {
        temperature: Some(3.0),
        top_k: Some(40),
        seed: Some(1 << 40),
        stop: (0..7).map(|n| n.to_string()).collect(),
        parallel_tool_calls: Some(false),
        tools: vec![tool("f", json!({}))],
        max_output_tokens: Some(u64::MAX),
        user: Some("u".into()),
        ..hello()
    };
    let (body, encoded) = encode(&request, "gemini-2.5-pro");
    let expected = json!({"maxOutputTokens": i32::MAX, "temperature": 2.0, "topK": 40, "stopSequences": ["0", "1", "2", "3", "4"]});
    assert_eq!(body["generationConfig"], expected);
    assert_eq!(reports(&encoded), ["parallel_tool_calls", "temperature", "seed", "stop", "user"]);
}
