//! What `shared/cases.md` asks of streams, for every pair of dialects that can meet it: the first delta, text and calls of one chunk, calls side by side, signatures
//! of Gemini's on parts of their own. More in `cases`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate_wire::codec::Dialect;

use super::answers::everything;
use super::cases::{collected, sent, tools, with};
use super::collected::events;
use super::pairs::{CLIENTS, UPSTREAMS, name, smallest, start};
use super::streams::streamed;

/// Case 7.
#[test]
fn a_chunk_with_text_and_a_call_gives_every_client_both() {
    let call =
        json!({"index": 0, "id": "call_a7", "type": "function", "function": {"name": "look_77", "arguments": "{}"}});
    let chunk = |delta: Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        format!(
            "data: {}\n\n",
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})
        )
    };
    let both = chunk(json!({"role": "assistant", "content": "TEXT-7", "tool_calls": [call]}), None);
    let stream = format!("{both}{}data: [DONE]\n\n", chunk(json!({}), Some("tool_calls")));
    let upstream = &UPSTREAMS[0];
    for client in CLIENTS {
        let answer =
            collected(client, &with(client, tools(client, "look_77")), upstream, stream.as_bytes()).to_string();
        let place = |word: &str| answer.find(word).unwrap_or_else(|| panic!("{}: {word}: {answer}", name(client)));
        assert!(place("TEXT-7") < place("call_a7") && place("look_77") > place("TEXT-7"), "{}: {answer}", name(client));
    }
}

/// Case 8.
#[test]
fn a_chat_clients_first_delta_has_the_role_and_no_text_is_lost() {
    for upstream in UPSTREAMS.iter().filter(|upstream| upstream.dialect != Dialect::Chat) {
        let mut relay = start(Dialect::Chat, &smallest(Dialect::Chat), &upstream.target(true), true).unwrap().relay;
        let mut out = Vec::new();
        relay.chunk(&streamed(upstream.dialect, &everything()), &mut out).unwrap();
        relay.finish(&mut out).unwrap();
        let deltas: Vec<Value> = events(&out).iter().map(|event| event["choices"][0]["delta"].clone()).collect();
        assert_eq!(deltas[0]["role"], "assistant", "{}: {deltas:?}", upstream.title);
        let roles = deltas.iter().filter(|delta| delta["role"].is_string()).count();
        let text: String = deltas.iter().filter_map(|delta| delta["content"].as_str()).collect();
        assert_eq!((roles, text.as_str()), (1, "TEXT-7"), "{}: {deltas:?}", upstream.title);
    }
}

/// Case 10.
#[test]
fn calls_side_by_side_have_indexes_of_their_own_for_clients_of_openais() {
    for upstream in &UPSTREAMS {
        for client in [Dialect::Chat, Dialect::Responses] {
            let mut relay =
                start(client, &with(client, tools(client, "look_77")), &upstream.target(true), true).unwrap().relay;
            let mut out = Vec::new();
            relay.chunk(&streamed(upstream.dialect, &everything()), &mut out).unwrap();
            relay.finish(&mut out).unwrap();
            let mut arguments: BTreeMap<u64, (String, String)> = BTreeMap::new();
            for event in events(&out) {
                let calls = event["choices"][0]["delta"]["tool_calls"].as_array().cloned().unwrap_or_default();
                for call in calls {
                    let known = arguments.entry(call["index"].as_u64().unwrap()).or_default();
                    known.0 += call["id"].as_str().unwrap_or_default();
                    known.1 += call["function"]["arguments"].as_str().unwrap_or_default();
                }
                let known = event["output_index"].as_u64().map(|index| arguments.entry(index).or_default());
                match (event["type"].as_str(), known) {
                    (Some("response.output_item.added"), Some(known)) => {
                        known.0 += event["item"]["call_id"].as_str().unwrap_or_default();
                    }
                    (Some("response.function_call_arguments.delta"), Some(known)) => {
                        known.1 += event["delta"].as_str().unwrap()
                    }
                    _ => {}
                }
            }
            let calls: Vec<_> = arguments.into_values().filter(|(id, _)| !id.is_empty()).collect();
            let expected = [("call_a7", r#"{"city_77":"OSLO-7"}"#), ("call_b8", r#"{"city_77":"BERN-8"}"#)];
            assert_eq!(
                calls,
                expected.map(|(id, input)| (id.to_owned(), input.to_owned())),
                "{} from {}",
                name(client),
                upstream.title
            );
        }
    }
}

/// Case 27: signatures over several chunks, one of them on an empty part of its own.
#[test]
fn geminis_signatures_on_parts_of_their_own_come_back_from_every_client() {
    let gemini = UPSTREAMS.iter().find(|upstream| upstream.dialect == Dialect::GenerateContent).unwrap();
    let stream = include_bytes!("../gemini/streams/signatures.sse");
    for client in CLIENTS {
        let body = smallest(client);
        let answer = collected(client, &body, gemini, stream);
        let mut next = super::cases::loop_of(client, body, &answer);
        let (list, more) = match client {
            Dialect::Responses => ("input", json!({"role": "user", "content": "Go"})),
            Dialect::GenerateContent => ("contents", json!({"role": "user", "parts": [{"text": "Go"}]})),
            _ => ("messages", json!({"role": "user", "content": "Go"})),
        };
        let list = next.get_mut(list).unwrap().as_array_mut().unwrap();
        list.retain(|turn| turn["content"] != json!([]) && turn["parts"] != json!([]));
        list.push(more);
        let sent = sent(client, &next, gemini);
        let parts = sent["contents"].as_array().unwrap().iter().filter(|turn| turn["role"] == "model");
        let parts: Vec<&Value> = parts.flat_map(|turn| turn["parts"].as_array().unwrap()).collect();
        let signatures: Vec<&str> = parts.iter().filter_map(|part| part["thoughtSignature"].as_str()).collect();
        let text: String = parts.iter().filter_map(|part| part["text"].as_str()).collect();
        assert_eq!(
            (signatures.as_slice(), text.as_str()),
            (&["c2lnLWE=", "c2lnLWI="][..], "One two. Three."),
            "{}: {sent}",
            name(client)
        );
    }
}
