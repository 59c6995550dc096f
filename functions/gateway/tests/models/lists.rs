//! Providers whose lists are as their path says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::support::{gateway, json_of, token};

struct World {
    router: Router,
    asked: Arc<AtomicUsize>,
}

async fn world(listed: bool) -> World {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let upstream = Router::new().fallback(move |request: Request| {
        let counter = Arc::clone(&counter);
        async move {
            counter.fetch_add(1, Ordering::SeqCst);
            let body = match request.uri().to_string().as_str() {
                "/openai/v1/models" => json!({"object": "list", "data": [{"id": "gpt-new", "object": "model"}, {"id": "claude-elsewhere"}]}),
                "/anthropic/v1/models?limit=1000" => json!({"data": [{"type": "model", "id": "claude-new"}, {"type": "model", "id": "gpt-not-there"}], "has_more": false}),
                other => json!({"error": {"message": other}}),
            };
            Response::new(Body::from(body.to_string()))
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, upstream).await });
    let entry = |name: &str, provider: &str| {
        format!(
            "{{name: {name}, baseUrl: 'http://{at}/{name}', provider: {provider}, policies: {{backendAuth: {{key: '$PATH'}}}}}}"
        )
    };
    let router = gateway(&format!(
        "ai:\n  listUpstreamModels: {listed}\n  modelAliases: {{ours: gpt-new}}\n  groups: [{{providers: [{}, {}, {}]}}]\n  models: [{{match: ['claude*'], groups: \
         [{{providers: [{}]}}]}}]\n",
        entry("openai", "{openAI: {}}"),
        entry("broken", "{custom: {}}"),
        entry("pinned", "{custom: {model: pin}}"),
        entry("anthropic", "{anthropic: {}}"),
    ));
    World { router, asked }
}

impl World {
    async fn get(&self, path: &str) -> (u16, Value) {
        let request = http::Request::get(path).header("authorization", format!("Bearer {}", token()));
        let (parts, body) =
            self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), json_of(std::str::from_utf8(&body).unwrap()))
    }

    async fn names(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (_, body) = self.get("/v1/models").await;
        body["data"].as_array().unwrap().iter().map(|model| (text(&model["id"]), text(&model["owned_by"]))).collect()
    }
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, owner)| ((*name).to_owned(), (*owner).to_owned())).collect()
}

#[tokio::test]
async fn what_the_providers_list_is_added_where_a_client_reaches_it() {
    let world = world(true).await;
    let expected = owned(&[("ours", "openAI"), ("pin", "custom"), ("gpt-new", "openAI"), ("claude-new", "anthropic")]);
    assert_eq!(world.names().await, expected, "neither provider is asked for what is another's");
    assert_eq!(world.get("/v1/models/claude-new").await.0, 200);
    assert_eq!(world.get("/v1/models/claude-elsewhere").await.0, 404);
}

#[tokio::test]
async fn a_list_is_kept() {
    let world = world(true).await;
    let (first, second) = tokio::join!(world.names(), world.names());
    assert_eq!(first, second);
    assert_eq!(world.asked.load(Ordering::SeqCst), 3, "each of the three that may say something once");
}

#[tokio::test]
async fn without_the_setting_nobody_is_asked() {
    let world = world(false).await;
    assert_eq!(world.names().await, owned(&[("ours", "openAI"), ("pin", "custom")]));
    assert_eq!(world.asked.load(Ordering::SeqCst), 0);
}
