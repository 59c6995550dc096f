//! What the codecs share when they read an upstream's fault: `Retry-After`, status -> kind, and what must not be repeated to a client.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};

use crate::ir::FaultKind;

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
        429 => FaultKind::RateLimited,
        // A fault inside an answer that began well is the provider's; so is a redirect, which is not followed: it would take the key along.
        200..=399 | 500..=599 => FaultKind::Api,
        _ => FaultKind::InvalidRequest,
    }
}

/// OpenAI's code for a fault without one that says which model is not there. Only OpenAI has a code for it; the others say it in words:
/// `model: claude-x` (Anthropic), `Could not resolve the foundation model`, `This model version has reached the end of its life` (Bedrock),
/// `models/gemini-x is not found for API version v1beta` (Google). A path or a file that is not there has no code.
pub(crate) fn code_of_missing(kind: FaultKind, message: &str) -> Option<String> {
    const NAMES: [&str; 2] = ["model", "claude"];
    if kind != FaultKind::NotFound {
        return None;
    }
    let message = message.to_ascii_lowercase();
    NAMES.iter().any(|name| message.contains(name)).then(|| "model_not_found".to_owned())
}

/// When to try again: `retry-after-ms` (milliseconds), else `Retry-After` in seconds or as a date
/// (<https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>). At most a day; nonsense is none.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(86_400);
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |value: f64| Duration::try_from_secs_f64(value).ok();
    let wait = text("retry-after-ms")
        .and_then(|ms| ms.parse::<f64>().ok())
        .and_then(|ms| seconds(ms / 1000.0))
        .or_else(|| {
            let value = text("retry-after")?;
            match value.parse::<f64>() {
                Ok(value) => seconds(value),
                Err(_) => httpdate::parse_http_date(value).ok().map(|at| at.duration_since(now).unwrap_or_default()),
            }
        })?;
    Some(wait.min(DAY))
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
}
