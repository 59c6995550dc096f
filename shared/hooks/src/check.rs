//! The native form: `POST /check`, and direct invocation with the same object.
//!
//! ```json
//! {"team": "search", "tier": "premium", "model": "gpt-4o", "provider": "openAI", "user": "u-1", "estimated_tokens": 1200, "max_tokens": 800,
//!  "request_id": "r-1"}
//! ```
//!
//! With a token, team, tier and user are the token's, and may be left out. The answer is
//! `{"allowed": false, "reason": "RPM limit exceeded (101/100 requests per minute)", "retry_after_seconds": 42, ...}`.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tollgate_limits::{Prompt, What};

use crate::app::App;
use crate::caller::{Credentials, Named};
use crate::decision::{Decision, Denied};
use crate::question::Question;

/// A misspelt field is refused: a forgotten prompt would cost nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    team: Option<String>,
    tier: Option<String>,
    user: Option<String>,
    model: Option<String>,
    provider: Option<String>,
    estimated_tokens: Option<u64>,
    max_tokens: Option<u64>,
    request_id: Option<String>,
}

impl App {
    /// Over HTTP.
    pub async fn check(&self, credentials: Credentials<'_>, body: &[u8], now: SystemTime) -> Result<Decision, Denied> {
        let check = serde_json::from_slice(body).map_err(|error| bad(&error));
        self.answer(credentials, check, now).await.inspect_err(Denied::log)
    }

    /// By direct invocation: whoever may invoke the function is IAM's decision.
    pub async fn check_invoked(&self, event: Value, now: SystemTime) -> Decision {
        let headers = HeaderMap::new();
        let credentials = Credentials { headers: &headers, by_iam: true };
        let check = serde_json::from_value(event).map_err(|error| bad(&error));
        self.answer(credentials, check, now).await.inspect_err(Denied::log).unwrap_or_else(Decision::from)
    }

    async fn answer(
        &self,
        credentials: Credentials<'_>,
        check: Result<Check, Denied>,
        now: SystemTime,
    ) -> Result<Decision, Denied> {
        let Check { team, tier, user, model, provider, estimated_tokens, max_tokens, request_id } = check?;
        let who = self.who(credentials, &Named { team, tier, user }, now).await?;
        let tokens = match (estimated_tokens, self.what) {
            (Some(tokens), _) => tokens,
            (None, What::Request) => 0,
            (None, What::All | What::Spend) => {
                return Err(Denied::new(StatusCode::BAD_REQUEST, "`estimated_tokens` is missing: the prompt's tokens"));
            }
        };
        let question = Question { model, provider, prompt: Prompt::counted(tokens), max_tokens, request_id };
        Ok(self.decide(&who, &question.bounded()?, now).await)
    }
}

fn bad(error: &serde_json::Error) -> Denied {
    Denied::new(StatusCode::BAD_REQUEST, format!("not a check: {error}"))
}
