//! An object in S3: GetObject, signed, on the condition that it is another one than before.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>

use std::time::SystemTime;

use aws_sigv4::http_request::{PayloadChecksumKind, PercentEncodingMode, SigningSettings, UriPathNormalizationMode};
use percent_encoding::utf8_percent_encode;
use tollgate_upstream::Aws;
use tollgate_upstream::signer::{Call, Signer, UNRESERVED};

use super::source::{Fetched, document, header, said};

/// What S3 has in a path as it is.
const PATH: &percent_encoding::AsciiSet = &UNRESERVED.remove(b'/');

/// One object.
#[derive(Debug)]
pub struct Object {
    bucket: String,
    key: String,
    signer: Signer,
}

impl Object {
    pub(super) fn new(bucket: &str, key: &str, aws: Aws) -> Self {
        Self { bucket: bucket.to_owned(), key: key.to_owned(), signer: Signer::new(aws) }
    }

    pub(super) async fn fetch(&self, known: Option<&str>) -> Result<Fetched, String> {
        let aws = self.signer.aws().clone();
        let runtime = tokio::runtime::Handle::current();
        // On a thread of its own: it reads files, and the runtime may have one thread, which has to ask Lambda for work.
        let config = tokio::task::spawn_blocking(move || runtime.block_on(async { aws.config().await.clone() }));
        let config = config.await.map_err(|error| error.to_string())?;
        let region = config.region().map(|region| region.as_ref().to_owned());
        let region = region.ok_or("no AWS region: set AWS_REGION")?;
        self.fetch_from(config.endpoint_url(), &region, known).await
    }

    async fn fetch_from(&self, endpoint: Option<&str>, region: &str, known: Option<&str>) -> Result<Fetched, String> {
        let url = self.url(endpoint, region);
        let condition = known.map(|tag| ("if-none-match", tag));
        let headers: Vec<(&str, &str)> = condition.into_iter().collect();
        let call = Call { method: "GET", url: &url, service: "s3", region, headers: &headers, body: b"" };
        let headers = self.signer.headers(&call, settings(), SystemTime::now()).await?;
        let response = self.signer.aws().client().get(&url).headers(headers).send().await;
        let response = response.map_err(|error| said(&error))?;
        let tag = header(&response, "etag");
        document(response, tag).await
    }

    /// The bucket is part of the host; where that cannot be, of the path.
    fn url(&self, endpoint: Option<&str>, region: &str) -> String {
        let (bucket, key) = (&self.bucket, utf8_percent_encode(&self.key, PATH));
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        match endpoint {
            Some(endpoint) => format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/')),
            // A certificate's wildcard stands for one label.
            None if bucket.contains('.') => format!("https://s3.{region}.amazonaws.com{suffix}/{bucket}/{key}"),
            None => format!("https://{bucket}.s3.{region}.amazonaws.com{suffix}/{key}"),
        }
    }
}

/// S3 signs a path as it is sent, and wants the payload's hash in a header:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_an_object_is_the_regions() {
        let aws = Aws::standalone().unwrap();
        let url = |bucket: &str, endpoint: Option<&str>, region: &str| {
            Object::new(bucket, "a b/gateway.yaml", aws.clone()).url(endpoint, region)
        };
        assert_eq!(url("b", None, "eu-west-1"), "https://b.s3.eu-west-1.amazonaws.com/a%20b/gateway.yaml");
        assert_eq!(url("b.c", None, "eu-west-1"), "https://s3.eu-west-1.amazonaws.com/b.c/a%20b/gateway.yaml");
        assert_eq!(url("b", None, "cn-north-1"), "https://b.s3.cn-north-1.amazonaws.com.cn/a%20b/gateway.yaml");
        assert_eq!(url("b", Some("http://127.0.0.1:1/"), "eu-west-1"), "http://127.0.0.1:1/b/a%20b/gateway.yaml");
    }

    type Seen = std::sync::Arc<std::sync::Mutex<Vec<http::HeaderMap>>>;

    /// An S3 that has one object, under one name.
    async fn store(seen: Seen) -> String {
        let answer = move |request: axum::extract::Request| async move {
            let headers = request.headers().clone();
            let known = headers.get("if-none-match").is_some_and(|tag| tag == "\"tag-1\"");
            seen.lock().unwrap().push(headers);
            let response = http::Response::builder().header("etag", "\"tag-1\"");
            match (request.uri().path(), known) {
                ("/b/k%20y.yaml", true) => response.status(304).body(String::new()).unwrap(),
                ("/b/k%20y.yaml", false) => response.body("ai: {}".to_owned()).unwrap(),
                _ => http::Response::builder()
                    .status(301)
                    .header("x-amz-bucket-region", "eu-central-1")
                    .body(String::new())
                    .unwrap(),
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn an_object_is_asked_for_with_a_signature_and_on_the_condition_that_it_is_another() {
        let seen = Seen::default();
        let endpoint = store(seen.clone()).await;
        let object = |key: &str| {
            let aws = Aws::standalone().unwrap();
            let credentials = aws_credential_types::Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
            Object { signer: Signer::with(aws.clone(), credentials), ..Object::new("b", key, aws) }
        };
        let ask =
            async |object: &Object, known: Option<&str>| object.fetch_from(Some(&endpoint), "eu-west-1", known).await;
        let ours = object("k y.yaml");
        let Ok(Fetched::Document(document)) = ask(&ours, None).await else { panic!("there is an object") };
        assert_eq!((document.text.as_str(), document.tag.as_deref()), ("ai: {}", Some("\"tag-1\"")));
        assert_eq!(ask(&ours, document.tag.as_deref()).await, Ok(Fetched::Unchanged));
        let refused = ask(&object("other"), None).await.unwrap_err();
        assert!(refused.contains("301") && refused.contains("eu-central-1"), "{refused}");

        for (headers, conditional) in seen.lock().unwrap().iter().zip([false, true, false]) {
            let signature = headers["authorization"].to_str().unwrap();
            assert!(signature.contains("/eu-west-1/s3/aws4_request"), "{signature}");
            let signed = signature.split("SignedHeaders=").nth(1).unwrap();
            assert_eq!(signed.contains("if-none-match"), conditional, "{signature}");
            assert!(headers.contains_key("x-amz-content-sha256") && headers.contains_key("x-amz-date"));
        }
    }
}
