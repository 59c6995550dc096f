//! GitHub Copilot's own tokens, for a GitHub token. GitHub documents none of it; the editors' open sources are the source:
//! <https://github.com/microsoft/vscode-copilot-chat/blob/main/src/platform/authentication/node/copilotTokenManager.ts>.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Url;
use serde_json::Value;
use tollgate_config::SecretRef;

use super::Grant;
use super::answer::{Call, lifetime_of, text};
use crate::secrets::Secrets;

const TOKEN_URL: &str = "https://api.github.com/copilot_internal/v2/token";
/// Where the answer does not say how long the token lasts.
const LIFETIME_S: u64 = 1_500;

/// A GitHub account with a Copilot seat.
#[derive(Debug)]
pub(crate) struct Copilot {
    github_token: SecretRef,
    token_url: Option<String>,
    /// The configuration names the host: the answer's does not count.
    fixed: bool,
}

impl Copilot {
    pub(crate) fn new(github_token: SecretRef, token_url: Option<String>, fixed: bool) -> Self {
        Self { github_token, token_url, fixed }
    }

    /// Is the secret itself in AWS?
    pub(super) fn uses_aws(&self) -> bool {
        matches!(self.github_token, SecretRef::SecretsManager { .. })
    }

    pub(super) async fn fetch(&self, http: &reqwest::Client, secrets: &Secrets) -> Result<Grant, String> {
        let secret = secrets.text(&self.github_token).await?;
        let url = self.token_url.as_deref().unwrap_or(TOKEN_URL);
        let mut call = Call::get(url)?.authorized(&format!("token {}", secret.trim()))?;
        for (name, value) in EDITOR {
            call.set(::http::HeaderName::from_static(name), value)?;
        }
        let answer = call.answer(http).await?;
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let ends_at = answer.get("expires_at").and_then(Value::as_u64);
        let renew_in = answer.get("refresh_in").and_then(Value::as_u64);
        let base = answer.pointer("/endpoints/api").and_then(Value::as_str).filter(|_| !self.fixed);
        let base = base.map(|text| Url::parse(text).map_err(|e| format!("`endpoints.api` is not a URL: {e}")));
        Ok(Grant {
            token: text(&answer, "token")?,
            lifetime: lifetime_of(ends_at.map_or(LIFETIME_S, |ends_at| ends_at.saturating_sub(now_s))),
            renew_in: renew_in.map(lifetime_of).filter(|renew_in| *renew_in > Duration::ZERO),
            base: base.transpose()?,
        })
    }
}

/// Without it Copilot refuses a request that shows a picture (`missing required Copilot-Vision-Request header for vision requests`); the editor sends it with
/// those: <https://github.com/microsoft/vscode/issues/292901>, <https://github.com/zed-industries/zed/pull/33552>.
pub(crate) const VISION: (&str, &str) = ("copilot-vision-request", "true");

/// Who asks. Copilot answers to editors that it knows.
pub(crate) const EDITOR: [(&str, &str); 4] = [
    ("copilot-integration-id", "vscode-chat"),
    ("editor-plugin-version", "copilot-chat/0.26.7"),
    ("editor-version", "vscode/1.104.1"),
    ("x-github-api-version", "2025-04-01"),
];
