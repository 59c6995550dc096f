//! Who asks.
//!
//! | the request has | it stands for |
//! |---|---|
//! | `Authorization: Bearer` or `x-api-key` | the token's team, tier and subject, if it is genuine; else nobody, whatever else it has |
//! | `x-amzn-oidc-data`, with `webhooks.alb.signers` | the same of the user whom the load balancer has authenticated |
//! | the shared secret, or IAM's word | the team that the caller names |
//! | nothing of these | nobody |
//!
//! A name in a header that anyone can send is no identity: without one of the first two, and without trust, it is refused.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use tollgate_auth::{AuthError, AuthErrorKind, Identity, bearer};

use crate::app::App;
use crate::decision::Denied;

/// What an ALB signs.
const OIDC_DATA: &str = "x-amzn-oidc-data";
/// The bound on names, as for those in tokens.
const MAX_NAME_BYTES: usize = 128;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The team.
    pub team: String,
    /// Its tier.
    pub tier: String,
    /// The user.
    pub user: Option<String>,
}

/// Whom a caller names itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The team.
    pub team: Option<String>,
    /// Its tier.
    pub tier: Option<String>,
    /// The user.
    pub user: Option<String>,
}

/// A request's own words about its caller.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// IAM has let it through.
    pub by_iam: bool,
}

impl App {
    /// Who asks, by a hook's headers. What they name is read of trusted callers only: beside a token it may be the client's own.
    pub async fn who_by_headers(&self, credentials: Credentials<'_>, now: SystemTime) -> Result<Who, Denied> {
        match self.proven(credentials.headers, now).await? {
            Some(identity) => Ok(who(&identity)),
            None => self.trusted(credentials, &self.named_in(credentials.headers)).await,
        }
    }

    /// Who asks, by a body that may name somebody: it must not contradict what is proven.
    pub async fn who(&self, credentials: Credentials<'_>, named: &Named, now: SystemTime) -> Result<Who, Denied> {
        match self.proven(credentials.headers, now).await? {
            Some(identity) => agreeing(who(&identity), named),
            None => self.trusted(credentials, named).await,
        }
    }

    async fn trusted(&self, credentials: Credentials<'_>, named: &Named) -> Result<Who, Denied> {
        if self.trusts(credentials).await? { self.named(named) } else { Err(nobody(named)) }
    }

    /// Whether the caller may report what teams have used: a trusted one, or a token with the scope for it.
    pub async fn may_settle(&self, credentials: Credentials<'_>, now: SystemTime) -> Result<(), Denied> {
        if self.trusts(credentials).await? {
            return Ok(());
        }
        // Collectors that can send a bearer token and no header of their own send the secret as one.
        if let Ok(token) = bearer(credentials.headers)
            && self.is_secret(token).await?
        {
            return Ok(());
        }
        let scope = self.config.webhooks.settle_scope();
        match self.proven(credentials.headers, now).await? {
            Some(identity) if identity.has_scope(scope) => Ok(()),
            Some(_) => Err(Denied::new(StatusCode::FORBIDDEN, format!("the token lacks the scope `{scope}`"))),
            None => Err(Denied::new(
                StatusCode::UNAUTHORIZED,
                "usage is taken from trusted callers only: send the shared secret, a token with the scope for it, or call by IAM",
            )),
        }
    }

    async fn proven(&self, headers: &HeaderMap, now: SystemTime) -> Result<Option<Arc<Identity>>, Denied> {
        match bearer(headers) {
            Ok(token) => return self.auth.authenticate(token, now).await.map(Some).map_err(|error| denied(&error)),
            Err(AuthError::Missing) => {}
            Err(error) => return Err(denied(&error)),
        }
        let Some(alb) = &self.alb else { return Ok(None) };
        let mut values = headers.get_all(OIDC_DATA).iter();
        let Some(data) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(denied(&AuthError::Ambiguous { header: OIDC_DATA }));
        }
        let data = data.to_str().unwrap_or_default();
        alb.authenticate(data, now).await.map(Some).map_err(|error| denied(&error))
    }

    /// Whether what the caller says of itself is believed. A secret that is wrong is refused, though IAM would have been enough.
    async fn trusts(&self, credentials: Credentials<'_>) -> Result<bool, Denied> {
        match first(credentials.headers, &self.config.webhooks.headers.secret) {
            Some(text) if self.is_secret(text).await? => Ok(true),
            Some(_) => Err(Denied::new(StatusCode::FORBIDDEN, "the shared secret is wrong")),
            None => Ok(credentials.by_iam && self.config.webhooks.trusts_iam()),
        }
    }

    async fn is_secret(&self, text: &str) -> Result<bool, Denied> {
        self.secret.is(text).await.map_err(|cause| {
            tracing::error!(error.cause = %cause, "the shared secret is not there");
            Denied::new(StatusCode::SERVICE_UNAVAILABLE, "the shared secret cannot be checked right now")
        })
    }

    /// A trusted caller's word. Its team's tier is in the table of clients if it does not say it.
    pub fn named(&self, named: &Named) -> Result<Who, Denied> {
        let team = named.team.clone().filter(|team| !team.is_empty());
        let team = team.ok_or_else(|| Denied::new(StatusCode::UNAUTHORIZED, "no token, and no team is named"))?;
        let auth = &self.config.auth;
        let row = || auth.teams.values().find(|row| row.team == team).and_then(|row| row.tier.clone());
        let tier = named.tier.clone().filter(|tier| !tier.is_empty()).or_else(row);
        let tier = tier.unwrap_or_else(|| auth.default_tier().to_owned());
        let user = named.user.clone().filter(|user| !user.is_empty());
        for (what, text) in [("team", Some(&team)), ("tier", Some(&tier)), ("user", user.as_ref())] {
            let bad = |text: &&String| text.len() > MAX_NAME_BYTES || text.chars().any(char::is_control);
            if text.is_some_and(|text| bad(&text)) {
                let reason = format!("the {what} is longer than {MAX_NAME_BYTES} bytes, or has control characters");
                return Err(Denied::new(StatusCode::BAD_REQUEST, reason));
            }
        }
        Ok(Who { team, tier, user })
    }

    /// What a request's headers name.
    fn named_in(&self, headers: &HeaderMap) -> Named {
        let names = &self.config.webhooks.headers;
        let text = |list: &[String]| first(headers, list).map(str::to_owned);
        Named { team: text(&names.team), tier: text(&names.tier), user: text(&names.user) }
    }
}

/// The first of these headers that the request has, if it is text.
pub(crate) fn first<'h>(headers: &'h HeaderMap, names: &[String]) -> Option<&'h str> {
    names.iter().find_map(|name| headers.get(name)).map(|value| value.to_str().unwrap_or_default().trim())
}

fn who(identity: &Identity) -> Who {
    Who { team: identity.team.clone(), tier: identity.tier.clone(), user: Some(identity.subject.clone()) }
}

fn agreeing(who: Who, named: &Named) -> Result<Who, Denied> {
    for (what, named, proven) in [
        ("team", &named.team, Some(&who.team)),
        ("tier", &named.tier, Some(&who.tier)),
        ("user", &named.user, who.user.as_ref()),
    ] {
        if named.is_some() && named.as_ref() != proven {
            return Err(Denied::new(StatusCode::FORBIDDEN, format!("the {what} is not the token's")));
        }
    }
    Ok(who)
}

fn nobody(named: &Named) -> Denied {
    if named.team.is_some() {
        let reason = "a team that anyone can name is no identity: send a token, or the shared secret with it";
        return Denied::new(StatusCode::UNAUTHORIZED, reason);
    }
    denied(&AuthError::Missing)
}

fn denied(error: &AuthError) -> Denied {
    let status = match error.kind() {
        AuthErrorKind::Missing | AuthErrorKind::Invalid => StatusCode::UNAUTHORIZED,
        AuthErrorKind::Forbidden => StatusCode::FORBIDDEN,
        AuthErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    Denied::new(status, error.to_string())
}
