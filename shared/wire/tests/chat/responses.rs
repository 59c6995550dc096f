//! Whole answers, both ways.

use serde_json::{Value, json};
use tollgate_wire::codec::{Dialect, encode_response};
use tollgate_wire::error::WireError;
use tollgate_wire::ir::{Block, Echo, FaultKind, Response, Stop, StopReason, Usage};

use super::{fixture, read_whole, seed, text};

fn encode(response: &Response) -> Value {
    serde_json::from_slice(&encode_response(Dialect::Chat, response, &seed(), &Echo::default())).unwrap()
}

fn stopped(reason: StopReason) -> Response {
    Response { stop: Stop { reason, sequence: None }, ..Response::default() }
}

#[test]
fn answers_become_ir() {
    for name in ["tools", "reasoning", "refusal", "sparse_tool_call"] {
        let input = fixture(&format!("responses/{name}.json"));
        let output = read_whole(&input).unwrap();
        insta::assert_snapshot!(format!("response_in_{name}"), format!("{input}\n=>\n\n{output:#?}"));
    }
}

#[test]
fn an_answer_becomes_a_chat_completion() {
    let response = Response {
        id: Some("msg_01".to_owned()),
        model: Some("claude-sonnet-4-20250514".to_owned()),
        blocks: vec![
            Block::Thinking { text: "Two and two.".to_owned(), signature: Some("sig".to_owned()) },
            Block::RedactedThinking("enc".to_owned()),
            text("It is "),
            text("four."),
            Block::ToolUse { id: "toolu_1".to_owned(), name: "now".to_owned(), input: json!({}) },
        ],
        stop: Stop { reason: StopReason::ToolUse, sequence: None },
        usage: Usage { input: Some(10), output: Some(20), reasoning: Some(5), ..Usage::default() },
        ..Response::default()
    };
    let shown = serde_json::to_string_pretty(&encode(&response)).unwrap();
    insta::assert_snapshot!("response_out", format!("{response:#?}\n\n=>\n\n{shown}"));
}

#[test]
fn cached_tokens_are_part_of_prompt_tokens() {
    let usage =
        Usage { input: Some(3), cache_write: Some(17), cache_read: Some(32_651), output: Some(9), ..Usage::default() };
    let answer = encode(&Response { usage, ..Response::default() });
    assert_eq!(answer["usage"]["prompt_tokens"], 32_671);
    assert_eq!(answer["usage"]["total_tokens"], 32_680);
    assert_eq!(answer["usage"]["prompt_tokens_details"], json!({"cached_tokens": 32_651, "cache_write_tokens": 17}));
}

#[test]
fn usage_makes_the_way_there_and_back() {
    let usage = Usage {
        input: Some(3),
        cache_write: Some(17),
        cache_read: Some(32_651),
        output: Some(9),
        reasoning: Some(4),
        audio_input: Some(0),
        audio_output: Some(1),
        ..Usage::default()
    };
    let answer = encode(&Response { usage, ..Response::default() });
    assert_eq!(read_whole(&answer.to_string()).unwrap().usage, usage);
}

#[test]
fn usage_that_nobody_reported_is_null_and_not_zero() {
    assert_eq!(encode(&Response::default())["usage"], Value::Null);
    assert!(!read_whole(&fixture("responses/refusal.json")).unwrap().usage.is_reported());
}

#[test]
fn nonsense_in_usage_does_not_underflow() {
    let usage = json!({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}, "completion_tokens": 2.0});
    let answer = json!({"choices": [{"message": {"content": "a"}}], "usage": usage});
    let usage = read_whole(&answer.to_string()).unwrap().usage;
    assert_eq!((usage.input, usage.cache_read, usage.output), (Some(0), Some(9), Some(2)));
}

#[test]
fn reasoning_that_is_counted_apart_is_part_of_the_output() {
    let usage = |total: u64| {
        let details = json!({"reasoning_tokens": 30});
        let usage = json!({"prompt_tokens": 10, "completion_tokens": 40, "total_tokens": total, "completion_tokens_details": details});
        let answer = json!({"choices": [{"message": {"content": "a"}}], "usage": usage});
        read_whole(&answer.to_string()).unwrap().usage.output
    };
    assert_eq!(usage(50), Some(40));
    assert_eq!(usage(80), Some(70));
}

#[test]
fn every_stop_reason_has_its_finish_reason() {
    for (reason, finish) in [
        (StopReason::EndTurn, "stop"),
        (StopReason::StopSequence, "stop"),
        (StopReason::Pause, "stop"),
        (StopReason::Malformed, "stop"),
        (StopReason::MaxTokens, "length"),
        (StopReason::ContextWindow, "length"),
        (StopReason::ToolUse, "tool_calls"),
        (StopReason::Refusal, "content_filter"),
        (StopReason::ContentFilter, "content_filter"),
    ] {
        assert_eq!(encode(&stopped(reason))["choices"][0]["finish_reason"], finish, "{reason:?}");
    }
}

#[test]
fn every_finish_reason_has_its_stop_reason() {
    let stop = |finish: Value, extra: Value| {
        let mut choice = json!({"message": {"content": "a"}, "finish_reason": finish});
        choice.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        read_whole(&json!({ "choices": [choice] }).to_string()).unwrap().stop
    };
    let none = json!({});
    assert_eq!(stop(json!("stop"), none.clone()).reason, StopReason::EndTurn);
    assert_eq!(stop(Value::Null, none.clone()).reason, StopReason::EndTurn);
    assert_eq!(stop(json!("length"), none.clone()).reason, StopReason::MaxTokens);
    assert_eq!(stop(json!("content_filter"), none.clone()).reason, StopReason::ContentFilter);
    assert_eq!(stop(json!("function_call"), none.clone()).reason, StopReason::ToolUse);
    assert_eq!(stop(json!("eos"), none).reason, StopReason::EndTurn);
    let met = stop(json!("stop"), json!({"stop_reason": "END"}));
    assert_eq!(met, Stop { reason: StopReason::StopSequence, sequence: Some("END".to_owned()) });
    assert_eq!(stop(json!("stop"), json!({"stop_reason": 128_009})).reason, StopReason::EndTurn);
}

#[test]
fn the_stop_sequence_is_kept() {
    let stop = Stop { reason: StopReason::StopSequence, sequence: Some("END".to_owned()) };
    let answer = encode(&Response { stop, ..Response::default() });
    assert_eq!(answer["choices"][0]["stop_reason"], "END");
}

#[test]
fn content_is_null_beside_calls_and_empty_otherwise() {
    let call = Block::ToolUse { id: "c".to_owned(), name: "now".to_owned(), input: json!({}) };
    let answer = encode(&Response { blocks: vec![call], ..Response::default() });
    assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{}");
    assert_eq!(encode(&Response::default())["choices"][0]["message"]["content"], "");
}

#[test]
fn an_answer_without_an_id_gets_the_requests() {
    assert_eq!(encode(&Response::default())["id"], "chatcmpl-req-1");
    let own = Response { id: Some("chatcmpl-7".to_owned()), ..Response::default() };
    assert_eq!(encode(&own)["id"], "chatcmpl-7");
}

#[test]
fn of_several_choices_the_first_is_read() {
    let choices = json!([{"index": 1, "message": {"content": "b"}}, {"index": 0, "message": {"content": "a"}}]);
    assert_eq!(read_whole(&json!({ "choices": choices }).to_string()).unwrap().blocks, [text("a")]);
}

#[test]
fn thinking_in_parts_of_content_is_thinking() {
    let content = json!([
        {"type": "thinking", "thinking": [{"type": "text", "text": "Two."}]},
        {"type": "text", "text": "Four."}
    ]);
    let response = read_whole(&json!({"choices": [{"message": {"content": content}}]}).to_string()).unwrap();
    let thinking = Block::Thinking { text: "Two.".to_owned(), signature: None };
    assert_eq!(response.blocks, [thinking, text("Four.")]);
}

#[test]
fn what_is_no_answer_is_said_to_be_none() {
    for body in ["", "<html>", "{}", "[]", r#"{"choices":[]}"#, r#"{"choices":7}"#] {
        assert!(matches!(read_whole(body), Err(WireError::BadAnswer(_))), "{body}");
    }
}

#[test]
fn an_error_in_place_of_an_answer_is_the_error_that_it_says() {
    let fault = |body: &str| read_whole(body).unwrap_err().into_fault();
    let limited = fault(r#"{"error":{"code":429,"message":"Rate limit exceeded"}}"#);
    assert_eq!((limited.kind, limited.code), (FaultKind::RateLimited, None));
    let failed = fault(r#"{"error":{"message":"no"}}"#);
    assert_eq!((failed.kind, failed.code.as_deref()), (FaultKind::Api, Some("bad_upstream_answer")));
    assert_eq!(failed.message, "no");
}
