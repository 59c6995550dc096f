//! Checks the claims of a token whose signature is good. Pure.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tollgate_config::{Auth, Issuer};

use crate::error::{AuthError, Printable};
use crate::identity::{Identity, Teams};

/// The last second of the year 9999: later ones cannot be said in an HTTP date, and mean "never" anyway.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// What one issuer's claims have to satisfy.
pub(crate) struct Policy {
    issuer: Arc<str>,
    token_use: Option<String>,
    audiences: Vec<String>,
    client_ids: Vec<String>,
    required_scopes: Vec<String>,
    teams: Teams,
    leeway: Duration,
}

impl Policy {
    pub(crate) fn new(auth: &Arc<Auth>, issuer: &Issuer, leeway: Duration) -> Self {
        let default_use = || is_cognito(&issuer.issuer).then(|| "access".to_owned());
        Self {
            issuer: issuer.issuer.as_str().into(),
            token_use: issuer.token_use.clone().or_else(default_use),
            audiences: issuer.audiences.clone(),
            client_ids: issuer.client_ids.clone(),
            required_scopes: issuer.required_scopes.clone(),
            teams: Teams::new(Arc::clone(auth), issuer.claims.clone()),
            leeway,
        }
    }

    pub(crate) fn check(&self, claims: &Map<String, Value>, now: SystemTime) -> Result<Identity, AuthError> {
        let expires_at = time(claims, "exp")?.ok_or_else(|| AuthError::missing_claim("exp"))?;
        let not_before = time(claims, "nbf")?;
        let issued_at = time(claims, "iat")?;
        in_time(expires_at, not_before, now, self.leeway)?;
        begun("iat", issued_at, now, self.leeway)?;
        self.check_use(claims)?;
        self.check_audience(claims)?;
        let client = match name(claims, "client_id")? {
            Some(client) => Some(client),
            None => name(claims, "azp")?,
        };
        self.check_client(client)?;
        let scopes = scopes(claims);
        self.check_scopes(&scopes)?;
        let subject = name(claims, "sub")?;
        let caller = client.or(subject).ok_or_else(|| AuthError::missing_claim("sub"))?;
        let (team, tier) = self.teams.resolve(claims, caller)?;
        Ok(Identity {
            issuer: Arc::clone(&self.issuer),
            subject: subject.unwrap_or(caller).to_owned(),
            client_id: client.map(str::to_owned),
            team,
            tier,
            scopes: scopes.into_iter().map(str::to_owned).collect(),
            token_id: claims.get("jti").and_then(Value::as_str).map(str::to_owned),
            not_before,
            expires_at,
        })
    }

    fn check_use(&self, claims: &Map<String, Value>) -> Result<(), AuthError> {
        let Some(expected) = &self.token_use else { return Ok(()) };
        match text(claims, "token_use")? {
            Some(found) if found == expected => Ok(()),
            found => Err(AuthError::WrongTokenUse {
                found: Printable::new(found.unwrap_or("(none)")),
                expected: Printable::new(expected),
            }),
        }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), AuthError> {
        let accepted = |audience: &str| self.audiences.iter().any(|accepted| accepted == audience);
        if self.audiences.is_empty() || texts(claims.get("aud")).any(accepted) {
            return Ok(());
        }
        Err(AuthError::WrongAudience)
    }

    fn check_client(&self, client: Option<&str>) -> Result<(), AuthError> {
        let allowed = |client: &str| self.client_ids.iter().any(|allowed| allowed == client);
        if self.client_ids.is_empty() || client.is_some_and(allowed) {
            return Ok(());
        }
        Err(AuthError::ClientNotAllowed { client: Printable::new(client.unwrap_or("(none)")) })
    }

    fn check_scopes(&self, scopes: &[&str]) -> Result<(), AuthError> {
        let lacks = |scope: &&str| !scopes.contains(scope);
        let missing: Vec<&str> = self.required_scopes.iter().map(String::as_str).filter(lacks).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(AuthError::MissingScope {
            missing: Printable::list(&missing.join(" ")),
            required: Printable::list(&self.required_scopes.join(" ")),
        })
    }
}

/// `exp` without leeway, `nbf` with it. Checked again whenever a cached token is used.
pub(crate) fn in_time(
    expires_at: SystemTime,
    not_before: Option<SystemTime>,
    now: SystemTime,
    leeway: Duration,
) -> Result<(), AuthError> {
    if now >= expires_at {
        return Err(AuthError::Expired { at: expires_at });
    }
    begun("nbf", not_before, now, leeway)
}

fn begun(claim: &'static str, from: Option<SystemTime>, now: SystemTime, leeway: Duration) -> Result<(), AuthError> {
    match from {
        Some(from) if from.duration_since(now).is_ok_and(|ahead| ahead > leeway) => {
            Err(AuthError::NotYetValid { claim, from })
        }
        _ => Ok(()),
    }
}

/// `https://cognito-idp.<region>.amazonaws.com/<pool>`, and the same in China.
fn is_cognito(issuer: &str) -> bool {
    let host = issuer.strip_prefix("https://cognito-idp.").and_then(|rest| rest.split('/').next());
    host.is_some_and(|host| host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
}

/// A claim that has to be a text if it is there.
fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<Option<&'c str>, AuthError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(AuthError::Claim { name: Printable::new(name), problem: "is not a text" }),
    }
}

/// The same for a name: empty counts as absent. Cognito writes attributes that were never set like that.
pub(crate) fn name<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<Option<&'c str>, AuthError> {
    Ok(text(claims, name)?.filter(|text| !text.is_empty()))
}

/// A `NumericDate` (RFC 7519, section 2): seconds, perhaps with a fraction, which is dropped.
pub(crate) fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<SystemTime>, AuthError> {
    let not_a_time = |problem| AuthError::Claim { name: Printable::new(name), problem };
    let value = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_f64().ok_or_else(|| not_a_time("is not a number"))?,
    };
    let seconds = Duration::try_from_secs_f64(value.clamp(0.0, LAST_SECOND)).map(|duration| duration.as_secs());
    let seconds = seconds.map_err(|_| not_a_time("is not a time"))?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).map(Some).ok_or_else(|| not_a_time("is not a time"))
}

/// `scope` and `scp`, each either a text with spaces or an array.
fn scopes(claims: &Map<String, Value>) -> Vec<&str> {
    let all = texts(claims.get("scope")).chain(texts(claims.get("scp")));
    all.flat_map(str::split_ascii_whitespace).collect()
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match value {
        Some(Value::String(text)) => (Some(text.as_str()), None),
        Some(Value::Array(items)) => (None, Some(items)),
        _ => (None, None),
    };
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW_S: u64 = 1_700_000_000;
    const POOL: &str = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf123";

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW_S)
    }

    fn issuer(change: impl FnOnce(&mut Issuer)) -> Policy {
        let mut issuer = Issuer { issuer: "https://idp.example".to_owned(), ..Issuer::default() };
        change(&mut issuer);
        Policy::new(&Arc::new(Auth::default()), &issuer, Duration::from_secs(60))
    }

    fn check(policy: &Policy, extra: Value) -> Result<Identity, AuthError> {
        let mut claims = json!({"sub": "s", "client_id": "c", "exp": NOW_S + 600});
        for (name, value) in extra.as_object().unwrap() {
            claims[name] = value.clone();
        }
        policy.check(claims.as_object().unwrap(), now())
    }

    fn code(policy: &Policy, extra: Value) -> &'static str {
        check(policy, extra).err().map_or("ok", |error| error.code())
    }

    #[test]
    fn times_are_checked_to_the_second_with_leeway_for_those_to_come() {
        let any = issuer(|_| ());
        let table = [
            (json!({"exp": NOW_S + 1}), "ok"),
            (json!({"exp": NOW_S}), "expired"),
            (json!({"exp": NOW_S as f64 + 1.5}), "ok"),
            (json!({"exp": NOW_S as f64 + 0.5}), "expired"),
            (json!({"exp": 0}), "expired"),
            (json!({"exp": -1}), "expired"),
            (json!({"exp": 1e300}), "ok"),
            (json!({"exp": null}), "bad_claim"),
            (json!({"exp": "1700000600"}), "bad_claim"),
            (json!({"exp": []}), "bad_claim"),
            (json!({"nbf": NOW_S + 60}), "ok"),
            (json!({"nbf": NOW_S + 61}), "not_yet_valid"),
            (json!({"nbf": 1e300}), "not_yet_valid"),
            (json!({"nbf": "soon"}), "bad_claim"),
            (json!({"iat": NOW_S + 60}), "ok"),
            (json!({"iat": NOW_S + 61}), "not_yet_valid"),
            (json!({"iat": true}), "bad_claim"),
        ];
        for (claims, want) in table {
            assert_eq!(code(&any, claims.clone()), want, "{claims}");
        }
        let never = check(&any, json!({"nbf": 1e300})).unwrap_err();
        assert!(never.to_string().contains("9999"), "{never}");
        assert!(policy_without_exp().to_string().contains("`exp` is missing"));
    }

    fn policy_without_exp() -> AuthError {
        issuer(|_| ()).check(json!({"sub": "s"}).as_object().unwrap(), now()).unwrap_err()
    }

    #[test]
    fn a_cognito_pool_wants_access_tokens_unless_told_otherwise() {
        let pool = issuer(|issuer| issuer.issuer = POOL.to_owned());
        assert_eq!(code(&pool, json!({"token_use": "access"})), "ok");
        assert_eq!(code(&pool, json!({"token_use": "id"})), "wrong_token_use");
        assert_eq!(code(&pool, json!({})), "wrong_token_use");
        assert_eq!(code(&pool, json!({"token_use": 1})), "bad_claim");
        let ids = issuer(|issuer| {
            issuer.issuer = POOL.to_owned();
            issuer.token_use = Some("id".to_owned());
        });
        assert_eq!(code(&ids, json!({"token_use": "id"})), "ok");
        assert_eq!(code(&issuer(|_| ()), json!({"token_use": "id"})), "ok");
    }

    #[test]
    fn only_a_real_pool_looks_like_one() {
        for pool in [POOL, "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_x"] {
            assert!(is_cognito(pool), "{pool}");
        }
        for other in ["https://cognito-idp.evil.example/x.amazonaws.com", "https://idp.example", "", "cognito-idp."] {
            assert!(!is_cognito(other), "{other}");
        }
    }

    #[test]
    fn an_audience_is_a_text_or_one_of_many() {
        let policy = issuer(|issuer| issuer.audiences = vec!["gateway".to_owned(), "other".to_owned()]);
        let table = [
            (json!({"aud": "gateway"}), "ok"),
            (json!({"aud": ["x", "other"]}), "ok"),
            (json!({"aud": "Gateway"}), "wrong_audience"),
            (json!({"aud": "gateway other"}), "wrong_audience"),
            (json!({"aud": []}), "wrong_audience"),
            (json!({"aud": [["gateway"]]}), "wrong_audience"),
            (json!({}), "wrong_audience"),
        ];
        for (claims, want) in table {
            assert_eq!(code(&policy, claims.clone()), want, "{claims}");
        }
    }

    #[test]
    fn a_genuine_token_of_another_client_is_forbidden() {
        let policy = issuer(|issuer| issuer.client_ids = vec!["c".to_owned(), "d".to_owned()]);
        assert_eq!(code(&policy, json!({})), "ok");
        assert_eq!(code(&policy, json!({"client_id": null, "azp": "d"})), "ok");
        assert_eq!(code(&policy, json!({"client_id": "x", "azp": "d"})), "client_not_allowed");
        assert_eq!(code(&policy, json!({"client_id": null})), "client_not_allowed");
    }

    #[test]
    fn every_required_scope_has_to_be_there() {
        let policy = issuer(|issuer| issuer.required_scopes = vec!["api/read".to_owned(), "api/call".to_owned()]);
        let table = [
            (json!({"scope": "api/read api/call"}), "ok"),
            (json!({"scope": "openid api/call  api/read"}), "ok"),
            (json!({"scp": ["api/read", "api/call"]}), "ok"),
            (json!({"scp": "api/read api/call"}), "ok"),
            (json!({"scope": "api/read", "scp": ["api/call"]}), "ok"),
            (json!({"scope": "api/read"}), "missing_scope"),
            (json!({"scope": "api/read api/callable"}), "missing_scope"),
            (json!({"scope": "API/READ API/CALL"}), "missing_scope"),
            (json!({"scope": 7}), "missing_scope"),
            (json!({}), "missing_scope"),
        ];
        for (claims, want) in table {
            assert_eq!(code(&policy, claims.clone()), want, "{claims}");
        }
        let error = check(&policy, json!({"scope": "api/read"})).unwrap_err();
        assert_eq!(error.to_string(), "the token lacks the scope `api/call`");
        assert!(error.www_authenticate().ends_with("scope=\"api/read api/call\""));
    }

    #[test]
    fn the_caller_is_the_client_then_the_authorized_party_then_the_subject() {
        let any = issuer(|_| ());
        let team = |extra| check(&any, extra).unwrap().team;
        assert_eq!(team(json!({"azp": "a"})), "c");
        assert_eq!(team(json!({"client_id": null, "azp": "a"})), "a");
        assert_eq!(team(json!({"client_id": "", "azp": ""})), "s");
        assert_eq!(code(&any, json!({"client_id": null, "sub": null})), "bad_claim");
        assert_eq!(code(&any, json!({"client_id": "", "sub": ""})), "bad_claim");
        assert_eq!(check(&any, json!({"sub": null})).unwrap().subject, "c");
    }
}
