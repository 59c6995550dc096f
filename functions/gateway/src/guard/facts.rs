//! What a request can tell a hook, where the hook's configuration names it: header templates and forwarded headers.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use tokio::time::Instant;
use tollgate_auth::Identity;
use tollgate_config::{HeaderMatch, Piece, Place, Template};
use tollgate_wire::codec::Dialect;
use tollgate_wire::json;

/// One request, as far as guards may speak of it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The client's dialect.
    pub client: Dialect,
    /// Who asks.
    pub identity: &'a Identity,
    /// The client's headers. Their token has been checked.
    pub headers: &'a HeaderMap,
    /// The model as the client named it.
    pub model: &'a str,
    /// The client's output cap.
    pub max_tokens: Option<u64>,
    /// The route type.
    pub route: &'static str,
    /// The request's id.
    pub request_id: &'a str,
    /// When the whole request has to be over.
    pub deadline: Instant,
}

/// A value that the request does not have: its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing(pub(super) String);

impl Facts<'_> {
    /// A template, filled. `None`: the header is left out.
    pub(super) fn fill(&self, template: &Template) -> Result<Option<HeaderValue>, Missing> {
        let mut text = String::new();
        for piece in template.pieces() {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Fill { place, optional } => match self.value(place) {
                    Some(value) => encode(&value, &mut text),
                    None if *optional => return Ok(None),
                    None => return Err(Missing(place.to_string())),
                },
            }
        }
        let mut value = HeaderValue::from_str(&text).map_err(|_| Missing("header".to_owned()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// The client headers that are forwarded. Several values of a header go together, if one of them fits.
    pub(super) fn forward(&self, matches: &[HeaderMatch], into: &mut HeaderMap) -> Result<(), Missing> {
        for wanted in matches {
            let Ok(name) = HeaderName::try_from(wanted.name.as_str()) else { continue };
            let mut values = Vec::new();
            for value in self.headers.get_all(&name) {
                // Not printable ASCII: whoever sends that can be turned away.
                values.push((value.to_str().map_err(|_| Missing(name.to_string()))?, value));
            }
            if values.iter().any(|(text, _)| wanted.fits(text)) {
                for (_, value) in values {
                    into.append(name.clone(), value.clone());
                }
            }
        }
        Ok(())
    }

    fn value(&self, place: &Place) -> Option<String> {
        let value = match place {
            Place::Claim(name) => return self.claim(name),
            Place::Header(name) => self.header(name)?.to_owned(),
            Place::Team => self.identity.team.clone(),
            Place::Tier => self.identity.tier.clone(),
            Place::ClientId => self.identity.client_id.clone()?,
            Place::Model => self.model.to_owned(),
            Place::MaxTokens => self.max_tokens?.to_string(),
            Place::Route => self.route.to_owned(),
            Place::RequestId => self.request_id.to_owned(),
            Place::Token => tollgate_auth::bearer(self.headers).ok()?.to_owned(),
        };
        (!value.is_empty()).then_some(value)
    }

    /// The only value of a header. Of several, nobody could say which one counts.
    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        value.to_str().ok()
    }

    /// A claim of the token, whose signature has been checked.
    fn claim(&self, name: &str) -> Option<String> {
        let payload = tollgate_auth::bearer(self.headers).ok()?.split('.').nth(1)?;
        let claims: Map<String, Value> = json::read(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        match claims.get(name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => None,
        }
    }
}

/// What is not printable ASCII is percent-encoded, and so is `%`: two values never become one.
fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde_json::json;

    use super::*;

    fn identity(client_id: Option<&str>) -> Identity {
        Identity {
            issuer: "https://issuer.test".into(),
            subject: "s".to_owned(),
            client_id: client_id.map(str::to_owned),
            team: "café 100%".to_owned(),
            tier: "standard".to_owned(),
            scopes: Vec::new(),
            token_id: None,
            not_before: None,
            expires_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let claims =
            json!({"sub": "u1", "level": 7, "admin": false, "name": "a\r\nx-evil: 1", "empty": "", "list": []});
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn facts<'a>(identity: &'a Identity, headers: &'a HeaderMap) -> Facts<'a> {
        Facts {
            client: Dialect::Chat,
            identity,
            headers,
            model: "gpt-4o",
            max_tokens: None,
            route: "completions",
            request_id: "req_1",
            deadline: Instant::now(),
        }
    }

    fn fill(text: &str) -> Result<Option<String>, String> {
        let (identity, headers) = (identity(None), headers(&[("x-one", "1"), ("x-two", "1"), ("x-two", "2")]));
        let template = Template::try_from(text.to_owned()).unwrap();
        let filled = facts(&identity, &headers).fill(&template).map_err(|missing| missing.0)?;
        Ok(filled.map(|value| value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn places_are_filled_and_nothing_is_sent_raw() {
        for (template, filled) in [
            ("fixed", "fixed"),
            ("{team}", "caf%C3%A9 100%25"),
            ("{tier}/{model}/{route}/{request_id}", "standard/gpt-4o/completions/req_1"),
            ("u={claims.sub}; {claims.level} {claims.admin}", "u=u1; 7 false"),
            ("{claims.name}", "a%0D%0Ax-evil: 1"),
            ("{header.x-one}", "1"),
        ] {
            assert_eq!(fill(template).unwrap().as_deref(), Some(filled), "{template}");
        }
        assert!(fill("Bearer {token}").unwrap().unwrap().starts_with("Bearer e30."));
    }

    #[test]
    fn a_missing_value_fails_unless_it_is_optional() {
        for place in
            ["client_id", "max_tokens", "claims.none", "claims.empty", "claims.list", "header.x-none", "header.x-two"]
        {
            assert_eq!(fill(&format!("x {{{place}}}")), Err(place.to_owned()));
            assert_eq!(fill(&format!("x {{{place}?}}")), Ok(None));
        }
    }

    #[test]
    fn a_header_is_forwarded_only_where_it_fits() {
        let (identity, headers) = (identity(None), headers(&[("x-one", "1"), ("x-two", "1"), ("x-two", "2")]));
        let forwarded = |yaml: &str| {
            let text = format!(
                "ai: {{promptGuard: {{request: [{{webhook: {{target: {{host: 'a:1'}}, forwardHeaderMatches: [{yaml}]}}}}]}}}}"
            );
            let config = tollgate_config::parse(&text, "").unwrap();
            let matches = config.ai.prompt_guard.unwrap().request[0].webhook.forward_header_matches.clone();
            let mut into = HeaderMap::new();
            facts(&identity, &headers).forward(&matches, &mut into).unwrap();
            into.len()
        };
        assert_eq!(forwarded(""), 0);
        assert_eq!(forwarded("{name: x-none}"), 0);
        assert_eq!(forwarded("{name: X-One, value: {exact: '1'}}, {name: x-two, value: {regex: '2|3'}}"), 3);
        assert_eq!(forwarded("{name: x-one, value: {exact: '2'}}"), 0);
    }
}
