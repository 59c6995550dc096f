//! Who may call: issuers, their keys and claims, teams.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Who may call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Auth {
    /// The token issuers that are trusted. At least one.
    pub issuers: Vec<Issuer>,
    /// `client_id` -> team, for tokens whose claims do not name one.
    pub teams: BTreeMap<String, Team>,
    /// The tier of a team that nothing gives one. Default `standard`.
    pub default_tier: Option<String>,
}

/// One OIDC issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Issuer {
    /// The exact `iss` of its tokens.
    pub issuer: String,
    /// Where its keys are. Default: the `jwks_uri` of a Cognito pool, `<issuer>/.well-known/jwks.json`.
    #[serde(default)]
    pub jwks: Jwks,
    /// What `token_use` must be (`access` for Cognito). Left out: not checked. Default for a Cognito issuer: `access`.
    #[serde(default)]
    pub token_use: Option<String>,
    /// Accepted `aud` values; empty: not checked (Cognito's access tokens have none).
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Accepted `client_id` (or `azp`) values; empty: any.
    #[serde(default)]
    pub client_ids: Vec<String>,
    /// Scopes that a token must have, all of them. Default: `https://gateway.internal/invoke`. `[]` asks for none.
    #[serde(default = "default_scopes")]
    pub required_scopes: Vec<String>,
    /// The claims that name team and tier.
    #[serde(default)]
    pub claims: Claims,
    /// Accepted signature algorithms. Default: `[RS256]`.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<Algorithm>,
}

fn default_scopes() -> Vec<String> {
    vec!["https://gateway.internal/invoke".to_owned()]
}

fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::RS256]
}

/// Asymmetric signature algorithms. `none` and the HMAC family cannot be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the names are those of RFC 7518, section 3.1, and RFC 8037")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// Where an issuer's keys are. At most one of the three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Jwks {
    /// A JWKS document.
    pub url: Option<String>,
    /// A file with a JWKS document, relative to the working directory.
    pub file: Option<String>,
    /// `true`: read `jwks_uri` from `<issuer>/.well-known/openid-configuration`.
    pub discovery: bool,
}

/// Names of claims.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Claims {
    /// The claim that names the team. Default `custom:team`.
    pub team: String,
    /// The claim that names the tier. Default `custom:tenant_tier`.
    pub tier: String,
}

impl Default for Claims {
    fn default() -> Self {
        Self { team: "custom:team".to_owned(), tier: "custom:tenant_tier".to_owned() }
    }
}

/// A team and its tier, as the `auth.teams` table gives them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Team {
    /// The team's name, as it stands in logs, limits and bills.
    pub team: String,
    /// Its tier; left out: `auth.defaultTier`.
    #[serde(default)]
    pub tier: Option<String>,
}
