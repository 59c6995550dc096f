//! Who a token stands for.
//!
//! Team and tier come from claims that the issuer signed. In Cognito that means claims which a pre-token-generation
//! trigger adds to the access token, or attributes that users cannot write: a user who can set `custom:tenant_tier` sets
//! their own limits.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value};
use tollgate_config::{Auth, Claims};

use crate::claims::name;
use crate::error::{AuthError, Printable};

const DEFAULT_TIER: &str = "standard";
const MAX_NAME_BYTES: usize = 128;

/// Who is calling: what the token said, and the team that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuer, as the configuration writes it.
    pub issuer: Arc<str>,
    /// `sub`; the client for tokens without one.
    pub subject: String,
    /// `client_id`, or `azp`.
    pub client_id: Option<String>,
    /// The team that limits, bills and logs name. At most 128 bytes, no control characters.
    pub team: String,
    /// The team's tier; same bounds.
    pub tier: String,
    /// The token's scopes: `scope` and `scp`.
    pub scopes: Vec<String>,
    /// `jti`, for the audit trail.
    pub token_id: Option<String>,
    /// `nbf`.
    pub not_before: Option<SystemTime>,
    /// `exp`.
    pub expires_at: SystemTime,
}

impl Identity {
    /// Whether the token has this scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|have| have == scope)
    }
}

/// Where a token's team and tier come from.
pub(crate) struct Teams {
    auth: Arc<Auth>,
    claims: Claims,
}

impl Teams {
    pub(crate) fn new(auth: Arc<Auth>, claims: Claims) -> Self {
        Self { auth, claims }
    }

    /// Team and tier of a token whose client (or, without one, subject) is `caller`.
    ///
    /// The team: its claim, else the table's, else `caller` itself. The tier: its claim, else the table's when the table
    /// means the same team, else the default.
    pub(crate) fn resolve(&self, claims: &Map<String, Value>, caller: &str) -> Result<(String, String), AuthError> {
        let row = self.auth.teams.get(caller);
        let claimed = bounded_name(claims, &self.claims.team)?;
        let team = match (claimed, row) {
            (Some(team), _) => team,
            (None, Some(row)) => row.team.as_str(),
            (None, None) => bounded(caller, "sub")?,
        };
        let default = self.auth.default_tier.as_deref().unwrap_or(DEFAULT_TIER);
        let tier = match bounded_name(claims, &self.claims.tier)? {
            Some(tier) => tier,
            None => row.filter(|row| row.team == team).and_then(|row| row.tier.as_deref()).unwrap_or(default),
        };
        Ok((team.to_owned(), tier.to_owned()))
    }
}

fn bounded_name<'c>(claims: &'c Map<String, Value>, claim: &str) -> Result<Option<&'c str>, AuthError> {
    name(claims, claim)?.map(|value| bounded(value, claim)).transpose()
}

fn bounded<'v>(value: &'v str, claim: &str) -> Result<&'v str, AuthError> {
    let problem = if value.len() > MAX_NAME_BYTES {
        "is longer than 128 bytes"
    } else if value.chars().any(char::is_control) {
        "has control characters"
    } else {
        return Ok(value);
    };
    Err(AuthError::Claim { name: Printable::new(claim), problem })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tollgate_config::Team;

    use super::*;

    fn teams(default_tier: Option<&str>) -> Teams {
        let row = |team: &str, tier: Option<&str>| Team { team: team.to_owned(), tier: tier.map(str::to_owned) };
        let auth = Auth {
            teams: [("c1".to_owned(), row("search", Some("premium"))), ("c2".to_owned(), row("maps", None))].into(),
            default_tier: default_tier.map(str::to_owned),
            ..Auth::default()
        };
        Teams::new(Arc::new(auth), Claims::default())
    }

    fn resolve(teams: &Teams, claims: Value, caller: &str) -> Result<(String, String), AuthError> {
        teams.resolve(claims.as_object().unwrap(), caller)
    }

    #[test]
    fn claims_win_over_the_table_and_the_table_over_the_client_itself() {
        let table = [
            (json!({"custom:team": "ads", "custom:tenant_tier": "enterprise"}), "c1", ("ads", "enterprise")),
            (json!({"custom:tenant_tier": "enterprise"}), "c1", ("search", "enterprise")),
            (json!({"custom:team": "search"}), "c1", ("search", "premium")),
            (json!({"custom:team": "ads"}), "c1", ("ads", "standard")),
            (json!({}), "c1", ("search", "premium")),
            (json!({"custom:team": "", "custom:tenant_tier": ""}), "c1", ("search", "premium")),
            (json!({"custom:team": null}), "c1", ("search", "premium")),
            (json!({}), "c2", ("maps", "standard")),
            (json!({}), "stranger", ("stranger", "standard")),
        ];
        for (claims, caller, (team, tier)) in table {
            let want = (team.to_owned(), tier.to_owned());
            assert_eq!(resolve(&teams(None), claims.clone(), caller), Ok(want), "{claims} {caller}");
        }
    }

    #[test]
    fn the_default_tier_is_the_configurations() {
        let want = ("maps".to_owned(), "sandbox".to_owned());
        assert_eq!(resolve(&teams(Some("sandbox")), json!({}), "c2"), Ok(want));
    }

    #[test]
    fn a_team_that_is_no_name_is_refused_instead_of_falling_through() {
        for team in [json!(7), json!(["search"]), json!({}), json!("a\nb"), json!("x".repeat(129))] {
            let error = resolve(&teams(None), json!({"custom:team": team.clone()}), "c1");
            assert!(matches!(error, Err(AuthError::Claim { .. })), "{team}");
        }
        assert!(matches!(resolve(&teams(None), json!({}), &"x".repeat(129)), Err(AuthError::Claim { .. })));
    }
}
