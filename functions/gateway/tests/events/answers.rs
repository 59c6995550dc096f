//! The table: each file of `events/` and its answer.

use std::collections::BTreeSet;

use serde_json::Value;
use tollgate_gateway::local::demo;

use super::lambda::{Answer, Mode, event, request, send};
use super::support::{events_of, gateway, json_of};

#[derive(Debug, Clone, Copy)]
enum Expected {
    Health,
    Models,
    Chat,
    ChatStream,
    Messages,
    MessagesStream,
    GeminiArray,
    GeminiCount,
}
use Expected::{Chat, ChatStream, GeminiArray, GeminiCount, Health, Messages, MessagesStream, Models};

const TABLE: &[(&str, Expected)] = &[
    ("alb-base64-chat", Chat),
    ("alb-base64-messages", Messages),
    ("alb-chat", Chat),
    ("alb-chat-stream", ChatStream),
    ("alb-gemini-array", GeminiArray),
    ("alb-gemini-count", GeminiCount),
    ("alb-get-models", Models),
    ("alb-health", Health),
    ("alb-messages", Messages),
    ("alb-messages-stream", MessagesStream),
    ("alb-multi-value-chat", Chat),
    ("alb-multi-value-health", Health),
    ("alb-multi-value-messages", Messages),
    ("api-gateway-v1-base64-messages", Messages),
    ("api-gateway-v1-chat", Chat),
    ("api-gateway-v1-health", Health),
    ("api-gateway-v1-messages", Messages),
    ("api-gateway-v2-base64-chat", Chat),
    ("api-gateway-v2-chat", Chat),
    ("api-gateway-v2-health", Health),
    ("api-gateway-v2-messages", Messages),
    ("function-url-chat", Chat),
    ("function-url-chat-stream", ChatStream),
    ("function-url-gemini-array", GeminiArray),
    ("function-url-health", Health),
    ("function-url-messages", Messages),
    ("function-url-messages-stream", MessagesStream),
];

#[test]
fn every_file_has_a_row() {
    let folder = format!("{}/../../events", env!("CARGO_MANIFEST_DIR"));
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    assert_eq!(files, TABLE.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[tokio::test]
async fn every_event_is_answered_by_an_upstream_of_its_dialect() {
    every_event(
        "[{match: ['claude-*'], groups: [{providers: [CLAUDE]}]}, {match: ['*'], groups: [{providers: [CHAT]}]}]",
    )
    .await;
}

#[tokio::test]
async fn every_event_is_answered_by_an_upstream_of_the_other_dialect() {
    every_event(
        "[{match: ['claude-*'], groups: [{providers: [CHAT]}]}, {match: ['*'], groups: [{providers: [CLAUDE]}]}]",
    )
    .await;
}

async fn every_event(models: &str) {
    let demo = demo::start().await.unwrap();
    let entry = |name: &str, kind: &str| {
        format!(
            "{{name: {name}, baseUrl: 'http://{demo}/{name}', provider: {{custom: {{formats: [{{type: {kind}}}]}}}}}}"
        )
    };
    let models =
        models.replace("CHAT", &entry("demo", "completions")).replace("CLAUDE", &entry("demo-claude", "messages"));
    let router = gateway(&format!("ai:\n  modelAliases: {{}}\n  models: {models}\n"));
    for (name, expected) in TABLE {
        for mode in [Mode::Buffered, Mode::Streamed] {
            let answer = send(&router, mode, request(&event(&format!("{name}.json")))).await;
            check(*expected, &answer, &format!("{name}, {mode:?}: {answer:?}"));
        }
    }
}

fn check(expected: Expected, answer: &Answer, context: &str) {
    assert_eq!(answer.status, 200, "{context}");
    assert!(!answer.header("x-request-id").is_empty(), "{context}");
    let content_type = match expected {
        ChatStream | MessagesStream => "text/event-stream; charset=utf-8",
        _ => "application/json",
    };
    assert_eq!(answer.header("content-type"), content_type, "{context}");
    match expected {
        Health => assert_eq!(answer.body, r#"{"status":"ok"}"#, "{context}"),
        Models => {
            let list = json_of(&answer.body);
            assert_eq!((&list["object"], list["data"].is_array()), (&"list".into(), true), "{context}");
        }
        Chat => {
            let body = json_of(&answer.body);
            assert_eq!(body["object"], "chat.completion", "{context}");
            assert_eq!(body["choices"][0]["finish_reason"], "stop", "{context}");
            said(body["choices"][0]["message"]["content"].as_str(), context);
            assert!(body["usage"]["total_tokens"].as_u64() > Some(0), "{context}");
        }
        Messages => {
            let body = json_of(&answer.body);
            assert_eq!((&body["type"], &body["stop_reason"]), (&"message".into(), &"end_turn".into()), "{context}");
            said(body["content"][0]["text"].as_str(), context);
            assert!(body["usage"]["output_tokens"].as_u64() > Some(0), "{context}");
        }
        ChatStream => check_chat_stream(&answer.body, context),
        MessagesStream => check_messages_stream(&answer.body, context),
        GeminiArray => check_gemini_array(&answer.body, context),
        GeminiCount => {
            let tokens = json_of(&answer.body)["totalTokens"].as_u64();
            assert!(tokens.is_some_and(|tokens| (4..20).contains(&tokens)), "{context}");
            assert_eq!(answer.header("x-tollgate-token-count"), "estimate", "{context}");
        }
    }
}

fn said(text: Option<&str>, context: &str) {
    assert!(text.is_some_and(|text| text.starts_with("You said: What is a tollgate? (")), "{context}");
}

/// Both clients of the streaming events ask for usage.
fn check_chat_stream(body: &str, context: &str) {
    let events = events_of(body);
    let (last, chunks) = events.split_last().unwrap();
    assert_eq!(*last, (None, "[DONE]"), "{context}");
    let chunks: Vec<Value> = chunks.iter().map(|(_, data)| json_of(data)).collect();
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"), "{context}");
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant", "{context}");
    let pieces = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    said(Some(&pieces.collect::<String>()), context);
    let usage = chunks.last().unwrap();
    assert_eq!(usage["choices"], serde_json::json!([]), "{context}");
    assert!(usage["usage"]["total_tokens"].as_u64() > Some(0), "{context}");
}

/// One array, whether it came in pieces or whole.
fn check_gemini_array(body: &str, context: &str) {
    let chunks = json_of(body);
    let chunks = chunks.as_array().unwrap();
    let parts = chunks.iter().filter_map(|chunk| chunk["candidates"][0]["content"]["parts"].as_array()).flatten();
    said(Some(&parts.filter_map(|part| part["text"].as_str()).collect::<String>()), context);
    let last = chunks.last().unwrap();
    assert_eq!(last["candidates"][0]["finishReason"], "STOP", "{context}");
    assert!(chunks.len() > 1 && last["usageMetadata"]["totalTokenCount"].as_u64() > Some(0), "{context}");
}

fn check_messages_stream(body: &str, context: &str) {
    let events: Vec<(Option<&str>, Value)> =
        events_of(body).into_iter().map(|(name, data)| (name, json_of(data))).collect();
    assert!(events.iter().all(|(name, data)| data["type"].as_str() == *name), "{context}");
    let names: Vec<&str> = events.iter().filter_map(|(name, _)| *name).collect();
    assert_eq!(names[..2], ["message_start", "content_block_start"], "{context}");
    assert_eq!(names[names.len() - 3..], ["content_block_stop", "message_delta", "message_stop"], "{context}");
    said(Some(&events.iter().filter_map(|(_, data)| data["delta"]["text"].as_str()).collect::<String>()), context);
    assert!(events[events.len() - 2].1["usage"]["output_tokens"].as_u64() > Some(0), "{context}");
}
