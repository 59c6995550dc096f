//! What providers say only in words, under a status or a name that says less. One list for all of them, because each is also asked through the others'
//! dialects: Claude's errors come by Bedrock's InvokeModel and Converse, by Vertex and Foundry, and behind OpenRouter.
//!
//! Bodies with these words, and where each was seen: `shared/wire/tests/fidelity/errors.json`.

use crate::ir::FaultKind;

/// The prompt does not fit.
const TOO_LONG: [&str; 15] = [
    "prompt is too long",
    "input is too long",
    "exceed context limit",
    "exceeds the context",
    "context window",
    "context length",
    "too many input tokens",
    "input tokens exceeded",
    "maximum number of input tokens",
    "too many tokens: ",
    "maximum prompt length",
    "prompt token count of",
    "exceeds the maximum number of tokens allowed",
    "`inputs` tokens + `max_new_tokens`",
    "`inputs` must have less than",
];

/// A filter refused it.
const FILTERED: [&str; 7] = [
    "content filter",
    "content policy",
    "content management policy",
    "safety system",
    "blocked by guardrail",
    "responsible ai",
    "content exists risk",
];

/// The model is not there, or not in this way.
const NO_MODEL: [&str; 6] = [
    "model identifier is invalid",
    "could not resolve the foundation model",
    "on-demand throughput",
    "model not exist",
    "invalid model id",
    "does not support the '/",
];

/// What is wrong is the gateway's account, although it is said with a 400. These only count at a message's beginning: a client can have its own words quoted
/// further on, and would take the provider away from everybody.
const OUR_ACCOUNT: [(&str, FaultKind); 6] = [
    ("api key not valid", FaultKind::Authentication),
    ("incorrect api key provided", FaultKind::Authentication),
    ("your credit balance is too low", FaultKind::QuotaExhausted),
    ("you have reached your specified api usage limits", FaultKind::QuotaExhausted),
    ("access to anthropic models is not allowed", FaultKind::Permission),
    ("user location is not supported", FaultKind::Permission),
];

/// Refusals that quote nobody, and mean that there is no money left.
const SPENT: [&str; 4] = ["used all available credits", "monthly spending limit", "any credits", "credit balance"];

/// The kind of an error, by what its status or its name says and by its message.
pub(crate) fn refine(kind: FaultKind, message: &str) -> FaultKind {
    let message = message.to_ascii_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    match kind {
        FaultKind::InvalidRequest | FaultKind::TooLarge => {
            let account = OUR_ACCOUNT.iter().find(|(text, _)| message.starts_with(text));
            match account {
                Some((_, kind)) => *kind,
                // Fireworks' 412.
                None if message.starts_with("account ") && says(&[" is suspended"]) => FaultKind::QuotaExhausted,
                None if says(&TOO_LONG) => FaultKind::ContextLength,
                None if says(&FILTERED) => FaultKind::ContentFilter,
                None if says(&NO_MODEL) => FaultKind::NotFound,
                None => kind,
            }
        }
        FaultKind::RateLimited | FaultKind::Permission if says(&SPENT) => FaultKind::QuotaExhausted,
        kind => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_what_kind_of_bad_request_it_is() {
        for (message, kind) in [
            ("prompt is too long: 210000 tokens > 200000 maximum", FaultKind::ContextLength),
            ("input length and `max_tokens` exceed context limit: 199000 + 8000 > 200000", FaultKind::ContextLength),
            (
                "Too many input tokens. Max input tokens: 8192, request input token count: 9000",
                FaultKind::ContextLength,
            ),
            ("Output blocked by content filtering policy", FaultKind::ContentFilter),
            ("The provided model identifier is invalid.", FaultKind::NotFound),
            ("API key not valid. Please pass a valid API key.", FaultKind::Authentication),
            ("temperature: must be at most 1", FaultKind::InvalidRequest),
        ] {
            assert_eq!(refine(FaultKind::InvalidRequest, message), kind, "{message}");
        }
    }

    #[test]
    fn what_a_client_has_quoted_does_not_take_a_provider_away() {
        for message in [
            "messages.0: Input tag 'incorrect api key provided' found using 'type'",
            "tools.0.name: 'your credit balance is too low' is too long for a name",
        ] {
            assert_eq!(refine(FaultKind::InvalidRequest, message), FaultKind::InvalidRequest, "{message}");
        }
    }

    #[test]
    fn a_limit_of_a_minute_is_no_prompt_that_is_too_long() {
        let throttled = "Too many tokens, please wait before trying again.";
        assert_eq!(refine(FaultKind::RateLimited, throttled), FaultKind::RateLimited);
        let spent = "Your team has either used all available credits or reached its monthly spending limit.";
        assert_eq!(refine(FaultKind::RateLimited, spent), FaultKind::QuotaExhausted);
    }
}
