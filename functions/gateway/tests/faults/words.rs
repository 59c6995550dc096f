//! What the upstreams say, in each of their voices: errors, whole answers, the beginning of a stream.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// OpenAI, chat completions.
    Chat,
    /// OpenAI, responses.
    Responses,
    /// Anthropic.
    Messages,
    /// Google.
    Gemini,
    /// Bedrock's Converse.
    Converse,
    /// Bedrock's InvokeModel with Claude.
    Invoke,
}
use Voice::{Chat, Converse, Gemini, Invoke, Messages, Responses};

impl Voice {
    /// By the path that was asked, in small letters.
    pub(crate) fn of(path: &str) -> Self {
        let end = path.rsplit('/').next().unwrap_or_default();
        match end {
            "messages" => Messages,
            "responses" => Responses,
            "converse" | "converse-stream" => Converse,
            "invoke" | "invoke-with-response-stream" => Invoke,
            _ if end.contains("generatecontent") => Gemini,
            _ => Chat,
        }
    }

    fn is_aws(self) -> bool {
        matches!(self, Converse | Invoke)
    }
}

/// The head of an answer.
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Header lines.
    pub(crate) lines: String,
}

pub(crate) fn content_type(voice: Voice, streamed: bool) -> &'static str {
    match (streamed, voice.is_aws()) {
        (false, _) => "application/json",
        (true, true) => "application/vnd.amazon.eventstream",
        (true, false) => "text/event-stream",
    }
}

/// The names of a status: OpenAI's type, Anthropic's type, Google's status, Bedrock's exception.
fn names(status: &str) -> [&'static str; 4] {
    const INVALID: &str = "invalid_request_error";
    match status {
        "401" => [INVALID, "authentication_error", "UNAUTHENTICATED", "UnrecognizedClientException"],
        "403" => ["request_forbidden", "permission_error", "PERMISSION_DENIED", "AccessDeniedException"],
        "404" => [INVALID, "not_found_error", "NOT_FOUND", "ResourceNotFoundException"],
        "408" => ["timeout", "timeout_error", "DEADLINE_EXCEEDED", "ModelTimeoutException"],
        "409" => [INVALID, "conflict_error", "ABORTED", "ConflictException"],
        "413" => [INVALID, "request_too_large", "INVALID_ARGUMENT", "RequestEntityTooLargeException"],
        "429-retry-after" => ["rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED", "ThrottlingException"],
        "500" => ["server_error", "api_error", "INTERNAL", "InternalServerException"],
        "503" | "529" => ["server_error", "overloaded_error", "UNAVAILABLE", "ServiceUnavailableException"],
        "504" => ["timeout", "timeout_error", "DEADLINE_EXCEEDED", "ModelTimeoutException"],
        _ => [INVALID, INVALID, "INVALID_ARGUMENT", "ValidationException"],
    }
}

/// An error, as this voice words it: further header lines and the body.
pub(crate) fn error(voice: Voice, status: &str, message: &str) -> (String, String) {
    let [openai, anthropic, google, aws] = names(status);
    let code: u16 = status.get(..3).and_then(|digits| digits.parse().ok()).unwrap();
    let body = match voice {
        Chat | Responses => json!({"error": {"message": message, "type": openai, "param": null, "code": null}}),
        Messages => {
            let error = json!({"type": anthropic, "message": message});
            json!({"type": "error", "error": error, "request_id": "req_up"})
        }
        Gemini => json!({"error": {"code": code, "message": message, "status": google}}),
        Converse | Invoke => json!({ "message": message }),
    };
    let lines = if voice.is_aws() { format!("x-amzn-errortype: {aws}\r\n") } else { String::new() };
    (lines, body.to_string())
}

/// An answer that is no 200. Where a voice has words of its own for a fault, or another status, it uses them.
pub(crate) fn refusal(voice: Voice, fault: &str) -> (Head, String) {
    let mut status: u16 = fault[..3].parse().unwrap();
    let code = |message: &str, kind: &str, code: &str| {
        let param = (code == "context_length_exceeded").then_some("messages");
        json!({"error": {"message": message, "type": kind, "param": param, "code": code}}).to_string()
    };
    let invalid = "invalid_request_error";
    let message = match (fault, voice) {
        ("400-context", Messages) => "prompt is too long: 210000 tokens > 200000 maximum",
        ("400-context", Gemini) => {
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
        }
        ("400-context", _) => "Input is too long for requested model.",
        ("401", _) => "Incorrect API key provided: sk-secret1234",
        ("403", _) => "not for arn:aws:iam::1:user/x",
        ("404", Messages) => "model: m",
        ("404", Gemini) => "models/m is not found for API version v1beta, or is not supported for generateContent.",
        ("404", _) => "Could not resolve the foundation model from the provided model identifier.",
        ("413", _) => "Request exceeds the maximum size",
        ("429-retry-after", _) => "slow down",
        ("429-quota", Messages) => "Your credit balance is too low to access the Anthropic API.",
        ("500", _) => "Internal error sk-secret1234",
        ("503" | "529", _) => "Overloaded",
        ("400" | "422", _) => "messages: wrong",
        _ => "later",
    };
    let (mut lines, mut body) = error(voice, fault, message);
    match (fault, voice) {
        ("400-context", Chat | Responses) => {
            body = code("This model's maximum context length is 128000 tokens.", invalid, "context_length_exceeded");
        }
        ("404", Chat | Responses) => body = code("The model `m` does not exist", invalid, "model_not_found"),
        ("429-retry-after", _) => lines += "retry-after: 7\r\n",
        ("429-quota", Chat | Responses) => {
            body = code("You exceeded your current quota", "insufficient_quota", "insufficient_quota");
        }
        // Anthropic and Bedrock say it with another status.
        ("429-quota", Messages) => status = 400,
        ("429-quota", Converse | Invoke) => {
            (status, lines) = (400, "x-amzn-errortype: ServiceQuotaExceededException\r\n".to_owned());
        }
        ("429-quota", Gemini) => body = google_quota(),
        _ => {}
    }
    (Head { status, lines: lines + "content-type: application/json\r\n" }, body)
}

/// A quota of a day, which does not come back in a minute.
fn google_quota() -> String {
    let violation = json!({"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"});
    let details = json!([{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}]);
    let message = "You exceeded your current quota, please check your plan and billing details.";
    json!({"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}).to_string()
}

/// The error of a 200, in its stream or instead of an answer.
pub(crate) fn error_inside(voice: Voice, streamed: bool) -> Vec<u8> {
    let (_, error) = error(voice, "503", "Overloaded");
    if !streamed {
        return error.into_bytes();
    }
    match voice {
        Chat | Gemini => format!("data: {error}\n\n").into_bytes(),
        Responses => format!("event: error\ndata: {}\n\n", error.replacen('{', "{\"type\":\"error\",", 1)).into_bytes(),
        Messages => format!("event: error\ndata: {error}\n\n").into_bytes(),
        Converse | Invoke => frame(":exception-type", "serviceUnavailableException", "exception", &error),
    }
}

/// A whole answer.
pub(crate) fn whole(voice: Voice) -> String {
    let answer = match voice {
        Chat => {
            let choice =
                json!({"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"});
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})
        }
        Responses => {
            let part = json!({"type": "output_text", "text": "Hi", "annotations": []});
            let item = json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]});
            json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [item]})
        }
        Messages | Invoke => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hi"}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1},
        }),
        Gemini => {
            let content = json!({"role": "model", "parts": [{"text": "Hi"}]});
            json!({"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "modelVersion": "m"})
        }
        Converse => json!({
            "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}}, "stopReason": "end_turn",
            "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, "metrics": {"latencyMs": 1},
        }),
    };
    answer.to_string()
}

/// What comes before the content, and the first content. Gemini has nothing before it.
pub(crate) fn beginning(voice: Voice) -> [Vec<u8>; 2] {
    let sse = |events: &[Value]| events.iter().map(|data| event(voice, data)).collect::<String>().into_bytes();
    match voice {
        Responses => {
            let response =
                json!({"id": "resp_1", "object": "response", "status": "in_progress", "model": "m", "output": []});
            let item =
                json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []});
            let created = json!({"type": "response.created", "sequence_number": 0, "response": response});
            let added =
                json!({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": item});
            let delta = json!({
                "type": "response.output_text.delta", "sequence_number": 2, "output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": "Hi",
            });
            [sse(&[created, added]), sse(&[delta])]
        }
        Messages => claude().map(|events| sse(&events)),
        Invoke => claude().map(|events| {
            let chunk = |data: &Value| {
                let payload = json!({"bytes": STANDARD.encode(data.to_string())}).to_string();
                frame(":event-type", "chunk", "event", &payload)
            };
            events.iter().flat_map(chunk).collect()
        }),
        Chat => {
            let chunk = |delta: Value| {
                let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
                json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})
            };
            [sse(&[chunk(json!({"role": "assistant", "content": ""}))]), sse(&[chunk(json!({"content": "Hi"}))])]
        }
        Gemini => {
            let content = json!({"role": "model", "parts": [{"text": "Hi"}]});
            [vec![], sse(&[json!({"candidates": [{"content": content, "index": 0}], "modelVersion": "m"})])]
        }
        Converse => {
            let start = frame(":event-type", "messageStart", "event", r#"{"role":"assistant"}"#);
            let delta = json!({"contentBlockIndex": 0, "delta": {"text": "Hi"}}).to_string();
            [start, frame(":event-type", "contentBlockDelta", "event", &delta)]
        }
    }
}

/// Claude's events before the content, and the first content.
fn claude() -> [Vec<Value>; 2] {
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    });
    let start = json!({"type": "message_start", "message": message});
    let block = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let delta = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}});
    [vec![start, block], vec![delta]]
}

/// One event; OpenAI's chat and Google's have no name.
fn event(voice: Voice, data: &Value) -> String {
    match voice {
        Messages | Responses => format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()),
        _ => format!("data: {data}\n\n"),
    }
}

fn frame(header: &'static str, name: &str, kind: &str, payload: &str) -> Vec<u8> {
    let text = |name, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let headers = vec![text(header, name), text(":content-type", "application/json"), text(":message-type", kind)];
    let mut out = Vec::new();
    write_message_to(&Message::new_from_parts(headers, payload.as_bytes().to_vec()), &mut out).unwrap();
    out
}
