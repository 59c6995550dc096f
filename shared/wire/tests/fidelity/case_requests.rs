//! What `shared/cases.md` asks of requests, for every pair of dialects that can meet it: instructions, sampling, thinking that nobody signed, images by URL. More in
//! `cases` and in the matrix.

use serde_json::{Map, Value, json};
use tollgate_wire::codec::Dialect;
use tollgate_wire::exchange::Started;

use super::cases::{each_pair, sent, with};
use super::pairs::{CLIENTS, Upstream, claudes, name, start};

fn started(client: Dialect, body: &Map<String, Value>, upstream: &Upstream) -> Started {
    start(client, body, &upstream.target(false), false).unwrap()
}

fn text_of(started: &Started) -> String {
    String::from_utf8(started.body.to_vec()).unwrap()
}

/// Where an upstream has its instructions.
fn instructions(upstream: &Upstream, body: &Value) -> String {
    let first = |list: &str| {
        let message = &body[list][0];
        assert!(matches!(message["role"].as_str(), Some("system" | "developer")), "{}: {body}", upstream.title);
        message["content"].to_string()
    };
    match upstream.dialect {
        Dialect::Chat => first("messages"),
        Dialect::Responses if body["instructions"].is_string() => body["instructions"].to_string(),
        Dialect::Responses => first("input"),
        Dialect::GenerateContent => body["systemInstruction"].to_string(),
        _ => body["system"].to_string(),
    }
}

/// Case 19.
#[test]
fn max_completion_tokens_wins_over_max_tokens_at_every_upstream() {
    each_pair(|client, upstream| {
        if client == Dialect::Chat && upstream.dialect != Dialect::Chat {
            let body = with(client, json!({"max_tokens": 7771, "max_completion_tokens": 7772}));
            let text = sent(client, &body, upstream).to_string();
            assert!(text.contains(":7772") && !text.contains(":7771"), "{}: {text}", upstream.title);
        }
    });
}

/// Case 19.
#[test]
fn a_developers_message_is_an_instruction_at_every_upstream() {
    let messages = json!([{"role": "developer", "content": "SYSTEM-7"}, {"role": "user", "content": "Hi"}]);
    each_pair(|client, upstream| {
        let body = match client {
            Dialect::Chat => json!({ "messages": messages }),
            Dialect::Responses => json!({ "input": messages }),
            _ => return,
        };
        let sent = sent(client, &with(client, body), upstream);
        assert!(instructions(upstream, &sent).contains("SYSTEM-7"), "{} to {}: {sent}", name(client), upstream.title);
    });
}

/// Case 19: also where the client speaks Claude's own dialect.
#[test]
fn a_claude_that_takes_one_of_temperature_and_top_p_gets_one_and_it_is_reported() {
    for client in CLIENTS {
        let body = match client {
            Dialect::GenerateContent => json!({"generationConfig": {"temperature": 0.3, "topP": 0.77}}),
            _ => json!({"temperature": 0.3, "top_p": 0.77}),
        };
        for upstream in claudes() {
            let started = started(client, &with(client, body.clone()), upstream);
            let sent: Value = serde_json::from_slice(&started.body).unwrap();
            assert_eq!(
                (&sent["temperature"], sent.get("top_p")),
                (&json!(0.3), None),
                "{} to {}",
                name(client),
                upstream.title
            );
            let reported = started.dropped.iter().filter(|dropped| dropped.path.contains("top")).count();
            assert_eq!(reported, 1, "{} to {}: {:?}", name(client), upstream.title, started.dropped);
        }
    }
}

/// Case 21.
#[test]
fn an_anthropic_clients_system_reaches_every_upstream_as_text_or_as_blocks() {
    let marked = json!([
        {"type": "text", "text": "SYSTEM-7", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "SYSTEM-8"},
    ]);
    each_pair(|client, upstream| {
        for system in [json!("SYSTEM-7"), marked.clone()] {
            if client != Dialect::Messages {
                return;
            }
            let started = started(client, &with(client, json!({ "system": system })), upstream);
            let sent: Value = serde_json::from_slice(&started.body).unwrap();
            let found = instructions(upstream, &sent);
            assert_eq!(found.contains("SYSTEM-8"), system.is_array(), "{}: {sent}", upstream.title);
            assert!(found.contains("SYSTEM-7") && started.dropped.is_empty(), "{}: {sent}", upstream.title);
            match upstream.dialect {
                Dialect::Messages => assert_eq!(sent["system"], system, "{}", upstream.title),
                // The mark stands behind the text that it was on.
                Dialect::Converse if system.is_array() => {
                    assert!(sent["system"][1]["cachePoint"].is_object(), "{sent}")
                }
                _ => {}
            }
        }
    });
}

/// Case 21.
#[test]
fn a_system_message_in_the_middle_keeps_its_place_as_such_or_is_reported() {
    each_pair(|client, upstream| {
        let turns = |role: &str| {
            json!([{"role": "user", "content": "ONE-7"}, {"role": "assistant", "content": "TWO-7"},
                {"role": role, "content": "SYSTEM-7"}, {"role": "user", "content": "THREE-7"}])
        };
        let part = |role: &str, text: &str| json!({"role": role, "parts": [{"text": text}]});
        let body = match client {
            Dialect::Chat => json!({ "messages": turns("system") }),
            Dialect::Responses => json!({ "input": turns("developer") }),
            Dialect::GenerateContent => json!({"contents": [
                part("user", "ONE-7"), part("model", "TWO-7"), part("system", "SYSTEM-7"), part("user", "THREE-7")]}),
            // In this dialect it stands behind a user's turn.
            _ => json!({"messages": [{"role": "user", "content": "ONE-7"}, {"role": "assistant", "content": "TWO-7"},
                {"role": "user", "content": "GO-7"}, {"role": "system", "content": "SYSTEM-7"}]}),
        };
        let started = started(client, &with(client, body), upstream);
        let text = text_of(&started);
        let place = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word}: {text}"));
        let last = if client == Dialect::Messages { usize::MAX } else { place("THREE-7") };
        assert!(place("TWO-7") < place("SYSTEM-7") && place("SYSTEM-7") < last, "{text}");
        let sent: Value = serde_json::from_slice(&started.body).unwrap();
        let list = ["messages", "input", "contents"].iter().find_map(|key| sent[*key].as_array()).unwrap();
        let turn = list.iter().find(|turn| turn.to_string().contains("SYSTEM-7")).unwrap();
        let is_system = matches!(turn["role"].as_str(), Some("system" | "developer"));
        let is_reported = started.dropped.iter().any(|dropped| dropped.path.starts_with("messages["));
        assert!(is_system != is_reported, "{} to {}: {text} {:?}", name(client), upstream.title, started.dropped);
    });
}

/// Case 22.
#[test]
fn an_image_by_url_goes_on_as_a_url_or_is_refused_with_the_remedy() {
    const URL: &str = "https://example.com/cat7.png";
    each_pair(|client, upstream| {
        let body = match client {
            Dialect::Chat => {
                json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]}]})
            }
            Dialect::Responses => {
                json!({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": URL}]}]})
            }
            Dialect::GenerateContent => {
                json!({"contents": [{"role": "user", "parts": [{"fileData": {"mimeType": "image/png", "fileUri": URL}}]}]})
            }
            _ => {
                json!({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": URL}}]}]})
            }
        };
        match start(client, &with(client, body), &upstream.target(false), false) {
            Ok(started) => assert!(text_of(&started).contains(URL), "{} to {}", name(client), upstream.title),
            Err(error) => assert!(
                error.contains("[0]") && error.contains("URL") && error.contains("base64"),
                "{} to {}: {error}",
                name(client),
                upstream.title
            ),
        }
    });
}

/// Case 11.
#[test]
fn thinking_that_nobody_signed_does_not_reach_claude_and_is_reported() {
    for client in CLIENTS {
        let body = match client {
            Dialect::Chat => json!({"messages": [{"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "ANSWER-7", "reasoning_content": "THINK-7"}, {"role": "user", "content": "Go"}]}),
            Dialect::Responses => json!({"input": [{"role": "user", "content": "Hi"},
                {"type": "reasoning", "id": "rs_7", "summary": [{"type": "summary_text", "text": "THINK-7"}]},
                {"role": "assistant", "content": "ANSWER-7"}, {"role": "user", "content": "Go"}]}),
            Dialect::GenerateContent => json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]},
                {"role": "model", "parts": [{"text": "THINK-7", "thought": true}, {"text": "ANSWER-7"}]},
                {"role": "user", "parts": [{"text": "Go"}]}]}),
            _ => json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "THINK-7", "signature": ""}, {"type": "text", "text": "ANSWER-7"}]},
                {"role": "user", "content": "Go"}]}),
        };
        for upstream in claudes() {
            let started = started(client, &with(client, body.clone()), upstream);
            let text = text_of(&started);
            assert!(
                !text.contains("THINK-7") && text.contains("ANSWER-7"),
                "{} to {}: {text}",
                name(client),
                upstream.title
            );
            assert_eq!(started.dropped.len(), 1, "{} to {}: {:?}", name(client), upstream.title, started.dropped);
        }
    }
}
