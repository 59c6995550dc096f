use std::sync::{Arc, Mutex as StdMutex};

use aws_credential_types::Credentials;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;

use super::*;

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:guard:live";

type Seen = Arc<StdMutex<Vec<(String, HeaderMap, Value)>>>;

/// A Lambda API that answers everything with this.
async fn lambda_api(status: u16, function_error: bool, body: &'static str) -> (String, Seen) {
    let seen = Seen::default();
    let answer = move |State(seen): State<Seen>, request: Request| async move {
        let (parts, payload) = request.into_parts();
        let payload = axum::body::to_bytes(payload, usize::MAX).await.unwrap();
        let payload = serde_json::from_slice(&payload).unwrap();
        seen.lock().unwrap().push((parts.uri.to_string(), parts.headers, payload));
        let mut response: Response = body.into_response();
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        if function_error {
            response.headers_mut().insert(X_FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
        }
        response
    };
    let router = Router::new().fallback(answer).with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), seen)
}

async fn invoke(endpoint: &str) -> Result<Answer, Failure> {
    let arn = LambdaArn::try_from(ARN.to_owned()).unwrap();
    let chains = tollgate_upstream::Chains::new(&tollgate_config::Config::default()).unwrap();
    let (client, aws) = (chains.client().clone(), chains.aws().clone());
    let mut function = Function::at(endpoint, &arn, "/hooks/request".to_owned(), client, aws);
    let credentials = Credentials::new("AKIDEXAMPLE", "secret-key", Some("session".to_owned()), None, "test");
    function.signer = Signer::with(function.signer.aws().clone(), credentials);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("x-team", HeaderValue::from_static("search"));
    function.invoke(&headers, r#"{"body":{"messages":[]}}"#, "req_1").await
}

#[tokio::test]
async fn the_call_is_signed_and_the_event_is_a_function_urls() {
    let (endpoint, seen) = lambda_api(200, false, r#"{"statusCode":200,"body":"{\"action\":{}}"}"#).await;
    let (status, body) = invoke(&endpoint).await.unwrap();
    assert_eq!((status, body.as_slice()), (200, br#"{"action":{}}"#.as_slice()));

    let (path, headers, event) = seen.lock().unwrap().remove(0);
    assert_eq!(
        path,
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Aguard%3Alive/invocations"
    );
    let signature = headers["authorization"].to_str().unwrap();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{signature}");
    assert!(signature.contains("/eu-west-1/lambda/aws4_request"), "{signature}");
    assert!(signature.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token"), "{signature}");
    assert_eq!(headers["x-amz-security-token"], "session");
    // The hook's own headers are in the event; the Lambda API gets none of them.
    assert!(!headers.contains_key("x-team"));
    assert_eq!(event["headers"]["x-team"], "search");

    let event = lambda_http::request::from_str(&event.to_string()).unwrap();
    assert_eq!((event.method().as_str(), event.uri().path()), ("POST", "/hooks/request"));
    assert_eq!(event.headers()["content-type"], "application/json");
    assert_eq!(event.body().as_ref(), br#"{"body":{"messages":[]}}"#);
}

#[tokio::test]
async fn a_function_may_answer_with_the_action_alone() {
    let (endpoint, _) = lambda_api(200, false, r#"{"action":{"reason":"ok"}}"#).await;
    assert_eq!(invoke(&endpoint).await.unwrap(), (200, br#"{"action":{"reason":"ok"}}"#.to_vec()));
    let (endpoint, _) = lambda_api(200, false, r#"{"statusCode":403,"body":"e30=","isBase64Encoded":true}"#).await;
    assert_eq!(invoke(&endpoint).await.unwrap(), (403, b"{}".to_vec()));
}

#[tokio::test]
async fn a_function_that_failed_did_not_answer() {
    for (status, function_error, body, says) in [
        (200, true, r#"{"action":{}}"#, "the function failed"),
        (429, false, r#"{"action":{}}"#, "status 429"),
        (413, false, r#"{"Type":"User"}"#, "decided: true"),
        (200, false, "oops", "not JSON"),
        (200, false, r#"{"statusCode":"200","body":""}"#, "no status"),
        (200, false, r#"{"statusCode":200,"body":{"action":{}}}"#, "not a text"),
    ] {
        let (endpoint, _) = lambda_api(status, function_error, body).await;
        let failure = format!("{:?}", invoke(&endpoint).await.unwrap_err());
        assert!(failure.contains(says), "{body}: {failure}");
    }
}
