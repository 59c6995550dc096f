//! A hook that is a Lambda function, invoked by its ARN: a signed POST to the Lambda API, so that the SDK's Lambda client stays out of the binary.
//!
//! The function gets the event of a function URL (API Gateway's payload 2.0), so any function that serves HTTP serves this; it answers as one does
//! (`{"statusCode","headers","body"}`), or with the bare `{"action":...}`.

use std::time::SystemTime;

use aws_sigv4::http_request::SigningSettings;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use percent_encoding::utf8_percent_encode;
use serde_json::{Map, Value, json};
use tollgate_config::LambdaArn;
use tollgate_upstream::Aws;
use tollgate_upstream::signer::{Call, Signer, UNRESERVED};
use tollgate_wire::json;

use super::hook::{Answer, Failure, read, send};

/// Set when the function itself failed.
const X_FUNCTION_ERROR: &str = "x-amz-function-error";

/// One function.
#[derive(Debug)]
pub(super) struct Function {
    client: reqwest::Client,
    signer: Signer,
    url: String,
    region: String,
    path: String,
}

impl Function {
    pub(super) fn new(arn: &LambdaArn, path: String, client: reqwest::Client, aws: Aws) -> Self {
        Self::at(&arn.endpoint(), arn, path, client, aws)
    }

    fn at(endpoint: &str, arn: &LambdaArn, path: String, client: reqwest::Client, aws: Aws) -> Self {
        let name = utf8_percent_encode(arn.as_str(), UNRESERVED);
        let url = format!("{endpoint}/2015-03-31/functions/{name}/invocations");
        Self { client, signer: Signer::new(aws), url, region: arn.region().to_owned(), path }
    }

    /// Loads the AWS configuration, which parses all root certificates: not on a thread that has to ask Lambda for work.
    pub(super) fn warm(&self) {
        let (aws, runtime) = (self.signer.aws().clone(), tokio::runtime::Handle::current());
        tokio::task::spawn_blocking(move || {
            runtime.block_on(aws.config());
        });
    }

    /// Invokes it, and waits for its answer.
    pub(super) async fn invoke(&self, headers: &HeaderMap, body: &str, request_id: &str) -> Result<Answer, Failure> {
        let payload = event(&self.path, headers, body, request_id).to_string();
        let signed = self.signed(&payload, SystemTime::now()).await?;
        let response = send(|| self.client.post(&self.url).headers(signed.clone()).body(payload.clone())).await?;
        let status = response.status();
        let function_failed = response.headers().contains_key(X_FUNCTION_ERROR);
        let body = read(response).await?;
        if status == http::StatusCode::PAYLOAD_TOO_LARGE {
            // A client must not get past a guard with a prompt that is too long for it.
            return Err(Failure::decided("the conversation is larger than what a function can be invoked with"));
        }
        if status != http::StatusCode::OK {
            return Err(Failure::down(format!("the Lambda API answered with status {}", status.as_u16())));
        }
        if function_failed {
            return Err(Failure::down("the function failed"));
        }
        answer(body)
    }

    async fn signed(&self, payload: &str, now: SystemTime) -> Result<HeaderMap, Failure> {
        let call = Call {
            method: "POST",
            url: &self.url,
            service: "lambda",
            region: &self.region,
            headers: &[("content-type", "application/json")],
            body: payload.as_bytes(),
        };
        self.signer.headers(&call, SigningSettings::default(), now).await.map_err(Failure::down)
    }
}

/// A function URL's event: <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads>.
fn event(path: &str, headers: &HeaderMap, body: &str, request_id: &str) -> Value {
    let mut map = Map::new();
    for name in headers.keys() {
        let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        map.insert(name.to_string(), values.join(",").into());
    }
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": map,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "tollgate",
            "domainName": "tollgate.internal",
            "domainPrefix": "tollgate",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": concat!("tollgate/", env!("CARGO_PKG_VERSION")),
            },
            "requestId": request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/1970:00:00:00 +0000",
            "timeEpoch": 0,
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// A function's result as an HTTP answer.
fn answer(result: Vec<u8>) -> Result<Answer, Failure> {
    let value: Value = match json::read(&result) {
        Ok(value) => value,
        Err(_) => return Err(Failure::down("the function's result is not JSON")),
    };
    let Some(status) = value.get("statusCode") else { return Ok((200, result)) };
    let status = status.as_u64().and_then(|status| u16::try_from(status).ok());
    let status = status.ok_or_else(|| Failure::down("the function's `statusCode` is no status"))?;
    let body = match value.get("body") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) if value.get("isBase64Encoded") == Some(&Value::Bool(true)) => {
            STANDARD.decode(text).map_err(|_| Failure::down("the function's `body` is not base64"))?
        }
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(_) => return Err(Failure::down("the function's `body` is not a text")),
    };
    Ok((status, body))
}

#[cfg(test)]
mod tests;
