//! OTLP/HTTP logs, <https://opentelemetry.io/docs/specs/otlp/#otlphttp>: protobuf or JSON, gzip or not. Each record with `gen_ai.usage.*` is a usage
//! report; the others are taken and forgotten.
//!
//! The answer is in the form of the request. Records that cannot be booked ever are counted in `partialSuccess`; when the ledger does not answer it is
//! 503, and the sender comes again with the same batch.

mod json;
mod proto;

use std::time::SystemTime;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Request, StatusCode};
use prost::Message;
use serde_json::json;
use tollgate_hooks::App;
use tollgate_hooks::caller::Credentials;
use tollgate_hooks::decision::Denied;
use tollgate_hooks::service::read;

use crate::attributes::{self, Attributes};
use crate::gunzip::gunzip;
use crate::report::{Booked, book};

/// One log record.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Record {
    attributes: Attributes,
    /// Trace and span, if it has them.
    id: Option<String>,
}

/// How a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

impl Form {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        match value.split(';').next()?.trim() {
            "application/x-protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// One batch.
pub async fn entry(app: App, request: Request<Body>) -> Response {
    let form = Form::of(request.headers());
    let outcome = taken(&app, request, form).await;
    let form = form.unwrap_or(Form::Json);
    match outcome {
        Ok(booked) if booked.failed.is_empty() => done(form, &booked),
        Ok(_) => failed(form, &Denied::new(StatusCode::SERVICE_UNAVAILABLE, "the ledger does not answer right now")),
        Err(denied) => {
            denied.log();
            failed(form, &denied)
        }
    }
}

async fn taken(app: &App, request: Request<Body>, form: Option<Form>) -> Result<Booked, Denied> {
    let (headers, by_iam, body) = read(app, request).await?;
    let now = SystemTime::now();
    app.may_settle(Credentials { headers: &headers, by_iam }, now).await?;
    let form = form.ok_or_else(|| {
        Denied::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/x-protobuf or application/json")
    })?;
    let records = decoded(form, plain(&headers, body)?)?;
    let (mut reports, mut rejected) = (Vec::new(), Booked::default());
    for Record { attributes, id } in records {
        match attributes::report(app, &attributes, id.clone()) {
            None => {}
            Some(Ok(report)) => reports.push(report),
            Some(Err(reason)) => rejected.reject(id.unwrap_or_default(), reason),
        }
    }
    let booked = book(app, reports, now).await;
    Ok(Booked { rejected: rejected.rejected, ..booked })
}

fn plain(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Denied> {
    match headers.get(CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(body),
        Some(b"gzip") => {
            let plain = gunzip(&body).map(Bytes::from);
            plain.map_err(|problem| Denied::new(StatusCode::BAD_REQUEST, format!("the body: {problem}")))
        }
        Some(_) => Err(Denied::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the body plain or with gzip")),
    }
}

fn decoded(form: Form, body: Bytes) -> Result<Vec<Record>, Denied> {
    let bad = |error: String| Denied::new(StatusCode::BAD_REQUEST, format!("not a batch of OTLP logs: {error}"));
    match form {
        Form::Protobuf => proto::records(body).map_err(|error| bad(error.to_string())),
        Form::Json => json::records(&body).map_err(|error| bad(error.to_string())),
    }
}

fn done(form: Form, booked: &Booked) -> Response {
    let rejected = i64::try_from(booked.rejected.len()).unwrap_or(i64::MAX);
    let reason = booked.rejected.first().map(|(_, reason)| reason.clone()).unwrap_or_default();
    let body = match form {
        Form::Protobuf => proto::response(rejected, reason).encode_to_vec(),
        Form::Json if rejected == 0 => b"{}".to_vec(),
        // Protobuf's JSON writes 64 bits as a text.
        Form::Json => {
            let partial = json!({"rejectedLogRecords": rejected.to_string(), "errorMessage": reason});
            json!({"partialSuccess": partial}).to_string().into_bytes()
        }
    };
    (StatusCode::OK, [(CONTENT_TYPE, form.content_type())], body).into_response()
}

/// A `google.rpc.Status`, as the protocol asks for.
fn failed(form: Form, denied: &Denied) -> Response {
    // https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
    let code = match denied.status.as_u16() {
        401 => 16,
        403 => 7,
        503 => 14,
        _ => 3,
    };
    let body = match form {
        Form::Protobuf => proto::Status { code, message: denied.reason.clone() }.encode_to_vec(),
        Form::Json => json!({"code": code, "message": denied.reason}).to_string().into_bytes(),
    };
    let mut response = (denied.status, [(CONTENT_TYPE, form.content_type())], body).into_response();
    if denied.status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, http::HeaderValue::from_static("5"));
    }
    response
}
