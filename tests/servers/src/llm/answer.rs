//! The bytes of an answer, under a fault.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Step;
use super::http1::{self, Request};
use crate::script::{self, Asked, at};
use crate::{anthropic, openai};

/// Refusals that the prompt asks for, under any path.
const REFUSALS: [(&str, u16, &str); 3] = [
    ("error-400", 400, "invalid_request_error"),
    ("error-429", 429, "rate_limit_error"),
    ("error-500", 500, "api_error"),
];

const FOREVER: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    OpenAi,
    Anthropic,
}

impl Dialect {
    fn of(path: &str) -> Option<Self> {
        match path {
            path if path.ends_with("/chat/completions") => Some(Self::OpenAi),
            path if path.ends_with("/v1/messages") => Some(Self::Anthropic),
            _ => None,
        }
    }

    fn error(self, kind: &str, message: &str) -> Value {
        match self {
            Self::OpenAi => json!({"error": {"message": message, "type": kind, "param": null, "code": null}}),
            Self::Anthropic => {
                json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"})
            }
        }
    }
}

/// What a request is answered with, step by step.
pub(crate) fn steps(fault: &str, request: &Request) -> Vec<Step> {
    let path = request.path.split('?').next().unwrap_or_default();
    let Some(dialect) = Dialect::of(path) else {
        return send(http1::whole(
            404,
            "application/json",
            &[],
            br#"{"error":{"message":"no such path","type":"not_found_error"}}"#,
        ));
    };
    if let Some(steps) = without_answer(fault, dialect) {
        return steps;
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let refused = match dialect {
        Dialect::OpenAi => openai::fault(&body),
        Dialect::Anthropic => anthropic::fault(&body),
    };
    if let Some(message) = refused {
        return failure(400, dialect, "invalid_request_error", &message, &[]);
    }
    let model = body["model"].as_str().unwrap_or_default();
    let asked = match dialect {
        Dialect::OpenAi => openai::asked(&body),
        Dialect::Anthropic => anthropic::asked(&body),
    };
    let asked = asked.with_model(model);
    for (marker, status, kind) in REFUSALS {
        if asked.has(marker) {
            return failure(status, dialect, kind, &format!("The fake upstream was told to answer {status}."), &[]);
        }
    }
    if body["stream"] == true {
        stream(fault, &Events::of(dialect, &asked, &body, fault), &asked, dialect)
    } else {
        plain(fault, &plain_body(dialect, &asked, model))
    }
}

fn send(bytes: Vec<u8>) -> Vec<Step> {
    vec![Step::Send(bytes.into())]
}

fn failure(status: u16, dialect: Dialect, kind: &str, message: &str, extra: &[(&str, &str)]) -> Vec<Step> {
    send(http1::whole(status, "application/json", extra, dialect.error(kind, message).to_string().as_bytes()))
}

/// The faults that look at nothing but the path.
fn without_answer(fault: &str, dialect: Dialect) -> Option<Vec<Step>> {
    let failure = |status, kind: &str, extra: &[(&str, &str)]| {
        Some(failure(status, dialect, kind, &format!("The fake upstream answers {status}."), extra))
    };
    match fault {
        "429" => failure(429, "rate_limit_error", &[("retry-after", "1")]),
        "429-long" => failure(429, "rate_limit_error", &[("retry-after", "600")]),
        "500" => failure(500, "api_error", &[]),
        "503" => failure(503, "api_error", &[]),
        "529" => failure(529, "overloaded_error", &[]),
        "401" => failure(401, "authentication_error", &[]),
        "403" => failure(403, "permission_error", &[]),
        "404" => failure(404, "not_found_error", &[]),
        "html-502" => {
            Some(send(http1::whole(502, "text/html", &[], b"<html><body><h1>502 Bad Gateway</h1></body></html>")))
        }
        "redirect" => {
            let to = if dialect == Dialect::OpenAi { "/stolen/v1/chat/completions" } else { "/stolen/v1/messages" };
            Some(send(http1::whole(307, "text/plain", &[("location", to)], b"")))
        }
        "hang" => Some(vec![Step::Pause(FOREVER)]),
        "cut-head" => Some(vec![Step::Cut]),
        _ => None,
    }
}

fn plain_body(dialect: Dialect, asked: &Asked, model: &str) -> Value {
    match dialect {
        Dialect::OpenAi => openai::completion(&script::answer(asked, openai_id), model),
        Dialect::Anthropic => anthropic::message(&script::answer(asked, anthropic_id), "msg_fake", model),
    }
}

fn openai_id(number: usize) -> String {
    format!("call_{number:02}fake")
}

fn anthropic_id(number: usize) -> String {
    format!("toolu_{number:02}fake")
}

fn plain(fault: &str, body: &Value) -> Vec<Step> {
    let body = body.to_string();
    let bytes = Bytes::from(http1::whole(200, "application/json", &[("x-fake", "llm")], body.as_bytes()));
    let until = |end: usize| Step::Send(bytes.slice(..end));
    let head = bytes.len() - body.len();
    match fault {
        "hang-head" => vec![until(head), Step::Pause(FOREVER)],
        "cut-early" => vec![until(head), Step::Cut],
        "cut-late" => vec![until(head + body.len() / 2), Step::Cut],
        "garbage" => send(http1::whole(200, "application/json", &[], b"{\"id\": \"not whole")),
        "dribble" => (0..bytes.len()).map(|at| Step::Send(bytes.slice(at..=at))).collect(),
        "flood" => flood("application/json", b"{\"id\":\""),
        _ => vec![Step::Send(bytes)],
    }
}

fn flood(content_type: &str, start: &[u8]) -> Vec<Step> {
    let head = http1::head(200, content_type, &[("transfer-encoding", "chunked")]) + "\r\n";
    let chunk = http1::chunk(&[b'x'; 64 << 10]);
    vec![Step::Send(head.into()), Step::Send(http1::chunk(start).into()), Step::Flood(chunk.into(), 8 << 10), Step::Cut]
}

/// The SSE events of an answer, and how many come before the first content.
struct Events {
    list: Vec<String>,
    lead: usize,
}

impl Events {
    fn of(dialect: Dialect, asked: &Asked, body: &Value, fault: &str) -> Self {
        let model = body["model"].as_str().unwrap_or_default();
        let line_end = if fault == "crlf" { "\r\n" } else { "\n" };
        let space = if fault == "nospace" { "" } else { " " };
        let data = |text: &str| format!("data:{space}{text}{line_end}{line_end}");
        let named = |value: &Value| {
            let kind = value["type"].as_str().unwrap_or_default();
            format!("event:{space}{kind}{line_end}{}", data(&value.to_string()))
        };
        match dialect {
            Dialect::OpenAi => {
                let usage = at(body, "/stream_options/include_usage") == true;
                let chunks = openai::chunks(&script::answer(asked, openai_id), model, usage);
                let mut list: Vec<_> = chunks.iter().map(|chunk| data(&chunk.to_string())).collect();
                list.push(data("[DONE]"));
                Self { list, lead: 1 }
            }
            Dialect::Anthropic => {
                let mut events = anthropic::events(&script::answer(asked, anthropic_id), "msg_fake", model);
                events.insert(2, json!({"type": "ping"}));
                Self { list: events.iter().map(named).collect(), lead: 3 }
            }
        }
    }
}

fn stream(fault: &str, events: &Events, asked: &Asked, dialect: Dialect) -> Vec<Step> {
    if fault == "flood" {
        return flood("text/event-stream", b"data: {\"id\":\"");
    }
    let head =
        http1::head(200, "text/event-stream; charset=utf-8", &[("transfer-encoding", "chunked"), ("x-fake", "llm")])
            + "\r\n";
    let mut steps = vec![Step::Send(head.into())];
    let all = events.list.len();
    let (early, late) = (events.lead.min(all), (events.lead + 2).min(all));
    let error = || {
        let text = dialect.error("overloaded_error", "The fake upstream is overloaded.").to_string();
        let name = if dialect == Dialect::Anthropic { "event: error\n" } else { "" };
        format!("{name}data: {text}\n\n")
    };
    let (kept, extra, end) = match fault {
        "hang-head" => (0, None, Some(Step::Pause(FOREVER))),
        "hang-early" => (early, None, Some(Step::Pause(FOREVER))),
        "hang-late" => (late, None, Some(Step::Pause(FOREVER))),
        "cut-early" => (early, None, Some(Step::Cut)),
        "cut-late" => (late, None, Some(Step::Cut)),
        "end-late" => (late, None, None),
        "error-event" => (0, Some(error()), None),
        "error-early" => (early, Some(error()), None),
        "error-late" => (late, Some(error()), None),
        "garbage" => (early, Some("data: {\"id\": \"not whole\n\n".to_owned()), None),
        _ => (all, None, None),
    };
    let mut texts: Vec<String> = events.list.iter().take(kept).cloned().chain(extra).collect();
    if fault == "comments" {
        let ping = if dialect == Dialect::Anthropic { "event: ping\ndata: {\"type\": \"ping\"}\n\n" } else { "" };
        texts = texts.into_iter().map(|text| format!(": keep-alive\n\n{ping}{text}:\n\n")).collect();
    }
    steps.extend(texts_as_steps(fault, &texts, asked));
    match end {
        Some(end) => steps.push(end),
        None => steps.push(Step::Send(Bytes::from_static(b"0\r\n\r\n"))),
    }
    steps
}

fn texts_as_steps(fault: &str, texts: &[String], asked: &Asked) -> Vec<Step> {
    match fault {
        "dribble" => {
            let bytes = texts.iter().flat_map(|text| text.bytes());
            bytes.map(|byte| Step::Send(http1::chunk(&[byte]).into())).collect()
        }
        "one-write" => vec![Step::Send(http1::chunk(texts.concat().as_bytes()).into())],
        _ => {
            let mut sends: Vec<_> = texts.iter().map(|text| Step::Send(http1::chunk(text.as_bytes()).into())).collect();
            if asked.has("held") {
                sends.insert(script::BEFORE_THE_HOLD.min(sends.len()), Step::Hold);
            }
            sends
        }
    }
}
