use bytes::Bytes;
use proptest::prelude::*;
use tollgate_wire::codec::{Carrier, Dialect, Seed, Target};
use tollgate_wire::exchange::{Inbound, Relay, Started};
use tollgate_wire::ir::{Fault, FaultKind};

fn seed() -> Seed {
    Seed { created_unix_s: 1_700_000_000, request_id: "r1".to_owned() }
}

fn start(dialect: Dialect, carrier: Carrier, body: &str, model: &str, betas: &[&str]) -> Started {
    let betas = betas.iter().map(|beta| (*beta).to_owned()).collect();
    let inbound = Inbound::decode(dialect, Bytes::copy_from_slice(body.as_bytes()), betas).unwrap();
    inbound.start(&Target { dialect, carrier, model }, &seed(), false).unwrap()
}

fn text(body: &Bytes) -> &str {
    std::str::from_utf8(body).unwrap()
}

fn relay(dialect: Dialect, body: &str) -> Relay {
    start(dialect, Carrier::Direct, body, "m", &[]).relay
}

const CHAT_STREAM: &str = r#"{"model":"m","messages":[{}],"stream":true}"#;
const CHAT_STREAM_USAGE: &str =
    r#"{"model":"m","messages":[{}],"stream":true,"stream_options":{"include_usage":true}}"#;
const MESSAGES_STREAM: &str = r#"{"model":"m","max_tokens":9,"messages":[{}],"stream":true}"#;

/// Feeds a stream whole; what the client gets, and how it ended.
fn feed(relay: &mut Relay, stream: &str) -> (String, Result<(), Fault>) {
    let mut out = Vec::new();
    let ended = relay.chunk(stream.as_bytes(), &mut out).and_then(|()| relay.finish(&mut out));
    (String::from_utf8(out).unwrap(), ended)
}

#[test]
fn a_request_that_needs_no_edit_goes_through_to_the_byte() {
    let body = " {\"model\" : \"m\",\n\t\"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9\",\"new\":1e400}], \"unheard_of\": {\"a\":[1.0,-0]} } ";
    for dialect in [Dialect::Chat, Dialect::Messages] {
        assert_eq!(text(&start(dialect, Carrier::Direct, body, "m", &[]).body), body);
    }
}

#[test]
fn only_the_model_changes_when_an_alias_changes_it() {
    let body = r#"{"x": "\"model\":\"old\"", "model":"old" , "messages":[ {} ]}"#;
    let sent = start(Dialect::Chat, Carrier::Direct, body, "n\"ew", &[]).body;
    assert_eq!(text(&sent), r#"{"x": "\"model\":\"old\"", "model":"n\"ew" , "messages":[ {} ]}"#);
}

#[test]
fn the_gateway_asks_for_usage_in_the_clients_name() {
    let sent = |body: &str| text(&start(Dialect::Chat, Carrier::Direct, body, "m", &[]).body).to_owned();
    let asked = r#"{"stream_options":{"include_usage":true},"model":"m","messages":[{}],"stream":true}"#;
    assert_eq!(sent(CHAT_STREAM), asked);
    assert_eq!(sent(CHAT_STREAM_USAGE), CHAT_STREAM_USAGE);
    let other = r#"{"model":"m","messages":[{}],"stream_options":{"include_obfuscation":false},"stream":true}"#;
    let expected = r#"{"model":"m","messages":[{}],"stream_options":{"include_obfuscation":false,"include_usage":true},"stream":true}"#;
    assert_eq!(sent(other), expected);
    assert_eq!(sent(r#"{"model":"m","messages":[{}]}"#), r#"{"model":"m","messages":[{}]}"#);
}

const OPENAI_STREAM: &str = concat!(
    "data: {\"id\":\"c\",\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"model\":\"gpt\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn a_client_that_did_not_ask_sees_no_usage_and_it_is_metered_all_the_same() {
    let mut relay = relay(Dialect::Chat, CHAT_STREAM);
    let (out, ended) = feed(&mut relay, OPENAI_STREAM);
    assert!(ended.is_ok() && !out.contains("usage") && out.ends_with("data: [DONE]\n\n"), "{out}");
    assert_eq!(out.matches("data: ").count(), 4);
    let usage = relay.state().usage;
    assert_eq!((usage.input, usage.cache_read, usage.output), (Some(5), Some(4), Some(2)));
    assert_eq!(relay.state().model.as_deref(), Some("gpt"));
}

#[test]
fn a_client_that_asked_gets_the_stream_to_the_byte() {
    let (out, ended) = feed(&mut relay(Dialect::Chat, CHAT_STREAM_USAGE), OPENAI_STREAM);
    assert!(ended.is_ok());
    assert_eq!(out, OPENAI_STREAM);
}

#[test]
fn content_is_noticed_at_the_first_token_and_not_at_the_role() {
    let mut relay = relay(Dialect::Chat, CHAT_STREAM_USAGE);
    let mut seen = Vec::new();
    for event in OPENAI_STREAM.split_inclusive("\n\n") {
        relay.chunk(event.as_bytes(), &mut Vec::new()).unwrap();
        seen.push((relay.state().content, relay.state().done));
    }
    assert_eq!(seen, [(false, false), (true, false), (true, false), (true, false), (true, true)]);
}

#[test]
fn an_error_in_a_200_stream_is_a_fault_and_not_the_clients() {
    for (dialect, body, event, kind) in [
        (
            Dialect::Chat,
            CHAT_STREAM,
            "data: {\"error\":{\"message\":\"no\",\"type\":\"server_error\"}}\n\n",
            FaultKind::Api,
        ),
        (
            Dialect::Chat,
            CHAT_STREAM,
            "data: {\"error\": {\"message\":\"no\",\"code\":\"rate_limit_exceeded\"}}\n\n",
            FaultKind::RateLimited,
        ),
        (
            Dialect::Messages,
            MESSAGES_STREAM,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
            FaultKind::Overloaded,
        ),
    ] {
        let (out, ended) = feed(&mut relay(dialect, body), event);
        assert_eq!((out.as_str(), ended.unwrap_err().kind), ("", kind), "{event}");
    }
}

#[test]
fn a_late_error_in_openai_spelling_is_noticed_after_content() {
    let mut relay = relay(Dialect::Chat, CHAT_STREAM);
    let begun = OPENAI_STREAM.split_inclusive("\n\n").take(2).collect::<String>();
    let (_, ended) = feed(&mut relay, &format!("{begun}data: {{\"error\":{{\"message\":\"late\"}}}}\n\n"));
    assert_eq!(ended.unwrap_err().message, "late");
}

#[test]
fn a_stream_that_ends_early_is_a_fault_in_both_dialects() {
    let chat = OPENAI_STREAM.split_inclusive("\n\n").take(2).collect::<String>();
    let messages = ANTHROPIC_STREAM.split_inclusive("\n\n").take(4).collect::<String>();
    for (dialect, body, stream) in [(Dialect::Chat, CHAT_STREAM, chat), (Dialect::Messages, MESSAGES_STREAM, messages)]
    {
        let cut_in_an_event = format!("{stream}data: {{\"choi");
        for stream in [stream, cut_in_an_event] {
            let mut relay = relay(dialect, body);
            let (out, ended) = feed(&mut relay, &stream);
            assert_eq!(ended.unwrap_err().code.as_deref(), Some("bad_upstream_answer"));
            assert!(out.ends_with("\n\n"), "no half event reaches the client: {out}");
        }
    }
}

#[test]
fn a_compatible_server_that_forgets_done_is_complete_and_the_client_gets_its_done() {
    let stream = OPENAI_STREAM.replace("data: [DONE]\n\n", "");
    let (out, ended) = feed(&mut relay(Dialect::Chat, CHAT_STREAM), &stream);
    assert!(ended.is_ok() && out.ends_with("data: [DONE]\n\n"));
}

const ANTHROPIC_STREAM: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"claude\",\"content\":[],\"usage\":{\"input_tokens\":3,\"cache_creation_input_tokens\":17,\"cache_read_input_tokens\":32651,\"output_tokens\":1}}}\n\n",
    ": keep-alive\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":3,\"cache_creation_input_tokens\":17,\"cache_read_input_tokens\":32651,\"output_tokens\":21}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\",\"amazon-bedrock-invocationMetrics\":{\"inputTokenCount\":3,\"outputTokenCount\":21}}\n\n",
);

#[test]
fn anthropic_usage_is_counted_once_over_start_delta_and_bedrocks_metrics() {
    let mut relay = relay(Dialect::Messages, MESSAGES_STREAM);
    let (out, ended) = feed(&mut relay, ANTHROPIC_STREAM);
    assert!(ended.is_ok());
    assert_eq!(out, ANTHROPIC_STREAM);
    let usage = relay.state().usage;
    assert_eq!(
        (usage.input, usage.cache_write, usage.cache_read, usage.output),
        (Some(3), Some(17), Some(32651), Some(21))
    );
}

#[test]
fn claude_on_bedrock_gets_the_clients_bytes_in_invoke_models_form() {
    let body = r#"{"model":"claude","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"h\u00e9"}],"new_field":[1.0]}"#;
    let started = start(Dialect::Messages, Carrier::Bedrock, body, "anthropic.claude-sonnet-4-20250514-v1:0", &[]);
    let expected = r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[{"role":"user","content":"h\u00e9"}],"new_field":[1.0]}"#;
    assert_eq!((text(&started.body), started.dropped.len()), (expected, 0));
}

#[test]
fn beta_flags_that_bedrock_refuses_go_with_the_fields_that_they_gate_and_are_reported() {
    let body = r#"{"model":"claude","max_tokens":5,"messages":[{}],"mcp_servers":[{"url":"x"}],"service_tier":"auto"}"#;
    let model = "anthropic.claude-sonnet-4-20250514-v1:0";
    let flags = ["interleaved-thinking-2025-05-14", "mcp-client-2025-04-04"];
    let started = start(Dialect::Messages, Carrier::Bedrock, body, model, &flags);
    let expected = r#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["interleaved-thinking-2025-05-14"],"max_tokens":5,"messages":[{}]}"#;
    assert_eq!(text(&started.body), expected);
    let paths: Vec<&str> = started.dropped.iter().map(|d| d.path.as_str()).collect();
    assert_eq!(paths, ["mcp_servers", "anthropic-beta: mcp-client-2025-04-04"]);
}

#[test]
fn blank_text_is_removed_before_bedrock_and_reported() {
    let body = r#"{"model":"c","max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":" \n"},{"type":"text","text":"hi"}]}]}"#;
    let started = start(Dialect::Messages, Carrier::Bedrock, body, "anthropic.claude-sonnet-4-20250514-v1:0", &[]);
    assert!(text(&started.body).contains(r#"[{"type":"text","text":"hi"}]"#), "{}", text(&started.body));
    assert_eq!(started.dropped.len(), 1);
}

/// <https://platform.claude.com/docs/en/build-with-claude/prompt-caching#automatic-caching>; InvokeModel has no such field.
#[test]
fn a_mark_for_the_whole_request_is_put_on_its_last_block_before_bedrock() {
    let model = "anthropic.claude-sonnet-4-20250514-v1:0";
    let content = |messages: &str| {
        let body = format!(
            r#"{{"model":"c","max_tokens":5,"cache_control":{{"type":"ephemeral","ttl":"1h"}},"messages":{messages},"top_k":3}}"#
        );
        let started = start(Dialect::Messages, Carrier::Bedrock, &body, model, &[]);
        assert_eq!(started.dropped, []);
        let sent: serde_json::Value = serde_json::from_slice(&started.body).unwrap();
        assert_eq!((sent.get("cache_control"), &sent["top_k"]), (None, &3.into()));
        sent["messages"].as_array().unwrap().last().unwrap()["content"].to_string()
    };
    assert_eq!(
        content(r#"[{"role":"user","content":"a"},{"role":"user","content":"hi"}]"#),
        r#"[{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]"#
    );
    let own = r#"[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]"#;
    assert_eq!(content(&format!(r#"[{{"role":"user","content":{own}}}]"#)), own, "the client's own stays");
    let thinking = content(
        r#"[{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"thinking","thinking":"b","signature":"c"}]}]"#,
    );
    assert!(thinking.starts_with(r#"[{"type":"text","text":"a","cache_control""#), "{thinking}");
    assert_eq!(thinking.matches("cache_control").count(), 1, "{thinking}");
}

#[test]
fn what_is_asked_of_anthropics_cache_alone_is_reported_before_bedrock() {
    let body = r#"{"model":"c","max_tokens":5,"messages":[{}],"diagnostics":{"previous_message_id":"msg_1"}}"#;
    let started = start(Dialect::Messages, Carrier::Bedrock, body, "anthropic.claude-opus-4-8", &[]);
    assert!(!text(&started.body).contains("diagnostics"));
    assert_eq!(started.dropped[0].path, "diagnostics");
}

#[test]
fn strict_refuses_what_would_be_dropped() {
    let body = r#"{"model":"c","max_tokens":5,"messages":[{}],"speed":"fast"}"#;
    let inbound = Inbound::decode(Dialect::Messages, Bytes::from_static(body.as_bytes()), vec![]).unwrap();
    let target = Target {
        dialect: Dialect::Messages,
        carrier: Carrier::Bedrock,
        model: "anthropic.claude-sonnet-4-20250514-v1:0",
    };
    let error = inbound.start(&target, &seed(), true).unwrap_err();
    assert!(error.to_string().contains("speed"), "{error}");
}

#[test]
fn a_200_that_is_no_answer_is_a_fault() {
    for (dialect, body) in [(Dialect::Chat, CHAT_STREAM), (Dialect::Messages, MESSAGES_STREAM)] {
        for answer in ["", "<html>", "{}", "{\"error\":{\"message\":\"x\"}}", "[]"] {
            let fault = relay(dialect, body).response(Bytes::copy_from_slice(answer.as_bytes())).unwrap_err();
            assert_eq!(fault.kind, FaultKind::Api, "{answer}");
        }
    }
}

#[test]
fn a_zero_that_was_reported_is_a_zero_and_not_nothing() {
    let mut relay = relay(Dialect::Chat, CHAT_STREAM);
    let answer = r#"{"choices":[{"message":{}}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#;
    relay.response(Bytes::from_static(answer.as_bytes())).unwrap();
    assert_eq!((relay.state().usage.input, relay.state().usage.output), (Some(0), Some(0)));
}

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same_bytes_and_books(cuts in proptest::collection::vec(0usize..2000, 0..12), messages: bool) {
        let (dialect, body, stream) =
            if messages { (Dialect::Messages, MESSAGES_STREAM, ANTHROPIC_STREAM) } else { (Dialect::Chat, CHAT_STREAM, OPENAI_STREAM) };
        let mut whole = relay(dialect, body);
        let (expected, _) = feed(&mut whole, stream);
        let mut split = relay(dialect, body);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut out, mut at) = (Vec::new(), 0);
        for cut in cuts.into_iter().chain([stream.len()]) {
            split.chunk(&stream.as_bytes()[at..cut], &mut out).unwrap();
            at = cut;
        }
        split.finish(&mut out).unwrap();
        prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        prop_assert_eq!(split.state(), whole.state());
    }

    #[test]
    fn a_request_of_arbitrary_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for dialect in [Dialect::Chat, Dialect::Messages] {
            let _ = Inbound::decode(dialect, Bytes::copy_from_slice(&bytes), vec![]);
        }
    }
}
