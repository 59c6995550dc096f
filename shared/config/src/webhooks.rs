//! `webhooks`: whom the rate limiter and the budget function believe, and where they read what a gateway tells them. The gateway ignores it.

use serde::Deserialize;

use crate::{Claims, SecretRef};

/// The scope of a token that may report usage.
const SETTLE_SCOPE: &str = "https://gateway.internal/settle";

/// The webhook functions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Webhooks {
    /// Callers that send this are believed when they name a team in plain headers, and may report usage. Left out: nobody can.
    pub shared_secret: Option<SecretRef>,
    /// Callers that AWS has authenticated by IAM are believed in the same way. Default `true`.
    pub trust_iam: Option<bool>,
    /// A token with this scope may report usage. Default `https://gateway.internal/settle`.
    pub settle_scope: Option<String>,
    /// Load balancers that authenticate users themselves.
    pub alb: AlbTrust,
    /// The provider kind of requests that do not name one. Left out: every kind that has a price for the model, and the dearest counts.
    pub provider: Option<String>,
    /// Where the functions read what they are told.
    pub headers: HookHeaders,
    /// Names in the usage reports of other gateways.
    pub usage: UsageNames,
}

impl Webhooks {
    /// Whether IAM's word is enough.
    #[must_use]
    pub fn trusts_iam(&self) -> bool {
        self.trust_iam.unwrap_or(true)
    }

    /// The scope of a token that may report usage.
    #[must_use]
    pub fn settle_scope(&self) -> &str {
        self.settle_scope.as_deref().unwrap_or(SETTLE_SCOPE)
    }
}

/// Whose `x-amzn-oidc-data` is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct AlbTrust {
    /// ARNs of load balancers. Empty: the header is ignored.
    pub signers: Vec<AlbArn>,
    /// Accepted `iss` values; empty: any that such a load balancer signs.
    pub issuers: Vec<String>,
    /// Accepted `client` values; empty: any.
    pub client_ids: Vec<String>,
    /// The claims that name team and tier.
    pub claims: Claims,
    /// Where the public keys are, a key's id follows after a slash. Default: `https://public-keys.auth.elb.<region>.amazonaws.com`.
    pub keys_url: Option<String>,
}

/// The ARN of an Application Load Balancer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
#[serde(try_from = "String")]
pub struct AlbArn {
    text: String,
    keys_url: String,
}

impl TryFrom<String> for AlbArn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const FORM: &str = "not the ARN of an Application Load Balancer: write arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/NAME/ID";
        let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let parts: Vec<&str> = text.split(':').collect();
        let ["arn", partition, "elasticloadbalancing", region, account, resource] = parts.as_slice() else {
            return Err(FORM.to_owned());
        };
        let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let names = resource.strip_prefix("loadbalancer/app/").and_then(|rest| rest.split_once('/'));
        if !digits || !word(region) || !names.is_some_and(|(name, id)| word(name) && word(id)) {
            return Err(FORM.to_owned());
        }
        // https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html#user-claims-encoding
        let keys_url = match *partition {
            "aws" => format!("https://public-keys.auth.elb.{region}.amazonaws.com"),
            "aws-us-gov" => format!("https://s3-{region}.amazonaws.com/aws-elb-public-keys-prod-{region}"),
            "aws-cn" => format!("https://s3.{region}.amazonaws.com.cn/aws-elb-public-keys-prod-{region}"),
            _ => return Err(FORM.to_owned()),
        };
        Ok(Self { keys_url, text })
    }
}

impl AlbArn {
    /// The ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where AWS publishes the keys of its region.
    #[must_use]
    pub fn keys_url(&self) -> &str {
        &self.keys_url
    }
}

/// Names of headers; of several the first that is there counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct HookHeaders {
    /// The team; of trusted callers only. Default `x-tollgate-team`.
    pub team: Vec<String>,
    /// Its tier; of trusted callers only. Default `x-tollgate-tier`.
    pub tier: Vec<String>,
    /// The user; of trusted callers only. Default `x-tollgate-user`.
    pub user: Vec<String>,
    /// The model. Default `x-tollgate-model`, `x-model`.
    pub model: Vec<String>,
    /// The client's output cap. Default `x-tollgate-max-tokens`, `x-max-tokens`.
    pub max_tokens: Vec<String>,
    /// The provider kind. Default `x-tollgate-provider`.
    pub provider: Vec<String>,
    /// The id by which usage is reported later. Default `x-tollgate-request-id`, `x-request-id`.
    pub request_id: Vec<String>,
    /// The shared secret. Default `x-tollgate-secret`.
    pub secret: Vec<String>,
}

impl Default for HookHeaders {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            team: names(&["x-tollgate-team"]),
            tier: names(&["x-tollgate-tier"]),
            user: names(&["x-tollgate-user"]),
            model: names(&["x-tollgate-model", "x-model"]),
            max_tokens: names(&["x-tollgate-max-tokens", "x-max-tokens"]),
            provider: names(&["x-tollgate-provider"]),
            request_id: names(&["x-tollgate-request-id", "x-request-id"]),
            secret: names(&["x-tollgate-secret"]),
        }
    }
}

impl HookHeaders {
    /// All lists, by their keys.
    pub(crate) fn lists(&self) -> [(&'static str, &Vec<String>); 8] {
        [
            ("team", &self.team),
            ("tier", &self.tier),
            ("user", &self.user),
            ("model", &self.model),
            ("maxTokens", &self.max_tokens),
            ("provider", &self.provider),
            ("requestId", &self.request_id),
            ("secret", &self.secret),
        ]
    }
}

/// Names of attributes in access logs. Those of tokens and models are OpenTelemetry's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct UsageNames {
    /// The team. Default `team`.
    pub team: String,
    /// Its tier. Default `tier`.
    pub tier: String,
    /// The user. Default `user`.
    pub user: String,
    /// Instead of the team: a client of `auth.teams`. Default `client_id`.
    pub client_id: String,
    /// The id that the budget function was asked with. Default `request.id`.
    pub request_id: String,
    /// Whether `gen_ai.usage.input_tokens` counts cached tokens, as OpenTelemetry has it. Default `true`.
    pub input_includes_cache: bool,
}

impl Default for UsageNames {
    fn default() -> Self {
        Self {
            team: "team".to_owned(),
            tier: "tier".to_owned(),
            user: "user".to_owned(),
            client_id: "client_id".to_owned(),
            request_id: "request.id".to_owned(),
            input_includes_cache: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_balancers_arn_knows_where_its_keys_are() {
        for (arn, url) in [
            (
                "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/tollgate/50dc6c495c0c9188",
                "https://public-keys.auth.elb.eu-west-1.amazonaws.com",
            ),
            (
                "arn:aws-us-gov:elasticloadbalancing:us-gov-west-1:123456789012:loadbalancer/app/a/1",
                "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1",
            ),
            (
                "arn:aws-cn:elasticloadbalancing:cn-north-1:123456789012:loadbalancer/app/a/1",
                "https://s3.cn-north-1.amazonaws.com.cn/aws-elb-public-keys-prod-cn-north-1",
            ),
        ] {
            assert_eq!(AlbArn::try_from(arn.to_owned()).unwrap().keys_url(), url);
        }
        for text in [
            "tollgate",
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/net/tollgate/50dc6c495c0c9188",
            "arn:aws:elasticloadbalancing:evil.example/:123456789012:loadbalancer/app/a/1",
            "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/a/1",
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/a/1/2",
            "arn:other:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/a/1",
        ] {
            assert!(AlbArn::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
