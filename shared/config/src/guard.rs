//! `promptGuard`: webhooks that see a request before the model does, or an answer before the client does. The words are agentgateway's; `url`,
//! `lambda`, `pathPrefix`, `timeoutMs` and the two words of `streaming` are this gateway's own.

use std::collections::BTreeMap;
use std::time::Duration;

use regex_lite::Regex;
use serde::Deserialize;

use crate::RouteType;
use crate::template::Template;

/// agentgateway's.
const TIMEOUT_MS: u64 = 10_000;

/// Guards for every conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct PromptGuard {
    /// Asked in this order before the model is.
    pub request: Vec<Guard>,
    /// Asked in this order with the model's answer.
    pub response: Vec<Guard>,
    /// What a streamed answer means for the response guards.
    pub streaming: GuardStreaming,
    /// Route types that may be used although no guard sees them. Left out: their requests are refused (403) where there is a guard.
    pub unguarded_routes: Vec<UnguardedRoute>,
}

/// A route type that no guard sees: what passes there is not read as a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it; they are those of the route types")]
pub enum UnguardedRoute {
    Passthrough,
    Detect,
    Realtime,
}

impl UnguardedRoute {
    /// Of a route type; `None`: guards see it.
    #[must_use]
    pub fn of(kind: RouteType) -> Option<Self> {
        match kind {
            RouteType::Passthrough => Some(Self::Passthrough),
            RouteType::Detect => Some(Self::Detect),
            RouteType::Realtime => Some(Self::Realtime),
            _ => None,
        }
    }

    /// As the configuration names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passthrough => "passthrough",
            Self::Detect => "detect",
            Self::Realtime => "realtime",
        }
    }
}

impl PromptGuard {
    /// Are there guards, and does none of them see this route, nor the file say that this is meant?
    #[must_use]
    pub fn bars(&self, route: UnguardedRoute) -> bool {
        let guarded = !self.request.is_empty() || !self.response.is_empty();
        guarded && !self.unguarded_routes.contains(&route)
    }
}

/// Streamed answers and response guards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum GuardStreaming {
    /// A stream is held until it is complete, checked once, then released. The default. agentgateway's `Enabled`, which checks pieces, is read as this.
    #[default]
    #[serde(alias = "Enabled")]
    Buffer,
    /// Streams pass unchecked. agentgateway's `Disabled`.
    #[serde(alias = "Disabled")]
    Skip,
}

/// One guard.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Guard {
    /// Asks a webhook.
    pub webhook: Webhook,
}

/// A webhook and how it is called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Webhook {
    /// Where it is.
    pub target: GuardTarget,
    /// Stands before `/request` and `/response`. Default: nothing.
    #[serde(default)]
    pub path_prefix: Option<String>,
    /// Client headers that it gets as they came. Default: none.
    #[serde(default)]
    pub forward_header_matches: Vec<HeaderMatch>,
    /// Further headers: name -> text with `{places}`; see `docs/configuration.md`. Not CEL.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// What happens when it cannot be asked. Default `failClosed`.
    #[serde(default)]
    pub failure_mode: GuardFailureMode,
    /// How long an answer may take, in milliseconds. Default 10,000, as in agentgateway.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

impl Webhook {
    /// How long an answer may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.unwrap_or(TIMEOUT_MS))
    }
}

/// Where a webhook is. One key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum GuardTarget {
    /// agentgateway's `host:port`; TLS when the port is 443.
    Host(String),
    /// A URL, a path prefix included.
    Url(String),
    /// The ARN of a Lambda function, invoked with the ambient AWS credentials.
    Lambda(LambdaArn),
}

impl GuardTarget {
    /// Scheme, host, port and path, without a slash at the end. `None` for a function.
    #[must_use]
    pub fn base_url(&self) -> Option<String> {
        match self {
            Self::Host(host) => {
                let scheme = if host.ends_with(":443") { "https" } else { "http" };
                Some(format!("{scheme}://{host}"))
            }
            Self::Url(url) => Some(url.trim_end_matches('/').to_owned()),
            Self::Lambda(_) => None,
        }
    }
}

/// What happens when a webhook cannot be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum GuardFailureMode {
    /// The request fails.
    #[default]
    FailClosed,
    /// The request goes on, with a warning in the log.
    FailOpen,
}

/// A client header that is forwarded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HeaderMatch {
    /// Its name.
    pub name: String,
    /// What it has to be. Left out: anything.
    #[serde(default)]
    pub value: Option<HeaderValueMatch>,
}

/// What a header has to be. One key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum HeaderValueMatch {
    /// This text.
    Exact(String),
    /// A regular expression for the whole of it.
    Regex(Pattern),
}

impl HeaderMatch {
    /// Whether a header's value is one to forward.
    #[must_use]
    pub fn fits(&self, value: &str) -> bool {
        match &self.value {
            None => true,
            Some(HeaderValueMatch::Exact(text)) => text == value,
            Some(HeaderValueMatch::Regex(pattern)) => pattern.regex.is_match(value),
        }
    }
}

/// A regular expression that has to match a whole text.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
#[serde(try_from = "String")]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // By itself first: `a)(b` is none, whatever is put around it.
        let own = Regex::new(&text).and_then(|_| Regex::new(&format!("^(?:{text})$")));
        let regex = own.map_err(|error| format!("not a regular expression: {error}"))?;
        Ok(Self { text, regex })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

/// The ARN of a Lambda function, with or without a version or alias.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
#[serde(try_from = "String")]
pub struct LambdaArn {
    text: String,
    region: String,
    china: bool,
}

impl TryFrom<String> for LambdaArn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const FORM: &str = "not the ARN of a Lambda function: write arn:aws:lambda:REGION:ACCOUNT:function:NAME, a version or alias after it if wanted";
        let word = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'$'))
        };
        let parts: Vec<&str> = text.split(':').collect();
        let ["arn", partition, "lambda", region, account, "function", name, rest @ ..] = parts.as_slice() else {
            return Err(FORM.to_owned());
        };
        let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let known = matches!(*partition, "aws" | "aws-cn" | "aws-us-gov");
        if !known
            || !digits
            || ![region, name].iter().all(|part| word(part))
            || rest.len() > 1
            || !rest.iter().all(|part| word(part))
        {
            return Err(FORM.to_owned());
        }
        Ok(Self { region: (*region).to_owned(), china: *partition == "aws-cn", text })
    }
}

impl LambdaArn {
    /// The ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The Lambda API of its region.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let suffix = if self.china { ".cn" } else { "" };
        format!("https://lambda.{}.amazonaws.com{suffix}", self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_knows_its_endpoint() {
        for (arn, endpoint) in [
            ("arn:aws:lambda:us-east-1:123456789012:function:guard", "https://lambda.us-east-1.amazonaws.com"),
            ("arn:aws:lambda:eu-west-1:123456789012:function:guard:live", "https://lambda.eu-west-1.amazonaws.com"),
            (
                "arn:aws-cn:lambda:cn-north-1:123456789012:function:g:$LATEST",
                "https://lambda.cn-north-1.amazonaws.com.cn",
            ),
        ] {
            assert_eq!(LambdaArn::try_from(arn.to_owned()).unwrap().endpoint(), endpoint);
        }
        for text in [
            "guard",
            "arn:aws:lambda:us-east-1:123456789012:guard",
            "arn:aws:sqs:us-east-1:123456789012:function:guard",
            "arn:aws:lambda:us-east-1:12345:function:guard",
            "arn:aws:lambda:evil.example/:123456789012:function:guard",
            "arn:aws:lambda:us-east-1:123456789012:function:a:b:c",
        ] {
            assert!(LambdaArn::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_matches_the_whole_text() {
        let fits = |pattern: &str, value: &str| {
            let value_match = HeaderValueMatch::Regex(Pattern::try_from(pattern.to_owned()).unwrap());
            HeaderMatch { name: "x".to_owned(), value: Some(value_match) }.fits(value)
        };
        assert!(fits("v2.*", "v2.1") && fits("a|bc", "bc") && fits(".*", ""));
        assert!(!fits("v2", "v2.1") && !fits("a|bc", "abc"));
        assert!(Pattern::try_from("a)(b".to_owned()).is_err());
    }

    #[test]
    fn a_host_at_port_443_is_called_by_tls() {
        let url = |host: &str| GuardTarget::Host(host.to_owned()).base_url().unwrap();
        assert_eq!(url("alb.internal:443"), "https://alb.internal:443");
        assert_eq!(url("127.0.0.1:9102"), "http://127.0.0.1:9102");
    }
}
