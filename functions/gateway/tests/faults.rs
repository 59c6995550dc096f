//! What a client sees of every fault: each of an upstream's, for each client dialect, each upstream dialect, whole and streamed; and the
//! gateway's own. The tables are snapshots: read them as a user of the official SDKs, which retry 408, 409, 429 and 5xx unless
//! `x-should-retry` says otherwise.

#[cfg(test)]
#[path = "support/closed.rs"]
mod closed;
#[cfg(test)]
#[path = "faults/own.rs"]
mod own;
#[cfg(test)]
#[path = "support/mod.rs"]
mod support;
#[cfg(test)]
#[path = "faults/upstream.rs"]
mod upstream;
#[cfg(test)]
#[path = "faults/upstreams.rs"]
mod upstreams;
#[cfg(test)]
#[path = "faults/words.rs"]
mod words;

#[cfg(test)]
mod seen {
    use axum::Router;
    use axum::body::Body;
    use http::{HeaderMap, Request};
    use http_body_util::BodyExt;
    use serde_json::Value;
    use tollgate_wire::codec::Dialect;
    use tower::ServiceExt;

    use super::support::{events_of, json_of};

    /// What a client gets.
    #[derive(Debug)]
    pub(crate) struct Seen {
        pub(crate) status: u16,
        pub(crate) headers: HeaderMap,
        pub(crate) body: String,
    }

    pub(crate) fn path(client: Dialect) -> &'static str {
        match client {
            Dialect::Messages => "/v1/messages",
            Dialect::Responses => "/v1/responses",
            _ => "/v1/chat/completions",
        }
    }

    pub(crate) async fn ask(router: &Router, request: Request<Body>) -> Seen {
        let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Seen { status: parts.status.as_u16(), headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    impl Seen {
        pub(crate) fn header(&self, name: &str) -> &str {
            self.headers.get(name).map_or("", |value| value.to_str().unwrap())
        }

        /// Would an official SDK send it again?
        pub(crate) fn is_retried(&self) -> bool {
            match self.header("x-should-retry") {
                "true" => true,
                "false" => false,
                _ => matches!(self.status, 408 | 409 | 429 | 500..),
            }
        }

        /// One row: status, kind of body, the error, what the SDK does.
        pub(crate) fn row(&self, client: Dialect) -> String {
            assert!(!self.header("x-request-id").is_empty(), "{self:?}");
            let (form, error) = match self.header("content-type") {
                "application/json" => ("json", self.error_of(client, &json_of(&self.body))),
                "text/event-stream; charset=utf-8" => {
                    assert_eq!(self.status, 200, "{self:?}");
                    ("sse", self.stream_error(client))
                }
                other => panic!("{other}: {self:?}"),
            };
            let retry_after = match self.header("retry-after") {
                "" => String::new(),
                seconds => format!(", retry-after {seconds}"),
            };
            let retried = if self.is_retried() { ", SDK retries" } else { "" };
            format!("{} {form} {error}{retry_after}{retried}", self.status)
        }

        fn error_of(&self, client: Dialect, body: &Value) -> String {
            let error = &body["error"];
            if self.status == 200 && error.is_null() {
                return "ok".to_owned();
            }
            assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
            if client == Dialect::GenerateContent {
                let code = if self.status == 200 { error["code"].clone() } else { Value::from(self.status) };
                assert_eq!(error["code"], code, "{self:?}");
                let reason = error["details"][0]["reason"].as_str().map(|reason| format!("/{reason}"));
                return format!("error {}{}", error["status"].as_str().unwrap(), reason.unwrap_or_default());
            }
            let kind = error["type"].as_str().unwrap_or_else(|| panic!("no error type: {self:?}"));
            if client == Dialect::Responses && self.status == 200 {
                assert_eq!(body["type"], "error", "{self:?}");
                assert_eq!(body["message"], error["message"], "{self:?}");
            }
            if client == Dialect::Messages {
                assert_eq!(body["type"], "error", "{self:?}");
                return kind.to_owned();
            }
            assert!(client == Dialect::Responses || body.get("type").is_none(), "{self:?}");
            let part = |name: &str| error[name].as_str().map(|text| format!("/{text}")).unwrap_or_default();
            format!("{kind}{}", part("code"))
        }

        /// The error event, which is the last one.
        fn stream_error(&self, client: Dialect) -> String {
            let events = events_of(&self.body);
            let (name, last) = events.last().unwrap();
            let ends = matches!((*name, *last), (_, "[DONE]") | (Some("message_stop" | "response.completed"), _))
                || client == Dialect::GenerateContent && last.contains("finishReason");
            if ends {
                return "ok".to_owned();
            }
            assert!(events.len() > 1, "an error before content has to be a status: {self:?}");
            // A response that has begun ends in its own words, too.
            let (name, last) = match name {
                Some("response.failed") => {
                    assert_eq!(json_of(last)["response"]["status"], "failed", "{self:?}");
                    let (name, last) = events.iter().rev().nth(1).unwrap();
                    (name, last)
                }
                _ => (name, last),
            };
            let expected = matches!(client, Dialect::Messages | Dialect::Responses).then_some("error");
            assert_eq!(*name, expected, "{self:?}");
            format!("content, then {}", self.error_of(client, &json_of(last)))
        }
    }
}
