//! What `realtime` is in a build without it: the Lambda build.

use std::sync::Arc;

use axum::response::Response;
use http::HeaderMap;
use http::request::Parts;
use tollgate_auth::Identity;
use tollgate_wire::codec::Dialect;

use crate::app::App;
use crate::books::Books;
use crate::pipeline::{no_websocket, refuse};

/// Tokens among subprotocols are for WebSockets.
pub fn token(_: &HeaderMap) -> Option<&str> {
    None
}

/// Says who serves it.
pub async fn respond(
    _: &App,
    _: &Parts,
    client: Dialect,
    request_id: &str,
    books: Books,
    _: &Arc<Identity>,
) -> Response {
    refuse(books, &no_websocket(), client, request_id).await
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::record::Recorder;

    #[tokio::test]
    async fn a_session_is_refused_by_an_error_that_names_who_serves_it() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let yaml = "ai: {groups: [{providers: [{name: a, provider: {openAI: {}}}]}]}";
        let app = App::new(tollgate_config::parse(yaml, "test").unwrap()).unwrap();
        let request = http::Request::get("/v1/realtime?model=gpt-realtime").header("upgrade", "websocket");
        let parts = request.body(()).unwrap().into_parts().0;
        let identity = Arc::new(Identity {
            issuer: "i".into(),
            subject: "s".to_owned(),
            client_id: None,
            team: "t".to_owned(),
            tier: "standard".to_owned(),
            scopes: Vec::new(),
            token_id: None,
            not_before: None,
            expires_at: SystemTime::now(),
        });
        let books = Books::open(&Recorder::default(), "r", "realtime", &parts.method, "/v1/realtime");
        let answer = respond(&app, &parts, Dialect::Chat, "req-1", books, &identity).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (501, &"application/json".parse().unwrap())
        );
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let error = &serde_json::from_slice::<serde_json::Value>(&body).unwrap()["error"];
        assert_eq!(error["code"], "websocket_not_supported");
        assert!(error["message"].as_str().unwrap().contains("native server"), "{error}");
        assert_eq!(token(&parts.headers), None);
    }
}
