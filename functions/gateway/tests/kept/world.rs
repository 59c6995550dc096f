//! A table, upstreams that do as their path says, and clients of two teams.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tollgate_config::{LedgerTable, Responses};
use tollgate_limits::KeptTable;
use tower::ServiceExt;

use super::support::{ISSUER_OF_THE_RUN, SCOPE, events_of, gateway, json_of, token};

pub(crate) const PATH: &str = "/v1/responses";
pub(crate) const SIGNATURE: &str = "EqQBCgIYAhIM";

/// What upstreams were sent, in order.
pub(crate) type Journal = Arc<Mutex<Vec<Value>>>;

/// One gateway with its table.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) journal: Journal,
    pub(crate) endpoint: String,
}

impl World {
    /// `chain`: the upstreams' behaviours, one group each. `more`: further blocks; those of `ai` first.
    pub(crate) async fn new(chain: &[&str], more: &str) -> Self {
        let endpoint = table().await;
        let journal = Journal::default();
        let router = router(chain, &endpoint, more, &journal).await;
        Self { router, journal, endpoint }
    }

    /// Another gateway on the same table.
    pub(crate) async fn restarted(&self, chain: &[&str], more: &str) -> Self {
        let router = router(chain, &self.endpoint, more, &self.journal).await;
        Self { router, journal: Arc::clone(&self.journal), endpoint: self.endpoint.clone() }
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.ask_as("search", method, path, body).await
    }

    pub(crate) async fn ask_as(&self, team: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let token = if team == "search" { token() } else { ISSUER_OF_THE_RUN.token_of(team, SCOPE) };
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {token}"));
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let (parts, body) = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        if parts.headers["content-type"].as_bytes().starts_with(b"text/event-stream") {
            let (_, data) = events_of(&text).pop().unwrap();
            return (parts.status.as_u16(), json_of(data)["response"].clone());
        }
        (parts.status.as_u16(), json_of(&text))
    }

    /// A response, or the last one of a stream.
    pub(crate) async fn respond(&self, stream: bool, mut body: Value) -> Value {
        body["model"] = "any".into();
        body["stream"] = stream.into();
        let (status, response) = self.ask("POST", PATH, Some(&body)).await;
        assert_eq!(status, 200, "{response}");
        response
    }

    pub(crate) async fn get(&self, id: &str) -> (u16, Value) {
        self.ask("GET", &format!("{PATH}/{id}"), None).await
    }

    /// What the last upstream was sent.
    pub(crate) fn sent(&self) -> Value {
        self.journal.lock().unwrap().last().unwrap().clone()
    }
}

/// The id of a response.
pub(crate) fn id(response: &Value) -> String {
    response["id"].as_str().unwrap().to_owned()
}

/// A new table.
async fn table() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    let state = LedgerTable { endpoint: Some(endpoint.clone()), ..LedgerTable::default() };
    let settings = Responses { state: Some(state), ..Responses::default() };
    let aws = tollgate_upstream::Aws::standalone().unwrap();
    KeptTable::new(&settings, aws.source(true)).unwrap().create_table().await.unwrap();
    endpoint
}

async fn router(chain: &[&str], endpoint: &str, more: &str, journal: &Journal) -> Router {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let journal = Arc::clone(journal);
    let upstream = Router::new().fallback(move |request: Request| behave(request, Arc::clone(&journal)));
    tokio::spawn(async move { axum::serve(listener, upstream).await });
    let groups: String = chain
        .iter()
        .enumerate()
        .map(|(index, behaviour)| {
            let format = if behaviour.starts_with("messages") { "messages" } else { "responses" };
            format!(
                "  - providers: [{{name: p{index}, baseUrl: 'http://{address}/{behaviour}', provider: {{custom: {{model: claude-sonnet-4-5, formats: [{{type: \
                 {format}}}]}}}}}}]\n"
            )
        })
        .collect();
    let responses = match endpoint {
        "" => String::new(),
        endpoint => format!("responses: {{timeoutMs: 60000, state: {{endpoint: '{endpoint}'}}}}\n"),
    };
    gateway(&format!("ai:\n  groups:\n{groups}{more}{responses}"))
}

/// The first segment of the path says what to do.
async fn behave(request: Request, journal: Journal) -> Response {
    let path = request.uri().path().to_owned();
    let behaviour = path.split('/').nth(1).unwrap().to_owned();
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    journal.lock().unwrap().push(body.clone());
    match behaviour.as_str() {
        "messages" => answered(&body, claude(&body)),
        "native" => json_answer(
            200,
            json!({"id": "resp_native", "object": "response", "status": "completed", "output": [], "store": true}),
        ),
        _ => {
            json_answer(503, json!({"error": {"message": "down", "type": "server_error", "param": null, "code": null}}))
        }
    }
}

/// A call of the first tool with a thought before it; when its result is there, or there is no tool, a text that says how much it was told.
fn claude(body: &Value) -> Vec<Value> {
    let messages = body["messages"].as_array().unwrap();
    let last = messages.last().unwrap()["content"].clone();
    let told = last.as_array().is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "tool_result"));
    match body["tools"][0]["name"].as_str() {
        Some(name) if !told => vec![
            json!({"type": "thinking", "thinking": "hm", "signature": SIGNATURE}),
            json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": {"city": "Paris"}}),
        ],
        _ => vec![json!({"type": "text", "text": format!("{} messages", messages.len())})],
    }
}

fn answered(body: &Value, blocks: Vec<Value>) -> Response {
    let calls = blocks.iter().any(|block| block["type"] == "tool_use");
    let stop = if calls { "tool_use" } else { "end_turn" };
    let usage = json!({"input_tokens": 3, "output_tokens": 2});
    let mut message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": null, "usage": usage});
    if body["stream"] != true {
        message["content"] = blocks.into();
        message["stop_reason"] = stop.into();
        return json_answer(200, message);
    }
    let mut events = vec![json!({"type": "message_start", "message": message})];
    for (index, block) in blocks.into_iter().enumerate() {
        let mut begun = block.clone();
        let deltas = match block["type"].as_str().unwrap() {
            "thinking" => {
                (begun["thinking"], begun["signature"]) = ("".into(), "".into());
                vec![
                    json!({"type": "thinking_delta", "thinking": block["thinking"]}),
                    json!({"type": "signature_delta", "signature": block["signature"]}),
                ]
            }
            "tool_use" => {
                begun["input"] = json!({});
                vec![json!({"type": "input_json_delta", "partial_json": block["input"].to_string()})]
            }
            _ => {
                begun["text"] = "".into();
                vec![json!({"type": "text_delta", "text": block["text"]})]
            }
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": begun}));
        events.extend(
            deltas.into_iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events
        .push(json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null}, "usage": usage}));
    events.push(json!({"type": "message_stop"}));
    let text: String =
        events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).collect();
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    response
}

fn json_answer(status: u16, body: Value) -> Response {
    let response = http::Response::builder().status(status).header("content-type", "application/json");
    response.body(Body::from(body.to_string())).unwrap()
}
