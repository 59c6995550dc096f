//! Every event of `events/` through the router, as Lambda delivers it; and what only a Lambda front door does: limits on an answer's size,
//! deadlines, headers as an ALB writes them.

#[cfg(test)]
#[path = "events/answers.rs"]
mod answers;
#[cfg(test)]
#[path = "events/front_doors.rs"]
mod front_doors;
#[cfg(test)]
#[path = "support/mod.rs"]
mod support;

#[cfg(test)]
mod lambda {
    use axum::Router;
    use http::HeaderMap;
    use http_body_util::BodyExt;
    use lambda_http::request::LambdaRequest;
    use tollgate_gateway::host::lambda;

    use super::support;

    /// How the function is deployed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Mode {
        Buffered,
        Streamed,
    }

    /// What came back.
    #[derive(Debug)]
    pub(crate) struct Answer {
        pub(crate) status: u16,
        pub(crate) headers: HeaderMap,
        pub(crate) body: String,
    }

    impl Answer {
        pub(crate) fn header(&self, name: &str) -> &str {
            self.headers.get(name).map_or("", |value| value.to_str().unwrap())
        }
    }

    /// An event's text, its token filled in.
    pub(crate) fn event(name: &str) -> String {
        let path = format!("{}/../../events/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap().replace("{{token}}", &support::token())
    }

    /// The event as the handler gets it.
    pub(crate) fn request(event: &str) -> lambda_http::Request {
        serde_json::from_str::<LambdaRequest>(event).unwrap().into()
    }

    pub(crate) async fn send(router: &Router, mode: Mode, request: lambda_http::Request) -> Answer {
        let (parts, body) = match mode {
            Mode::Buffered => {
                let (parts, body) = lambda::buffered(router.clone(), request).await.unwrap().into_parts();
                (parts, String::from_utf8(body.to_vec()).unwrap())
            }
            Mode::Streamed => {
                let (parts, body) = lambda::streamed(router.clone(), request).await.unwrap().into_parts();
                (parts, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
            }
        };
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}
