//! The AWS SDK on our HTTP client: one HTTP stack in the binary, and one reading of the system's roots.
//!
//! The connect timeout is the client's own. The read timeout of a call (its time to the head of the answer, connecting included) is kept here: the SDK
//! asks for one where it looks for credentials on addresses that may not exist.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::retry::ErrorKind;

/// Our client, for the SDK.
#[derive(Debug, Clone)]
pub(crate) struct SdkClient(pub(crate) reqwest::Client);

impl HttpClient for SdkClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector { client: self.0.clone(), read_timeout: settings.read_timeout() })
    }
}

#[derive(Debug)]
struct Connector {
    client: reqwest::Client,
    read_timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, limit) = (self.client.clone(), self.read_timeout.unwrap_or(Duration::MAX));
        HttpConnectorFuture::new(async move {
            let head = async { client.execute(ours(request).await?).await.map_err(of_call) };
            let response =
                tokio::time::timeout(limit, head).await.map_err(|late| ConnectorError::timeout(late.into()))?;
            let response = http::Response::<reqwest::Body>::from(response?);
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}

/// The SDK's request as our client's. Its bodies are in memory; a copy is not made.
async fn ours(request: HttpRequest) -> Result<reqwest::Request, ConnectorError> {
    let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
    let (head, body) = request.into_parts();
    let body = ByteStream::new(body).collect().await.map_err(|e| ConnectorError::user(e.into()))?;
    http::Request::from_parts(head, body.into_bytes())
        .try_into()
        .map_err(|e: reqwest::Error| ConnectorError::user(e.into()))
}

/// The kind decides whether the SDK, where it may, tries again.
fn of_call(error: reqwest::Error) -> ConnectorError {
    match (error.is_timeout(), error.is_connect(), error.is_builder()) {
        (true, _, _) => ConnectorError::timeout(error.into()),
        (_, true, _) => ConnectorError::io(error.into()),
        (_, _, true) => ConnectorError::user(error.into()),
        _ => ConnectorError::other(error.into(), Some(ErrorKind::TransientError)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::clients::Clients;

    async fn call(port: u16, read_timeout: Option<Duration>) -> Result<HttpResponse, ConnectorError> {
        let client = Clients::default().for_aws(Duration::from_secs(5)).unwrap();
        let mut request = HttpRequest::new(SdkBody::from("question"));
        request.set_uri(format!("http://127.0.0.1:{port}/a%3Ab?c=%20")).unwrap();
        request.set_method("POST").unwrap();
        request.headers_mut().insert("x-amz-date", "now");
        Connector { client, read_timeout }.call(request).await
    }

    #[tokio::test]
    async fn the_sdks_request_goes_out_as_it_is_and_the_answer_comes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = String::new();
            while !seen.ends_with("question") {
                let mut buffer = [0; 1024];
                let read = stream.read(&mut buffer).await.unwrap();
                seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            }
            stream
                .write_all(b"HTTP/1.1 429 X\r\nx-amzn-errortype: T\r\ncontent-length: 6\r\n\r\nanswer")
                .await
                .unwrap();
            seen
        });
        let response = call(port, Some(Duration::from_secs(10))).await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers().get("x-amzn-errortype")), (429, Some("T")));
        let body = ByteStream::new(response.into_body()).collect().await.unwrap().into_bytes();
        assert_eq!(body, "answer");
        let seen = seen.await.unwrap();
        assert!(seen.starts_with("POST /a%3Ab?c=%20 HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains("x-amz-date: now\r\n") && seen.contains("content-length: 8\r\n"), "{seen}");
    }

    #[tokio::test]
    async fn failures_have_the_kinds_that_the_sdk_tells_apart() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        assert!(call(port, Some(Duration::from_millis(50))).await.unwrap_err().is_timeout());
        drop(silent);
        assert!(call(port, None).await.unwrap_err().is_io());
        let broken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = broken.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = broken.accept().await {
                drop(stream)
            }
        });
        assert_eq!(call(port, None).await.unwrap_err().as_other(), Some(ErrorKind::TransientError));
    }
}
