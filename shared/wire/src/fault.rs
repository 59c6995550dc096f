//! What the codecs share when they read an upstream's fault: `Retry-After`, status -> kind, and what must not be repeated to a client.

mod words;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};

use crate::ir::{Fault, FaultKind};
pub(crate) use words::refine;

/// A wait is believed up to a day.
const DAY: Duration = Duration::from_secs(86_400);

/// The kind that an HTTP status means where the body says nothing better.
pub fn kind_of_status(status: StatusCode) -> FaultKind {
    match status.as_u16() {
        401 => FaultKind::Authentication,
        402 => FaultKind::QuotaExhausted,
        403 => FaultKind::Permission,
        404 => FaultKind::NotFound,
        405 => FaultKind::MethodNotAllowed,
        408 | 504 => FaultKind::Timeout,
        409 => FaultKind::Conflict,
        413 => FaultKind::TooLarge,
        415 => FaultKind::UnsupportedMedia,
        425 | 503 | 529 => FaultKind::Overloaded,
        // Cohere's "unsafe request": <https://docs.cohere.com/reference/errors>. Groq's 498 has a code: `capacity_exceeded`.
        498 => FaultKind::ContentFilter,
        429 => FaultKind::RateLimited,
        // A fault inside an answer that began well is the provider's; so is a redirect, which is not followed: it would take the key along.
        200..=399 | 500..=599 => FaultKind::Api,
        _ => FaultKind::InvalidRequest,
    }
}

/// The kind of an AWS exception, by its name: `ThrottlingException`, `ThrottlingException:http://...` (the header `x-amzn-ErrorType`),
/// `com.amazonaws...#ThrottlingException` (`__type` in the body), `throttlingException` (an event stream's `:exception-type`).
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html#API_runtime_InvokeModel_Errors>,
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html>.
pub(crate) fn aws_kind(error_type: &str) -> Option<FaultKind> {
    let name = error_type.rsplit('#').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default().trim();
    let name = name.to_ascii_lowercase();
    let kind = match name.strip_suffix("exception").unwrap_or(&name) {
        "throttling" | "toomanyrequests" | "throttled" => FaultKind::RateLimited,
        "servicequotaexceeded" => FaultKind::QuotaExhausted,
        "validation" | "validationerror" | "serialization" | "malformedhttprequest" => FaultKind::InvalidRequest,
        "accessdenied" | "notauthorized" | "optinrequired" => FaultKind::Permission,
        "unrecognizedclient"
        | "expiredtoken"
        | "invalidclienttokenid"
        | "incompletesignature"
        | "missingauthenticationtoken"
        | "invalidsignature"
        | "signaturedoesnotmatch"
        | "requestexpired" => FaultKind::Authentication,
        "resourcenotfound" | "unknownoperation" => FaultKind::NotFound,
        "conflict" => FaultKind::Conflict,
        "modelnotready" | "serviceunavailable" => FaultKind::Overloaded,
        "modeltimeout" | "requesttimeout" => FaultKind::Timeout,
        "internalserver" | "internalfailure" | "modelerror" | "modelstreamerror" => FaultKind::Api,
        _ => return None,
    };
    Some(kind)
}

/// The code of a kind for which programs look for one code, whoever says it: a prompt that does not fit, a model that is not there.
pub(crate) fn code_of(kind: FaultKind, message: &str) -> Option<String> {
    match kind {
        FaultKind::ContextLength => Some("context_length_exceeded".to_owned()),
        kind => code_of_missing(kind, message),
    }
}

/// OpenAI's code for a fault without one that says which model is not there. Only OpenAI has a code for it; the others say it in words:
/// `model: claude-x` (Anthropic), `Could not resolve the foundation model`, `This model version has reached the end of its life` (Bedrock),
/// `models/gemini-x is not found for API version v1beta` (Google), `The API deployment for this resource does not exist` (Azure). A path or a file that is not there has no code.
fn code_of_missing(kind: FaultKind, message: &str) -> Option<String> {
    const NAMES: [&str; 3] = ["model", "claude", "deployment"];
    if kind != FaultKind::NotFound {
        return None;
    }
    let message = message.to_ascii_lowercase();
    NAMES.iter().any(|name| message.contains(name)).then(|| "model_not_found".to_owned())
}

/// What the headers of an upstream's refusal say about another try: when ([`retry_after`], else what its body said, else when a spent limit is full again),
/// and whether (`x-should-retry`, which the SDKs of OpenAI and Anthropic obey over their own judgement).
pub fn heed(fault: &mut Fault, headers: &HeaderMap, now: SystemTime) {
    let said = retry_after(headers, now).or(fault.retry_after);
    let limited = fault.kind == FaultKind::RateLimited;
    fault.retry_after = said.or_else(|| limited.then(|| limit_reset(headers)).flatten());
    fault.should_retry = match headers.get("x-should-retry").map(|value| value.as_bytes()) {
        Some(b"true") => Some(true),
        Some(b"false") => Some(false),
        _ => None,
    };
}

/// When to try again: `retry-after-ms` (milliseconds), else `Retry-After` in seconds or as a date
/// (<https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>). At most a day; nonsense is none.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let seconds = |value: f64| Duration::try_from_secs_f64(value).ok();
    let wait = text(headers, "retry-after-ms")
        .and_then(|ms| ms.parse::<f64>().ok())
        .and_then(|ms| seconds(ms / 1000.0))
        .or_else(|| {
            let value = text(headers, "retry-after")?;
            match value.parse::<f64>() {
                Ok(value) => seconds(value),
                Err(_) => httpdate::parse_http_date(value).ok().map(|at| at.duration_since(now).unwrap_or_default()),
            }
        })?;
    Some(wait.min(DAY))
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// When the limit is full again of which nothing is left, as OpenAI and Groq say it: `x-ratelimit-remaining-tokens: 0`, `x-ratelimit-reset-tokens: 6m0s`.
/// <https://platform.openai.com/docs/guides/rate-limits>, <https://console.groq.com/docs/rate-limits>.
fn limit_reset(headers: &HeaderMap) -> Option<Duration> {
    const LIMITS: [(&str, &str); 2] = [
        ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ];
    let resets = LIMITS.iter().filter(|(left, _)| text(headers, left) == Some("0"));
    resets.filter_map(|(_, reset)| go_duration(text(headers, reset)?)).max().map(|wait| wait.min(DAY))
}

/// `1h2m3.5s`, `17ms`: as Go writes durations.
fn go_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let (number, unit) = rest.split_at(rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?);
        let unit = unit.get(..unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len()))?;
        let seconds = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = rest.get(number.len() + unit.len()..)?;
    }
    (!text.is_empty()).then_some(total)
}

/// Upstream text for a client, without what is ours: API keys, bearer tokens, AWS access key ids, and the account in ARNs.
pub fn scrub(text: &str) -> String {
    const PREFIXES: [&str; 5] = ["sk-", "Bearer ", "AKIA", "ASIA", "AIza"];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let boundary = !out.ends_with(|c: char| c.is_ascii_alphanumeric());
        if boundary && let Some(prefix) = PREFIXES.iter().find(|prefix| rest.starts_with(**prefix)) {
            let after = rest.get(prefix.len()..).unwrap_or_default();
            let len =
                after.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.*+/=".contains(c))).unwrap_or(after.len());
            if len >= 4 {
                out.push_str("[redacted]");
                rest = after.get(len..).unwrap_or_default();
                continue;
            }
        }
        if boundary && rest.starts_with("arn:aws") {
            let len = rest.find(|c: char| c.is_whitespace() || "\"'`,;()<>\\".contains(c)).unwrap_or(rest.len());
            out.push_str("[arn]");
            rest = rest.get(len..).unwrap_or_default();
            continue;
        }
        let mut chars = rest.chars();
        out.extend(chars.next());
        rest = chars.as_str();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(name: &'static str, value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770))
    }

    #[test]
    fn retry_after_is_seconds_a_date_or_milliseconds() {
        assert_eq!(wait("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(wait("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
        assert_eq!(wait("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(wait("retry-after", "Sat, 06 Nov 1993 08:49:37 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn nonsense_in_retry_after_is_none_and_years_are_a_day() {
        assert_eq!(wait("retry-after", "soon"), None);
        assert_eq!(wait("retry-after", "-3"), None);
        assert_eq!(wait("retry-after", "NaN"), None);
        assert_eq!(wait("retry-after", "99999999999"), Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn keys_and_arns_do_not_reach_a_client() {
        let text =
            "Incorrect API key provided: sk-proj-abc***xyz. User: arn:aws:iam::123456789012:user/x is not authorized";
        assert_eq!(scrub(text), "Incorrect API key provided: [redacted] User: [arn] is not authorized");
        assert_eq!(scrub("Bearer abc.def-ghi!"), "[redacted]!");
        assert_eq!(scrub("ask-me is a task-list"), "ask-me is a task-list");
    }

    fn heeded(kind: FaultKind, body: Option<u64>, headers: &[(&'static str, &'static str)]) -> Fault {
        let map = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let mut fault = Fault { retry_after: body.map(Duration::from_secs), ..Fault::new(kind, "m") };
        heed(&mut fault, &map.collect(), SystemTime::UNIX_EPOCH);
        fault
    }

    #[test]
    fn a_header_is_believed_over_a_body_and_a_body_over_a_reset() {
        let reset = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0.5s")];
        let wait = |body, headers: &[(&'static str, &'static str)]| {
            heeded(FaultKind::RateLimited, body, headers).retry_after.map(|wait| wait.as_millis())
        };
        assert_eq!(wait(None, &[]), None);
        assert_eq!(wait(Some(9), &[("retry-after", "7")]), Some(7_000));
        assert_eq!(wait(Some(9), &reset), Some(9_000));
        assert_eq!(wait(None, &reset), Some(360_500));
        assert_eq!(wait(None, &[("x-ratelimit-remaining-tokens", "12"), reset[1]]), None, "something is left");
        assert_eq!(heeded(FaultKind::Overloaded, None, &reset).retry_after, None, "no limit was met");
    }

    #[test]
    fn a_provider_that_says_whether_to_try_again_is_believed() {
        for (value, expected) in [("true", Some(true)), ("false", Some(false)), ("perhaps", None)] {
            assert_eq!(heeded(FaultKind::Overloaded, None, &[("x-should-retry", value)]).should_retry, expected);
        }
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in [("1s", 1_000), ("17ms", 17), ("1h2m3.5s", 3_723_500), ("2m59.56s", 179_560)] {
            assert_eq!(go_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "1", "s", "1d", "1s2", "999999999999999999999h"] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }

    #[test]
    fn aws_exceptions_are_known_in_all_their_spellings() {
        assert_eq!(aws_kind("ThrottlingException:http://internal.amazon.com/coral/"), Some(FaultKind::RateLimited));
        assert_eq!(aws_kind("com.amazonaws.bedrock#ValidationException"), Some(FaultKind::InvalidRequest));
        assert_eq!(aws_kind("modelStreamErrorException"), Some(FaultKind::Api));
        assert_eq!(aws_kind("ModelNotReadyException"), Some(FaultKind::Overloaded));
        assert_eq!(aws_kind("ServiceUnavailable"), Some(FaultKind::Overloaded));
        assert_eq!(aws_kind("SomethingNew"), None);
    }
}
