//! What the file leaves out. Every default that is not a field's own stands here.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::{Ai, Auth, Config, Custom, CustomDialect, Issuer, Limits, Reload, RequestBounds, Timeouts};

const MAX_BODY_BYTES: u64 = 32 * 1024 * 1024;
const REQUEST_TIMEOUT_MS: u64 = 600_000;
const MAX_ATTEMPTS: u32 = 6;
const CONNECT_MS: u64 = 3_000;
const FIRST_BYTE_MS: u64 = 60_000;
const IDLE_MS: u64 = 300_000;
const LEDGER_TIMEOUT_MS: u64 = 250;
const CACHE_S: u64 = 30;
const RELOAD_S: u64 = 30;
const RELOAD_FILE_S: u64 = 1;
const PROMPT_BYTES_PER_TOKEN: u64 = 3;
const IMAGE_TOKENS: u64 = 1_600;
const OUTPUT_TOKENS: u64 = 4_096;
const WARN_AT: [u32; 3] = [50, 80, 100];

impl Config {
    /// Where the native server listens.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8787)))
    }
}

impl RequestBounds {
    /// The largest body.
    #[must_use]
    pub fn max_body_bytes(&self) -> u64 {
        self.max_body_bytes.unwrap_or(MAX_BODY_BYTES)
    }

    /// The whole request.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.unwrap_or(REQUEST_TIMEOUT_MS))
    }

    /// Upstream calls of one request.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.max_attempts.unwrap_or(MAX_ATTEMPTS)
    }
}

impl Reload {
    /// How often to look.
    #[must_use]
    pub fn every(&self, remote: bool) -> Duration {
        Duration::from_secs(self.every_seconds.unwrap_or(if remote { RELOAD_S } else { RELOAD_FILE_S }))
    }
}

impl Timeouts {
    /// TCP and TLS.
    #[must_use]
    pub fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_ms.unwrap_or(CONNECT_MS))
    }

    /// From the request to the first bytes of an answer.
    #[must_use]
    pub fn first_byte(&self) -> Duration {
        Duration::from_millis(self.first_byte_ms.unwrap_or(FIRST_BYTE_MS))
    }

    /// Between two chunks of an answer.
    #[must_use]
    pub fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms.unwrap_or(IDLE_MS))
    }
}

impl Limits {
    /// How long an admission may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.unwrap_or(LEDGER_TIMEOUT_MS))
    }

    /// How old what was read from the table may be.
    #[must_use]
    pub fn cache_for(&self) -> Duration {
        Duration::from_secs(self.cache_seconds.unwrap_or(CACHE_S))
    }

    /// Bytes of a request per estimated token.
    #[must_use]
    pub fn prompt_bytes_per_token(&self) -> u64 {
        self.prompt_bytes_per_token.unwrap_or(PROMPT_BYTES_PER_TOKEN)
    }

    /// Tokens per image.
    #[must_use]
    pub fn image_tokens(&self) -> u64 {
        self.image_tokens.unwrap_or(IMAGE_TOKENS)
    }

    /// The output that a request without a cap reserves.
    #[must_use]
    pub fn default_output_tokens(&self) -> u64 {
        self.default_output_tokens.unwrap_or(OUTPUT_TOKENS)
    }

    /// Shares of a budget that are told.
    #[must_use]
    pub fn warn_at(&self) -> &[u32] {
        self.warn_at.as_deref().unwrap_or(&WARN_AT)
    }
}

impl Auth {
    /// The tier of a team that nothing gives one.
    #[must_use]
    pub fn default_tier(&self) -> &str {
        self.default_tier.as_deref().unwrap_or("standard")
    }
}

impl Issuer {
    /// Whether it is a Cognito user pool of AWS, by its address.
    #[must_use]
    pub fn is_cognito(&self) -> bool {
        let Some(rest) = self.issuer.strip_prefix("https://cognito-idp.") else { return false };
        let Some((host, pool)) = rest.split_once('/') else { return false };
        let region = host.strip_suffix(".amazonaws.com.cn").or_else(|| host.strip_suffix(".amazonaws.com"));
        region.is_some_and(|region| !region.is_empty() && !region.contains('.')) && !pool.is_empty()
    }

    /// What `token_use` must be; `None`: it is not checked.
    #[must_use]
    pub fn expected_token_use(&self) -> Option<&str> {
        self.token_use.as_deref().or_else(|| self.is_cognito().then_some("access"))
    }
}

impl Ai {
    /// Patterns of models that exist only in the Responses API: <https://platform.openai.com/docs/models>.
    #[must_use]
    pub fn responses_models(&self) -> Vec<String> {
        const DEFAULT: [&str; 5] = ["*-codex*", "o*-pro*", "gpt-5*-pro*", "*-deep-research*", "computer-use-preview*"];
        self.responses_models.clone().unwrap_or_else(|| DEFAULT.map(str::to_owned).to_vec())
    }
}

impl CustomDialect {
    /// Is it a dialect of conversations?
    fn is_conversation(self) -> bool {
        matches!(self, Self::Completions | Self::Responses | Self::Messages)
    }
}

impl Custom {
    /// The dialects that it speaks, the preferred one first.
    pub fn dialects(&self) -> impl Iterator<Item = CustomDialect> {
        let unsaid = self.formats.is_empty();
        let messages = self.preset.and_then(|preset| preset.facts().messages).map(|_| CustomDialect::Messages);
        let default = [Some(CustomDialect::Completions), messages].into_iter().flatten().filter(move |_| unsaid);
        let kinds = self.formats.iter().map(|format| format.kind).chain(default);
        kinds.filter(|kind| kind.is_conversation())
    }

    /// What it serves besides conversations.
    pub fn services(&self) -> impl Iterator<Item = CustomDialect> {
        let default = self.formats.is_empty().then_some(CustomDialect::Embeddings);
        let kinds = self.formats.iter().map(|format| format.kind).chain(default);
        kinds.filter(|kind| !kind.is_conversation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn an_empty_file_has_every_default() {
        let config = parse("", "empty").unwrap();
        assert_eq!(config.listen().to_string(), "127.0.0.1:8787");
        assert_eq!(config.request.max_body_bytes(), 33_554_432);
        assert_eq!(config.request.timeout(), Duration::from_secs(600));
        assert_eq!(config.request.max_attempts(), 6);
        assert_eq!(Timeouts::default().connect(), Duration::from_secs(3));
        assert_eq!(Timeouts::default().first_byte(), Duration::from_secs(60));
        assert_eq!(Timeouts::default().idle(), Duration::from_secs(300));
        assert_eq!(config.auth.default_tier(), "standard");
        assert_eq!(Custom::default().dialects().collect::<Vec<_>>(), [CustomDialect::Completions]);
    }

    #[test]
    fn only_a_pools_own_address_is_cognito() {
        for (issuer, cognito) in [
            ("https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbC", true),
            ("https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbC", true),
            ("https://cognito-idp.us-east-1.amazonaws.com", false),
            ("https://cognito-idp.evil.example/.amazonaws.com/x", false),
            ("https://cognito-idp.a.evil.amazonaws.com/x", false),
            ("https://login.example", false),
        ] {
            let issuer = Issuer { issuer: issuer.to_owned(), ..Issuer::default() };
            assert_eq!(issuer.is_cognito(), cognito, "{}", issuer.issuer);
            assert_eq!(issuer.expected_token_use(), cognito.then_some("access"));
        }
    }
}
