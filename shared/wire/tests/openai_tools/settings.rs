//! Settings that several providers have under different names: tiers, labels, searches of the web.

use serde_json::{Value, json};
use tollgate_wire::codec::{Carrier, Dialect, Target};

use super::cases::{CLAUDE, sent, start};

const BEDROCK: Target<'static> = Target { carrier: Carrier::Bedrock, ..CLAUDE };
const NOVA: Target<'static> =
    Target { dialect: Dialect::Converse, carrier: Carrier::Bedrock, model: "us.amazon.nova-2-lite-v1:0" };
const VERTEX: Target<'static> =
    Target { dialect: Dialect::GenerateContent, carrier: Carrier::Vertex, model: "gemini-3-flash-preview" };
const GEMINI: Target<'static> = Target { carrier: Carrier::Direct, ..VERTEX };
const OPENAI: Target<'static> = Target { dialect: Dialect::Responses, carrier: Carrier::Direct, model: "gpt-4.1" };

fn chat(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn paths(started: &tollgate_wire::exchange::Started) -> Vec<&str> {
    started.dropped.iter().map(|dropped| dropped.path.as_str()).collect()
}

#[test]
fn invoke_model_gets_tier_and_labels_in_headers_and_converse_in_its_body() {
    let body = chat(json!({"service_tier": "flex", "metadata": {"team": "search, 7", "note": "é", "": "x"}}));
    let invoked = start(Dialect::Chat, &body, &BEDROCK);
    let expected = [
        ("x-amzn-bedrock-service-tier", "flex".to_owned()),
        ("x-amzn-bedrock-request-metadata", r#"{"team":"search, 7"}"#.to_owned()),
    ];
    assert_eq!(invoked.headers, expected);
    assert_eq!(paths(&invoked), ["metadata.note", "metadata."]);
    assert_eq!(sent(&invoked).get("service_tier"), None);
    let conversed = start(Dialect::Chat, &body, &NOVA);
    assert_eq!(sent(&conversed)["serviceTier"], json!({"type": "flex"}));
    assert_eq!(sent(&conversed)["requestMetadata"], json!({"team": "search, 7"}));
    assert_eq!((conversed.headers.len(), paths(&conversed)), (0, vec!["metadata.note", "metadata."]));
}

#[test]
fn labels_are_vertexs_and_not_geminis() {
    let body = chat(json!({"metadata": {"team": "search_7", "Team": "x", "note": "a b"}}));
    let vertex = start(Dialect::Chat, &body, &VERTEX);
    assert_eq!(sent(&vertex)["labels"], json!({"team": "search_7"}));
    assert_eq!(paths(&vertex), ["metadata.Team", "metadata.note"]);
    let gemini = start(Dialect::Chat, &body, &GEMINI);
    assert_eq!((sent(&gemini).get("labels"), paths(&gemini)), (None, vec!["metadata"]));
}

#[test]
fn the_usual_tier_is_said_where_it_is_not_the_default() {
    let body = chat(json!({"service_tier": "default"}));
    assert_eq!(sent(&start(Dialect::Chat, &body, &CLAUDE))["service_tier"], "standard_only");
    for target in [BEDROCK, NOVA, GEMINI] {
        let started = start(Dialect::Chat, &body, &target);
        let text = String::from_utf8_lossy(&started.body).into_owned();
        assert!(
            !text.to_lowercase().contains("tier") && started.headers.is_empty() && started.dropped.is_empty(),
            "{text}"
        );
    }
    let claude = json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}], "service_tier": "standard_only"});
    assert_eq!(sent(&start(Dialect::Messages, &claude, &OPENAI))["service_tier"], "default");
    let odd = start(Dialect::Chat, &chat(json!({"service_tier": "of_tomorrow"})), &NOVA);
    assert_eq!(paths(&odd), ["service_tier"]);
}

#[test]
fn a_search_of_the_web_is_each_providers_own() {
    let place = json!({"type": "approximate", "approximate": {"city": "Bern", "country": "CH", "region": null}});
    let body = chat(json!({"web_search_options": {"user_location": place, "search_context_size": "low"}}));
    let flat = json!({"type": "approximate", "city": "Bern", "country": "CH"});
    let claude = start(Dialect::Chat, &body, &CLAUDE);
    let expected = json!([{"type": "web_search_20250305", "name": "web_search", "user_location": flat}]);
    assert_eq!(sent(&claude)["tools"], expected);
    assert_eq!(paths(&claude), ["web_search_options.search_context_size"]);
    let openai = start(Dialect::Chat, &body, &OPENAI);
    let expected = json!([{"type": "web_search", "search_context_size": "low", "user_location": flat}]);
    assert_eq!((&sent(&openai)["tools"], paths(&openai).len()), (&expected, 0));
    let gemini = start(Dialect::Chat, &body, &GEMINI);
    assert_eq!(sent(&gemini)["tools"], json!([{"googleSearch": {}}]));
    assert_eq!(paths(&gemini), ["web_search_options.user_location", "web_search_options.search_context_size"]);
    for target in [BEDROCK, NOVA] {
        let started = start(Dialect::Chat, &body, &target);
        assert_eq!((sent(&started).get("tools"), paths(&started)), (None, vec!["web_search_options"]));
    }
}

#[test]
fn claude_does_not_search_where_its_tools_are_not_to_be_called() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let messages = json!([
        {"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": "7"},
    ]);
    let started = start(Dialect::Chat, &json!({"model": "m", "messages": messages, "web_search_options": {}}), &CLAUDE);
    assert_eq!(
        (sent(&started)["tools"].as_array().map(Vec::len), paths(&started)),
        (Some(1), vec!["web_search_options"])
    );
}

#[test]
fn how_a_call_was_served_is_what_its_header_says() {
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn", "stop_sequence": null,
        "content": [{"type": "text", "text": "Hi"}], "usage": {"input_tokens": 1, "output_tokens": 1, "service_tier": "standard"}});
    let mut relay = start(Dialect::Chat, &chat(json!({})), &BEDROCK).relay;
    relay.served(&http::HeaderMap::from_iter([(
        http::HeaderName::from_static("x-amzn-bedrock-service-tier"),
        http::HeaderValue::from_static("flex"),
    )]));
    let written = relay.response(bytes::Bytes::from(answer.to_string())).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!((&written["service_tier"], relay.state().usage.input), (&json!("flex"), Some(1)));
}

#[test]
fn claudes_search_reaches_openai_with_its_bounds() {
    let tool =
        json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3, "allowed_domains": ["a.example"]});
    let body =
        json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}], "tools": [tool]});
    let started = start(Dialect::Messages, &body, &OPENAI);
    let sent = sent(&started);
    assert_eq!(sent["tools"], json!([{"type": "web_search", "filters": {"allowed_domains": ["a.example"]}}]));
    assert_eq!((&sent["max_tool_calls"], paths(&started).len()), (&json!(3), 0));
}

#[test]
fn claudes_own_tools_of_the_client_are_functions_elsewhere() {
    let tools = json!([
        {"type": "bash_20250124", "name": "bash", "cache_control": {"type": "ephemeral"}},
        {"type": "text_editor_20250124", "name": "str_replace_editor"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 9},
        {"type": "memory_20250818", "name": "memory"},
    ]);
    let body = json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}], "tools": tools,
        "tool_choice": {"type": "tool", "name": "bash"}});
    let started = start(Dialect::Messages, &body, &OPENAI);
    let sent = sent(&started);
    let names: Vec<&Value> = sent["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["bash", "str_replace_editor", "str_replace_based_edit_tool", "memory"]);
    assert_eq!(sent["tool_choice"], json!({"type": "function", "name": "bash"}));
    let properties = |index: usize| sent["tools"][index]["parameters"]["properties"].clone();
    assert_eq!(properties(0), json!({"command": {"type": "string"}, "restart": {"type": "boolean"}}));
    assert_eq!(
        (properties(1).get("insert_text"), properties(1)["command"]["enum"][4].as_str()),
        (None, Some("undo_edit"))
    );
    assert_eq!(properties(2)["insert_text"], json!({"type": "string"}));
    assert_eq!(properties(3)["new_path"], json!({"type": "string"}));
    assert_eq!(paths(&started).len(), 0);
}
