//! What a client gets of an answer: one feature at a time, whole and streamed.

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_wire::codec::Dialect;

use super::answers::{Answer, GUARDED, OUTPUT, PAGE, Piece, READ, REASONING, UNCACHED, WRITTEN, call, whole};
use super::collected::collect;
use super::pairs::{CLIENTS, INVOKE, UPSTREAMS, Upstream, smallest, start};
use super::streams::streamed;

/// A feature of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) feature: &'static str,
    blocks: Vec<Piece>,
    witness: Witness,
}

/// How it is known in the client's answer.
#[derive(Debug, Clone, Copy)]
enum Witness {
    /// All of these texts stand in it.
    Texts(&'static [&'static str]),
    /// Its usage has what the upstream said, by the client's way to count.
    Count(Count),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    Input,
    Read,
    Written,
    Output,
    Reasoning,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The upstream's own bytes.
    Carried,
    /// In the client's own form.
    Translated,
    /// The client's dialect has no place for it.
    NoPlace,
    /// The upstream's dialect does not say it.
    Unsaid,
    /// It is there and says something else.
    Wrong,
}

pub(crate) fn replies() -> Vec<Reply> {
    let text = || vec![Piece::Text("TEXT-7".to_owned())];
    let thought = Piece::Thinking("THINK-7".to_owned(), "c2lnLTc3".to_owned());
    let calls = || vec![call("call_a7", json!({"city_77": "OSLO-7"})), call("call_b8", json!({"city_77": "BERN-8"}))];
    let texts = |feature, blocks, texts| Reply { feature, blocks, witness: Witness::Texts(texts) };
    let count = |feature, count| Reply { feature, blocks: text(), witness: Witness::Count(count) };
    vec![
        texts("text", text(), &["TEXT-7"]),
        texts("refusal", vec![Piece::Refusal("SORRY-7")], &["SORRY-7"]),
        texts("thinking", vec![thought].into_iter().chain(text()).collect(), &["THINK-7", "TEXT-7"]),
        texts("tool call", calls().split_off(1), &["call_b8", "look_77", "BERN-8"]),
        texts("parallel tool calls", calls(), &["call_a7", "OSLO-7", "call_b8", "BERN-8"]),
        texts("text from the web", vec![Piece::Cited("TEXT-7")], &["TEXT-7", PAGE]),
        texts("log probabilities", vec![Piece::Scored("TEXT-7")], &["TEXT-7", "-0.77"]),
        texts("service tier", text(), &["\"priority\""]),
        count("usage: input", Count::Input),
        count("usage: read from the cache", Count::Read),
        count("usage: written to the cache", Count::Written),
        count("usage: output", Count::Output),
        count("usage: reasoning", Count::Reasoning),
    ]
}

/// Gemini's texts come in as many parts as there were events; of one kind and in a row they are one text.
fn joined(mut answer: Value) -> Value {
    let Some(parts) = answer.pointer_mut("/candidates/0/content/parts").and_then(Value::as_array_mut) else {
        return answer;
    };
    let mut texts: Vec<Value> = Vec::new();
    for part in parts.drain(..) {
        match (texts.last_mut(), part["text"].as_str()) {
            (Some(last), Some(more)) if last["text"].is_string() && last["thought"] == part["thought"] => {
                last["text"] = format!("{}{more}", last["text"].as_str().unwrap()).into();
            }
            _ => texts.push(part),
        }
    }
    *parts = texts;
    answer
}

/// The answer that a client has in the end.
pub(crate) fn received(client: Dialect, upstream: &Upstream, answer: &Answer, stream: bool) -> Value {
    let mut body = smallest(client);
    if client == Dialect::Chat {
        body.insert("stop".to_owned(), json!(["STOP-7"]));
    }
    let mut relay = start(client, &body, &upstream.target(false), stream).unwrap().relay;
    if stream {
        let mut out = Vec::new();
        relay.chunk(&streamed(upstream.dialect, answer), &mut out).unwrap();
        relay.finish(&mut out).unwrap();
        return joined(collect(client, &out));
    }
    let bytes = Bytes::from(whole(upstream.dialect, answer).to_string());
    serde_json::from_slice(&relay.response(bytes).unwrap()).unwrap()
}

impl Reply {
    pub(crate) fn fate(&self, client: Dialect, upstream: &Upstream, stream: bool) -> Fate {
        let answer = Answer { blocks: self.blocks.clone(), stop: None };
        let received = received(client, upstream, &answer, stream);
        let there = match self.witness {
            Witness::Texts(_) if unsaid(upstream.dialect, self.feature) => return Fate::Unsaid,
            Witness::Texts(texts) => {
                let text = received.to_string();
                if texts.iter().all(|witness| text.contains(witness)) { Fate::Translated } else { Fate::NoPlace }
            }
            Witness::Count(count) => match (said(upstream.dialect, count), counted(client, count, &received)) {
                (None, _) => return Fate::Unsaid,
                (_, None) => Fate::NoPlace,
                (Some(_), Some(counted)) if counted == by_client(client, upstream.dialect, count) => Fate::Translated,
                _ => Fate::Wrong,
            },
        };
        if there == Fate::Translated && client == upstream.dialect { Fate::Carried } else { there }
    }
}

/// Anthropic and Bedrock tell no log probabilities; Converse has citations of documents only.
fn unsaid(upstream: Dialect, feature: &str) -> bool {
    match feature {
        "log probabilities" => matches!(upstream, Dialect::Messages | Dialect::Converse),
        "text from the web" => upstream == Dialect::Converse,
        _ => false,
    }
}

/// What the upstream says. Gemini does not say what it writes to a cache, and Converse not what is reasoning.
fn said(upstream: Dialect, count: Count) -> Option<u64> {
    match (upstream, count) {
        (Dialect::GenerateContent, Count::Written) | (Dialect::Converse, Count::Reasoning) => None,
        (_, Count::Input) => Some(UNCACHED),
        (_, Count::Read) => Some(READ),
        (_, Count::Written) => Some(WRITTEN),
        (_, Count::Output) => Some(OUTPUT),
        (_, Count::Reasoning) => Some(REASONING),
    }
}

/// Anthropic counts what the cache did beside the input, all others in it. Gemini counts thoughts beside the output.
fn by_client(client: Dialect, upstream: Dialect, count: Count) -> u64 {
    let said = |count| said(upstream, count).unwrap_or_default();
    match (client, count) {
        (Dialect::Messages, Count::Input) => said(Count::Input),
        (_, Count::Input) => said(Count::Input) + said(Count::Read) + said(Count::Written),
        (Dialect::GenerateContent, Count::Output) => said(Count::Output) - said(Count::Reasoning),
        (_, count) => said(count),
    }
}

fn counted(client: Dialect, count: Count, answer: &Value) -> Option<u64> {
    let path = match (client, count) {
        (Dialect::Chat, Count::Input) => "/usage/prompt_tokens",
        (Dialect::Chat, Count::Read) => "/usage/prompt_tokens_details/cached_tokens",
        (Dialect::Chat, Count::Written) => "/usage/prompt_tokens_details/cache_write_tokens",
        (Dialect::Chat, Count::Output) => "/usage/completion_tokens",
        (Dialect::Chat, Count::Reasoning) => "/usage/completion_tokens_details/reasoning_tokens",
        (Dialect::Responses | Dialect::Messages, Count::Input) => "/usage/input_tokens",
        (Dialect::Responses, Count::Read) => "/usage/input_tokens_details/cached_tokens",
        (Dialect::Responses, Count::Written) => "/usage/input_tokens_details/cache_write_tokens",
        (Dialect::Responses | Dialect::Messages, Count::Output) => "/usage/output_tokens",
        (Dialect::Responses, Count::Reasoning) => "/usage/output_tokens_details/reasoning_tokens",
        (Dialect::Messages, Count::Read) => "/usage/cache_read_input_tokens",
        (Dialect::Messages, Count::Written) => "/usage/cache_creation_input_tokens",
        (Dialect::Messages, Count::Reasoning) => "/usage/output_tokens_details/thinking_tokens",
        (_, Count::Input) => "/usageMetadata/promptTokenCount",
        (_, Count::Read) => "/usageMetadata/cachedContentTokenCount",
        (_, Count::Output) => "/usageMetadata/candidatesTokenCount",
        (_, Count::Reasoning) => "/usageMetadata/thoughtsTokenCount",
        (_, Count::Written) => return None,
    };
    answer.pointer(path).and_then(Value::as_u64)
}

/// Why an answer ends, in its dialect's words, and with which stop sequence.
pub(crate) type Stop = (&'static str, Option<&'static str>);

/// By the title of the upstream.
pub(crate) const STOPS: [(&str, &[Stop]); 6] = [
    (
        "chat",
        &[("stop", None), ("stop", Some("STOP-7")), ("length", None), ("tool_calls", None), ("content_filter", None)],
    ),
    ("responses", &[("completed", None), ("max_output_tokens", None), ("content_filter", None)]),
    (
        "messages",
        &[
            ("end_turn", None),
            ("stop_sequence", Some("STOP-7")),
            ("max_tokens", None),
            ("model_context_window_exceeded", None),
            ("tool_use", None),
            ("pause_turn", None),
            ("refusal", None),
        ],
    ),
    (INVOKE, &[(GUARDED, None)]),
    (
        "converse",
        &[
            ("end_turn", None),
            ("stop_sequence", Some("STOP-7")),
            ("max_tokens", None),
            ("model_context_window_exceeded", None),
            ("tool_use", None),
            ("guardrail_intervened", None),
            ("content_filtered", None),
            ("malformed_model_output", None),
            ("malformed_tool_use", None),
        ],
    ),
    (
        "generateContent",
        &[
            ("STOP", None),
            ("MAX_TOKENS", None),
            ("SAFETY", None),
            ("RECITATION", None),
            ("PROHIBITED_CONTENT", None),
            ("SPII", None),
            ("MALFORMED_FUNCTION_CALL", None),
            ("OTHER", None),
        ],
    ),
];

/// Why it ended, in the client's words.
pub(crate) fn stop_of(client: Dialect, upstream: &str, stop: Stop, stream: bool) -> String {
    let upstream = UPSTREAMS.iter().find(|known| known.title == upstream).unwrap();
    let calls = matches!(stop.0, "tool_calls" | "tool_use");
    let block = if calls { call("call_a7", json!({})) } else { Piece::Text("TEXT-7".to_owned()) };
    let answer = received(client, upstream, &Answer { blocks: vec![block], stop: Some(stop) }, stream);
    let text = |path: &str| answer.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let (reason, sequence) = match client {
        Dialect::Responses => {
            let status = text("/status").unwrap();
            (text("/incomplete_details/reason").map_or(status.clone(), |reason| format!("{status}: {reason}")), None)
        }
        Dialect::Messages => (text("/stop_reason").unwrap(), text("/stop_sequence")),
        Dialect::GenerateContent => (text("/candidates/0/finishReason").unwrap(), None),
        _ => (text("/choices/0/finish_reason").unwrap(), text("/choices/0/stop_reason")),
    };
    sequence.map_or(reason.clone(), |sequence| format!("{reason} ({sequence})"))
}

#[test]
fn a_stream_holds_what_the_whole_answer_holds() {
    let mut wrong = Vec::new();
    for client in CLIENTS {
        for upstream in &UPSTREAMS {
            for reply in replies() {
                let [whole, streamed] = [false, true].map(|stream| reply.fate(client, upstream, stream));
                if whole != streamed || whole == Fate::Wrong {
                    let feature = reply.feature;
                    wrong.push(format!(
                        "{feature}: {client:?} from {}: {whole:?}, streamed {streamed:?}",
                        upstream.title
                    ));
                }
            }
        }
        for (upstream, stops) in STOPS {
            for stop in stops {
                let [whole, streamed] = [false, true].map(|stream| stop_of(client, upstream, *stop, stream));
                if whole != streamed {
                    wrong.push(format!("{stop:?}: {client:?} from {upstream}: {whole}, streamed {streamed}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
