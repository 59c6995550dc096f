//! Upstreams that fail, each in its own way: the first part of the path says how.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate_wire::codec::Dialect;

/// Does it help to try again?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Later, or elsewhere.
    Transient,
    /// Not without a change.
    Permanent,
}
use Nature::{Permanent, Transient};

/// All faults that an upstream can show.
pub(crate) const FAULTS: &[(&str, Nature)] = &[
    ("400", Permanent),
    ("400-context", Permanent),
    ("401", Permanent),
    ("403", Permanent),
    ("404", Permanent),
    ("408", Transient),
    ("409", Transient),
    ("413", Permanent),
    ("422", Permanent),
    ("429-retry-after", Transient),
    ("429-quota", Permanent),
    ("500", Transient),
    ("502-html", Transient),
    ("503", Transient),
    ("504", Transient),
    ("529", Transient),
    ("200-garbage", Transient),
    ("200-error", Transient),
    ("302", Transient),
    ("refused", Transient),
    ("cut-before-head", Transient),
    ("hang", Transient),
    ("json-for-sse", Transient),
    ("error-first", Transient),
    ("cut-before-content", Transient),
    ("end-before-content", Transient),
    ("cut-after-content", Transient),
    ("end-after-content", Transient),
    ("garbage-after-content", Transient),
    ("error-after-content", Transient),
    ("idle-after-content", Transient),
];

/// Starts it: `http://ADDRESS`, and an address where nothing listens.
pub(crate) async fn start() -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _: Option<()> = serve(stream).await;
            });
        }
    });
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    (base, format!("http://{closed}"))
}

async fn serve(mut stream: TcpStream) -> Option<()> {
    let (path, body) = read(&mut stream).await?;
    let fault = path.trim_start_matches('/').split('/').next()?.to_owned();
    let dialect = match path.rsplit('/').next() {
        Some("messages") => Dialect::Messages,
        Some("responses") => Dialect::Responses,
        _ => Dialect::Chat,
    };
    let anthropic = dialect == Dialect::Messages;
    let streamed = body["stream"] == true;
    match fault.as_str() {
        "cut-before-head" => return None,
        "hang" => std::future::pending::<()>().await,
        "302" => {
            let head = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok()?;
        }
        "502-html" => {
            answer(&mut stream, 502, "content-type: text/html\r\n", "<html><h1>Bad gateway</h1></html>").await?;
        }
        "200-garbage" | "json-for-sse" => {
            let text = if fault == "200-garbage" { "<html>hello</html>".to_owned() } else { whole(dialect) };
            let kind = if fault == "200-garbage" && streamed { "text/event-stream" } else { "application/json" };
            answer(&mut stream, 200, &format!("content-type: {kind}\r\n"), &text).await?;
        }
        "200-error" => {
            let body = error(anthropic, "server_error", "api_error", "it broke");
            answer(&mut stream, 200, "content-type: application/json\r\n", &body).await?;
        }
        status if status.starts_with(|c: char| c.is_ascii_digit()) => {
            status_fault(&mut stream, status, anthropic).await?
        }
        cut => stream_fault(&mut stream, cut, dialect, streamed).await?,
    }
    stream.shutdown().await.ok()
}

async fn read(stream: &mut TcpStream) -> Option<(String, Value)> {
    let mut bytes = Vec::new();
    let end = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?.to_ascii_lowercase();
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse().ok()?;
    while bytes.len() < end + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    let path = head.split(' ').nth(1)?.to_owned();
    Some((path, serde_json::from_slice(&bytes[end..end + length]).ok()?))
}

async fn answer(stream: &mut TcpStream, status: u16, headers: &str, body: &str) -> Option<()> {
    let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).await.ok()
}

fn error(anthropic: bool, openai_type: &str, anthropic_type: &str, message: &str) -> String {
    if anthropic {
        let error = json!({"type": anthropic_type, "message": message});
        return json!({"type": "error", "error": error, "request_id": "req_up"}).to_string();
    }
    json!({"error": {"message": message, "type": openai_type, "param": null, "code": null}}).to_string()
}

async fn status_fault(stream: &mut TcpStream, fault: &str, anthropic: bool) -> Option<()> {
    let status: u16 = fault.get(..3)?.parse().ok()?;
    let invalid = "invalid_request_error";
    let mut headers = "content-type: application/json\r\n".to_owned();
    let body = match fault {
        "400-context" if anthropic => error(true, "", invalid, "prompt is too long: 210000 tokens > 200000 maximum"),
        "400-context" => json!({"error": {
            "message": "This model's maximum context length is 128000 tokens.", "type": invalid, "param": "messages", "code": "context_length_exceeded"
        }}).to_string(),
        "401" => error(anthropic, invalid, "authentication_error", "Incorrect API key provided: sk-secret1234"),
        "403" => error(anthropic, "request_forbidden", "permission_error", "not for arn:aws:iam::1:user/x"),
        "404" if !anthropic => json!({"error": {
            "message": "The model `m` does not exist", "type": invalid, "param": null, "code": "model_not_found"
        }}).to_string(),
        "404" => error(true, "", "not_found_error", "model: m"),
        "413" => error(anthropic, invalid, "request_too_large", "Request exceeds the maximum size"),
        "429-retry-after" => {
            headers += "retry-after: 7\r\n";
            error(anthropic, "rate_limit_error", "rate_limit_error", "slow down")
        }
        "429-quota" if !anthropic => json!({"error": {
            "message": "You exceeded your current quota", "type": "insufficient_quota", "param": null, "code": "insufficient_quota"
        }}).to_string(),
        // Anthropic says it with another status.
        "429-quota" => {
            let body = error(true, "", invalid, "Your credit balance is too low to access the Anthropic API.");
            return answer(stream, 400, &headers, &body).await;
        }
        "504" => error(anthropic, "timeout", "timeout_error", "too late"),
        "529" | "503" => error(anthropic, "server_error", "overloaded_error", "Overloaded"),
        "409" => error(anthropic, invalid, "conflict_error", "locked"),
        "408" => error(anthropic, "timeout", "timeout_error", "slow"),
        "500" => error(anthropic, "server_error", "api_error", "Internal error sk-secret1234"),
        _ => error(anthropic, invalid, invalid, "messages: wrong"),
    };
    answer(stream, status, &headers, &body).await
}

fn whole(dialect: Dialect) -> String {
    if dialect == Dialect::Responses {
        let part = json!({"type": "output_text", "text": "Hi", "annotations": []});
        let item =
            json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]});
        return json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [item]})
            .to_string();
    }
    if dialect == Dialect::Messages {
        return json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hi"}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1},
        })
        .to_string();
    }
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"});
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}).to_string()
}

/// What comes before the content, and the first content.
fn beginning(dialect: Dialect) -> [String; 2] {
    if dialect == Dialect::Responses {
        let response =
            json!({"id": "resp_1", "object": "response", "status": "in_progress", "model": "m", "output": []});
        let created = json!({"type": "response.created", "sequence_number": 0, "response": response});
        let item =
            json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []});
        let added =
            json!({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": item});
        let delta = json!({
            "type": "response.output_text.delta", "sequence_number": 2, "output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": "Hi",
        });
        let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
        return [event(created) + &event(added), event(delta)];
    }
    if dialect == Dialect::Messages {
        let start = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#;
        let block = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
        let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#;
        return [
            format!("event: message_start\ndata: {start}\n\nevent: content_block_start\ndata: {block}\n\n"),
            format!("event: content_block_delta\ndata: {delta}\n\n"),
        ];
    }
    let chunk = |delta: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        let chunk =
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
        format!("data: {chunk}\n\n")
    };
    [chunk(json!({"role": "assistant", "content": ""})), chunk(json!({"content": "Hi"}))]
}

/// For a whole answer the same: cut in the middle, ended too early, broken, silent.
async fn stream_fault(stream: &mut TcpStream, fault: &str, dialect: Dialect, streamed: bool) -> Option<()> {
    let kind = if streamed { "text/event-stream" } else { "application/json" };
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let [before, content] = if streamed {
        beginning(dialect)
    } else {
        let text = whole(dialect);
        let (before, content) = text.split_at(20);
        [before.to_owned(), content[..content.len() - 30].to_owned()]
    };
    if fault == "error-first" || fault == "error-after-content" {
        if fault == "error-after-content" {
            chunk(stream, &(before + &content)).await?;
        }
        let error = error(dialect == Dialect::Messages, "server_error", "overloaded_error", "Overloaded");
        let error = if dialect == Dialect::Responses { error.replacen('{', "{\"type\":\"error\",", 1) } else { error };
        let name = if dialect == Dialect::Chat { "" } else { "event: error\n" };
        chunk(stream, &if streamed { format!("{name}data: {error}\n\n") } else { error }).await?;
        return stream.write_all(b"0\r\n\r\n").await.ok();
    }
    chunk(stream, &before).await?;
    match fault {
        "cut-before-content" => return Some(()),
        "end-before-content" => return stream.write_all(b"0\r\n\r\n").await.ok(),
        _ => chunk(stream, &content).await?,
    }
    match fault {
        "end-after-content" => stream.write_all(b"0\r\n\r\n").await.ok(),
        "garbage-after-content" => {
            chunk(stream, "data: {\"choices\":[{\"delta\n\n").await?;
            stream.write_all(b"0\r\n\r\n").await.ok()
        }
        "idle-after-content" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            None
        }
        _ => Some(()),
    }
}

async fn chunk(stream: &mut TcpStream, text: &str) -> Option<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await.ok()
}
