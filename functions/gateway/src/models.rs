//! `GET /v1/models` and `GET /v1/models/{id}`, in OpenAI's shape (<https://platform.openai.com/docs/api-reference/models>), Anthropic's
//! (<https://docs.anthropic.com/en/api/models-list>) or Google's (<https://ai.google.dev/api/models>).

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tollgate_config::ModelName;
use tollgate_wire::codec::Dialect;
use tollgate_wire::ir::{Fault, FaultKind};

use crate::app::App;

/// All models that the configuration names, and, where it says so, those that the providers list.
pub async fn list(app: &App, client: Dialect) -> Response {
    let listed = listed(app).await;
    let names = names(app, &listed);
    let data: Vec<Value> = names.iter().map(|model| entry(app, client, model)).collect();
    let body = match client {
        Dialect::Messages => json!({
            "data": data,
            "has_more": false,
            "first_id": names.first().map(|model| model.name),
            "last_id": names.last().map(|model| model.name),
        }),
        Dialect::GenerateContent => json!({ "models": data }),
        _ => json!({"object": "list", "data": data}),
    };
    response(&body)
}

async fn listed(app: &App) -> Vec<(String, String)> {
    if app.config.ai.list_upstream_models { app.chains.listed_models().await } else { Vec::new() }
}

/// The configuration's names first; each once.
fn names<'a>(app: &'a App, listed: &'a [(String, String)]) -> Vec<ModelName<'a>> {
    let mut names = app.config.model_names();
    for (name, owner) in listed {
        if names.iter().all(|known| known.name != name) {
            names.push(ModelName { name, owner });
        }
    }
    names
}

/// One of them.
pub async fn one(app: &App, client: Dialect, id: &str) -> Result<Response, Fault> {
    let id = percent_decoded(id);
    let listed = listed(app).await;
    let found = names(app, &listed).into_iter().find(|model| model.name == id);
    let model = found.ok_or_else(|| {
        let shown: String = id.chars().filter(|c| !c.is_control()).take(128).collect();
        Fault::new(
            FaultKind::NotFound,
            format!("the configuration names no model `{shown}`; GET /v1/models lists what it names"),
        )
        .with_param("model")
        .with_code("model_not_found")
    })?;
    Ok(response(&entry(app, client, &model)))
}

fn entry(app: &App, client: Dialect, model: &ModelName<'_>) -> Value {
    match client {
        Dialect::Messages => {
            let started = DateTime::from_secs(i64::try_from(app.started_unix_s).unwrap_or(0));
            let created_at = started.fmt(Format::DateTime).unwrap_or_default();
            json!({"type": "model", "id": model.name, "display_name": model.name, "created_at": created_at})
        }
        Dialect::GenerateContent => json!({
            "name": format!("models/{}", model.name),
            "displayName": model.name,
            "supportedGenerationMethods": ["generateContent", "streamGenerateContent"],
        }),
        _ => {
            json!({"id": model.name, "object": "model", "created": app.started_unix_s, "owned_by": model.owner})
        }
    }
}

fn response(body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An SDK may escape the `:` and `/` of a Bedrock id.
fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
