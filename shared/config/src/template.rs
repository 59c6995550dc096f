//! Header templates: literal text with `{places}` that each request fills. Deliberately no expression language.

use std::fmt;

use serde::Deserialize;

/// A template, read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
#[serde(try_from = "String")]
pub struct Template(Vec<Piece>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// To be filled.
    Fill {
        /// With what.
        place: Place,
        /// Written `{x?}`: where there is no such value, the header is left out.
        optional: bool,
    },
}

/// What a request can fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `claims.NAME`: a claim of the client's token.
    Claim(String),
    /// `header.NAME`: a header of the client's, in lower case.
    Header(String),
    /// `team`.
    Team,
    /// `tier`.
    Tier,
    /// `client_id`.
    ClientId,
    /// `model`: as the client named it.
    Model,
    /// `max_tokens`: the client's output cap.
    MaxTokens,
    /// `route`: the route type.
    Route,
    /// `request_id`.
    RequestId,
    /// `token`: the client's own bearer token.
    Token,
}

const PLACES: &str =
    "{claims.NAME}, {header.NAME}, {team}, {tier}, {client_id}, {model}, {max_tokens}, {route}, {request_id}, {token}";
/// What CEL expressions of agentgateway begin with.
const CEL: [&str; 9] =
    ["jwt.", "request.", "llmRequest.", "llm.", "source.", "apiKey.", "basicAuth.", "string(", "backend."];

impl Template {
    /// Its parts, in order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with(['"', '\'']) || CEL.iter().any(|start| text.starts_with(start)) {
            return Err(format!(
                "looks like a CEL expression of agentgateway, and would be sent as it stands: write a text with {PLACES}"
            ));
        }
        if !text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err("a header holds printable ASCII only".to_owned());
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                literal.push_str(from.get(..1).unwrap_or_default());
                rest = after;
                continue;
            }
            let inner = from.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let Some((name, after)) = inner else {
                return Err("a brace without its partner; a brace itself is written twice: {{ or }}".to_owned());
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            let (name, optional) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
            pieces.push(Piece::Fill { place: Place::read(name)?, optional });
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self(pieces))
    }
}

impl Place {
    fn read(name: &str) -> Result<Self, String> {
        if let Some(claim) = name.strip_prefix("claims.").filter(|claim| !claim.is_empty()) {
            return Ok(Self::Claim(claim.to_owned()));
        }
        if let Some(header) = name.strip_prefix("header.") {
            return match http::HeaderName::try_from(header) {
                Ok(header) => Ok(Self::Header(header.as_str().to_owned())),
                Err(_) => Err(format!("`{{{name}}}` names no possible header")),
            };
        }
        Ok(match name {
            "team" => Self::Team,
            "tier" => Self::Tier,
            "client_id" => Self::ClientId,
            "model" => Self::Model,
            "max_tokens" => Self::MaxTokens,
            "route" => Self::Route,
            "request_id" => Self::RequestId,
            "token" => Self::Token,
            _ => return Err(format!("`{{{name}}}` is unknown; known: {PLACES}, each also with ? at its end")),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(name) => write!(f, "claims.{name}"),
            Self::Header(name) => write!(f, "header.{name}"),
            Self::Team => f.write_str("team"),
            Self::Tier => f.write_str("tier"),
            Self::ClientId => f.write_str("client_id"),
            Self::Model => f.write_str("model"),
            Self::MaxTokens => f.write_str("max_tokens"),
            Self::Route => f.write_str("route"),
            Self::RequestId => f.write_str("request_id"),
            Self::Token => f.write_str("token"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Template, String> {
        Template::try_from(text.to_owned())
    }

    #[test]
    fn a_template_is_text_and_places() {
        let fill = |place, optional| Piece::Fill { place, optional };
        assert_eq!(
            read("Bearer {token}; {claims.custom:team?}{{x}}").unwrap().pieces(),
            [
                Piece::Text("Bearer ".to_owned()),
                fill(Place::Token, false),
                Piece::Text("; ".to_owned()),
                fill(Place::Claim("custom:team".to_owned()), true),
                Piece::Text("{x}".to_owned()),
            ]
        );
        assert_eq!(read("{header.X-Foo}").unwrap().pieces(), [fill(Place::Header("x-foo".to_owned()), false)]);
        assert_eq!(read("").unwrap().pieces(), []);
    }

    #[test]
    fn what_is_no_template_says_why() {
        for (text, says) in [
            ("{user}", "unknown"),
            ("{claims.}", "unknown"),
            ("{header.a b}", "no possible header"),
            ("{team", "a brace without its partner"),
            ("team}", "a brace without its partner"),
            ("{}", "unknown"),
            ("jwt.sub", "CEL"),
            ("\"1\"", "CEL"),
            ("string(llmRequest.max_tokens)", "CEL"),
            ("a\nb", "printable ASCII"),
            ("é", "printable ASCII"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
