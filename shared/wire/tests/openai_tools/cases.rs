use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_wire::codec::{Carrier, Dialect, Seed, Target};
use tollgate_wire::exchange::{Inbound, Started};

pub(super) const CLAUDE: Target<'static> =
    Target { dialect: Dialect::Messages, carrier: Carrier::Direct, model: "claude-sonnet-4-5" };

pub(super) fn start(client: Dialect, body: &Value, target: &Target<'_>) -> Started {
    let seed = Seed { created_unix_s: 1_700_000_000, request_id: "req-7".to_owned() };
    let inbound = Inbound::decode(client, Bytes::from(body.to_string()), Vec::new()).unwrap();
    inbound.start(target, &seed, false).unwrap()
}

pub(super) fn sent(started: &Started) -> Value {
    serde_json::from_slice(&started.body).unwrap()
}

fn with_tools(tools: Value) -> Value {
    json!({"model": "m", "input": "Hi", "tools": tools})
}

/// The output of an answer of Claude's with this call.
fn answered(body: &Value, name: &str, input: Value) -> Value {
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use", "stop_sequence": null,
        "content": [{"type": "tool_use", "id": "toolu_1", "name": name, "input": input}], "usage": {"input_tokens": 1, "output_tokens": 1},
    });
    let mut started = start(Dialect::Responses, body, &CLAUDE);
    let response = started.relay.response(Bytes::from(answer.to_string())).unwrap();
    serde_json::from_slice::<Value>(&response).unwrap()["output"][0].clone()
}

/// The last `output_item.done` of such an answer, streamed.
fn streamed(body: &Value, name: &str, input: &Value) -> Value {
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": input.to_string()}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}}),
        json!({"type": "message_stop"}),
    ];
    let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let mut body = body.clone();
    body["stream"] = true.into();
    let mut relay = start(Dialect::Responses, &body, &CLAUDE).relay;
    let mut out = Vec::new();
    relay.chunk(stream.as_bytes(), &mut out).unwrap();
    relay.finish(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let mut data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let done = data.rfind(|data| data.contains(r#""type":"response.output_item.done""#)).unwrap();
    serde_json::from_str::<Value>(done).unwrap()["item"].clone()
}

/// Shapes: the item types of the official SDK, `ResponseFunctionShellToolCall`, `ResponseApplyPatchToolCall`, `LocalShellCall`.
#[test]
fn a_tool_that_the_client_runs_is_a_function_and_its_call_comes_back_as_the_clients() {
    let patch = json!({"type": "update_file", "path": "a.txt", "diff": "@@\n-a\n+b"});
    for (tool, input, item) in [
        (
            "shell",
            json!({"commands": ["ls"], "timeout_ms": 5}),
            json!({"id": "sh_respmsg1_0", "type": "shell_call", "status": "completed", "call_id": "toolu_1",
                "action": {"commands": ["ls"], "timeout_ms": 5, "max_output_length": null}}),
        ),
        (
            "apply_patch",
            patch.clone(),
            json!({"id": "apc_respmsg1_0", "type": "apply_patch_call", "status": "completed", "call_id": "toolu_1", "operation": patch}),
        ),
        (
            "local_shell",
            json!({"command": ["ls", "-l"]}),
            json!({"id": "lsh_respmsg1_0", "type": "local_shell_call", "status": "completed", "call_id": "toolu_1",
                "action": {"type": "exec", "command": ["ls", "-l"], "env": {}}}),
        ),
    ] {
        let body = with_tools(json!([{"type": tool}]));
        let started = start(Dialect::Responses, &body, &CLAUDE);
        assert_eq!(sent(&started)["tools"][0]["name"], tool);
        assert_eq!(started.dropped, [], "{tool}");
        assert_eq!(answered(&body, tool, input.clone()), item);
        assert_eq!(streamed(&body, tool, &input), item);
    }
}

#[test]
fn calls_of_the_clients_own_tools_and_their_results_are_calls_and_results() {
    let output = json!([{"stdout": "a.txt", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]);
    let body = json!({"model": "m", "tools": [{"type": "shell"}, {"type": "apply_patch"}], "input": [
        {"role": "user", "content": "Go"},
        {"type": "shell_call", "id": "sh_1", "call_id": "c1", "status": "completed", "action": {"commands": ["ls"]}, "environment": null},
        {"type": "shell_call_output", "call_id": "c1", "max_output_length": 9, "output": output},
        {"type": "apply_patch_call", "call_id": "c2", "status": "completed", "operation": {"type": "delete_file", "path": "a.txt"}},
        {"type": "apply_patch_call_output", "call_id": "c2", "status": "failed", "output": "no such file"},
    ]});
    let started = start(Dialect::Responses, &body, &CLAUDE);
    let turns = &sent(&started)["messages"];
    assert_eq!(started.dropped, []);
    assert_eq!(
        turns[1]["content"][0],
        json!({"type": "tool_use", "id": "c1", "name": "shell", "input": {"commands": ["ls"]}})
    );
    assert!(turns[2].to_string().contains("exit_code"), "{turns}");
    assert_eq!(turns[3]["content"][0]["input"], json!({"type": "delete_file", "path": "a.txt"}));
    assert_eq!(turns[4]["content"][0]["is_error"], true);
}

#[test]
fn a_tool_that_openai_runs_is_left_out_and_reported() {
    let tools = json!([
        {"type": "file_search", "vector_store_ids": []}, {"type": "code_interpreter", "container": "c"},
        {"type": "mcp", "server_label": "m"}, {"type": "image_generation"}, {"type": "computer_use_preview"},
        {"type": "shell", "environment": {"type": "container_auto"}},
    ]);
    let started = start(Dialect::Responses, &with_tools(tools), &CLAUDE);
    assert_eq!(sent(&started).get("tools"), None);
    let paths: Vec<&str> = started.dropped.iter().map(|dropped| dropped.path.as_str()).collect();
    assert_eq!(paths, ["tools[0]", "tools[1]", "tools[2]", "tools[3]", "tools[4]", "tools[5]"]);
}

#[test]
fn openai_itself_gets_tools_and_items_of_tomorrow_to_the_byte() {
    let body = json!({"model": "gpt-5.1", "tools": [{"type": "shell"}, {"type": "of_tomorrow"}, {"type": "mcp", "server_label": "m"}], "input": [
        {"type": "computer_call_output", "call_id": "c", "output": {}}, {"type": "of_tomorrow"}, {"type": "compaction", "encrypted_content": "gA"},
    ]});
    let openai = Target { dialect: Dialect::Responses, carrier: Carrier::Direct, model: "gpt-5.1" };
    assert_eq!(start(Dialect::Responses, &body, &openai).body, body.to_string());
}

#[test]
fn settings_of_openais_go_to_its_models_and_to_nobody_who_only_copies_its_api() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "verbosity": "low", "service_tier": "flex",
        "prompt_cache_key": "k", "safety_identifier": "u", "store": true, "metadata": {"a": "b"}});
    let to = |model| Target { dialect: Dialect::Responses, carrier: Carrier::Direct, model };
    let own = start(Dialect::Chat, &body, &to("gpt-5.1"));
    let expected = json!({"verbosity": "low"});
    let own_body = sent(&own);
    assert_eq!(
        (&own_body["text"], &own_body["service_tier"], &own_body["prompt_cache_key"]),
        (&expected, &json!("flex"), &json!("k"))
    );
    assert_eq!((&own_body["store"], &own_body["metadata"]), (&json!(true), &json!({"a": "b"})));
    assert_eq!(own_body["safety_identifier"], "u");
    assert_eq!(own.dropped, []);
    let copy = start(Dialect::Chat, &body, &to("llama-3.3-70b"));
    let copy_body = sent(&copy);
    assert_eq!(
        (copy_body.get("text"), copy_body.get("service_tier"), &copy_body["store"]),
        (None, None, &json!(false))
    );
    let paths: Vec<&str> = copy.dropped.iter().map(|dropped| dropped.path.as_str()).collect();
    assert_eq!(paths, ["verbosity", "prompt_cache_key", "store", "metadata", "service_tier"]);
}

#[test]
fn a_pictures_level_of_detail_reaches_openai_at_its_place() {
    let parts = |detail: &str| {
        json!([
            {"type": "input_image", "image_url": "https://e.com/1"}, {"type": "input_text", "text": "and"},
            {"type": "input_image", "image_url": "https://e.com/2", "detail": detail},
        ])
    };
    let body = json!({"model": "m", "input": [{"role": "user", "content": parts("low")}]});
    let openai = Target { dialect: Dialect::Chat, carrier: Carrier::Direct, model: "gpt-4o" };
    let started = start(Dialect::Responses, &body, &openai);
    let content = sent(&started)["messages"][0]["content"].clone();
    assert_eq!(content[0]["image_url"], json!({"url": "https://e.com/1"}));
    assert_eq!(content[2]["image_url"], json!({"url": "https://e.com/2", "detail": "low"}));
    assert_eq!(started.dropped, []);
    let claude = start(Dialect::Responses, &body, &CLAUDE);
    assert_eq!(claude.dropped[0].path, "input[0].content[2].detail");
}
